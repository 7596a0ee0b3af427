//! What a reply teaches: sessions and operations that came to be, ended, or turn out to be gone.

use std::sync::Arc;
use std::time::Instant;

use super::statement::Effect;
use super::table::{Done, NewOperation, OpenOperations, OperationEnd, OperationKind, SessionEnd, Table};
use crate::cluster::{Coordinator, Flavor, RunningCount};
use crate::wire::facts::{Facts, Guid};
use crate::wire::method::{Method, Role};
use crate::wire::verdict::Verdict;

/// Where a call went and what it belonged to.
pub struct Call<'a> {
    /// The method.
    pub method: &'static Method,
    /// The request's facts.
    pub request: &'a Facts,
    /// What the reply says of it.
    pub verdict: Verdict,
    /// Who answered.
    pub coordinator: &'a Arc<Coordinator>,
    /// The session of its connection, where the request names none (Beeswax).
    pub connection_session: Option<Guid>,
    /// The operations that its connection opened.
    pub open: &'a OpenOperations,
    /// Whether the reply may be to another call of the same client, one that its coordinator found in an
    /// earlier request.
    pub in_doubt: bool,
    /// What its statement does to its session.
    pub effect: &'a Effect,
    /// The present moment.
    pub now: Instant,
}

/// Brings the table up to date with a reply; `running` counted the statement while it was under way. A new
/// session is not this function's: it comes from a pick.
pub fn learn(call: &Call<'_>, reply: &Facts, running: Option<RunningCount>, flavor: Flavor, table: &Table) {
    if call.in_doubt && !names_its_own(call, table) {
        return;
    }
    match call.verdict {
        Verdict::Success => succeeded(call, reply, running, flavor, table),
        Verdict::NoSuchSession => {
            // Profile and summary name the session second.
            let named = [call.request.handle(), call.request.second_handle()];
            let known = named.into_iter().flatten().find(|handle| table.is_session(handle));
            // One that can move may have been lost with its coordinator; that is for whoever made the call to
            // find out.
            if let Some(handle) = known.filter(|handle| !table.can_move(&handle.guid)) {
                table.remove_session(&handle.guid, SessionEnd::Gone);
            }
        }
        Verdict::NoSuchOperation => {
            if let Some(guid) = failed_operation(call, table) {
                table.close_operation(&guid, OperationEnd::Gone);
            }
        }
        // A fetch that fails ends its operation (Impala: `ImpalaServer::FetchInternal` unregisters the
        // query).
        Verdict::Failed if call.method.role == Role::Fetch => {
            if let Some(guid) = failed_operation(call, table) {
                table.end_running(&guid, OperationEnd::Failed);
            }
        }
        Verdict::Failed | Verdict::ShuttingDown | Verdict::Full => {}
    }
}

/// Whether its client knows the secret of what a call names, or opened it on this connection. Then a wrong
/// belief about it harms nobody else.
fn names_its_own(call: &Call<'_>, table: &Table) -> bool {
    match (call.request.handle(), named_query(call, table)) {
        (Some(handle), _) => table.is_session(&handle) || table.is_operation(&handle),
        (None, Some((_, session))) => call.connection_session == Some(session),
        (None, None) => true,
    }
}

/// The operation about which a failure says something. The call must know the operation's secret or, as
/// Beeswax has no secrets, come on the connection that opened it. To other clients a coordinator may say the
/// same because they may not use the operation (Impala: `ImpalaServer::CheckClientRequestSession`).
fn failed_operation(call: &Call<'_>, table: &Table) -> Option<Guid> {
    if let Some(handle) = call.request.handle() {
        return table.is_operation(&handle).then_some(handle.guid);
    }
    let (guid, session) = named_query(call, table)?;
    (call.connection_session == Some(session)).then_some(guid)
}

/// The open Beeswax query that a call names by its id, and its session.
fn named_query(call: &Call<'_>, table: &Table) -> Option<(Guid, Guid)> {
    let guid = call.request.query_id.flatten()?;
    Some((guid, table.query_session(&guid)?))
}

fn succeeded(call: &Call<'_>, reply: &Facts, running: Option<RunningCount>, flavor: Flavor, table: &Table) {
    let named = call.request.handle().map(|handle| handle.guid).or_else(|| {
        // Whoever its coordinator lets use a query may end it. An HS2 operation is not ended by its printed
        // id, which anybody can read on a web page.
        let (guid, _) = named_query(call, table)?;
        Some(guid)
    });
    match (call.method.role, named) {
        (Role::Statement | Role::Metadata, _) => mint(call, reply, running, flavor, table),
        (Role::CloseSession, Some(session)) => table.remove_session(&session, SessionEnd::Closed),
        (Role::CloseOperation, Some(operation)) => {
            table.note_closing(&operation, call.now);
            table.close_operation(&operation, OperationEnd::Closed);
        }
        (Role::CancelOperation, Some(operation)) => table.end_running(&operation, OperationEnd::Cancelled),
        (Role::Fetch, Some(operation)) if rows_ended(reply, flavor) => {
            table.end_running(&operation, OperationEnd::Finished);
        }
        (Role::Poll, Some(operation)) => match progress(reply, call.request.query_id.is_some(), flavor) {
            Progress::Runs => {}
            Progress::Finished => table.finish(&operation),
            Progress::Ended(end) => table.end_running(&operation, end),
        },
        _ => {}
    }
}

fn mint(call: &Call<'_>, reply: &Facts, running: Option<RunningCount>, flavor: Flavor, table: &Table) {
    let Some(guid) = reply.key() else { return };
    // Impala ignores runAsync; elsewhere the reply to a synchronous statement comes when it has ended.
    let runs_on = flavor == Flavor::Impala || call.request.run_async == Some(true);
    let runs = call.method.role == Role::Statement && runs_on;
    let asked_session = call.request.handle().map(|handle| handle.guid);
    let Some(session) = asked_session.or(call.connection_session) else { return };
    // Counted as open before it counts as minted, so that at no moment neither holds.
    let counted = call.coordinator.count_operation();
    table.insert_operation(NewOperation {
        guid,
        secret: reply.handle().map(|handle| handle.secret),
        coordinator: call.coordinator.id,
        session,
        kind: if call.method.role == Role::Statement {
            OperationKind::Statement
        } else {
            OperationKind::Metadata
        },
        has_result_set: reply.has_result_set.unwrap_or(true),
        running: running.map(RunningCount::minted).filter(|_| runs),
        open: call.open.count(),
        counted,
        now: call.now,
    });
    let done =
        Done { effect: call.effect, coordinator: call.coordinator.id, operation: Some(guid), now: call.now };
    table.note_effect(&session, &done);
}

/// Whether a successful fetch says that no rows remain. Spark says so always, so elsewhere it means nothing.
fn rows_ended(reply: &Facts, flavor: Flavor) -> bool {
    flavor == Flavor::Impala && reply.more == Some(false)
}

/// Whether an operation of HS2 still is work for its coordinator, going by a successful reply to
/// `GetOperationStatus`.
pub fn runs(status: &Facts, flavor: Flavor) -> bool {
    // Rows may remain of one that has finished.
    !matches!(progress(status, false, flavor), Progress::Ended(_))
}

enum Progress {
    Runs,
    /// Done but for its rows.
    Finished,
    Ended(OperationEnd),
}

/// `TOperationState`: FINISHED 2, CANCELED 3, CLOSED 4, ERROR 5, TIMEDOUT 8; Beeswax's `QueryState`: FINISHED
/// 4, EXCEPTION 5.
fn progress(reply: &Facts, beeswax: bool, flavor: Flavor) -> Progress {
    let Some(state) = reply.state else { return Progress::Runs };
    match (beeswax, state) {
        (true, 4) | (false, 2) if flavor == Flavor::Impala => Progress::Finished,
        (true, 4) | (false, 2) => Progress::Ended(OperationEnd::Finished),
        (_, 5) => Progress::Ended(OperationEnd::Failed),
        (false, 3) => Progress::Ended(OperationEnd::Cancelled),
        (false, 4) => Progress::Ended(OperationEnd::Closed),
        (false, 8) => Progress::Ended(OperationEnd::TimedOut),
        _ => Progress::Runs,
    }
}

#[cfg(test)]
mod tests;
