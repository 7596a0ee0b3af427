//! Clients that prove their user by tickets of Kerberos, each good for one request to one coordinator: who they
//! are taken for, and how often they have to make one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hs2router::fake::{Coordinator, Fault, Manner, Settings, Tally, ticket};
use proptest::prelude::*;

use super::{Answer, Raw};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::message::{Message, Value, execute, of_handle, open_session};
use crate::support::router::{TestRouter, eventually};

const ANN: &str = "ann@TEST";
const BOB: &str = "bob@TEST";

fn settings() -> Settings {
    Settings { tickets: true, fetch_timeout: Duration::from_secs(2), ..Settings::default() }
}

fn fleet(coordinators: usize) -> Fleet {
    Fleet::with(Plan { coordinators, http: true, settings: settings(), ..Plan::default() })
}

/// The `Authorization` with another ticket of this user's.
fn fresh(user: &str) -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    format!("Authorization: {}\r\n", ticket(user, MADE.fetch_add(1, Ordering::Relaxed)))
}

/// What is answered to one call, on a connection of its own.
fn post(to: SocketAddr, target: &str, fields: &str, message: &Message) -> Answer {
    let (mut raw, body) = (Raw::connect(to), message.encode());
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    raw.send(&[head.as_bytes(), &body].concat());
    raw.hear()
}

/// A client as impyla: a connection for each call, a cookie if it has one, else a ticket. After a 401 to a
/// cookie it comes again once, with a ticket.
struct Client {
    at: SocketAddr,
    user: &'static str,
    cookie: Option<String>,
    /// How many it has made.
    tickets: usize,
}

impl Client {
    fn new(at: SocketAddr, user: &'static str) -> Self {
        Self { at, user, cookie: None, tickets: 0 }
    }

    fn call(&mut self, message: &Message) -> Answer {
        let had_cookie = self.cookie.is_some();
        let answer = self.try_call(message);
        if answer.status == 401 && had_cookie {
            assert_eq!(answer.field("www-authenticate"), Some("negotiate"), "{answer:?}");
            assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
            self.cookie = None;
            return self.try_call(message);
        }
        answer
    }

    fn try_call(&mut self, message: &Message) -> Answer {
        let fields = match &self.cookie {
            Some(cookie) => format!("Cookie: {cookie}\r\n"),
            None => fresh(self.user),
        };
        self.tickets += usize::from(self.cookie.is_none());
        let answer = post(self.at, "/cliservice", &fields, message);
        if let Some(cookie) = cookie_of(&answer) {
            assert!(self.cookie.replace(cookie).is_none(), "it comes for a ticket only");
        }
        answer
    }

    fn open(&mut self) -> Value {
        self.call(&open_session()).message().handle(&[0, 3])
    }

    fn execute(&mut self, session: &Value) -> Message {
        self.call(&execute(session, "select 1")).message()
    }
}

/// The one cookie that an answer gives, as a client sends it back.
fn cookie_of(answer: &Answer) -> Option<String> {
    assert!(answer.cookies.len() <= 1, "{:?}", answer.cookies);
    let (pair, attributes) = answer.cookies.first()?.split_once(';').unwrap();
    assert_eq!(attributes, "HttpOnly;Max-Age=3600");
    Some(pair.to_owned())
}

fn tallies(fleet: &Fleet) -> (Tally, Tally) {
    let sum = |tallies: Vec<Tally>| Tally {
        success: tallies.iter().map(|one| one.success).sum(),
        failure: tallies.iter().map(|one| one.failure).sum(),
    };
    let counts: Vec<_> = fleet.coordinators().map(Coordinator::http_counts).collect();
    let of = |get: fn(&hs2router::fake::HttpCounts) -> Tally| sum(counts.iter().map(get).collect());
    (of(|one| one.negotiate), of(|one| one.cookie))
}

#[test]
fn a_client_makes_one_ticket_for_each_coordinator_and_none_from_then_on() {
    let fleet = fleet(3);
    let mut ann = Client::new(fleet.address(Door::Http), ANN);
    let sessions: Vec<_> = (0..9).map(|_| ann.open()).collect();
    let opens = fleet.calls("OpenSession").into_iter();
    let by_ticket = |head: &hs2router::fake::ReceivedHead| !head.values("authorization").is_empty();
    let opens: Vec<_> = opens.map(|(place, call)| (place, call.head.as_deref().map(by_ticket))).collect();
    assert_eq!((ann.tickets, fleet.spread()), (3, vec![3; 3]), "{opens:?}");
    for session in sessions.iter().cycle().take(90) {
        assert_eq!(ann.execute(session).status(), Some(0));
    }
    assert_eq!(ann.tickets, 3);
    for session in &sessions {
        assert_eq!(ann.call(&of_handle("CloseSession", session)).message().status(), Some(0));
    }
    let (negotiate, cookie) = tallies(&fleet);
    assert_eq!((negotiate.success, negotiate.failure, cookie.failure), (3, 0, 0));
    assert_eq!(cookie.success, 6 + 90 + 9);
    for (_, call) in fleet.calls("ExecuteStatement") {
        assert_eq!(call.user.as_deref(), Some(ANN));
    }
}

#[test]
fn a_session_is_its_users_by_cookie_or_by_a_fresh_ticket_and_nobody_elses() {
    let fleet = fleet(2);
    let at = fleet.address(Door::Http);
    let mut ann = Client::new(at, ANN);
    let sessions = [ann.open(), ann.open()];
    for session in &sessions {
        assert_eq!(Client::new(at, ANN).execute(session).status(), Some(0), "a fresh ticket");
        let (by_ticket, mut by_cookie) = (Client::new(at, BOB).execute(session), Client::new(at, BOB));
        let _own = [by_cookie.open(), by_cookie.open()];
        for refused in [by_ticket, by_cookie.execute(session)] {
            let words = refused.error().1;
            assert!(words.contains("does not match"), "{words}");
        }
        assert_eq!(ann.execute(session).status(), Some(0));
    }
}

#[test]
fn a_connection_that_was_anns_is_nobodys_without_her_cookie() {
    let fleet = fleet(1);
    let at = fleet.address(Door::Http);
    let mut ann = Client::new(at, ANN);
    let session = ann.open();
    let mut raw = Raw::connect(at);
    let cookie = format!("Cookie: {}\r\n", ann.cookie.unwrap());
    assert_eq!(raw.call(&cookie, &execute(&session, "select 1")).status(), Some(0));
    assert_eq!(raw.call(&fresh(ANN), &execute(&session, "select 1")).status(), Some(0));
    raw.send(&super::call("", &execute(&session, "select 2")));
    let answer = raw.last();
    assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("negotiate")));
    assert_eq!(fleet.calls("ExecuteStatement").len(), 2);
}

/// Two listeners of one cluster, and one of another.
fn three_listeners(coordinator: &Coordinator) -> TestRouter {
    let port = coordinator.hs2_http().port();
    let listener = |host: &str, cluster: &str| {
        format!("[[listener]]\naddress = \"{host}:0\"\nservice = \"hs2-http\"\ncluster = \"{cluster}\"\n")
    };
    let cluster = |name: &str| {
        format!(
            "[[cluster]]\nname = \"{name}\"\nflavor = \"impala\"\nprobe = {{ interval = \"1h\" }}\n\
             coordinators = [{{ host = \"127.0.0.1\", hs2 = 0, beeswax = 0, hs2_http = {port}, web = 0 }}]\n"
        )
    };
    let listeners = [("127.0.0.1", "one"), ("127.0.0.2", "one"), ("127.0.0.3", "two")];
    let parts = listeners.map(|(host, name)| listener(host, name)).concat();
    TestRouter::start(&(parts + &cluster("one") + &cluster("two")))
}

#[test]
fn no_cookie_proves_anybody_but_the_routers_own_where_it_was_given() {
    let coordinator = Coordinator::start(settings()).unwrap();
    let router = three_listeners(&coordinator);
    let mut ann = Client::new(router.listener(0), ANN);
    let session = ann.open();
    let own = ann.cookie.clone().unwrap();
    let message = execute(&session, "select 1");
    let told = |place: usize, target: &str, cookie: &str| {
        post(router.listener(place), target, &format!("Cookie: {cookie}\r\n"), &message)
    };
    // The coordinator's own, which whoever is beside it could see.
    let direct = post(coordinator.hs2_http(), "/", &fresh(ANN), &open_session());
    let of_coordinator = direct.cookies.first().unwrap().split(';').next().unwrap().to_owned();
    assert!(of_coordinator.starts_with("impala.auth=") && of_coordinator.contains("u=ann@TEST"));
    let executed = || coordinator.calls().iter().filter(|call| call.method == "ExecuteStatement").count();
    let forged = {
        let mut forged = own.clone().into_bytes();
        // The user's name begins after 24 bytes, which are 32 letters.
        let at = "impala.auth=".len() + 33;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(forged).unwrap()
    };
    let another = three_listeners(&coordinator);
    let mut elsewhere = Client::new(another.listener(0), ANN);
    let _session = elsewhere.open();
    for (place, target, cookie) in [
        (0, "/", of_coordinator),
        (0, "/", forged),
        (0, "/", elsewhere.cookie.unwrap()),
        (0, "/", own.replace("impala.auth", "hive.server2.auth")),
        (0, "/?doAs=bob", own.clone()),
        (1, "/", own.clone()),
        (2, "/", own.clone()),
    ] {
        let answer = told(place, target, &cookie);
        assert_eq!((answer.status, executed()), (401, 0), "{place} {target}: {answer:?}");
    }
    assert_eq!(coordinator.http_counts().cookie.failure, 0, "no client's cookie reached it");
    assert_eq!(told(0, "/any", &format!("a=b; {own}")).message().status(), Some(0));
    assert_eq!(executed(), 1);
}

/// An `OpenSession` that is longer than what is held of a request.
fn long_open() -> Message {
    let configuration = vec![(Value::text("x"), Value::text(&"x".repeat(100_000)))];
    let request = vec![(1, Value::I32(5)), (4, Value::Map(configuration))];
    Message::call("OpenSession", vec![(1, Value::Struct(request))])
}

#[test]
fn a_client_is_asked_for_a_ticket_before_its_call_of_any_length_needs_a_connection() {
    for open in [open_session(), long_open()] {
        let router = "replay_limit = \"4KiB\"";
        let plan = Plan { coordinators: 2, http: true, router, settings: settings(), ..Plan::default() };
        let fleet = Fleet::with(plan);
        let mut ann = Client::new(fleet.address(Door::Http), ANN);
        let _first = ann.open();
        let second = fleet.spread().iter().position(|sessions| *sessions == 0).unwrap() + 1;
        let dialed = format!(
            "hs2router_dials_total{{cluster=\"test\",coordinator=\"c{second}\",outcome=\"connected\"}}"
        );
        let dials = || fleet.router().metric(&dialed);
        assert_eq!((ann.try_call(&open).status, dials()), (401, 0.0), "{}", open.encode().len());
        assert_eq!(ann.call(&open).message().status(), Some(0));
        assert_eq!((ann.tickets, dials(), fleet.spread()), (2, 1.0, vec![1, 1]));
        let shown = fleet.router().logs().shown();
        assert!(!shown.contains("lost"), "{shown}");
    }
}

#[test]
fn a_ticket_is_sent_once_whatever_becomes_of_the_call() {
    for coordinators in [1, 3] {
        let fleet = fleet(coordinators);
        let at = fleet.address(Door::Http);
        let session = Client::new(at, ANN).open();
        let before = tallies(&fleet).0.success;
        for (number, message) in [of_handle("CloseSession", &session), open_session()].into_iter().enumerate()
        {
            for coordinator in fleet.coordinators() {
                coordinator.faults().once(&message.name, Fault::DropBefore);
            }
            let answer = post(at, "/", &fresh(ANN), &message);
            if message.name == "OpenSession" && coordinators == 1 {
                assert_eq!(answer.message().status(), Some(3), "there is no other to go to");
            } else {
                // It could be sent again but for the ticket.
                assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("negotiate")));
            }
            let seen = Tally { success: before + number as u64 + 1, failure: 0 };
            assert_eq!(tallies(&fleet).0, seen, "{}", message.name);
            for coordinator in fleet.coordinators() {
                coordinator.faults().clear();
            }
        }
    }
}

#[test]
fn a_ticket_goes_to_the_next_coordinator_where_the_first_cannot_be_reached() {
    let mut fleet = fleet(3);
    fleet.lose(0);
    fleet.lose(2);
    let mut ann = Client::new(fleet.address(Door::Http), ANN);
    let session = ann.open();
    assert_eq!((ann.execute(&session).status(), ann.tickets), (Some(0), 1));
}

#[test]
fn a_cookie_that_its_coordinator_has_forgotten_costs_one_more_ticket() {
    for (manner, flavor) in
        [(Manner::Impala, "impala"), (Manner::Hive { outlives: false }, "hive"), (Manner::Spark, "spark")]
    {
        let coordinator = Coordinator::start(Settings { manner, ..settings() }).unwrap();
        let router = TestRouter::http(flavor, &[coordinator.hs2_http()]);
        let mut ann = Client::new(router.listener(0), ANN);
        for restarts in 0..3 {
            let session = ann.open();
            assert_eq!(ann.execute(&session).status(), Some(0));
            assert_eq!(ann.tickets, restarts + 1, "{manner:?}");
            coordinator.restart();
        }
    }
}

#[test]
fn a_client_that_repeats_its_first_ticket_is_known_by_the_cookie_that_this_has_earned() {
    let fleet = fleet(1);
    let at = fleet.address(Door::Http);
    let ticket = fresh(ANN);
    let opened = post(at, "/", &ticket, &open_session());
    // PyHive sends back the attributes, too.
    let cookie = opened.cookies.first().unwrap().clone();
    let session = opened.message().handle(&[0, 3]);
    let message = execute(&session, "select 1");
    for _ in 0..5 {
        let answer = post(at, "/", &format!("{ticket}Cookie: {cookie}\r\n"), &message);
        assert_eq!(answer.message().status(), Some(0));
    }
    assert_eq!(tallies(&fleet).0, Tally { success: 1, failure: 0 });
    // Alone it is what it is: used.
    assert_eq!(post(at, "/", &ticket, &message).status, 401);
    // JDBC brings a fresh one beside its cookie; that of another user makes the call another user's.
    let with = |user| post(at, "/", &format!("{}Cookie: {cookie}\r\n", fresh(user)), &message);
    assert_eq!(with(ANN).message().status(), Some(0));
    assert!(with(BOB).message().error().1.contains("does not match"));
}

#[test]
fn where_coordinators_give_no_cookies_each_call_brings_its_ticket() {
    let settings = Settings { cookie_lifetime: Duration::ZERO, ..settings() };
    let fleet = Fleet::with(Plan { coordinators: 2, http: true, settings, ..Plan::default() });
    let mut ann = Client::new(fleet.address(Door::Http), ANN);
    let session = ann.open();
    for _ in 0..5 {
        assert_eq!(ann.execute(&session).status(), Some(0));
    }
    assert_eq!((ann.tickets, tallies(&fleet).0), (6, Tally { success: 6, failure: 0 }));
    let mut bob = Client::new(fleet.address(Door::Http), BOB);
    assert!(bob.execute(&session).error().1.contains("does not match"));
}

#[test]
fn a_session_by_ticket_stays_where_it_is_when_its_coordinator_drains() {
    let fleet = fleet(2);
    let mut ann = Client::new(fleet.address(Door::Http), ANN);
    let sessions = [ann.open(), ann.open()];
    fleet.set_state(0, hs2router::cluster::AdminState::Drain);
    for session in &sessions {
        assert_eq!(ann.execute(session).status(), Some(0));
    }
    assert_eq!((fleet.spread(), fleet.calls("OpenSession").len()), (vec![1, 1], 2));
}

#[test]
fn a_session_by_ticket_that_its_client_has_left_is_closed_by_the_coordinators_cookie() {
    let router = "client_lost_grace = \"0s\"";
    let plan = Plan { coordinators: 1, http: true, router, settings: settings(), ..Plan::default() };
    let fleet = Fleet::with(plan);
    let mut ann = Client::new(fleet.address(Door::Http), ANN);
    let session = ann.open();
    assert_eq!(ann.execute(&session).status(), Some(0));
    let is_closed = || eventually(|| fleet.spread() == [0]);
    assert!((0..4).any(|_| is_closed()), "it is still open");
    let (_, close) = fleet.calls("CloseSession").pop().unwrap();
    assert_eq!(close.user.as_deref(), Some(ANN));
    let head = close.head.unwrap();
    assert_eq!((head.values("cookie"), head.values("authorization")), (vec!["impala.auth"], vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_is_sent_as_a_cookie_is_nobody(cookie in "[ -~]{0,80}", is_named in any::<bool>()) {
        static FLEET: std::sync::LazyLock<Fleet> = std::sync::LazyLock::new(|| fleet(1));
        let name = if is_named { "impala.auth=" } else { "" };
        let answer = post(FLEET.address(Door::Http), "/", &format!("Cookie: {name}{cookie}\r\n"), &open_session());
        prop_assert_eq!(answer.status, 401);
        prop_assert!(FLEET.calls("OpenSession").is_empty());
    }
}
