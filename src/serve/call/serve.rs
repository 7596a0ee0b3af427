//! The loop over the calls of a client connection, strictly in order: reads a request, decides where it goes,
//! carries that out.

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use crate::cluster::{Coordinator, Wanted};
use crate::ids::Service;
use crate::metrics::CallOutcome;
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::delegation::NotAllowed;
use crate::serve::call::locate::Located;
use crate::serve::call::paused::Waited;
use crate::serve::call::refuse::{self, NoAnswer};
use crate::serve::call::{
    delegation, expired, forward, keepalive, leaving, leftovers, locate, moving, negotiate, open,
    open_beeswax, own_cookie, paused,
};
use crate::serve::fleet::entrance::Delegation;
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::http::client::Opened;
use crate::serve::message::request::{OverHttp, Request};
use crate::serve::settings::DRAIN_LOOK_INTERVAL;
use crate::serve::threads::signals::Signal;
use crate::serve::threads::workers::Assignment;
use crate::session::activity::InUse;
use crate::session::decide::{Affinity, Past, Plan, decide, purpose, question, service, session_of};
use crate::session::locate::Question;

/// Serves calls until the connection is to move to another worker; returns that worker's assignment.
///
/// # Errors
/// [`End`], when the connection ends.
pub(crate) async fn serve<S: Stream>(conn: &mut Conn<S>) -> Result<Assignment, End> {
    loop {
        let first = next_bytes(conn).await?;
        if let Err(end) = call(conn, first).await {
            // Boxed: few connections end inside a call.
            Box::pin(conn.client.say_end(&end, conn.shared.settings.stall_timeout)).await;
            return Err(end);
        }
        if let Some(assignment) = conn.assignment.next() {
            return Ok(assignment);
        }
    }
}

/// Carries out the next call. What a call needs while it is under way is boxed, because an idle connection must
/// not hold it; and what few calls need is boxed by itself, so that the others move and touch less memory.
async fn call<S: Stream>(conn: &mut Conn<S>, mut first: Option<Chunk>) -> Result<(), End> {
    // The delay is for the call whose dial was in vain, not for this one.
    conn.slowed = Duration::ZERO;
    let mut request = Box::new(Request::new());
    if conn.client.asks_each_time() {
        let again = conn.client.open_again(first.as_deref(), &mut request);
        // It may hold a password.
        if let Some(bytes) = first.as_mut().and_then(Chunk::own_mut) {
            bytes.fill(0);
        }
        // The call's other reads need its buffer.
        drop(first);
        let opened = match again? {
            Some(again) => Opened::Call(again),
            // Boxed: most clients send the same head again.
            None => Box::pin(conn.client.open(conn.shared.settings.stall_timeout)).await?,
        };
        match opened {
            Opened::Call(over_http) => match conn.delegation.clone() {
                None => be_for(conn, &mut request, over_http),
                Some(delegation) => {
                    // Boxed: few listeners judge tickets.
                    if !Box::pin(is_let_in(conn, &mut request, over_http, &delegation)).await? {
                        return Ok(());
                    }
                }
            },
            Opened::Nothing => return Ok(()),
        }
    } else {
        conn.client.begin(&mut request, first)?;
    }
    match request.over_http.as_ref().and_then(|over_http| over_http.head.request_id()) {
        None => Box::pin(answer(conn, &mut request)).await?,
        Some(id) => {
            let span = tracing::info_span!("call", request = id);
            Box::pin(answer(conn, &mut request).instrument(span)).await?;
        }
    }
    drop(request);
    if conn.leftovers.is_empty() { Ok(()) } else { Box::pin(leftovers::close_leftovers(conn)).await }
}

/// Reads the rest of a request, and answers it.
async fn answer<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<(), End> {
    if !request.is_complete() {
        Box::pin(conn.client.fill(request, &conn.shared.settings, &conn.shared.replay)).await?;
    }
    conn.count.begin(request.method());
    // No `match`: what was judged would be held until the call is over.
    let outcome = if let Some(mistyped) = request.mistyped() {
        Box::pin(refuse_mistyped(conn, request, &mistyped)).await?
    } else if let Err(why) = delegation::judge(conn, request) {
        Box::pin(locate_or_refuse(conn, request, why)).await?
    } else {
        carry_out(conn, request).await?
    };
    conn.count.end(outcome);
    conn.in_use = None;
    Ok(())
}

/// Refuses a call of a client for whom the router speaks; but if it names a session that nobody knows, that is
/// looked for first.
async fn locate_or_refuse<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    mut why: NotAllowed,
) -> Result<CallOutcome, End> {
    if matches!(why, NotAllowed::Handle(_)) && locate::locate_session(conn, request).await? {
        match delegation::judge(conn, request) {
            Ok(()) => return carry_out(conn, request).await,
            Err(still) => why = still,
        }
    }
    delegation::refuse(conn, request, &why).await
}

/// Goes on for whoever a request's head names.
fn be_for<S: Stream>(conn: &mut Conn<S>, request: &mut Request, over_http: OverHttp) {
    let named = own_cookie::named(conn, &over_http.head);
    conn.links.be_for(&over_http.head, named, &conn.shared.credential_key);
    request.over_http = Some(over_http);
}

/// Does the same where the router judges tickets itself. Returns whether the client may go on; if not, it was told
/// so.
async fn is_let_in<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    over_http: OverHttp,
    delegation: &Delegation,
) -> Result<bool, End> {
    let head = Arc::clone(&over_http.head);
    request.over_http = Some(over_http);
    match negotiate::be_for(conn, &head, delegation).await {
        Ok(()) => Ok(true),
        Err(refusal) => refuse::pass_on(conn, request, refusal).await.map(|_| false),
    }
}

/// Where a call goes, and how that is known.
enum Decided {
    /// From the table.
    Known(Plan),
    /// From the coordinators that were asked.
    Located(Plan),
}

/// Where a call goes, or the outcome if it was answered already.
enum Planned {
    Goes(Plan),
    /// The client was answered.
    Answered(CallOutcome),
}

async fn carry_out<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<CallOutcome, End> {
    let mut under_way = None;
    if request.method().role.begins_something() {
        under_way = conn.fleet.pause.enter();
        // Before its session is held: a pause may be long.
        if under_way.is_none() {
            match Box::pin(paused::until_resumed(conn, request)).await? {
                Waited::Goes(entered) => under_way = Some(entered),
                Waited::Refused(outcome) => return Ok(outcome),
            }
        }
    }
    let plan = match plan(conn, request).await? {
        Planned::Goes(plan) => plan,
        Planned::Answered(outcome) => return Ok(outcome),
    };
    let service = conn.past.service;
    tracing::trace!(method = request.method().name, ?plan, "call");
    let leftovers = leftovers::of_closed_session(conn, request);
    let outcome = match plan {
        Plan::Open => Box::pin(open::open_session(conn, request)).await,
        Plan::OpenBeeswax => Box::pin(open_beeswax::open_beeswax(conn, request)).await,
        // The lookup, if there was one, is over by now.
        Plan::Any | Plan::Locate(_) => Box::pin(forward_anywhere(conn, request, service)).await,
        Plan::Owner { coordinator, .. } => match conn.fleet.cluster.coordinator(coordinator) {
            Some(coordinator) => forward::forward(conn, request, coordinator, service).await,
            None => Box::pin(forward::forward_from_removed(conn, request, coordinator, service)).await,
        },
    }?;
    drop(under_way);
    if outcome == CallOutcome::Reply
        && let Some(leftovers) = leftovers
    {
        conn.leftovers.extend(leftovers);
    }
    Ok(outcome)
}

/// Answers a request that its coordinator would see end elsewhere; not a byte of it is sent.
async fn refuse_mistyped<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    mistyped: &BadInput,
) -> Result<CallOutcome, End> {
    let service = service(request.method(), request.facts(), &conn.past);
    let answer = NoAnswer::bad_request(conn.id, mistyped);
    refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
}

/// Decides where a call goes and what its link is for; holds the session there while the call is under way.
async fn plan<S: Stream>(conn: &mut Conn<S>, request: &mut Request) -> Result<Planned, End> {
    let method = request.method();
    forget_lost_beeswax(conn);
    // A coordinator with the service may have been added since.
    conn.past.has_beeswax = conn.fleet.cluster.serves(Service::Beeswax);
    let decided = match decide(method, request.facts(), &conn.past, &conn.fleet.table) {
        Plan::Locate(question) => {
            // Boxed: few calls need to locate.
            let located = Box::pin(locate::locate_owner(conn, question, method, request.facts()));
            match located.await? {
                Located::Goes(plan) => Decided::Located(plan),
                Located::Refused(refusal) => {
                    let told = Box::pin(refuse::pass_on(conn, request, *refusal));
                    return Ok(Planned::Answered(told.await?));
                }
            }
        }
        plan => Decided::Known(plan),
    };
    if let Err(ended) = expired::use_session(conn, request)
        && let Some(told) = Box::pin(expired::tell_over(conn, request, &ended)).await?
    {
        return Ok(Planned::Answered(told));
    }
    if !moving::hold_now(conn, request)
        && let Some(refused) = Box::pin(moving::hold_in_time(conn, request)).await?
    {
        return Ok(Planned::Answered(refused));
    }
    let service = service(method, request.facts(), &conn.past);
    let plan = match decided {
        Decided::Known(_) if session_of(method, request.facts()).is_some() => {
            // Decided again, because the session may have moved while the call waited.
            let past = Past { locates: false, ..conn.past };
            decide(method, request.facts(), &past, &conn.fleet.table)
        }
        Decided::Located(plan) | Decided::Known(plan) => plan,
    };
    // The links that are reserved for cancels are not for a call that its coordinator may never answer.
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
    Ok(Planned::Goes(plan))
}

/// Returns the question to ask again if the call's coordinator does not have what the call names. Only a
/// handle that was located can turn out to be wrong like that.
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

/// Forgets a lost Beeswax session, which ends with its link, if its coordinator takes no sessions now: the
/// next session must not begin there just because the last one was there.
fn forget_lost_beeswax<S: Stream>(conn: &mut Conn<S>) {
    let Some(coordinator) = conn.past.beeswax else { return };
    let owner = conn.fleet.cluster.coordinator(coordinator);
    if owner.is_some_and(|owner| owner.is_wanted()) {
        return;
    }
    conn.links.drop_closed();
    if !conn.links.has(coordinator, Service::Beeswax) {
        conn.past.beeswax = None;
    }
}

/// Waits for the first bytes of the next request, or for the end of the connection; none if bytes are
/// pending. Nothing that an idle connection waits for interrupts a request that has begun, which has a
/// deadline of its own.
async fn next_bytes<S: Stream>(conn: &mut Conn<S>) -> Result<Option<Chunk>, End> {
    while !conn.client.has_pending() {
        // If the router closed a connection with unread bytes, that would be a reset, and a call that was
        // already sent would be lost.
        let is_done = conn.open.is_empty() || conn.client.asks_each_time();
        let leave = conn.leaving && is_done && !conn.client.has_unread();
        tokio::select! {
            biased;
            read = conn.client.read() => {
                let chunk = read?;
                return if chunk.is_empty() { Err(End::ClientClosed) } else { Ok(Some(chunk)) };
            }
            () = ready(()), if leave => return Err(End::RouterShutdown),
            () = conn.listed.signals.received_besides(Signal::Drain), if !conn.leaving => {
                conn.leaving = true;
                conn.look_in(DRAIN_LOOK_INTERVAL);
            }
            () = conn.listed.signals.received_besides(Signal::Look) => {
                conn.listed.signals.clear(Signal::Look);
                Box::pin(leaving::leave_coordinators(conn)).await?;
            }
            // Links and timer share a branch: each branch costs something in every call.
            () = poll_fn(|cx| {
                conn.links.drop_ended(cx);
                conn.look.poll_rings(cx)
            }) => {
                // Boxed: an idle connection must not hold what this needs.
                Box::pin(keepalive::look_after_sessions(conn)).await;
            }
        }
    }
    Ok(None)
}

/// Forwards a call that names nothing known to any coordinator, so that the client gets the coordinator's own
/// error.
async fn forward_anywhere<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
    service: Service,
) -> Result<CallOutcome, End> {
    if let Some(coordinator) = best_coordinator(conn, service) {
        return forward::forward(conn, request, coordinator, service).await;
    }
    let answer = NoAnswer::nowhere(conn.id, &conn.fleet.cluster.name, conn.fleet.cluster.why_nobody());
    refuse::refuse(conn, request, service, &answer, CallOutcome::Refused).await
}

/// Picks the best coordinator, if possible one with room for a call.
fn best_coordinator<S: Stream>(conn: &Conn<S>, service: Service) -> Option<Arc<Coordinator>> {
    let has_room = |one: &Coordinator| conn.links.has_room(one, service, conn.client.address());
    let picked = conn.fleet.pick(&Wanted { service, demand: None, tried: &[], has_room: &has_room });
    let picked = picked.or_else(|_| conn.fleet.pick(&Wanted::anywhere_but(&[], service)));
    // The open was counted only for the moment of the pick: no session comes of it.
    Some(Arc::clone(picked.ok()?.coordinator()))
}
