//! TLS on either side of the router, or on both, with HTTP inside of it.

use std::sync::{Arc, OnceLock};
use std::thread;

use super::clients::{SHELL, STATEMENTS, assert_same};
use crate::support::certificates::{Authority, HERE, Pair};
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target, Tls};
use crate::support::curl::Curl;
use crate::support::fleet::{Door, Fleet, Plan, target};
use crate::support::hive::{Hive, Setup};
use crate::support::ran::Met;
use crate::support::router::TestRouter;
use crate::support::spark;
use crate::support::tools::{self, Tool};

/// Whose user the clients are.
const USERS: [(&str, &str); 1] = [("u1", "p1")];

/// How to run a client.
type Client = fn(&Target) -> Shown;

/// Where there is TLS.
const SIDES: [[bool; 2]; 3] = [[true, false], [false, true], [true, true]];

/// Runs a client against a coordinator in the clear, and then through the router with TLS on the side of
/// clients, of coordinators, and on both; it must show the same.
fn same_as_in_the_clear(scenario: impl Fn(&Target) -> Shown) -> Shown {
    let authority = Authority::new();
    let pair = authority.issue("here", &HERE);
    let mut shown = None;
    for [to_clients, to_coordinators] in SIDES {
        let encrypted = to_coordinators.then(|| Arc::new(pair.server_config()));
        let cluster = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
        let fleet = Fleet::with(Plan {
            http: true,
            users: &USERS,
            listener: &if to_clients { super::listener(&pair) } else { String::new() },
            tls: &[encrypted.clone(), encrypted.clone(), encrypted],
            cluster: if to_coordinators { &cluster } else { "" },
            ..Plan::default()
        });
        let expected =
            shown.get_or_insert_with(|| scenario(&target(fleet.coordinator(0).hs2_http()).over_http()));
        let tls = if to_clients { Tls::Verified(authority.ca()) } else { Tls::Off };
        let through = fleet.target(Door::Http).over_http().with(tls);
        for _ in 0..2 {
            assert_same(&scenario(&through), expected, &through);
        }
        let metrics = fleet.router().metrics();
        Met { shown: expected, server: "impala", target: &through }.got_through(&metrics);
    }
    shown.unwrap()
}

#[test]
fn impala_shell_gets_the_same_over_https() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let dialect = Dialect::Hs2(Login::Plain);
    let shown = same_as_in_the_clear(|target| clients::impala_shell(target, dialect, SHELL));
    assert_eq!(shown.rows().len(), 3002);
}

#[test]
fn impyla_gets_the_same_over_https() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for cursors in [Cursors::One, Cursors::Each] {
        let run = |target: &Target| clients::impyla(target, Login::Plain, cursors, &STATEMENTS);
        assert_eq!(same_as_in_the_clear(run).rows().len(), STATEMENTS.len());
    }
}

#[test]
fn pyhive_gets_the_same_over_https() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let shown = same_as_in_the_clear(|target| clients::pyhive(target, Login::Plain, &STATEMENTS));
    assert_eq!(shown.rows().len(), STATEMENTS.len());
}

#[test]
fn ctrl_c_in_impala_shell_cancels_over_https() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    let listener = super::listener(&authority.issue("router", &HERE));
    let fleet = Fleet::with(Plan { http: true, users: &USERS, listener: &listener, ..Plan::default() });
    let target = super::verified(&fleet, Door::Http, &authority).over_http();
    let dialect = Dialect::Hs2(Login::Plain);
    let shown = clients::impala_shell_interrupted(&target, dialect, "select sleep(600000)", "select 'here'");
    assert!(shown.lasted < 30.0 && shown.code == 0, "{shown:?}");
    assert!(shown.short.iter().any(|line| line.contains("here")), "{shown:?}");
    assert!(!fleet.calls("CancelOperation").is_empty());
}

/// What each real server is asked by each client that can speak to it.
const SCENARIOS: [Client; 4] = [
    |target| clients::impyla(target, Login::Plain, Cursors::Each, &["SELECT 1 AS a", "SELECT nothing"]),
    |target| clients::pyhive(target, Login::Plain, &["SELECT 1 AS a", "SELECT 'x' AS b"]),
    |target| clients::beeline(target, Login::Plain, &["SELECT 1 AS a", "SELECT 'x' AS b"]),
    |target| clients::beeline_with_newest_driver(target, Login::Plain, &["SELECT 1 AS a", "SELECT 'x' AS b"]),
];

/// The keys of a cluster whose coordinators show certificates of this authority.
fn trusting(authority: &Authority) -> String {
    format!("tls = {{ ca = \"{}\" }}", authority.ca().display())
}

#[track_caller]
fn assert_same_everywhere(direct: &Target, others: &[Target]) {
    for scenario in SCENARIOS {
        let expected = scenario(direct);
        assert!(!expected.output.is_empty(), "{expected:?}");
        for target in others {
            assert_same(&scenario(target), &expected, target);
        }
    }
    for target in others {
        let curl = Curl { target, login: Login::Plain };
        let session = curl.open();
        assert_eq!(curl.query(&session, "SELECT 'seven'"), ["seven"]);
        curl.close(&session);
    }
}

#[test]
fn clients_get_the_same_over_https_from_sparks_in_the_clear() {
    if !tools::present(&[Tool::Curl, Tool::Hive]) {
        return;
    }
    let Some([first, second]) = spark::pair_over_http() else { return };
    let authority = Authority::new();
    let pair = authority.issue("router", &HERE);
    let ports = [first.address(), second.address()];
    let router = TestRouter::http_with("spark", &ports, &super::listener(&pair), "");
    let through = router.target().over_http().with(Tls::Verified(authority.ca()));
    assert_same_everywhere(first.target(), &[through]);
}

/// Two servers with TLS, and whose certificates they have.
struct Hives {
    authority: Authority,
    pair: Pair,
    servers: [Hive; 2],
}

impl Hives {
    fn shared() -> Option<&'static Self> {
        static SERVERS: OnceLock<Hives> = OnceLock::new();
        let needed = [Tool::Java, Tool::Python, Tool::Spark, Tool::Hive, Tool::Openssl, Tool::Curl];
        tools::present(&needed).then(|| SERVERS.get_or_init(Self::start))
    }

    fn start() -> Self {
        let authority = Authority::new();
        let pair = authority.issue_rsa("hive", &HERE);
        let start = || {
            let setup = Setup::of(Login::Plain).over_http_too().encrypted(&pair, authority.ca());
            let hive = Hive::start(&setup);
            hive.warm_up(Login::Plain);
            hive
        };
        let servers = thread::scope(|scope| {
            let second = scope.spawn(start);
            [start(), second.join().expect("the second server started")]
        });
        Self { authority, pair, servers }
    }
}

#[test]
fn clients_get_the_same_from_hives_with_tls_in_the_clear_and_over_https() {
    let Some(Hives { authority, pair, servers }) = Hives::shared() else { return };
    let direct = servers[0].target_over_http();
    let ports = servers.each_ref().map(Hive::address_over_http);
    let clear = TestRouter::http_with("hive", &ports, "", &trusting(authority));
    let encrypted = TestRouter::http_with("hive", &ports, &super::listener(pair), &trusting(authority));
    let both = encrypted.target().over_http().with(Tls::Verified(authority.ca()));
    assert_same_everywhere(&direct, &[clear.target().over_http(), both]);
}
