//! How often a directory is asked for a password that comes over HTTP: once for each coordinator where the
//! password is right, and once for each time that a client shows a wrong one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hs2router::cluster::AdminState;
use hs2router::fake::client::{CallError, Hs2Client, HttpLogin, Login};
use hs2router::fake::{Coordinator, Directory, Password, Settings};

use crate::support::clients::{self, Cursors};
use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::haproxy::Haproxy;
use crate::support::router::eventually;
use crate::support::slapd;
use crate::support::tools::{self, Tool};

/// The directory's answers to a wrong password and to a right one (RFC 4511, appendix A.1).
const INVALID_CREDENTIALS: u32 = 49;
const SUCCESS: u32 = 0;

/// As many calls as the promise is about.
const CALLS: usize = 1000;

/// Coordinators that ask the directory.
fn fleet(coordinators: usize) -> Fleet {
    let asks = |user: &str, password: &str| {
        slapd::shared().bind(user, password).is_ok_and(|result| u32::from(result) == SUCCESS)
    };
    let settings = Settings { directory: Some(Directory::new(asks)), ..Settings::default() };
    Fleet::with(Plan { coordinators, http: true, users: &USERS, settings, ..Plan::default() })
}

/// A connection of a client that sends its password with each call, and keeps no cookie.
fn connect(address: SocketAddr, user: &str, password: &str) -> Hs2Client {
    let basic = Some((user.to_owned(), Password::new(password)));
    let login = HttpLogin { basic, keeps_cookies: false, ..HttpLogin::default() };
    Hs2Client::connect(address, &Login::Http(login)).unwrap()
}

/// Makes the calls, each on a connection of its own.
fn call(address: SocketAddr, user: &str, password: &str) {
    let session = connect(address, user, password).open(&[]).unwrap();
    for _ in 2..CALLS {
        connect(address, user, password).ping(&session).unwrap();
    }
    connect(address, user, password).close_session(&session).unwrap();
}

#[test]
fn a_thousand_calls_cost_a_thousand_binds_behind_a_balancer_and_one_for_each_coordinator_behind_the_router() {
    if !tools::present(&[Tool::Slapd, Tool::Haproxy]) {
        return;
    }
    let fleet = fleet(2);
    let ports: Vec<_> = fleet.coordinators().map(Coordinator::hs2_http).collect();
    let balancer = Haproxy::over_http(&ports);
    call(balancer.address(), "u10", "p10");
    assert_eq!(slapd::shared().binds("u10").len(), CALLS);
    call(fleet.address(Door::Http), "u11", "p11");
    let mut client = connect(fleet.address(Door::Http), "u11", "p11");
    let sessions = fleet.session_on_each(&mut client);
    for session in &sessions {
        client.ping(session).unwrap();
    }
    let binds = slapd::shared().binds("u11");
    assert_eq!(binds, [SUCCESS; 2], "one for each coordinator");
}

#[test]
fn a_thousand_calls_of_impyla_cost_one_bind_for_each_coordinator() {
    if !tools::present(&[Tool::Python, Tool::Slapd]) {
        return;
    }
    let fleet = fleet(2);
    let login = clients::Login::Ldap { user: "u12", password: "p12" };
    // Each takes six calls, and each call a connection.
    let statements = ["select 1 as a"; CALLS / 6];
    let target = fleet.target(Door::Http).over_http();
    let shown = clients::impyla(&target, login, Cursors::One, &statements);
    assert_eq!(shown.rows(), [r#"{"columns": ["a"], "rows": [[1]]}"#; CALLS / 6]);
    let requests: u64 = fleet.coordinators().map(|one| one.http_counts().requests).sum();
    assert!(requests >= CALLS as u64, "{requests} calls");
    let binds = slapd::shared().binds("u12");
    assert!(!binds.is_empty() && binds.len() <= 2, "{binds:?} for {requests} calls");
}

#[test]
fn a_wrong_password_costs_one_bind_whatever_it_is_sent_with() {
    if !tools::present(&[Tool::Slapd]) {
        return;
    }
    let mut fleet = fleet(3);
    let right = |fleet: &Fleet| connect(fleet.address(Door::Http), "u13", "p13");
    let session = right(&fleet).open(&[]).unwrap();
    let operation = right(&fleet).execute(&session, "select sleep(600000)").unwrap();
    for is_restarted in [false, true] {
        if is_restarted {
            // Nobody knows the handles then.
            fleet.restart_router();
        }
        let before = slapd::shared().binds("u13").len();
        let wrong = || connect(fleet.address(Door::Http), "u13", "guessed");
        let refusals: [Result<(), CallError>; 4] = [
            wrong().open(&[]).map(drop),
            wrong().ping(&session),
            wrong().status(&operation).map(drop),
            wrong().cancel(&operation),
        ];
        for refused in &refusals {
            assert!(format!("{refused:?}").contains("401"), "{refused:?}");
        }
        let binds = slapd::shared().binds("u13").split_off(before);
        assert_eq!(binds, [INVALID_CREDENTIALS; 4], "restarted: {is_restarted}");
        right(&fleet).ping(&session).unwrap();
    }
}

/// A directory with a user whose password can be taken back.
#[derive(Default)]
struct Revocable {
    is_revoked: AtomicBool,
    accepted: AtomicUsize,
    refused: AtomicUsize,
}

impl Revocable {
    fn asks(&self, user: &str) -> bool {
        let is_refused = user == USERS[0].0 && self.is_revoked.load(Ordering::Relaxed);
        let count = match user == USERS[0].0 {
            true if is_refused => &self.refused,
            true => &self.accepted,
            false => return true,
        };
        count.fetch_add(1, Ordering::Relaxed);
        !is_refused
    }

    fn binds(&self) -> [usize; 2] {
        [&self.accepted, &self.refused].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Coordinators that ask this directory.
fn revocable(directory: &Arc<Revocable>, plan: Plan<'_>) -> Fleet {
    let asked = Arc::clone(directory);
    let directory = Some(Directory::new(move |user, _| asked.asks(user)));
    let settings = Settings { directory, ..plan.settings };
    Fleet::with(Plan { coordinators: 2, http: true, users: &USERS, settings, ..plan })
}

#[test]
fn after_a_password_was_taken_back_the_router_shows_it_once_and_then_not_until_its_client_was_let_in() {
    let directory = Arc::new(Revocable::default());
    let settings = Settings {
        // Each call is a bind, then.
        cookie_lifetime: Duration::ZERO,
        disconnected_session_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    // Idle sessions are touched twice a second.
    let cluster = "disconnected_session_timeout = \"1500ms\"";
    let fleet = revocable(&directory, Plan { cluster, settings, ..Plan::default() });
    let connect = |user: usize| connect(fleet.address(Door::Http), USERS[user].0, USERS[user].1);
    let (mut ann, mut bob) = (connect(0), connect(1));
    fleet.session_on_each(&mut ann);
    fleet.session_on_each(&mut bob);
    let touches = || fleet.calls("PingImpalaHS2Service").len();
    let [before, _] = directory.binds();
    assert!(eventually(|| directory.binds()[0] >= before + 4), "ann's sessions are not touched");
    directory.is_revoked.store(true, Ordering::Relaxed);
    assert!(eventually(|| directory.binds()[1] > 0), "nothing was refused");
    // Bob's are touched as before, several rounds of them.
    let begun = touches();
    assert!(eventually(|| touches() >= begun + 8), "bob's sessions are not touched");
    assert_eq!(directory.binds()[1], 1, "refused binds that no client asked for");

    directory.is_revoked.store(false, Ordering::Relaxed);
    ann.open(&[]).unwrap();
    let [before, _] = directory.binds();
    assert!(eventually(|| directory.binds()[0] >= before + 2), "ann's sessions are not touched any more");
}

#[test]
fn a_password_that_was_taken_back_is_shown_once_for_a_session_that_is_to_move_on_whatever_connection() {
    let directory = Arc::new(Revocable::default());
    let fleet = revocable(&directory, Plan::default());
    let ann = || connect(fleet.address(Door::Http), USERS[0].0, USERS[0].1);
    let session = ann().open(&[]).unwrap();
    let home = fleet.owner(&session);
    let mut bob = connect(fleet.address(Door::Http), USERS[1].0, USERS[1].1);
    let _of_bob = [(); 3].map(|()| bob.open(&[]).unwrap());
    directory.is_revoked.store(true, Ordering::Relaxed);
    fleet.set_state(home, AdminState::Drain);
    // Sessions leave when bob's have left.
    assert!(eventually(|| fleet.loads()[home].open_sessions == 1), "{:?}", fleet.loads());
    for _ in 0..5 {
        // The cookie of the session's coordinator is good.
        ann().query(&session, "select 1").unwrap();
    }
    assert_eq!(directory.binds()[1], 1, "refused binds that no client asked for");

    directory.is_revoked.store(false, Ordering::Relaxed);
    ann().open(&[]).unwrap();
    let place = ann().query(&session, "select coordinator()").unwrap().concat().concat();
    assert_ne!(place, format!("c{}", home + 1), "it moves again");
}
