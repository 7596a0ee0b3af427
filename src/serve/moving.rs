//! A session moves: one of the connections that used it opens it again on another coordinator, over a link of its own, and
//! calls that come meanwhile wait.
//!
//! That happens ahead of time, while its coordinator drains or shuts down, or at its next call: when the coordinator is
//! lost, or refuses the call because it shuts down. The old session stays open where it was, for the profiles of its
//! operations, and ends with the links to it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{timeout, timeout_at};

use super::calls::Calls;
use super::dialing::Unreached;
use super::end::End;
use super::exchange::Trouble;
use super::forward::Failed;
use super::left::Left;
use super::link::NoLink;
use super::refuse::{NoAnswer, Reasons};
use super::request::Request;
use crate::clock;
use crate::cluster::{Coordinator, Opening, Standing, Wanted};
use crate::ids::{CoordinatorId, Service};
use crate::metrics::MoveOutcome;
use crate::net::stream::{Seen, Stream};
use crate::session::decide::session_of;
use crate::session::retry::Phase;
use crate::session::table::{Arrival, Cause, Departure, Entered, Pinned};
use crate::wire::facts::{Guid, GuidText, Handle};
use crate::wire::hs2::reply::{SqlState, idle_session_timeout};
use crate::wire::method::{Method, Role};
use crate::wire::verdict::Verdict;

/// How long a session may be on its way, and its calls wait for it.
pub(super) const MOVE_TIME: Duration = Duration::from_secs(5);

/// Why a session did not move.
#[derive(Debug, thiserror::Error)]
enum NotMoved {
    /// It must stay, or went already.
    #[error(transparent)]
    Pinned(#[from] Pinned),
    /// The connection that moved it has ended.
    #[error("its connection has ended")]
    Client(End),
    /// Nobody took it.
    #[error("{0}")]
    Nowhere(String),
    /// It took too long.
    #[error("it took longer than {MOVE_TIME:?}")]
    TimedOut,
}

impl NotMoved {
    /// What it counts as where lines in the log are bounded.
    fn kind(&self) -> &'static str {
        match self {
            Self::Pinned(_) => "pinned",
            Self::Client(_) => "client",
            Self::Nowhere(_) => "nowhere",
            Self::TimedOut => "timed out",
        }
    }
}

impl<S: Stream> Calls<S> {
    /// Gives a call of a session that can move its seat in it: the session stays while the call is under way. False if it has to
    /// wait for that.
    pub(super) fn sits(&self, request: &mut Request) -> bool {
        let (moves, method) = (self.fleet.moves.are_on(), request.method());
        if !moves && self.fleet.room.upkeep.is_none() {
            return true;
        }
        let Some(session) = session_of(method, request.facts()) else { return true };
        request.note_effect();
        !moves || (self.to_leave(method, &session).is_none() && self.enters(request, &session))
    }

    /// The coordinator that a session shall leave before a call.
    fn to_leave(&self, method: &Method, session: &Handle) -> Option<CoordinatorId> {
        if !method.is_new_work() {
            return None;
        }
        self.fleet.table.session_owner(&session.guid).filter(|owner| self.fleet.moves.leave(*owner))
    }

    /// For a call that [`Self::sits`] said no to, with a wait: the session leaves first if it shall. False if the call was refused
    /// instead, because its session is on its way for too long.
    pub(super) async fn take_seat(&mut self, request: &mut Request) -> Result<bool, End> {
        let method = request.method();
        let Some(session) = session_of(method, request.facts()) else { return Ok(true) };
        if let Some(owner) = self.to_leave(method, &session) {
            self.take_away(&session.guid, owner).await?;
        }
        if self.enter(request, &session).await {
            return Ok(true);
        }
        let answer = NoAnswer::on_its_way(self.conn, MOVE_TIME);
        let outcome = crate::metrics::CallOutcome::Refused;
        let outcome = self.refuse(request, Service::Hs2, &answer, outcome).await?;
        self.shared.calls.count(method.place(), outcome);
        Ok(false)
    }

    /// Enters the session, unless it is on its way.
    fn enters(&self, request: &mut Request, session: &Handle) -> bool {
        match self.fleet.table.enter(session, self.links.user()) {
            Entered::In(call) => request.seat = Some(call),
            Entered::AsItCame => {}
            Entered::Moving => return false,
        }
        true
    }

    /// Enters the session as soon as it is not on its way; false if that does not come to be in time.
    pub(super) async fn enter(&self, request: &mut Request, session: &Handle) -> bool {
        let deadline = (clock::now() + MOVE_TIME).into();
        loop {
            let mut ended = pin!(self.fleet.moves.ended.notified());
            if self.enters(request, session) {
                return true;
            }
            // Registered before it looks a second time: what ends in between is not missed.
            ended.as_mut().enable();
            if !self.fleet.table.is_moving(&session.guid) {
                continue;
            }
            if timeout_at(deadline, ended).await.is_err() {
                return false;
            }
        }
    }

    /// Puts the handle into a request that its session has on this coordinator.
    pub(super) fn name_session(&self, request: &mut Request, coordinator: CoordinatorId) {
        if !request.seat.as_ref().is_some_and(|seat| seat.moved) {
            return;
        }
        let facts = request.facts();
        let found = match request.method().role {
            Role::Profile => (facts.second_handle(), facts.second_handle_place()),
            _ => (facts.handle(), facts.handle_place()),
        };
        let (Some(session), Some(place)) = found else { return };
        let there = self.fleet.table.handle_at(&session, self.links.user(), coordinator);
        request.name_session(place, &there.unwrap_or(session));
    }

    /// Moves the session of a call that failed, if that is a reason to move and the call may be sent elsewhere; where to, if
    /// it moved, be it by somebody else.
    pub(super) async fn move_after(
        &mut self,
        request: &mut Request,
        coordinator: &Arc<Coordinator>,
        failed: &Failed,
    ) -> Result<Option<Arc<Coordinator>>, End> {
        let Some(session) = session_of(request.method(), request.facts()) else { return Ok(None) };
        if request.seat.is_none() || !request.is_whole() || request.method().role == Role::Profile {
            return Ok(None);
        }
        let cause = match failed {
            Failed::NoLink(NoLink::Unreached(Unreached::Dial(failure))) if failure.is_remote() => Cause::Lost,
            Failed::Refused { verdict: Verdict::ShuttingDown, .. } => self.leaves(),
            Failed::Refused { verdict: Verdict::NoSuchSession, .. }
                if self.was_restarted(&session.guid, coordinator).await =>
            {
                Cause::Lost
            }
            Failed::NoLink(_)
            | Failed::Left
            | Failed::SessionLost(_)
            | Failed::Refused { .. }
            | Failed::Lost(_) => return Ok(None),
        };
        request.seat = None;
        let moved = self.move_session(&session.guid, vec![coordinator.id], cause).await;
        if !self.enter(request, &session).await {
            return Ok(None);
        }
        match moved {
            Ok(next) => Ok(Some(next)),
            Err(NotMoved::Client(end)) => Err(end),
            Err(NotMoved::Pinned(Pinned::Moving | Pinned::Moved)) => {
                let owner =
                    self.fleet.table.session_owner(&session.guid).filter(|owner| *owner != coordinator.id);
                Ok(owner.and_then(|owner| self.fleet.cluster.coordinator(owner).cloned()))
            }
            Err(_) => Ok(None),
        }
    }

    fn leaves(&self) -> Cause {
        Cause::Leaves { now: clock::now(), cooldown: self.fleet.moves.settings.cooldown }
    }

    /// Moves the sessions of this connection that shall leave their coordinators, until the client wants something else.
    pub(super) async fn leave_coordinators(&mut self) -> Result<(), End> {
        let fleet = Arc::clone(&self.fleet);
        for coordinator in fleet.cluster.coordinators.iter().map(|coordinator| coordinator.id) {
            let leaves = fleet.moves.leave(coordinator);
            if !leaves && !fleet.moves.shifts_from(coordinator) {
                continue;
            }
            for session in self.attached.on(coordinator) {
                if self.client.stream.glance() != Seen::Nothing {
                    return Ok(());
                }
                if leaves {
                    self.take_away(&session, coordinator).await?;
                } else if fleet.table.may_leave(&session, self.leaves()).is_ok() {
                    let Some(to) = fleet.moves.take_shift(coordinator) else { break };
                    self.go_back(&session, coordinator, to).await?;
                }
            }
        }
        self.close_forgotten().await
    }

    /// Moves a session ahead of time, if nothing pins it.
    async fn take_away(&mut self, session: &Guid, from: CoordinatorId) -> Result<(), End> {
        let fleet = Arc::clone(&self.fleet);
        if fleet.table.may_leave(session, self.leaves()).is_err() {
            return Ok(());
        }
        // Waits for its turn no longer than for the move itself.
        let Ok(Ok(_place)) = timeout(MOVE_TIME, fleet.moves.going.acquire()).await else { return Ok(()) };
        match self.move_session(session, vec![from], self.leaves()).await {
            Err(NotMoved::Client(end)) => Err(end),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Moves a session to a coordinator that misses sessions.
    async fn go_back(&mut self, session: &Guid, from: CoordinatorId, to: CoordinatorId) -> Result<(), End> {
        let others = self.fleet.cluster.coordinators.iter().map(|one| one.id);
        let others = others.filter(|one| *one != from && *one != to);
        let avoided = std::iter::once(from).chain(others).collect();
        match self.move_session(session, avoided, self.leaves()).await {
            Err(NotMoved::Client(end)) => Err(end),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Opens a session again on a coordinator that is not to be avoided; from then on it is there. The first to be avoided is
    /// where it is.
    async fn move_session(
        &mut self,
        guid: &Guid,
        avoided: Vec<CoordinatorId>,
        cause: Cause,
    ) -> Result<Arc<Coordinator>, NotMoved> {
        let from = avoided.first().copied().ok_or(NotMoved::Pinned(Pinned::Immovable))?;
        if self.no_moves || self.client.has_closed() {
            return Err(NotMoved::Pinned(Pinned::Immovable));
        }
        let fleet = Arc::clone(&self.fleet);
        // Dropped after the departure: who waits finds out how it ended.
        let _ending = fleet.moves.ending();
        let departure = fleet.table.depart(guid, self.links.user(), from, cause)?;
        let opened = timeout(MOVE_TIME, Box::pin(self.open_again(&departure, avoided, cause))).await;
        let moved = match opened.unwrap_or(Err(NotMoved::TimedOut)) {
            Ok((coordinator, arrival)) => match departure.arrive(arrival) {
                Some(forgotten) => {
                    let left = forgotten.into_iter().map(|home| Left { session: *guid, home });
                    self.forgotten.extend(left);
                    Ok(coordinator)
                }
                // It was closed meanwhile.
                None => Err(NotMoved::Pinned(Pinned::Immovable)),
            },
            Err(not_moved) => Err(not_moved),
        };
        let outcome = if moved.is_ok() { MoveOutcome::Moved } else { MoveOutcome::Failed };
        if let Some(counters) = fleet.counters(from) {
            counters.moves.count(outcome);
        }
        let left = fleet.cluster.coordinator(from).map(|from| from.name.to_string()).unwrap_or_default();
        match &moved {
            Ok(to) => {
                tracing::debug!(session = %GuidText(*guid), from = left, to = %to.name, ?cause, "session moved");
            }
            Err(why) => {
                if let Some(left_out) = self.shared.admit_line("a session was not moved", why.kind()) {
                    let session = GuidText(*guid);
                    tracing::info!(%session, from = left, cause = %why, left_out, "a session was not moved");
                }
            }
        }
        moved
    }

    /// Opens a session again on the best coordinator that takes it.
    async fn open_again(
        &mut self,
        departure: &Departure,
        mut tried: Vec<CoordinatorId>,
        cause: Cause,
    ) -> Result<(Arc<Coordinator>, Arrival), NotMoved> {
        let mut reasons = Reasons::default();
        while let Some(opening) = self.to_move_to(&tried) {
            let coordinator = Arc::clone(opening.coordinator());
            tried.push(coordinator.id);
            let standing = coordinator.standing(Service::Hs2, clock::now());
            // The best of all that were not tried: those after it are no better.
            if !(standing.is_fit() || (cause == Cause::Lost && standing == Standing::Ejected)) {
                reasons.push(&coordinator, standing);
                break;
            }
            let incarnation = coordinator.incarnation();
            match self.ask_again(departure, &coordinator, &mut reasons).await? {
                Some((handle, idle_timeout)) => {
                    coordinator.note_opened(Service::Hs2);
                    let (count, tenancy) = (opening.into_session(), self.links.begin_session(&coordinator));
                    let (id, now) = (coordinator.id, clock::now());
                    let arrival =
                        Arrival { coordinator: id, handle, incarnation, count, tenancy, idle_timeout, now };
                    return Ok((coordinator, arrival));
                }
                None if self.no_moves || self.client.has_closed() => break,
                None => {}
            }
        }
        Err(NotMoved::Nowhere(reasons.tell(&self.fleet.cluster, Service::Hs2, None)))
    }

    /// The best coordinator that was not tried and has room, with an open counted on it.
    fn to_move_to(&self, tried: &[CoordinatorId]) -> Option<Opening> {
        let has_room = |one: &Coordinator| self.links.has_room(one, Service::Hs2, self.client.address);
        self.fleet.pick(&Wanted { service: Service::Hs2, demand: None, tried, has_room: &has_room }).ok()
    }

    /// Asks one coordinator to open the session: its handle and how long it may be idle; none if it did not.
    async fn ask_again(
        &mut self,
        departure: &Departure,
        coordinator: &Arc<Coordinator>,
        reasons: &mut Reasons,
    ) -> Result<Option<(Handle, Option<Duration>)>, NotMoved> {
        let Some(mut request) = Request::own(&departure.request, self.framing) else {
            return Ok(None);
        };
        let linked = self.link_to(coordinator, Service::Hs2, &request).await;
        let link = match linked.map_err(NotMoved::Client)? {
            Ok(link) => link,
            Err(no_link) => {
                // A password that is refused now would be refused again, and again, until its account is locked.
                self.no_moves = no_link.phase() == Phase::CredentialsShown;
                reasons.push(coordinator, no_link);
                return Ok(None);
            }
        };
        let deadline = clock::now() + MOVE_TIME;
        let answered = match self.ask(link, &mut request, deadline).await {
            Ok(answered) => answered,
            Err(Trouble::Client(end)) => return Err(NotMoved::Client(end)),
            Err(Trouble::Link(lost)) => {
                self.fleet.doubt(coordinator, Service::Hs2);
                reasons.push(coordinator, lost.cause);
                return Ok(None);
            }
        };
        if let Some(link) = answered.link {
            self.links.put(link);
        }
        let judged = self.verdict(request.method(), answered.reply.facts());
        if judged == Verdict::ShuttingDown {
            self.fleet.note_shutting_down(coordinator);
        }
        let handle = answered.reply.facts().handle().filter(|_| judged == Verdict::Success);
        if handle.is_none() {
            reasons.push(coordinator, "it did not open the session");
        }
        Ok(handle.map(|handle| (handle, idle_session_timeout(&answered.bytes))))
    }
}

impl NoAnswer {
    /// The session of a call did not arrive in time.
    pub(super) fn on_its_way(conn: crate::ids::ConnId, waited: Duration) -> Self {
        let message = format!(
            "hs2router ({conn}): the session is still being moved to another coordinator after {waited:?}"
        );
        Self { sql_state: SqlState::Refused, message }
    }
}
