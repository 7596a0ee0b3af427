//! What is left of an operation after its close: profile and summary.

use super::ids::Id;
use super::refusal::Quoted;
use crate::idl::impala_service::{TExecProgress, TExecState, TExecStats, TExecSummary, TPlanNodeExecSummary};

/// The answer of the ping and of `version()`.
pub(super) const VERSION: &str = "impalad version 5.0.0-hs2router-simulated RELEASE (build 0)";

/// How many closed operations are remembered (Impala: `--query_log_size`).
pub(super) const LOG_SIZE: usize = 200;

/// An operation as profile and summary show it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) session: Id,
    pub(super) user: String,
    pub(super) statement: Quoted,
    pub(super) coordinator: String,
    pub(super) state: &'static str,
    pub(super) rows: u64,
}

impl Record {
    /// The text profile (Impala: `runtime-profile.cc` `PrettyPrint`).
    pub(super) fn profile(&self) -> String {
        let Self { id, session, user, statement, coordinator, state, rows } = self;
        format!(
            "Query (id={id}):\n  Summary:\n    Session ID: {session}\n    Session Type: HIVESERVER2\n    \
             Query Type: QUERY\n    Query State: {state}\n    Impala Version: {VERSION}\n    User: {user}\n    \
             Connected User: {user}\n    Sql Statement: {statement}\n    Coordinator: {coordinator}\n  \
             ImpalaServer:\n     - NumRowsFetched: {rows} ({rows})\n"
        )
    }

    /// The summary: one node (Impala: `impala-server.cc` `GetExecSummary`).
    pub(super) fn summary(&self) -> TExecSummary {
        let rows = i64::try_from(self.rows).unwrap_or(i64::MAX);
        let stats = TExecStats::new(1_000_000, None, rows, 16_384, None);
        let node = TPlanNodeExecSummary::new(
            0,
            0,
            "00:UNION".to_owned(),
            String::new(),
            0,
            stats.clone(),
            vec![stats],
            false,
            1,
        );
        let execution = match self.state {
            "FINISHED" => TExecState::FINISHED,
            "EXCEPTION" => TExecState::FAILED,
            _ => TExecState::RUNNING,
        };
        let progress = TExecProgress::new(1, 1, 1, 1);
        TExecSummary::new(execution, None, vec![node], None, None, progress, false, None)
    }
}
