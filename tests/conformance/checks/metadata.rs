//! The catalog calls.

use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::{
    TGetCatalogsReq, TGetColumnsReq, TGetFunctionsReq, TGetInfoReq, TGetInfoType, TGetPrimaryKeysReq,
    TGetResultSetMetadataReq, TGetSchemasReq, TGetTableTypesReq, TGetTablesReq, TGetTypeInfoReq,
    TOperationHandle, TOperationType, TSessionHandle, TStatus, TTCLIServiceSyncClient,
};

use crate::check::{Flavor, checks};
use crate::driver::{all_rows, ask, assert_unanswered, close, refused, succeeded, unheard_of};
use crate::target::Target;

checks![
    ALL, [], "Impala: MetadataOp.java getSchemas; Hive: GetSchemasOperation" => schemas_are_listed_by_pattern;
    ALL, [], "Impala: MetadataOp.java getTypeInfo; Hive: GetTypeInfoOperation" => type_info_lists_the_types;
    ALL, [], "Impala: MetadataOp.java getTableTypes; Hive: GetTableTypesOperation" => table_types_are_listed;
    ALL, [], "Impala: MetadataOp.java getCatalogs; Hive: GetCatalogsOperation" => catalogs_are_none_or_one;
    ALL, [], "Impala: MetadataOp.java getTables; Hive: GetTablesOperation" => tables_have_odbcs_columns;
    ALL, [], "Impala: MetadataOp.java getColumns; Hive: GetColumnsOperation" => columns_have_odbcs_columns;
    ALL, [], "Impala: MetadataOp.java getFunctions; Hive: GetFunctionsOperation" => functions_are_listed_by_pattern;
    IMPALA, [], "Impala: impala-hs2-server.cc GetPrimaryKeys leaves operationType unset" => primary_keys_come_with_an_unset_operation_type;
    IMPALA, [], "Impala: impala-hs2-server.cc GetInfo" => get_info_of_an_unknown_session_is_refused;
    SPARK, [], "Spark: SparkSQLCLIService getInfo" => the_servers_name_and_version_are_told_to_anyone;
    SERVICE, [], "Hive: ThriftCLIService GetInfo (infoValue is required and not set); measured on Spark 3.5" => a_failed_get_info_costs_the_connection;
    ALL, [], "Impala: impala-hs2-server.cc GetTables; measured on Spark 3.5" => a_metadata_operation_lives_like_any_other;
];

/// The answer of a metadata call: names of its columns, and its rows.
fn listed(
    client: &mut Hs2Client,
    status: &TStatus,
    operation: Option<TOperationHandle>,
) -> (Vec<String>, Vec<Vec<String>>) {
    succeeded(status);
    let operation = operation.unwrap();
    assert!(operation.has_result_set);
    let request = TGetResultSetMetadataReq::new(operation.clone());
    let schema = client.service().get_result_set_metadata(request).unwrap().schema.unwrap();
    let names = schema.columns.into_iter().map(|it| it.column_name.to_uppercase()).collect();
    let rows = all_rows(client, &operation);
    succeeded(&close(client, &operation));
    (names, rows)
}

fn session(target: &Target) -> (Hs2Client, TSessionHandle) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    (client, session)
}

fn schemas_are_listed_by_pattern(target: &Target) {
    let (mut client, session) = session(target);
    let mut ask = |pattern: &str| {
        let request = TGetSchemasReq::new(session.clone(), None, pattern.to_owned());
        let response = client.service().get_schemas(request).unwrap();
        listed(&mut client, &response.status, response.operation_handle)
    };
    let (names, rows) = ask("def%");
    assert_eq!(names, ["TABLE_SCHEM", "TABLE_CATALOG"]);
    assert!(rows.iter().any(|row| row[0] == "default"), "{rows:?}");
    assert!(ask("no_such_schema").1.is_empty());
}

fn type_info_lists_the_types(target: &Target) {
    let (mut client, session) = session(target);
    let response = client.service().get_type_info(TGetTypeInfoReq::new(session)).unwrap();
    let (names, rows) = listed(&mut client, &response.status, response.operation_handle);
    assert_eq!(names[..2], ["TYPE_NAME", "DATA_TYPE"]);
    for kind in ["BOOLEAN", "INT", "BIGINT", "DOUBLE", "STRING", "TIMESTAMP", "DECIMAL"] {
        assert!(rows.iter().any(|row| row[0] == kind), "{kind}");
    }
}

fn table_types_are_listed(target: &Target) {
    let (mut client, session) = session(target);
    let response = client.service().get_table_types(TGetTableTypesReq::new(session)).unwrap();
    let (names, rows) = listed(&mut client, &response.status, response.operation_handle);
    assert_eq!(names, ["TABLE_TYPE"]);
    assert!(rows.iter().any(|row| row[0] == "TABLE") && rows.iter().any(|row| row[0] == "VIEW"));
}

fn catalogs_are_none_or_one(target: &Target) {
    let (mut client, session) = session(target);
    let response = client.service().get_catalogs(TGetCatalogsReq::new(session)).unwrap();
    let (names, rows) = listed(&mut client, &response.status, response.operation_handle);
    assert_eq!((names.len(), rows.len() <= 1), (1, true), "{names:?} {rows:?}");
    assert!(names[0].starts_with("TABLE_CAT"), "{names:?}");
}

fn tables_have_odbcs_columns(target: &Target) {
    let (mut client, session) = session(target);
    let request = TGetTablesReq::new(session, None, "default".to_owned(), "%".to_owned(), None);
    let response = client.service().get_tables(request).unwrap();
    let (names, _) = listed(&mut client, &response.status, response.operation_handle);
    let expected = ["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"];
    assert_eq!(names[..5], expected);
}

fn columns_have_odbcs_columns(target: &Target) {
    let (mut client, session) = session(target);
    let all = || "%".to_owned();
    let request = TGetColumnsReq::new(session, None, "default".to_owned(), all(), all());
    let response = client.service().get_columns(request).unwrap();
    let (names, rows) = listed(&mut client, &response.status, response.operation_handle);
    let expected = ["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME"];
    assert_eq!((names.len(), &names[..6]), (23, &expected.map(str::to_owned)[..]));
    assert!(rows.iter().all(|row| row.len() == 23));
}

fn functions_are_listed_by_pattern(target: &Target) {
    let (mut client, session) = session(target);
    let request = TGetFunctionsReq::new(session, None, None, "current_d%".to_owned());
    let response = client.service().get_functions(request).unwrap();
    let (names, rows) = listed(&mut client, &response.status, response.operation_handle);
    assert_eq!(names[2], "FUNCTION_NAME");
    assert!(rows.iter().any(|row| row[2] == "current_database"), "{rows:?}");
    assert!(rows.iter().all(|row| row[2].starts_with("current_d")), "{rows:?}");
}

fn primary_keys_come_with_an_unset_operation_type(target: &Target) {
    let (mut client, session) = session(target);
    let request = TGetPrimaryKeysReq::new(session, None, "default".to_owned(), "t".to_owned());
    let response = client.service().get_primary_keys(request).unwrap();
    let operation = response.operation_handle.clone().unwrap();
    assert_eq!(operation.operation_type, TOperationType::EXECUTE_STATEMENT);
    let (names, _) = listed(&mut client, &response.status, response.operation_handle);
    assert_eq!(names[..3], ["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME"]);
}

fn get_info_of_an_unknown_session_is_refused(target: &Target) {
    let (mut client, _session) = session(target);
    let unknown = TSessionHandle::new(unheard_of());
    let request = TGetInfoReq::new(unknown, TGetInfoType::CLI_SERVER_NAME);
    let response = client.service().get_info(request);
    assert!(!refused(&response.unwrap().status).message.is_empty());
}

fn the_servers_name_and_version_are_told_to_anyone(target: &Target) {
    let (mut client, _session) = session(target);
    let unknown = TSessionHandle::new(unheard_of());
    for kind in [TGetInfoType::CLI_SERVER_NAME, TGetInfoType::CLI_DBMS_NAME, TGetInfoType::CLI_DBMS_VER] {
        let request = TGetInfoReq::new(unknown.clone(), kind);
        succeeded(&client.service().get_info(request).unwrap().status);
    }
}

fn a_failed_get_info_costs_the_connection(target: &Target) {
    let (mut client, session) = session(target);
    let mut other = target.connect();
    other.open(&[]).unwrap();
    let unknown = TSessionHandle::new(unheard_of());
    let request = TGetInfoReq::new(unknown, TGetInfoType::CLI_MAX_TABLE_NAME_LEN);
    match other.service().get_info(request) {
        Err(thrift::Error::Transport(error)) => assert_unanswered(&error, target),
        // The router tells of the link that it lost by this.
        answer => assert_eq!(refused(&answer.unwrap().status).sql_state.as_deref(), Some("08S01")),
    }
    assert_eq!(ask(&mut client, &session, "select 1"), [["1"]]);
}

fn a_metadata_operation_lives_like_any_other(target: &Target) {
    let (mut client, session) = session(target);
    let response = client.service().get_table_types(TGetTableTypesReq::new(session.clone())).unwrap();
    let operation = response.operation_handle.unwrap();
    assert_eq!(operation.operation_type, TOperationType::GET_TABLE_TYPES);
    assert!(!all_rows(&mut target.connect(), &operation).is_empty());
    client.close_session(&session).unwrap();
    let refused = refused(&close(&mut client, &operation));
    let text = match target.flavor {
        Flavor::Impala => "Invalid or unknown query handle: ",
        _ => "Invalid OperationHandle",
    };
    assert!(refused.message.contains(text), "{refused:?}");
}
