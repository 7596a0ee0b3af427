//! Opening, configuring, sharing and closing sessions.

use std::collections::BTreeMap;

use hs2router::idl::impala_service::{
    TImpalaHiveServer2ServiceSyncClient, TPingImpalaHS2ServiceReq, TPingImpalaHS2ServiceResp,
};
use hs2router::idl::t_c_l_i_service::{
    TCloseOperationReq, TCloseSessionReq, TGetCatalogsReq, TGetInfoReq, TGetInfoType, TGetTypeInfoReq,
    TOpenSessionReq, TOpenSessionResp, TProtocolVersion, TSessionHandle, TStatusCode, TTCLIServiceSyncClient,
};

use crate::check::{Flavor, checks};
use crate::driver::{ask, eventually, hang_up, printed, refused, run, succeeded};
use crate::target::Target;

checks![
    IMPALA, [], "Impala: impala-hs2-server.cc MAX_SUPPORTED_HS2_VERSION" => the_protocol_is_capped_at_v6;
    SERVICE, [], "Hive: AbstractSession / TProtocolVersion; measured on Spark 3.5" => the_protocol_is_the_clients_up_to_v10;
    ALL, [], "Impala: impala-hs2-server.cc OpenSession; measured with impyla on Spark 3.5" => many_sessions_live_on_one_connection;
    ALL, [], "Impala: test_hs2.py test_multiple_sessions" => closing_one_session_leaves_the_others_of_its_connection;
    ALL, [], "Impala: impala-server.cc WithSession; measured on Spark 3.5" => a_session_is_used_from_a_second_connection;
    ALL, [], "Impala: impala-server.cc ConnectionEnd; measured on Spark 3.5" => a_session_outlives_a_connection_that_only_used_it;
    IMPALA, [], "Impala: impala-server.cc ConnectionEnd, test_hs2.py test_close_connection" => a_session_outlives_the_connection_that_opened_it;
    SERVICE, [Binary], "Hive: ThriftBinaryCLIService deleteContext; measured on Spark 3.5" => the_last_session_of_a_connection_ends_with_it;
    ALL, [], "Impala: test_hs2.py test_double_close_session; measured on Spark 3.5" => closing_a_session_twice_is_an_error;
    ALL, [], "Impala: impala-server.cc GetSessionState; measured on Spark 3.5" => a_closed_session_runs_nothing;
    IMPALA, [], "Impala: impala-hs2-server.cc OpenSession (use:database is not checked)" => a_session_opens_in_the_database_that_it_names;
    SERVICE, [], "Hive: HiveSessionImpl configureSession; measured on Spark 3.5" => opening_in_an_unknown_database_is_refused;
    ALL, [], "Impala: impala-hs2-server.cc OpenSession (IMPALA-11992); Spark: SparkSQLSessionManager openSession" => options_are_set_while_opening;
    IMPALA, [], "Impala: impala-hs2-server.cc OpenSession" => unknown_options_are_ignored_while_opening;
    IMPALA, [], "Impala: test_hs2.py test_open_session_http_addr, TQueryOptionsToMap" => opening_tells_all_options_and_the_web_address;
    IMPALA, [], "Impala: client-request-state.cc Exec (SET, UNSET ALL)" => set_and_unset_change_the_options;
    SPARK, [], "Spark: SetCommand, ResetCommand" => set_and_reset_change_the_settings;
    IMPALA, [], "Impala: client-request-state.cc ExecLocalCatalogOp" => use_changes_the_database;
    ALL, [], "Impala: impala-server.h SessionState; Hive: HiveSessionImpl" => what_one_session_sets_no_other_sees;
    IMPALA, [NoSasl], "Impala: impala-hs2-server.cc OpenSession (username)" => the_requests_user_is_the_sessions_without_authentication;
    IMPALA, [NoSasl], "Impala: --anonymous_user_name" => a_session_without_any_name_is_anonymous;
    ALL, [Login], "Impala: impala-hs2-server.cc OpenSession (connection username first)" => the_authenticated_user_is_the_sessions;
    IMPALA, [], "Impala: impala-hs2-server.cc PingImpalaHS2Service" => a_ping_needs_a_live_session;
    ALL, [], "Impala: impala-hs2-server.cc GetInfo; Hive: HiveSessionImpl getInfo" => get_info_names_the_server;
    SERVICE, [], "Hive: HiveSessionImpl getTypeInfo; measured on Spark 3.5" => types_are_told_in_a_session_only;
    SPARK, [], "Spark: SparkSQLCLIService getInfo" => a_name_is_told_whatever_the_handle_is_and_nothing_else_without_losing_the_connection;
    IMPALA, [], "Impala: impala-hs2-server.cc GetDelegationToken" => delegation_tokens_are_not_implemented_and_have_no_sql_state;
];

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn try_open(target: &Target, version: i32, user: Option<&str>, pairs: &[(&str, &str)]) -> TOpenSessionResp {
    let request = TOpenSessionReq::new(TProtocolVersion(version), user.map(str::to_owned), None, map(pairs));
    target.connect().service().open_session(request).unwrap()
}

fn the_protocol_is_capped_at_v6(target: &Target) {
    for asked in [0, 3, 5, 6, 7, 9, 10] {
        let response = try_open(target, asked, None, &[]);
        succeeded(&response.status);
        assert_eq!(response.server_protocol_version.0, asked.min(5), "asked for {asked}");
    }
}

fn the_protocol_is_the_clients_up_to_v10(target: &Target) {
    for asked in [0, 5, 7, 9] {
        let response = try_open(target, asked, None, &[]);
        succeeded(&response.status);
        assert_eq!(response.server_protocol_version.0, asked, "asked for {asked}");
    }
    // A newer client gets at least V10.
    let response = try_open(target, 10, None, &[]);
    assert!((9..=10).contains(&response.server_protocol_version.0), "{response:?}");
}

fn many_sessions_live_on_one_connection(target: &Target) {
    let mut client = target.connect();
    let sessions: Vec<_> = (0..12).map(|_| client.open(&[]).unwrap()).collect();
    let guids: std::collections::HashSet<_> = sessions.iter().map(|it| &it.session_id.guid).collect();
    assert_eq!(guids.len(), sessions.len());
    for (number, session) in sessions.iter().enumerate() {
        assert_eq!(ask(&mut client, session, &format!("select {number}")), [[number.to_string()]]);
    }
    for session in &sessions {
        client.close_session(session).unwrap();
    }
}

fn closing_one_session_leaves_the_others_of_its_connection(target: &Target) {
    let mut client = target.connect();
    let sessions: Vec<_> = (0..4).map(|_| client.open(&[]).unwrap()).collect();
    client.close_session(&sessions[1]).unwrap();
    client.close_session(&sessions[3]).unwrap();
    for session in [&sessions[0], &sessions[2]] {
        assert_eq!(ask(&mut client, session, "select 7"), [["7"]]);
    }
    assert!(client.execute(&sessions[1], "select 7").is_err());
}

fn a_session_is_used_from_a_second_connection(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[]).unwrap();
    let mut second = target.connect();
    assert_eq!(ask(&mut second, &session, "select 1"), [["1"]]);
    assert_eq!(ask(&mut first, &session, "select 2"), [["2"]]);
    second.close_session(&session).unwrap();
    assert!(first.execute(&session, "select 3").is_err());
}

fn a_session_outlives_a_connection_that_only_used_it(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[]).unwrap();
    let mut second = target.connect();
    ask(&mut second, &session, "select 1");
    hang_up(second.stream());
    assert_eq!(ask(&mut first, &session, "select 2"), [["2"]]);
}

fn a_session_outlives_the_connection_that_opened_it(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[("use:database", "kept")]).unwrap();
    let operation = run(&mut first, &session, &target.dialect.rows(3));
    hang_up(first.stream());
    let mut second = target.connect();
    assert_eq!(ask(&mut second, &session, "select current_database()"), [["kept"]]);
    assert_eq!(crate::driver::all_rows(&mut second, &operation).len(), 3);
    second.close_session(&session).unwrap();
}

fn the_last_session_of_a_connection_ends_with_it(target: &Target) {
    let mut first = target.connect();
    let session = first.open(&[]).unwrap();
    let mut second = target.connect();
    ask(&mut second, &session, "select 1");
    hang_up(first.stream());
    let catalogs = TGetCatalogsReq::new(session);
    eventually("the session ends", || {
        let status = second.service().get_catalogs(catalogs.clone()).unwrap().status;
        status.status_code == TStatusCode::ERROR_STATUS
    });
}

fn close_session(target: &Target, session: &TSessionHandle) -> hs2router::idl::t_c_l_i_service::TStatus {
    target.connect().service().close_session(TCloseSessionReq::new(session.clone())).unwrap().status
}

fn closing_a_session_twice_is_an_error(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    client.close_session(&session).unwrap();
    let again = client.service().close_session(TCloseSessionReq::new(session.clone())).unwrap();
    for status in [again.status, close_session(target, &session)] {
        let refused = refused(&status);
        if target.flavor == Flavor::Impala {
            let text = format!("Invalid session id: {}\n", printed(&session.session_id));
            assert_eq!((refused.message, refused.sql_state.as_deref()), (text, Some("HY000")));
        } else {
            assert!(refused.message.contains("does not exist"), "{refused:?}");
        }
    }
    client.open(&[]).unwrap();
}

fn a_closed_session_runs_nothing(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    client.close_session(&session).unwrap();
    let request = hs2router::idl::t_c_l_i_service::TExecuteStatementReq::new(
        session.clone(),
        "select 1".to_owned(),
        None,
        true,
        None,
    );
    let response = client.service().execute_statement(request).unwrap();
    let refused = refused(&response.status);
    let text = match target.flavor {
        Flavor::Impala => format!("Invalid session id: {}\n", printed(&session.session_id)),
        _ => "Invalid SessionHandle: SessionHandle [".to_owned(),
    };
    assert!(refused.message.starts_with(&text), "{refused:?}");
    assert!(response.operation_handle.is_none());
}

fn a_session_opens_in_the_database_that_it_names(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[("use:database", "not_checked")]).unwrap();
    assert_eq!(ask(&mut client, &session, "select current_database()"), [["not_checked"]]);
    let session = client.open(&[]).unwrap();
    assert_eq!(ask(&mut client, &session, "select current_database()"), [["default"]]);
}

fn opening_in_an_unknown_database_is_refused(target: &Target) {
    let response = try_open(target, 5, None, &[("use:database", "no_such_database")]);
    let refused = refused(&response.status);
    assert!(refused.message.contains("no_such_database"), "{refused:?}");
}

fn options_are_set_while_opening(target: &Target) {
    let mut client = target.connect();
    if target.flavor == Flavor::Impala {
        let response = try_open(target, 5, None, &[("mem_limit", "2g"), ("set:hiveconf:MT_DOP", "3")]);
        let options = response.configuration.unwrap();
        assert_eq!(options["MT_DOP"], "3");
        // A real coordinator prints it in bytes.
        assert!(["2g", "2147483648"].contains(&options["MEM_LIMIT"].as_str()));
        return;
    }
    let session = client.open(&[("set:hiveconf:hs2router.test", "seven")]).unwrap();
    let rows = ask(&mut client, &session, "SET hs2router.test");
    assert!(rows[0].join("=").contains("seven"), "{rows:?}");
}

fn unknown_options_are_ignored_while_opening(target: &Target) {
    let pairs = [("no_such_option", "1"), ("set:hivevar:x", "2"), ("hive.server2.proxy.user", "")];
    let response = try_open(target, 5, None, &pairs);
    succeeded(&response.status);
    assert!(!response.configuration.unwrap().contains_key("NO_SUCH_OPTION"));
}

fn opening_tells_all_options_and_the_web_address(target: &Target) {
    let options = try_open(target, 5, None, &[]).configuration.unwrap();
    assert!(options.len() > 40, "{}", options.len());
    let (host, port) = options["http_addr"].rsplit_once(':').unwrap();
    assert!(!host.is_empty() && port.parse::<u16>().is_ok());
}

fn set_and_unset_change_the_options(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let mut batch_size = |statement: &str| {
        if !statement.is_empty() {
            run(&mut client, &session, statement);
        }
        let rows = ask(&mut client, &session, "set all");
        rows.iter().find(|row| row[0] == "BATCH_SIZE").unwrap()[1].clone()
    };
    let default = batch_size("");
    assert_eq!(batch_size("set batch_size=77"), "77");
    assert_eq!(batch_size("SET BATCH_SIZE=''"), default);
    assert_eq!(batch_size("/* again */ set batch_size = 78;"), "78");
    assert_eq!(batch_size("unset all"), default);
}

fn set_and_reset_change_the_settings(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    ask(&mut client, &session, "SET hs2router.test=8");
    assert_eq!(ask(&mut client, &session, "SET hs2router.test")[0][1], "8");
    ask(&mut client, &session, "RESET hs2router.test");
    assert_eq!(ask(&mut client, &session, "SET hs2router.test")[0][1], "<undefined>");
}

fn use_changes_the_database(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[("use:database", "elsewhere")]).unwrap();
    let operation = run(&mut client, &session, "USE `default`");
    assert!(!operation.has_result_set);
    assert_eq!(ask(&mut client, &session, "select current_database()"), [["default"]]);
}

fn what_one_session_sets_no_other_sees(target: &Target) {
    let mut client = target.connect();
    let (one, other) = (client.open(&[]).unwrap(), client.open(&[]).unwrap());
    let (set, look) = match target.flavor {
        Flavor::Impala => ("set batch_size=99", "set all"),
        _ => ("SET hs2router.only=99", "SET hs2router.only"),
    };
    let operation = run(&mut client, &one, set);
    succeeded(&crate::driver::close(&mut client, &operation));
    // Hive tells a setting in one column, "key=value".
    let seen =
        |rows: Vec<Vec<String>>| rows.iter().flatten().any(|cell| cell == "99" || cell.ends_with("=99"));
    assert!(seen(ask(&mut client, &one, look)));
    assert!(!seen(ask(&mut client, &other, look)));
}

fn the_requests_user_is_the_sessions_without_authentication(target: &Target) {
    let response = try_open(target, 5, Some("carol"), &[]);
    let session = response.session_handle.unwrap();
    assert_eq!(ask(&mut target.connect(), &session, target.dialect.user()), [["carol"]]);
}

fn a_session_without_any_name_is_anonymous(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    assert_eq!(ask(&mut client, &session, target.dialect.user()), [["anonymous"]]);
}

fn the_authenticated_user_is_the_sessions(target: &Target) {
    let mut client = target.connect();
    let version = TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6;
    let request = TOpenSessionReq::new(version, "mallory".to_owned(), None, None);
    let session = client.service().open_session(request).unwrap().session_handle.unwrap();
    let user = target.account().user.clone();
    assert_eq!(ask(&mut client, &session, target.dialect.user()), [[user]]);
}

fn ping(target: &Target, session: &TSessionHandle) -> TPingImpalaHS2ServiceResp {
    let request = TPingImpalaHS2ServiceReq::new(session.clone());
    target.connect().service().ping_impala_h_s2_service(request).unwrap()
}

fn a_ping_needs_a_live_session(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let answer = ping(target, &session);
    succeeded(&answer.status);
    assert!(!answer.version.unwrap().is_empty() && answer.webserver_address.is_some());
    client.close_session(&session).unwrap();
    let refused = refused(&ping(target, &session).status);
    assert_eq!(refused.message, format!("Invalid session id: {}\n", printed(&session.session_id)));
}

fn get_info_names_the_server(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let mut info = |kind| {
        let response = client.service().get_info(TGetInfoReq::new(session.clone(), kind)).unwrap();
        succeeded(&response.status);
        format!("{:?}", response.info_value)
    };
    let name = match target.flavor {
        Flavor::Impala => "Impala",
        Flavor::Spark => "Spark",
        Flavor::Hive => "Hive",
    };
    assert!(info(TGetInfoType::CLI_SERVER_NAME).contains(name));
    assert!(info(TGetInfoType::CLI_DBMS_NAME).contains(name));
    assert!(info(TGetInfoType::CLI_DBMS_VER).contains("StringValue"));
}

/// By this the router asks who has a session.
fn types_are_told_in_a_session_only(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let mut unknown = session.clone();
    unknown.session_id.guid.fill(9);
    let mut forged = session.clone();
    forged.session_id.secret.fill(0);
    for handle in [unknown, forged] {
        let response = client.service().get_type_info(TGetTypeInfoReq::new(handle)).unwrap();
        let words = refused(&response.status).message;
        assert!(words.starts_with("Invalid SessionHandle"), "{words}");
        assert!(response.operation_handle.is_none());
    }
    let response = client.service().get_type_info(TGetTypeInfoReq::new(session)).unwrap();
    succeeded(&response.status);
    let close = TCloseOperationReq::new(response.operation_handle.unwrap());
    succeeded(&client.service().close_operation(close).unwrap().status);
}

/// So that a session is asked for by another call.
fn a_name_is_told_whatever_the_handle_is_and_nothing_else_without_losing_the_connection(target: &Target) {
    let mut client = target.connect();
    let mut unknown = client.open(&[]).unwrap();
    unknown.session_id.guid.fill(9);
    let mut ask = |kind| client.service().get_info(TGetInfoReq::new(unknown.clone(), kind));
    succeeded(&ask(TGetInfoType::CLI_DBMS_NAME).unwrap().status);
    let failed = ask(TGetInfoType::CLI_MAX_COLUMN_NAME_LEN);
    // The router tells that the call was lost with its link.
    assert!(failed.is_err() || refused(&failed.unwrap().status).sql_state.as_deref() == Some("08S01"));
}

fn delegation_tokens_are_not_implemented_and_have_no_sql_state(target: &Target) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let request = hs2router::idl::t_c_l_i_service::TGetDelegationTokenReq::new(
        session,
        "owner".to_owned(),
        "renewer".to_owned(),
    );
    let refused = refused(&client.service().get_delegation_token(request).unwrap().status);
    assert_eq!((refused.message.trim_end(), refused.sql_state), ("Not implemented", None));
}
