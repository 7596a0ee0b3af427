//! What Impala adds to `HiveServer2` (Impala: `ImpalaService.thrift` `ImpalaHiveServer2Service`).

use super::super::profile::VERSION;
use super::super::refusal::{Refusal, success};
use super::super::state::State;
use super::{Hs2, Reply, dml_result};
use crate::idl::impala_service as impala;
use crate::idl::t_c_l_i_service as cli;

impl impala::ImpalaHiveServer2ServiceSyncHandler for Hs2 {
    fn handle_get_exec_summary(&self, req: impala::TGetExecSummaryReq) -> Reply<impala::TGetExecSummaryResp> {
        Ok(match self.record(req.operation_handle.as_ref(), req.session_handle.as_ref()) {
            Ok(record) => impala::TGetExecSummaryResp::new(success(), record.summary(), None),
            Err(status) => impala::TGetExecSummaryResp::new(status, None, None),
        })
    }

    fn handle_get_runtime_profile(
        &self,
        req: impala::TGetRuntimeProfileReq,
    ) -> Reply<impala::TGetRuntimeProfileResp> {
        Ok(match self.record(req.operation_handle.as_ref(), req.session_handle.as_ref()) {
            Ok(record) => impala::TGetRuntimeProfileResp::new(success(), record.profile(), None),
            Err(status) => impala::TGetRuntimeProfileResp::new(status, None, None),
        })
    }

    fn handle_ping_impala_h_s2_service(
        &self,
        req: impala::TPingImpalaHS2ServiceReq,
    ) -> Reply<impala::TPingImpalaHS2ServiceResp> {
        self.enter();
        let checked = self.state.with_session(&self.caller, &req.session_handle.session_id, |_, _| ());
        Ok(match checked {
            Ok(()) => impala::TPingImpalaHS2ServiceResp::new(
                success(),
                VERSION.to_owned(),
                format!("http://{}", self.web),
                0,
            ),
            Err(refusal) => impala::TPingImpalaHS2ServiceResp::new(refusal.status(None), None, None, None),
        })
    }

    fn handle_close_impala_operation(
        &self,
        req: impala::TCloseImpalaOperationReq,
    ) -> Reply<impala::TCloseImpalaOperationResp> {
        Ok(match self.on_operation(&req.operation_handle, State::close) {
            Ok(modified) => impala::TCloseImpalaOperationResp::new(success(), modified.map(dml_result)),
            Err(status) => impala::TCloseImpalaOperationResp::new(status, None),
        })
    }

    fn handle_init_query_context(&self) -> Reply<impala::TInitQueryContextResp> {
        self.enter();
        Ok(impala::TInitQueryContextResp::new(Refusal::Unsupported.status(None)))
    }

    fn handle_execute_planned_statement(
        &self,
        _: impala::TExecutePlannedStatementReq,
    ) -> Reply<cli::TExecuteStatementResp> {
        self.enter();
        Ok(cli::TExecuteStatementResp::new(Refusal::Unsupported.status(None), None))
    }

    fn handle_get_backend_config(
        &self,
        _: impala::TGetBackendConfigReq,
    ) -> Reply<impala::TGetBackendConfigResp> {
        self.enter();
        Ok(impala::TGetBackendConfigResp::new(Refusal::Unsupported.status(None)))
    }

    fn handle_get_executor_membership(
        &self,
        _: impala::TGetExecutorMembershipReq,
    ) -> Reply<impala::TGetExecutorMembershipResp> {
        self.enter();
        Ok(impala::TGetExecutorMembershipResp::new(Refusal::Unsupported.status(None)))
    }
}
