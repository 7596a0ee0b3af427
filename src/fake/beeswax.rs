//! Beeswax as Impala serves it (Impala: `impala-beeswax-server.cc`): the connection is the session.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::hs2::dml_result;
use super::ids::Id;
use super::operation::{Claim, Fetched, Progress, Started};
use super::options;
use super::profile::{Record, VERSION};
use super::refusal::{GENERAL_ERROR, NOT_SUPPORTED, Refusal, SYNTAX_ERROR};
use super::state::{ANONYMOUS, Caller, State};
use crate::idl::beeswax as bw;
use crate::idl::impala_service as impala;

/// The methods of the service; every other is unknown.
pub(super) const METHODS: [&str; 19] = [
    "query",
    "executeAndWait",
    "explain",
    "fetch",
    "get_state",
    "get_results_metadata",
    "echo",
    "dump_config",
    "get_log",
    "get_default_configuration",
    "close",
    "clean",
    "Cancel",
    "ResetCatalog",
    "ResetTable",
    "GetRuntimeProfile",
    "CloseInsert",
    "PingImpalaService",
    "GetExecSummary",
];

/// The service of one connection.
pub(super) struct Beeswax {
    pub(super) state: Arc<State>,
    pub(super) caller: Rc<Caller>,
    /// `host:port` of the web pages.
    pub(super) web: String,
}

type Reply<T> = thrift::Result<T>;

impl Beeswax {
    fn enter(&self) {
        self.state.enter(&self.caller);
        // Every call finds its session by the connection (Impala: `impala-server.h` `WithBeeswaxSession`).
        let id = self.state.with_own_session(&self.caller, |id, _| id).ok();
        self.state.note(&self.caller, |call| call.session = id);
    }

    /// Begins new work. It is refused during a shutdown, and the first statement gives the connection its
    /// user (Impala: `impala-beeswax-server.cc` `QueryToTQueryContext`).
    fn start(&self, query: &bw::Query) -> Result<Started, (Option<Id>, Refusal)> {
        self.state.check_not_quiescing().map_err(|refusal| (None, refusal))?;
        let session = self.state.with_own_session(&self.caller, |id, session| {
            if session.connected_user.is_empty() {
                let asked = query.hadoop_user.clone().filter(|user| !user.is_empty());
                session.connected_user = asked.unwrap_or_else(|| ANONYMOUS.to_owned());
            }
            id
        });
        let session = session.map_err(|refusal| (None, refusal))?;
        let overlay: BTreeMap<_, _> = query
            .configuration
            .iter()
            .flatten()
            .filter_map(|option| option.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let text = query.query.as_deref().unwrap_or_default();
        self.state.execute(&self.caller, session, text, &overlay)
    }

    fn query(&self, query: &bw::Query, context: Option<String>) -> Reply<bw::QueryHandle> {
        self.enter();
        let started = self.start(query).map_err(|(id, refusal)| {
            let sql_state =
                if matches!(refusal, Refusal::ShuttingDown { .. }) { GENERAL_ERROR } else { SYNTAX_ERROR };
            thrown(&refusal, id, sql_state)
        })?;
        let id = started.id.to_string();
        Ok(bw::QueryHandle::new(id.clone(), context.filter(|text| !text.is_empty()).unwrap_or(id)))
    }

    fn record(&self, handle: &bw::QueryHandle) -> Reply<Record> {
        self.enter();
        let id = query_id(handle);
        self.state.note(&self.caller, |call| call.operation = Some(id));
        self.state
            .with_own_session(&self.caller, |_, session| session.effective_user().to_owned())
            .and_then(|user| self.state.record(&user, id))
            .map_err(|refusal| thrown(&refusal, Some(id), GENERAL_ERROR))
    }
}

fn query_id(handle: &bw::QueryHandle) -> Id {
    Id::from_text(handle.id.as_deref().unwrap_or_default())
}

/// The declared exception; its log context and handle are present but empty (Impala:
/// `RaiseBeeswaxException`).
fn thrown(refusal: &Refusal, query: Option<Id>, sql_state: &str) -> thrift::Error {
    let message = match (refusal, query) {
        (Refusal::ShuttingDown { .. }, _) | (_, None) => refusal.detail(),
        (_, Some(id)) => refusal.detail_of_query(id),
    };
    let handle = bw::QueryHandle::new(String::new(), String::new());
    let exception = bw::BeeswaxException::new(message, String::new(), handle, None, sql_state.to_owned());
    thrift::Error::User(Box::new(exception))
}

/// The error of methods that do not declare `BeeswaxException`: the text of the C++ exception.
fn undeclared(refusal: &Refusal, id: Id) -> thrift::Error {
    let message =
        format!("TException - service has thrown: BeeswaxException(message={})", refusal.detail_of_query(id));
    let kind = thrift::ApplicationErrorKind::Unknown;
    thrift::Error::Application(thrift::ApplicationError::new(kind, message))
}

impl bw::BeeswaxServiceSyncHandler for Beeswax {
    fn handle_query(&self, query: bw::Query) -> Reply<bw::QueryHandle> {
        self.query(&query, None)
    }

    fn handle_execute_and_wait(&self, query: bw::Query, context: String) -> Reply<bw::QueryHandle> {
        let handle = self.query(&query, Some(context))?;
        let claim = Claim::SameUser(query_id(&handle));
        self.state
            .wait(&self.caller, claim)
            .map_err(|refusal| thrown(&refusal, claim.id().ok(), SYNTAX_ERROR))?;
        Ok(handle)
    }

    fn handle_explain(&self, query: bw::Query) -> Reply<bw::QueryExplanation> {
        self.enter();
        self.state.check_not_quiescing().map_err(|refusal| thrown(&refusal, None, GENERAL_ERROR))?;
        let statement = query.query.unwrap_or_default();
        let lines = statement.lines().count();
        Ok(bw::QueryExplanation::new(format!("PLAN-ROOT SINK\n|\n00:UNION\n   lines={lines}\n")))
    }

    fn handle_fetch(&self, handle: bw::QueryHandle, start_over: bool, size: i32) -> Reply<bw::Results> {
        self.enter();
        let id = query_id(&handle);
        if start_over {
            return Err(thrown(&Refusal::Unsupported, None, NOT_SUPPORTED));
        }
        let fetched = self
            .state
            .fetch(&self.caller, Claim::SameUser(id), size.into())
            .map_err(|refusal| thrown(&refusal, Some(id), GENERAL_ERROR))?;
        Ok(match fetched {
            Fetched::StillExecuting => bw::Results::new(false, Vec::new(), Vec::new(), None, true),
            Fetched::Rows { table, start, end, .. } => {
                let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
                let first = i64::try_from(start).unwrap_or(i64::MAX);
                bw::Results::new(true, columns, table.lines(start..end), first, end < table.len())
            }
        })
    }

    fn handle_get_state(&self, handle: bw::QueryHandle) -> Reply<bw::QueryState> {
        self.enter();
        let id = query_id(&handle);
        match self.state.progress(&self.caller, Claim::SameUser(id)) {
            Ok(Progress::Running) => Ok(bw::QueryState::RUNNING),
            Ok(Progress::Finished) => Ok(bw::QueryState::FINISHED),
            // Here a stored failure is a state and not an exception (Impala: `get_state`).
            Ok(Progress::Failed(_)) => Ok(bw::QueryState::EXCEPTION),
            Err(refusal) => Err(undeclared(&refusal, id)),
        }
    }

    fn handle_get_results_metadata(&self, handle: bw::QueryHandle) -> Reply<bw::ResultsMetadata> {
        self.enter();
        let id = query_id(&handle);
        let table = self
            .state
            .table(&self.caller, Claim::SameUser(id))
            .map_err(|refusal| undeclared(&refusal, id))?;
        let fields = table.iter().flat_map(|table| &table.columns).map(|column| {
            bw::FieldSchema::new(column.name.clone(), column.kind.name().to_owned(), String::new())
        });
        let schema = bw::Schema::new(fields.collect::<Vec<_>>(), BTreeMap::new());
        Ok(bw::ResultsMetadata::new(schema, String::new(), String::new(), "\t".to_owned()))
    }

    fn handle_echo(&self, text: String) -> Reply<String> {
        self.enter();
        Ok(text)
    }

    fn handle_dump_config(&self) -> Reply<String> {
        self.enter();
        Ok(String::new())
    }

    fn handle_get_log(&self, context: String) -> Reply<String> {
        self.enter();
        let id = Id::from_text(&context);
        match self.state.progress(&self.caller, Claim::SameUser(id)) {
            Ok(Progress::Failed(refusal)) => Ok(refusal.detail()),
            Ok(_) => Ok(String::new()),
            Err(refusal) => Err(undeclared(&refusal, id)),
        }
    }

    fn handle_get_default_configuration(&self, _: bool) -> Reply<Vec<bw::ConfigVariable>> {
        self.enter();
        Ok(options::variables())
    }

    fn handle_close(&self, handle: bw::QueryHandle) -> Reply<()> {
        self.enter();
        let id = query_id(&handle);
        let closed = self.state.close(&self.caller, Claim::Anyone(id));
        closed.map(drop).map_err(|refusal| thrown(&refusal, Some(id), GENERAL_ERROR))
    }

    fn handle_clean(&self, _: String) -> Reply<()> {
        self.enter();
        Ok(())
    }
}

impl impala::ImpalaServiceSyncHandler for Beeswax {
    fn handle_cancel(&self, handle: bw::QueryHandle) -> Reply<impala::TStatus> {
        self.enter();
        let id = query_id(&handle);
        let cancelled = self.state.cancel(&self.caller, Claim::Anyone(id));
        cancelled.map_err(|refusal| thrown(&refusal, Some(id), GENERAL_ERROR))?;
        Ok(impala::TStatus::new(impala::TErrorCode::OK, Vec::new()))
    }

    fn handle_reset_catalog(&self) -> Reply<impala::TStatus> {
        self.enter();
        Ok(deprecated())
    }

    fn handle_reset_table(&self, _: impala::TResetTableReq) -> Reply<impala::TStatus> {
        self.enter();
        Ok(deprecated())
    }

    fn handle_get_runtime_profile(&self, handle: bw::QueryHandle) -> Reply<String> {
        Ok(self.record(&handle)?.profile())
    }

    fn handle_close_insert(&self, handle: bw::QueryHandle) -> Reply<impala::TDmlResult> {
        self.enter();
        let id = query_id(&handle);
        let closed = self.state.close(&self.caller, Claim::SameUser(id));
        let modified = closed.map_err(|refusal| thrown(&refusal, Some(id), GENERAL_ERROR))?;
        Ok(dml_result(modified.unwrap_or(0)))
    }

    fn handle_ping_impala_service(&self) -> Reply<impala::TPingImpalaServiceResp> {
        self.enter();
        Ok(impala::TPingImpalaServiceResp::new(VERSION.to_owned(), format!("http://{}", self.web)))
    }

    fn handle_get_exec_summary(&self, handle: bw::QueryHandle) -> Reply<impala::TExecSummary> {
        Ok(self.record(&handle)?.summary())
    }
}

fn deprecated() -> impala::TStatus {
    impala::TStatus::new(impala::TErrorCode::GENERAL, vec!["This RPC is deprecated.".to_owned()])
}
