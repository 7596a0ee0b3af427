//! Where new sessions wait that any coordinator of a cluster will do for.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Waiter;
use crate::cluster::turns::{QueueFull, Ticket, Turn, Turns};
use crate::net::stream::Stream;

/// New sessions that wait for room on any coordinator of a cluster.
#[derive(Debug)]
pub(in crate::serve) struct Lobby<S: Stream> {
    turns: Mutex<Turns<Waiter<S>>>,
    /// As many as wait.
    waiting: AtomicUsize,
}

impl<S: Stream> Lobby<S> {
    /// Nobody waits; as many as this may.
    pub(in crate::serve) fn new(queue_length: usize) -> Self {
        Self { turns: Mutex::new(Turns::new(queue_length)), waiting: AtomicUsize::new(0) }
    }

    /// One more waits. Coordinators may have got room in this moment: their waiting ones are to be called after this.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub(in crate::serve) fn join(&self, turn: &Turn, waiter: Waiter<S>) -> Result<Ticket, QueueFull> {
        let mut turns = self.turns.lock();
        let (ticket, displaced) = turns.join(turn, waiter)?;
        self.waiting.store(turns.len(), Ordering::SeqCst);
        drop(turns);
        drop(displaced);
        Ok(ticket)
    }

    /// One who waited waits no more.
    pub(in crate::serve) fn leave(&self, turn: &Turn, ticket: Ticket) {
        let mut turns = self.turns.lock();
        let left = turns.leave(turn, ticket);
        self.waiting.store(turns.len(), Ordering::SeqCst);
        drop(turns);
        drop(left);
    }

    /// Whether nobody waits; asked without the lock.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait; asked without the lock.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether any waiter `fits`.
    pub(super) fn any(&self, fits: impl FnMut(&Waiter<S>) -> bool) -> bool {
        !self.is_empty() && self.turns.lock().any(fits)
    }

    pub(super) fn next(&self, fits: impl FnMut(&Waiter<S>) -> bool) -> Option<Waiter<S>> {
        let mut turns = self.turns.lock();
        let next = turns.next(fits);
        self.waiting.store(turns.len(), Ordering::SeqCst);
        next
    }
}
