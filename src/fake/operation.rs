//! The life of a statement: executed, fetched, cancelled, closed, remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::ids::{Id, Secret};
use super::options;
use super::profile::{LOG_SIZE, Record};
use super::refusal::{Quoted, Refusal, Words};
use super::rows::Table;
use super::state::{Caller, State, Tables};
use super::statement::{self, Context, Effect, Plan};
use crate::clock;
use crate::idl::t_c_l_i_service::{TOperationHandle, TOperationType};

/// How many rows a fetch returns at most, whatever was asked for.
const FETCH_LIMIT: u64 = 1 << 20;
/// How many rows a fetch returns when the client does not say (Impala: one batch).
const BATCH: u64 = 1024;

/// An operation whose handle was given out and that is not closed yet.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: Id,
    pub(super) session: Id,
    secret: Secret,
    user: String,
    statement: Quoted,
    table: Option<Arc<Table>>,
    protocol: i32,
    position: u64,
    ready_at: Instant,
    failure: Option<Refusal>,
    cancelled: bool,
    modified: Option<u64>,
    kind: TOperationType,
}

/// The state of an operation (Impala: `client-request-state.cc` `TOperationState` has no `CANCELED_STATE`).
#[derive(Clone, Debug)]
pub(super) enum Progress {
    Running,
    Finished,
    Failed(Refusal),
}

/// A handle that was given out.
pub(super) struct Started {
    pub(super) id: Id,
    pub(super) secret: Secret,
    pub(super) has_rows: bool,
}

/// The result of a fetch.
pub(super) enum Fetched {
    /// The time for one fetch is over, and the operation is still running.
    StillExecuting,
    Rows {
        table: Arc<Table>,
        start: u64,
        end: u64,
        protocol: i32,
    },
}

/// How a caller proves its right to an operation.
#[derive(Clone, Copy)]
pub(super) enum Claim<'a> {
    /// HS2: the secret of its handle, and the user of the connection (Impala: `impala-hs2-server.cc`).
    Handle(&'a TOperationHandle),
    /// Beeswax: the same user, or no user at all yet (Impala: `impala-server.cc`
    /// `CheckClientRequestSession`).
    SameUser(Id),
    /// Beeswax `Cancel` and `close`: knowing the id is enough (Impala: `impala-beeswax-server.cc` `Cancel`,
    /// `close`).
    Anyone(Id),
}

impl Claim<'_> {
    /// The id of the operation.
    ///
    /// # Errors
    /// [`Refusal::MalformedHandle`] if its parts are not 16 bytes long.
    pub(super) fn id(self) -> Result<Id, Refusal> {
        match self {
            Self::Handle(handle) => super::ids::identifier(&handle.operation_id),
            Self::SameUser(id) | Self::Anyone(id) => Ok(id),
        }
    }
}

impl Operation {
    /// Unfetched rows keep an operation executing, and so does its delay.
    pub(super) fn is_executing(&self, now: Instant) -> bool {
        let left = self.table.as_ref().is_some_and(|table| self.position < table.len());
        !self.cancelled && (now < self.ready_at || (left && self.failure.is_none()))
    }

    fn progress(&self, now: Instant) -> Progress {
        if self.cancelled {
            return Progress::Failed(Refusal::Cancelled);
        }
        if now < self.ready_at {
            return Progress::Running;
        }
        self.failure.clone().map_or(Progress::Finished, Progress::Failed)
    }

    fn record(&self, coordinator: &str) -> Record {
        Record {
            id: self.id,
            session: self.session,
            user: self.user.clone(),
            statement: self.statement.clone(),
            coordinator: coordinator.to_owned(),
            state: match self.progress(clock::now()) {
                Progress::Running => "RUNNING",
                Progress::Finished => "FINISHED",
                Progress::Failed(_) => "EXCEPTION",
            },
            rows: self.position,
        }
    }
}

impl State {
    /// Runs a statement in a session that was already checked: plans it, applies its effect to the session
    /// and registers the operation.
    ///
    /// # Errors
    /// When the statement is refused; with the query id that the message names, if any.
    pub(super) fn execute(
        &self,
        caller: &Caller,
        session_id: Id,
        text: &str,
        overlay: &BTreeMap<String, String>,
    ) -> Result<Started, (Option<Id>, Refusal)> {
        if let Some(option) = overlay.keys().find(|option| !is_overlay_key(option)) {
            return Err((None, Refusal::UnknownOption(option.clone())));
        }
        let id = self.chance.draw(Id::random_query);
        let mut tables = self.tables();
        tables.total += 1;
        let session =
            tables.sessions.get_mut(&session_id).ok_or((None, Refusal::UnknownSession(session_id)))?;
        let context = Context {
            coordinator: &self.name,
            user: &session.connected_user,
            effective_user: session.effective_user(),
            database: &session.database,
            options: &session.options,
        };
        let plan = statement::plan(text, &context).map_err(|refusal| (Some(id), refusal))?;
        match &plan.effect {
            Effect::None => {}
            Effect::Use(database) => session.database.clone_from(database),
            Effect::Set { option, value } => {
                if value.is_empty() {
                    drop(session.options.remove(option));
                } else {
                    drop(session.options.insert(option.clone(), value.clone()));
                }
                session.note_set(option);
            }
            Effect::UnsetAll => session.options.clear(),
        }
        let started = tables.register(id, session_id, text, plan).map_err(|refusal| (None, refusal))?;
        self.note(caller, |call| call.operation = Some(id));
        Ok(started)
    }

    /// Registers the answer of a metadata call.
    pub(super) fn answer(
        &self,
        caller: &Caller,
        session: Id,
        table: Table,
        kind: TOperationType,
    ) -> Result<Started, Refusal> {
        let id = self.chance.draw(Id::random_query);
        let plan = Plan { kind, ..Plan::rows(table) };
        let started = self.tables().register(id, session, "", plan)?;
        self.note(caller, |call| call.operation = Some(id));
        Ok(started)
    }

    /// Does something with an operation, after the checks of the claim.
    pub(super) fn with_operation<T>(
        &self,
        caller: &Caller,
        claim: Claim<'_>,
        act: impl FnOnce(&mut Operation) -> T,
    ) -> Result<T, Refusal> {
        let mut tables = self.tables();
        let id = claim.id()?;
        self.note(caller, |call| call.operation = Some(id));
        tables.check_operation(caller, claim, id)?;
        tables.operations.get_mut(&id).map(act).ok_or(Refusal::UnknownQuery(id))
    }

    /// The state of an operation.
    pub(super) fn progress(&self, caller: &Caller, claim: Claim<'_>) -> Result<Progress, Refusal> {
        self.with_operation(caller, claim, |operation| operation.progress(clock::now()))
    }

    /// The schema's table; `None` where there is no result set.
    pub(super) fn table(&self, caller: &Caller, claim: Claim<'_>) -> Result<Option<Arc<Table>>, Refusal> {
        self.with_operation(caller, claim, |operation| operation.table.clone())
    }

    /// Cancels the operation; if it is already cancelled or done, nothing changes (Impala: `impala-server.cc`
    /// `CancelInternal`).
    pub(super) fn cancel(&self, caller: &Caller, claim: Claim<'_>) -> Result<(), Refusal> {
        self.with_operation(caller, claim, |operation| operation.cancelled = true)?;
        self.changed.notify_all();
        Ok(())
    }

    /// Closes the operation; returns how many rows a DML statement modified.
    pub(super) fn close(&self, caller: &Caller, claim: Claim<'_>) -> Result<Option<u64>, Refusal> {
        let (id, modified) =
            self.with_operation(caller, claim, |operation| (operation.id, operation.modified))?;
        self.tables().unregister(id);
        self.changed.notify_all();
        Ok(modified)
    }

    /// Waits for rows and takes the next ones. A failed fetch ends the operation
    /// (Impala: `impala-hs2-server.cc` `FetchInternal`).
    pub(super) fn fetch(&self, caller: &Caller, claim: Claim<'_>, wanted: i64) -> Result<Fetched, Refusal> {
        let id = claim.id()?;
        self.note(caller, |call| call.operation = Some(id));
        let deadline = clock::now() + self.fetch_timeout;
        let mut tables = self.tables();
        loop {
            tables.check_operation(caller, claim, id)?;
            let operation = tables.operations.get_mut(&id).ok_or(Refusal::UnknownQuery(id))?;
            let now = clock::now();
            match operation.progress(now) {
                Progress::Finished => return operation.take_rows(wanted),
                Progress::Failed(refusal) => {
                    tables.unregister(id);
                    return Err(refusal);
                }
                Progress::Running if now >= deadline => return Ok(Fetched::StillExecuting),
                Progress::Running => {
                    let until = operation.ready_at.min(deadline);
                    self.changed.wait_until(&mut tables, until);
                }
            }
        }
    }

    /// Waits until an operation has ended, however long that takes.
    pub(super) fn wait(&self, caller: &Caller, claim: Claim<'_>) -> Result<(), Refusal> {
        let id = claim.id()?;
        let mut tables = self.tables();
        loop {
            tables.check_operation(caller, claim, id)?;
            let operation = tables.operations.get(&id).ok_or(Refusal::UnknownQuery(id))?;
            let until = operation.ready_at;
            match operation.progress(clock::now()) {
                Progress::Finished => return Ok(()),
                Progress::Failed(refusal) => return Err(refusal),
                Progress::Running => drop(self.changed.wait_until(&mut tables, until)),
            }
        }
    }

    /// Starts again with the first row.
    pub(super) fn rewind(&self, caller: &Caller, claim: Claim<'_>) -> Result<(), Refusal> {
        self.with_operation(caller, claim, |operation| operation.position = 0)
    }

    /// An operation as profile and summary show it, even if it is closed; the caller must be its user
    /// (Impala: `impala-server.cc` `GetRuntimeProfileOutput`).
    pub(super) fn record(&self, user: &str, id: Id) -> Result<Record, Refusal> {
        let tables = self.tables();
        let live = tables.operations.get(&id).map(|operation| operation.record(&self.name));
        let record = live.or_else(|| tables.log.iter().find(|record| record.id == id).cloned());
        let mut record = record.ok_or(Refusal::QueryNotFound(id))?;
        if record.user != user {
            return Err(Refusal::NotYours(id));
        }
        record.coordinator.clone_from(&self.name);
        Ok(record)
    }
}

impl Operation {
    fn take_rows(&mut self, wanted: i64) -> Result<Fetched, Refusal> {
        let table = self.table.clone().ok_or(Refusal::Unsupported)?;
        let wanted = u64::try_from(wanted).ok().filter(|wanted| *wanted > 0).unwrap_or(BATCH);
        let start = self.position;
        let end = table.len().min(start.saturating_add(wanted.min(FETCH_LIMIT)));
        self.position = end;
        Ok(Fetched::Rows { table, start, end, protocol: self.protocol })
    }
}

impl Tables {
    fn register(&mut self, id: Id, session_id: Id, text: &str, plan: Plan) -> Result<Started, Refusal> {
        let session = self.sessions.get(&session_id).ok_or(Refusal::UnknownSession(session_id))?;
        let has_rows = plan.table.is_some();
        let operation = Operation {
            id,
            session: session_id,
            // The operation inherits the session's secret (Impala: `impala-hs2-server.cc`
            // `ExecuteStatement`).
            secret: session.secret,
            user: session.effective_user().to_owned(),
            statement: Quoted(text.to_owned()),
            table: plan.table.map(Arc::new),
            protocol: session.protocol,
            position: 0,
            ready_at: clock::now() + plan.delay,
            failure: plan.failure,
            cancelled: false,
            modified: plan.modified,
            kind: plan.kind,
        };
        let started = Started { id, secret: operation.secret, has_rows };
        drop(self.operations.insert(id, operation));
        Ok(started)
    }

    /// Checks existence before the secret, so that the two answers differ, and then the user (Impala:
    /// `impala-server.cc` `GetActiveQueryHandle`, `WithSession`).
    fn check_operation(&mut self, caller: &Caller, claim: Claim<'_>, id: Id) -> Result<(), Refusal> {
        if let Some(session) = self.operations.get(&id).map(|operation| operation.session) {
            self.look(session);
        }
        let operation = self.operations.get(&id).ok_or_else(|| self.words.unknown_query(id))?;
        match claim {
            Claim::Handle(handle) => {
                if !operation.secret.matches(&handle.operation_id.secret) {
                    return Err(self.words.wrong_secret(id));
                }
                // Hive, Spark: `OperationHandle` `equals`.
                if self.words == Words::Hive && operation.kind != handle.operation_type {
                    return Err(Refusal::InvalidOperation(id));
                }
                let session_id = operation.session;
                let session = self.sessions.get_mut(&session_id).ok_or(Refusal::UnknownQuery(id))?;
                session.admit(caller)
            }
            Claim::SameUser(_) => {
                let own = self.own_session(caller).and_then(|own| self.sessions.get(&own));
                let user = own.map_or("", |session| session.effective_user());
                if user.is_empty() || user == operation.user { Ok(()) } else { Err(Refusal::NotYours(id)) }
            }
            Claim::Anyone(_) => Ok(()),
        }
    }

    /// Forgets an operation, except for what profile and summary need.
    pub(super) fn unregister(&mut self, id: Id) {
        if let Some(operation) = self.operations.remove(&id) {
            if self.log.len() == LOG_SIZE {
                drop(self.log.pop_front());
            }
            self.log.push_back(operation.record(""));
        }
    }
}

/// The options that a statement's own configuration may set (Impala: `impala-hs2-server.cc`
/// `TExecuteStatementReqToTQueryContext`).
fn is_overlay_key(key: &str) -> bool {
    ["impala.resultset.cache.size", "impala.parent_query_id"].contains(&key) || options::is_known(key)
}
