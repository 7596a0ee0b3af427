//! Beeswax, where the connection is the session.

use hs2router::fake::client::BeeswaxClient;
use hs2router::idl::beeswax::{BeeswaxException, Query, QueryHandle, QueryState, TBeeswaxServiceSyncClient};
use hs2router::idl::impala_service::{TErrorCode, TImpalaServiceSyncClient, TResetTableReq};
use hs2router::idl::t_c_l_i_service::TGetInfoResp;
use thrift::ApplicationErrorKind;

use crate::check::checks;
use crate::driver::{application_error, eventually, hang_up};
use crate::target::{Target, Transport};
use crate::wire::{bare_call, connect_to, reply};

checks![
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc query, fetch, close" => a_query_goes_through_all_its_calls;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc TUniqueIdToBeeswaxHandle, debug-util.cc PrintId" => a_handle_is_the_query_id_in_text;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc FetchInternal" => fetches_go_on_until_there_is_no_more;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc FetchInternal" => values_are_separated_by_tabs;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc get_state" => a_long_query_is_running;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc Cancel, close (no user check)" => a_query_is_cancelled_and_closed_from_another_connection;
    IMPALA, [Beeswax], "Impala: impala-server.cc CheckClientRequestSession" => a_query_is_fetched_from_another_connection;
    IMPALA, [Beeswax, Passwords, SecondUser], "Impala: impala-server.cc CheckClientRequestSession" => another_user_may_not_look_at_a_query;
    IMPALA, [Beeswax], "Impala: impala-server.cc ConnectionEnd" => the_end_of_the_connection_ends_its_queries;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc close" => closing_twice_is_an_exception;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc query, SQLSTATE_SYNTAX_ERROR_OR_ACCESS_VIOLATION" => a_syntax_error_is_an_exception_with_42000;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc get_state; beeswax.thrift declares no BeeswaxException there" => what_is_unknown_is_an_application_error_where_nothing_else_is_declared;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc RaiseBeeswaxException" => what_is_unknown_is_a_beeswax_exception_where_it_is_declared;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc fetch" => starting_over_is_unsupported;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc get_state" => a_failed_query_is_a_state;
    IMPALA, [Beeswax, Simulated], "Impala: impala-beeswax-server.cc CloseInsert" => closing_an_insert_tells_the_rows;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc GetRuntimeProfile, GetExecSummary" => profile_and_summary_are_there_after_the_close;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc executeAndWait" => execute_and_wait_keeps_the_clients_context;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc PingImpalaService, echo, dump_config" => calls_without_a_query_answer;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc get_default_configuration" => the_default_options_are_listed;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc clean" => clean_does_nothing_to_anything;
    IMPALA, [Beeswax], "Impala: impala-beeswax-server.cc ResetCatalog (DEPRECATED_RPC)" => resets_are_deprecated;
    IMPALA, [Beeswax], "Impala: impala-server.h SessionState" => a_connection_keeps_what_it_set;
    IMPALA, [Beeswax, NoSasl], "Impala: impala-beeswax-server.cc QueryToTQueryContext" => the_first_query_names_the_user;
    IMPALA, [Beeswax], "Thrift: TDispatchProcessor.h" => an_unknown_method_is_an_exception_and_the_connection_goes_on;
    IMPALA, [Beeswax], "Measured with node-impala, which pipelines" => pipelined_beeswax_calls_are_answered_in_order;
];

fn begin(client: &mut BeeswaxClient, sql: &str) -> QueryHandle {
    client.execute(sql, "").unwrap()
}

fn state(client: &mut BeeswaxClient, handle: &QueryHandle) -> QueryState {
    client.service().get_state(handle.clone()).unwrap()
}

fn finished(client: &mut BeeswaxClient, sql: &str) -> QueryHandle {
    let handle = begin(client, sql);
    eventually("the query is finished", || state(client, &handle) == QueryState::FINISHED);
    handle
}

fn lines(client: &mut BeeswaxClient, handle: &QueryHandle) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let results = client.service().fetch(handle.clone(), false, 1000).unwrap();
        lines.extend(results.data.unwrap_or_default());
        if !results.has_more.unwrap() {
            return lines;
        }
    }
}

fn unknown() -> QueryHandle {
    let id = format!("{:016x}:{:08x}00000000", rand::random::<u64>(), rand::random::<u32>());
    QueryHandle::new(id.clone(), id)
}

fn exception<T: std::fmt::Debug>(result: thrift::Result<T>) -> BeeswaxException {
    match result {
        Err(thrift::Error::User(error)) => *error.downcast().unwrap(),
        other => panic!("no exception: {other:?}"),
    }
}

fn a_query_goes_through_all_its_calls(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, "select 1 as one, 'x' as letter");
    let metadata = client.service().get_results_metadata(handle.clone()).unwrap();
    let fields = metadata.schema.unwrap().field_schemas.unwrap();
    let names: Vec<_> = fields.into_iter().map(|field| field.name.unwrap()).collect();
    assert_eq!(names, ["one", "letter"]);
    assert_eq!(lines(&mut client, &handle), ["1\tx"]);
    client.service().get_log(handle.log_context.clone().unwrap()).unwrap();
    client.service().close(handle).unwrap();
}

fn a_handle_is_the_query_id_in_text(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = begin(&mut client, "select 1");
    let id = handle.id.unwrap();
    assert_eq!(handle.log_context.as_deref(), Some(id.as_str()));
    let (high, low) = id.split_once(':').unwrap();
    assert!([high, low].iter().all(|part| part.len() == 16 && u64::from_str_radix(part, 16).is_ok()), "{id}");
    assert!(low.ends_with("00000000"), "{id}");
}

fn fetches_go_on_until_there_is_no_more(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, &target.dialect.rows(2500));
    let seen: Vec<_> = (0..3)
        .map(|_| client.service().fetch(handle.clone(), false, 1000).unwrap())
        .map(|results| (results.data.unwrap().len(), results.has_more.unwrap(), results.ready.unwrap()))
        .collect();
    assert_eq!(seen, [(1000, true, true), (1000, true, true), (500, false, true)]);
}

fn values_are_separated_by_tabs(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, &target.dialect.rows(3));
    assert_eq!(lines(&mut client, &handle), ["0\t0", "1\t1", "2\t2"]);
}

fn a_long_query_is_running(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = begin(&mut client, target.dialect.slow());
    eventually("it runs", || state(&mut client, &handle) == QueryState::RUNNING);
    client.service().cancel(handle.clone()).unwrap();
    client.service().close(handle).unwrap();
}

fn a_query_is_cancelled_and_closed_from_another_connection(target: &Target) {
    let (mut first, mut second) = (target.connect_beeswax(), target.connect_beeswax());
    let handle = begin(&mut first, target.dialect.slow());
    eventually("it runs", || state(&mut first, &handle) == QueryState::RUNNING);
    second.service().ping_impala_service().unwrap();
    let cancelled = second.service().cancel(handle.clone()).unwrap();
    assert_eq!(cancelled.status_code, TErrorCode::OK);
    eventually("it ends", || state(&mut first, &handle) == QueryState::EXCEPTION);
    second.service().close(handle.clone()).unwrap();
    application_error(first.service().get_state(handle));
}

fn a_query_is_fetched_from_another_connection(target: &Target) {
    let (mut first, mut second) = (target.connect_beeswax(), target.connect_beeswax());
    let handle = finished(&mut first, &target.dialect.rows(10));
    assert_eq!(lines(&mut second, &handle).len(), 10);
    second.service().get_log(handle.log_context.clone().unwrap()).unwrap();
    second.service().close(handle).unwrap();
}

fn another_user_may_not_look_at_a_query(target: &Target) {
    let mut first = target.connect_beeswax();
    let mut second =
        BeeswaxClient::connect(target.beeswax(), &target.second().login(Transport::Binary)).unwrap();
    let handle = finished(&mut first, "select 1");
    application_error(second.service().get_state(handle.clone()));
    exception(second.service().fetch(handle.clone(), false, 10));
    exception(second.service().get_runtime_profile(handle.clone()));
    assert_eq!(lines(&mut first, &handle), ["1"]);
    // Whoever knows the id may close.
    second.service().close(handle).unwrap();
}

fn the_end_of_the_connection_ends_its_queries(target: &Target) {
    let (mut first, mut second) = (target.connect_beeswax(), target.connect_beeswax());
    let handle = begin(&mut first, target.dialect.slow());
    second.service().get_state(handle.clone()).unwrap();
    hang_up(first.stream());
    eventually("the query is gone", || second.service().get_state(handle.clone()).is_err());
}

fn closing_twice_is_an_exception(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = begin(&mut client, "select 1");
    let id = handle.id.clone().unwrap();
    client.service().close(handle.clone()).unwrap();
    let error = exception(client.service().close(handle));
    assert_eq!(error.s_q_l_state.as_deref(), Some("HY000"));
    let text = format!("Query {id} failed:\nInvalid or unknown query handle: {id}.\n\n");
    assert_eq!(error.message, Some(text));
}

fn a_syntax_error_is_an_exception_with_42000(target: &Target) {
    let mut client = target.connect_beeswax();
    let query = Query::new("selec 1".to_owned(), Vec::new(), String::new());
    let error = exception(client.service().query(query));
    assert_eq!(error.s_q_l_state.as_deref(), Some("42000"));
    assert!(error.message.unwrap().contains("yntax error in line 1"));
    // Never set, and always there.
    assert_eq!(error.log_context.as_deref(), Some(""));
    assert!(error.handle.is_some());
    assert_eq!(client.query("select 1").unwrap(), ["1"]);
}

fn what_is_unknown_is_an_application_error_where_nothing_else_is_declared(target: &Target) {
    let mut client = target.connect_beeswax();
    begin(&mut client, "select 1");
    let handle = unknown();
    application_error(client.service().get_state(handle.clone()));
    application_error(client.service().get_results_metadata(handle.clone()));
    application_error(client.service().get_log(handle.id.unwrap()));
    assert_eq!(client.query("select 1").unwrap(), ["1"]);
}

fn what_is_unknown_is_a_beeswax_exception_where_it_is_declared(target: &Target) {
    let mut client = target.connect_beeswax();
    begin(&mut client, "select 1");
    let handle = unknown();
    let errors = [
        exception(client.service().fetch(handle.clone(), false, 10)),
        exception(client.service().close(handle.clone())),
        exception(client.service().close_insert(handle.clone())),
        exception(client.service().cancel(handle)),
    ];
    for error in errors {
        assert!(error.message.unwrap().contains("Invalid or unknown query handle: "));
    }
}

fn starting_over_is_unsupported(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, "select 1");
    let error = exception(client.service().fetch(handle.clone(), true, 10));
    assert_eq!(error.s_q_l_state.as_deref(), Some("HYC00"));
}

fn a_failed_query_is_a_state(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = begin(&mut client, target.dialect.failing());
    eventually("it fails", || state(&mut client, &handle) == QueryState::EXCEPTION);
    exception(client.service().fetch(handle, false, 10));
    assert_eq!(client.query("select 1").unwrap(), ["1"]);
}

fn closing_an_insert_tells_the_rows(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, "insert into t select * from rows(7)");
    let result = client.service().close_insert(handle).unwrap();
    assert_eq!(result.rows_modified.values().sum::<i64>(), 7);
}

fn profile_and_summary_are_there_after_the_close(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, "select 8765");
    client.service().close(handle.clone()).unwrap();
    assert!(client.service().get_runtime_profile(handle.clone()).unwrap().contains("select 8765"));
    client.service().get_exec_summary(handle).unwrap();
}

fn execute_and_wait_keeps_the_clients_context(target: &Target) {
    let mut client = target.connect_beeswax();
    let query = Query::new("select 1".to_owned(), Vec::new(), String::new());
    let handle = client.service().execute_and_wait(query, "my context".to_owned()).unwrap();
    assert_eq!(handle.log_context.as_deref(), Some("my context"));
    assert_eq!(state(&mut client, &handle), QueryState::FINISHED);
}

fn calls_without_a_query_answer(target: &Target) {
    let mut client = target.connect_beeswax();
    let ping = client.service().ping_impala_service().unwrap();
    assert!(!ping.version.unwrap().is_empty() && ping.webserver_address.is_some());
    assert_eq!(client.service().echo("hello".to_owned()).unwrap(), "hello");
    assert_eq!(client.service().dump_config().unwrap(), "");
}

fn the_default_options_are_listed(target: &Target) {
    let mut client = target.connect_beeswax();
    let variables = client.service().get_default_configuration(false).unwrap();
    assert!(variables.len() > 40);
    assert!(variables.iter().any(|it| it.key.as_deref() == Some("BATCH_SIZE") && it.level.is_some()));
}

fn clean_does_nothing_to_anything(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, "select 1");
    client.service().clean(handle.log_context.clone().unwrap()).unwrap();
    client.service().clean("whatever".to_owned()).unwrap();
    assert_eq!(lines(&mut client, &handle), ["1"]);
}

fn resets_are_deprecated(target: &Target) {
    let mut client = target.connect_beeswax();
    assert_ne!(client.service().reset_catalog().unwrap().status_code, TErrorCode::OK);
    let request = TResetTableReq::new("default".to_owned(), "t".to_owned());
    assert_ne!(client.service().reset_table(request).unwrap().status_code, TErrorCode::OK);
}

fn a_connection_keeps_what_it_set(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = finished(&mut client, "set batch_size=55");
    client.service().close(handle).unwrap();
    let all = client.query("set all").unwrap();
    assert!(all.iter().any(|line| line.starts_with("BATCH_SIZE\t55\t")), "{all:?}");
    let others = target.connect_beeswax().query("set all").unwrap();
    assert!(others.iter().any(|line| line.starts_with("BATCH_SIZE\t0\t")));
}

fn the_first_query_names_the_user(target: &Target) {
    let mut client = target.connect_beeswax();
    let handle = client.execute("select user()", "carol").unwrap();
    assert_eq!(lines(&mut client, &handle), ["carol"]);
    let handle = client.execute("select user()", "dave").unwrap();
    assert_eq!(lines(&mut client, &handle), ["carol"]);
}

fn an_unknown_method_is_an_exception_and_the_connection_goes_on(target: &Target) {
    let mut client = target.connect_beeswax();
    assert_eq!(client.query("select 1").unwrap(), ["1"]);
    let error = application_error(client.call_without_arguments("no_such_method"));
    assert_eq!(error.kind, ApplicationErrorKind::UnknownMethod);
    assert_eq!(error.message, "Invalid method name: 'no_such_method'");
    assert_eq!(client.query("select 1").unwrap(), ["1"]);
}

fn pipelined_beeswax_calls_are_answered_in_order(target: &Target) {
    let mut wire = connect_to(target.beeswax(), target);
    // A struct comes back from each: a ping has one in its success.
    let calls = [("PingImpalaService", 1), ("no_such_method", 2), ("PingImpalaService", 3)];
    let bytes: Vec<u8> = calls
        .iter()
        .flat_map(|(method, sequence)| wire.wrap(&bare_call(method, *sequence).encode()))
        .collect();
    wire.send(&bytes);
    for (method, sequence) in calls {
        if method == "no_such_method" {
            let reply = reply::<TGetInfoResp>(&mut wire);
            assert_eq!((reply.method.as_str(), reply.sequence), (method, sequence));
            assert!(reply.result.is_err());
        } else {
            let reply = reply::<hs2router::idl::impala_service::TPingImpalaServiceResp>(&mut wire);
            assert_eq!((reply.method.as_str(), reply.sequence), (method, sequence));
            assert!(reply.result.is_ok());
        }
    }
}
