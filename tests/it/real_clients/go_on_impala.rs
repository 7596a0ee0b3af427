//! gohive and simulated Impala coordinators.

use hs2router::fake::Fault;

use super::on_impala::{fleet, through_and_direct, users};
use crate::support::clients::{Cursors, Login, Target};
use crate::support::fleet::{Door, Fleet, Plan, target};
use crate::support::go::{self, Again};
use crate::support::router::TestRouter;
use crate::support::tools::{self, Tool};

/// Values of all kinds, what a session remembers, many rows over several fetches, DML, and errors at both
/// times.
const STATEMENTS: [&str; 11] = [
    "select 1 as i, 'x' as s, 1.5 as d, true as b",
    "use demo",
    "set mem_limit=3g",
    "select current_database() as db, user() as name",
    "select * from rows(3000, 14)",
    "insert into t select * from rows(5)",
    "selec",
    "select fail('on purpose')",
    "select * from rows(2500, 'string(300), int')",
    "select * from rows(0, 2)",
    "show databases",
];

fn direct(fleet: &Fleet) -> Target {
    target(fleet.coordinator(0).hs2())
}

#[test]
fn gohive_gets_the_same_through_the_router() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let run = |target: &Target| go::rows(target, login, Cursors::One, &STATEMENTS);
        let expected = through_and_direct(&fleet, Door::Hs2, run);
        let rows = expected.rows();
        assert_eq!(rows.len(), STATEMENTS.len(), "{expected:?}");
        assert!(
            rows[0].starts_with(r#"{"columns":["i","s","d","b"],"rows":[[1,"x","1.5",true]]"#),
            "{}",
            rows[0]
        );
        assert!(rows[3].contains(r#"[["demo","u1"]]"#), "{}", rows[3]);
        assert_eq!(rows[4].matches("],[").count(), 2999);
        assert!(
            rows[6].contains("ParseException") && rows[7].contains("on purpose"),
            "{} {}",
            rows[6],
            rows[7]
        );
        assert_eq!(rows[8].matches("],[").count(), 2499);
        assert!(rows[10].contains("functional"), "{}", rows[10]);
        assert_eq!(fleet.spread(), [0, 0, 0], "it closes its session");
        fleet.await_idle();
    }
}

#[test]
fn the_sessions_of_gohive_are_spread_over_the_coordinators_and_closed_there() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let statements = ["select coordinator()"; 9];
        let shown = go::rows(&fleet.target(Door::Hs2), login, Cursors::Each, &statements);
        let mut homes: Vec<_> = shown.rows().to_vec();
        homes.sort_unstable();
        let row = |name| format!(r#"{{"columns":["coordinator()"],"rows":[["{name}"]]}}"#);
        let thrice = |name| [row(name), row(name), row(name)];
        assert_eq!(homes, ["c1", "c2", "c3"].into_iter().flat_map(thrice).collect::<Vec<_>>());
        assert_eq!(fleet.spread(), [0, 0, 0]);
        let opened = fleet.calls("OpenSession");
        let closed = fleet.calls("CloseSession");
        assert_eq!((opened.len(), closed.len()), (9, 9));
        fleet.await_idle();
    }
}

#[test]
fn a_context_that_ends_cancels_the_statement_of_gohive_where_it_runs() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let (long, short) = ("select sleep(600000)", "select 'still here' as s");
        for target in [direct(&fleet), fleet.target(Door::Hs2)] {
            let cancelled = go::cancel(&target, login, 500, long, short);
            assert_eq!(cancelled.long.error, "Context was done before the query was executed");
            assert!(cancelled.lasted < 30.0, "{cancelled:?}");
            assert_eq!(cancelled.short.rows, [["still here"]], "on the same connection: {cancelled:?}");
        }
        let (begun, cancels) = (fleet.calls("ExecuteStatement"), fleet.calls("CancelOperation"));
        assert_eq!(cancels.len(), 2, "one directly, one through the router");
        for (place, cancel) in &cancels {
            let of_it = |(at, call): &&(usize, hs2router::fake::ReceivedCall)| {
                at == place && call.operation == cancel.operation
            };
            assert!(begun.iter().any(|one| of_it(&one)), "{cancel:?} is not the statement's");
        }
        assert!(fleet.coordinators().all(|coordinator| coordinator.open_operations() == 0));
        fleet.await_idle();
    }
}

#[test]
fn large_results_come_to_gohive_whole() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    let statements = ["select * from rows(120000, 3)", "select * from rows(40, 'string(300000), int')"];
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let expected = go::totals(&direct(&fleet), login, &statements);
        assert_eq!(go::totals(&fleet.target(Door::Hs2), login, &statements), expected);
        assert_eq!((expected[0].rows, expected[1].rows), (120_000, 40), "{expected:?}");
        assert!(expected[1].bytes >= 40 * 300_000, "{expected:?}");
        assert!(expected.iter().all(|total| total.error.is_empty()), "{expected:?}");
    }
}

#[test]
fn a_wrong_password_is_refused_to_gohive_with_the_reason() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    let fleet = Fleet::with(Plan { users: &[("u1", "not p1")], ..Plan::default() });
    let run = |target: &Target| go::rows(target, Login::Plain, Cursors::One, &["select 1"]);
    let (direct, routed) = (run(&direct(&fleet)), run(&fleet.target(Door::Hs2)));
    assert_eq!((direct.code, routed.code), (Some(1), Some(1)));
    // impalad closes the connection, and gohive reads that as a message of status 4 without a text.
    assert_eq!(direct.complaints, ["Bad SASL negotiation status: 4 ()"]);
    let said = &routed.complaints[0];
    assert!(
        said.starts_with("Bad SASL negotiation status: 3 (") && said.contains("authentication failed"),
        "{said}"
    );
    assert!(fleet.coordinators().all(|coordinator| coordinator.calls().is_empty()));
    fleet.await_idle();
}

#[test]
fn gohive_goes_on_elsewhere_when_its_coordinator_is_lost() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let mut fleet = fleet(users(login));
        let mut client = Again::start(&fleet.target(Door::Hs2), login, "select coordinator() as name");
        let first = client.run();
        let home = (0..3).find(|place| first[0].rows == [[format!("c{}", place + 1)]]).expect("one of three");
        fleet.lose(home);
        // Nothing was set in its session, so it moves and the client need not know.
        let after = client.run();
        assert_eq!(after[0].error, "", "{after:?}");
        assert_ne!(after, first);
        assert_eq!(client.run(), after, "and there it stays");
        client.end();
        assert_eq!(fleet.spread(), [0, 0]);
        fleet.await_idle();
    }
}

#[test]
fn an_open_that_is_refused_shows_in_gohive_at_its_first_statement() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        for coordinator in fleet.coordinators() {
            coordinator.faults().start_quiescing();
        }
        for target in [direct(&fleet), fleet.target(Door::Hs2)] {
            let shown = go::rows(&target, login, Cursors::One, &["select 1"]);
            // It does not look at the status of OpenSession, and sends a statement with an empty handle.
            assert_eq!(shown.code, Some(1), "{shown:?}");
            assert!(shown.output[0].starts_with(r#"{"columns":[],"rows":[],"error":""#), "{shown:?}");
        }
        assert_eq!(fleet.spread(), [0, 0, 0]);
        fleet.await_idle();
    }
}

#[test]
fn a_reply_that_breaks_off_is_an_error_to_gohive_and_its_next_connection_works() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    for login in [Login::NoSasl, Login::Plain] {
        let fleet = fleet(users(login));
        let mut client = Again::start(&fleet.target(Door::Hs2), login, "select * from rows(2500, 3)");
        let whole = client.run();
        assert_eq!(whole[0].rows.len(), 2500);
        let home = fleet.spread().iter().position(|sessions| *sessions == 1).expect("one session");
        fleet.coordinator(home).faults().once("FetchResults", Fault::CutReply(500));
        let broken = client.run();
        assert_eq!(broken.len(), 2, "half a result is none: {broken:?}");
        assert_eq!(broken[1], whole[0]);
        client.end();
    }
}

#[test]
fn gohive_hears_over_http_what_the_coordinator_says() {
    if !tools::present(&[Tool::Go]) {
        return;
    }
    let fleet = Fleet::of(1);
    let coordinator = fleet.coordinator(0).hs2_http();
    let router = TestRouter::http("impala", &[coordinator]);
    let shown = go::rows_by_http(&router.target(), &["select 1"]);
    assert_eq!(shown, go::rows_by_http(&target(coordinator), &["select 1"]));
    assert!(!shown.output.is_empty(), "{shown:?}");
}
