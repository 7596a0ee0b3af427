//! Coordinators are watched: those that do not work get nothing new, whoever else uses them counts, and no
//! client can make a coordinator look bad.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hs2router::clock;
use hs2router::cluster::health::State;
use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Settings};
use hs2router::idl::t_c_l_i_service::TSessionHandle;
use hs2router::ids::Service;

use crate::support::router::{TestRouter, eventually};

/// Probes and polls that come ten times a second; two failures eject, two passes restore.
const OFTEN: &str = "probe = { interval = \"100ms\", timeout = \"100ms\" }\nload = { interval = \"100ms\" }";

fn coordinator(number: usize) -> Coordinator {
    Coordinator::start(Settings { name: format!("c{number}"), ..Settings::default() }).unwrap()
}

fn fleet(count: usize) -> Vec<Coordinator> {
    (1..=count).map(coordinator).collect()
}

/// A router before them, with their web ports and these keys for the cluster.
fn router(coordinators: &[Coordinator], keys: &str) -> TestRouter {
    let tables: Vec<String> = coordinators
        .iter()
        .map(|coordinator| {
            format!(
                "{{ name = \"{}\", host = \"127.0.0.1\", hs2 = {}, beeswax = {}, hs2_http = 0, web = {} }}",
                coordinator.name(),
                coordinator.hs2().port(),
                coordinator.beeswax().port(),
                coordinator.web().port(),
            )
        })
        .collect();
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\n{keys}\ncoordinators = [{}]\n",
        tables.join(", ")
    ))
}

struct Session {
    client: Hs2Client,
    handle: TSessionHandle,
}

fn open(at: SocketAddr) -> Session {
    let mut client = Hs2Client::connect(at, &Login::NoSasl).unwrap();
    let handle = client.open(&[]).unwrap();
    Session { client, handle }
}

impl Session {
    fn coordinator(&mut self) -> String {
        self.client.query(&self.handle, "select coordinator()").unwrap()[0][0].clone()
    }
}

/// How many of `count` new sessions land on the coordinator of this name.
fn share(router: &TestRouter, name: &str, count: usize) -> usize {
    let mut sessions: Vec<_> = (0..count).map(|_| open(router.listener(0))).collect();
    sessions.iter_mut().map(Session::coordinator).filter(|other| other == name).count()
}

fn state(router: &TestRouter, place: usize) -> State {
    router.router().fleets()[0].cluster.coordinators()[place].health(Service::Hs2).state()
}

fn await_state(router: &TestRouter, place: usize, wanted: State) {
    let seen = eventually(|| state(router, place) == wanted);
    assert!(seen, "coordinator {place} is {} and not {wanted}", state(router, place));
}

fn polls(router: &TestRouter, name: &str, outcome: &str) -> f64 {
    let labels = format!("cluster=\"test\",coordinator=\"{name}\",outcome=\"{outcome}\"");
    router.metric(&format!("hs2router_load_polls_total{{{labels}}}"))
}

/// Waits until every coordinator was polled twice more: what happened before is known then.
fn await_polls(router: &TestRouter, coordinators: &[Coordinator]) {
    for coordinator in coordinators {
        let before = polls(router, coordinator.name(), "read");
        assert!(eventually(|| polls(router, coordinator.name(), "read") >= before + 2.0));
    }
}

#[test]
fn a_killed_coordinator_is_ejected_gets_nothing_and_returns_slowly() {
    let mut coordinators = fleet(3);
    let router = router(&coordinators, &format!("{OFTEN}\nslow_start = \"1h\""));
    await_polls(&router, &coordinators);
    let settings = Settings {
        name: "c1".to_owned(),
        hs2_port: coordinators[0].hs2().port(),
        beeswax_port: coordinators[0].beeswax().port(),
        hs2_http_port: coordinators[0].hs2_http().port(),
        web_port: coordinators[0].web().port(),
        ..Settings::default()
    };
    drop(coordinators.remove(0));
    let killed = clock::now();
    await_state(&router, 0, State::Ejected);
    let took = clock::now().saturating_duration_since(killed);
    assert!(took < Duration::from_secs(2), "two probes, a tenth of a second apart, took {took:?}");
    assert_eq!(share(&router, "c1", 12), 0);

    coordinators.insert(0, Coordinator::start(settings).unwrap());
    await_state(&router, 0, State::Healthy);
    await_polls(&router, &coordinators);
    let mut held: Vec<_> = (0..30).map(|_| open(router.listener(0))).collect();
    let back = held.iter_mut().map(Session::coordinator).filter(|name| name == "c1").count();
    assert!((1..=3).contains(&back), "{back} of 30 at the beginning of a slow start");
    let load = router.router().fleets()[0].cluster.coordinators()[0].share(Service::Hs2, clock::now());
    assert_eq!(load.percent(), 5);
}

#[test]
fn a_coordinator_whose_health_page_fails_is_ejected() {
    let coordinators = fleet(2);
    let router = router(&coordinators, OFTEN);
    coordinators[1].faults().fail_health();
    await_state(&router, 1, State::Ejected);
    let reason = router.router().fleets()[0].cluster.coordinators()[1].health(Service::Hs2).reason().cloned();
    assert_eq!(reason.as_deref(), Some("/healthz: 503 Service Unavailable"));
    assert_eq!(share(&router, "c2", 8), 0);
    router.await_metric(
        "hs2router_coordinator_state{cluster=\"test\",coordinator=\"c2\",port=\"hs2\",state=\"ejected\"}",
        1.0,
    );
    coordinators[1].faults().clear();
    await_state(&router, 1, State::Healthy);
}

#[test]
fn when_all_look_bad_all_are_used() {
    let coordinators = fleet(3);
    let router = router(&coordinators, OFTEN);
    for (place, coordinator) in coordinators.iter().enumerate() {
        coordinator.faults().fail_health();
        await_state(&router, place, State::Ejected);
    }
    let mut held: Vec<_> = (0..9).map(|_| open(router.listener(0))).collect();
    let names: Vec<_> = held.iter_mut().map(Session::coordinator).collect();
    // Not three each: a load that was asked for while a session opened may count that session twice.
    for name in ["c1", "c2", "c3"] {
        assert!(names.iter().any(|other| other == name), "{names:?}");
    }
}

#[test]
fn a_quiescing_coordinator_gets_nothing_although_it_looks_well() {
    let coordinators = fleet(2);
    let router = router(&coordinators, OFTEN);
    let mut on_first = loop {
        let mut session = open(router.listener(0));
        if session.coordinator() == "c1" {
            break session;
        }
    };
    coordinators[0].faults().start_quiescing();
    let quiesces = || router.router().fleets()[0].cluster.coordinators()[0].quiescing_since().is_some();
    assert!(eventually(quiesces));
    // A probe that was under way at that moment may still open its session.
    await_polls(&router, &coordinators);
    let before = coordinators[0].calls().iter().filter(|call| call.method == "OpenSession").count();
    assert_eq!(share(&router, "c1", 8), 0);
    let after = coordinators[0].calls().iter().filter(|call| call.method == "OpenSession").count();
    assert_eq!(before, after, "it is not even asked");
    assert_eq!(state(&router, 0), State::Healthy, "its ports work");
    on_first.client.ping(&on_first.handle).unwrap();
    coordinators[0].faults().stop_quiescing();
    assert!(eventually(|| !quiesces()));
}

#[test]
fn words_in_a_statement_are_not_a_shutdown() {
    let coordinators = fleet(1);
    let router = router(&coordinators, OFTEN);
    let mut session = open(router.listener(0));
    for _ in 0..3 {
        let text = "select fail('Server is being shut down: now')";
        drop(session.client.query(&session.handle, text).unwrap_err());
        let text = "Server is being shut down: x";
        drop(session.client.execute(&session.handle, text).unwrap_err());
    }
    await_polls(&router, &coordinators);
    let standing = router.router().fleets()[0].cluster.coordinators()[0].standing(Service::Hs2, clock::now());
    assert_eq!(standing, hs2router::cluster::Standing::Ready);
}

#[test]
fn sessions_opened_past_the_router_shift_its_picks() {
    let coordinators = fleet(2);
    let router = router(&coordinators, OFTEN);
    let _direct: Vec<_> = (0..10).map(|_| open(coordinators[0].hs2())).collect();
    await_polls(&router, &coordinators);
    let mut held: Vec<_> = (0..10).map(|_| open(router.listener(0))).collect();
    let second = held.iter_mut().map(Session::coordinator).filter(|name| name == "c2").count();
    assert!(second >= 9, "{second} of 10 went to the one without direct clients");
}

#[test]
fn our_own_sessions_and_operations_are_not_taken_for_those_of_others() {
    let coordinators = fleet(1);
    let router = router(&coordinators, OFTEN);
    let mut held: Vec<_> = (0..5).map(|_| open(router.listener(0))).collect();
    let mut operations = Vec::new();
    for session in &mut held {
        operations.push(session.client.execute(&session.handle, "select * from rows(10)").unwrap());
    }
    await_polls(&router, &coordinators);
    let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
    let figures = coordinator.figures().unwrap().0;
    assert_eq!((figures.registered, coordinator.open_operations()), (5, 5));
    assert_eq!(coordinator.others().operations, 0);
    assert!(coordinator.others().sessions <= 1, "the session that is kept for probes");
}

#[test]
fn without_web_ports_own_counts_decide() {
    let coordinators = fleet(2);
    let web = |number| format!("web = {number}");
    let keys = format!("{OFTEN}\n");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tables: Vec<String> = coordinators
        .iter()
        .zip([web(0), web(closed)])
        .map(|(coordinator, web)| {
            let (name, hs2) = (coordinator.name(), coordinator.hs2().port());
            format!(
                "{{ name = \"{name}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = 0, hs2_http = 0, {web} }}"
            )
        })
        .collect();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\n{keys}coordinators = [{}]\n",
        tables.join(", ")
    ));
    assert!(eventually(|| polls(&router, "c2", "unanswered") >= 3.0));
    let mut held: Vec<_> = (0..10).map(|_| open(router.listener(0))).collect();
    let first = held.iter_mut().map(Session::coordinator).filter(|name| name == "c1").count();
    assert_eq!(first, 5);
    assert_eq!((state(&router, 0), state(&router, 1)), (State::Healthy, State::Healthy));
}

#[test]
fn no_client_can_eject_a_coordinator() {
    let users = [("ada".to_owned(), hs2router::fake::Password::new("right"))].into();
    let secured = Settings { name: "c1".to_owned(), users: Some(users), ..Settings::default() };
    let coordinators = [Coordinator::start(secured).unwrap()];
    let router = router(&coordinators, OFTEN);
    for _ in 0..3 {
        let wrong = Login::plain("ada", "wrong");
        assert!(matches!(Hs2Client::connect(router.listener(0), &wrong), Err(CallError::Thrift(_))));
        let mut garbage = TcpStream::connect(router.listener(0)).unwrap();
        garbage.write_all(b"\x80\x01\x00\x01\xff\xff\xff\xffnonsense").unwrap();
    }
    let passed = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"passed\"}";
    let before = router.metric(passed);
    assert!(eventually(|| router.metric(passed) >= before + 2.0));
    assert_eq!(state(&router, 0), State::Healthy);
    let failed = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"failed\"}";
    assert!(router.metric(failed).abs() < f64::EPSILON);
    let mut client = Hs2Client::connect(router.listener(0), &Login::plain("ada", "right")).unwrap();
    client.open(&[]).unwrap();
}

#[test]
fn a_port_that_nothing_uses_is_not_probed() {
    let coordinators = fleet(1);
    let router = router(&coordinators, OFTEN);
    await_polls(&router, &coordinators);
    let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
    assert_eq!(coordinator.health(Service::Beeswax).probed(), None);
    assert!(eventually(|| coordinator.health(Service::Hs2).probed().is_some()));
}
