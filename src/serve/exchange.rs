//! One request over one link, and its reply back: sent, awaited, relayed while it is scanned for its end.

use std::io;
use std::time::Duration;

use futures_util::{FutureExt, TryFutureExt};
use tokio::time::sleep;

use super::calls::Calls;
use super::end::End;
use super::incoming::{Body, Deliver, HeldBack, Incoming};
use super::link::Link;
use super::readout::read_out;
use super::reply::{BadReply, Reply};
use super::request::Request;
use super::shared::Held;
use super::watched::Silent;
use crate::clock;
use crate::cluster::RunningCount;
use crate::metrics::Direction;
use crate::net::flow::{self, Chunk, WriteError};
use crate::net::stream::Stream;
use crate::session::learn::{Call, learn};
use crate::session::retry::Phase;
use crate::wire::facts::Facts;
use crate::wire::method::Role;

/// A reply that is held until it is whole has this many bytes at most; Impala's to `OpenSession` has some 10 KiB.
const HELD_REPLY_LIMIT: usize = 1 << 20;
/// Bytes of it that are not counted as `replay_memory`: no open of a sound coordinator shall fail because others hold much, nor
/// a reply that could be delivered as it comes.
pub(super) const FREE_REPLY_BYTES: usize = 16 << 10;

/// How long an answer may take if it is not sure that the coordinator has seen the request's end. Nothing that is known takes
/// part in this but methods that the router does not know.
const UNSURE_FOR: Duration = Duration::from_mins(5);

/// How a link was lost.
#[derive(Debug)]
pub(super) struct Lost {
    /// How far the call had come.
    pub phase: Phase,
    /// Whether the client has some of the reply: then nothing else can be said to it.
    pub client_has_some: bool,
    /// What was seen.
    pub cause: LostCause,
}

/// What was seen of a link that was lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum LostCause {
    /// An orderly end at the wrong moment.
    #[error("it closed the connection")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// It stopped reading the request.
    #[error("it stopped reading the request: {0}")]
    Stalled(WriteError),
    /// It answered nonsense.
    #[error(transparent)]
    BadReply(#[from] BadReply),
    /// A reply that must be held is too large for that.
    #[error("its reply to an open has more than {HELD_REPLY_LIMIT} bytes")]
    TooLarge,
    /// A reply that must be held finds no room. Not the coordinator's fault.
    #[error("its reply to an open finds no room in replay_memory")]
    NoRoom,
    /// The session of the call was opened again elsewhere, without what the call has done to it.
    #[error("its session was opened again elsewhere in the meantime, perhaps without what the call does")]
    SessionMoved,
    /// It may still be waiting for the rest of the request.
    #[error(
        "nothing came within {UNSURE_FOR:?} in answer to a request of which the router cannot tell whether the coordinator takes it for \
         a whole one"
    )]
    Unanswered,
    /// An open took too long in all.
    #[error("no answer within {0:?} (open_timeout)")]
    OpenTimedOut(Duration),
    /// Nothing on its port is answered any more.
    #[error(transparent)]
    Silent(#[from] Silent),
}

impl LostCause {
    /// What it counts as where lines in the log are bounded.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
            Self::Stalled(_) => "stalled",
            Self::BadReply(BadReply::Foreign(speech)) => speech.as_str(),
            Self::BadReply(_) => "bad reply",
            Self::TooLarge => "too large",
            Self::NoRoom => "no room",
            Self::SessionMoved => "session moved",
            Self::Unanswered => "unanswered",
            Self::OpenTimedOut(_) => "open timed out",
            Self::Silent(_) => "silent",
        }
    }

    /// Whether the coordinator hung up, or is none at all.
    pub(super) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Closed | Self::Failed(_) | Self::BadReply(_))
    }

    /// Whether it may be the coordinator's doing. How long a reply is may be the client's: an open's options come back in it.
    pub(super) fn speaks_against_coordinator(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::NoRoom | Self::SessionMoved | Self::Unanswered)
    }
}

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The client's connection ends.
    Client(End),
    /// The link is lost.
    Link(Lost),
}

impl From<End> for Trouble {
    fn from(end: End) -> Self {
        Self::Client(end)
    }
}

/// A reply that has ended.
pub(super) struct Answered<S: Stream> {
    /// What was found in it stays where it was found: it is too much to be copied for each call.
    pub reply: Box<Reply>,
    /// All of it, unless it was delivered as it came.
    pub bytes: Body,
    /// The link, if it is fit for another call.
    pub link: Option<Box<Link<S>>>,
}

impl<S: Stream> Link<S> {
    /// The next bytes from its coordinator; notes if it is broken. Cancel-safe.
    ///
    /// # Errors
    /// Its coordinator, or what is between, has ended it.
    pub(super) fn read(&mut self) -> impl Future<Output = Result<Chunk, LostCause>> {
        let Self { stream, seat, .. } = self;
        flow::read(stream).map(|read| {
            let read = match read {
                Ok(chunk) if chunk.is_empty() => Err(LostCause::Closed),
                Ok(chunk) => Ok(chunk),
                Err(error) => Err(error.into()),
            };
            read.inspect_err(|_| seat.note_broken())
        })
    }

    /// Writes all of this within the time that its coordinator may stop reading; notes if it is broken.
    ///
    /// # Errors
    /// What went wrong, and how many bytes were written before.
    pub(super) fn write_all(
        &mut self,
        bytes: &[u8],
        stall: Duration,
    ) -> impl Future<Output = Result<(), (LostCause, usize)>> {
        let Self { stream, seat, .. } = self;
        flow::write_all(stream, bytes, stall).map_err(|(error, written)| match error {
            WriteError::Failed(error) => {
                seat.note_broken();
                (LostCause::Failed(error), written)
            }
            stalled @ WriteError::Stalled { .. } => (LostCause::Stalled(stalled), written),
        })
    }
}

impl<S: Stream> Calls<S> {
    /// Sends a request on a link and awaits its reply. The link comes back with the answer if it is fit for another call.
    pub(super) async fn exchange(
        &mut self,
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
        let sent = self.send_piece(&mut link, request, Phase::NothingWritten).await;
        if sent.is_err() || !request.complete {
            // Boxed: few requests are so large, and all would hold what it takes.
            if let Some((reply, bytes)) = Box::pin(self.send_rest(&mut link, request, sent)).await? {
                self.learn(&link, request, reply.facts(), running);
                return Ok(Answered { reply, bytes: Body::Held(bytes), link: None });
            }
        }
        let mut begun = None;
        loop {
            let read = if request.ends_for_sure() {
                self.await_reply(&mut link).await
            } else {
                // Boxed: hardly any call waits for this.
                Box::pin(self.await_doubtful(&mut link)).await
            };
            let received = match read {
                Ok(read) => {
                    // Made when it begins: between a request and its reply others have the processor's cache.
                    let incoming = begun.get_or_insert_with(|| Incoming::to(request, self.framing, deliver));
                    self.receive(read, (&link, request), incoming, &mut running)?
                }
                Err(end) => return Err(self.leave(link, request, (begun, deliver), end)),
            };
            if let Some(chunk) = &received {
                let sent = match begun.as_mut().and_then(Incoming::take_held) {
                    None => self.client.send(chunk, self.shared.settings.stall_timeout).await,
                    // Boxed: few replies that were held are delivered before their end.
                    Some(held) => Box::pin(self.send_both(held, chunk)).await,
                };
                if let Err(end) = sent {
                    return Err(self.leave(link, request, (begun, deliver), end));
                }
            }
            if let Some(incoming) = begun.take_if(|incoming| incoming.reply.is_done()) {
                let Incoming { reply, bytes, leaves_fit, .. } = incoming;
                return Ok(Answered { reply, bytes, link: leaves_fit.then_some(link) });
            }
        }
    }

    /// Takes in what came of a reply; returns what of it the client is to have at once.
    fn receive(
        &self,
        read: Result<Chunk, LostCause>,
        (link, request): (&Link<S>, &Request),
        incoming: &mut Incoming,
        running: &mut Option<RunningCount>,
    ) -> Result<Option<Chunk>, Trouble> {
        let mut chunk = read.map_err(|cause| incoming.lost(cause))?;
        incoming.take(&mut chunk, request, link)?;
        self.shared.metrics.bytes.add(Direction::ToClient, chunk.len() as u64);
        let done = incoming.reply.is_done();
        if done {
            // Before the client has the last byte: it may use a handle on another connection at once.
            self.learn(link, request, incoming.reply.facts(), running.take());
        }
        if !incoming.waits(&chunk) {
            incoming.client_has_some = true;
            return Ok(Some(chunk));
        }
        if done && incoming.bytes.is_empty() {
            incoming.bytes = Body::Piece(chunk);
        } else {
            self.hold(incoming, &chunk)?;
        }
        Ok(None)
    }

    fn hold(&self, incoming: &mut Incoming, chunk: &[u8]) -> Result<(), Trouble> {
        let mut held = std::mem::replace(&mut incoming.bytes, Body::Nothing).into_held();
        held.bytes.extend_from_slice(chunk);
        let fits = self.hold_on(&mut held.counted, held.bytes.len());
        incoming.bytes = Body::Held(held);
        fits.map_err(|cause| incoming.lost(cause))
    }

    /// What was held of the reply's head goes first.
    async fn send_both(&mut self, held: Box<HeldBack>, chunk: &[u8]) -> Result<(), End> {
        let stall = self.shared.settings.stall_timeout;
        self.client.send(&held.bytes, stall).await?;
        self.client.send(chunk, stall).await
    }

    /// The client is gone, or as good as gone, before it has all of its reply: a link that others share is not lost with it.
    fn leave(
        &mut self,
        link: Box<Link<S>>,
        request: &Request,
        (begun, deliver): (Option<Incoming>, Deliver),
        end: End,
    ) -> Trouble {
        let incoming = begun.unwrap_or_else(|| Incoming::to(request, self.framing, deliver));
        // Links are shared where there is upkeep.
        let upkeep = self.fleet.room.upkeep.filter(|_| link.seat.pool.shares);
        if incoming.reply.is_done() {
            if incoming.leaves_fit {
                self.links.put(link);
            }
        } else if let Some(upkeep) = upkeep
            && request.complete
            && request.ends_for_sure()
        {
            tokio::spawn(read_out(link, incoming.reply, upkeep.client_lost_grace, self.shared.cut.clone()));
        }
        end.into()
    }

    /// Whether so many bytes of a reply may be held.
    pub(super) fn hold_on(&self, counted: &mut Held, bytes: usize) -> Result<(), LostCause> {
        if bytes > HELD_REPLY_LIMIT {
            return Err(LostCause::TooLarge);
        }
        let fits = self.shared.replay.grow(counted, bytes.saturating_sub(FREE_REPLY_BYTES));
        if fits { Ok(()) } else { Err(LostCause::NoRoom) }
    }

    fn learn(&self, link: &Link<S>, request: &Request, reply: &Facts, running: Option<RunningCount>) {
        if request.own {
            // A handle in it may be a former one of a session that goes on elsewhere.
            return;
        }
        let call = Call {
            method: request.method(),
            request: request.facts(),
            coordinator: &link.coordinator,
            connection_session: link.session.as_ref().map(|session| session.guid),
            open: &self.open,
            in_doubt: link.made.is_in_doubt(),
            effect: &request.effect,
            now: clock::now(),
        };
        learn(&call, reply, running, self.fleet.cluster.flavor, &self.fleet.table);
    }

    /// Sends what is held of a request; `before` says what of it was written before.
    pub(super) fn send_piece(
        &self,
        link: &mut Link<S>,
        request: &Request,
        before: Phase,
    ) -> impl Future<Output = Result<(), Trouble>> {
        let (bytes, shared) = (&request.bytes, &self.shared);
        link.write_all(bytes, shared.settings.stall_timeout).map(move |done| match done {
            Ok(()) => {
                shared.metrics.bytes.add(Direction::ToCoordinator, bytes.len() as u64);
                Ok(())
            }
            Err((cause, written)) => {
                let phase = if written == 0 { before } else { Phase::Waiting };
                Err(Trouble::Link(Lost { phase, client_has_some: false, cause }))
            }
        })
    }

    /// Waits for bytes of the reply: for as long as it takes, while both sides live. A client that is gone is noticed; one
    /// that has only finished sending gets its reply.
    pub(super) async fn await_reply(&mut self, link: &mut Link<S>) -> Result<Result<Chunk, LostCause>, End> {
        tokio::select! {
            biased;
            read = link.read() => Ok(read),
            () = self.client.stream.gone() => Err(End::client_gone()),
            never = self.links.ends(), if self.links.are_idle() => match never {},
        }
    }

    /// As [`Self::await_reply`], for a request that its coordinator may not take for a whole one: then no reply will come, and
    /// a client that sent the rest would have to be there to do so. Nobody else needs to wait for its link for that long.
    async fn await_doubtful(&mut self, link: &mut Link<S>) -> Result<Result<Chunk, LostCause>, End> {
        tokio::select! {
            biased;
            read = link.read() => Ok(read),
            () = self.client.stream.closed() => Err(End::client_gone()),
            never = self.links.ends(), if self.links.are_idle() => match never {},
            () = sleep(UNSURE_FOR) => Ok(Err(LostCause::Unanswered)),
        }
    }
}
