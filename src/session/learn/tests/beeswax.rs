//! Beeswax queries, which have no secrets.

use super::*;

#[test]
fn a_beeswax_query_is_known_by_its_id_and_runs_until_no_rows_remain() {
    let fixture = querying();
    let state = |number| reply("get_state", |result| result.i32(0, number));
    for number in [0, 1, 2, 3, 4] {
        fixture.about_query("get_state", &state(number));
        assert_eq!(fixture.running(), 1, "state {number}");
    }
    let rows = |more| reply("fetch", |result| result.structure(0, |results| results.bool(5, more)));
    fixture.about_query("fetch", &rows(true));
    assert_eq!(fixture.running(), 1);
    fixture.about_query("fetch", &rows(false));
    assert_eq!(fixture.running(), 0);
    assert!(!fixture.open.is_empty());
}

#[test]
fn a_beeswax_query_ends_by_an_exception_a_failed_fetch_a_cancel_or_a_close() {
    let nothing = |method| reply(method, |_| {});
    let state = reply("get_state", |result| result.i32(0, 5));
    let ends = [
        ("get_state", state),
        ("fetch", thrown("fetch", "Memory limit exceeded")),
        ("Cancel", nothing("Cancel")),
        ("close", nothing("close")),
        ("CloseInsert", nothing("CloseInsert")),
    ];
    for (method, reply) in ends {
        let fixture = querying();
        fixture.about_query(method, &reply);
        assert_eq!(fixture.running(), 0, "{method}");
        assert!(fixture.knows_operation(), "{method}");
        assert_eq!(fixture.open.is_empty(), method.starts_with(['c', 'C']) && method != "Cancel", "{method}");
    }
}

#[test]
fn a_beeswax_query_that_its_coordinator_does_not_know_is_closed() {
    let fixture = querying();
    fixture.about_query("get_state", &thrown("get_state", "Invalid or unknown query handle: 1:2"));
    assert_eq!(fixture.running(), 0);
    assert!(fixture.open.is_empty());
}

/// Calls that name a query id, each with the two refusals that could be taken for the query's end.
fn refusals() -> Vec<(Facts, Facts)> {
    let id = query_id(handle(OPERATION));
    let methods = ["close", "get_state", "fetch", "get_log", "Cancel", "CloseInsert"];
    let words =
        ["Invalid or unknown query handle: 1:2.", "Query 1:2 failed:\nInvalid or unknown query handle: 1:2."];
    let refused = methods.into_iter().flat_map(|method| words.map(|words| (method, words)));
    refused.map(|(method, words)| (with_query_id(method, &id), thrown(method, words))).collect()
}

#[test]
fn what_somebody_else_is_told_of_a_beeswax_query_ends_nothing() {
    for (request, refusal) in refusals() {
        let fixture = querying();
        for session in [None, Some(handle(7).guid)] {
            fixture.learn_on(session, &request, &refusal, None);
        }
        assert_eq!(fixture.running(), 1, "{:?}", request.name);
        assert!(!fixture.open.is_empty(), "{:?}", request.name);
    }
}

#[test]
fn an_hs2_operation_is_not_ended_by_who_knows_its_query_id_only() {
    let id = query_id(handle(OPERATION));
    let mut answers = refusals();
    answers.extend(
        ["close", "Cancel", "CloseInsert"].map(|method| (with_query_id(method, &id), reply(method, |_| {}))),
    );
    answers.push((with_query_id("get_state", &id), reply("get_state", |result| result.i32(0, 5))));
    for (request, answer) in answers {
        let fixture = running_on_impala();
        for session in [None, Some(handle(7).guid), Some(handle(SESSION).guid)] {
            fixture.learn_on(session, &request, &answer, None);
        }
        assert_eq!(fixture.running(), 1, "{:?}", request.name);
        assert!(!fixture.open.is_empty(), "{:?}", request.name);
    }
}

#[test]
fn somebody_elses_cancel_or_close_that_succeeds_ends_a_beeswax_query() {
    for method in ["Cancel", "close"] {
        let fixture = querying();
        let request = with_query_id(method, &query_id(handle(OPERATION)));
        fixture.learn_on(Some(handle(7).guid), &request, &reply(method, |_| {}), None);
        assert_eq!(fixture.running(), 0, "{method}");
    }
}

#[test]
fn a_beeswax_query_ends_with_its_connections_session() {
    let fixture = querying();
    fixture.table.remove_session(&handle(SESSION).guid, SessionEnd::Closed);
    assert!(!fixture.knows_operation() && fixture.open.is_empty());
    assert_eq!(fixture.running(), 0);
}
