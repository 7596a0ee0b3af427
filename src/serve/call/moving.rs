//! Moves a session: one of the connections that used it opens it again on another coordinator, over a link of
//! its own, while other calls of the session wait.
//!
//! A session moves ahead of time while its coordinator drains or shuts down. Otherwise it moves at its next
//! call, if the coordinator is lost, or refuses the call because it shuts down. The old session stays open as
//! a leftover, for the profiles of its operations, and ends with the links to it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{timeout, timeout_at};

use crate::clock;
use crate::cluster::{Coordinator, Opening, Standing};
use crate::ids::CoordinatorId;
use crate::metrics::{CallOutcome, MoveOutcome};
use crate::net::stream::Stream;
use crate::serve::call::conn::{Conn, SessionLeftover};
use crate::serve::call::links::Unlinked;
use crate::serve::call::outcome::{Failed, Trouble};
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::call::{expired, links, open_on, restarted};
use crate::serve::fleet::candidates::Candidates;
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::serve::settings::MOVE_TIME;
use crate::session::decide::session_of;
use crate::session::retry::Phase;
use crate::session::table::{Arrival, Cause, Departure, Holding, Pinned};
use crate::wire::facts::{Guid, GuidText, Handle};
use crate::wire::hs2::reply::{SqlState, idle_session_timeout};
use crate::wire::method::{Method, Role};
use crate::wire::verdict::Verdict;

/// Why a session did not move.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMoved {
    /// It must stay, or has already moved.
    #[error(transparent)]
    Pinned(#[from] Pinned),
    /// The connection that was moving it has ended.
    #[error("its connection has ended")]
    Client(End),
    /// No coordinator took it.
    #[error("{0}")]
    Nowhere(String),
    /// It took longer than [`MOVE_TIME`].
    #[error("it took longer than {MOVE_TIME:?}")]
    TimedOut,
}

impl NotMoved {
    /// Returns the kind that bounds the log lines about this.
    fn kind(&self) -> &'static str {
        match self {
            Self::Pinned(_) => "pinned",
            Self::Client(_) => "client",
            Self::Nowhere(_) => "nowhere",
            Self::TimedOut => "timed out",
        }
    }
}

/// Holds the session of a call where it is while the call is under way, if the session can move. Returns
/// false if the session is moving or must leave first: see [`hold_in_time`].
pub(crate) fn hold_now<S: Stream>(conn: &Conn<S>, request: &mut Request) -> bool {
    let (moves, method) = (conn.fleet.moves.are_on(), request.method());
    if !moves && conn.fleet.room.upkeep.is_none() {
        return true;
    }
    let Some(session) = session_of(method, request.facts()) else { return true };
    request.note_effect();
    !moves || (to_leave(conn, method, &session).is_none() && enters(conn, request, &session))
}

/// Returns the coordinator that a session must leave before this call, if any.
fn to_leave<S: Stream>(conn: &Conn<S>, method: &Method, session: &Handle) -> Option<CoordinatorId> {
    if !method.is_new_work {
        return None;
    }
    conn.fleet.table.session_owner(&session.guid).filter(|owner| conn.fleet.sessions_must_leave(*owner))
}

/// Holds a session that [`hold_now`] could not hold: first moves it if it must leave, or waits until it has
/// arrived. If that takes too long, the call is refused, and what it counts as is returned.
pub(crate) async fn hold_in_time<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
) -> Result<Option<CallOutcome>, End> {
    let method = request.method();
    let Some(session) = session_of(method, request.facts()) else { return Ok(None) };
    if let Some(owner) = to_leave(conn, method, &session) {
        take_away(conn, &session.guid, owner).await?;
    }
    if enter(conn, request, &session).await {
        return match expired::ended_meanwhile(conn, request) {
            Some(ended) => expired::tell_over(conn, request, &ended).await,
            None => Ok(None),
        };
    }
    let answer = NoAnswer::on_its_way(conn.id, MOVE_TIME);
    refuse::refuse(conn, request, conn.hs2(), &answer, CallOutcome::Refused).await.map(Some)
}

/// Holds the session unless it is moving; returns whether the call may go on.
fn enters<S: Stream>(conn: &Conn<S>, request: &mut Request, session: &Handle) -> bool {
    match conn.fleet.table.hold(session, conn.links.identity()) {
        Holding::Held(call) => request.hold = Some(call),
        Holding::AsItCame => {}
        Holding::Moving => return false,
    }
    true
}

/// Holds the session as soon as it is not moving; false if that takes longer than [`MOVE_TIME`].
pub(crate) async fn enter<S: Stream>(conn: &Conn<S>, request: &mut Request, session: &Handle) -> bool {
    let deadline = (clock::now() + MOVE_TIME).into();
    loop {
        let mut ended = pin!(conn.fleet.moves.ended.notified());
        if enters(conn, request, session) {
            return true;
        }
        // Enabled before the second look, so that a move that ends in between is not missed.
        ended.as_mut().enable();
        if !conn.fleet.table.is_moving(&session.guid) {
            continue;
        }
        if timeout_at(deadline, ended).await.is_err() {
            return false;
        }
    }
}

/// Moves the session of a call that failed, if the failure is a reason to move and the call may be sent
/// elsewhere. Returns where the session is then, also if another connection moved it.
pub(crate) async fn move_after<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    coordinator: &Arc<Coordinator>,
    failed: &Failed,
) -> Result<Option<Arc<Coordinator>>, End> {
    let Some(session) = session_to_move(request) else { return Ok(None) };
    let cause = match failed {
        Failed::NoLink(NoLink::Unreached(Unreached::Dial(failure))) if failure.is_remote() => Cause::Lost,
        Failed::NoLink(NoLink::Unreached(Unreached::Removed)) => Cause::Lost,
        // The coordinator lives, and what it runs goes on: a session that has nothing open there may go.
        Failed::NoLink(NoLink::Unreached(unreached)) if unreached.is_remote() => cause_to_leave(conn),
        Failed::Refused { verdict: Verdict::ShuttingDown, .. } => cause_to_leave(conn),
        Failed::Refused { verdict: Verdict::NoSuchSession, .. }
            if restarted::was_restarted(conn, &session.guid, coordinator).await =>
        {
            Cause::Lost
        }
        Failed::NoLink(_)
        | Failed::Left
        | Failed::SessionLost(_)
        | Failed::Refused { .. }
        | Failed::Lost(_) => return Ok(None),
    };
    move_from(conn, request, coordinator.id, cause).await
}

/// Returns the session of a call, if the call may follow it to another coordinator.
fn session_to_move(request: &Request) -> Option<Handle> {
    let may_move = request.hold.is_some() && request.is_whole() && request.method().role != Role::Profile;
    session_of(request.method(), request.facts()).filter(|_| may_move)
}

/// Moves the session of a call off a coordinator, if the call may be sent elsewhere. Returns where the
/// session is then, also if another connection moved it.
pub(crate) async fn move_from<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    from: CoordinatorId,
    cause: Cause,
) -> Result<Option<Arc<Coordinator>>, End> {
    let Some(session) = session_to_move(request) else { return Ok(None) };
    request.hold = None;
    let moved = move_session(conn, &session.guid, vec![from], cause).await;
    if !enter(conn, request, &session).await {
        return Ok(None);
    }
    match moved {
        Ok(next) => Ok(Some(next)),
        Err(NotMoved::Client(end)) => Err(end),
        Err(NotMoved::Pinned(Pinned::Moving | Pinned::Moved)) => {
            let owner = conn.fleet.table.session_owner(&session.guid).filter(|owner| *owner != from);
            Ok(owner.and_then(|owner| conn.fleet.cluster.coordinator(owner)))
        }
        Err(_) => Ok(None),
    }
}

pub(super) fn cause_to_leave<S: Stream>(conn: &Conn<S>) -> Cause {
    Cause::Leaves { now: clock::now(), cooldown: conn.fleet.moves.settings.cooldown }
}

/// Moves a session ahead of time, if nothing pins it.
pub(super) async fn take_away<S: Stream>(
    conn: &mut Conn<S>,
    session: &Guid,
    from: CoordinatorId,
) -> Result<(), End> {
    let fleet = Arc::clone(&conn.fleet);
    if fleet.table.may_leave(session, cause_to_leave(conn)).is_err() {
        return Ok(());
    }
    // The wait for a turn takes no longer than the move itself may.
    let Ok(Ok(_permit)) = timeout(MOVE_TIME, fleet.moves.going.acquire()).await else { return Ok(()) };
    match move_session(conn, session, vec![from], cause_to_leave(conn)).await {
        Err(NotMoved::Client(end)) => Err(end),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Opens a session again on a coordinator that is not in `avoided`, and moves it there. The first in
/// `avoided` is the coordinator that the session is on.
pub(super) async fn move_session<S: Stream>(
    conn: &mut Conn<S>,
    guid: &Guid,
    avoided: Vec<CoordinatorId>,
    cause: Cause,
) -> Result<Arc<Coordinator>, NotMoved> {
    let from = avoided.first().copied().ok_or(NotMoved::Pinned(Pinned::Immovable))?;
    if !conn.links.may_move_sessions() || conn.client.has_closed() {
        return Err(NotMoved::Pinned(Pinned::Immovable));
    }
    let fleet = Arc::clone(&conn.fleet);
    // Dropped after the departure: whatever waits then sees how the move ended.
    let _ending = fleet.moves.ending();
    conn.links.act_for_owner_of(guid);
    let departure = fleet.table.depart(guid, conn.links.identity(), from, cause)?;
    let opened = timeout(MOVE_TIME, Box::pin(open_again(conn, &departure, avoided, cause))).await;
    let moved = match opened.unwrap_or(Err(NotMoved::TimedOut)) {
        Ok((coordinator, arrival)) => match departure.arrive(arrival) {
            Some(forgotten) => {
                let leftovers =
                    forgotten.into_iter().map(|leftover| SessionLeftover { session: *guid, leftover });
                conn.leftovers.extend(leftovers);
                Ok(coordinator)
            }
            // The session was closed meanwhile.
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
            if let Some(left_out) = conn.shared.admit_line("a session was not moved", why.kind()) {
                let session = GuidText(*guid);
                tracing::info!(%session, from = left, cause = %why, left_out, "a session was not moved");
            }
        }
    }
    moved
}

/// Opens a session again on the best coordinator that takes it.
async fn open_again<S: Stream>(
    conn: &mut Conn<S>,
    departure: &Departure,
    avoided: Vec<CoordinatorId>,
    cause: Cause,
) -> Result<(Arc<Coordinator>, Arrival), NotMoved> {
    let mut candidates = Candidates::besides(avoided);
    while let Some(opening) = next(conn, &mut candidates) {
        let coordinator = Arc::clone(opening.coordinator());
        let standing = coordinator.standing(conn.hs2(), clock::now());
        // This is the best of all coordinators that were not tried, so the rest are no better.
        if !(standing.is_fit() || (cause == Cause::Lost && standing == Standing::Ejected)) {
            candidates.note_failed(&coordinator, standing);
            break;
        }
        let incarnation = coordinator.incarnation();
        match ask_again(conn, departure, &coordinator, &mut candidates).await? {
            Some((handle, idle_timeout)) => {
                coordinator.note_opened(conn.hs2());
                let (count, tenancy) = (opening.into_session(), conn.links.begin_session(&coordinator));
                let (id, now) = (coordinator.id, clock::now());
                let arrival =
                    Arrival { coordinator: id, handle, incarnation, count, tenancy, idle_timeout, now };
                return Ok((coordinator, arrival));
            }
            None if !conn.links.may_move_sessions() || conn.client.has_closed() => break,
            None => {}
        }
    }
    Err(NotMoved::Nowhere(candidates.tell(&conn.fleet.cluster, conn.hs2())))
}

fn next<S: Stream>(conn: &Conn<S>, candidates: &mut Candidates) -> Option<Opening> {
    let has_room = |one: &Coordinator| conn.links.has_room(one, conn.hs2(), conn.client.address());
    candidates.next_at_once(&conn.fleet, conn.hs2(), &has_room)
}

/// Asks one coordinator to open the session; returns the new handle and the idle timeout, or none if it did
/// not.
async fn ask_again<S: Stream>(
    conn: &mut Conn<S>,
    departure: &Departure,
    coordinator: &Arc<Coordinator>,
    candidates: &mut Candidates,
) -> Result<Option<(Handle, Option<Duration>)>, NotMoved> {
    let Some(mut request) = Request::own(&departure.request) else {
        return Ok(None);
    };
    let link = match links::link_to(conn, coordinator, conn.hs2(), &request).await {
        Ok(link) => link,
        Err(Unlinked::Client(end)) => return Err(NotMoved::Client(end)),
        Err(Unlinked::NoLink(no_link)) => {
            // Refused credentials would be refused again at every move, until the account is locked.
            if no_link.phase() == Phase::CredentialsShown {
                conn.links.note_move_refused();
            }
            candidates.note_failed(coordinator, no_link);
            return Ok(None);
        }
    };
    let deadline = clock::now() + MOVE_TIME;
    let answered = match open_on::ask(conn, link, &mut request, deadline).await {
        Ok(answered) => answered,
        Err(Trouble::Client(end)) => return Err(NotMoved::Client(end)),
        Err(Trouble::Link(lost)) => {
            // As above: over HTTP the credentials are shown with the call.
            if lost.cause.is_verdict() {
                conn.links.note_move_refused();
            }
            conn.fleet.doubt(coordinator, conn.hs2());
            candidates.note_failed(coordinator, lost.cause);
            return Ok(None);
        }
    };
    if let Some(link) = answered.link {
        conn.links.put(link);
    }
    if answered.verdict == Verdict::ShuttingDown {
        conn.fleet.note_shutting_down(coordinator);
    }
    let handle = answered.reply.facts().handle().filter(|_| answered.verdict == Verdict::Success);
    if handle.is_none() {
        candidates.note_failed(coordinator, "it did not open the session");
    }
    Ok(handle.map(|handle| (handle, idle_session_timeout(&answered.bytes))))
}

impl NoAnswer {
    /// The session of a call did not arrive in time.
    pub(crate) fn on_its_way(conn: crate::ids::ConnId, waited: Duration) -> Self {
        let message = format!(
            "hs2router ({conn}): the session is still being moved to another coordinator after {waited:?}"
        );
        Self { sql_state: SqlState::Refused, message }
    }
}
