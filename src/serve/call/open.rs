//! Opens new sessions. Each is picked for separately, and goes on to the next candidate when a coordinator
//! cannot be reached or is about to shut down, so that the client does not notice.

use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::cluster::room::{Kind, Purpose};
use crate::cluster::{Coordinator, Demand, Opening, Step};
use crate::ids::Service;
use crate::metrics::{CallOutcome, Label as _, RefusalCause, SessionOutcome};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::links::Unlinked;
use crate::serve::call::outcome::{Answered, Trouble};
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::call::tried::Tried;
use crate::serve::call::{links, open_on};
use crate::serve::fleet::candidates::{Candidate, ClientGone, Seeker};
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::idle::IdleTimeout;
use crate::session::retry::{Phase, Remedy, remedy};
use crate::session::state::State;
use crate::session::table::{Admission, Movable, NewSession, NotAdmitted};
use crate::wire::facts::{Guid, GuidText};
use crate::wire::hs2::reply::{SqlState, idle_session_timeout};
use crate::wire::verdict::Verdict;

/// Opens a session on the best coordinator that takes it.
pub(crate) async fn open_session<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
) -> Result<CallOutcome, End> {
    let admission = match conn.fleet.table.admit(&conn.turn()) {
        Ok(admission) => admission,
        Err(not_admitted) => return refuse_session(conn, request, not_admitted).await,
    };
    let mut tried = Tried::new(room_by(conn));
    tried.demand = demand(conn, request);
    while let Some(mut candidate) = next(conn, conn.hs2(), &mut tried).await? {
        let coordinator = Arc::clone(candidate.coordinator());
        let open_by = tried.open_by(conn.shared.settings.open_timeout);
        let link = links::link_for(conn, &mut candidate, conn.hs2(), request).await;
        let phase = match link {
            Err(Unlinked::Client(end)) => return Err(end),
            Err(Unlinked::NoLink(no_link)) => {
                tried.no_link(&coordinator, &no_link);
                no_link.phase()
            }
            Ok(link) => match open_on::ask(conn, link, request, open_by).await {
                Ok(mut answered) if turns_away(conn, request, &coordinator, &answered) => {
                    // Where sessions end with their connections, the link may already carry a session.
                    if let Some(link) = answered.link.take() {
                        conn.links.put(link);
                    }
                    // The search may go on for long, and the read buffer is for others.
                    answered.bytes = answered.bytes.take().copied();
                    tried.answer = Some((coordinator, answered));
                    Phase::TurnedAway
                }
                Ok(answered) => {
                    for loser in &tried.lost {
                        loser.note_open_lost(conn.hs2(), clock::now());
                    }
                    return opened(conn, request, candidate.opening, admission, answered).await;
                }
                Err(Trouble::Client(end)) => return Err(end),
                Err(Trouble::Link(Lost { cause: LostCause::Refused(refusal), .. }))
                    if refusal.is_verdict() =>
                {
                    count_open(conn, &coordinator, SessionOutcome::Error);
                    // The client may come again at once, and this coordinator is then no busier than before.
                    drop(candidate);
                    return refuse::pass_on(conn, request, *refusal).await;
                }
                Err(Trouble::Link(lost)) => {
                    note_lost(conn, request, &coordinator, &lost);
                    tried.lost(coordinator, &lost);
                    lost.phase
                }
            },
        };
        // Only the last piece is left of a request that was sent piece by piece, so it cannot be sent again.
        let can_resend = request.is_whole() || phase.is_unwritten();
        if !can_resend || remedy(request.method().retry, phase, 0) != Remedy::NextCandidate {
            break;
        }
    }
    nobody_opened(conn, request, tried).await
}

async fn refuse_session<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    not_admitted: NotAdmitted,
) -> Result<CallOutcome, End> {
    conn.shared.metrics.connections_refused.count(match not_admitted {
        NotAdmitted::Full => RefusalCause::SessionTableFull,
        NotAdmitted::HoldsMost { .. } => RefusalCause::TooManySessions,
    });
    let answer = NoAnswer::nowhere(conn.id, &conn.fleet.cluster.name, not_admitted);
    refuse::refuse(conn, request, conn.hs2(), &answer, CallOutcome::Refused).await
}

/// Notes that a coordinator lost an open, and has a probe check it. If it had said that the session was open
/// and then broke off, that speaks against it at once. An open that took too long counts as a failed one.
fn note_lost<S: Stream>(conn: &Conn<S>, request: &Request, coordinator: &Coordinator, lost: &Lost) {
    count_open(conn, coordinator, SessionOutcome::Lost);
    if lost.phase == Phase::OutOfTime {
        note_answered(conn, request, coordinator, false);
    }
    if lost.cause.speaks_against_coordinator() {
        conn.fleet.doubt(coordinator, conn.hs2());
        if lost.phase == Phase::ReplySucceeds {
            coordinator.note_open_lost(conn.hs2(), clock::now());
        }
    }
    if let Some(left_out) = conn.shared.admit_line("open lost", lost.cause.kind()) {
        tracing::info!(coordinator = %coordinator.name, cause = %lost.cause, left_out, "open lost");
    }
}

/// Returns when a new session stops waiting for room.
pub(super) fn room_by<S: Stream>(conn: &Conn<S>) -> Instant {
    clock::now() + conn.fleet.room.queue_timeout
}

/// Returns the next candidate, with the open counted on it and, unless the connection has a link there, a
/// grant for one. The coordinator that checked the credentials comes first, if it may still be used. Waits
/// for room if there is none anywhere. For a client that has finished sending, no second coordinator is
/// tried: most such clients have given up.
pub(super) async fn next<S: Stream>(
    conn: &mut Conn<S>,
    service: Service,
    tried: &mut Tried<S>,
) -> Result<Option<Candidate<S>>, End> {
    if tried.is_over() || (!tried.candidates.is_empty() && conn.client.has_closed()) {
        return Ok(None);
    }
    if let Some(reserved) = conn.reserved.take().filter(|_| tried.candidates.is_empty())
        && !has_failed(conn, tried.demand, reserved.coordinator())
        && let Some(candidate) = reserved_candidate(conn, service, reserved.coordinator())
    {
        tried.candidates.begin(candidate.coordinator());
        return Ok(Some(candidate));
    }
    let seeker = Seeker {
        fleet: &conn.fleet,
        service,
        holder: conn.holder(),
        client: conn.client.address(),
        turn: conn.turn(),
        kind: Kind::Any,
        has_own: &|one: &Coordinator| conn.links.has(one.id, service),
        source: None,
        demand: tried.demand,
        deadline: tried.room_by,
    };
    tried.candidates.next(&seeker, conn.client.closed()).await.map_err(|ClientGone| End::client_gone())
}

/// Returns the coordinator that was reserved when the credentials were checked, if it still takes sessions.
fn reserved_candidate<S: Stream>(
    conn: &Conn<S>,
    service: Service,
    coordinator: &Arc<Coordinator>,
) -> Option<Candidate<S>> {
    let takes_sessions = coordinator.is_wanted() && coordinator.standing(service, clock::now()).is_fit();
    if !takes_sessions {
        return None;
    }
    if conn.links.has(coordinator.id, service) {
        return Some(Candidate { opening: coordinator.begin_open(), grant: None });
    }
    let port = conn.fleet.port(coordinator, service).filter(|port| port.shares)?;
    let grant = port.claim(conn.holder(), Purpose::Work, Kind::Any)?;
    Some(Candidate { opening: coordinator.begin_open(), grant: Some(grant) })
}

/// Returns whether a coordinator answered that it takes no such session; another one may.
fn turns_away<S: Stream>(
    conn: &Conn<S>,
    request: &Request,
    coordinator: &Coordinator,
    answered: &Answered<S>,
) -> bool {
    match answered.verdict {
        Verdict::ShuttingDown => {
            conn.fleet.note_shutting_down(coordinator);
            count_open(conn, coordinator, SessionOutcome::ShuttingDown);
            true
        }
        // It may have room for other users, so this counts only against the same demand.
        Verdict::Full => {
            note_answered(conn, request, coordinator, false);
            count_open(conn, coordinator, SessionOutcome::Full);
            true
        }
        Verdict::Success | Verdict::Failed | Verdict::NoSuchSession | Verdict::NoSuchOperation => false,
    }
}

/// Delivers the answer of a coordinator that did not turn the session away. A session that was opened enters
/// the table before the client has its handle.
async fn opened<S: Stream>(
    conn: &mut Conn<S>,
    request: &Request,
    opening: Opening,
    admission: Admission,
    mut answered: Answered<S>,
) -> Result<CallOutcome, End> {
    let coordinator = Arc::clone(opening.coordinator());
    // The status comes first: Impala's failed opens carry a handle that looks alive (`impala-hs2-server.cc`
    // `OpenSession`).
    let success = answered.verdict == Verdict::Success;
    count_open(conn, &coordinator, if success { SessionOutcome::Opened } else { SessionOutcome::Error });
    note_answered(conn, request, &coordinator, success);
    if let Some(handle) = answered.reply.facts().handle().filter(|_| success) {
        if conn.links.are_plain() {
            coordinator.note_opened_without_login();
        }
        let session = GuidText(handle.guid);
        conn.name_span(&coordinator, Some(session));
        tracing::debug!(%session, coordinator = %coordinator.name, "session opened");
        let (guid, secret) = (handle.guid, Some(handle.secret));
        let tenancy = conn.links.begin_session(&coordinator);
        let (owner, count) = (coordinator.id, opening.into_session());
        let idle_timeout = IdleTimeout::opened(idle_session_timeout(&answered.bytes), request.message());
        let (access, now) = (conn.links.session_access(), clock::now());
        let new = NewSession { guid, secret, coordinator: owner, access, count, tenancy, idle_timeout, now };
        let incarnation = coordinator.incarnation();
        match conn.fleet.table.insert_session(new) {
            Ok(()) => {
                conn.fleet.table.note_admission(&guid, admission);
                note_movable(conn, &guid, request, incarnation);
                drop(conn.attached.attach(&handle));
                if let Some(link) = &mut answered.link {
                    let outlives = conn.fleet.cluster.outlive_connections(conn.hs2());
                    link.note_opened(guid, outlives, &conn.fleet.table);
                }
            }
            Err(error) => conn.shared.warn_unknown(&session, error),
        }
    }
    deliver(conn, &coordinator, answered).await
}

/// Puts the link of an answer back, and delivers the answer.
async fn deliver<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Coordinator,
    answered: Answered<S>,
) -> Result<CallOutcome, End> {
    conn.past.last = Some(coordinator.id);
    let outcome = answered.outcome();
    let Answered { bytes, link, .. } = answered;
    if let Some(link) = link {
        conn.links.put(link);
    }
    conn.deliver(&bytes, bytes.form).await?;
    Ok(outcome)
}

/// Returns what an open demands: equal arguments of the same identity are the same demand. None if the
/// request is not held whole.
fn demand<S: Stream>(conn: &Conn<S>, request: &Request) -> Option<Demand> {
    let what = (conn.links.identity(), request.arguments()?);
    Some(conn.fleet.cluster.demand(conn.hs2(), Step::Open, what))
}

fn has_failed<S: Stream>(conn: &Conn<S>, demand: Option<Demand>, coordinator: &Coordinator) -> bool {
    demand.is_some_and(|demand| conn.fleet.cluster.has_failed_at(demand, coordinator))
}

fn note_answered<S: Stream>(conn: &Conn<S>, request: &Request, coordinator: &Coordinator, success: bool) {
    let (demand, now) = (demand(conn, request), clock::now());
    if success {
        coordinator.note_opened(conn.hs2());
    }
    match demand {
        Some(demand) if success => conn.fleet.cluster.note_done(demand, coordinator, now),
        Some(demand) => conn.fleet.cluster.note_failed(demand, coordinator, now),
        None => {}
    }
}

/// Notes what a session needs to move, where sessions move.
fn note_movable<S: Stream>(conn: &Conn<S>, guid: &Guid, request: &Request, incarnation: u32) {
    // Where it went, nobody could prove its user.
    if conn.fleet.moves.are_on() && !conn.links.identity().needs_tickets() {
        let state = State::opened(request.message());
        let movable = Movable { state, incarnation };
        conn.fleet.table.note_movable(guid, movable);
    }
}

async fn nobody_opened<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    tried: Tried<S>,
) -> Result<CallOutcome, End> {
    match tried.answer {
        _ if tried.needs_ticket => refuse::ask_for_ticket(conn, request).await,
        Some((coordinator, answered)) => deliver(conn, &coordinator, answered).await,
        None => refuse_open(conn, request, conn.hs2(), &tried).await,
    }
}

pub(super) async fn refuse_open<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
    tried: &Tried<S>,
) -> Result<CallOutcome, End> {
    let refusal = tried.candidates.refusal();
    let sql_state = tried.sql_state.filter(|_| refusal == RefusalCause::Unreachable);
    let sql_state = sql_state.unwrap_or(SqlState::Refused);
    conn.shared.metrics.connections_refused.count(refusal);
    let text = tried.candidates.tell(&conn.fleet.cluster, service);
    if let Some(left_out) = conn.shared.admit_line("a session was refused", refusal.word()) {
        tracing::warn!(cluster = %conn.fleet.cluster.name, cause = text, left_out, "a session was refused");
    }
    let answer = NoAnswer::none_took(conn.id, sql_state, &text);
    match refusal {
        RefusalCause::NoRoom => refuse::refuse_for_now(conn, request, service, &answer).await,
        _ => refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await,
    }
}

pub(super) fn count_open<S: Stream>(conn: &Conn<S>, coordinator: &Coordinator, outcome: SessionOutcome) {
    if let Some(counters) = conn.fleet.counters(coordinator.id) {
        counters.sessions.count(outcome);
    }
}
