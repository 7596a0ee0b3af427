//! One exchange: sends a request on a link, awaits the reply, and relays it while scanning for its end.

use tokio::time::sleep;

use crate::clock;
use crate::cluster::{Coordinator, RunningCount};
use crate::metrics::{CallOutcome, Direction};
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::incoming::Incoming;
use crate::serve::call::outcome::{Answered, Body, Deliver, Trouble};
use crate::serve::call::sending;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::link::read_reply::read_out;
use crate::serve::message::coding::{Follows, Form};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::serve::settings::UNSURE_FOR;
use crate::session::learn::{Call, learn};
use crate::session::retry::Phase;
use crate::wire::facts::Facts;
use crate::wire::method::Role;
use crate::wire::verdict::Verdict;

/// Sends a request on a link and awaits the reply. The link comes back with the answer if it is fit for
/// another call.
pub(crate) async fn exchange<S: Stream>(
    conn: &mut Conn<S>,
    mut link: Box<Link<S>>,
    request: &mut Request,
    deliver: Deliver,
) -> Result<Answered<S>, Trouble> {
    if !request.ends_for_sure() {
        link.made.note_doubt();
    }
    // A statement counts as running from the moment it is sent.
    let statement = request.method().role == Role::Statement;
    let mut running = statement.then(|| link.coordinator.count_running());
    let sent = sending::send_piece(conn, &mut link, request, Phase::NothingWritten).await;
    if sent.is_err() || !request.is_complete() {
        // Boxed: few requests are so large, but every call would need room for this.
        if let Some((reply, bytes)) = Box::pin(sending::send_rest(conn, &mut link, request, sent)).await? {
            let verdict = note_reply(conn, &link, request, reply.facts(), running);
            return Ok(Answered { reply, verdict, bytes, link: None });
        }
    }
    let form = conn.client.form(&link.end);
    let mut begun = None;
    loop {
        let read = if request.ends_for_sure() {
            await_reply(conn, &mut link).await
        } else {
            // Boxed: hardly any call waits here.
            Box::pin(await_doubtful(conn, &mut link)).await
        };
        let received = match read {
            Ok(read) => {
                // Created only when the reply begins, so that a call that waits occupies less of the
                // processor's cache.
                let incoming = begun.get_or_insert_with(|| Incoming::to(request, form, deliver));
                receive(conn, read, (&mut link, request), incoming, &mut running)?
            }
            Err(end) => return Err(leave(conn, link, request, (begun, deliver), end)),
        };
        if let Some(chunk) = &received {
            let follows = begun.as_ref().map_or(Follows::More, Incoming::follows);
            let sent = match begun.as_mut().and_then(Incoming::take_held) {
                None => conn.deliver_piece(chunk, form, follows).await,
                // Boxed: few replies that were held are delivered before they end.
                Some(held) => Box::pin(send_both(conn, held, chunk, follows)).await,
            };
            if let Err(end) = sent {
                return Err(leave(conn, link, request, (begun, deliver), end));
            }
        }
        if let Some(Incoming { verdict: Some(verdict), .. }) = begun
            && let Some(Incoming { reply, bytes, leaves_fit, .. }) = begun.take()
        {
            return Ok(Answered { reply, verdict, bytes, link: leaves_fit.then_some(link) });
        }
    }
}

/// Takes the bytes of a reply that have come; returns those that the client gets at once.
fn receive<S: Stream>(
    conn: &Conn<S>,
    read: Result<Chunk, LostCause>,
    (link, request): (&mut Link<S>, &Request),
    incoming: &mut Incoming,
    running: &mut Option<RunningCount>,
) -> Result<Option<Chunk>, Trouble> {
    let mut chunk = read.map_err(|cause| incoming.lost(cause))?;
    incoming.take(&mut chunk, request, link)?;
    conn.shared.metrics.bytes.add(Direction::ToClient, chunk.len() as u64);
    let done = incoming.reply.is_done();
    if done {
        // This happens before the client has the last byte, because it may then use a handle on another
        // connection at once.
        let verdict = note_reply(conn, link, request, incoming.reply.facts(), running.take());
        incoming.verdict = Some(verdict);
    }
    if !incoming.waits(&chunk) {
        incoming.client_has_some = true;
        return Ok(Some(chunk));
    }
    if done && incoming.bytes.is_empty() {
        incoming.bytes = Body::piece(chunk, incoming.bytes.form);
    } else {
        incoming.bytes.hold(&chunk, &conn.shared.replay).map_err(|cause| incoming.lost(cause))?;
    }
    Ok(None)
}

/// Sends the held head of the reply, and then the chunk.
async fn send_both<S: Stream>(
    conn: &mut Conn<S>,
    held: Body,
    chunk: &[u8],
    follows: Follows,
) -> Result<(), End> {
    conn.deliver_piece(&held, held.form, Follows::More).await?;
    conn.deliver_piece(chunk, held.form, follows).await
}

/// Ends an exchange whose client is gone, or as good as gone, before it has all of its reply. A link that
/// others share is kept: the rest of the reply is read in the background.
fn leave<S: Stream>(
    conn: &mut Conn<S>,
    link: Box<Link<S>>,
    request: &Request,
    (begun, deliver): (Option<Incoming>, Deliver),
    end: End,
) -> Trouble {
    let incoming = begun.unwrap_or_else(|| Incoming::to(request, Form::Payload, deliver));
    // Links are shared where there is upkeep.
    let upkeep = conn.fleet.room.upkeep.filter(|_| link.slot.port.shares);
    if incoming.reply.is_done() {
        if incoming.leaves_fit {
            conn.links.put(link);
        }
    } else if let Some(upkeep) = upkeep
        && request.is_complete()
        && request.ends_for_sure()
    {
        conn.shared.detached.spawn(read_out(
            link,
            incoming.reply,
            upkeep.client_lost_grace,
            conn.shared.cut.clone(),
        ));
    }
    end.into()
}

/// Waits for bytes of the reply, for as long as both sides live. A client that is gone is noticed; a client
/// that has only finished sending gets its reply.
pub(crate) async fn await_reply<S: Stream>(
    conn: &mut Conn<S>,
    link: &mut Link<S>,
) -> Result<Result<Chunk, LostCause>, End> {
    tokio::select! {
        biased;
        read = link.read() => Ok(read),
        () = conn.client.gone() => Err(End::client_gone()),
        never = conn.links.ends(), if conn.links.are_idle() => match never {},
    }
}

/// Does what [`await_reply`] does, for a request that the coordinator may not see as a whole one. In that
/// case no reply will come, and the wait ends after [`UNSURE_FOR`], or as soon as the client has finished
/// sending, because then it cannot send the rest. So no other call waits longer for the link.
async fn await_doubtful<S: Stream>(
    conn: &mut Conn<S>,
    link: &mut Link<S>,
) -> Result<Result<Chunk, LostCause>, End> {
    tokio::select! {
        biased;
        read = link.read() => Ok(read),
        () = conn.client.closed() => Err(End::client_gone()),
        never = conn.links.ends(), if conn.links.are_idle() => match never {},
        () = sleep(UNSURE_FOR) => Ok(Err(LostCause::Unanswered)),
    }
}

/// Judges the reply of a call, which happens only here, and updates the table from it.
fn note_reply<S: Stream>(
    conn: &Conn<S>,
    link: &Link<S>,
    request: &Request,
    reply: &Facts,
    running: Option<RunningCount>,
) -> Verdict {
    let verdict = conn.verdict(request.method(), reply);
    if request.own {
        // A handle in it may be a former one of a session that has moved.
        return verdict;
    }
    let call = Call {
        method: request.method(),
        request: request.facts(),
        verdict,
        coordinator: &link.coordinator,
        connection_session: link.session.as_ref().map(|session| session.guid),
        open: &conn.open,
        in_doubt: link.made.is_in_doubt(),
        effect: &request.effect,
        now: clock::now(),
    };
    learn(&call, reply, running, conn.fleet.cluster.flavor, &conn.fleet.table);
    verdict
}

/// Puts the link back, and notes which coordinator answered last and whether it takes work.
pub(crate) fn finish<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Coordinator,
    answered: Answered<S>,
) -> CallOutcome {
    conn.past.last = Some(coordinator.id);
    if answered.verdict == Verdict::ShuttingDown {
        // Otherwise the coordinator, whose sessions leave it, would look like the least loaded to the clients
        // that come back.
        conn.fleet.note_shutting_down(coordinator);
    }
    let outcome = answered.outcome();
    if let Some(link) = answered.link {
        conn.links.put(link);
    }
    answered.reply.recycle();
    outcome
}
