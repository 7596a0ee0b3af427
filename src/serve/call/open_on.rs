//! Asks one coordinator to open a session. The reply is held until it is whole. It may take minutes where an
//! engine is started for the session, so the wait ends only after `open_timeout`, or when nothing on the
//! coordinator's port is answered any more. An open that was given up may still open a session, of which no
//! client has the handle; the router closes it in the background when the reply comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use crate::metrics::SessionOutcome;
use crate::net::stream::Stream;
use crate::serve::call::braking;
use crate::serve::call::conn::Conn;
use crate::serve::call::exchange::Exchange;
use crate::serve::call::incoming::Incoming;
use crate::serve::call::outcome::{Answered, Deliver, Trouble};
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::link::own_call::{self, OwnCall};
use crate::serve::link::read_reply::read_reply;
use crate::serve::link::unanswered::{Patience, Unanswered};
use crate::serve::message::coding::Form;
use crate::serve::message::reply::Reply;
use crate::serve::message::request::Request;
use crate::serve::shared::Shared;
use crate::session::retry::Phase;
use crate::wire::facts::{Guid, GuidText};

/// How long to wait for the reply to an open that was given up. Impala opens a session within milliseconds
/// once a thread serves the link; a link that has had no thread for this long is not about to get one.
const LATE: Patience = Patience { contested: Duration::from_secs(1), longest: Duration::from_mins(10) };

/// Sends an open to a coordinator and waits for the whole answer, at most until the deadline.
pub(crate) async fn ask<S: Stream>(
    conn: &mut Conn<S>,
    link: Box<Link<S>>,
    request: &mut Request,
    deadline: Instant,
) -> Result<Answered<S>, Trouble> {
    let (coordinator, is_new) = (link.coordinator.id, !link.slot.is_answered());
    let asked = ask_on(conn, link, request, deadline).await;
    braking::note_use(conn, is_new, &asked);
    if let Err(trouble) = &asked {
        conn.note_trouble(trouble, coordinator);
    }
    asked
}

async fn ask_on<S: Stream>(
    conn: &mut Conn<S>,
    link: Box<Link<S>>,
    request: &mut Request,
    deadline: Instant,
) -> Result<Answered<S>, Trouble> {
    let (port, speaks) = (Arc::clone(&link.slot.port), link.end.speaks());
    let mut exchange = Exchange::on(link, Deliver::WhenWhole);
    let answer = port.watch.answer(speaks, exchange.run(conn, request));
    let answer = timeout_at(deadline.into(), answer).await;
    let given_up = |phase, cause| Trouble::Link(Lost { phase, client_has_some: false, cause });
    let trouble = match answer {
        Ok(Ok(Ok(verdict))) => return Ok(exchange.answered(request, verdict)),
        Ok(Ok(Err(trouble))) => trouble,
        Ok(Err(silent)) => given_up(Phase::Waiting, silent.into()),
        Err(_elapsed) => {
            let cause = LostCause::OpenTimedOut(conn.shared.settings.open_timeout);
            given_up(Phase::OutOfTime, cause)
        }
    };
    if exchange.is_sent && leaves_link(&trouble) {
        let (link, Incoming { reply, leaves_fit, .. }) = exchange.into_parts(request);
        let late = Late { link, reply, is_clean: leaves_fit };
        late.close_when_it_comes(&conn.shared, &conn.fleet);
    }
    Err(trouble)
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
                read_reply(&mut self.link, &mut self.reply, Form::Payload, |_| Ok(())).await.ok()?;
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
