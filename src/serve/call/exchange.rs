//! One request over one link, and its reply back: sent, awaited, relayed while it is scanned for its end.

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
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::serve::settings::UNSURE_FOR;
use crate::session::learn::{Call, learn};
use crate::session::retry::Phase;
use crate::wire::facts::Facts;
use crate::wire::method::{Method, Role};
use crate::wire::verdict::{Verdict, succeeded};

/// Sends a request on a link and awaits its reply. The link comes back with the answer if it is fit for another call.
pub(crate) async fn exchange<S: Stream>(
    conn: &mut Conn<S>,
    mut link: Box<Link<S>>,
    request: &mut Request,
    deliver: Deliver,
) -> Result<Answered<S>, Trouble> {
    if !request.ends_for_sure() {
        link.made.note_doubt();
    }
    // A statement runs from the moment that it is sent.
    let statement = request.method().role == Role::Statement;
    let mut running = statement.then(|| link.coordinator.count_running());
    let sent = sending::send_piece(conn, &mut link, request, Phase::NothingWritten).await;
    if sent.is_err() || !request.complete {
        // Boxed: few requests are so large, and all would hold what it takes.
        if let Some((reply, bytes)) = Box::pin(sending::send_rest(conn, &mut link, request, sent)).await? {
            note_reply(conn, &link, request, reply.facts(), running);
            return Ok(Answered { reply, bytes, link: None });
        }
    }
    let form = conn.client.form(&link.end);
    let mut begun = None;
    loop {
        let read = if request.ends_for_sure() {
            await_reply(conn, &mut link).await
        } else {
            // Boxed: hardly any call waits for this.
            Box::pin(await_doubtful(conn, &mut link)).await
        };
        let received = match read {
            Ok(read) => {
                // Made when it begins: between a request and its reply others have the processor's cache.
                let incoming = begun.get_or_insert_with(|| Incoming::to(request, form, deliver));
                receive(conn, read, (&mut link, request), incoming, &mut running)?
            }
            Err(end) => return Err(leave(conn, link, request, (begun, deliver), end)),
        };
        if let Some(chunk) = &received {
            let sent = match begun.as_mut().and_then(Incoming::take_held) {
                None => conn.deliver(chunk, form).await,
                // Boxed: few replies that were held are delivered before their end.
                Some(held) => Box::pin(send_both(conn, held, chunk)).await,
            };
            if let Err(end) = sent {
                return Err(leave(conn, link, request, (begun, deliver), end));
            }
        }
        if let Some(incoming) = begun.take_if(|incoming| incoming.reply.is_done()) {
            let Incoming { reply, bytes, leaves_fit, .. } = incoming;
            return Ok(Answered { reply, bytes, link: leaves_fit.then_some(link) });
        }
    }
}

/// Takes in what came of a reply; returns what of it the client is to have at once.
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
        // Before the client has the last byte: it may use a handle on another connection at once.
        note_reply(conn, link, request, incoming.reply.facts(), running.take());
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

/// What was held of the reply's head goes first.
async fn send_both<S: Stream>(conn: &mut Conn<S>, held: Body, chunk: &[u8]) -> Result<(), End> {
    conn.deliver(&held, held.form).await?;
    conn.deliver(chunk, held.form).await
}

/// The client is gone, or as good as gone, before it has all of its reply: a link that others share is not lost with it.
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
        && request.complete
        && request.ends_for_sure()
    {
        tokio::spawn(read_out(link, incoming.reply, upkeep.client_lost_grace, conn.shared.cut.clone()));
    }
    end.into()
}

/// Waits for bytes of the reply: for as long as it takes, while both sides live. A client that is gone is noticed; one
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

/// As [`await_reply`], for a request that its coordinator may not take for a whole one: then no reply will come, and
/// a client that sent the rest would have to be there to do so. Nobody else needs to wait for its link for that long.
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

fn note_reply<S: Stream>(
    conn: &Conn<S>,
    link: &Link<S>,
    request: &Request,
    reply: &Facts,
    running: Option<RunningCount>,
) {
    if request.own {
        // A handle in it may be a former one of a session that goes on elsewhere.
        return;
    }
    let call = Call {
        method: request.method(),
        request: request.facts(),
        coordinator: &link.coordinator,
        connection_session: link.session.as_ref().map(|session| session.guid),
        open: &conn.open,
        in_doubt: link.made.is_in_doubt(),
        effect: &request.effect,
        now: clock::now(),
    };
    learn(&call, reply, running, conn.fleet.cluster.flavor, &conn.fleet.table);
}

/// Puts the link back and notes where the connection was last, and whether its coordinator takes work.
pub(crate) fn finish<S: Stream>(
    conn: &mut Conn<S>,
    method: &Method,
    coordinator: &Coordinator,
    answered: Answered<S>,
) -> CallOutcome {
    conn.past.last = Some(coordinator.id);
    if conn.verdict(method, answered.reply.facts()) == Verdict::ShuttingDown {
        // Else the coordinator whose sessions leave it would look like the least loaded to the clients that come back.
        conn.fleet.note_shutting_down(coordinator);
    }
    if let Some(link) = answered.link {
        conn.links.put(link);
    }
    let outcome = outcome(method, answered.reply.facts());
    answered.reply.recycle();
    outcome
}

/// What a reply counts as.
fn outcome(method: &Method, reply: &Facts) -> CallOutcome {
    match succeeded(method, reply) {
        true => CallOutcome::Reply,
        false if reply.is_exception() => CallOutcome::Exception,
        false => CallOutcome::ErrorStatus,
    }
}
