//! Clients with a password that coordinators have a directory check: they get what they get without the router,
//! and the directory is asked no more often.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::cluster::{AdminState, Coordinator, Standing};
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Directory, Settings};
use hs2router::ids::Service;

use crate::support::clients::{self, Login as ClientLogin, Shown, Target};
use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::router::TestRouter;
use crate::support::slapd::{self, Slapd};
use crate::support::spark::Spark;
use crate::support::tools::{self, Tool};

/// The directory's answers to a wrong password and to a right one (RFC 4511, appendix A.1).
const INVALID_CREDENTIALS: u32 = 49;
const SUCCESS: u32 = 0;

/// Two coordinators that ask this directory. One that does not answer is a refusal (Impala: `ldap-util.cc`
/// `LdapCheckPass`).
fn fleet<D>(directory: D, router: &str) -> Fleet
where
    D: AsRef<Slapd> + Send + Sync + 'static,
{
    let asks = move |user: &str, password: &str| {
        directory.as_ref().bind(user, password).is_ok_and(|result| u32::from(result) == SUCCESS)
    };
    let settings = Settings { directory: Some(Directory::new(asks)), ..Settings::default() };
    Fleet::with(Plan { coordinators: 2, users: &USERS, settings, router, ..Plan::default() })
}

/// The directory of this run.
struct Shared;

impl AsRef<Slapd> for Shared {
    fn as_ref(&self) -> &Slapd {
        slapd::shared()
    }
}

fn log_in(fleet: &Fleet, user: &str, password: &str) -> Result<Hs2Client, String> {
    let client = Hs2Client::connect(fleet.address(Door::Hs2), &Login::plain(user, password));
    client.map_err(|error| error.to_string())
}

/// What a client sees of a password without the router.
fn log_in_directly(fleet: &Fleet, user: &str, password: &str) -> Result<Hs2Client, String> {
    let client = Hs2Client::connect(fleet.coordinator(0).hs2(), &Login::plain(user, password));
    client.map_err(|error| error.to_string())
}

fn has_directory() -> bool {
    tools::present(&[Tool::Slapd])
}

#[test]
fn each_login_of_several_users_at_once_costs_one_bind() {
    const EACH: usize = 10;
    if !has_directory() {
        return;
    }
    let fleet = fleet(Shared, "");
    thread::scope(|scope| {
        for (user, password) in [("u14", "p14"), ("u15", "p15")].repeat(EACH) {
            let fleet = &fleet;
            scope.spawn(move || {
                let mut client = log_in(fleet, user, password).unwrap();
                let session = client.open(&[]).unwrap();
                let shown = client.query(&session, "select effective_user()").unwrap();
                assert_eq!(shown, [[user]]);
                client.close_session(&session).unwrap();
            });
        }
    });
    for user in ["u14", "u15"] {
        assert_eq!(slapd::shared().binds(user), [SUCCESS; EACH], "{user}");
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_cost_as_many_binds_as_without_the_router() {
    if !has_directory() {
        return;
    }
    let fleet = fleet(Shared, "");
    for (user, password) in [("u16", "wrong"), ("u16", ""), ("nobody", "p16")] {
        let before = slapd::shared().binds(user).len();
        let refusals = [log_in_directly, log_in].map(|way| way(&fleet, user, password).map(drop));
        assert!(refusals.iter().all(Result::is_err), "{user} {password:?}: {refusals:?}");
        let binds = slapd::shared().binds(user).split_off(before);
        assert_eq!(binds.len() % 2, 0, "{user} {password:?}: {binds:?}");
        assert_eq!(binds[..binds.len() / 2], binds[binds.len() / 2..]);
    }
}

#[test]
fn after_a_password_was_changed_the_old_one_opens_no_connection_and_open_ones_go_on() {
    if !has_directory() {
        return;
    }
    let fleet = fleet(Shared, "");
    let mut client = log_in(&fleet, "u17", "p17").unwrap();
    let session = client.open(&[]).unwrap();
    let home = fleet.owner(&session);
    slapd::shared().set_password("u17", "new");
    assert!(log_in(&fleet, "u17", "p17").is_err());
    client.query(&session, "select 1").unwrap();
    // The session cannot move with the old password, which is tried once, and so it stays.
    fleet.set_state(home, AdminState::Drain);
    for _ in 0..5 {
        client.query(&session, "select 1").unwrap();
    }
    assert_eq!(fleet.owner(&session), home);
    let mut again = log_in(&fleet, "u17", "new").unwrap();
    again.query(&session, "select 1").unwrap();
    let binds = slapd::shared().binds("u17");
    let refused = binds.iter().filter(|result| **result == INVALID_CREDENTIALS).count();
    assert!(refused <= 2, "the old password was shown again and again: {binds:?}");
}

#[test]
fn a_locked_account_opens_no_connection_until_it_is_unlocked() {
    if !has_directory() {
        return;
    }
    let fleet = fleet(Shared, "");
    let mut client = log_in(&fleet, "u18", "p18").unwrap();
    let session = client.open(&[]).unwrap();
    slapd::shared().lock("u18", true);
    assert!(log_in_directly(&fleet, "u18", "p18").is_err(), "the directory has locked it");
    assert!(log_in(&fleet, "u18", "p18").is_err());
    client.query(&session, "select 1").unwrap();
    assert_eq!(slapd::shared().binds("u18"), [SUCCESS, INVALID_CREDENTIALS, INVALID_CREDENTIALS]);
    slapd::shared().lock("u18", false);
    log_in(&fleet, "u18", "p18").unwrap().query(&session, "select 1").unwrap();
}

#[test]
fn a_directory_that_is_slow_holds_up_logins_alone() {
    if !has_directory() {
        return;
    }
    let directory = Arc::new(Slapd::start());
    let fleet = fleet(Arc::clone(&directory), "handshake_timeout = \"1s\"");
    let mut client = log_in(&fleet, "u1", "p1").unwrap();
    let session = client.open(&[]).unwrap();
    client.stream().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    directory.stand_still(true);
    let (answers, late) = thread::scope(|scope| {
        let late = scope.spawn(|| log_in(&fleet, "u2", "p2").map(drop));
        let mut answers = Vec::new();
        while !late.is_finished() {
            answers.push(client.query(&session, "select 1").is_ok());
        }
        (answers, late.join().unwrap())
    });
    // Nothing fails before that, or the coordinators would wait for ever.
    directory.stand_still(false);
    assert!(late.is_err(), "the router waits no longer than handshake_timeout");
    assert!(!answers.is_empty() && answers.iter().all(|is_good| *is_good), "{answers:?}");
    let begun = clock::now();
    while log_in(&fleet, "u2", "p2").is_err() {
        assert!(clock::now() - begun < Duration::from_secs(30), "logins are not accepted again");
    }
    client.query(&session, "select 1").unwrap();
}

#[test]
fn a_directory_that_has_ended_refuses_logins_at_once_and_open_sessions_go_on() {
    if !has_directory() {
        return;
    }
    let directory = Arc::new(Slapd::start());
    let fleet = fleet(Arc::clone(&directory), "");
    let mut client = log_in(&fleet, "u1", "p1").unwrap();
    let session = client.open(&[]).unwrap();
    directory.end();
    let refusals = [log_in_directly, log_in].map(|way| way(&fleet, "u1", "p1").map(drop));
    assert!(refusals.iter().all(Result::is_err), "{refusals:?}");
    client.query(&session, "select 1").unwrap();
    // It is not taken for ill health of the coordinators.
    let healthy = |one: &Coordinator| one.standing(Service::Hs2, clock::now()) == Standing::Ready;
    assert!(fleet.known().cluster.coordinators().iter().all(|one| healthy(one)));
}

/// What clients show that run a statement with this password, first directly.
fn shown(server: &Spark, router: &TestRouter, password: &'static str) -> Vec<[Shown; 2]> {
    let login = ClientLogin::Ldap { user: "u2", password };
    let clients: [fn(&Target, ClientLogin) -> Shown; 2] = [
        |target, login| clients::pyhive(target, login, &["SELECT 2"]),
        |target, login| clients::beeline(target, login, &["SELECT 2"]),
    ];
    let both = |client: fn(&Target, ClientLogin) -> Shown| {
        [server.target().clone(), router.target()].map(|target| client(&target, login))
    };
    clients.into_iter().map(both).collect()
}

#[test]
fn a_real_spark_with_a_directory_shows_what_it_shows_without_the_router() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Spark, Tool::Slapd]) {
        return;
    }
    let directory = Slapd::start();
    let server = Spark::with_directory(&directory);
    let router = TestRouter::of("spark", &[server.address()]);
    let works = |shown: &Shown| shown.code == Some(0);
    let assert_same = |password, is_good: bool| {
        for [direct, through] in shown(&server, &router, password) {
            assert_eq!((works(&direct), works(&through)), (is_good, is_good), "{direct:?} {through:?}");
            assert_eq!(through, direct);
        }
    };
    assert_same("p2", true);
    let before = directory.binds("u2");
    assert!(before.iter().all(|result| *result == SUCCESS) && before.len().is_multiple_of(2), "{before:?}");
    assert_same("wrong", false);
    let refused = directory.binds("u2").split_off(before.len());
    assert_eq!(refused, [INVALID_CREDENTIALS; 4], "one for each client and way");
    directory.end();
    assert_same("p2", false);
}
