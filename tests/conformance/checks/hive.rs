//! Where Hive and Spark, which has its service code, differ: `docs/PROTOCOL.md` has both answers.

use hs2router::fake::client::{self, Hs2Client};
use hs2router::idl::t_c_l_i_service::{
    TCancelOperationReq, TExecuteStatementReq, TFetchOrientation, TFetchResultsReq, TFetchResultsResp,
    TGetInfoReq, TGetInfoType, TGetInfoValue, TGetResultSetMetadataReq, TGetResultSetMetadataResp,
    TOperationHandle, TOperationState, TSessionHandle, TTCLIServiceSyncClient,
};

use crate::check::{Flavor, checks};
use crate::driver::{
    Refused, all_rows, ask, begin, close, ended, fetch, refused, run, status, succeeded, try_fetch,
    unheard_of,
};
use crate::target::Target;

checks![
    HIVE, [], "Hive: ThriftCLIService OpenSession; measured on 4.0.1" => hive_tells_how_many_rows_to_fetch_at_once;
    SERVICE, [], "Hive: HiveSQLException toTStatus; measured on Hive 4.0.1 and Spark 3.5" => an_error_has_a_fixed_text_or_the_servers_stack;
    HIVE, [], "Hive: SQLOperation runInternal compiles before it answers; measured on 4.0.1" => hive_answers_a_statement_that_does_not_compile_with_the_error;
    SPARK, [], "Measured on Spark 3.5" => spark_answers_a_statement_that_does_not_compile_with_an_operation_that_fails;
    HIVE, [], "Measured on Hive 4.0.1 (SQLOperation getResultSetSchema)" => hive_has_neither_schema_nor_rows_where_there_is_no_result;
    SPARK, [], "Measured on Spark 3.5" => spark_has_an_empty_column_where_there_is_no_result;
    SERVICE, [], "Hive: SQLOperation getResultSetSchema, getNextRowSet; measured on Hive 4.0.1 and Spark 3.5" => a_cancelled_statement_keeps_its_schema_on_spark_only;
    SERVICE, [], "Hive: Operation assertState; measured on Hive 4.0.1 and Spark 3.5" => a_fetch_never_waits_and_says_what_it_waits_for;
    HIVE, [], "Hive: ThriftCLIService GetOperationStatus; measured on 4.0.1" => hive_tells_when_a_statement_began_and_whether_it_has_rows;
    HIVE, [], "Hive: OperationManager getOperationLogRowSet, OperationLog; measured on 4.0.1" => hive_tells_the_log_once_and_again_from_the_first;
    SPARK, [], "Measured on Spark 3.5" => spark_has_an_empty_log;
    SERVICE, [], "Hive: OperationManager getOperationLogRowSet (getOperation)" => there_is_no_log_of_what_is_closed;
    HIVE, [], "Hive: Operation DEFAULT_FETCH_ORIENTATION_SET; measured on 4.0.1" => hive_fetches_from_the_first_but_not_backwards;
    SPARK, [], "Spark: SparkExecuteStatementOperation getNextRowSet; measured on 3.5" => spark_fetches_backwards;
    SERVICE, [], "Hive: ThriftCLIService FetchResults (hive.server2.thrift.resultset.max.fetch.size); measured on Hive 4.0.1 and Spark 3.5" => a_fetch_brings_ten_thousand_rows_at_most_on_hive;
    HIVE, [], "Hive: HiveSessionImpl getInfo; measured on 4.0.1" => hive_has_three_names_for_sessions_that_are_there;
];

fn session(target: &Target) -> (Hs2Client, TSessionHandle) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    (client, session)
}

fn metadata(client: &mut Hs2Client, operation: &TOperationHandle) -> TGetResultSetMetadataResp {
    client.service().get_result_set_metadata(TGetResultSetMetadataReq::new(operation.clone())).unwrap()
}

fn fetch_from(
    client: &mut Hs2Client,
    operation: &TOperationHandle,
    orientation: TFetchOrientation,
) -> TFetchResultsResp {
    let request = TFetchResultsReq::new(operation.clone(), orientation, 10, None);
    client.service().fetch_results(request).unwrap()
}

/// Lines of the operation's log, `count` at most where that is positive.
fn log(
    client: &mut Hs2Client,
    operation: &TOperationHandle,
    orientation: TFetchOrientation,
    count: i64,
) -> Vec<String> {
    const LOG: i16 = 1;
    let request = TFetchResultsReq::new(operation.clone(), orientation, count, LOG);
    let response = client.service().fetch_results(request).unwrap();
    succeeded(&response.status);
    assert_eq!(response.has_more_rows, Some(false), "whether more is to come or not");
    client::texts(&response.results.unwrap()).into_iter().map(|mut row| row.remove(0)).collect()
}

fn hive_tells_how_many_rows_to_fetch_at_once(target: &Target) {
    let mut client = target.connect();
    let request = hs2router::idl::t_c_l_i_service::TOpenSessionReq::new(
        hs2router::idl::t_c_l_i_service::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V10,
        None,
        None,
        None,
    );
    let settings = client.service().open_session(request).unwrap().configuration.unwrap();
    assert!(settings["hive.server2.thrift.resultset.default.fetch.size"].parse::<u32>().is_ok());
}

fn an_error_has_a_fixed_text_or_the_servers_stack(target: &Target) {
    let (mut client, session) = session(target);
    client.close_session(&session).unwrap();
    let request = TExecuteStatementReq::new(session, "select 1".to_owned(), None, true, None);
    let status = client.service().execute_statement(request).unwrap().status;
    assert_eq!((refused(&status).sql_state, status.error_code), (None, Some(0)));
    let info = status.info_messages.unwrap();
    if target.flavor == Flavor::Hive {
        assert_eq!(info, ["Server-side error; please check HS2 logs."]);
    } else {
        assert!(info[0].starts_with("*org.apache.hive.service.cli.HiveSQLException:Invalid SessionHandle"));
    }
}

fn hive_answers_a_statement_that_does_not_compile_with_the_error(target: &Target) {
    let (mut client, session) = session(target);
    for (statement, state) in [("selec 1", "42000"), ("select * from no_such_table", "42S02")] {
        for at_once in [false, true] {
            let request =
                TExecuteStatementReq::new(session.clone(), statement.to_owned(), None, !at_once, None);
            let response = client.service().execute_statement(request).unwrap();
            let Refused { message, sql_state } = refused(&response.status);
            assert!(message.starts_with("Error while compiling statement: FAILED: "), "{message}");
            assert_eq!((sql_state.as_deref(), response.operation_handle), (Some(state), None));
        }
    }
}

fn spark_answers_a_statement_that_does_not_compile_with_an_operation_that_fails(target: &Target) {
    let (mut client, session) = session(target);
    for statement in ["selec 1", "select * from no_such_table"] {
        let operation = begin(&mut client, &session, statement);
        let end = ended(&mut client, &operation);
        assert_eq!(end.operation_state, Some(TOperationState::ERROR_STATE));
    }
}

fn hive_has_neither_schema_nor_rows_where_there_is_no_result(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "use `default`");
    assert!(!operation.has_result_set);
    let schema = metadata(&mut client, &operation);
    let rows = try_fetch(&mut client, &operation, 10);
    assert_eq!((schema.schema, rows.results), (None, None));
    for status in [schema.status, rows.status] {
        assert_eq!(refused(&status).sql_state, None);
    }
    // A setting is not a query: its rows are there, and none.
    let operation = run(&mut client, &session, "set hs2router.test=1");
    assert!(!operation.has_result_set);
    assert!(all_rows(&mut client, &operation).is_empty());
    assert_eq!(ask(&mut client, &session, "set hs2router.test"), [["hs2router.test=1"]], "one column");
}

fn spark_has_an_empty_column_where_there_is_no_result(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "use `default`");
    assert!(operation.has_result_set);
    let schema = metadata(&mut client, &operation).schema.unwrap();
    assert_eq!(schema.columns.len(), 1);
    assert!(all_rows(&mut client, &operation).is_empty());
}

/// A statement that has begun to sleep, and its session's connection.
fn slow(target: &Target) -> (Hs2Client, TOperationHandle) {
    let (mut client, session) = session(target);
    let operation = begin(&mut client, &session, target.dialect.slow());
    crate::driver::eventually("it runs", || {
        status(&mut client, &operation).operation_state == Some(TOperationState::RUNNING_STATE)
    });
    (client, operation)
}

fn a_cancelled_statement_keeps_its_schema_on_spark_only(target: &Target) {
    let (mut client, operation) = slow(target);
    let cancel = TCancelOperationReq::new(operation.clone());
    for _ in 0..2 {
        succeeded(&client.service().cancel_operation(cancel.clone()).unwrap().status);
    }
    let words = refused(&try_fetch(&mut client, &operation, 10).status).message;
    let schema = metadata(&mut client, &operation);
    if target.flavor == Flavor::Hive {
        assert_eq!(words, "Expected states: [FINISHED], but found CANCELED");
        let words = refused(&schema.status).message;
        assert_eq!(words, "Expected states: [RUNNING, FINISHED], but found CANCELED");
    } else {
        assert_eq!(words, "Expected state FINISHED, but found CANCELED");
        assert_eq!(schema.schema.unwrap().columns.len(), 1);
    }
    succeeded(&close(&mut client, &operation));
}

fn a_fetch_never_waits_and_says_what_it_waits_for(target: &Target) {
    let (mut client, operation) = slow(target);
    let words = refused(&try_fetch(&mut client, &operation, 10).status).message;
    let expected = match target.flavor {
        Flavor::Hive => "Expected states: [FINISHED], but found RUNNING",
        _ => "Expected state FINISHED, but found RUNNING",
    };
    assert_eq!(words, expected);
    assert_eq!(metadata(&mut client, &operation).schema.unwrap().columns.len(), 1);
    succeeded(&close(&mut client, &operation));
}

fn hive_tells_when_a_statement_began_and_whether_it_has_rows(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let told = status(&mut client, &operation);
    assert_eq!((told.has_result_set, told.num_modified_rows), (Some(true), Some(0)));
    assert!(told.operation_completed.unwrap() >= told.operation_started.unwrap());
    let operation = run(&mut client, &session, "use `default`");
    assert_eq!(status(&mut client, &operation).has_result_set, Some(false));
}

fn hive_tells_the_log_once_and_again_from_the_first(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    let (next, first) = (TFetchOrientation::FETCH_NEXT, TFetchOrientation::FETCH_FIRST);
    let mut told = log(&mut client, &operation, next, 2);
    assert_eq!(told.len(), 2);
    assert!(told[0].contains("select 1"), "{told:?}");
    told.extend(log(&mut target.connect(), &operation, next, 0));
    assert!(log(&mut client, &operation, next, 100).is_empty(), "nothing is new");
    let again = log(&mut client, &operation, first, 1000);
    assert_eq!(again[..told.len()], told);
    assert_eq!(all_rows(&mut client, &operation), [["1"]], "the rows are still there");
}

fn spark_has_an_empty_log(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    for orientation in [TFetchOrientation::FETCH_NEXT, TFetchOrientation::FETCH_FIRST] {
        assert!(log(&mut client, &operation, orientation, 100).is_empty());
    }
}

fn there_is_no_log_of_what_is_closed(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    succeeded(&close(&mut client, &operation));
    let request = TFetchResultsReq::new(operation, TFetchOrientation::FETCH_NEXT, 10, 1);
    let words = refused(&client.service().fetch_results(request).unwrap().status).message;
    assert!(words.starts_with("Invalid OperationHandle: "), "{words}");
}

fn hive_fetches_from_the_first_but_not_backwards(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    assert_eq!(all_rows(&mut client, &operation), [["1"]]);
    let again = fetch_from(&mut client, &operation, TFetchOrientation::FETCH_FIRST);
    assert_eq!(client::texts(&again.results.unwrap()), [["1"]]);
    let back = refused(&fetch_from(&mut client, &operation, TFetchOrientation::FETCH_PRIOR).status);
    assert_eq!(back.message, "The fetch type FETCH_PRIOR is not supported for this resultset");
    assert_eq!(back.sql_state.as_deref(), Some("HY106"));
}

fn spark_fetches_backwards(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, "select 1");
    assert_eq!(all_rows(&mut client, &operation), [["1"]]);
    let back = fetch_from(&mut client, &operation, TFetchOrientation::FETCH_PRIOR);
    assert_eq!(client::texts(&back.results.unwrap()), [["1"]]);
}

fn a_fetch_brings_ten_thousand_rows_at_most_on_hive(target: &Target) {
    let (mut client, session) = session(target);
    let operation = run(&mut client, &session, &target.dialect.rows(20_000));
    let rows = client::texts(&fetch(&mut client, &operation, 15_000).0).len();
    assert_eq!(rows, if target.flavor == Flavor::Hive { 10_000 } else { 15_000 });
}

fn hive_has_three_names_for_sessions_that_are_there(target: &Target) {
    let (mut client, session) = session(target);
    let mut name = |kind| {
        let response = client.service().get_info(TGetInfoReq::new(session.clone(), kind)).unwrap();
        let TGetInfoValue::StringValue(text) = response.info_value else { panic!("no text") };
        text
    };
    assert_eq!(name(TGetInfoType::CLI_SERVER_NAME), "Hive");
    assert_eq!(name(TGetInfoType::CLI_DBMS_NAME), "Apache Hive");
    assert!(name(TGetInfoType::CLI_DBMS_VER).starts_with(|first: char| first.is_ascii_digit()));
    // A session that is not there costs the connection, of which the router tells.
    let mut other = target.connect();
    other.open(&[]).unwrap();
    let unknown = TSessionHandle::new(unheard_of());
    let answer = other.service().get_info(TGetInfoReq::new(unknown, TGetInfoType::CLI_SERVER_NAME));
    match answer {
        Ok(told) => assert_eq!(refused(&told.status).sql_state.as_deref(), Some("08S01")),
        // Over HTTP the server itself says 500.
        Err(_) => assert!(!target.is_routed() || target.http().is_some(), "the router tells of it"),
    }
}
