//! The coordinators that are tried, one after the other, for something new: a session, a login, a connection
//! that is passed on unread, or a session that moves. Finds the next one with room, and waits if there is
//! none; identities take turns, or addresses where the client has not proven who it is. Also keeps why the
//! earlier ones did not take it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::clock;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::Turn;
use crate::cluster::{Cluster, Coordinator, Demand, NoPick, Opening, Wanted};
use crate::ids::{ClientAddress, CoordinatorId, Service};
use crate::metrics::RefusalCause;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::member::Member;
use crate::serve::fleet::pause::{Newcomer, NotPassed, StillPaused, UnderWay};
use crate::serve::link::session_queue::Waiter;
use crate::serve::link::slot::Grant;
use crate::serve::link::waiting::{NoRoom, NotCalled, Waiting};

/// How often a pick is repeated when other clients have filled the coordinator in the meantime.
const PICKS: usize = 3;

/// The most reasons that are kept of one search, so that the message to the client stays short in a large
/// cluster.
const REASONS_KEPT: usize = 8;

/// The coordinator that is tried next.
#[derive(Debug)]
pub(crate) struct Candidate<S: Stream> {
    /// Names the coordinator and counts the open there.
    pub opening: Opening,
    /// A link, or a slot to dial one in. `None` if the connection has its own link to the coordinator.
    pub grant: Option<Grant<S>>,
}

impl<S: Stream> Candidate<S> {
    /// The coordinator that is tried.
    pub(crate) fn coordinator(&self) -> &Arc<Coordinator> {
        self.opening.coordinator()
    }
}

/// The client left during the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientGone;

/// The state of one search: which coordinators were tried, and with what result.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    tried: Vec<CoordinatorId>,
    /// Why they failed, in the order in which they were tried; at most [`REASONS_KEPT`].
    reasons: Vec<String>,
    failed: usize,
    /// Why the search did not wait for the others any longer.
    no_room: Option<NoRoom>,
    /// Why the search did not begin.
    still_paused: Option<StillPaused>,
}

impl Candidates {
    /// Begins a search that skips the `avoided` coordinators.
    pub(crate) fn besides(avoided: Vec<CoordinatorId>) -> Self {
        Self { tried: avoided, ..Self::default() }
    }

    /// Waits while the cluster is paused; `None`: it still is when the client has waited long enough, and the search
    /// is over before it began.
    ///
    /// # Errors
    /// [`ClientGone`] when `gone` is ready during the wait.
    pub(crate) async fn await_resume<S: Stream>(
        &mut self,
        fleet: &Fleet<S>,
        newcomer: Newcomer<'_>,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<UnderWay>, ClientGone> {
        match fleet.pause.pass(newcomer, gone).await {
            Ok(under_way) => Ok(Some(under_way)),
            Err(NotPassed::ClientGone) => Err(ClientGone),
            Err(NotPassed::StillPaused(still_paused)) => {
                self.still_paused = Some(still_paused);
                Ok(None)
            }
        }
    }

    /// Whether no coordinator was tried or skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.tried.is_empty()
    }

    /// Records that this coordinator is tried now.
    pub(crate) fn begin(&mut self, coordinator: &Coordinator) {
        self.tried.push(coordinator.id);
    }

    /// The best coordinator that was not tried yet and has room. Waits if none has room. Returns `None` if no
    /// other coordinator is left, or none had room in time.
    ///
    /// # Errors
    /// [`ClientGone`] when `gone` is ready during the wait.
    pub(crate) async fn next<S: Stream>(
        &mut self,
        seeker: &Seeker<'_, S>,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Candidate<S>>, ClientGone> {
        match seeker.find(&self.tried, gone).await {
            Ok(candidate) => {
                self.begin(candidate.coordinator());
                Ok(Some(candidate))
            }
            Err(NoneFound::Nobody) => Ok(None),
            Err(NoneFound::NotCalled(NotCalled::NoRoom(no_room))) => {
                self.no_room = Some(no_room);
                Ok(None)
            }
            Err(NoneFound::NotCalled(NotCalled::ClientGone)) => Err(ClientGone),
        }
    }

    /// As [`Self::next`], but never waits, and counts only the open: for a session that can stay where it is,
    /// whose calls would wait meanwhile.
    pub(crate) fn next_at_once<S: Stream>(
        &mut self,
        fleet: &Fleet<S>,
        service: Service,
        has_room: &dyn Fn(&Coordinator) -> bool,
    ) -> Option<Opening> {
        let opening = fleet.pick(&Wanted { service, demand: None, tried: &self.tried, has_room }).ok()?;
        self.begin(opening.coordinator());
        Some(opening)
    }

    /// Records why a coordinator did not take it.
    pub(crate) fn note_failed(&mut self, coordinator: &Coordinator, reason: impl fmt::Display) {
        self.failed += 1;
        if self.reasons.len() < REASONS_KEPT {
            self.reasons.push(format!("{}: {reason}", coordinator.name));
        }
    }

    /// The cause under which it counts if no coordinator took it.
    pub(crate) fn refusal(&self) -> RefusalCause {
        match self.no_room {
            _ if self.still_paused.is_some() => RefusalCause::Paused,
            Some(_) => RefusalCause::NoRoom,
            None if self.tried.is_empty() => RefusalCause::NoCoordinator,
            None => RefusalCause::Unreachable,
        }
    }

    /// Describes, for a person to read, how many coordinators were tried for a service and what came of each.
    pub(crate) fn tell(&self, cluster: &Cluster, service: Service) -> String {
        let full = self.no_room.map(|no_room| no_room.to_string());
        let name = &cluster.name;
        let who = match self.failed {
            0 => {
                let cause = match full.or_else(|| Some(self.still_paused?.to_string())) {
                    Some(cause) => cause,
                    None if cluster.serves(service) => cluster.why_nobody().to_owned(),
                    None => format!("none of them has a port for {service}"),
                };
                return format!("no coordinator of cluster {name} takes a session: {cause}");
            }
            1 => "no coordinator".to_owned(),
            many => format!("none of the {many} coordinators"),
        };
        let reasons = self.reasons.join("; ");
        let more = match self.failed - self.reasons.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let full = full.map(|full| format!("; at the others, {full}")).unwrap_or_default();
        format!("{who} of cluster {name} took the session: {reasons}{more}{full}")
    }
}

/// Why no coordinator was found for a new session.
#[derive(Debug)]
enum NoneFound {
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
    /// Where the client is.
    pub client: ClientAddress,
    /// The turn in which it waits.
    pub turn: Turn,
    /// Which links are acceptable.
    pub kind: Kind,
    /// Whether the connection has its own link to a coordinator.
    pub has_own: &'a (dyn Fn(&Coordinator) -> bool + Sync),
    /// The address whose connections stay together, if that decides where it goes.
    pub source: Option<ClientAddress>,
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
    async fn find(
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
        let of_source =
            self.source.and_then(|source| self.fleet.cluster.pick_for_source(source, &wanted, clock::now()));
        of_source.map_or_else(|| self.fleet.pick(&wanted), Ok)
    }

    async fn wait(
        &self,
        tried: &[CoordinatorId],
        gone: impl Future<Output = ()>,
    ) -> Result<Grant<S>, NotCalled> {
        let session_queue = self.fleet.session_queue(self.service);
        let (called, call) = oneshot::channel();
        let Holder { access, unproven } = self.holder;
        let waiter = Waiter {
            access: access.clone(),
            unproven,
            client: Some(self.client),
            since: clock::now(),
            kind: self.kind,
            tried: tried.to_vec(),
            called,
        };
        let ticket = session_queue.join(&self.turn, waiter).inspect_err(|_| session_queue.note_full())?;
        let waiting = Waiting::new(session_queue, call, &**session_queue, self.turn.clone(), ticket);
        self.fleet.serve_waiters(self.service);
        self.fleet.make_room(self.service);
        let called = waiting.called(self.deadline, gone).await;
        let refuses = |member: &Arc<Member<S>>| {
            let port = member.ports.get(self.service);
            let would_do = !tried.contains(&member.coordinator.id) && port.takes_sessions();
            would_do && port.has_room_for_others(self.holder, self.kind)
        };
        let called = called.map(Grant::rehome_here);
        called.map_err(|not_called| not_called.unless(|| self.fleet.members().iter().any(refuses)))
    }
}
