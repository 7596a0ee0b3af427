//! Waits for a link to a port. Identities take turns, or addresses where the client has not proven who it is.
//! The wait ends after `queue_timeout`, or when the client is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep_until;

use crate::clock;
use crate::cluster::room::{Kind, Purpose};
use crate::cluster::turns::{QueueFull, Ticket, Turn};
use crate::metrics::{Held, WaitOutcome};
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

/// Why a wait for a link ended without one.
#[derive(Debug)]
pub(crate) enum NotCalled {
    /// No link could be had.
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

/// The queue in which a client waits.
pub(crate) enum Line<S: Stream> {
    /// Any coordinator of the cluster will do.
    Sessions(Arc<SessionQueue<Grant<S>>>),
    /// Only this port will do.
    Port(Arc<Port<S>>, Purpose),
}

/// A client that waits. It leaves the queue when this is dropped.
pub(crate) struct Waiting<'a, S: Stream> {
    session_queue: &'a SessionQueue<Grant<S>>,
    call: oneshot::Receiver<Grant<S>>,
    line: Line<S>,
    turn: Turn,
    ticket: Ticket,
    since: Instant,
    outcome: WaitOutcome,
    _counted: Held,
}

impl<'a, S: Stream> Waiting<'a, S> {
    pub(crate) fn new(
        session_queue: &'a SessionQueue<Grant<S>>,
        call: oneshot::Receiver<Grant<S>>,
        line: Line<S>,
        turn: Turn,
        ticket: Ticket,
    ) -> Self {
        let (outcome, since) = (WaitOutcome::ClientGone, clock::now());
        Self {
            session_queue,
            call,
            line,
            turn,
            ticket,
            since,
            outcome,
            _counted: Held::one_of(&session_queue.metrics.waiting),
        }
    }

    /// Waits for a grant until `deadline`, or until `gone` is ready.
    ///
    /// # Errors
    /// [`NotCalled::NoRoom`] at the deadline, or when the waiter has to give way to another;
    /// [`NotCalled::ClientGone`] when `gone` is ready first.
    pub(crate) async fn called(
        mut self,
        deadline: Instant,
        gone: impl Future<Output = ()>,
    ) -> Result<Grant<S>, NotCalled> {
        tokio::select! {
            biased;
            grant = &mut self.call => {
                let Ok(grant) = grant else {
                    self.outcome = WaitOutcome::QueueFull;
                    let length = self.session_queue.length;
                    return Err(QueueFull { length }.into());
                };
                self.outcome = WaitOutcome::Served;
                return Ok(grant.rehome_here());
            }
            () = gone => return Err(NotCalled::ClientGone),
            () = sleep_until(deadline.into()) => {}
        }
        self.outcome = WaitOutcome::TimedOut;
        Err(NotCalled::NoRoom(NoRoom::TimedOut(self.session_queue.timeout)))
    }
}

impl<S: Stream> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        match &self.line {
            Line::Sessions(session_queue) => session_queue.leave(&self.turn, self.ticket),
            Line::Port(port, purpose) => port.leave(&self.turn, *purpose, self.ticket),
        }
        self.session_queue.metrics.waits.count(self.outcome);
        let waited = clock::now().saturating_duration_since(self.since);
        self.session_queue.metrics.seconds.inc_by(waited.as_secs_f64());
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
            let line = Line::Port(Arc::clone(port), purpose);
            let waiting = Waiting::new(&port.session_queue, call, line, turn, ticket);
            let called = waiting.called(clock::now() + port.session_queue.timeout, gone).await;
            called.map_err(|not_called| not_called.unless(|| port.has_room_for_others(holder, Kind::Any)))
        }
    }
}
