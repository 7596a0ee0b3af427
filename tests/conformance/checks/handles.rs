//! Handles that are unknown, forged, malformed, or someone else's.

use hs2router::fake::client::Hs2Client;
use hs2router::idl::impala_service::{
    TCloseImpalaOperationReq, TGetExecSummaryReq, TGetRuntimeProfileReq, TImpalaHiveServer2ServiceSyncClient,
};
use hs2router::idl::t_c_l_i_service::{
    TCancelOperationReq, TCloseOperationReq, TCloseSessionReq, TExecuteStatementReq, TFetchOrientation,
    TFetchResultsReq, TGetCatalogsReq, TGetInfoReq, TGetInfoType, TGetQueryIdReq, TGetResultSetMetadataReq,
    TGetSchemasReq, THandleIdentifier, TOperationHandle, TOperationState, TOperationType, TSessionHandle,
    TStatus, TTCLIServiceSyncClient,
};

use crate::check::{Flavor, checks};
use crate::driver::{
    all_rows, ask, assert_unanswered, begin, close, forged, hang_up, printed, refused, run, status,
    succeeded, unheard_of,
};
use crate::target::Target;

checks![
    ALL, [], "Impala: impala-server.cc GetSessionState; measured on Spark 3.5" => an_unknown_session_is_refused_by_every_call_that_names_one;
    ALL, [], "Impala: test_hs2.py test_close_session; measured on Spark 3.5" => a_session_with_a_wrong_secret_is_unknown;
    ALL, [], "Impala: impala-hs2-server.cc (error code 150), test_invalid_query_handle; measured on Spark 3.5" => an_unknown_operation_is_refused_by_every_call_that_names_one;
    IMPALA, [], "Impala: impala-hs2-server.cc CloseImpalaOperation" => an_unknown_operation_is_refused_by_impalas_close;
    IMPALA, [], "Impala: impala-hs2-server.cc (LEGACY_INVALID_QUERY_HANDLE_TEMPLATE), test_fetch.py test_invalid_secret" => an_operation_with_a_wrong_secret_is_not_found;
    SERVICE, [], "Hive: HandleIdentifier equals; measured on Spark 3.5" => an_operation_with_a_wrong_secret_is_unknown;
    IMPALA, [], "Impala: impala-server.inline.h THandleIdentifierToTUniqueId" => a_handle_of_15_bytes_is_malformed;
    IMPALA, [], "Impala: impala-server.inline.h THandleIdentifierToTUniqueId" => an_empty_session_handle_is_malformed;
    SERVICE, [], "Hive: HandleIdentifier constructor (BufferUnderflowException); measured on Spark 3.5: it closes" => a_malformed_handle_costs_no_more_than_its_connection;
    IMPALA, [], "Impala: impala-hs2-server.cc GetOperationStatus" => the_status_of_an_empty_guid_is_finished;
    IMPALA, [], "Impala: impala-hs2-server.cc ExecuteStatement" => an_operation_has_its_sessions_secret;
    IMPALA, [], "Impala: uid-util.h UuidToQueryId" => a_query_id_ends_in_zeros;
    IMPALA, [], "Impala: impala-hs2-server.cc GetQueryId" => the_query_id_is_told_in_text_without_a_look_at_the_handle;
    ALL, [], "Impala: impala-server.cc WithSession; measured on Spark 3.5" => an_operation_is_fetched_and_closed_from_a_second_connection;
    IMPALA, [], "Impala: test_hs2.py test_close_connection" => an_operation_outlives_its_connection;
    ALL, [], "Impala: test_hs2.py test_concurrent_unregister" => a_handle_is_used_by_many_connections_at_once;
    IMPALA, [Passwords, SecondUser], "Impala: impala-server.cc WithSession (UNAUTHORIZED_SESSION_USER)" => another_user_cannot_use_a_session;
    SERVICE, [Login, SecondUser], "Measured on Spark 3.5 and Hive 4.0.1" => another_user_may_use_a_session_whose_handle_it_knows;
    IMPALA, [], "Impala: impala-hs2-server.cc GetRuntimeProfile, GetExecSummary" => a_profile_needs_the_sessions_secret_and_not_the_operations;
    IMPALA, [], "Impala: impala-hs2-server.cc GetTables sets the handle in any case" => a_failed_metadata_call_has_an_empty_operation_handle;
];

fn session(handle: THandleIdentifier) -> TSessionHandle {
    TSessionHandle::new(handle)
}

fn operation(handle: THandleIdentifier) -> TOperationHandle {
    TOperationHandle::new(handle, TOperationType::EXECUTE_STATEMENT, true, None)
}

/// The answers of calls that carry a session's handle.
fn session_calls(client: &mut Hs2Client, session: &TSessionHandle) -> Vec<TStatus> {
    let execute = TExecuteStatementReq::new(session.clone(), "select 1".to_owned(), None, true, None);
    vec![
        client.service().execute_statement(execute).unwrap().status,
        client.service().get_catalogs(TGetCatalogsReq::new(session.clone())).unwrap().status,
        client.service().get_schemas(TGetSchemasReq::new(session.clone(), None, None)).unwrap().status,
        client.service().close_session(TCloseSessionReq::new(session.clone())).unwrap().status,
    ]
}

/// The answers of calls that carry an operation's handle.
fn operation_calls(client: &mut Hs2Client, operation: &TOperationHandle) -> Vec<TStatus> {
    let metadata = TGetResultSetMetadataReq::new(operation.clone());
    let next = TFetchOrientation::FETCH_NEXT;
    let fetch = TFetchResultsReq::new(operation.clone(), next, 10, None);
    vec![
        status(client, operation).status,
        client.service().get_result_set_metadata(metadata).unwrap().status,
        client.service().fetch_results(fetch).unwrap().status,
        client.service().cancel_operation(TCancelOperationReq::new(operation.clone())).unwrap().status,
        client.service().close_operation(TCloseOperationReq::new(operation.clone())).unwrap().status,
    ]
}

fn assert_unknown_session(target: &Target, session: &TSessionHandle, statuses: &[TStatus]) {
    for status in statuses {
        let refused = refused(status);
        if target.flavor == Flavor::Impala {
            let text = format!("Invalid session id: {}\n", printed(&session.session_id));
            assert_eq!((refused.message, refused.sql_state.as_deref()), (text, Some("HY000")));
        } else {
            let known = ["Invalid SessionHandle: SessionHandle [", "does not exist"];
            assert!(known.iter().any(|text| refused.message.contains(text)), "{refused:?}");
        }
    }
}

fn an_unknown_session_is_refused_by_every_call_that_names_one(target: &Target) {
    let mut client = target.connect();
    client.open(&[]).unwrap();
    let unknown = session(unheard_of());
    let statuses = session_calls(&mut client, &unknown);
    assert_unknown_session(target, &unknown, &statuses);
}

fn a_session_with_a_wrong_secret_is_unknown(target: &Target) {
    let mut client = target.connect();
    let real = client.open(&[]).unwrap();
    let forged = session(forged(&real.session_id));
    let statuses = session_calls(&mut client, &forged);
    assert_unknown_session(target, &forged, &statuses);
    assert_eq!(ask(&mut client, &real, "select 1"), [["1"]]);
}

fn an_unknown_operation_is_refused_by_every_call_that_names_one(target: &Target) {
    let mut client = target.connect();
    client.open(&[]).unwrap();
    let unknown = operation(unheard_of());
    let id = printed(&unknown.operation_id);
    let statuses = operation_calls(&mut client, &unknown);
    // Hive sees nothing in a CancelOperation of what is gone: its status is not looked at there.
    for status in statuses {
        let refused = refused(&status);
        if target.flavor == Flavor::Impala {
            let text = format!("Query {id} failed:\nInvalid or unknown query handle: {id}.\n\n");
            assert_eq!((refused.message, refused.sql_state.as_deref()), (text, Some("HY000")));
        } else {
            assert!(refused.message.contains("Invalid OperationHandle"), "{refused:?}");
        }
    }
    if target.flavor == Flavor::Impala {
        let state = status(&mut client, &unknown).operation_state;
        assert_eq!(state, Some(TOperationState::ERROR_STATE));
    }
}

fn an_unknown_operation_is_refused_by_impalas_close(target: &Target) {
    let mut client = target.connect();
    client.open(&[]).unwrap();
    let request = TCloseImpalaOperationReq::new(operation(unheard_of()));
    let response = client.service().close_impala_operation(request).unwrap();
    assert!(refused(&response.status).message.contains("Invalid or unknown query handle: "));
    assert!(response.dml_result.is_none());
}

fn an_operation_with_a_wrong_secret_is_not_found(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let real = run(&mut client, &session, "select 1");
    let id = printed(&real.operation_id);
    let forged = TOperationHandle { operation_id: forged(&real.operation_id), ..real.clone() };
    for status in operation_calls(&mut client, &forged) {
        let refused = refused(&status);
        let text = format!("Query {id} failed:\nQuery id {id} not found.\n\n");
        assert_eq!((refused.message, refused.sql_state.as_deref()), (text, Some("HY000")));
    }
    assert_eq!(all_rows(&mut client, &real), [["1"]]);
}

fn an_operation_with_a_wrong_secret_is_unknown(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let real = run(&mut client, &session, "select 1");
    let forged = TOperationHandle { operation_id: forged(&real.operation_id), ..real.clone() };
    for status in operation_calls(&mut client, &forged) {
        assert!(refused(&status).message.contains("Invalid OperationHandle"));
    }
    assert_eq!(all_rows(&mut client, &real), [["1"]]);
}

fn a_handle_of_15_bytes_is_malformed(target: &Target) {
    let mut client = target.connect();
    let real = client.open(&[]).unwrap();
    let mut short = real.session_id.clone();
    short.guid.pop();
    let text = "Malformed THandleIdentifier (guid size: 15, expected 16, secret size: 16, expected 16)\n";
    for status in session_calls(&mut client, &session(short.clone())) {
        let refused = refused(&status);
        assert_eq!((refused.message.as_str(), refused.sql_state.as_deref()), (text, Some("HY000")));
    }
    for status in operation_calls(&mut client, &operation(short)) {
        assert!(refused(&status).message.contains("Malformed THandleIdentifier (guid size: 15, "));
    }
    ask(&mut client, &real, "select 1");
}

fn an_empty_session_handle_is_malformed(target: &Target) {
    let mut client = target.connect();
    let real = client.open(&[]).unwrap();
    let empty = session(THandleIdentifier::new(Vec::new(), Vec::new()));
    for status in session_calls(&mut client, &empty) {
        assert!(
            refused(&status).message.contains("(guid size: 0, expected 16, secret size: 0, expected 16)")
        );
    }
    ask(&mut client, &real, "select 1");
}

fn a_malformed_handle_costs_no_more_than_its_connection(target: &Target) {
    let mut client = target.connect();
    let real = client.open(&[]).unwrap();
    let mut short = real.session_id.clone();
    short.guid.pop();
    for handle in [short, THandleIdentifier::new(Vec::new(), Vec::new())] {
        let mut other = target.connect();
        other.open(&[]).unwrap();
        let request = TGetInfoReq::new(session(handle), TGetInfoType::CLI_MAX_TABLE_NAME_LEN);
        match other.service().get_info(request) {
            // The router tells of the link that it lost by this.
            Ok(response) => drop(refused(&response.status)),
            Err(thrift::Error::Application(error)) => {
                assert_eq!(error.kind, thrift::ApplicationErrorKind::InternalError, "{error}");
            }
            Err(thrift::Error::Transport(error)) => {
                assert_unanswered(&error, target);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(ask(&mut client, &real, "select 1"), [["1"]]);
}

fn the_status_of_an_empty_guid_is_finished(target: &Target) {
    let mut client = target.connect();
    client.open(&[]).unwrap();
    let response = status(&mut client, &operation(THandleIdentifier::new(Vec::new(), Vec::new())));
    succeeded(&response.status);
    assert_eq!(response.operation_state, Some(TOperationState::FINISHED_STATE));
}

fn an_operation_has_its_sessions_secret(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let operation = run(&mut client, &session, "select 1");
    assert_eq!(operation.operation_id.secret, session.session_id.secret);
    assert_ne!(operation.operation_id.guid, session.session_id.guid);
}

fn a_query_id_ends_in_zeros(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let operation = run(&mut client, &session, "select 1");
    assert_eq!(operation.operation_id.guid[8..12], [0; 4]);
    assert!(printed(&operation.operation_id).ends_with("00000000"));
}

fn the_query_id_is_told_in_text_without_a_look_at_the_handle(target: &Target) {
    let mut client = target.connect();
    client.open(&[]).unwrap();
    let mut id =
        |handle| client.service().get_query_id(TGetQueryIdReq::new(operation(handle))).unwrap().query_id;
    let unknown = unheard_of();
    assert_eq!(id(unknown.clone()), printed(&unknown));
    assert_eq!(id(THandleIdentifier::new(vec![1; 15], vec![1; 16])), "");
}

fn an_operation_is_fetched_and_closed_from_a_second_connection(target: &Target) {
    let (mut first, mut second) = (target.connect(), target.connect());
    let session = first.open(&[]).unwrap();
    let operation = run(&mut first, &session, &target.dialect.rows(5));
    succeeded(&status(&mut second, &operation).status);
    assert_eq!(all_rows(&mut second, &operation).len(), 5);
    succeeded(&close(&mut second, &operation));
    refused(&close(&mut first, &operation));
}

fn an_operation_outlives_its_connection(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[]).unwrap();
    let operation = begin(&mut first, &session, &target.dialect.rows(5));
    hang_up(first.stream());
    assert_eq!(all_rows(&mut target.connect(), &operation).len(), 5);
}

fn a_handle_is_used_by_many_connections_at_once(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[]).unwrap();
    let operation = run(&mut first, &session, &target.dialect.rows(1000));
    let clients: Vec<_> = (0..10).map(|_| target.connect()).collect();
    std::thread::scope(|scope| {
        for mut client in clients {
            let operation = &operation;
            scope.spawn(move || succeeded(&status(&mut client, operation).status));
        }
    });
    let clients: Vec<_> = (0..10).map(|_| target.connect()).collect();
    let closed: usize = std::thread::scope(|scope| {
        let close_one = |mut client| usize::from(close(&mut client, &operation).error_message.is_none());
        let closing: Vec<_> =
            clients.into_iter().map(|client| scope.spawn(move || close_one(client))).collect();
        closing.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(closed, 1, "one close finds the operation, the others do not");
}

fn another_user_cannot_use_a_session(target: &Target) {
    let (mut first, mut second) = (target.connect(), target.connect_second());
    let session = first.open(&[]).unwrap();
    let operation = run(&mut first, &session, "select 1");
    let text = format!(
        "The user authorized on the connection '{}' does not match the session username '{}'\n",
        target.second().user,
        target.account().user
    );
    for status in session_calls(&mut second, &session) {
        assert_eq!(refused(&status).message, text);
    }
    for status in operation_calls(&mut second, &operation) {
        assert!(refused(&status).message.contains(text.trim_end()), "{status:?}");
    }
    assert_eq!(all_rows(&mut first, &operation), [["1"]]);
}

fn another_user_may_use_a_session_whose_handle_it_knows(target: &Target) {
    let (mut first, mut second) = (target.connect(), target.connect_second());
    let session = first.open(&[]).unwrap();
    assert_eq!(ask(&mut second, &session, target.dialect.user()), [[target.account().user.clone()]]);
}

fn a_profile_needs_the_sessions_secret_and_not_the_operations(target: &Target) {
    let mut client = target.connect();
    let real = client.open(&[]).unwrap();
    let mut operation = run(&mut client, &real, "select 1");
    operation.operation_id = forged(&operation.operation_id);
    let mut ask = |session: &TSessionHandle| {
        let profile = TGetRuntimeProfileReq::new(operation.clone(), session.clone(), None, None);
        let summary = TGetExecSummaryReq::new(operation.clone(), session.clone(), None);
        let profile = client.service().get_runtime_profile(profile).unwrap().status;
        [profile, client.service().get_exec_summary(summary).unwrap().status]
    };
    ask(&real).iter().for_each(succeeded);
    for status in ask(&session(forged(&real.session_id))) {
        assert!(refused(&status).message.starts_with("Invalid session id: "));
    }
}

fn a_failed_metadata_call_has_an_empty_operation_handle(target: &Target) {
    let mut client = target.connect();
    client.open(&[]).unwrap();
    let request = TGetSchemasReq::new(session(unheard_of()), None, None);
    let response = client.service().get_schemas(request).unwrap();
    refused(&response.status);
    let handle = response.operation_handle.unwrap().operation_id;
    assert!(handle.guid.is_empty() && handle.secret.is_empty());
}
