//! Entries of operations in the table.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::end::OperationEnd;
use super::secret::Secret;
use crate::cluster::{OperationCount, RunningCount};
use crate::ids::CoordinatorId;
use crate::wire::facts::{Guid, Handle};

/// In place an entry has what a look-up reads, the rest is behind a box.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) coordinator: CoordinatorId,
    /// None for a Beeswax query.
    pub(super) secret: Option<Secret>,
    /// None once it is closed.
    pub(super) open: Option<Box<Open>>,
}

/// What an operation is as long as it is open.
#[derive(Debug)]
pub(super) struct Open {
    /// None for one that was located.
    pub(super) session: Option<Guid>,
    pub(super) kind: OperationKind,
    /// When it was minted, or located.
    pub(super) since: Instant,
    pub(super) has_result_set: bool,
    /// None once its coordinator's process seems to have ended.
    pub(super) load: Option<OpenLoad>,
    /// What was seen of its end.
    pub(super) end: Option<OperationEnd>,
    pub(super) _in_use: OpenCount,
}

/// What an open operation is for its coordinator.
#[derive(Debug)]
pub(super) struct OpenLoad {
    /// None once its end was seen.
    pub(super) running: Option<RunningCount>,
    pub(super) _open: OperationCount,
}

/// What minted an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// A statement.
    Statement,
    /// A call for metadata.
    Metadata,
    /// Nobody knows: it was located.
    Located,
}

impl OperationKind {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Metadata => "metadata",
            Self::Located => "located",
        }
    }
}

/// An operation that was just minted.
#[derive(Debug)]
pub struct NewOperation {
    /// What identifies it: the guid of its handle, or the one that its Beeswax query id prints.
    pub guid: Guid,
    /// None for a Beeswax query.
    pub secret: Option<Secret>,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// The session that it ends with.
    pub session: Guid,
    /// What minted it.
    pub kind: OperationKind,
    /// Whether rows remain when its state says that it has finished.
    pub has_result_set: bool,
    /// Counts it as load until its end is seen; none for metadata calls and what ended with its reply.
    pub running: Option<RunningCount>,
    /// Counts it as open on its connection until it is closed.
    pub open: OpenCount,
    /// Counts it as open on its coordinator until it is closed.
    pub counted: OperationCount,
    /// The present moment.
    pub now: Instant,
}

/// How many operations that a connection opened are still open; a drain waits for them.
#[derive(Clone, Debug, Default)]
pub struct OpenOperations(Arc<AtomicUsize>);

impl OpenOperations {
    /// Counts one more, until the guard ends.
    pub fn count(&self) -> OpenCount {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenCount(Arc::clone(&self.0))
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// An open operation, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the operation stops counting as open when this is dropped"]
pub struct OpenCount(Arc<AtomicUsize>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An operation that was just located.
#[derive(Debug)]
pub struct LocatedOperation {
    /// As its client has it.
    pub handle: Handle,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// Counts it as load until its end is seen; none if that was seen.
    pub running: Option<RunningCount>,
    /// Counts it as open on the connection that asked until it is closed.
    pub open: OpenCount,
    /// Counts it as open on its coordinator until it is closed.
    pub counted: OperationCount,
}

/// Operations that were located, oldest first. They end with no session that is known, so each is forgotten
/// after a time; if it is still used, it is located again.
#[derive(Debug, Default)]
pub(super) struct LocatedOperations(pub(super) VecDeque<(Guid, Instant)>);

impl LocatedOperations {
    /// Takes out the oldest, if it was kept for long enough, or if there are more than `most`.
    pub(super) fn next_over(&mut self, now: Instant, keep_for: Duration, most: usize) -> Option<Guid> {
        let (guid, since) = self.0.front()?;
        let over = now.saturating_duration_since(*since) >= keep_for || self.0.len() > most;
        let guid = over.then_some(*guid)?;
        self.0.pop_front();
        Some(guid)
    }
}
