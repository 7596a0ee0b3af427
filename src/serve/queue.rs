//! Waiting for room: a new session for any coordinator, a call for a link to its own. In turn over identities, as far as
//! those are proven, for `queue_timeout` at most, and only while the client is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep_until;

use super::pool::{Grant, Lobby, Pool, Waiter};
use super::shared::Fleet;
use super::watched::Silent;
use crate::clock;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::{QueueFull, Ticket, Turn};
use crate::cluster::{Coordinator, Demand, NoPick, Opening, Wanted};
use crate::ids::{CoordinatorId, Service};
use crate::metrics::{Held, WaitOutcome};
use crate::net::stream::Stream;

/// How often a pick is tried again whose coordinator was filled in the moment between.
const PICKS: usize = 3;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
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
pub(super) enum NotCalled {
    /// There is no room.
    NoRoom(NoRoom),
    /// The client has left.
    ClientGone,
}

/// Why a new session has no place.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// Nobody is left who was not tried.
    Nobody,
    /// As for a call.
    NotCalled(NotCalled),
}

impl NotCalled {
    /// The reason behind it, if there is room for others.
    fn unless(self, others_have_room: impl FnOnce() -> bool) -> Self {
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

/// A client that wants a place for a new session.
pub(super) struct Seeker<'a, S: Stream> {
    /// Where it looks.
    pub fleet: &'a Fleet<S>,
    /// The port that it needs.
    pub service: Service,
    /// Whose place it will be.
    pub holder: Holder<'a>,
    /// Whose turn it waits for.
    pub turn: Turn,
    /// Which link will do.
    pub kind: Kind,
    /// Whether it has a link to a coordinator that is its own.
    pub has_own: &'a (dyn Fn(&Coordinator) -> bool + Sync),
    /// What it wants, where that can be told.
    pub demand: Option<Demand>,
    /// When it gives up.
    pub deadline: Instant,
}

impl<S: Stream> Seeker<'_, S> {
    /// The best coordinator that was not `tried` and has room, with the open counted there, and a link or a seat, unless it
    /// has a link of its own. Waits if there is no room anywhere.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub(super) async fn place(
        &self,
        tried: &[CoordinatorId],
        client: &S,
    ) -> Result<(Opening, Option<Grant<S>>), NoPlace> {
        for _ in 0..PICKS {
            match self.pick(tried) {
                Ok(opening) => {
                    if (self.has_own)(opening.coordinator()) {
                        return Ok((opening, None));
                    }
                    let pool = self.fleet.pool(opening.coordinator(), self.service);
                    let claim = pool.and_then(|pool| pool.claim(self.holder, Purpose::Work, self.kind));
                    if let Some(grant) = claim {
                        return Ok((opening, Some(grant)));
                    }
                }
                Err(NoPick::Nobody) => return Err(NoPlace::Nobody),
                Err(NoPick::NoRoom) => break,
            }
        }
        let grant = self.wait(tried, client).await.map_err(NoPlace::NotCalled)?;
        Ok((grant.coordinator().begin_open(), Some(grant)))
    }

    fn pick(&self, tried: &[CoordinatorId]) -> Result<Opening, NoPick> {
        let has_room = |coordinator: &Coordinator| {
            (self.has_own)(coordinator)
                || self
                    .fleet
                    .pool(coordinator, self.service)
                    .is_some_and(|pool| pool.has_room(self.holder, self.kind))
        };
        let wanted = Wanted { service: self.service, demand: self.demand, tried, has_room: &has_room };
        self.fleet.pick(&wanted)
    }

    async fn wait(&self, tried: &[CoordinatorId], client: &S) -> Result<Grant<S>, NotCalled> {
        let lobby = self.fleet.lobby(self.service);
        let (called, call) = oneshot::channel();
        let Holder { identity, unproven } = self.holder;
        let identity = identity.clone();
        let waiter = Waiter { identity, unproven, kind: self.kind, tried: tried.to_vec(), called };
        let ticket = lobby.join(&self.turn, waiter).inspect_err(|_| self.fleet.note_queue_full())?;
        let line = Line::Lobby(Arc::clone(lobby));
        let waiting = Waiting::new(self.fleet, call, line, (self.turn.clone(), ticket));
        self.fleet.call_waiting(self.service);
        self.fleet.make_room(self.service);
        let called = waiting.called(self.deadline, client.closed()).await;
        let refuses = |pool: &Arc<Pool<S>>| {
            let would_do = pool.service == self.service && !tried.contains(&pool.coordinator.id);
            would_do && pool.takes_sessions() && pool.has_room_for_others(self.holder, self.kind)
        };
        called.map_err(|not_called| not_called.unless(|| self.fleet.pools().any(refuses)))
    }
}

/// Where somebody waits.
enum Line<S: Stream> {
    Lobby(Arc<Lobby<S>>),
    Pool(Arc<Pool<S>>, Purpose),
}

/// One who waits; leaves the line when dropped.
struct Waiting<'a, S: Stream> {
    fleet: &'a Fleet<S>,
    call: oneshot::Receiver<Grant<S>>,
    line: Line<S>,
    place: (Turn, Ticket),
    since: Instant,
    outcome: WaitOutcome,
    _counted: Held,
}

impl<'a, S: Stream> Waiting<'a, S> {
    fn new(
        fleet: &'a Fleet<S>,
        call: oneshot::Receiver<Grant<S>>,
        line: Line<S>,
        place: (Turn, Ticket),
    ) -> Self {
        let (outcome, since) = (WaitOutcome::ClientGone, clock::now());
        Self { fleet, call, line, place, since, outcome, _counted: Held::one_of(&fleet.queue.waiting) }
    }

    async fn called(
        mut self,
        deadline: Instant,
        gone: impl Future<Output = ()>,
    ) -> Result<Grant<S>, NotCalled> {
        tokio::select! {
            biased;
            grant = &mut self.call => {
                let Ok(grant) = grant else {
                    self.outcome = WaitOutcome::QueueFull;
                    let length = self.fleet.room.queue_length;
                    return Err(QueueFull { length }.into());
                };
                self.outcome = WaitOutcome::Served;
                return Ok(grant.settle_here());
            }
            () = gone => return Err(NotCalled::ClientGone),
            () = sleep_until(deadline.into()) => {}
        }
        self.outcome = WaitOutcome::TimedOut;
        Err(NotCalled::NoRoom(NoRoom::TimedOut(self.fleet.room.queue_timeout)))
    }
}

impl<S: Stream> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        let (turn, ticket) = &self.place;
        match &self.line {
            Line::Lobby(lobby) => lobby.leave(turn, *ticket),
            Line::Pool(pool, purpose) => pool.leave(turn, *purpose, *ticket),
        }
        self.fleet.queue.waits.count(self.outcome);
        let waited = clock::now().saturating_duration_since(self.since);
        self.fleet.queue.seconds.inc_by(waited.as_secs_f64());
    }
}

/// A link of an identity to a port, or a seat to dial one; waits if there is no room, until whoever it is for is gone.
///
/// # Errors
/// [`NotCalled`].
pub(super) async fn link<S: Stream>(
    fleet: &Fleet<S>,
    pool: &Arc<Pool<S>>,
    (holder, turn): (Holder<'_>, Turn),
    purpose: Purpose,
    gone: impl Future<Output = ()>,
) -> Result<Grant<S>, NotCalled> {
    let claimed = pool.claim_or_join((holder, &turn), purpose);
    match claimed.inspect_err(|_| fleet.note_queue_full())? {
        Ok(grant) => Ok(grant),
        Err((ticket, call)) => {
            let line = Line::Pool(Arc::clone(pool), purpose);
            let waiting = Waiting::new(fleet, call, line, (turn, ticket));
            let called = waiting.called(clock::now() + fleet.room.queue_timeout, gone).await;
            called.map_err(|not_called| not_called.unless(|| pool.has_room_for_others(holder, Kind::Any)))
        }
    }
}
