//! Parts that several calls of `HiveServer2` share: minting an operation, and acting on one.

use super::super::ids::identifier;
use super::super::operation::{Claim, Fetched, Started};
use super::super::profile::Record;
use super::super::refusal::{Refusal, success};
use super::super::rows::Table;
use super::super::state::{Caller, State};
use super::{Hs2, empty_handle, operation_handle};
use crate::idl::t_c_l_i_service as cli;

impl Hs2 {
    /// A metadata call. When it fails, its handle has an empty guid and secret (Impala:
    /// `impala-hs2-server.cc`, `GetTables` and similar calls set the handle in any case).
    pub(super) fn metadata(
        &self,
        handle: &cli::TSessionHandle,
        kind: cli::TOperationType,
        table: Table,
    ) -> (cli::TStatus, cli::TOperationHandle) {
        self.enter();
        let answer = || {
            self.state.check_runs()?;
            let session = self.state.with_session(&self.caller, &handle.session_id, |id, _| id)?;
            self.state.answer(&self.caller, session, table, kind)
        };
        match answer() {
            Ok(started) => (success(), operation_handle(&started, kind)),
            Err(refusal) => (refusal.status(None), empty_handle(kind)),
        }
    }

    /// A call on an operation whose answer is only a status.
    pub(super) fn on_operation<T>(
        &self,
        handle: &cli::TOperationHandle,
        act: impl FnOnce(&State, &Caller, Claim<'_>) -> Result<T, Refusal>,
    ) -> Result<T, cli::TStatus> {
        self.enter();
        let claim = Claim::Handle(handle);
        act(&self.state, &self.caller, claim).map_err(|refusal| refusal.status(claim.id().ok()))
    }

    /// The record for the two calls that carry the handles of an operation and of a session. The session's
    /// secret is checked, the operation's is not (Impala: `impala-hs2-server.cc` `GetRuntimeProfile`,
    /// `GetExecSummary`).
    pub(super) fn record(
        &self,
        operation: Option<&cli::TOperationHandle>,
        session: Option<&cli::TSessionHandle>,
    ) -> Result<Record, cli::TStatus> {
        self.enter();
        let empty = cli::THandleIdentifier::new(Vec::new(), Vec::new());
        let session = session.map_or(&empty, |handle| &handle.session_id);
        let user = self
            .state
            .with_session(&self.caller, session, |_, session| session.effective_user().to_owned())
            .map_err(|refusal| refusal.status(None))?;
        let operation = operation.map_or(&empty, |handle| &handle.operation_id);
        let id = identifier(operation).map_err(|refusal| refusal.status(None))?;
        self.state.note(&self.caller, |call| call.operation = Some(id));
        self.state.record(&user, id).map_err(|refusal| refusal.status(Some(id)))
    }

    pub(super) fn execute(&self, req: &cli::TExecuteStatementReq) -> Result<Started, cli::TStatus> {
        self.state.check_runs().map_err(|refusal| refusal.status(None))?;
        let session = self
            .state
            .with_session(&self.caller, &req.session_handle.session_id, |id, _| id)
            .map_err(|refusal| refusal.status(None))?;
        let overlay = req.conf_overlay.clone().unwrap_or_default();
        self.state
            .execute(&self.caller, session, &req.statement, &overlay)
            .map_err(|(id, refusal)| refusal.status(id))
    }

    pub(super) fn fetch(&self, req: &cli::TFetchResultsReq) -> Result<cli::TFetchResultsResp, cli::TStatus> {
        let fetched = self.on_operation(&req.operation_handle, |state, caller, claim| {
            match req.orientation {
                cli::TFetchOrientation::FETCH_NEXT => {}
                cli::TFetchOrientation::FETCH_FIRST => state.rewind(caller, claim)?,
                _ => return Err(Refusal::Unsupported),
            }
            state.fetch(caller, claim, req.max_rows)
        })?;
        Ok(match fetched {
            Fetched::StillExecuting => {
                let status =
                    cli::TStatus::new(cli::TStatusCode::STILL_EXECUTING_STATUS, None, None, None, None);
                cli::TFetchResultsResp::new(status, true, None)
            }
            Fetched::Rows { table, start, end, protocol } => {
                let more = end < table.len();
                cli::TFetchResultsResp::new(success(), more, table.row_set(start..end, protocol))
            }
        })
    }
}
