//! Where new sessions wait that any coordinator of a cluster will do for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::{QueueFull, Ticket, Turn, Turns};
use crate::ids::{Access, ClientAddress, CoordinatorId};
use crate::metrics::{QueueMetrics, WaitOutcome};
use crate::serve::settings::RoomSettings;

/// One who waits.
#[derive(Debug)]
pub(crate) struct Waiter<G> {
    /// Whom the link is for.
    pub access: Access,
    /// Whose share it uses, if nobody has proven anything.
    pub unproven: Option<ClientAddress>,
    /// Which link will do.
    pub kind: Kind,
    /// Coordinators that it has tried.
    pub tried: Vec<CoordinatorId>,
    /// Where it is called; dropped if it gives way to another.
    pub called: oneshot::Sender<G>,
}

impl<G> Waiter<G> {
    pub(crate) fn holder(&self) -> Holder<'_> {
        Holder { access: &self.access, unproven: self.unproven }
    }
}

/// New sessions that wait for room on any coordinator of a cluster.
#[derive(Debug)]
pub(crate) struct SessionQueue<G> {
    turns: Mutex<Turns<Waiter<G>>>,
    /// As many as wait.
    waiting: AtomicUsize,
    /// How long a new session or a call may wait for room.
    pub(super) timeout: Duration,
    /// How many may wait.
    pub(super) length: usize,
    /// Counts those who wait, here or for one port.
    pub(super) metrics: QueueMetrics,
}

impl<G> SessionQueue<G> {
    /// Nobody waits.
    pub(crate) fn new(room: &RoomSettings, metrics: QueueMetrics) -> Self {
        let (timeout, length) = (room.queue_timeout, room.queue_length);
        Self { turns: Mutex::new(Turns::new(length)), waiting: AtomicUsize::new(0), timeout, length, metrics }
    }

    /// Somebody may not wait, because too many do.
    pub(crate) fn note_full(&self) {
        self.metrics.waits.count(WaitOutcome::QueueFull);
    }

    /// One more waits. Coordinators may have got room in this moment: their waiting ones are to be called after this.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub(crate) fn join(&self, turn: &Turn, waiter: Waiter<G>) -> Result<Ticket, QueueFull> {
        let mut turns = self.turns.lock();
        let (ticket, displaced) = turns.join(turn, waiter)?;
        self.waiting.store(turns.len(), Ordering::SeqCst);
        drop(turns);
        drop(displaced);
        Ok(ticket)
    }

    /// One who waited waits no more.
    pub(crate) fn leave(&self, turn: &Turn, ticket: Ticket) {
        let mut turns = self.turns.lock();
        let left = turns.leave(turn, ticket);
        self.waiting.store(turns.len(), Ordering::SeqCst);
        drop(turns);
        drop(left);
    }

    /// Whether nobody waits; asked without the lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait; asked without the lock.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether any waiter `fits`.
    pub(crate) fn any(&self, fits: impl FnMut(&Waiter<G>) -> bool) -> bool {
        !self.is_empty() && self.turns.lock().any(fits)
    }

    pub(crate) fn next(&self, fits: impl FnMut(&Waiter<G>) -> bool) -> Option<Waiter<G>> {
        let mut turns = self.turns.lock();
        let next = turns.next(fits);
        self.waiting.store(turns.len(), Ordering::SeqCst);
        next
    }
}
