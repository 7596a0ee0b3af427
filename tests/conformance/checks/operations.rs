//! The life of a statement: running, failing, cancelled, closed, remembered.

use hs2router::fake::client::{CallError, Hs2Client};
use hs2router::idl::impala_service::{
    TCloseImpalaOperationReq, TGetExecSummaryReq, TGetRuntimeProfileReq, TImpalaHiveServer2ServiceSyncClient,
};
use hs2router::idl::t_c_l_i_service::{
    TCancelOperationReq, TExecuteStatementReq, TFetchOrientation, TFetchResultsReq, TGetLogReq,
    TGetResultSetMetadataReq, TOperationHandle, TOperationState, TSessionHandle, TStatusCode,
    TTCLIServiceSyncClient,
};

use crate::check::{Flavor, checks};
use crate::driver::{
    all_rows, application_error, ask, begin, close, ended, eventually, printed, refused, run, status,
    succeeded, try_fetch,
};
use crate::target::Target;

checks![
    ALL, [], "Impala: impala-hs2-server.cc ExecuteStatement; Hive: SQLOperation" => a_long_statement_is_running_and_can_be_asked_about;
    ALL, [], "Impala: impala-hs2-server.cc GetOperationStatus; Hive: ThriftCLIService GetOperationStatus" => a_finished_statement_is_finished;
    ALL, [], "Impala: client-request-state.cc TOperationState; Hive: OperationState" => a_failed_statement_is_a_state_and_not_a_failed_call;
    ALL, [], "Impala: impala-hs2-server.cc FetchInternal; Hive: SQLOperation getNextRowSet" => a_failed_statement_has_no_rows_to_fetch;
    IMPALA, [], "Impala: impala-hs2-server.cc FetchInternal" => a_failed_fetch_forgets_the_operation;
    IMPALA, [], "Impala: impala-hs2-server.cc ExecuteStatement, QUERY_ERROR_FORMAT" => a_syntax_error_is_the_answer_to_the_statement;
    SERVICE, [], "Hive: SQLOperation runInternal; measured on Spark 3.5" => a_syntax_error_of_a_waited_for_statement_is_its_answer;
    ALL, [], "Impala: client-request-state.cc (no CANCELED_STATE); Hive: SQLOperation cancel" => a_cancel_from_another_connection_ends_a_running_statement;
    IMPALA, [], "Impala: impala-server.cc CancelInternal, impala-hs2-server.cc FetchResults" => a_cancel_from_another_connection_ends_a_waiting_fetch;
    ALL, [], "Impala: impala-server.cc CancelInternal; Hive: OperationManager cancelOperation" => cancelling_what_is_finished_does_no_harm;
    ALL, [], "Impala: impala-hs2-server.cc CloseOperation; Hive: OperationManager closeOperation" => a_close_while_it_runs_ends_the_statement;
    ALL, [], "Impala: impala-server.cc CloseSessionInternal; Hive: HiveSessionImpl close" => closing_a_session_ends_its_operations;
    ALL, [], "Impala: impala-hs2-server.cc CloseOperation; measured on Spark 3.5" => closing_an_operation_twice_is_an_error;
    IMPALA, [], "Impala: FETCH_ROWS_TIMEOUT_MS, impala-hs2-server.cc FetchResults" => a_fetch_that_waits_too_long_says_still_executing;
    IMPALA, [], "Impala: impala-hs2-server.cc TExecuteStatementReqToTQueryContext" => an_unknown_option_with_a_statement_is_an_error;
    IMPALA, [], "Impala: impala-hs2-server.cc FetchResults" => other_orientations_are_unsupported;
    IMPALA, [Simulated], "Impala: impala-hs2-server.cc CloseImpalaOperation" => the_close_of_dml_tells_the_rows;
    IMPALA, [], "Impala: impala-hs2-server.cc CloseImpalaOperation" => the_close_of_a_query_tells_no_rows;
    IMPALA, [], "Impala: impala-hs2-server.cc GetRuntimeProfile, GetExecSummary (--query_log_size)" => profile_and_summary_are_there_after_the_close;
    IMPALA, [], "Impala: impala-hs2-server.cc GetLog" => the_log_of_a_live_operation_is_told;
    SERVICE, [], "Measured on Spark 3.5" => impalas_own_calls_are_unknown_methods;
    ALL, [], "Impala: impala-server.h SessionState (inflight queries); Hive: OperationManager" => a_session_has_many_operations_at_once;
];

fn cancel(client: &mut Hs2Client, operation: &TOperationHandle) {
    succeeded(
        &client.service().cancel_operation(TCancelOperationReq::new(operation.clone())).unwrap().status,
    );
}

fn session(target: &Target) -> (Hs2Client, TSessionHandle) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    (client, session)
}

/// A minute of sleep has begun.
fn running(client: &mut Hs2Client, session: &TSessionHandle, target: &Target) -> TOperationHandle {
    let operation = begin(client, session, target.dialect.slow());
    eventually("it runs", || {
        status(client, &operation).operation_state == Some(TOperationState::RUNNING_STATE)
    });
    operation
}

fn a_long_statement_is_running_and_can_be_asked_about(target: &Target) {
    let (mut client, session) = session(target);
    let operation = running(&mut client, &session, target);
    assert!(operation.has_result_set);
    let response = status(&mut client, &operation);
    assert_eq!((response.error_message, response.sql_state), (None, None));
    cancel(&mut client, &operation);
    succeeded(&close(&mut client, &operation));
}

fn a_finished_statement_is_finished(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let again = status(&mut client, &operation);
    assert_eq!(again.operation_state, Some(TOperationState::FINISHED_STATE));
    assert_eq!(again.error_message, None);
}

fn a_failed_statement_is_a_state_and_not_a_failed_call(target: &Target) {
    let (mut client, session) = session(target);
    let operation = begin(&mut client, &session, target.dialect.failing());
    let end = ended(&mut client, &operation);
    assert_eq!(end.operation_state, Some(TOperationState::ERROR_STATE));
    let message = end.error_message.unwrap();
    if target.flavor == Flavor::Impala {
        assert_eq!(end.sql_state.as_deref(), Some("HY000"));
        assert_eq!(end.status.error_message, None, "the error is in the outer fields");
    }
    if target.dialect.failing().contains("out of luck") {
        assert!(message.contains("out of luck"), "{message}");
    }
    assert_eq!(ask(&mut client, &session, "select 1"), [["1"]]);
}

fn a_failed_statement_has_no_rows_to_fetch(target: &Target) {
    let (mut client, session) = session(target);
    let operation = begin(&mut client, &session, target.dialect.failing());
    ended(&mut client, &operation);
    let response = try_fetch(&mut client, &operation, 10);
    refused(&response.status);
    assert!(response.results.is_none());
}

fn a_failed_fetch_forgets_the_operation(target: &Target) {
    let (mut client, session) = session(target);
    let operation = begin(&mut client, &session, target.dialect.failing());
    let id = printed(&operation.operation_id);
    let first = refused(&try_fetch(&mut client, &operation, 10).status).message;
    assert!(first.starts_with(&format!("Query {id} failed:\n")), "{first}");
    let second = refused(&try_fetch(&mut client, &operation, 10).status).message;
    assert_eq!(second, format!("Query {id} failed:\nInvalid or unknown query handle: {id}.\n\n"));
}

fn a_syntax_error_is_the_answer_to_the_statement(target: &Target) {
    let (mut client, session) = session(target);
    let request = TExecuteStatementReq::new(session.clone(), "selec 1".to_owned(), None, true, None);
    let response = client.service().execute_statement(request).unwrap();
    let refused = refused(&response.status);
    assert!(refused.message.starts_with("Query ") && refused.message.contains(" failed:\n"), "{refused:?}");
    assert!(refused.message.contains("yntax error in line 1"), "{refused:?}");
    assert_eq!(refused.sql_state.as_deref(), Some("HY000"));
    assert!(response.operation_handle.is_none());
    ask(&mut client, &session, "select 1");
}

fn a_syntax_error_of_a_waited_for_statement_is_its_answer(target: &Target) {
    let (mut client, session) = session(target);
    let request = TExecuteStatementReq::new(session.clone(), "selec 1".to_owned(), None, false, None);
    let response = client.service().execute_statement(request).unwrap();
    assert!(!refused(&response.status).message.is_empty());
    ask(&mut client, &session, "select 1");
}

fn a_cancel_from_another_connection_ends_a_running_statement(target: &Target) {
    let (mut client, session) = session(target);
    let operation = running(&mut client, &session, target);
    cancel(&mut target.connect(), &operation);
    let end = ended(&mut client, &operation);
    if target.flavor == Flavor::Impala {
        assert_eq!(end.operation_state, Some(TOperationState::ERROR_STATE));
        assert!(end.error_message.unwrap().contains("Cancelled"));
    } else {
        assert_eq!(end.operation_state, Some(TOperationState::CANCELED_STATE));
    }
    succeeded(&close(&mut client, &operation));
    assert_eq!(ask(&mut client, &session, "select 1"), [["1"]]);
}

fn a_cancel_from_another_connection_ends_a_waiting_fetch(target: &Target) {
    let (mut client, session) = session(target);
    let operation = running(&mut client, &session, target);
    let waiting = std::thread::spawn({
        let operation = operation.clone();
        move || loop {
            match client.fetch(&operation, 10) {
                Ok((None, true)) => {}
                other => return other,
            }
        }
    });
    cancel(&mut target.connect(), &operation);
    let Err(CallError::Refused { message, .. }) = waiting.join().unwrap() else { panic!("rows came") };
    assert!(message.contains("Cancelled"), "{message}");
}

fn cancelling_what_is_finished_does_no_harm(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    assert_eq!(all_rows(&mut client, &operation), [["1"]]);
    cancel(&mut client, &operation);
    succeeded(&close(&mut client, &operation));
}

fn a_close_while_it_runs_ends_the_statement(target: &Target) {
    let (mut client, session) = session(target);
    let operation = running(&mut client, &session, target);
    succeeded(&close(&mut target.connect(), &operation));
    refused(&status(&mut client, &operation).status);
    assert_eq!(ask(&mut client, &session, "select 1"), [["1"]]);
}

fn closing_a_session_ends_its_operations(target: &Target) {
    let (mut client, session) = session(target);
    let operation = running(&mut client, &session, target);
    let other = client.open(&[]).unwrap();
    target.connect().close_session(&session).unwrap();
    refused(&status(&mut client, &operation).status);
    refused(&close(&mut client, &operation));
    assert_eq!(ask(&mut client, &other, "select 1"), [["1"]]);
}

fn closing_an_operation_twice_is_an_error(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    succeeded(&close(&mut client, &operation));
    let refused = refused(&close(&mut client, &operation));
    let text = match target.flavor {
        Flavor::Impala => "Invalid or unknown query handle: ",
        _ => "Invalid OperationHandle",
    };
    assert!(refused.message.contains(text), "{refused:?}");
}

fn a_fetch_that_waits_too_long_says_still_executing(target: &Target) {
    let (mut client, session) = session(target);
    let operation = running(&mut client, &session, target);
    let response = try_fetch(&mut client, &operation, 10);
    assert_eq!(response.status.status_code, TStatusCode::STILL_EXECUTING_STATUS);
    assert_eq!((response.has_more_rows, response.results), (Some(true), None));
    succeeded(&close(&mut client, &operation));
}

fn an_unknown_option_with_a_statement_is_an_error(target: &Target) {
    let (mut client, session) = session(target);
    let mut run = |option: &str| {
        let overlay = [(option.to_owned(), "1".to_owned())].into_iter().collect();
        let text = "select 1".to_owned();
        let request = TExecuteStatementReq::new(session.clone(), text, Some(overlay), true, None);
        client.service().execute_statement(request).unwrap().status
    };
    succeeded(&run("batch_size"));
    let refused = refused(&run("no_such_option"));
    assert!(refused.message.contains("Invalid query option: no_such_option"), "{refused:?}");
}

fn other_orientations_are_unsupported(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    for orientation in [TFetchOrientation::FETCH_PRIOR, TFetchOrientation::FETCH_LAST] {
        let request = TFetchResultsReq::new(operation.clone(), orientation, 10, None);
        let refused = refused(&client.service().fetch_results(request).unwrap().status);
        assert!(refused.message.contains("Unsupported operation"), "{refused:?}");
        assert_eq!(refused.sql_state.as_deref(), Some("HYC00"));
    }
}

fn the_close_of_dml_tells_the_rows(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "insert into t select * from rows(42)");
    assert!(!operation.has_result_set);
    let request = TCloseImpalaOperationReq::new(operation);
    let response = target.connect().service().close_impala_operation(request).unwrap();
    succeeded(&response.status);
    assert_eq!(response.dml_result.unwrap().rows_modified.values().sum::<i64>(), 42);
}

fn the_close_of_a_query_tells_no_rows(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let request = TCloseImpalaOperationReq::new(operation);
    let response = client.service().close_impala_operation(request).unwrap();
    succeeded(&response.status);
    assert!(response.dml_result.is_none());
}

fn profile_and_summary_are_there_after_the_close(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 4321");
    all_rows(&mut client, &operation);
    succeeded(&close(&mut client, &operation));
    let id = printed(&operation.operation_id);
    for mut client in [client, target.connect()] {
        let request = TGetRuntimeProfileReq::new(operation.clone(), session.clone(), None, None);
        let response = client.service().get_runtime_profile(request).unwrap();
        succeeded(&response.status);
        let profile = response.profile.unwrap();
        assert!(profile.contains(&format!("Query (id={id})")) && profile.contains("select 4321"));
        let request = TGetExecSummaryReq::new(operation.clone(), session.clone(), None);
        let response = client.service().get_exec_summary(request).unwrap();
        succeeded(&response.status);
        assert!(response.summary.is_some());
    }
}

fn the_log_of_a_live_operation_is_told(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let mut log = || client.service().get_log(TGetLogReq::new(operation.clone())).unwrap().status;
    succeeded(&log());
    succeeded(&close(&mut target.connect(), &operation));
    refused(&log());
}

fn impalas_own_calls_are_unknown_methods(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let log = client.service().get_log(TGetLogReq::new(operation.clone()));
    let close = client.service().close_impala_operation(TCloseImpalaOperationReq::new(operation.clone()));
    for error in [application_error(log), application_error(close)] {
        assert_eq!(error.kind, thrift::ApplicationErrorKind::UnknownMethod);
        assert!(error.message.starts_with("Invalid method name: '"), "{error}");
    }
    let request = TGetResultSetMetadataReq::new(operation.clone());
    succeeded(&client.service().get_result_set_metadata(request).unwrap().status);
    assert_eq!(all_rows(&mut client, &operation), [["1"]]);
}

fn a_session_has_many_operations_at_once(target: &Target) {
    let (mut client, session) = session(target);
    let operations: Vec<_> =
        (0..8).map(|number| run(&mut client, &session, &format!("select {number}"))).collect();
    for (number, operation) in operations.iter().enumerate().rev() {
        assert_eq!(all_rows(&mut client, operation), [[number.to_string()]]);
        succeeded(&close(&mut client, operation));
    }
}
