//! Real clients that prove their user by tickets of a real KDC, over SASL (GSSAPI). The router has no key: it passes the
//! handshake on, and reads along where nothing protects what follows. The servers have merged keytabs.

use crate::support::clients::{Cursors, Shown, Target};
use crate::support::kdc::USERS;
use crate::support::ran::Met;
use crate::support::router::{TestRouter, eventually};
use crate::support::spark::{self, Spark, WHO_ARE_YOU};
use crate::support::ticket_clients as clients;

use super::on_spark::{STATEMENTS, assert_rows_and_error};

/// How many connections a client opens, each with a session.
const SESSIONS: usize = 10;

/// A router in front of two servers that protect their payload so.
fn router(qop: &'static str) -> Option<(TestRouter, &'static [Spark; 2])> {
    let pair = spark::pair_by_sasl_ticket(qop)?;
    Some((TestRouter::of("spark", &[pair[0].address(), pair[1].address()]), pair))
}

/// How many connections of the router were understood so deep.
fn connections(router: &TestRouter, depth: &str) -> f64 {
    let listener = router.listener(0);
    router.metric(&format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"{depth}\"}}"))
}

/// Runs a scenario against every way to reach a server, whose connections through the router are understood so
/// deep, and returns what it showed if they all agree. `None`: the tools are missing.
fn everywhere(qop: &'static str, depth: &str, scenario: impl Fn(&Target) -> Shown) -> Option<Shown> {
    let (router, [first, second]) = router(qop)?;
    let targets = [first.target().clone(), second.target().clone(), router.target()];
    let shown = targets.map(|target| scenario(&target));
    assert!(shown.windows(2).all(|two| two[0] == two[1]), "{shown:#?}");
    assert!(eventually(|| connections(&router, depth) >= 1.0), "none was of depth {depth}: {shown:?}");
    let log = router.logs().text();
    assert!(!log.contains("not read any more"), "{log}");
    // All is over, and nothing of it is left.
    let fleet = &router.router().fleets()[0];
    let is_idle = || fleet.cluster.coordinators().iter().all(|one| one.is_empty());
    assert!(eventually(is_idle), "something still counts");
    if depth == "observe" {
        assert!(calls(&router) > 0.0, "no call was read");
    }
    let target = &router.target();
    let mut shown = shown.into_iter().next()?;
    if qop != "auth" {
        shown.login = format!("{}-{qop}", shown.login);
    }
    Met { shown: &shown, server: "spark", target }.got_through(&router.metrics());
    Some(shown)
}

/// How many sessions were seen to be closed.
fn calls(router: &TestRouter) -> f64 {
    router.metric("hs2router_calls_total{method=\"CloseSession\",outcome=\"reply\"}")
}

#[test]
fn impyla_gets_rows_and_errors_by_a_ticket_that_passes_through() {
    let run = |target: &Target| clients::impyla(target, USERS[0], Cursors::One, &STATEMENTS);
    let Some(shown) = everywhere("auth", "observe", run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn pyhive_gets_rows_and_errors_by_a_ticket_that_passes_through() {
    let run = |target: &Target| clients::pyhive(target, USERS[0], &STATEMENTS);
    let Some(shown) = everywhere("auth", "observe", run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn impala_shell_gets_as_far_with_spark_as_without_a_router_by_a_ticket_that_passes_through() {
    // It opens a session and reads the options; then it misses a call of Impala's.
    let run = |target: &Target| clients::impala_shell(target, USERS[0], false, "SELECT 1");
    let Some((router, [server, _])) = router("auth") else { return };
    let shown = [server.target().clone(), router.target()].map(|target| run(&target));
    assert_eq!(shown[0], shown[1]);
    Met { shown: &shown[1], server: "spark", target: &router.target() }
        .was_refused("Invalid method name: 'CloseImpalaOperation'");
    assert!(eventually(|| connections(&router, "observe") >= 1.0));
    let missed = "hs2router_calls_total{method=\"CloseImpalaOperation\",outcome=\"exception\"}";
    router.await_metric(missed, 1.0);
}

#[test]
fn both_of_hives_jdbc_drivers_get_rows_and_errors_by_a_ticket_that_passes_through() {
    for (qop, depth) in [("auth", "observe"), ("auth-conf", "opaque")] {
        for client in [clients::beeline, clients::beeline_with_newest_driver] {
            let run = |target: &Target| client(target, USERS[0], &STATEMENTS);
            let Some(shown) = everywhere(qop, depth, run) else { return };
            assert!(shown.output.iter().any(|line| line == "42"), "{shown:?}");
            assert_eq!(shown.output.last().unwrap(), "1499\t1499");
            assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
        }
    }
}

#[test]
fn pyhive_gets_rows_where_kerberos_encrypts_them() {
    let run = |target: &Target| clients::pyhive(target, USERS[0], &STATEMENTS);
    let Some(shown) = everywhere("auth-conf", "opaque", run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn connections_by_ticket_are_shared_out_and_the_log_names_the_user_that_impyla_claims() {
    let Some((router, _)) = router("auth") else { return };
    let shown = clients::impyla(&router.target(), USERS[1], Cursors::Apart, &[WHO_ARE_YOU; SESSIONS]);
    let homes = shown.rows();
    let first = homes.iter().filter(|home| **home == homes[0]).count();
    assert_eq!(first, SESSIONS / 2, "{homes:?}");
    let log = router.logs().text();
    let user = format!("user=\"{}@TEST\"", USERS[1]);
    let named = log.lines().filter(|line| line.contains("session opened") && line.contains(&user)).count();
    assert_eq!(named, SESSIONS, "{log}");
}

#[test]
fn a_client_that_gets_no_ticket_for_the_name_that_it_asks_for_hears_so_from_the_kdc_alone() {
    let Some((router, _)) = router("auth") else { return };
    let shown = clients::impala_shell_of_no_service(&router.target(), USERS[0]);
    assert_ne!(shown.code, Some(0));
    assert!(shown.complaints.concat().contains("not found in Kerberos database"), "{shown:?}");
    // It closes the connection without a word, or behind START.
    let closed = "connection ended cause=the client closed it";
    assert!(eventually(|| router.logs().text().contains(closed)), "{}", router.logs().text());
    let dialed = |place| {
        router.metric(&format!(
            "hs2router_dials_total{{cluster=\"test\",coordinator=\"c{place}\",service=\"hs2\",outcome=\"connected\"}}"
        ))
    };
    assert!(dialed(1) + dialed(2) < f64::EPSILON, "a coordinator was dialed");
}
