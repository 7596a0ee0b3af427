//! `HiveServer2` as Impala serves it (Impala: `impala-hs2-server.cc`).

mod additions;
mod operations;

use std::rc::Rc;
use std::sync::Arc;

use super::ids::{Id, Secret};
use super::metadata;
use super::operation::{Progress, Started};
use super::refusal::{GENERAL_ERROR, Refusal, success};
use super::state::{Caller, Opening, State};
use crate::idl::impala_service as impala;
use crate::idl::t_c_l_i_service as cli;

/// The highest protocol that Impala speaks (Impala: `MAX_SUPPORTED_HS2_VERSION`).
const PROTOCOL: cli::TProtocolVersion = cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6;

/// The methods of the service; every other is unknown.
pub(super) const METHODS: [&str; 34] = [
    "OpenSession",
    "CloseSession",
    "GetInfo",
    "ExecuteStatement",
    "GetTypeInfo",
    "GetCatalogs",
    "GetSchemas",
    "GetTables",
    "GetTableTypes",
    "GetColumns",
    "GetFunctions",
    "GetPrimaryKeys",
    "GetCrossReference",
    "GetOperationStatus",
    "CancelOperation",
    "CloseOperation",
    "GetResultSetMetadata",
    "FetchResults",
    "GetDelegationToken",
    "CancelDelegationToken",
    "RenewDelegationToken",
    "GetLog",
    "GetQueryId",
    "SetClientInfo",
    "UploadData",
    "DownloadData",
    "GetExecSummary",
    "GetRuntimeProfile",
    "PingImpalaHS2Service",
    "CloseImpalaOperation",
    "InitQueryContext",
    "ExecutePlannedStatement",
    "GetBackendConfig",
    "GetExecutorMembership",
];

/// The service of one connection.
pub(super) struct Hs2 {
    pub(super) state: Arc<State>,
    pub(super) caller: Rc<Caller>,
    /// `host:port` of the web pages.
    pub(super) web: String,
}

type Reply<T> = thrift::Result<T>;

impl Hs2 {
    fn enter(&self) {
        self.state.enter(&self.caller);
    }
}

fn operation_handle(started: &Started, kind: cli::TOperationType) -> cli::TOperationHandle {
    cli::TOperationHandle::new(identifier(started.id, started.secret), kind, started.has_rows, None)
}

fn empty_handle(kind: cli::TOperationType) -> cli::TOperationHandle {
    let identifier = cli::THandleIdentifier::new(Vec::new(), Vec::new());
    cli::TOperationHandle::new(identifier, kind, false, None)
}

fn identifier(id: Id, secret: Secret) -> cli::THandleIdentifier {
    cli::THandleIdentifier::new(id.0.to_vec(), secret.0.to_vec())
}

fn status<T>(result: Result<T, cli::TStatus>) -> cli::TStatus {
    result.map_or_else(|status| status, |_| success())
}

impl cli::TCLIServiceSyncHandler for Hs2 {
    fn handle_open_session(&self, req: cli::TOpenSessionReq) -> Reply<cli::TOpenSessionResp> {
        self.enter();
        if let Err(refusal) = self.state.check_opens(&self.caller, req.configuration.as_ref()) {
            // No handle, and the version is the definition's default.
            let version = cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V10;
            return Ok(cli::TOpenSessionResp::new(refusal.status(None), version, None, None));
        }
        let version = req.client_protocol.min(PROTOCOL);
        let opening = Opening {
            user: req.username,
            protocol: version.0,
            configuration: req.configuration.unwrap_or_default(),
        };
        let opened = self.state.open_session(&self.caller, opening);
        let mut configuration = opened.options;
        configuration.insert("http_addr".to_owned(), self.web.clone());
        let handle = cli::TSessionHandle::new(identifier(opened.id, opened.secret));
        Ok(cli::TOpenSessionResp::new(success(), version, handle, configuration))
    }

    fn handle_close_session(&self, req: cli::TCloseSessionReq) -> Reply<cli::TCloseSessionResp> {
        self.enter();
        let closed = self.state.close_session(&self.caller, &req.session_handle.session_id);
        Ok(cli::TCloseSessionResp::new(status(closed.map_err(|refusal| refusal.status(None)))))
    }

    fn handle_get_info(&self, req: cli::TGetInfoReq) -> Reply<cli::TGetInfoResp> {
        self.enter();
        let takes_work =
            if self.state.manner.refuses_info() { self.state.check_not_quiescing() } else { Ok(()) };
        let found = takes_work
            .and_then(|()| self.state.with_session(&self.caller, &req.session_handle.session_id, |_, _| ()));
        Ok(self.state.manner.info(req.info_type, found))
    }

    fn handle_execute_statement(&self, req: cli::TExecuteStatementReq) -> Reply<cli::TExecuteStatementResp> {
        self.enter();
        Ok(match self.execute(&req) {
            Ok(started) => {
                let handle = operation_handle(&started, cli::TOperationType::EXECUTE_STATEMENT);
                cli::TExecuteStatementResp::new(success(), handle)
            }
            Err(status) => cli::TExecuteStatementResp::new(status, None),
        })
    }

    fn handle_get_type_info(&self, req: cli::TGetTypeInfoReq) -> Reply<cli::TGetTypeInfoResp> {
        let kind = cli::TOperationType::GET_TYPE_INFO;
        let (status, handle) = self.metadata(&req.session_handle, kind, metadata::type_info());
        Ok(cli::TGetTypeInfoResp::new(status, handle))
    }

    fn handle_get_catalogs(&self, req: cli::TGetCatalogsReq) -> Reply<cli::TGetCatalogsResp> {
        let kind = cli::TOperationType::GET_CATALOGS;
        let (status, handle) = self.metadata(&req.session_handle, kind, metadata::catalogs());
        Ok(cli::TGetCatalogsResp::new(status, handle))
    }

    fn handle_get_schemas(&self, req: cli::TGetSchemasReq) -> Reply<cli::TGetSchemasResp> {
        let kind = cli::TOperationType::GET_SCHEMAS;
        let table = metadata::schemas(req.schema_name.as_deref());
        let (status, handle) = self.metadata(&req.session_handle, kind, table);
        Ok(cli::TGetSchemasResp::new(status, handle))
    }

    fn handle_get_tables(&self, req: cli::TGetTablesReq) -> Reply<cli::TGetTablesResp> {
        let kind = cli::TOperationType::GET_TABLES;
        let table = metadata::tables(req.schema_name.as_deref(), req.table_name.as_deref());
        let (status, handle) = self.metadata(&req.session_handle, kind, table);
        Ok(cli::TGetTablesResp::new(status, handle))
    }

    fn handle_get_table_types(&self, req: cli::TGetTableTypesReq) -> Reply<cli::TGetTableTypesResp> {
        let kind = cli::TOperationType::GET_TABLE_TYPES;
        let (status, handle) = self.metadata(&req.session_handle, kind, metadata::table_types());
        Ok(cli::TGetTableTypesResp::new(status, handle))
    }

    fn handle_get_columns(&self, req: cli::TGetColumnsReq) -> Reply<cli::TGetColumnsResp> {
        let kind = cli::TOperationType::GET_COLUMNS;
        let (schema, table) = (req.schema_name.as_deref(), req.table_name.as_deref());
        let table = metadata::columns(schema, table, req.column_name.as_deref());
        let (status, handle) = self.metadata(&req.session_handle, kind, table);
        Ok(cli::TGetColumnsResp::new(status, handle))
    }

    fn handle_get_functions(&self, req: cli::TGetFunctionsReq) -> Reply<cli::TGetFunctionsResp> {
        let kind = cli::TOperationType::GET_FUNCTIONS;
        let table = metadata::functions(Some(&req.function_name));
        let (status, handle) = self.metadata(&req.session_handle, kind, table);
        Ok(cli::TGetFunctionsResp::new(status, handle))
    }

    fn handle_get_primary_keys(&self, req: cli::TGetPrimaryKeysReq) -> Reply<cli::TGetPrimaryKeysResp> {
        // Impala leaves the operation type of these two unset.
        let kind = cli::TOperationType::EXECUTE_STATEMENT;
        let (status, handle) = self.metadata(&req.session_handle, kind, metadata::primary_keys());
        Ok(cli::TGetPrimaryKeysResp::new(status, handle))
    }

    fn handle_get_cross_reference(
        &self,
        req: cli::TGetCrossReferenceReq,
    ) -> Reply<cli::TGetCrossReferenceResp> {
        let kind = cli::TOperationType::EXECUTE_STATEMENT;
        let (status, handle) = self.metadata(&req.session_handle, kind, metadata::cross_reference());
        Ok(cli::TGetCrossReferenceResp::new(status, handle))
    }

    fn handle_get_operation_status(
        &self,
        req: cli::TGetOperationStatusReq,
    ) -> Reply<cli::TGetOperationStatusResp> {
        let handle = &req.operation_handle;
        // Old clients ask about a USE without a handle (Impala: `GetOperationStatus`).
        let progress = if handle.operation_id.guid.is_empty() {
            self.enter();
            Ok(Progress::Finished)
        } else {
            self.on_operation(handle, State::progress)
        };
        let (status, state, message) = match progress {
            Ok(Progress::Running) => (success(), cli::TOperationState::RUNNING_STATE, None),
            Ok(Progress::Finished) => (success(), cli::TOperationState::FINISHED_STATE, None),
            Ok(Progress::Failed(refusal)) => {
                (success(), cli::TOperationState::ERROR_STATE, Some(refusal.detail()))
            }
            Err(status) => (status, cli::TOperationState::ERROR_STATE, None),
        };
        let sql_state = message.as_ref().map(|_| GENERAL_ERROR.to_owned());
        Ok(cli::TGetOperationStatusResp {
            status,
            operation_state: Some(state),
            sql_state,
            error_code: None,
            error_message: message,
            task_status: None,
            operation_started: None,
            operation_completed: None,
            has_result_set: None,
            progress_update_response: None,
            num_modified_rows: None,
        })
    }

    fn handle_cancel_operation(&self, req: cli::TCancelOperationReq) -> Reply<cli::TCancelOperationResp> {
        let cancelled = self.on_operation(&req.operation_handle, State::cancel);
        Ok(cli::TCancelOperationResp::new(status(cancelled)))
    }

    fn handle_close_operation(&self, req: cli::TCloseOperationReq) -> Reply<cli::TCloseOperationResp> {
        let closed = self.on_operation(&req.operation_handle, State::close);
        Ok(cli::TCloseOperationResp::new(status(closed)))
    }

    fn handle_get_result_set_metadata(
        &self,
        req: cli::TGetResultSetMetadataReq,
    ) -> Reply<cli::TGetResultSetMetadataResp> {
        Ok(match self.on_operation(&req.operation_handle, State::table) {
            Ok(table) => {
                // Without columns there is no schema at all.
                cli::TGetResultSetMetadataResp::new(success(), table.map(|table| table.schema()))
            }
            Err(status) => cli::TGetResultSetMetadataResp::new(status, None),
        })
    }

    fn handle_fetch_results(&self, req: cli::TFetchResultsReq) -> Reply<cli::TFetchResultsResp> {
        Ok(self.fetch(&req).unwrap_or_else(|status| cli::TFetchResultsResp::new(status, None, None)))
    }

    fn handle_get_delegation_token(
        &self,
        _: cli::TGetDelegationTokenReq,
    ) -> Reply<cli::TGetDelegationTokenResp> {
        self.enter();
        Ok(cli::TGetDelegationTokenResp::new(Refusal::NotImplemented.status(None), None))
    }

    fn handle_cancel_delegation_token(
        &self,
        _: cli::TCancelDelegationTokenReq,
    ) -> Reply<cli::TCancelDelegationTokenResp> {
        self.enter();
        Ok(cli::TCancelDelegationTokenResp::new(Refusal::NotImplemented.status(None)))
    }

    fn handle_renew_delegation_token(
        &self,
        _: cli::TRenewDelegationTokenReq,
    ) -> Reply<cli::TRenewDelegationTokenResp> {
        self.enter();
        Ok(cli::TRenewDelegationTokenResp::new(Refusal::NotImplemented.status(None)))
    }

    fn handle_get_log(&self, req: cli::TGetLogReq) -> Reply<cli::TGetLogResp> {
        let found = self.on_operation(&req.operation_handle, State::progress);
        Ok(cli::TGetLogResp::new(status(found), String::new()))
    }

    fn handle_get_query_id(&self, req: cli::TGetQueryIdReq) -> Reply<cli::TGetQueryIdResp> {
        self.enter();
        // Neither looked up nor checked (Impala: `GetQueryId`).
        let id = super::ids::identifier(&req.operation_handle.operation_id);
        Ok(cli::TGetQueryIdResp::new(id.map(|id| id.to_string()).unwrap_or_default()))
    }

    fn handle_set_client_info(&self, _: cli::TSetClientInfoReq) -> Reply<cli::TSetClientInfoResp> {
        self.enter();
        Ok(cli::TSetClientInfoResp::new(Refusal::NotImplemented.status(None)))
    }

    fn handle_upload_data(&self, _: cli::TUploadDataReq) -> Reply<cli::TUploadDataResp> {
        self.enter();
        let handle = empty_handle(cli::TOperationType::EXECUTE_STATEMENT);
        Ok(cli::TUploadDataResp::new(Refusal::NotImplemented.status(None), handle))
    }

    fn handle_download_data(&self, _: cli::TDownloadDataReq) -> Reply<cli::TDownloadDataResp> {
        self.enter();
        let handle = empty_handle(cli::TOperationType::EXECUTE_STATEMENT);
        Ok(cli::TDownloadDataResp::new(Refusal::NotImplemented.status(None), handle))
    }
}

/// The row counts of a DML statement on an unpartitioned table.
pub(super) fn dml_result(modified: u64) -> impala::TDmlResult {
    let rows = i64::try_from(modified).unwrap_or(i64::MAX);
    impala::TDmlResult::new([(String::new(), rows)].into_iter().collect(), None, None)
}
