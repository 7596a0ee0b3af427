//! What a table is made of. Both maps are sharded; no lock is ever held across two of them.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use super::admission::Admissions;
use super::history::History;
use super::operation::{LocatedOperations, Operation};
use super::session::Session;
use crate::session::hashing::GuidMap;
use crate::wire::facts::Guid;

/// Operations are remembered up to this many times the number of sessions that fit.
pub(super) const OPERATIONS_PER_SESSION: usize = 4;
/// How many closed operations are remembered, oldest forgotten first; Impala remembers 200 a coordinator.
const CLOSED_OPERATIONS: usize = 20_000;

/// How much a table holds, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Sessions at most.
    pub capacity: usize,
    /// How long a session that no connection is attached to is remembered: what its coordinator gives it, and
    /// a little more.
    pub detached_for: Duration,
}

/// The sessions and operations of one cluster.
#[derive(Debug)]
pub struct Table {
    pub(super) settings: Settings,
    pub(super) sessions: GuidMap<Session>,
    pub(super) operations: GuidMap<Operation>,
    /// Closed operations, oldest first.
    pub(super) closed: Mutex<VecDeque<Guid>>,
    pub(super) closed_capacity: usize,
    pub(super) located: Mutex<LocatedOperations>,
    pub(super) admissions: Admissions,
    pub(super) history: Option<Box<dyn History>>,
}

impl Table {
    /// An empty table.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            sessions: GuidMap::default(),
            operations: GuidMap::default(),
            closed: Mutex::default(),
            closed_capacity: CLOSED_OPERATIONS.min(settings.capacity.saturating_mul(OPERATIONS_PER_SESSION)),
            located: Mutex::default(),
            admissions: Admissions::default(),
            history: None,
        }
    }

    /// Whether no further session fits.
    pub fn is_full(&self) -> bool {
        self.sessions.len() >= self.settings.capacity
    }

    /// Sessions in it.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Operations in it, closed ones too.
    pub fn operations(&self) -> usize {
        self.operations.len()
    }
}
