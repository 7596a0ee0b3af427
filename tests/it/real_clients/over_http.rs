//! Real clients over HTTP get the same through the router as from a server directly, in as many sessions as they
//! like. impyla and `PyHive` open a connection for each call.

use super::on_impala::{self, SHELL, through_and_direct, users};
use super::on_spark::{STATEMENTS, assert_rows_and_error};
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};
use crate::support::curl::Curl;
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::jdbc;
use crate::support::ran::Met;
use crate::support::router::TestRouter;
use crate::support::spark::{self, WHO_ARE_YOU};
use crate::support::tools::{self, Tool};

/// How many sessions a client opens one after the other.
pub(crate) const SESSIONS: usize = 20;

/// A router in front of the two servers.
fn router() -> Option<(TestRouter, &'static [spark::Spark; 2])> {
    let pair = spark::pair_over_http()?;
    Some((TestRouter::http("spark", &[pair[0].address(), pair[1].address()]), pair))
}

/// Runs a scenario against every way to reach a server, and returns what it showed if they all agree. `None`:
/// the tools are missing.
fn everywhere(scenario: impl Fn(&Target) -> Shown) -> Option<Shown> {
    let (router, [first, second]) = router()?;
    let targets = [first.target().clone(), second.target().clone(), router.target().over_http()];
    let shown = targets.map(|target| scenario(&target));
    assert!(shown.windows(2).all(|two| two[0] == two[1]), "{shown:#?}");
    let target = &router.target();
    Met { shown: &shown[0], server: "spark", target }.got_through(&router.metrics());
    shown.into_iter().next()
}

#[test]
fn impyla_gets_rows_and_errors() {
    let run = |target: &Target| clients::impyla(target, Login::Plain, Cursors::One, &STATEMENTS);
    let Some(shown) = everywhere(run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn pyhive_gets_rows_and_errors() {
    let Some(shown) = everywhere(|target| clients::pyhive(target, Login::Plain, &STATEMENTS)) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn both_of_hives_jdbc_drivers_get_rows_and_errors() {
    for client in [clients::beeline, clients::beeline_with_newest_driver] {
        let Some(shown) = everywhere(|target| client(target, Login::Plain, &STATEMENTS)) else { return };
        assert!(shown.output.iter().any(|line| line == "42"), "{shown:?}");
        assert_eq!(shown.output.last().unwrap(), "1499\t1499");
        assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
    }
}

/// That half of the sessions are on each server; `homes` are the answers to [`WHO_ARE_YOU`].
pub(crate) fn assert_shared_out(mut homes: Vec<String>) {
    assert_eq!(homes.len(), SESSIONS, "{homes:?}");
    homes.sort();
    let first = homes.iter().filter(|home| **home == homes[0]).count();
    assert_eq!(first, SESSIONS / 2, "{homes:?}");
}

#[test]
fn twenty_sessions_of_clients_that_connect_for_each_call_are_shared_out_between_two_servers() {
    let Some((router, _)) = router() else { return };
    let target = router.target().over_http();
    let sessions = vec![WHO_ARE_YOU; SESSIONS];
    let shown = clients::impyla(&target, Login::Plain, Cursors::Each, &sessions);
    assert_shared_out(shown.rows().to_vec());
    for _ in 0..SESSIONS {
        let shown = clients::pyhive(&target, Login::Plain, &["SELECT 1 AS a"]);
        assert_eq!(shown.rows(), [r#"{"columns": ["a"], "rows": [[1]]}"#]);
    }
}

#[test]
fn twenty_sessions_of_hives_newest_jdbc_driver_and_of_curl_are_shared_out_between_two_servers() {
    if !tools::present(&[Tool::Hive, Tool::Curl]) {
        return;
    }
    let Some((router, _)) = router() else { return };
    let target = router.target().over_http();
    assert_shared_out(jdbc::on_each(&target, Login::Plain, SESSIONS, WHO_ARE_YOU));
    let curl = Curl { target: &target, login: Login::Plain };
    let sessions: Vec<_> = (0..SESSIONS).map(|_| curl.open()).collect();
    assert_shared_out(sessions.iter().map(|session| curl.query(session, WHO_ARE_YOU).concat()).collect());
    for session in &sessions {
        curl.close(session);
    }
}

#[test]
fn statements_go_to_the_server_of_their_session_on_whatever_connection_they_come() {
    let Some((router, _)) = router() else { return };
    let statements = [
        "CREATE TEMPORARY VIEW of_the_first AS SELECT 1 AS a",
        "SELECT a FROM of_the_first",
        "SELECT 'third' AS c",
    ];
    let target = router.target().over_http();
    let shown = clients::impyla(&target, Login::Plain, Cursors::Each, &statements);
    let rows = shown.rows();
    assert!(rows[1].contains("TABLE_OR_VIEW_NOT_FOUND"), "each cursor has a session of its own: {rows:?}");
    assert_eq!(rows[2], r#"{"columns": ["c"], "rows": [["third"]]}"#);
}

fn fleet(login: Login) -> Fleet {
    Fleet::with(Plan { http: true, users: users(login), ..Plan::default() })
}

/// That a fleet's coordinators got one call in each body, and one request at a time on each link.
fn assert_no_luck_was_needed(fleet: &Fleet) {
    for coordinator in fleet.coordinators() {
        let counts = coordinator.http_counts();
        assert_eq!((counts.leftovers, counts.pipelined), (0, 0), "{counts:?}");
    }
}

#[test]
fn impala_shell_gets_the_same_from_three_coordinators_as_from_one() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(login);
        let run =
            |target: &Target| clients::impala_shell(&target.clone().over_http(), Dialect::Hs2(login), SHELL);
        let text = through_and_direct(&fleet, Door::Http, run).rows().join("\n");
        for expected in ["1\tx\tNULL", "Query (id=", "Sql Statement: select 7", "00:UNION", "functional"] {
            assert!(text.contains(expected), "{login:?}: no {expected:?} in {text}");
        }
        assert_no_luck_was_needed(&fleet);
    }
}

#[test]
fn impyla_gets_the_same_from_three_coordinators_as_from_one() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(login);
        let run = |target: &Target| {
            clients::impyla(&target.clone().over_http(), login, Cursors::One, &on_impala::STATEMENTS)
        };
        let shown = through_and_direct(&fleet, Door::Http, run);
        assert_eq!(shown.rows().len(), on_impala::STATEMENTS.len(), "{shown:?}");
        assert_no_luck_was_needed(&fleet);
    }
}

#[test]
fn ctrl_c_in_impala_shell_reaches_the_owner_of_the_statement() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let (fleet, dialect) = (fleet(login), Dialect::Hs2(login));
        let target = fleet.target(Door::Http).over_http();
        let (long, short) = ("select sleep(600000)", "select 'still here'");
        let shown = clients::impala_shell_interrupted(&target, dialect, long, short);
        assert!(shown.lasted < 30.0, "the statement was not cancelled: {shown:?}");
        assert!(shown.short.iter().any(|line| line.contains("still here")), "{shown:?}");
        let (cancels, begun) = (fleet.calls("CancelOperation"), fleet.calls("ExecuteStatement"));
        assert!(!cancels.is_empty(), "nobody was asked to cancel");
        for (place, call) in &cancels {
            let (home, _) = begun.iter().find(|(_, begun)| begun.operation == call.operation).unwrap();
            assert_eq!(place, home, "the cancel came to the wrong coordinator");
        }
    }
}
