//! Asks one coordinator to open a session. The reply is held until it is whole. It may take minutes where an
//! engine is started for the session, so the wait ends only after `open_timeout`, or when nothing on the
//! coordinator's port is answered any more. An open that was given up may still open a session, of which no
//! client has the handle; the router closes it in the background when the reply comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use crate::metrics::{Direction, SessionOutcome};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::outcome::{Answered, Body, Trouble};
use crate::serve::call::{braking, sending};
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::own_call::{self, OwnCall};
use crate::serve::link::read_reply::read_reply;
use crate::serve::link::unanswered::{Patience, Unanswered};
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;
use crate::serve::shared::Shared;
use crate::session::retry::Phase;
use crate::wire::facts::{Guid, GuidText};

/// How long to wait for the reply to an open that was given up. Impala opens a session within milliseconds
/// once a thread serves the link; a link that has had no thread for this long is not about to get one.
const LATE: Patience = Patience { contested: Duration::from_secs(1), longest: Duration::from_mins(10) };

/// An open that was sent, or is being sent, to a coordinator.
struct Asked<S: Stream> {
    link: Box<Link<S>>,
    reply: Box<Reply>,
    held: Body,
    /// Whether the whole request was written.
    is_sent: bool,
    /// Whether nothing followed the reply.
    is_clean: bool,
}

/// Sends an open to a coordinator and waits for the whole answer, at most until the deadline.
pub(crate) async fn ask<S: Stream>(
    conn: &mut Conn<S>,
    link: Box<Link<S>>,
    request: &mut Request,
    deadline: Instant,
) -> Result<Answered<S>, Trouble> {
    let is_new = !link.slot.is_answered();
    let asked = ask_on(conn, link, request, deadline).await;
    braking::note_use(conn, is_new, &asked);
    asked
}

async fn ask_on<S: Stream>(
    conn: &mut Conn<S>,
    link: Box<Link<S>>,
    request: &mut Request,
    deadline: Instant,
) -> Result<Answered<S>, Trouble> {
    let (port, speaks) = (Arc::clone(&link.slot.port), link.end.speaks());
    let reply = Reply::boxed(request.method(), request.facts());
    let held = Body::nothing(conn.client.form(&link.end));
    let mut asked = Asked { link, reply, held, is_sent: false, is_clean: true };
    let answer = port.watch.answer(speaks, await_answer(conn, &mut asked, request));
    let answer = timeout_at(deadline.into(), answer).await;
    let given_up = |phase, cause| Trouble::Link(Lost { phase, client_has_some: false, cause });
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(silent)) => Err(given_up(Phase::Waiting, silent.into())),
        Err(_elapsed) => {
            let cause = LostCause::OpenTimedOut(conn.shared.settings.open_timeout);
            Err(given_up(Phase::OutOfTime, cause))
        }
    };
    if let Err(trouble) = answer {
        if asked.is_sent && leaves_link(&trouble) {
            let Asked { link, reply, is_clean, .. } = asked;
            let late = Late { link, reply, is_clean };
            late.close_when_it_comes(&conn.shared, &conn.fleet);
        }
        return Err(trouble);
    }
    let Asked { link, reply, held, is_clean, .. } = asked;
    // Unrequested bytes would be taken for the next reply.
    let link = is_clean.then_some(link);
    let verdict = conn.verdict(request.method(), reply.facts());
    Ok(Answered { reply, verdict, bytes: held, link })
}

async fn await_answer<S: Stream>(
    conn: &mut Conn<S>,
    asked: &mut Asked<S>,
    request: &mut Request,
) -> Result<(), Trouble> {
    let sent = sending::send_piece(conn, &mut asked.link, request, Phase::NothingWritten).await;
    if let Some((reply, bytes)) = sending::send_rest(conn, &mut asked.link, request, sent).await? {
        (asked.reply, asked.held, asked.is_clean) = (reply, bytes, false);
        return Ok(());
    }
    asked.is_sent = true;
    let Asked { link, reply, held, is_clean, .. } = asked;
    let read = tokio::select! {
        biased;
        read = read_reply(link, reply, held.form, |piece, taken| {
            *is_clean = taken.clean || !taken.done;
            conn.shared.metrics.bytes.add(Direction::ToClient, piece.len() as u64);
            held.hold(piece, &conn.shared.replay)
        }) => read,
        () = conn.client.gone() => return Err(End::client_gone().into()),
        never = conn.links.ends(), if conn.links.are_idle() => match never {},
    };
    if asked.reply.is_done() {
        asked.is_clean &= request.leaves_fit(asked.link.slot.port.shares, asked.reply.facts());
    }
    read.map(drop).map_err(|cause| {
        let phase = asked.reply.phase();
        Trouble::Link(Lost { phase, client_has_some: false, cause })
    })
}

/// Returns whether a reply may still come on the link.
fn leaves_link(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Client(_) => true,
        Trouble::Link(lost) => {
            use LostCause::{NoRoom, OpenTimedOut, Silent, TooLarge};
            matches!(lost.cause, OpenTimedOut(_) | Silent(_) | TooLarge | NoRoom)
        }
    }
}

/// An open that was given up, on a link that no other call will use.
struct Late<S: Stream> {
    link: Box<Link<S>>,
    reply: Box<Reply>,
    /// Whether nothing followed the reply, if that has ended.
    is_clean: bool,
}

impl<S: Stream> Late<S> {
    /// Waits in the background for the reply, and closes the session that it opened. If too many such opens
    /// wait already, the link is closed at once, and the coordinator's own timeouts end the session.
    fn close_when_it_comes(self, shared: &Arc<Shared<S>>, fleet: &Arc<Fleet<S>>) {
        let Ok(permit) = Arc::clone(&shared.late_opens).try_acquire_owned() else { return };
        shared.detached.spawn(self.watch(permit, Arc::clone(shared), Arc::clone(fleet)));
    }

    async fn watch(self, _permit: OwnedSemaphorePermit, shared: Arc<Shared<S>>, fleet: Arc<Fleet<S>>) {
        let coordinator = Arc::clone(&self.link.coordinator);
        // No client waits for this link any more, so its slot goes to the next call that waits for one.
        let unanswered = Unanswered::begin(&self.link.slot.port.unanswered, LATE);
        let stall = shared.settings.stall_timeout;
        let session = tokio::select! {
            biased;
            () = shared.cut.cancelled() => return,
            _ = unanswered.broken_off() => return,
            closed = self.close(stall) => closed,
        };
        if let Some(session) = session {
            if let Some(counters) = fleet.counters(coordinator.id) {
                counters.sessions.count(SessionOutcome::Late);
            }
            if let Some(left_out) = shared.admit_line("a session came after its open was given up", "") {
                let session = GuidText(session);
                tracing::info!(coordinator = %coordinator.name, %session, left_out, "a session came after its open was given up, and was closed");
            }
        }
    }

    /// Reads the reply to its end and closes the session that it opened, if any; returns the session's guid.
    /// If the link is not clean then, no call may be sent on it: it is closed, and the coordinator's own
    /// timeouts end the session.
    async fn close(mut self, stall: Duration) -> Option<Guid> {
        if !self.reply.is_done() {
            self.is_clean =
                read_reply(&mut self.link, &mut self.reply, Form::Payload, |_, _| Ok(())).await.ok()?;
        }
        if self.link.slot.port.is_closed() {
            return None;
        }
        if !self.is_clean || self.reply.phase() != Phase::ReplySucceeds {
            return None;
        }
        let session = self.reply.facts().handle()?;
        // The answer does not matter, but if the link were closed before it came, the call might be lost.
        match own_call::ask(self.link, &OwnCall::Close(session).message(), stall).await {
            Ok(_) | Err(LostCause::BadReply(_)) => Some(session.guid),
            Err(_) => None,
        }
    }
}
