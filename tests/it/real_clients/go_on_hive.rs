//! gohive and real `HiveServer2`s.

use crate::support::clients::{Cursors, Login, Target};
use crate::support::go;
use crate::support::hive::{self, Hive, Setup, WHO_ARE_YOU};
use crate::support::ran::Met;
use crate::support::router::TestRouter;
use crate::support::tools::{self, Tool};

/// What a session remembers, values of several kinds, and an error.
const STATEMENTS: [&str; 7] = [
    "SELECT 1 AS i, 'x' AS s, CAST(1.5 AS DECIMAL(3, 1)) AS d, CAST(NULL AS STRING) AS n, true AS b",
    "CREATE TEMPORARY TABLE mine (answer INT)",
    "SHOW TABLES LIKE 'mine'",
    "SET hivevar:word=kept",
    "SELECT '${hivevar:word}' AS word",
    "SELECT nothing",
    "SELECT 'after' AS s",
];

/// 100,000 rows, then rows of 200,000 letters each; without a job, as Hive fetches them by itself.
const LARGE: [&str; 2] = [
    "SELECT pos AS p FROM (SELECT posexplode(split(space(99999), ' ')) AS (pos, val)) t",
    "SELECT pos AS p, repeat('w', 200000) AS w FROM (SELECT posexplode(split(space(29), ' ')) AS (pos, val)) t",
];

/// Runs a scenario against both servers and through the router; what it showed if all agree. `None`: tools
/// are missing.
fn everywhere<T: PartialEq + std::fmt::Debug>(
    login: Login,
    scenario: impl Fn(&Target) -> T,
) -> Option<(T, TestRouter)> {
    let [first, second] = hive::pair(login)?;
    let router = TestRouter::of("hive", &[first.address(), second.address()]);
    let direct = scenario(first.target());
    assert_eq!(scenario(second.target()), direct);
    assert_eq!(scenario(&router.target()), direct);
    Some((direct, router))
}

#[test]
fn gohive_gets_rows_and_errors_from_hive() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let run = |target: &Target| go::rows(target, login, Cursors::One, &STATEMENTS);
        let Some((shown, router)) = everywhere(login, run) else { return };
        let target = &router.target();
        Met { shown: &shown, server: "hive", target }.got_through(&router.metrics());
        let rows = shown.rows();
        assert_eq!(rows.len(), STATEMENTS.len(), "{shown:?}");
        assert_eq!(rows[0], r#"{"columns":["i","s","d","n","b"],"rows":[[1,"x","1.5",null,true]]}"#);
        assert_eq!(rows[2], r#"{"columns":["tab_name"],"rows":[["mine"]]}"#);
        assert_eq!(rows[4], r#"{"columns":["word"],"rows":[["kept"]]}"#);
        assert!(rows[5].contains("Invalid table alias or column reference 'nothing'"), "{}", rows[5]);
        assert_eq!(rows[6], r#"{"columns":["s"],"rows":[["after"]]}"#);
    }
}

#[test]
fn large_results_come_to_gohive_whole_from_hive() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let Some((totals, _)) = everywhere(login, |target| go::totals(target, login, &LARGE)) else { return };
        assert_eq!((totals[0].rows, totals[1].rows), (100_000, 30), "{totals:?}");
        assert!(totals[1].bytes > 30 * 200_000, "{totals:?}");
        assert!(totals.iter().all(|total| total.error.is_empty()), "{totals:?}");
    }
}

#[test]
fn the_sessions_of_gohive_are_shared_out_between_two_hives() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let Some([first, second]) = hive::pair(login) else { return };
        let router = TestRouter::of("hive", &[first.address(), second.address()]);
        let shown = go::rows(&router.target(), login, Cursors::Each, &[WHO_ARE_YOU; 4]);
        let mut homes = shown.rows().to_vec();
        homes.sort();
        assert!(homes[0] == homes[1] && homes[1] != homes[2] && homes[2] == homes[3], "{homes:?}");
        for coordinator in ["c1", "c2"] {
            let open = format!("hs2router_sessions_open{{cluster=\"test\",coordinator=\"{coordinator}\"}}");
            router.await_metric(&open, 0.0);
        }
    }
}

#[test]
fn gohive_gets_rows_and_errors_from_hive_over_http() {
    if !tools::present(&[Tool::Go, Tool::Java, Tool::Hive]) {
        return;
    }
    let http = Setup::of(Login::Plain)
        .set("hive.server2.transport.mode", "http")
        .set("hive.server2.thrift.http.port", "0");
    let hive = Hive::start(&http);
    let router = TestRouter::http("hive", &[hive.address()]);
    let direct = go::rows_by_http(hive.target(), &STATEMENTS);
    assert_eq!(go::rows_by_http(&router.target(), &STATEMENTS), direct);
    Met { shown: &direct, server: "hive", target: &router.target() }.got_through(&router.metrics());
    assert_eq!(direct.rows().last().unwrap(), r#"{"columns":["s"],"rows":[["after"]]}"#);
}

#[test]
fn a_context_that_ends_cancels_the_statement_on_hive_and_the_connection_goes_on() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    let sleeps = "SELECT reflect('java.lang.Thread', 'sleep', bigint(600000))";
    for login in [Login::NoSasl, Login::Plain] {
        let run = |target: &Target| {
            let cancelled = go::cancel(target, login, 1000, sleeps, "SELECT 'after' AS s");
            assert!(cancelled.lasted < 60.0, "{cancelled:?}");
            assert!(cancelled.long.rows.is_empty() && !cancelled.long.error.is_empty(), "{cancelled:?}");
            cancelled.short
        };
        let Some((short, _)) = everywhere(login, run) else { return };
        assert_eq!(short.rows, [["after"]]);
    }
}
