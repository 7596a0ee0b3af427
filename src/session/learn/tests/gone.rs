//! Replies that say that something is gone, and whom they are believed.

use super::*;

#[test]
fn a_closed_session_is_gone_with_its_operations() {
    let fixture = running_on_impala();
    let reply = succeeded("CloseSession", |_| {});
    fixture.learn(&with_handle("CloseSession", handle(SESSION)), &reply);
    assert!(!fixture.knows_session() && !fixture.knows_operation());
    assert_eq!((fixture.running(), fixture.coordinator().load().open_sessions), (0, 0));
}

#[test]
fn a_session_that_its_coordinator_does_not_know_is_gone() {
    for (flavor, words) in [
        (Flavor::Impala, "Invalid session id: 1:2"),
        (Flavor::Hive, "Invalid SessionHandle: x"),
        (Flavor::Spark, "Invalid SessionHandle: x"),
    ] {
        for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo", "PingImpalaHS2Service"] {
            let fixture = Fixture::new(flavor);
            fixture.execute(Some(true), Some(true));
            assert!(fixture.knows_operation() && fixture.running() == 1);
            fixture.learn(&with_handle(method, handle(SESSION)), &failed(method, words));
            assert!(!fixture.knows_session() && !fixture.knows_operation(), "{method}: {words}");
            assert_eq!(fixture.running(), 0);
        }
    }
}

#[test]
fn the_words_of_other_servers_teach_nothing() {
    for (flavor, words) in [
        (Flavor::Impala, "Invalid SessionHandle: x"),
        (Flavor::Impala, "Session does not exist!"),
        (Flavor::Hive, "Invalid session id: 1:2"),
        (Flavor::Spark, "Invalid session id: 1:2"),
    ] {
        for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo"] {
            let fixture = Fixture::new(flavor);
            fixture.learn(&with_handle(method, handle(SESSION)), &failed(method, words));
            assert!(fixture.knows_session(), "{flavor}: {method}: {words}");
        }
    }
}

#[test]
fn what_may_answer_another_call_teaches_nothing_of_what_its_client_does_not_know() {
    let close = |fixture: &Fixture, session| {
        let request = with_handle("CloseSession", session);
        fixture.learn_in_doubt(None, &request, &succeeded("CloseSession", |_| {}));
    };
    let fixture = running_on_impala();
    close(&fixture, guessed(handle(SESSION)));
    let of_operation = with_handle("CloseOperation", guessed(handle(OPERATION)));
    fixture.learn_in_doubt(None, &of_operation, &succeeded("CloseOperation", |_| {}));
    assert!(fixture.knows_session() && fixture.running() == 1);
    close(&fixture, handle(SESSION));
    assert!(!fixture.knows_session());

    let fixture = querying();
    let (request, closed) = (with_query_id("close", &query_id(handle(OPERATION))), reply("close", |_| {}));
    fixture.learn_in_doubt(Some(handle(9).guid), &request, &closed);
    assert_eq!(fixture.running(), 1);
    fixture.learn_in_doubt(Some(handle(SESSION).guid), &request, &closed);
    assert_eq!(fixture.running(), 0);
}

#[test]
fn a_profile_tells_that_its_session_is_gone_to_who_knows_the_secret() {
    let fixture = running_on_impala();
    let reply = failed("GetRuntimeProfile", "Invalid session id: 1:2");
    let ask = |session| with_two_handles("GetRuntimeProfile", handle(OPERATION), session);
    fixture.learn(&ask(guessed(handle(SESSION))), &reply);
    assert!(fixture.knows_session());
    fixture.learn(&ask(handle(SESSION)), &reply);
    assert!(!fixture.knows_session() && !fixture.knows_operation());
}

#[test]
fn an_answer_to_a_guessed_secret_removes_nothing() {
    for method in ["ExecuteStatement", "GetTables", "CloseSession", "GetInfo"] {
        let fixture = running_on_impala();
        let reply = failed(method, "Invalid session id: 1:2");
        fixture.learn(&with_handle(method, guessed(handle(SESSION))), &reply);
        assert!(fixture.knows_session() && fixture.knows_operation(), "{method}");
    }
    for method in ["GetOperationStatus", "FetchResults", "CloseOperation", "CancelOperation", "GetLog"] {
        for words in ["Invalid or unknown query handle: 1:2", "Invalid OperationHandle: x"] {
            let fixture = running_on_impala();
            fixture.learn(&with_handle(method, guessed(handle(OPERATION))), &failed(method, words));
            assert_eq!(fixture.running(), 1, "{method}");
            assert!(!fixture.open.is_empty(), "{method}");
        }
    }
}

#[test]
fn an_operation_that_its_coordinator_does_not_know_is_closed() {
    for words in ["Query 1:2 failed:\nInvalid or unknown query handle: 1:2.", "Invalid query handle: 1:2"] {
        let fixture = running_on_impala();
        let reply = failed("GetOperationStatus", words);
        fixture.learn(&with_handle("GetOperationStatus", handle(OPERATION)), &reply);
        assert_eq!(fixture.running(), 0);
        assert!(fixture.open.is_empty() && fixture.knows_operation());
    }
}

#[test]
fn a_coordinator_that_shuts_down_takes_nothing_along() {
    let fixture = running_on_impala();
    let words = "Server is being shut down: soon";
    fixture.learn(&with_handle("ExecuteStatement", handle(SESSION)), &failed("ExecuteStatement", words));
    fixture.learn(&with_handle("GetInfo", handle(SESSION)), &failed("GetInfo", words));
    assert!(fixture.knows_session());
    assert_eq!(fixture.running(), 1);
}
