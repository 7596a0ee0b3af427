//! Finds a coordinator with room for a new session, and waits if there is none. Identities take turns, or
//! addresses where the client has not proven who it is. The wait ends at the deadline, or when the client is
//! gone.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::Turn;
use crate::cluster::{Coordinator, Demand, NoPick, Opening, Wanted};
use crate::ids::{CoordinatorId, Service};
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::candidates::Candidate;
use crate::serve::fleet::member::Member;
use crate::serve::link::session_queue::Waiter;
use crate::serve::link::slot::Grant;
use crate::serve::link::waiting::{Line, NotCalled, Waiting};

/// How often a pick is repeated when other clients have filled the coordinator in the meantime.
const PICKS: usize = 3;

/// Why no coordinator was found for a new session.
#[derive(Debug)]
pub(crate) enum NoneFound {
    /// All coordinators were tried already, or are draining.
    Nobody,
    /// The wait for a slot ended without one.
    NotCalled(NotCalled),
}

/// A client that looks for a coordinator with room for a new session.
pub(crate) struct Seeker<'a, S: Stream> {
    /// The fleet in which it looks.
    pub fleet: &'a Fleet<S>,
    /// The service that it needs.
    pub service: Service,
    /// The client that the link will belong to.
    pub holder: Holder<'a>,
    /// The turn in which it waits.
    pub turn: Turn,
    /// Which links are acceptable.
    pub kind: Kind,
    /// Whether the connection has its own link to a coordinator.
    pub has_own: &'a (dyn Fn(&Coordinator) -> bool + Sync),
    /// What the client wants, where that is known: coordinators that failed at it are avoided.
    pub demand: Option<Demand>,
    /// The moment when it gives up.
    pub deadline: Instant,
}

impl<S: Stream> Seeker<'_, S> {
    /// Finds the best coordinator that was not `tried` and has room. Counts the open there, and takes a link
    /// or a slot, unless the connection has its own link. Waits if no coordinator has room, until `gone` is
    /// ready.
    ///
    /// # Errors
    /// [`NoneFound::Nobody`] when all coordinators were tried already or are draining.
    /// [`NoneFound::NotCalled`] when the queue is full, no slot becomes free before the deadline, or `gone`
    /// is ready first.
    pub(crate) async fn find(
        &self,
        tried: &[CoordinatorId],
        gone: impl Future<Output = ()>,
    ) -> Result<Candidate<S>, NoneFound> {
        for _ in 0..PICKS {
            match self.pick(tried) {
                Ok(opening) => {
                    if (self.has_own)(opening.coordinator()) {
                        return Ok(Candidate { opening, grant: None });
                    }
                    let port = self.fleet.port(opening.coordinator(), self.service);
                    let claim = port.and_then(|port| port.claim(self.holder, Purpose::Work, self.kind));
                    if let Some(grant) = claim {
                        return Ok(Candidate { opening, grant: Some(grant) });
                    }
                }
                Err(NoPick::Nobody) => return Err(NoneFound::Nobody),
                Err(NoPick::NoRoom) => break,
            }
        }
        let grant = self.wait(tried, gone).await.map_err(NoneFound::NotCalled)?;
        Ok(Candidate { opening: grant.coordinator().begin_open(), grant: Some(grant) })
    }

    fn pick(&self, tried: &[CoordinatorId]) -> Result<Opening, NoPick> {
        let has_room = |coordinator: &Coordinator| {
            (self.has_own)(coordinator)
                || self
                    .fleet
                    .port(coordinator, self.service)
                    .is_some_and(|port| port.has_room(self.holder, self.kind))
        };
        let wanted = Wanted { service: self.service, demand: self.demand, tried, has_room: &has_room };
        self.fleet.pick(&wanted)
    }

    async fn wait(
        &self,
        tried: &[CoordinatorId],
        gone: impl Future<Output = ()>,
    ) -> Result<Grant<S>, NotCalled> {
        let session_queue = self.fleet.session_queue(self.service);
        let (called, call) = oneshot::channel();
        let Holder { access, unproven } = self.holder;
        let access = access.clone();
        let waiter = Waiter { access, unproven, kind: self.kind, tried: tried.to_vec(), called };
        let ticket = session_queue.join(&self.turn, waiter).inspect_err(|_| session_queue.note_full())?;
        let line = Line::Sessions(Arc::clone(session_queue));
        let waiting = Waiting::new(session_queue, call, line, (self.turn.clone(), ticket));
        self.fleet.call_waiting(self.service);
        self.fleet.make_room(self.service);
        let called = waiting.called(self.deadline, gone).await;
        let refuses = |member: &Arc<Member<S>>| {
            let port = member.ports.get(self.service);
            let would_do = !tried.contains(&member.coordinator.id) && port.takes_sessions();
            would_do && port.has_room_for_others(self.holder, self.kind)
        };
        called.map_err(|not_called| not_called.unless(|| self.fleet.members().iter().any(refuses)))
    }
}
