//! Real clients by ticket, in front of a real `HiveServer2` that takes nothing else: through a router that has no key and
//! reads along, and through one that accepts the ticket and goes on with its own, over each transport.

use super::KerberosRouter;
use crate::support::clients::{Cursors, Shown, Target};
use crate::support::hive::Hive;
use crate::support::hive_by_ticket;
use crate::support::kdc::{REALM, USERS};
use crate::support::ran::Met;
use crate::support::router::{TestRouter, eventually};
use crate::support::ticket_clients as clients;

/// The session's user, which is not the server's process's; a row, and an error.
const STATEMENTS: [&str; 3] = ["SELECT logged_in_user() AS me", "SELECT 42 AS answer", "SELECT nothing"];

/// Who runs the statements.
const USER: &str = USERS[1];

/// A client that runs the statements.
type Client = fn(&Target) -> Shown;

fn impyla(target: &Target) -> Shown {
    clients::impyla(target, USER, Cursors::One, &STATEMENTS)
}

fn pyhive(target: &Target) -> Shown {
    clients::pyhive(target, USER, &STATEMENTS)
}

fn beeline(target: &Target) -> Shown {
    clients::beeline(target, USER, &STATEMENTS)
}

fn newest_driver(target: &Target) -> Shown {
    clients::beeline_with_newest_driver(target, USER, &STATEMENTS)
}

/// The client got its rows, as the user of its ticket, and the error.
fn assert_rows_and_error(shown: &Shown) {
    if shown.output[0].starts_with('{') {
        let rows = shown.rows();
        let me = format!("{{\"columns\": [\"me\"], \"rows\": [[\"{USER}\"]]}}");
        assert_eq!(rows[..2], [me.as_str(), "{\"columns\": [\"answer\"], \"rows\": [[42]]}"]);
        assert!(rows[2].contains("nothing"), "{rows:?}");
    } else {
        assert_eq!(shown.output[..4], ["me", USER, "answer", "42"], "{shown:?}");
        assert!(shown.complaints[0].contains("nothing"), "{:?}", shown.complaints);
    }
}

/// A router that has no key in front of this port, which it takes for one of HTTP or not.
fn without_key(hive: &Hive, is_http: bool) -> (TestRouter, Target) {
    let router = if is_http {
        TestRouter::http("hive", &[hive.address_over_http()])
    } else {
        TestRouter::of("hive", &[hive.address()])
    };
    let target = Target { port: router.target().port, ..hive.target().clone() };
    (router, if is_http { target.over_http() } else { target })
}

/// How many of the router's connections were understood so deep.
fn connections(router: &TestRouter, depth: &str) -> f64 {
    let listener = router.listener(0);
    router.metric(&format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"{depth}\"}}"))
}

#[test]
fn clients_get_from_hive_over_sasl_what_they_get_without_the_router() {
    let Some(hive) = hive_by_ticket::server() else { return };
    let (passing, passed) = without_key(hive, false);
    let port = hive.address().port();
    let ending = KerberosRouter::start("hive", &format!("hive/_HOST@{REALM}"), &[port], "");
    for client in [impyla as Client, pyhive, beeline, newest_driver] {
        let before = connections(&passing, "observe");
        let shown = [hive.target(), &passed, &ending.target()].map(client);
        assert_rows_and_error(&shown[0]);
        assert!(shown.iter().all(|one| *one == shown[0]), "{shown:#?}");
        assert!(eventually(|| connections(&passing, "observe") > before), "{} was not read", shown[0].client);
        Met { shown: &shown[1], server: "hive", target: &passed }.got_through(&passing.metrics());
        Met { shown: &shown[2], server: "hive", target: &ending.target() }.got_through(&ending.metrics());
    }
    assert!(!passing.logs().text().contains("not read any more"));
    passing.await_metric("hs2router_calls_total{method=\"CloseSession\",outcome=\"reply\"}", 4.0);
}

#[test]
fn clients_get_from_hive_over_http_what_they_get_without_the_router() {
    let Some(hive) = hive_by_ticket::server() else { return };
    let (passing, passed) = without_key(hive, true);
    let port = hive.address_over_http().port();
    let ending = KerberosRouter::over_http("hive", &format!("HTTP/_HOST@{REALM}"), &[port], "");
    let ended = ending.target().over_http();
    for client in [impyla as Client, pyhive, beeline, newest_driver] {
        let shown = [&passed, &ended].map(client);
        assert_rows_and_error(&shown[0]);
        assert_eq!(shown[0], shown[1]);
        // PyHive repeats its only ticket, and gets no further without the router.
        if shown[0].client != "pyhive" {
            assert_eq!(shown[0], client(&hive.target_over_http()));
        }
        Met { shown: &shown[0], server: "hive", target: &passed }.got_through(&passing.metrics());
        Met { shown: &shown[1], server: "hive", target: &ended }.got_through(&ending.metrics());
    }
}

#[test]
fn impala_shell_in_strict_mode_reads_from_hive_by_ticket_over_http() {
    let Some(hive) = hive_by_ticket::server() else { return };
    let (passing, passed) = without_key(hive, true);
    let port = hive.address_over_http().port();
    let ending = KerberosRouter::over_http("hive", &format!("HTTP/_HOST@{REALM}"), &[port], "");
    let ended = ending.target().over_http();
    let shell =
        |target: &Target| clients::impala_shell(target, USER, true, "SELECT 'a' AS a; SELECT 42 AS b");
    let shown = [&hive.target_over_http(), &passed, &ended].map(shell);
    assert_eq!(shown[0].rows(), ["a", "42"]);
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:#?}");
    Met { shown: &shown[1], server: "hive", target: &passed }.got_through(&passing.metrics());
    Met { shown: &shown[2], server: "hive", target: &ended }.got_through(&ending.metrics());
}

#[test]
fn clients_get_rows_where_hive_encrypts_them() {
    let Some(hive) = hive_by_ticket::sealed() else { return };
    let (passing, passed) = without_key(hive, false);
    for client in [pyhive as Client, beeline, newest_driver] {
        let before = connections(&passing, "opaque");
        let [directly, mut shown] = [hive.target(), &passed].map(client);
        assert_rows_and_error(&directly);
        assert_eq!(shown, directly);
        assert!(eventually(|| connections(&passing, "opaque") > before), "{} was read", shown.client);
        shown.login.push_str("-auth-conf");
        Met { shown: &shown, server: "hive", target: &passed }.got_through(&passing.metrics());
    }
}
