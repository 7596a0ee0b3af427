//! One exchange: sends a request on a link, awaits the reply, and relays it while scanning for its end.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::time::sleep;

use crate::clock;
use crate::cluster::RunningCount;
use crate::metrics::{CallOutcome, Direction};
use crate::net::flow::Chunk;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::early_answer::{self, EarlyAnswer};
use crate::serve::call::incoming::Incoming;
use crate::serve::call::outcome::{Answered, Body, Deliver, Trouble};
use crate::serve::call::own_cookie;
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::read_reply::read_out;
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::coding::{Follows, Form};
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::request::Request;
use crate::serve::settings::UNSURE_FOR;
use crate::serve::threads::signals::{Signal, Signals};
use crate::session::learn::{Call, learn};
use crate::session::retry::Phase;
use crate::wire::facts::Facts;
use crate::wire::method::Role;
use crate::wire::verdict::Verdict;

/// A call that was answered. If its link is fit for another call, it was put back.
pub(crate) struct Finished {
    /// What the reply says about the call.
    pub verdict: Verdict,
    /// What the call counts as if the client gets this answer.
    pub outcome: CallOutcome,
    /// The bytes of the reply, unless they were delivered as they came.
    pub bytes: Body,
}

/// Sends a request on a link and awaits the reply. Puts the link back, and notes which coordinator answered
/// last and whether it takes work.
///
/// # Errors
/// [`Trouble::Link`], when the link is lost before the reply has ended; [`Trouble::Client`], when the
/// client's connection ends.
pub(crate) async fn exchange<S: Stream>(
    conn: &mut Conn<S>,
    link: Box<Link<S>>,
    request: &mut Request,
    deliver: Deliver,
) -> Result<Finished, Trouble> {
    let mut exchange = Exchange::on(link, deliver);
    match exchange.run(conn, request).await {
        Ok(verdict) => Ok(exchange.finish(conn, request, verdict)),
        Err(trouble) => {
            conn.note_trouble(&trouble, exchange.link.coordinator.id);
            if matches!(trouble, Trouble::Client(_)) {
                exchange.leave(conn, request);
            }
            Err(trouble)
        }
    }
}

/// A request that is sent on a link, and the reply as far as it has come.
pub(crate) struct Exchange<S: Stream> {
    link: Box<Link<S>>,
    deliver: Deliver,
    /// Counts a statement, which runs from the moment it is sent.
    running: Option<RunningCount>,
    /// Whether the whole request was written.
    pub(super) is_sent: bool,
    /// Created only when the reply begins, so that a call that waits occupies less of the processor's cache.
    incoming: Option<Incoming>,
}

impl<S: Stream> Exchange<S> {
    /// Creates an exchange of which nothing was sent yet.
    pub(crate) fn on(link: Box<Link<S>>, deliver: Deliver) -> Self {
        Self { link, deliver, running: None, is_sent: false, incoming: None }
    }

    /// Sends the request and awaits the whole reply; returns its verdict.
    ///
    /// # Errors
    /// The same as [`exchange`].
    pub(crate) async fn run(
        &mut self,
        conn: &mut Conn<S>,
        request: &mut Request,
    ) -> Result<Verdict, Trouble> {
        if !request.ends_for_sure() {
            self.link.life.note_doubt();
        }
        if request.method().role == Role::Statement {
            self.running = Some(self.link.coordinator.count_running());
        }
        match send_piece(conn, &mut self.link, request, Phase::NothingWritten).await {
            Ok(()) if request.is_complete() => {}
            // Boxed: few requests are so large, but every call would need room for this.
            sent => {
                if let Some(answered_early) = Box::pin(self.send_rest(conn, request, sent)).await? {
                    return Ok(answered_early);
                }
            }
        }
        self.is_sent = true;
        let form = conn.client.form(&self.link.end);
        loop {
            let read = if request.ends_for_sure() {
                await_reply(conn, &mut self.link).await
            } else {
                // Boxed: hardly any call waits here.
                Box::pin(await_doubtful(conn, &mut self.link)).await
            };
            let received = self.receive(conn, request, form, read?)?;
            let Some(incoming) = &mut self.incoming else { continue };
            if let Some(chunk) = &received {
                match incoming.take_held() {
                    None => conn.deliver_piece(chunk.into(), form, incoming.follows()).await?,
                    // Boxed: few replies that were held are delivered before they end.
                    Some(held) => Box::pin(send_both(conn, held, chunk, incoming.follows())).await?,
                }
            }
            if let Some(verdict) = incoming.verdict {
                return Ok(verdict);
            }
        }
    }

    /// Sends the rest of a request piece by piece; `sent` is the result of sending the held part. Returns
    /// none if all was sent. If only a part could be written, takes the reply that the coordinator sent
    /// nevertheless, and returns its verdict.
    async fn send_rest(
        &mut self,
        conn: &mut Conn<S>,
        request: &mut Request,
        mut sent: Result<(), Trouble>,
    ) -> Result<Option<Verdict>, Trouble> {
        let form = conn.client.form(&self.link.end);
        while sent.is_ok() && !request.is_complete() {
            conn.client.next_piece(request, form, &conn.shared.settings).await?;
            if let Some(mistyped) = request.mistyped() {
                return Err(End::from(mistyped).into());
            }
            sent = send_piece(conn, &mut self.link, request, Phase::Waiting).await;
        }
        match sent {
            Ok(()) => Ok(None),
            Err(Trouble::Link(lost)) if lost.phase == Phase::Waiting => {
                let EarlyAnswer { reply, bytes } =
                    early_answer::read(conn, &mut self.link, request, lost).await?;
                let verdict = note_reply(conn, &self.link, request, reply.facts(), self.running.take());
                self.incoming = Some(Incoming::of(reply, bytes, self.deliver));
                Ok(Some(verdict))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Takes the bytes of a reply that have come; returns those that the client gets at once.
    fn receive(
        &mut self,
        conn: &mut Conn<S>,
        request: &Request,
        form: Form,
        read: Result<Chunk, LostCause>,
    ) -> Result<Option<Chunk>, Trouble> {
        let Self { link, running, deliver, .. } = self;
        own_cookie::note(conn, link);
        let incoming = self.incoming.get_or_insert_with(|| Incoming::to(request, form, *deliver));
        let mut chunk = read.map_err(|cause| incoming.lost(cause).of(request))?;
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

    /// Returns the answer, with the link if it is fit for another call. Call this when [`Self::run`] has
    /// returned the verdict.
    pub(crate) fn answered(self, request: &Request, verdict: Verdict) -> Answered<S> {
        let (link, Incoming { reply, bytes, leaves_fit, .. }) = self.into_parts(request);
        Answered { reply, verdict, bytes, link: leaves_fit.then_some(link) }
    }

    /// Returns the link, and the reply as far as it has come.
    pub(crate) fn into_parts(self, request: &Request) -> (Box<Link<S>>, Incoming) {
        let Self { link, deliver, incoming, .. } = self;
        (link, incoming.unwrap_or_else(|| Incoming::to(request, Form::Payload, deliver)))
    }

    /// Ends the exchange with its verdict.
    fn finish(self, conn: &mut Conn<S>, request: &Request, verdict: Verdict) -> Finished {
        let coordinator = &self.link.coordinator;
        conn.past.last = Some(coordinator.id);
        if verdict == Verdict::ShuttingDown {
            // Otherwise the coordinator, whose sessions leave it, would look like the least loaded to the
            // clients that come back.
            conn.fleet.note_shutting_down(coordinator);
        }
        let answered = self.answered(request, verdict);
        let outcome = answered.outcome();
        let Answered { bytes, link, .. } = answered;
        if let Some(link) = link {
            conn.links.put(link);
        }
        Finished { verdict, outcome, bytes }
    }

    /// Ends an exchange whose client is gone, or as good as gone, before it has all of its reply. A link that
    /// others share is kept: the rest of the reply is read in the background.
    fn leave(self, conn: &mut Conn<S>, request: &Request) {
        if !self.is_sent {
            return;
        }
        let (link, incoming) = self.into_parts(request);
        // Links are shared where there is upkeep.
        let upkeep = conn.fleet.room.upkeep.filter(|_| link.slot.port.shares);
        if incoming.reply.is_done() {
            if incoming.leaves_fit {
                conn.links.put(link);
            }
        } else if let Some(upkeep) = upkeep
            && request.ends_for_sure()
        {
            let (within, cut) = (upkeep.client_lost_grace, conn.shared.cut.clone());
            conn.shared.detached.spawn(read_out(link, incoming.reply, within, cut));
        }
    }
}

/// Sends the held bytes of a request; `before` says whether something of it was written before.
///
/// # Errors
/// [`Trouble::Link`], when the link broke; [`Trouble::Client`], when the request is not held whole and goes
/// to a coordinator that needs it in one frame.
async fn send_piece<S: Stream>(
    conn: &Conn<S>,
    link: &mut Link<S>,
    request: &mut Request,
    before: Phase,
) -> Result<(), Trouble> {
    let form = conn.client.form(&link.end);
    if !request.is_complete() && !link.end.takes_pieces(form) {
        return Err(End::from(BadInput::MessageSplit).into());
    }
    let sent =
        link.send(request, form, conn.shared.settings.stall_timeout).await.map_err(|(cause, written)| {
            let phase = if written == 0 { before } else { Phase::Waiting };
            Trouble::Link(Lost { phase, client_has_some: false, cause })
        })?;
    conn.shared.metrics.bytes.add(Direction::ToCoordinator, sent as u64);
    Ok(())
}

/// Sends the held head of the reply, and then the chunk.
async fn send_both<S: Stream>(
    conn: &mut Conn<S>,
    held: Body,
    chunk: &Chunk,
    follows: Follows,
) -> Result<(), End> {
    conn.deliver_piece((&held).into(), held.form, follows.behind(chunk.len())).await?;
    conn.deliver_piece(chunk.into(), held.form, follows).await
}

/// Waits for bytes of the reply, for as long as both sides live. A client that is gone is noticed; a client
/// that has only finished sending gets its reply.
async fn await_reply<S: Stream>(
    conn: &mut Conn<S>,
    link: &mut Link<S>,
) -> Result<Result<Chunk, LostCause>, End> {
    tokio::select! {
        biased;
        read = link.read() => Ok(read),
        () = gone(&conn.client, &conn.listed.signals) => Err(End::client_gone()),
        never = conn.links.ends(), if conn.links.are_idle() => match never {},
    }
}

/// Resolves when the client is gone, or as good as gone, because its connection is cut.
async fn gone<S: Stream>(client: &ClientEnd<S>, signals: &Signals) {
    let mut gone = pin!(client.gone());
    poll_fn(|cx| if signals.is_set(Signal::Cut) { Poll::Ready(()) } else { gone.as_mut().poll(cx) }).await;
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
        () = gone(&conn.client, &conn.listed.signals) => Err(End::client_gone()),
        never = conn.links.ends(), if conn.links.are_idle() => match never {},
        () = sleep(UNSURE_FOR) => Ok(Err(LostCause::Unanswered)),
    }
}

/// Judges the reply of a call, which happens only here, and updates the table from it.
fn note_reply<S: Stream>(
    conn: &mut Conn<S>,
    link: &Link<S>,
    request: &Request,
    reply: &Facts,
    running: Option<RunningCount>,
) -> Verdict {
    conn.links.note_answered(link.coordinator.id);
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
        in_doubt: link.life.is_in_doubt(),
        effect: &request.effect,
        now: clock::now(),
    };
    learn(&call, reply, running, conn.fleet.cluster.flavor, &conn.fleet.table);
    verdict
}
