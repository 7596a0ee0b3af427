//! Waiting for room: a new session for any coordinator, a call for a link to its own. In turn over identities, as far as
//! those are proven, for `queue_timeout` at most, and only while the client is there.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::Turn;
use crate::cluster::{Coordinator, Demand, NoPick, Opening, Wanted};
use crate::ids::{CoordinatorId, Service};
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::member::Member;
use crate::serve::link::session_queue::Waiter;
use crate::serve::link::slot::Grant;
use crate::serve::link::waiting::{Line, NotCalled, Waiting};

/// How often a pick is tried again whose coordinator was filled in the moment between.
const PICKS: usize = 3;

/// Why nothing was found for a new session.
#[derive(Debug)]
pub(crate) enum NoneFound {
    /// Nobody is left who was not tried.
    Nobody,
    /// As for a call.
    NotCalled(NotCalled),
}

/// A client that looks for a coordinator with room for a new session.
pub(crate) struct Seeker<'a, S: Stream> {
    /// Where it looks.
    pub fleet: &'a Fleet<S>,
    /// The port that it needs.
    pub service: Service,
    /// Whose link it will be.
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
    /// The best coordinator that was not `tried` and has room, with the open counted there, and a link or a slot, unless it
    /// has a link of its own. Waits if there is no room anywhere, until whoever it is for is `gone`.
    ///
    /// # Errors
    /// [`NoneFound`].
    pub(crate) async fn find(
        &self,
        tried: &[CoordinatorId],
        gone: impl Future<Output = ()>,
    ) -> Result<(Opening, Option<Grant<S>>), NoneFound> {
        for _ in 0..PICKS {
            match self.pick(tried) {
                Ok(opening) => {
                    if (self.has_own)(opening.coordinator()) {
                        return Ok((opening, None));
                    }
                    let port = self.fleet.port(opening.coordinator(), self.service);
                    let claim = port.and_then(|port| port.claim(self.holder, Purpose::Work, self.kind));
                    if let Some(grant) = claim {
                        return Ok((opening, Some(grant)));
                    }
                }
                Err(NoPick::Nobody) => return Err(NoneFound::Nobody),
                Err(NoPick::NoRoom) => break,
            }
        }
        let grant = self.wait(tried, gone).await.map_err(NoneFound::NotCalled)?;
        Ok((grant.coordinator().begin_open(), Some(grant)))
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
