//! Waiting for room at a port: in turn over identities, as far as those are proven, for `queue_timeout` at most, and only while
//! the client is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep_until;

use crate::clock;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::{QueueFull, Ticket, Turn};
use crate::metrics::{Held, WaitOutcome};
use crate::net::stream::Stream;
use crate::serve::link::port::Port;
use crate::serve::link::session_queue::SessionQueue;
use crate::serve::link::slot::Grant;
use crate::serve::link::watch::Silent;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// The wait was over.
    #[error("all service threads are in use, and none became free within {0:?} (queue_timeout)")]
    TimedOut(Duration),
    /// The wait was over, and there is room for others.
    #[error(
        "this address, where nobody has logged in, uses its share of the service threads (address_share), and none of them \
         became free within {0:?} (queue_timeout)"
    )]
    ShareUsed(Duration),
    /// Too many wait, and it had to give way, if it waited at all.
    #[error("all service threads are in use, and {0}")]
    Full(#[from] QueueFull),
    /// Nothing on the port is answered any more.
    #[error("all service threads are in use, and {0}")]
    Silent(#[from] Silent),
}

/// Why nothing came of a wait.
#[derive(Debug)]
pub(crate) enum NotCalled {
    /// There is no room.
    NoRoom(NoRoom),
    /// The client has left.
    ClientGone,
}

impl NotCalled {
    /// The reason behind it, if there is room for others.
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

/// Where somebody waits.
pub(crate) enum Line<S: Stream> {
    Sessions(Arc<SessionQueue<Grant<S>>>),
    Port(Arc<Port<S>>, Purpose),
}

/// One who waits; leaves the line when dropped.
pub(crate) struct Waiting<'a, S: Stream> {
    session_queue: &'a SessionQueue<Grant<S>>,
    call: oneshot::Receiver<Grant<S>>,
    line: Line<S>,
    place: (Turn, Ticket),
    since: Instant,
    outcome: WaitOutcome,
    _counted: Held,
}

impl<'a, S: Stream> Waiting<'a, S> {
    pub(crate) fn new(
        session_queue: &'a SessionQueue<Grant<S>>,
        call: oneshot::Receiver<Grant<S>>,
        line: Line<S>,
        place: (Turn, Ticket),
    ) -> Self {
        let (outcome, since) = (WaitOutcome::ClientGone, clock::now());
        Self {
            session_queue,
            call,
            line,
            place,
            since,
            outcome,
            _counted: Held::one_of(&session_queue.metrics.waiting),
        }
    }

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
        let (turn, ticket) = &self.place;
        match &self.line {
            Line::Sessions(session_queue) => session_queue.leave(turn, *ticket),
            Line::Port(port, purpose) => port.leave(turn, *purpose, *ticket),
        }
        self.session_queue.metrics.waits.count(self.outcome);
        let waited = clock::now().saturating_duration_since(self.since);
        self.session_queue.metrics.seconds.inc_by(waited.as_secs_f64());
    }
}

/// A link of an identity to a port, or a slot to dial one; waits if there is no room, until whoever it is for is gone.
///
/// # Errors
/// [`NotCalled`].
pub(crate) async fn link<S: Stream>(
    port: &Arc<Port<S>>,
    (holder, turn): (Holder<'_>, Turn),
    purpose: Purpose,
    gone: impl Future<Output = ()>,
) -> Result<Grant<S>, NotCalled> {
    let claimed = port.claim_or_join((holder, &turn), purpose);
    match claimed.inspect_err(|_| port.session_queue.note_full())? {
        Ok(grant) => Ok(grant),
        Err((ticket, call)) => {
            let line = Line::Port(Arc::clone(port), purpose);
            let waiting = Waiting::new(&port.session_queue, call, line, (turn, ticket));
            let called = waiting.called(clock::now() + port.session_queue.timeout, gone).await;
            called.map_err(|not_called| not_called.unless(|| port.has_room_for_others(holder, Kind::Any)))
        }
    }
}
