//! What a table promises, seen from outside.

mod ended;
mod lives;
mod located;
mod model;
mod operations;
mod seen;
mod sessions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::operation::Operation;
use super::session::Session;
use super::*;
use crate::clock;
use crate::cluster::{Cluster, Load};
use crate::ids::{Access, CoordinatorId};
use crate::session::idle::IdleTimeout;
use crate::session::messages::{cluster, guessed, handle};
use crate::wire::facts::{Guid, Handle};

const DETACHED_FOR: Duration = Duration::from_mins(1);

/// A history in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) sessions: Arc<Mutex<Vec<EndedSession>>>,
    pub(super) operations: Arc<Mutex<Vec<EndedOperation>>>,
}

impl History for Told {
    fn session_ended(&self, session: EndedSession) {
        self.sessions.lock().push(session);
    }

    fn operation_ended(&self, operation: EndedOperation) {
        self.operations.lock().push(operation);
    }
}

impl Told {
    /// How each session ended that was told of since the last look.
    pub(super) fn sessions(&self) -> Vec<SessionEnd> {
        self.sessions.lock().drain(..).map(|ended| ended.end).collect()
    }

    /// How each operation ended.
    pub(super) fn operations(&self) -> Vec<OperationEnd> {
        self.operations.lock().drain(..).map(|ended| ended.end).collect()
    }
}

struct Fixture {
    cluster: Cluster,
    table: Table,
    open: OpenOperations,
}

impl Fixture {
    fn new(capacity: usize) -> Self {
        let table = Table::new(Settings { capacity, detached_for: DETACHED_FOR });
        Self { cluster: cluster(2), table, open: OpenOperations::default() }
    }

    fn insert_session(&self, number: u8, coordinator: u32) -> Result<(), NotKept> {
        let coordinator = CoordinatorId(coordinator);
        let count = self.cluster.coordinator(coordinator).unwrap().count_session();
        let handle = handle(number);
        self.table.insert_session(NewSession {
            guid: handle.guid,
            secret: Some(handle.secret),
            coordinator,
            count,
            access: Access::ANONYMOUS,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        })
    }

    /// An operation that runs and has rows.
    fn insert_operation(&self, number: u8, session: u8, coordinator: u32) {
        let coordinator = CoordinatorId(coordinator);
        let owner = self.cluster.coordinator(coordinator).unwrap();
        let (counted, running) = (owner.count_operation(), owner.count_running().minted());
        let minted = handle(number);
        self.table.insert_operation(NewOperation {
            kind: OperationKind::Statement,
            now: clock::now(),
            guid: minted.guid,
            secret: Some(minted.secret),
            coordinator,
            session: handle(session).guid,
            has_result_set: true,
            running: Some(running),
            open: self.open.count(),
            counted,
        });
    }

    fn operation_owner(&self, number: u8) -> Option<u32> {
        self.table.operation_owner(&handle(number).guid).map(|id| id.0)
    }

    fn session_owner(&self, number: u8) -> Option<u32> {
        self.table.session_owner(&handle(number).guid).map(|id| id.0)
    }

    fn load(&self, coordinator: u32) -> Load {
        self.cluster.coordinator(CoordinatorId(coordinator)).unwrap().load()
    }

    /// Sessions and running operations, on all coordinators.
    fn counted(&self) -> (usize, usize) {
        let all = self.cluster.coordinators();
        let loads = all.iter().map(|coordinator| coordinator.load());
        loads.fold((0, 0), |(sessions, running), load| {
            (sessions + load.open_sessions as usize, running + load.running_operations as usize)
        })
    }

    fn closed_guids(&self) -> usize {
        self.table.closed.lock().len()
    }
}
