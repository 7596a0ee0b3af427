//! The counts of one coordinator. They change only through guards, so that no way out of a call, a session or
//! a connection can leak one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::coordinator::Coordinator;
use super::load::{Load, Own};

/// The counters behind [`Load`]. Relaxed: they guard no other memory; picks see each other's because they
/// hold a lock, and all others' by what [`super::changes`] orders.
#[derive(Debug, Default)]
pub(super) struct Counts {
    open_sessions: AtomicU32,
    running_operations: AtomicU32,
    opens_in_progress: AtomicU32,
    open_operations: AtomicU32,
    /// Of the open sessions, those that are connections whose bytes nobody reads.
    opaque_connections: AtomicU32,
    /// Statements sent whose operation has no handle yet.
    unminted: AtomicU32,
}

impl Counts {
    pub(super) fn load(&self) -> Load {
        Load {
            open_sessions: self.open_sessions.load(Ordering::Relaxed),
            running_operations: self.running_operations.load(Ordering::Relaxed),
            opens_in_progress: self.opens_in_progress.load(Ordering::Relaxed),
        }
    }

    pub(super) fn open_operations(&self) -> u32 {
        self.open_operations.load(Ordering::Relaxed)
    }

    pub(super) fn opaque_connections(&self) -> u32 {
        self.opaque_connections.load(Ordering::Relaxed)
    }

    pub(super) fn own(&self) -> Own {
        let unminted = self.unminted.load(Ordering::Relaxed);
        Own {
            sessions: self.open_sessions.load(Ordering::Relaxed),
            registered: self.open_operations().saturating_add(unminted),
        }
    }
}

impl Coordinator {
    /// Counts an open that begins now and ends when the guard does.
    pub fn begin_open(self: &Arc<Self>) -> Opening {
        self.counts.opens_in_progress.fetch_add(1, Ordering::Relaxed);
        self.mark.note_change();
        Opening { coordinator: Arc::clone(self) }
    }

    /// Counts a session (or a connection whose sessions cannot be seen) for as long as the guard lives.
    pub fn count_session(self: &Arc<Self>) -> SessionCount {
        self.counts.open_sessions.fetch_add(1, Ordering::Relaxed);
        self.mark.note_change();
        SessionCount { coordinator: Arc::clone(self) }
    }

    /// Counts a connection that is passed on unread, and with it the session that it may be, for as long as
    /// the guard lives.
    pub fn count_opaque(self: &Arc<Self>) -> OpaqueCount {
        self.counts.opaque_connections.fetch_add(1, Ordering::Relaxed);
        OpaqueCount { session: self.count_session() }
    }

    /// Counts a running operation, which has no handle yet, for as long as the guard lives.
    pub fn count_running(self: &Arc<Self>) -> RunningCount {
        self.counts.running_operations.fetch_add(1, Ordering::Relaxed);
        self.mark.note_change();
        self.counts.unminted.fetch_add(1, Ordering::Relaxed);
        RunningCount { coordinator: Arc::clone(self), minted: false }
    }

    /// Counts an operation as open, running or not, for as long as the guard lives.
    pub fn count_operation(self: &Arc<Self>) -> OperationCount {
        self.counts.open_operations.fetch_add(1, Ordering::Relaxed);
        OperationCount { coordinator: Arc::clone(self) }
    }
}

/// An open in progress, counted until this is dropped or becomes a session.
#[derive(Debug)]
#[must_use = "the open stops counting when this is dropped"]
pub struct Opening {
    coordinator: Arc<Coordinator>,
}

impl Opening {
    /// Where the session is being opened.
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }

    /// The open succeeded: counts the session before it stops counting the open, so that at no moment neither
    /// counts.
    pub fn into_session(self) -> SessionCount {
        self.coordinator.count_session()
    }

    /// It turned out to be a connection whose sessions cannot be seen.
    pub fn into_opaque(self) -> OpaqueCount {
        self.coordinator.count_opaque()
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.coordinator.counts.opens_in_progress.fetch_sub(1, Ordering::Relaxed);
        self.coordinator.mark.note_change();
    }
}

/// A session, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the session stops counting when this is dropped"]
pub struct SessionCount {
    coordinator: Arc<Coordinator>,
}

impl SessionCount {
    /// Where the session is.
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }
}

impl Drop for SessionCount {
    fn drop(&mut self) {
        self.coordinator.counts.open_sessions.fetch_sub(1, Ordering::Relaxed);
        self.coordinator.mark.note_change();
    }
}

/// A connection that is passed on unread, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the connection stops counting when this is dropped"]
pub struct OpaqueCount {
    session: SessionCount,
}

impl Drop for OpaqueCount {
    fn drop(&mut self) {
        self.session.coordinator.counts.opaque_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A running operation, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the operation stops counting when this is dropped"]
pub struct RunningCount {
    coordinator: Arc<Coordinator>,
    /// Whether the operation has a handle, and with it an [`OperationCount`].
    minted: bool,
}

impl RunningCount {
    /// Its operation has a handle now; count that first, so that at no moment neither counts.
    pub fn minted(mut self) -> Self {
        if !std::mem::replace(&mut self.minted, true) {
            self.coordinator.counts.unminted.fetch_sub(1, Ordering::Relaxed);
        }
        self
    }

    /// Where the operation runs.
    pub fn coordinator(&self) -> &Arc<Coordinator> {
        &self.coordinator
    }
}

impl Drop for RunningCount {
    fn drop(&mut self) {
        self.coordinator.counts.running_operations.fetch_sub(1, Ordering::Relaxed);
        self.coordinator.mark.note_change();
        if !self.minted {
            self.coordinator.counts.unminted.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// An open operation, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the operation stops counting as open when this is dropped"]
pub struct OperationCount {
    coordinator: Arc<Coordinator>,
}

impl Drop for OperationCount {
    fn drop(&mut self) {
        self.coordinator.counts.open_operations.fetch_sub(1, Ordering::Relaxed);
    }
}
