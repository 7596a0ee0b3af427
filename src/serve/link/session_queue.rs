//! The queue of new sessions that any coordinator of the cluster can take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::{QueueFull, Ticket, Turn, Turns};
use crate::ids::{Access, ClientAddress, CoordinatorId};
use crate::metrics::{QueueMetrics, WaitOutcome};
use crate::serve::settings::RoomSettings;

/// A client that waits for a link. `G` is what it gets when it is served.
#[derive(Debug)]
pub(crate) struct Waiter<G> {
    /// The identity that the link is for, and its transport.
    pub access: Access,
    /// The address whose share is used, if the client has not proven who it is.
    pub unproven: Option<ClientAddress>,
    /// Where the client is; none if the router waits for itself.
    pub client: Option<ClientAddress>,
    /// Since when it waits.
    pub since: Instant,
    /// Which links are acceptable.
    pub kind: Kind,
    /// The coordinators that were tried already; they are skipped.
    pub tried: Vec<CoordinatorId>,
    /// Receives the grant. Dropped without one if the waiter gives way to another.
    pub called: oneshot::Sender<G>,
}

impl<G> Waiter<G> {
    pub(crate) fn holder(&self) -> Holder<'_> {
        Holder { access: &self.access, unproven: self.unproven }
    }
}

/// What is shown of a client that waits.
#[derive(Clone, Debug)]
pub(crate) struct SeenWaiter {
    /// The identity that the link is for, and its transport.
    pub access: Access,
    /// Where the client is; none if the router waits for itself.
    pub client: Option<ClientAddress>,
    /// Since when it waits.
    pub since: Instant,
}

impl SeenWaiter {
    /// All of a line, in order.
    pub(super) fn all<G>(line: &Turns<Waiter<G>>) -> Vec<Self> {
        let seen =
            |one: &Waiter<G>| Self { access: one.access.clone(), client: one.client, since: one.since };
        line.in_order().into_iter().map(seen).collect()
    }
}

/// The new sessions that wait for a slot on any coordinator of a cluster.
#[derive(Debug)]
pub(crate) struct SessionQueue<G> {
    turns: Mutex<Turns<Waiter<G>>>,
    /// The length of `turns`, readable without the lock.
    waiting: AtomicUsize,
    /// The longest that a new session or a call may wait (`queue_timeout`).
    pub(super) timeout: Duration,
    /// How many may wait here, and how many for one port (`queue_length`).
    pub(super) length: usize,
    /// Counts those that wait, here or for one port.
    pub(super) metrics: QueueMetrics,
}

impl<G> SessionQueue<G> {
    /// Creates an empty queue.
    pub(crate) fn new(room: &RoomSettings, metrics: QueueMetrics) -> Self {
        let (timeout, length) = (room.queue_timeout, room.queue_length);
        Self { turns: Mutex::new(Turns::new(length)), waiting: AtomicUsize::new(0), timeout, length, metrics }
    }

    /// Counts a client that may not wait because the queue is full.
    pub(crate) fn note_full(&self) {
        self.metrics.waits.count(WaitOutcome::QueueFull);
    }

    /// Those that wait, in order.
    pub(crate) fn seen(&self) -> Vec<SeenWaiter> {
        SeenWaiter::all(&self.turns.lock())
    }

    /// Adds a waiter. A coordinator may have got room just before, so the caller must serve the waiters of
    /// all coordinators afterwards.
    ///
    /// # Errors
    /// [`QueueFull`] when the queue is full and nobody in it gives way to this waiter.
    pub(crate) fn join(&self, turn: &Turn, waiter: Waiter<G>) -> Result<Ticket, QueueFull> {
        let mut turns = self.turns.lock();
        let (ticket, displaced) = turns.join(turn, waiter)?;
        self.waiting.store(turns.len(), Ordering::SeqCst);
        drop(turns);
        drop(displaced);
        Ok(ticket)
    }

    /// Removes a waiter.
    pub(crate) fn leave(&self, turn: &Turn, ticket: Ticket) {
        let mut turns = self.turns.lock();
        let left = turns.leave(turn, ticket);
        self.waiting.store(turns.len(), Ordering::SeqCst);
        drop(turns);
        drop(left);
    }

    /// Whether nobody waits. Does not take the lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait. Does not take the lock.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether `fits` is true of any waiter.
    pub(crate) fn any(&self, fits: impl FnMut(&Waiter<G>) -> bool) -> bool {
        !self.is_empty() && self.turns.lock().any(fits)
    }

    /// Takes out the next waiter that `fits`.
    pub(crate) fn next(&self, fits: impl FnMut(&Waiter<G>) -> bool) -> Option<Waiter<G>> {
        let mut turns = self.turns.lock();
        let next = turns.next(fits);
        self.waiting.store(turns.len(), Ordering::SeqCst);
        next
    }
}
