//! When an operation begins to run, and what ends it.

use super::*;

#[test]
fn on_impala_finished_still_runs_until_no_rows_remain() {
    let fixture = running_on_impala();
    fixture.polled(1);
    fixture.polled(2);
    fixture.fetched(true);
    assert_eq!(fixture.running(), 1);
    fixture.fetched(false);
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty(), "open until it is closed");
}

#[test]
fn on_impala_a_statement_without_rows_ends_when_it_has_finished() {
    let fixture = Fixture::new(Flavor::Impala);
    fixture.execute(None, Some(false));
    for state in [0, 1, 6, 7] {
        fixture.polled(state);
        assert_eq!(fixture.running(), 1, "state {state}");
    }
    fixture.polled(2);
    assert_eq!(fixture.running(), 0);
}

#[test]
fn impala_ignores_run_async() {
    for run_async in [None, Some(false), Some(true)] {
        let fixture = Fixture::new(Flavor::Impala);
        fixture.execute(run_async, Some(true));
        assert_eq!(fixture.running(), 1, "{run_async:?}");
    }
}

#[test]
fn states_that_end_an_operation_end_it_on_every_flavor() {
    for flavor in [Flavor::Impala, Flavor::Hive, Flavor::Spark] {
        for state in [3, 4, 5, 8] {
            let fixture = Fixture::new(flavor);
            fixture.execute(Some(true), Some(true));
            fixture.polled(1);
            assert_eq!(fixture.running(), 1, "{flavor:?}");
            fixture.polled(state);
            assert_eq!(fixture.running(), 0, "{flavor:?} {state}");
        }
    }
}

#[test]
fn elsewhere_an_asynchronous_statement_ends_when_it_has_finished_whatever_a_fetch_says() {
    for flavor in [Flavor::Hive, Flavor::Spark] {
        let fixture = Fixture::new(flavor);
        fixture.execute(Some(true), Some(true));
        fixture.fetched(false);
        assert_eq!(fixture.running(), 1, "{flavor:?} says of every fetch that no rows remain");
        fixture.polled(2);
        assert_eq!(fixture.running(), 0, "{flavor:?}");
    }
}

#[test]
fn elsewhere_a_synchronous_statement_has_ended_with_its_reply() {
    for flavor in [Flavor::Hive, Flavor::Spark] {
        for run_async in [None, Some(false)] {
            let fixture = Fixture::new(flavor);
            fixture.execute(run_async, Some(true));
            assert_eq!(fixture.running(), 0, "{flavor:?} {run_async:?}");
            assert!(fixture.knows_operation() && !fixture.open.is_empty());
        }
    }
}

#[test]
fn metadata_calls_mint_operations_that_never_count_as_running() {
    for method in ["GetTables", "GetSchemas", "GetColumns", "GetTypeInfo"] {
        let fixture = Fixture::new(Flavor::Impala);
        let running = Some(fixture.coordinator().count_running());
        let reply = minted(method, handle(OPERATION), Some(true));
        fixture.learn_counted(&with_handle(method, handle(SESSION)), &reply, running);
        assert!(fixture.knows_operation(), "{method}");
        assert_eq!(fixture.running(), 0, "{method}");
    }
}

#[test]
fn a_statement_that_failed_mints_nothing_and_counts_no_more() {
    let fixture = Fixture::new(Flavor::Impala);
    let request = statement(handle(SESSION), None);
    // A handle that looks alive: the status comes first.
    let reply = reply("ExecuteStatement", |result| {
        result.structure(0, |response| {
            response.structure(1, |status| status.i32(1, 3));
            response.structure(2, |operation| {
                operation.structure(1, |identifier| {
                    identifier.string(1, &[OPERATION; 16]);
                    identifier.string(2, &[9; 16]);
                });
            });
        });
    });
    assert!(reply.handle().is_some());
    fixture.learn_counted(&request, &reply, Some(fixture.coordinator().count_running()));
    assert!(!fixture.knows_operation());
    assert_eq!(fixture.running(), 0);
}

#[test]
fn a_cancelled_operation_runs_no_more_and_stays_open() {
    let fixture = running_on_impala();
    let reply = succeeded("CancelOperation", |_| {});
    fixture.learn(&with_handle("CancelOperation", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty());
}

#[test]
fn a_cancel_that_failed_ends_nothing() {
    let fixture = running_on_impala();
    let reply = failed("CancelOperation", "not yours");
    fixture.learn(&with_handle("CancelOperation", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 1);
}

#[test]
fn a_failed_fetch_ends_its_operation_only_for_who_knows_the_secret() {
    let fixture = running_on_impala();
    let reply = failed("FetchResults", "Memory limit exceeded");
    fixture.learn(&with_handle("FetchResults", guessed(handle(OPERATION))), &reply);
    assert_eq!(fixture.running(), 1);
    fixture.learn(&with_handle("FetchResults", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty());
}

#[test]
fn a_failed_poll_says_nothing_of_the_operation() {
    let fixture = running_on_impala();
    let reply = failed("GetOperationStatus", "try again");
    fixture.learn(&with_handle("GetOperationStatus", handle(OPERATION)), &reply);
    assert_eq!(fixture.running(), 1);
}

#[test]
fn a_closed_operation_is_still_known() {
    for method in ["CloseOperation", "CloseImpalaOperation"] {
        let fixture = running_on_impala();
        fixture.learn(&with_handle(method, handle(OPERATION)), &succeeded(method, |_| {}));
        assert!(fixture.knows_operation() && fixture.open.is_empty(), "{method}");
        assert_eq!(fixture.running(), 0, "{method}");
    }
}

#[test]
fn a_profile_leaves_the_operation_as_it_is() {
    let fixture = running_on_impala();
    let request = with_two_handles("GetRuntimeProfile", handle(OPERATION), handle(SESSION));
    fixture.learn(&request, &succeeded("GetRuntimeProfile", |_| {}));
    assert!(fixture.knows_session() && !fixture.open.is_empty());
    assert_eq!(fixture.running(), 1);
}
