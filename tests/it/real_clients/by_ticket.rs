//! Real clients that prove their user by tickets of a real KDC, over HTTP (`Negotiate`).

use super::on_impala::{SHELL, STATEMENTS, through_and_direct};
use super::over_http::{SESSIONS, assert_shared_out};
use crate::support::clients::{Cursors, Shown, Target};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::kdc::USERS;
use crate::support::ran::Met;
use crate::support::router::TestRouter;
use crate::support::spark::{self, WHO_ARE_YOU};
use crate::support::ticket_clients as clients;
use crate::support::tools::{self, Tool};
use hs2router::fake::{Coordinator, Settings};

/// A router in front of two servers that have the same keys.
fn router() -> Option<(TestRouter, &'static [spark::Spark; 2])> {
    let pair = spark::pair_by_ticket()?;
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
fn impyla_gets_rows_and_errors_by_ticket() {
    let run = |target: &Target| clients::impyla(target, USERS[0], Cursors::One, &super::on_spark::STATEMENTS);
    let Some(shown) = everywhere(run) else { return };
    super::on_spark::assert_rows_and_error(&shown);
}

#[test]
fn pyhive_gets_rows_and_errors_by_ticket() {
    let Some((router, _)) = router() else { return };
    // It repeats its only ticket, so it has to get the router's cookie each time. Spark gives its own but once.
    let target = &router.target().over_http();
    let shown = clients::pyhive(target, USERS[0], &super::on_spark::STATEMENTS);
    super::on_spark::assert_rows_and_error(&shown);
    Met { shown: &shown, server: "spark", target }.got_through(&router.metrics());
}

#[test]
fn impala_shell_in_strict_mode_reads_from_spark_by_ticket() {
    let statements = "SELECT 'a' UNION ALL SELECT 'b'; SHOW DATABASES; SELECT CONCAT('c', 'd')";
    let Some(shown) = everywhere(|target| clients::impala_shell(target, USERS[0], true, statements)) else {
        return;
    };
    assert_eq!(shown.rows(), ["a", "b", "default", "cd"]);
}

#[test]
fn both_of_hives_jdbc_drivers_get_rows_and_errors_by_ticket() {
    for client in [clients::beeline, clients::beeline_with_newest_driver] {
        let Some(shown) = everywhere(|target| client(target, USERS[0], &super::on_spark::STATEMENTS)) else {
            return;
        };
        assert!(shown.output.iter().any(|line| line == "42"), "{shown:?}");
        assert_eq!(shown.output.last().unwrap(), "1499\t1499");
        assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
    }
}

#[test]
fn twenty_sessions_by_ticket_are_shared_out_between_two_servers() {
    let Some((router, _)) = router() else { return };
    let sessions = vec![WHO_ARE_YOU; SESSIONS];
    for user in USERS {
        let shown = clients::impyla(&router.target().over_http(), user, Cursors::Each, &sessions);
        assert_shared_out(shown.rows().to_vec());
    }
}

/// Simulated coordinators that take a ticket without a look into it.
fn fleet() -> Option<Fleet> {
    let settings = Settings { tickets: true, ..Settings::default() };
    tools::present(&[Tool::Python, Tool::Kdc])
        .then(|| Fleet::with(Plan { http: true, settings, ..Plan::default() }))
}

/// That no coordinator saw more than a few tickets, none of them twice, and nobody else's cookie.
fn assert_tickets_are_few(fleet: &Fleet) {
    // The client comes twice, directly and through the router, and perhaps on two connections, which share no
    // cookie.
    const MOST: u64 = 4;
    for counts in fleet.coordinators().map(Coordinator::http_counts) {
        assert!(counts.negotiate.success <= MOST, "{counts:?}");
        assert_eq!((counts.negotiate.failure, counts.cookie.failure), (0, 0), "{counts:?}");
    }
}

#[test]
fn impala_shell_gets_the_same_from_three_coordinators_as_from_one_by_ticket() {
    let Some(fleet) = fleet() else { return };
    let run = |target: &Target| clients::impala_shell(&target.clone().over_http(), USERS[0], false, SHELL);
    let text = through_and_direct(&fleet, Door::Http, run).rows().join("\n");
    for expected in ["1\tx\tNULL", "Query (id=", "Sql Statement: select 7", "00:UNION", "functional"] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
    assert_tickets_are_few(&fleet);
}

#[test]
fn impyla_gets_the_same_from_three_coordinators_as_from_one_by_ticket() {
    let Some(fleet) = fleet() else { return };
    let run =
        |target: &Target| clients::impyla(&target.clone().over_http(), USERS[0], Cursors::One, &STATEMENTS);
    let shown = through_and_direct(&fleet, Door::Http, run);
    assert_eq!(shown.rows().len(), STATEMENTS.len(), "{shown:?}");
    assert_tickets_are_few(&fleet);
}

#[test]
fn ctrl_c_in_impala_shell_reaches_the_owner_of_the_statement_by_ticket() {
    let Some(fleet) = fleet() else { return };
    let target = fleet.target(Door::Http).over_http();
    let (long, short) = ("select sleep(600000)", "select 'still here'");
    let shown = clients::impala_shell_interrupted(&target, USERS[0], long, short);
    assert!(shown.lasted < 30.0, "the statement was not cancelled: {shown:?}");
    assert!(shown.short.iter().any(|line| line.contains("still here")), "{shown:?}");
    let (cancels, begun) = (fleet.calls("CancelOperation"), fleet.calls("ExecuteStatement"));
    assert!(!cancels.is_empty(), "nobody was asked to cancel");
    for (place, call) in &cancels {
        let (home, _) = begun.iter().find(|(_, begun)| begun.operation == call.operation).unwrap();
        assert_eq!(place, home, "the cancel came to the wrong coordinator");
    }
}
