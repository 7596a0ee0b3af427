//! Real clients get with TLS what they get in the clear, and refuse a router that they do not trust.

use super::{fleet_behind_tls, verified};
use crate::support::certificates::{Authority, HERE};
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target, Tls};
use crate::support::fleet::{Door, Fleet, Plan, target};
use crate::support::go;
use crate::support::ran::Met;
use crate::support::tools::{self, Tool};

/// Whose user impyla and the others are.
const USERS: [(&str, &str); 1] = [("u1", "p1")];
/// The same for `PyHive`, which sends this password where it is not told that there is LDAP.
const PYHIVE_USERS: [(&str, &str); 1] = [("u1", "x")];

/// Values, what a session remembers, many rows over several fetches, and long ones.
pub(super) const STATEMENTS: [&str; 5] = [
    "select 1 as i, 'x' as s, null as n",
    "use demo",
    "select current_database()",
    "select * from rows(3000, 14)",
    "select * from rows(100, 'string(30000), int')",
];
/// The same for impala-shell.
pub(super) const SHELL: &str =
    "select 1 as a, 'x' as b, null; use demo; select current_database(); select * from rows(3000, 9)";

/// Runs a client against a coordinator in the clear, and then with TLS through the router, by the address and
/// by the name of this machine, verified and not; it must show the same.
fn same_as_in_the_clear(door: Door, users: &[(&str, &str)], scenario: impl Fn(&Target) -> Shown) -> Shown {
    let authority = Authority::new();
    let fleet = fleet_behind_tls(&authority, users);
    let coordinator = fleet.coordinator(0);
    let direct = if door == Door::Beeswax { coordinator.beeswax() } else { coordinator.hs2() };
    let expected = scenario(&target(direct));
    let by_address = verified(&fleet, door, &authority);
    let by_name = Target { host: "localhost".to_owned(), ..by_address.clone() };
    for target in [by_address, by_name] {
        assert_same(&scenario(&target), &expected, &target);
        let metrics = fleet.router().metrics();
        Met { shown: &expected, server: "impala", target: &target }.got_through(&metrics);
    }
    fleet.await_idle();
    expected
}

#[track_caller]
pub(super) fn assert_same(shown: &Shown, expected: &Shown, target: &Target) {
    // A result may have megabytes.
    let short = |shown: &Shown| shown.output.iter().map(|line| line.chars().take(200).collect()).collect();
    let (said, wanted): (Vec<String>, Vec<String>) = (short(shown), short(expected));
    assert!(shown == expected, "{target:?} {:?}\n{said:?}\nin the clear {wanted:?}", shown.complaints);
}

/// A client that does not trust the router ends before any call has reached a coordinator. What it shows of
/// the reason is little (impala-shell and impyla: that they cannot connect), but the router's log says it.
fn assert_untrusted(door: Door, scenario: impl Fn(&Target) -> Shown) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let fleet = fleet_behind_tls(&authority, &[]);
    let shown = scenario(&fleet.target(door).with(Tls::Verified(stranger.ca())));
    assert_ne!(shown.code, Some(0), "{shown:?}");
    assert!(fleet.coordinators().all(|coordinator| coordinator.calls().is_empty()));
    super::await_line(fleet.router(), &[" WARN ", "no TLS with a client", "the router's certificate"]);
}

fn users(login: Login) -> &'static [(&'static str, &'static str)] {
    if login == Login::NoSasl { &[] } else { &USERS }
}

#[test]
fn impala_shell_gets_the_same_with_tls() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        for (door, dialect) in [(Door::Hs2, Dialect::Hs2(login)), (Door::Beeswax, Dialect::Beeswax(login))] {
            let run = |target: &Target| clients::impala_shell(target, dialect, SHELL);
            let shown = same_as_in_the_clear(door, users(login), run);
            assert_eq!(shown.rows().len(), 3002, "{dialect:?}");
        }
    }
}

#[test]
fn impala_shell_without_an_authority_takes_any_certificate() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet_behind_tls(&authority, &USERS);
    for (door, dialect) in
        [(Door::Hs2, Dialect::Hs2(Login::Plain)), (Door::Beeswax, Dialect::Beeswax(Login::Plain))]
    {
        let target = fleet.target(door).with(Tls::Unverified);
        assert_eq!(clients::impala_shell(&target, dialect, "select 7").rows(), ["7"]);
    }
}

#[test]
fn ctrl_c_in_impala_shell_cancels_over_tls() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    for (door, dialect, cancel) in [
        (Door::Hs2, Dialect::Hs2(Login::Plain), "CancelOperation"),
        (Door::Beeswax, Dialect::Beeswax(Login::Plain), "Cancel"),
    ] {
        let fleet = fleet_behind_tls(&authority, &USERS);
        let target = verified(&fleet, door, &authority);
        let shown =
            clients::impala_shell_interrupted(&target, dialect, "select sleep(600000)", "select 'here'");
        assert!(shown.lasted < 30.0 && shown.code == 0, "{shown:?}");
        assert!(shown.short.iter().any(|line| line.contains("here")), "{shown:?}");
        assert!(!fleet.calls(cancel).is_empty(), "{dialect:?}");
    }
}

#[test]
fn impala_shell_refuses_a_router_that_it_does_not_trust() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for (door, dialect) in
        [(Door::Hs2, Dialect::Hs2(Login::NoSasl)), (Door::Beeswax, Dialect::Beeswax(Login::NoSasl))]
    {
        let run = |target: &Target| clients::impala_shell(target, dialect, "select 1");
        assert_untrusted(door, run);
    }
}

#[test]
fn impala_shell_without_ssl_shows_that_the_port_wants_it() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet_behind_tls(&Authority::new(), users(login));
        for (door, dialect) in [(Door::Hs2, Dialect::Hs2(login)), (Door::Beeswax, Dialect::Beeswax(login))] {
            let shown = clients::impala_shell(&fleet.target(door), dialect, "select 1");
            let told = shown.complaints.concat();
            assert!(told.contains("this port requires TLS") && told.contains("--ssl"), "{dialect:?} {told}");
            assert_ne!(shown.code, Some(0));
        }
    }
}

#[test]
fn impyla_gets_the_same_with_tls() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        for cursors in [Cursors::One, Cursors::Each] {
            let run = |target: &Target| clients::impyla(target, login, cursors, &STATEMENTS);
            let statements = same_as_in_the_clear(Door::Hs2, users(login), run).rows().len();
            assert_eq!(statements, STATEMENTS.len());
        }
    }
    let run = |target: &Target| clients::impyla(target, Login::NoSasl, Cursors::One, &["select 1"]);
    assert_untrusted(Door::Hs2, run);
}

#[test]
fn pyhive_gets_the_same_with_tls() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for (login, users) in [(Login::NoSasl, &[][..]), (Login::Plain, &PYHIVE_USERS[..])] {
        let run = |target: &Target| clients::pyhive(target, login, &STATEMENTS);
        let statements = same_as_in_the_clear(Door::Hs2, users, run).rows().len();
        assert_eq!(statements, STATEMENTS.len());
    }
    let run = |target: &Target| clients::pyhive(target, Login::NoSasl, &["select 1"]);
    assert_untrusted(Door::Hs2, run);
}

#[test]
fn beeline_gets_the_same_with_tls() {
    if !tools::present(&[Tool::Java, Tool::Spark]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let run = |target: &Target| clients::beeline(target, login, &STATEMENTS[..4]);
        let shown = same_as_in_the_clear(Door::Hs2, users(login), run);
        assert!(shown.rows().len() > 3000);
    }
    let run = |target: &Target| clients::beeline(target, Login::NoSasl, &["select 1"]);
    assert_untrusted(Door::Hs2, run);
}

#[test]
fn the_newest_jdbc_driver_gets_the_same_with_tls() {
    if !tools::present(&[Tool::Java, Tool::Hive]) {
        return;
    }
    let run = |target: &Target| clients::beeline_with_newest_driver(target, Login::Plain, &STATEMENTS[..4]);
    assert!(same_as_in_the_clear(Door::Hs2, &USERS, run).rows().len() > 3000);
}

#[test]
fn gohive_gets_the_same_with_tls() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        for cursors in [Cursors::One, Cursors::Each] {
            let run = |target: &Target| go::rows(target, login, cursors, &STATEMENTS);
            let statements = same_as_in_the_clear(Door::Hs2, users(login), run).rows().len();
            assert_eq!(statements, STATEMENTS.len());
        }
    }
    let run = |target: &Target| go::rows(target, Login::NoSasl, Cursors::One, &["select 1"]);
    assert_untrusted(Door::Hs2, run);
}

#[test]
fn an_rsa_certificate_serves_all_clients_too() {
    if !tools::present(&[Tool::Python, Tool::Java, Tool::Spark, Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let pair = authority.issue_rsa("router", &HERE);
    let fleet = Fleet::with(Plan { users: &USERS, listener: &super::listener(&pair), ..Plan::default() });
    let target = verified(&fleet, Door::Hs2, &authority);
    let shell = clients::impala_shell(&target, Dialect::Hs2(Login::Plain), "select 7");
    assert_eq!(shell.rows(), ["7"]);
    let impyla = clients::impyla(&target, Login::Plain, Cursors::One, &["select 7 as a"]);
    assert_eq!(impyla.rows(), [r#"{"columns": ["a"], "rows": [[7]]}"#]);
    assert_eq!(clients::beeline(&target, Login::Plain, &["select 7 as a"]).rows(), ["a", "7"]);
}
