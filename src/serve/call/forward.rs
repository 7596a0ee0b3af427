//! Sends a call to the coordinator that it belongs to. If that fails, the call is sent again if that is safe,
//! or goes elsewhere if its session can move; otherwise the client gets an error.

use std::sync::Arc;

use crate::cluster::Coordinator;
use crate::ids::{CoordinatorId, Service};
use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::exchange::Finished;
use crate::serve::call::links::Unlinked;
use crate::serve::call::outcome::{Deliver, Failed, Trouble};
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::call::{braking, exchange, expired, links, locate, moving};
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::no_link::NoLink;
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::serve::settings::MOVE_TIME;
use crate::session::activity::InUse;
use crate::session::decide::session_of;
use crate::session::retry::{Phase, Remedy, remedy};
use crate::session::table::{Cause, SessionEnd};
use crate::wire::method::{Retry, Role};
use crate::wire::verdict::Verdict;

/// The result of sending a call to one coordinator.
enum Attempt {
    /// The client has its reply.
    Answered(CallOutcome),
    Failed(Failed),
}

/// Sends a call to the coordinator that it belongs to, or to the one that its session moves to, which may be
/// lost in the meantime, too. Gives up after as many moves as there are coordinators.
pub(crate) async fn forward<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    mut coordinator: Arc<Coordinator>,
    service: Service,
) -> Result<CallOutcome, End> {
    let mut moves = conn.fleet.cluster.size();
    loop {
        let failed = match attempt(conn, request, &coordinator, service).await? {
            Attempt::Answered(outcome) => return Ok(outcome),
            Attempt::Failed(failed) => failed,
        };
        let next = match failed {
            _ if moves == 0 => None,
            Failed::Left => Box::pin(follow(conn, request, &coordinator)).await,
            _ if request.doubt.is_some() => {
                Box::pin(locate::locate_elsewhere(conn, request, &coordinator, &failed)).await?
            }
            _ => Box::pin(moving::move_after(conn, request, &coordinator, &failed)).await?,
        };
        let was_sent = !matches!(failed, Failed::NoLink(_) | Failed::Left);
        if (next.is_some() || !was_sent)
            && let Some(ended) = expired::ended_meanwhile(conn, request)
            && let Some(told) = Box::pin(expired::tell_over(conn, request, &ended)).await?
        {
            return Ok(told);
        }
        let Some(next) = next else {
            return Box::pin(give_up(conn, request, &coordinator, service, failed)).await;
        };
        (coordinator, moves) = (next, moves - 1);
    }
}

/// Handles a call whose coordinator was removed as if that coordinator were lost: opens the session elsewhere
/// and sends the call there, or tells the client that the session is gone.
pub(crate) async fn forward_from_removed<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    removed: CoordinatorId,
    service: Service,
) -> Result<CallOutcome, End> {
    match moving::move_from(conn, request, removed, Cause::Lost).await? {
        Some(next) => forward(conn, request, next, service).await,
        None => expired::tell_removed(conn, request, service).await,
    }
}

/// Sends a call to one coordinator, and again if that is safe.
async fn attempt<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    coordinator: &Arc<Coordinator>,
    service: Service,
) -> Result<Attempt, End> {
    name_session(conn, request, coordinator.id);
    let mut resends = 0;
    loop {
        let link = match links::link_to(conn, coordinator, service, request).await {
            Ok(link) if has_left(conn, request, coordinator) => {
                conn.links.put(link);
                return Ok(Attempt::Failed(Failed::Left));
            }
            Ok(link) => match conn.in_use.as_ref().and_then(InUse::lost) {
                // Nothing was sent on this link.
                Some(lost) => {
                    conn.links.put(link);
                    return Ok(Attempt::Failed(Failed::SessionLost(lost)));
                }
                None => link,
            },
            Err(Unlinked::Client(end)) => return Err(end),
            Err(Unlinked::NoLink(no_link)) => return Ok(Attempt::Failed(Failed::NoLink(no_link))),
        };
        let again = resends > 0 && request.method().retry == Retry::OnceGoneIsDone;
        let is_new = !link.slot.is_answered();
        let exchanged = exchange::exchange(conn, link, request, deliver(request, again)).await;
        braking::note_use(conn, is_new, &exchanged);
        let lost = match exchanged {
            Ok(finished) if again => {
                let finished = finish_again(conn, request, coordinator, service, finished);
                let outcome = Box::pin(finished).await?;
                return Ok(Attempt::Answered(outcome));
            }
            Ok(finished) => {
                let Finished { outcome, bytes, .. } = match judged(conn, request, coordinator, finished) {
                    Ok(last_word) => last_word,
                    Err(failed) => return Ok(Attempt::Failed(failed)),
                };
                if !bytes.is_empty() {
                    conn.deliver(&bytes, bytes.form).await?;
                }
                return Ok(Attempt::Answered(outcome));
            }
            Err(Trouble::Client(end)) => return Err(end),
            Err(Trouble::Link(lost)) => lost,
        };
        let can_resend = (request.is_whole() || lost.phase.is_unwritten())
            && !lost.client_has_some
            && !lost.cause.is_verdict()
            && !conn.client.has_closed();
        match remedy(request.method().retry, lost.phase, resends) {
            Remedy::Redial if can_resend => resends += 1,
            _ => return Ok(Attempt::Failed(Failed::Lost(lost))),
        }
    }
}

/// When the client gets the reply: not before its end if it may be a refusal after which the call goes
/// elsewhere, or the answer to a second try.
fn deliver(request: &Request, again: bool) -> Deliver {
    let may_go_on = request.hold.is_some() || request.doubt.is_some();
    match again {
        true => Deliver::WhenWhole,
        false if may_go_on && request.is_whole() => Deliver::WhileShort,
        false => Deliver::AsItComes,
    }
}

/// Returns whether the session of a call is not on this coordinator, or is about to leave it. A coordinator
/// that is lost does not keep a session for calls that wait for a link.
fn has_left<S: Stream>(conn: &Conn<S>, request: &Request, coordinator: &Coordinator) -> bool {
    let held = request.hold.is_some() && request.method().role != Role::Profile;
    let session = session_of(request.method(), request.facts()).filter(|_| held);
    session.is_some_and(|session| conn.fleet.table.has_left(&session.guid, coordinator.id))
}

/// Writes the handle that the session has on this coordinator into the request.
fn name_session<S: Stream>(conn: &Conn<S>, request: &mut Request, coordinator: CoordinatorId) {
    if !request.hold.as_ref().is_some_and(|hold| hold.moved) {
        return;
    }
    let facts = request.facts();
    let found = match request.method().role {
        Role::Profile => (facts.second_handle(), facts.second_handle_position()),
        _ => (facts.handle(), facts.handle_position()),
    };
    let (Some(session), Some(position)) = found else { return };
    let there = conn.fleet.table.handle_at(&session, conn.links.identity(), coordinator);
    request.name_session(position, &there.unwrap_or(session));
}

/// Waits until the session of a call has moved; returns its coordinator, or none if the session does not
/// arrive in time.
async fn follow<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    coordinator: &Arc<Coordinator>,
) -> Option<Arc<Coordinator>> {
    let session = session_of(request.method(), request.facts())?;
    request.hold = None;
    if !moving::enter(conn, request, &session).await {
        return None;
    }
    let owner = conn.fleet.table.session_owner(&session.guid);
    let owner = owner.and_then(|owner| conn.fleet.cluster.coordinator(owner));
    // If the session was closed meanwhile, its former coordinator gives the error.
    Some(owner.unwrap_or_else(|| Arc::clone(coordinator)))
}

/// Returns the answer if it is the last word on the call.
///
/// # Errors
/// [`Failed`], when the coordinator refused the call and another one may take it, or when the session has
/// moved meanwhile.
fn judged<S: Stream>(
    conn: &mut Conn<S>,
    request: &Request,
    coordinator: &Coordinator,
    finished: Finished,
) -> Result<Finished, Failed> {
    let Finished { verdict, outcome, bytes } = finished;
    if let Some(in_use) = &mut conn.in_use {
        in_use.succeeded |= verdict == Verdict::Success;
        if in_use.succeeded && !in_use.is_counted() {
            count_again(conn, request, coordinator);
        }
    }
    // The session had moved because this coordinator seemed lost, but it has answered after all.
    if !bytes.is_empty() && request.effect.is_of_session() && has_left(conn, request, coordinator) {
        let (phase, cause) = (Phase::Waiting, LostCause::SessionMoved);
        return Err(Failed::Lost(Lost { phase, client_has_some: false, cause }));
    }
    let is_last_word = match verdict {
        Verdict::ShuttingDown | Verdict::NoSuchSession => bytes.is_empty(),
        Verdict::NoSuchOperation => bytes.is_empty() || request.doubt.is_none(),
        Verdict::Success | Verdict::Failed | Verdict::Full => true,
    };
    if !is_last_word {
        return Err(Failed::Refused { verdict, outcome, reply: bytes.copied() });
    }
    Ok(Finished { verdict, outcome, bytes })
}

/// Counts the session of a call that succeeded, if it is counted nowhere: it is alive. A call proves that
/// only if the coordinator looks the session up for it (Spark does not: `SparkSQLCLIService` `getInfo`).
fn count_again<S: Stream>(conn: &Conn<S>, request: &Request, coordinator: &Coordinator) {
    let looks = conn.fleet.cluster.flavor.pings_sessions() || request.method().proves_session;
    let session = session_of(request.method(), request.facts()).filter(|_| looks);
    let coordinator = conn.fleet.cluster.coordinator(coordinator.id);
    if let (Some(session), Some(coordinator)) = (session, coordinator) {
        conn.fleet.table.count_again(&session.guid, &coordinator);
    }
}

/// Tells the client why its call was not carried out.
async fn give_up<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    coordinator: &Arc<Coordinator>,
    service: Service,
    failed: Failed,
) -> Result<CallOutcome, End> {
    match failed {
        Failed::NoLink(NoLink::TicketNeeded) => refuse::ask_for_ticket(conn, request).await,
        Failed::NoLink(no_link) => {
            if conn.past.beeswax == Some(coordinator.id) && service == Service::Beeswax {
                // The Beeswax session is lost: the next call begins another one.
                conn.past.beeswax = None;
            }
            let answer = NoAnswer::no_link(conn.id, coordinator, &no_link);
            refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
        }
        Failed::Left => {
            let answer = NoAnswer::on_its_way(conn.id, MOVE_TIME);
            refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
        }
        Failed::Lost(lost) => refuse_lost(conn, request, coordinator, service, lost).await,
        Failed::SessionLost(coordinator) => expired::tell_lost(conn, request, coordinator).await,
        Failed::Refused { verdict, outcome, reply } => {
            if verdict == Verdict::NoSuchSession {
                forget_session(conn, request, coordinator);
            }
            conn.deliver(&reply, reply.form).await?;
            Ok(outcome)
        }
    }
}

/// Forgets a session that its coordinator has ended. What a former coordinator says about it means nothing.
fn forget_session<S: Stream>(conn: &Conn<S>, request: &Request, coordinator: &Coordinator) {
    let named = request.hold.as_ref().filter(|_| request.method().role != Role::Profile);
    if let Some(session) = named.and_then(|_| request.facts().handle())
        && conn.fleet.table.session_owner(&session.guid) == Some(coordinator.id)
    {
        conn.fleet.table.remove_session(&session.guid, SessionEnd::Gone);
    }
}

/// Finishes the second try of a close or cancel. If the handle no longer exists, the first try had its
/// effect.
async fn finish_again<S: Stream>(
    conn: &mut Conn<S>,
    request: &Request,
    coordinator: &Coordinator,
    service: Service,
    finished: Finished,
) -> Result<CallOutcome, End> {
    let Finished { verdict: gone, outcome, bytes } = finished;
    if matches!(gone, Verdict::NoSuchSession | Verdict::NoSuchOperation) {
        if gone == Verdict::NoSuchSession {
            forget_session(conn, request, coordinator);
        }
        conn.deliver(&refuse::done(service, request.facts()), Form::Payload).await?;
        return Ok(CallOutcome::Reply);
    }
    conn.deliver(&bytes, bytes.form).await?;
    Ok(outcome)
}

/// Tells the client that its call was lost with its link. If it has a part of the reply, its connection must
/// end.
async fn refuse_lost<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    coordinator: &Coordinator,
    service: Service,
    lost: Lost,
) -> Result<CallOutcome, End> {
    // A 401 says itself that it ends the link.
    let is_announced = matches!(&lost.cause, LostCause::Refused(refusal) if refusal.is_unauthorized());
    if !is_announced
        && let Some(left_out) = conn.shared.admit_line("link lost during a call", lost.cause.kind())
    {
        let method = request.method().name;
        tracing::info!(coordinator = %coordinator.name, method, cause = %lost.cause, left_out, "link lost during a call");
    }
    let cause = match lost.cause {
        LostCause::Refused(refusal) => return refuse::pass_on(conn, request, *refusal).await,
        cause => cause,
    };
    let lost = Lost { cause, ..lost };
    conn.fleet.doubt(coordinator, service);
    if lost.client_has_some {
        return Err(match lost.cause {
            LostCause::BadReply(error) => error.into(),
            cause => End::CoordinatorLost { cause: cause.to_string() },
        });
    }
    let answer = if lost.phase.is_unwritten() {
        NoAnswer::unreachable(conn.id, coordinator, lost.cause)
    } else {
        NoAnswer::lost(conn.id, coordinator, lost.cause)
    };
    refuse::refuse(conn, request, service, &answer, CallOutcome::Lost).await
}
