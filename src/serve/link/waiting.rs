//! Waits in a queue, and for a link to a port. Identities take turns, or addresses where the client has not
//! proven who it is. The wait ends after `queue_timeout`, or when the client is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep_until;

use crate::clock;
use crate::cluster::room::{Kind, Purpose};
use crate::cluster::turns::{QueueFull, Ticket, Turn};
use crate::metrics::{Held, QueueMetrics, WaitOutcome};
use crate::net::stream::Stream;
use crate::serve::link::port::{Claimant, Port};
use crate::serve::link::session_queue::SessionQueue;
use crate::serve::link::slot::Grant;
use crate::serve::link::watch::Silent;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// No slot became free in time.
    #[error("all service threads are in use, and none became free within {0:?} (queue_timeout)")]
    TimedOut(Duration),
    /// No slot became free in time, although clients of other addresses would have got one.
    #[error(
        "this client's address, from which nobody has logged in, uses its whole share of the service threads \
         (address_share), and none of these became free within {0:?} (queue_timeout)"
    )]
    ShareUsed(Duration),
    /// The queue is full. The client did not get into it, or had to leave it for another.
    #[error("all service threads are in use, and {0}")]
    Full(#[from] QueueFull),
    /// The port no longer answers probes.
    #[error("all service threads are in use, and {0}")]
    Silent(#[from] Silent),
}

/// Why a wait ended without what was waited for.
#[derive(Debug)]
pub(crate) enum NotCalled {
    /// It could not be had.
    NoRoom(NoRoom),
    /// The client has gone.
    ClientGone,
}

impl NotCalled {
    /// Replaces a timeout by [`NoRoom::ShareUsed`] if clients of other addresses have room.
    pub(crate) fn unless(self, others_have_room: impl FnOnce() -> bool) -> Self {
        match self {
            Self::NoRoom(NoRoom::TimedOut(waited)) if others_have_room() => {
                Self::NoRoom(NoRoom::ShareUsed(waited))
            }
            other => other,
        }
    }
}

impl From<QueueFull> for NotCalled {
    fn from(full: QueueFull) -> Self {
        Self::NoRoom(full.into())
    }
}

/// A queue that a client can leave.
pub(crate) trait Line {
    /// Takes the client out.
    fn leave(&self, turn: &Turn, ticket: Ticket);
}

impl<G> Line for &SessionQueue<G> {
    fn leave(&self, turn: &Turn, ticket: Ticket) {
        SessionQueue::leave(self, turn, ticket);
    }
}

/// The calls that only this port can serve.
struct AtPort<'a, S: Stream>(&'a Port<S>, Purpose);

impl<S: Stream> Line for AtPort<'_, S> {
    fn leave(&self, turn: &Turn, ticket: Ticket) {
        self.0.leave(turn, self.1, ticket);
    }
}

/// A client that waits for a `G`. It leaves the queue when this is dropped.
pub(crate) struct Waiting<'a, G, L: Line> {
    timeout: Duration,
    length: usize,
    metrics: &'a QueueMetrics,
    call: oneshot::Receiver<G>,
    line: L,
    turn: Turn,
    ticket: Ticket,
    since: Instant,
    outcome: WaitOutcome,
    _counted: Held,
}

impl<'a, G, L: Line> Waiting<'a, G, L> {
    /// Its place is in `line`, which is bounded and counted like this queue.
    pub(crate) fn new<Q>(
        queue: &'a SessionQueue<Q>,
        call: oneshot::Receiver<G>,
        line: L,
        turn: Turn,
        ticket: Ticket,
    ) -> Self {
        let SessionQueue { timeout, length, metrics, .. } = queue;
        Self {
            timeout: *timeout,
            length: *length,
            metrics,
            call,
            line,
            turn,
            ticket,
            since: clock::now(),
            outcome: WaitOutcome::ClientGone,
            _counted: Held::one_of(&metrics.waiting),
        }
    }

    /// Waits until it is served, until `deadline`, or until `gone` is ready.
    ///
    /// # Errors
    /// [`NotCalled::NoRoom`] at the deadline, or when the waiter has to give way to another;
    /// [`NotCalled::ClientGone`] when `gone` is ready first.
    pub(crate) async fn called(
        mut self,
        deadline: Instant,
        gone: impl Future<Output = ()>,
    ) -> Result<G, NotCalled> {
        tokio::select! {
            biased;
            grant = &mut self.call => {
                let Ok(grant) = grant else {
                    self.outcome = WaitOutcome::QueueFull;
                    return Err(QueueFull { length: self.length }.into());
                };
                self.outcome = WaitOutcome::Served;
                return Ok(grant);
            }
            () = gone => return Err(NotCalled::ClientGone),
            () = sleep_until(deadline.into()) => {}
        }
        self.outcome = WaitOutcome::TimedOut;
        Err(NotCalled::NoRoom(NoRoom::TimedOut(self.timeout)))
    }
}

impl<G, L: Line> Drop for Waiting<'_, G, L> {
    fn drop(&mut self) {
        self.line.leave(&self.turn, self.ticket);
        self.metrics.waits.count(self.outcome);
        let waited = clock::now().saturating_duration_since(self.since);
        self.metrics.seconds.inc_by(waited.as_secs_f64());
    }
}

/// Takes a link to a port, or a slot to dial one in. Waits if there is no room, until `gone` is ready.
///
/// # Errors
/// [`NotCalled::NoRoom`] when the queue is full or nothing becomes free within `queue_timeout`;
/// [`NotCalled::ClientGone`] when `gone` is ready first.
pub(crate) async fn link<S: Stream>(
    port: &Arc<Port<S>>,
    claimant: Claimant<'_>,
    gone: impl Future<Output = ()>,
) -> Result<Grant<S>, NotCalled> {
    let claimed = port.claim_or_join(&claimant);
    match claimed.inspect_err(|_| port.session_queue.note_full())? {
        Ok(grant) => Ok(grant),
        Err((ticket, call)) => {
            let Claimant { holder, turn, purpose, .. } = claimant;
            let waiting = Waiting::new(&port.session_queue, call, AtPort(port, purpose), turn, ticket);
            let called = waiting.called(clock::now() + port.session_queue.timeout, gone).await;
            called
                .map(Grant::rehome_here)
                .map_err(|not_called| not_called.unless(|| port.has_room_for_others(holder, Kind::Any)))
        }
    }
}
