//! What a well coordinator does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::client::{self, CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Id, Settings};
use hs2router::idl::beeswax::{BeeswaxException, QueryHandle, QueryState, TBeeswaxServiceSyncClient};
use hs2router::idl::impala_service::{
    TGetExecSummaryReq, TGetRuntimeProfileReq, TImpalaHiveServer2ServiceSyncClient, TImpalaServiceSyncClient,
};
use hs2router::idl::t_c_l_i_service::{
    TFetchOrientation, TFetchResultsReq, TGetInfoReq, TGetInfoType, TGetInfoValue, TGetQueryIdReq,
    TGetResultSetMetadataReq, TGetSchemasReq, TGetTablesReq, TOpenSessionReq, TOperationHandle,
    TOperationState, TProtocolVersion, TSessionHandle, TStatusCode, TTCLIServiceSyncClient,
};

use super::*;

fn id(operation: &TOperationHandle) -> Id {
    Id(operation.operation_id.guid.clone().try_into().unwrap())
}

#[test]
fn a_statement_comes_back_with_its_rows() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let rows = client.query(&session, "select 1 as a, 'x', null, true, coordinator()").unwrap();
    assert_eq!(rows, [["1", "x", "NULL", "true", "c1"]]);
    client.close_session(&session).unwrap();
    assert!(coordinator.open_sessions().is_empty());
}

#[test]
fn the_row_generator_gives_every_row_once_over_many_fetches() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let rows = client.query(&session, "select * from rows(20000, 14)").unwrap();
    assert_eq!(rows.len(), 20_000);
    for (row, number) in rows.iter().zip(0..) {
        assert_eq!(row[0], format!("{number}"));
        assert_eq!(row.len(), 14);
    }
}

#[test]
fn a_reply_longer_than_the_write_buffer_passes_sasl_in_several_frames() {
    let coordinator = secured();
    let mut client = hs2_as(&coordinator, "ann", "nna");
    let session = client.open(&[]).unwrap();
    let rows = client.query(&session, "select * from rows(50, 'string(100000)')").unwrap();
    assert_eq!(rows.len(), 50);
    assert!(rows.iter().all(|row| row[0].len() == 100_000));
}

#[test]
fn the_protocol_version_is_capped_at_v6() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    for (asked, given) in [(0, 0), (5, 5), (6, 5), (10, 5)] {
        let request = TOpenSessionReq::new(TProtocolVersion(asked), None, None, None);
        let response = client.service().open_session(request).unwrap();
        assert_eq!(response.server_protocol_version.0, given, "asked for {asked}");
    }
}

#[test]
fn a_client_below_v6_gets_rows_instead_of_columns() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let request = TOpenSessionReq::new(TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V1, None, None, None);
    let session = client.service().open_session(request).unwrap().session_handle.unwrap();
    let operation = client.execute(&session, "select * from rows(3, 14)").unwrap();
    let (set, more) = client.fetch(&operation, 100).unwrap();
    let set = set.unwrap();
    assert_eq!((set.rows.len(), set.columns, more), (3, None, false));
}

#[test]
fn opening_a_session_tells_all_query_options_and_where_the_web_pages_are() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let configuration = [("mem_limit", "2g"), ("set:hiveconf:MT_DOP", "4"), ("set:hivevar:x", "1")];
    let configuration =
        configuration.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let request = TOpenSessionReq::new(
        TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6,
        "ann".to_owned(),
        None,
        Some(configuration),
    );
    let response = client.service().open_session(request).unwrap();
    let options = response.configuration.unwrap();
    assert_eq!(options["http_addr"], coordinator.web().to_string());
    assert_eq!((options["MEM_LIMIT"].as_str(), options["MT_DOP"].as_str()), ("2g", "4"));
    assert!(options.len() > 40);
    let session = response.session_handle.unwrap();
    assert_eq!(client.query(&session, "select user()").unwrap(), [["ann"]]);
}

#[test]
fn the_database_of_a_session_comes_from_its_configuration_and_from_use() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[("use:database", "not_checked")]).unwrap();
    assert_eq!(client.query(&session, "select current_database()").unwrap(), [["not_checked"]]);
    let operation = client.execute(&session, "USE demo").unwrap();
    assert!(!operation.has_result_set);
    assert_eq!(client.query(&session, "select current_database()").unwrap(), [["demo"]]);
}

#[test]
fn the_delegated_user_is_the_effective_user() {
    let coordinator = secured();
    let mut client = hs2_as(&coordinator, "ann", "nna");
    let session = client.open(&[("impala.doas.user", "carol")]).unwrap();
    let rows = client.query(&session, "select user(), effective_user()").unwrap();
    assert_eq!(rows, [["ann", "carol"]]);
}

#[test]
fn set_all_lists_option_value_and_level() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    client.query(&session, "set mem_limit=3g").unwrap();
    let operation = client.execute(&session, "set all").unwrap();
    let request = TGetResultSetMetadataReq::new(operation.clone());
    let schema = client.service().get_result_set_metadata(request).unwrap().schema.unwrap();
    let names: Vec<_> = schema.columns.iter().map(|column| column.column_name.as_str()).collect();
    assert_eq!(names, ["option", "value", "level"]);
    let (set, _) = client.fetch(&operation, 1000).unwrap();
    assert!(
        client::texts(&set.unwrap()).contains(&["MEM_LIMIT", "3g", "REGULAR"].map(str::to_owned).to_vec())
    );
}

#[test]
fn a_handle_works_on_any_connection() {
    let coordinator = open();
    let (mut first, mut second) = (hs2(&coordinator), hs2(&coordinator));
    let session = first.open(&[]).unwrap();
    let operation = first.execute(&session, "select * from rows(4)").unwrap();
    drop(first);
    let (set, _) = second.fetch(&operation, 10).unwrap();
    assert_eq!(client::texts(&set.unwrap()).len(), 4);
    second.ping(&session).unwrap();
}

#[test]
fn an_unknown_session_and_a_wrong_secret_are_refused_alike() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let mut forged = session.clone();
    forged.session_id.secret = vec![0; 16];
    let mut unknown = session.clone();
    unknown.session_id.guid = vec![1; 16];
    let text = |session: &TSessionHandle| {
        let guid = session.session_id.guid.clone().try_into().unwrap();
        format!("Invalid session id: {}\n", Id(guid))
    };
    assert_eq!(refusal(client.ping(&forged)), text(&forged));
    assert_eq!(refusal(client.execute(&unknown, "select 1")), text(&unknown));
    client.close_session(&session).unwrap();
    assert_eq!(refusal(client.close_session(&session)), text(&session));
}

#[test]
fn a_malformed_handle_is_refused_with_its_sizes() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let mut session = client.open(&[]).unwrap();
    session.session_id.guid.pop();
    assert_eq!(
        refusal(client.ping(&session)),
        "Malformed THandleIdentifier (guid size: 15, expected 16, secret size: 16, expected 16)\n"
    );
}

#[test]
fn an_unknown_operation_and_a_wrong_secret_are_refused_differently() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select 1").unwrap();
    let id = id(&operation);
    assert_eq!(operation.operation_id.secret, session.session_id.secret);
    let mut forged = operation.clone();
    forged.operation_id.secret[0] ^= 1;
    let text = refusal(client.fetch(&forged, 1));
    assert_eq!(text, format!("Query {id} failed:\nQuery id {id} not found.\n\n"));
    client.close(&operation).unwrap();
    let text = refusal(client.fetch(&operation, 1));
    assert_eq!(text, format!("Query {id} failed:\nInvalid or unknown query handle: {id}.\n\n"));
}

#[test]
fn another_user_cannot_use_a_session_whose_handle_it_knows() {
    let coordinator = secured();
    let (mut ann, mut bob) = (hs2_as(&coordinator, "ann", "nna"), hs2_as(&coordinator, "bob", "bob"));
    let session = ann.open(&[]).unwrap();
    let operation = ann.execute(&session, "select 1").unwrap();
    let expected = "The user authorized on the connection 'bob' does not match the session username 'ann'\n";
    assert_eq!(refusal(bob.ping(&session)), expected);
    assert_eq!(refusal(bob.fetch(&operation, 1)), expected);
}

#[test]
fn a_wrong_password_is_a_bare_close() {
    let coordinator = secured();
    for (user, password) in [("ann", "ann"), ("nobody", "x"), ("ann", "")] {
        let refused = Hs2Client::connect(coordinator.hs2(), &Login::plain(user, password));
        let Err(CallError::Thrift(thrift::Error::Transport(error))) = refused else {
            panic!("{user} came in")
        };
        assert!(error.kind == thrift::TransportErrorKind::EndOfFile, "{error}");
    }
}

#[test]
fn an_unknown_sasl_mechanism_is_refused_by_name() {
    let coordinator = secured();
    let mut stream = TcpStream::connect(coordinator.hs2()).unwrap();
    stream.write_all(b"\x01\0\0\0\x06GSSAPI").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"\x03\0\0\0\x21Unsupported mechanism type GSSAPI");
}

#[test]
fn python_and_java_forms_of_the_sasl_response_are_both_accepted() {
    let coordinator = secured();
    for status in [2, 5] {
        let mut stream = TcpStream::connect(coordinator.hs2()).unwrap();
        let mut opening = b"\x01\0\0\0\x05PLAIN".to_vec();
        opening.extend_from_slice(&[status, 0, 0, 0, 11]);
        opening.extend_from_slice(b"ann\0ann\0nna");
        stream.write_all(&opening).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [5, 0, 0, 0, 0]);
    }
}

#[test]
fn syntax_and_analysis_errors_name_the_query() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let text = refusal(client.execute(&session, "selec 1"));
    assert!(text.starts_with("Query ") && text.contains(" failed:\nParseException: Syntax error in line 1:"));
    let text = refusal(client.execute(&session, "select * from t"));
    assert!(text.contains(" failed:\nAnalysisException: Could not resolve table reference: 't'"), "{text}");
    assert_eq!(coordinator.open_operations(), 0);
}

#[test]
fn an_unknown_option_is_ignored_at_open_and_an_error_with_a_statement() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[("no_such_option", "1")]).unwrap();
    let overlay = [("no_such_option".to_owned(), "1".to_owned())].into_iter().collect();
    let request = hs2router::idl::t_c_l_i_service::TExecuteStatementReq::new(
        session,
        "select 1".to_owned(),
        Some(overlay),
        true,
        None,
    );
    let status = client.service().execute_statement(request).unwrap().status;
    assert_eq!(status.error_message.unwrap(), "Invalid query option: no_such_option\n");
}

#[test]
fn a_running_statement_is_polled_until_it_is_finished() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(60000)").unwrap();
    assert_eq!(client.status(&operation).unwrap().0, TOperationState::RUNNING_STATE);
    let operation = client.execute(&session, "select sleep(20)").unwrap();
    let (set, more) = client.fetch(&operation, 10).unwrap();
    assert_eq!((client::texts(&set.unwrap()).len(), more), (1, false));
    assert_eq!(client.status(&operation).unwrap().0, TOperationState::FINISHED_STATE);
}

#[test]
fn a_fetch_that_waits_too_long_says_still_executing() {
    let fetch_timeout = Duration::from_millis(20);
    let coordinator = Coordinator::start(Settings { fetch_timeout, ..Settings::default() }).unwrap();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "sleep(60000)").unwrap();
    let request = TFetchResultsReq::new(operation, TFetchOrientation::FETCH_NEXT, 10, None);
    let response = client.service().fetch_results(request).unwrap();
    assert_eq!(response.status.status_code, TStatusCode::STILL_EXECUTING_STATUS);
    assert_eq!((response.results, response.has_more_rows), (None, Some(true)));
}

#[test]
fn a_failed_statement_shows_an_error_state_and_fails_its_fetch() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "fail('out of luck')").unwrap();
    let (state, message) = client.status(&operation).unwrap();
    assert_eq!((state, message.as_deref()), (TOperationState::ERROR_STATE, Some("out of luck\n")));
    let text = refusal(client.fetch(&operation, 1));
    assert_eq!(text, format!("Query {} failed:\nout of luck\n\n", id(&operation)));
    assert!(refusal(client.fetch(&operation, 1)).contains("Invalid or unknown query handle"));
}

#[test]
fn a_cancel_from_another_connection_ends_a_waiting_fetch() {
    let coordinator = open();
    let (mut waiting, mut other) = (hs2(&coordinator), hs2(&coordinator));
    let session = waiting.open(&[]).unwrap();
    let operation = waiting.execute(&session, "select sleep(60000)").unwrap();
    let fetched = std::thread::spawn({
        let operation = operation.clone();
        move || refusal(waiting.fetch(&operation, 1))
    });
    eventually("the fetch arrives", || coordinator.calls().iter().any(|call| call.method == "FetchResults"));
    other.cancel(&operation).unwrap();
    let text = fetched.join().unwrap();
    assert_eq!(text, format!("Query {} failed:\nCancelled\n\n", id(&operation)));
}

#[test]
fn closing_a_session_closes_its_operations() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    client.execute(&session, "select sleep(60000)").unwrap();
    assert_eq!(coordinator.open_operations(), 1);
    client.close_session(&session).unwrap();
    assert_eq!(coordinator.open_operations(), 0);
}

#[test]
fn dml_returns_its_row_count_when_it_is_closed() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "insert into t select * from rows(42)").unwrap();
    assert!(!operation.has_result_set);
    assert_eq!(client.close(&operation).unwrap(), Some(42));
    let operation = client.execute(&session, "select 1").unwrap();
    assert_eq!(client.close(&operation).unwrap(), None);
}

#[test]
fn profile_and_summary_work_after_close_and_need_the_session() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let mut operation = client.execute(&session, "select 1234").unwrap();
    client.close(&operation).unwrap();
    // The operation's secret does not count here, the session's does.
    operation.operation_id.secret = vec![0; 16];
    let ask =
        |session: &TSessionHandle| TGetRuntimeProfileReq::new(operation.clone(), session.clone(), None, None);
    let response = client.service().get_runtime_profile(ask(&session)).unwrap();
    let profile = response.profile.unwrap();
    assert!(profile.contains(&format!("Query (id={})", id(&operation))) && profile.contains("select 1234"));
    let request = TGetExecSummaryReq::new(operation.clone(), session.clone(), None);
    assert!(client.service().get_exec_summary(request).unwrap().summary.is_some());
    let mut forged = session;
    forged.session_id.secret = vec![0; 16];
    let response = client.service().get_runtime_profile(ask(&forged)).unwrap();
    assert!(response.status.error_message.unwrap().starts_with("Invalid session id: "));
}

#[test]
fn the_query_id_is_told_for_any_handle_of_the_right_form() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let mut operation = client.execute(&session, "select 1").unwrap();
    let text = id(&operation).to_string();
    operation.operation_id.secret = vec![0; 16];
    let response = client.service().get_query_id(TGetQueryIdReq::new(operation)).unwrap();
    assert_eq!(response.query_id, text);
}

#[test]
fn metadata_calls_answer_with_rows_and_fail_with_an_empty_handle() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let request = TGetSchemasReq::new(session.clone(), None, "d%".to_owned());
    let operation = client.service().get_schemas(request).unwrap().operation_handle.unwrap();
    let (set, _) = client.fetch(&operation, 100).unwrap();
    assert_eq!(client::texts(&set.unwrap()), [["default", ""], ["demo", ""]]);
    let mut unknown = session;
    unknown.session_id.guid = vec![1; 16];
    let request = TGetTablesReq::new(unknown, None, None, None, None);
    let response = client.service().get_tables(request).unwrap();
    assert_eq!(response.status.status_code, TStatusCode::ERROR_STATUS);
    let handle = response.operation_handle.unwrap();
    assert!(handle.operation_id.guid.is_empty() && handle.operation_id.secret.is_empty());
}

#[test]
fn get_info_names_the_server() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let request = TGetInfoReq::new(session, TGetInfoType::CLI_SERVER_NAME);
    let response = client.service().get_info(request).unwrap();
    assert_eq!(response.info_value, TGetInfoValue::StringValue("Impala".to_owned()));
}

#[test]
fn an_unknown_method_is_an_exception_and_the_connection_goes_on() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let Err(thrift::Error::Application(error)) = client.call_without_arguments("NoSuchMethod") else {
        panic!("it was known")
    };
    assert_eq!(error.kind, thrift::ApplicationErrorKind::UnknownMethod);
    assert_eq!(error.message, "Invalid method name: 'NoSuchMethod'");
    client.open(&[]).unwrap();
    let mut client = beeswax(&coordinator);
    assert!(client.call_without_arguments("OpenSession").is_err());
    assert_eq!(client.query("select 1").unwrap(), ["1"]);
}

#[test]
fn unreadable_arguments_cost_the_connection_without_a_reply() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let Err(thrift::Error::Transport(_)) = client.call_without_arguments("OpenSession") else {
        panic!("it was answered")
    };
}

#[test]
fn a_session_outlives_its_connections_for_a_while_and_no_longer() {
    let timeout = Duration::from_millis(30);
    let settings = Settings { disconnected_session_timeout: timeout, ..Settings::default() };
    let coordinator = Coordinator::start(settings).unwrap();
    let mut client = hs2(&coordinator);
    let kept = client.open(&[]).unwrap();
    let mut other = hs2(&coordinator);
    let lost = other.open(&[]).unwrap();
    drop(other);
    eventually("the session goes", || coordinator.open_sessions().len() == 1);
    client.ping(&kept).unwrap();
    assert!(refusal(client.ping(&lost)).starts_with("Invalid session id: "));
}

#[test]
fn an_expired_session_is_refused_until_it_is_closed() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    coordinator.expire_sessions();
    assert!(refusal(client.ping(&session)).starts_with("Client session expired due to more than"));
    client.close_session(&session).unwrap();
}

#[test]
fn a_session_expires_when_it_is_idle_for_longer_than_its_own_timeout_at_that_time() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let timeout = |seconds| [("idle_session_timeout", seconds)];
    let (short, long) = (client.open(&timeout("1")).unwrap(), client.open(&timeout("1")).unwrap());
    client.query(&long, "set idle_session_timeout=0").unwrap();
    let later = client.open(&[]).unwrap();
    client.query(&later, "set idle_session_timeout=1").unwrap();
    client.query(&later, "unset all").unwrap();
    let operation = client.execute(&short, "select 1").unwrap();
    let idle_since: Instant = clock::now();
    eventually("the timeout is over", || clock::now() - idle_since > Duration::from_millis(1001));
    for session in [&short, &later] {
        let message = refusal(client.ping(session));
        let words = "Client session expired due to more than 1s of inactivity (last activity was at: 20";
        assert!(message.starts_with(words) && message.ends_with(").\n"), "{message}");
    }
    assert!(refusal(client.fetch(&operation, 1)).contains("Invalid or unknown query handle"));
    client.ping(&long).unwrap();
}

#[test]
fn a_connection_whose_sessions_are_closed_ends_when_idle() {
    let idle_client_poll = Duration::from_millis(20);
    let coordinator = Coordinator::start(Settings { idle_client_poll, ..Settings::default() }).unwrap();
    let (never_used, mut client) = (hs2(&coordinator), hs2(&coordinator));
    let session = client.open(&[]).unwrap();
    client.close_session(&session).unwrap();
    eventually("the idle connection ends", || coordinator.connections() == 1);
    assert_eq!(client.stream().read(&mut [0]).unwrap(), 0);
    drop(never_used);
}

#[test]
fn a_beeswax_connection_is_a_session() {
    let coordinator = open();
    let mut client = beeswax(&coordinator);
    assert_eq!(client.service().echo("hello".to_owned()).unwrap(), "hello");
    assert_eq!(coordinator.open_sessions().len(), 1);
    client.execute("use demo", "ann").unwrap();
    assert_eq!(client.query("select user(), current_database()").unwrap(), ["ann\tdemo"]);
    client.execute("select sleep(60000)", "").unwrap();
    drop(client);
    eventually("session and operations go", || {
        coordinator.open_sessions().is_empty() && coordinator.open_operations() == 0
    });
}

#[test]
fn a_beeswax_query_is_cancelled_and_closed_from_any_connection() {
    let coordinator = open();
    let (mut first, mut second) = (beeswax(&coordinator), beeswax(&coordinator));
    let handle = first.execute("select sleep(60000)", "ann").unwrap();
    second.execute("select 1", "bob").unwrap();
    assert_eq!(first.service().get_state(handle.clone()).unwrap(), QueryState::RUNNING);
    assert!(second.service().get_state(handle.clone()).is_err(), "another user may not look");
    second.service().cancel(handle.clone()).unwrap();
    assert_eq!(first.service().get_state(handle.clone()).unwrap(), QueryState::EXCEPTION);
    second.service().close(handle.clone()).unwrap();
    let Err(thrift::Error::User(error)) = first.service().fetch(handle.clone(), false, 10) else {
        panic!("it is still there")
    };
    let error = error.downcast::<BeeswaxException>().unwrap();
    let id = handle.id.unwrap();
    let expected = format!("Query {id} failed:\nInvalid or unknown query handle: {id}.\n\n");
    assert_eq!(error.message, Some(expected));
}

#[test]
fn beeswax_shows_errors_profiles_and_row_counts() {
    let coordinator = open();
    let mut client = beeswax(&coordinator);
    let Err(CallError::Thrift(thrift::Error::User(error))) = client.execute("selec", "") else {
        panic!("it was understood")
    };
    assert_eq!(error.downcast::<BeeswaxException>().unwrap().s_q_l_state.unwrap(), "42000");
    let handle = client.execute("insert into t select * from rows(7)", "").unwrap();
    let result = client.service().close_insert(handle.clone()).unwrap();
    assert_eq!(result.rows_modified[""], 7);
    assert!(client.service().get_runtime_profile(handle).unwrap().contains("insert into t"));
    let unknown = QueryHandle::new("1:2".to_owned(), String::new());
    assert!(matches!(client.service().get_state(unknown), Err(thrift::Error::Application(_))));
}

#[test]
fn calls_are_logged_with_who_what_and_where() {
    let coordinator = secured();
    let mut client = hs2_as(&coordinator, "ann", "nna");
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select 1").unwrap();
    client.close(&operation).unwrap();
    let calls = coordinator.calls();
    let methods: Vec<_> = calls.iter().map(|call| call.method.as_str()).collect();
    assert_eq!(methods, ["OpenSession", "ExecuteStatement", "CloseImpalaOperation"]);
    assert!(calls.iter().all(|call| call.user.as_deref() == Some("ann") && call.executed));
    let guid = Id(session.session_id.guid.try_into().unwrap());
    assert_eq!((calls[0].session, calls[1].session), (Some(guid), Some(guid)));
    assert_eq!(calls[2].operation, Some(id(&operation)));
}

#[test]
fn the_web_port_shows_health_metrics_and_the_incarnation() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    client.execute(&session, "select sleep(60000)").unwrap();
    assert!(page(&coordinator, "/healthz").starts_with("HTTP/1.1 200 OK"));
    let before = metrics(&coordinator);
    assert_eq!(before["impala-server.num-open-hiveserver2-sessions"], 1);
    assert_eq!(before["impala-server.num-queries-registered"], 1);
    assert_eq!(before["impala.thrift-server.hiveserver2-frontend.connections-in-use"], 1);
    coordinator.restart();
    let after = metrics(&coordinator);
    assert_ne!(after["process-start-time"], before["process-start-time"]);
    assert_eq!(after["impala-server.num-open-hiveserver2-sessions"], 0);
}

/// One page of the web port, head and body.
pub(super) fn page(coordinator: &Coordinator, target: &str) -> String {
    let mut stream = TcpStream::connect(coordinator.web()).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn metrics(coordinator: &Coordinator) -> serde_json::Value {
    let page = page(coordinator, "/jsonmetrics?json");
    serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap()
}
