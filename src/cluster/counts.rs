//! The counts of one coordinator. They change only through [`super::guards`].

use std::sync::atomic::{AtomicU32, Ordering};

use super::load::{Load, Own};

/// The counters behind [`Load`]. Relaxed: they guard no other memory; picks see each other's because they
/// hold a lock, and all others' by what [`super::changes`] orders.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) open_sessions: AtomicU32,
    pub(super) running_operations: AtomicU32,
    pub(super) opens_in_progress: AtomicU32,
    pub(super) open_operations: AtomicU32,
    /// Of the open sessions, those that are connections whose bytes nobody reads.
    pub(super) opaque_connections: AtomicU32,
    /// Statements sent whose operation has no handle yet.
    pub(super) unminted: AtomicU32,
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
