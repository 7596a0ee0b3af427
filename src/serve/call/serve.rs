//! The loop over the calls of a client connection, strictly in order: read a request, decide where it goes, carry that out.

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{AdminState, Coordinator, Wanted};
use crate::ids::Service;
use crate::metrics::CallOutcome;
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::outcome::Decided;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::call::{expired, forward, keepalive, leftovers, locate, moving, open};
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::request::Request;
use crate::serve::settings::DRAIN_LOOK_INTERVAL;
use crate::serve::threads::signals::Signal;
use crate::serve::threads::workers::Assignment;
use crate::session::activity::InUse;
use crate::session::decide::{Affinity, Past, Plan, decide, purpose, question, service, session_of};
use crate::session::locate::Question;

/// Serves calls until the connection shall go on elsewhere; returns where.
///
/// # Errors
/// How the connection ended.
pub(crate) async fn serve<S: Stream>(conn: &mut Conn<S>) -> Result<Assignment, End> {
    loop {
        let first = next_bytes(conn).await?;
        // Boxed: an idle connection must not hold what a call needs while it is under way.
        Box::pin(call(conn, first)).await?;
        if let Some(assignment) = conn.assignment.next() {
            return Ok(assignment);
        }
    }
}

/// Carries out the next call. What few calls wait for has a box of its own, so that the others have less to move and touch.
async fn call<S: Stream>(conn: &mut Conn<S>, first: Option<Chunk>) -> Result<(), End> {
    // Whatever came of its dials, the call before this one has waited for.
    conn.slowed = Duration::ZERO;
    let mut request = Request::boxed();
    conn.client.begin(&mut request, first)?;
    if !request.complete {
        Box::pin(conn.client.fill(&mut request, &conn.shared.settings, &conn.shared.replay)).await?;
    }
    let done = match request.mistyped() {
        None => carry_out(conn, &mut request).await,
        Some(mistyped) => Box::pin(refuse_mistyped(conn, &mut request, &mistyped)).await,
    };
    conn.in_use = None;
    request.recycle();
    done
}

async fn carry_out<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<(), End> {
    let Some(plan) = plan(conn, request).await? else { return Ok(()) };
    let (method, service) = (request.method(), conn.past.service);
    tracing::trace!(method = method.name, ?plan, "call");
    let leftovers = leftovers::of_closed_session(conn, request);
    let done = match plan {
        Plan::Open => Box::pin(open::open_session(conn, request)).await,
        Plan::OpenBeeswax => Box::pin(open::open_beeswax(conn, request)).await,
        // What there was to ask was asked.
        Plan::Any | Plan::Locate(_) => Box::pin(forward_anywhere(conn, request, service)).await,
        Plan::Owner { coordinator, .. } => match conn.fleet.cluster.coordinator(coordinator) {
            Some(coordinator) => forward::forward(conn, request, coordinator, service).await,
            None => Box::pin(forward::forward_from_removed(conn, request, coordinator, service)).await,
        },
    };
    let outcome = done.as_ref().map_or(CallOutcome::Unanswered, |outcome| *outcome);
    conn.shared.calls.count(method.place(), outcome);
    if done? == CallOutcome::Reply
        && let Some(leftovers) = leftovers
    {
        conn.leftovers.extend(leftovers);
    }
    if conn.leftovers.is_empty() { Ok(()) } else { Box::pin(leftovers::close_leftovers(conn)).await }
}

/// Answers a request that would end elsewhere for its coordinator; not a byte of it is sent.
async fn refuse_mistyped<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    mistyped: &BadInput,
) -> Result<(), End> {
    let service = service(request.method(), request.facts(), &conn.past);
    let answer = NoAnswer::bad_request(conn.id, mistyped);
    let outcome = refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await?;
    conn.shared.calls.count(request.method().place(), outcome);
    Ok(())
}

/// Where a call goes, and what for; its session stays there while it is under way. None if the client was told already what
/// comes of it.
async fn plan<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<Option<Plan>, End> {
    let method = request.method();
    forget_lost_beeswax(conn);
    let decided = locate::decided(conn, method, request.facts()).await?;
    if let Err(ended) = expired::use_session(conn, request)
        && Box::pin(expired::tell_over(conn, request, &ended)).await?
    {
        return Ok(None);
    }
    if !moving::hold_now(conn, request) && !Box::pin(moving::hold_in_time(conn, request)).await? {
        return Ok(None);
    }
    let service = service(method, request.facts(), &conn.past);
    let plan = match decided {
        Decided::Known(_) if session_of(method, request.facts()).is_some() => {
            // Again: the session may have moved while its call waited.
            let past = Past { locates: false, ..conn.past };
            decide(method, request.facts(), &past, &conn.fleet.table)
        }
        Decided::Asked(plan) | Decided::Known(plan) => plan,
    };
    // What is kept for cancels is not for a call whose coordinator may never answer it.
    if request.is_whole()
        && request.ends_for_sure()
        && matches!(plan, Plan::Owner { affinity: Affinity::Session | Affinity::Operation, .. })
    {
        request.purpose = purpose(method);
    }
    request.doubt = doubt(conn, request, &plan);
    conn.past.service = service;
    if !matches!(plan, Plan::Open | Plan::OpenBeeswax) {
        conn.reserved = None;
    }
    Ok(Some(plan))
}

/// What may be asked again if the coordinator that a call goes to has not what it names: it said so only when it was
/// asked.
fn doubt<S: Stream>(conn: &Conn<S>, request: &Request, plan: &Plan) -> Option<Question> {
    let Plan::Owner { affinity, .. } = plan else { return None };
    let was_found = *affinity == Affinity::Located;
    let may_be_found = conn.in_use.as_ref().is_none_or(InUse::was_located);
    if !conn.past.locates || !(was_found || may_be_found) {
        return None;
    }
    let question = question(request.method(), request.facts())?;
    let is_doubtful = match question {
        Question::Session(_) => was_found || conn.in_use.is_some(),
        Question::Operation(handle, _) => was_found || conn.fleet.table.was_located_operation(&handle),
    };
    is_doubtful.then_some(question)
}

/// A Beeswax session ends with its link. The next one shall not begin where no session may, because the one before it
/// was there.
fn forget_lost_beeswax<S: Stream>(conn: &mut Conn<S>) {
    let Some(coordinator) = conn.past.beeswax else { return };
    let owner = conn.fleet.cluster.coordinator(coordinator);
    if owner.is_some_and(|owner| owner.state() == AdminState::Active) {
        return;
    }
    conn.links.drop_closed();
    if !conn.links.has(coordinator, Service::Beeswax) {
        conn.past.beeswax = None;
    }
}

/// Waits for the next request's first bytes, or for the end; none if some are pending. What an idle connection waits for
/// never interrupts a request that has begun: that has a deadline of its own.
async fn next_bytes<S: Stream>(conn: &mut Conn<S>) -> Result<Option<Chunk>, End> {
    while !conn.client.has_pending() {
        // To close on unread bytes would be a reset, and a call lost that came before the end.
        let leave = conn.leaving && conn.open.is_empty() && !conn.client.has_unread();
        tokio::select! {
            biased;
            read = conn.client.read() => {
                let chunk = read?;
                return if chunk.is_empty() { Err(End::ClientClosed) } else { Ok(Some(chunk)) };
            }
            () = ready(()), if leave => return Err(End::RouterShutdown),
            () = conn.signals.received_besides(Signal::Drain), if !conn.leaving => {
                conn.leaving = true;
                conn.look_in(DRAIN_LOOK_INTERVAL);
            }
            () = conn.signals.received_besides(Signal::Look) => {
                conn.signals.clear(Signal::Look);
                Box::pin(moving::leave_coordinators(conn)).await?;
            }
            // Links and alarm together: each branch costs something in every call.
            () = poll_fn(|cx| {
                conn.links.drop_ended(cx);
                conn.look.poll_rings(cx)
            }) => {
                // Boxed: an idle connection must not hold what that takes.
                Box::pin(keepalive::look_after_sessions(conn)).await;
            }
        }
    }
    Ok(None)
}

/// What names nothing that is known goes to any coordinator, for its own words.
async fn forward_anywhere<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
) -> Result<CallOutcome, End> {
    if let Some(coordinator) = anybody(conn, service) {
        return forward::forward(conn, request, coordinator, service).await;
    }
    let answer = NoAnswer::nowhere(conn.id, &conn.fleet.cluster.name, "all of them are draining");
    refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
}

/// The best coordinator, if it can be with room for a call.
fn anybody<S: Stream>(conn: &Conn<S>, service: Service) -> Option<Arc<Coordinator>> {
    let has_room = |one: &Coordinator| conn.links.has_room(one, service, conn.client.address());
    let picked = conn.fleet.pick(&Wanted { service, demand: None, tried: &[], has_room: &has_room });
    let picked = picked.or_else(|_| conn.fleet.pick(&Wanted::anywhere_but(&[], service)));
    // Counted as an open only for the moment of the pick: no session comes of it.
    Some(Arc::clone(picked.ok()?.coordinator()))
}
