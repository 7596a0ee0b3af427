//! One request over one link, and its reply back: sent, awaited, relayed while it is scanned for its end.

use std::io;
use std::ops::Deref;
use std::time::Duration;

use bytes::BytesMut;

use super::calls::Calls;
use super::client::Request;
use super::end::End;
use super::link::Link;
use super::readout::read_out;
use super::reply::{BadReply, Reply};
use super::shared::Held;
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
/// Bytes of it that are not counted as `replay_memory`: no open of a sound coordinator shall fail because others hold much.
const FREE_REPLY_BYTES: usize = 16 << 10;

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
    /// It did not answer an open in time.
    #[error("no answer within open_timeout")]
    OpenTimedOut,
}

impl LostCause {
    /// Whether it may be the coordinator's doing. How long a reply is may be the client's: an open's options come back in it.
    pub(super) fn speaks_against_coordinator(&self) -> bool {
        !matches!(self, Self::TooLarge | Self::NoRoom)
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

/// When the client gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deliver {
    /// As it comes.
    AsItComes,
    /// Not by the exchange, which returns it whole: it may be thrown away and another coordinator asked.
    WhenWhole,
    /// A short one likewise; a longer one as it comes, for it is no refusal.
    WhileShort,
}

impl Deliver {
    /// Whether a reply of so many bytes, as far as it has come, waits for its end.
    fn holds(self, bytes: usize) -> bool {
        match self {
            Self::AsItComes => false,
            Self::WhenWhole => true,
            Self::WhileShort => bytes <= FREE_REPLY_BYTES,
        }
    }
}

/// What the client does not have of a reply, framed as it came.
pub(super) enum Body {
    /// All of it came in one piece, as most do: not copied.
    Piece(Chunk),
    /// It was put together; or there is nothing.
    Whole(BytesMut),
}

impl Body {
    /// As bytes of its own, so that no buffer is kept from others.
    pub(super) fn into_bytes(self) -> BytesMut {
        match self {
            Self::Piece(chunk) => BytesMut::from(&*chunk),
            Self::Whole(bytes) => bytes,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(BytesMut::new())
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Piece(chunk) => chunk,
            Self::Whole(bytes) => bytes,
        }
    }
}

/// A reply that has ended.
pub(super) struct Answered<S: Stream> {
    /// What was found in it stays where it was found: it is too much to be copied for each call.
    pub reply: Box<Reply>,
    /// All of it; empty if it was delivered as it came.
    pub bytes: Body,
    /// Counts them, as long as they are held.
    pub held: Option<Held>,
    /// The link, if it is fit for another call.
    pub link: Option<Box<Link<S>>>,
}

impl<S: Stream> Link<S> {
    /// The next bytes from its coordinator; notes if it is broken. Cancel-safe.
    ///
    /// # Errors
    /// Its coordinator, or what is between, has ended it.
    pub(super) async fn read(&mut self) -> Result<Chunk, LostCause> {
        let read = match flow::read(&mut self.stream).await {
            Ok(chunk) if chunk.is_empty() => Err(LostCause::Closed),
            Ok(chunk) => Ok(chunk),
            Err(error) => Err(error.into()),
        };
        read.inspect_err(|_| self.seat.note_broken())
    }

    /// Writes all of this within the time that its coordinator may stop reading; notes if it is broken.
    ///
    /// # Errors
    /// What went wrong, and how many bytes were written before.
    pub(super) async fn write_all(
        &mut self,
        bytes: &[u8],
        stall: Duration,
    ) -> Result<(), (LostCause, usize)> {
        flow::write_all(&mut self.stream, bytes, stall).await.map_err(|(error, written)| match error {
            WriteError::Failed(error) => {
                self.seat.note_broken();
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
        // A statement runs from the moment that it is sent.
        let statement = request.method().role == Role::Statement;
        let mut running = statement.then(|| link.coordinator.count_running());
        self.send(&mut link, request).await?;
        let mut read = self.await_reply(&mut link).await;
        // Made when it begins: between a request and its reply others have the processor's cache.
        let mut reply = Reply::boxed(request.method(), request.facts(), self.framing);
        let (mut held, mut counted) = (BytesMut::new(), Held::default());
        let mut client_has_some = false;
        let mut phase = Phase::Waiting;
        loop {
            let lost = |cause: LostCause, phase| Trouble::Link(Lost { phase, client_has_some, cause });
            let mut chunk = match read {
                Ok(read) => read.map_err(|cause| lost(cause, phase))?,
                Err(end) => {
                    self.leave(link, request, reply);
                    return Err(end.into());
                }
            };
            let taken = reply.take(&chunk);
            phase = reply.phase();
            let taken = taken.map_err(|error| lost(error.into(), phase))?;
            let is_fit = taken.clean && request.ends_for_sure();
            chunk.truncate(taken.used);
            self.shared.metrics.bytes.add(Direction::ToClient, chunk.len() as u64);
            if taken.done {
                // Before the client has the last byte: it may use a handle on another connection at once.
                self.learn(&link, request, reply.facts(), running.take());
            }
            if !reply.is_checked() || (!client_has_some && deliver.holds(held.len() + chunk.len())) {
                if taken.done && held.is_empty() {
                    let (bytes, link) = (Body::Piece(chunk), is_fit.then_some(link));
                    return Ok(Answered { reply, bytes, held: None, link });
                }
                held.extend_from_slice(&chunk);
                self.hold_on(&mut counted, held.len()).map_err(|cause| lost(cause, phase))?;
            } else {
                client_has_some = true;
                if let Err(end) = self.deliver(&mut held, &chunk).await {
                    if !taken.done {
                        self.leave(link, request, reply);
                    } else if is_fit {
                        self.links.put(link);
                    }
                    return Err(end.into());
                }
            }
            if taken.done {
                let (bytes, link) = (Body::Whole(held), is_fit.then_some(link));
                return Ok(Answered { reply, bytes, held: Some(counted), link });
            }
            read = self.await_reply(&mut link).await;
        }
    }

    /// The client is gone, or as good as gone, in the middle of a reply: a link that others share is not lost with it.
    fn leave(&self, link: Box<Link<S>>, request: &Request, reply: Box<Reply>) {
        // Links are shared where there is upkeep.
        if let Some(upkeep) = self.fleet.room.upkeep.filter(|_| link.seat.pool.shares)
            && request.complete
            && request.ends_for_sure()
        {
            tokio::spawn(read_out(link, reply, upkeep.client_lost_grace, self.shared.cut.clone()));
        }
    }

    /// What was held of the reply's head goes first.
    async fn deliver(&mut self, held: &mut BytesMut, bytes: &[u8]) -> Result<(), End> {
        let stall = self.shared.settings.stall_timeout;
        if !held.is_empty() {
            self.client.send(&std::mem::take(held), stall).await?;
        }
        self.client.send(bytes, stall).await
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
            effect: &request.effect,
            now: clock::now(),
        };
        learn(&call, reply, running, self.fleet.cluster.flavor, &self.fleet.table);
    }

    /// Sends the request, piece by piece if it is too large to be held.
    pub(super) async fn send(&mut self, link: &mut Link<S>, request: &mut Request) -> Result<(), Trouble> {
        let mut phase = Phase::NothingWritten;
        loop {
            let stall = self.shared.settings.stall_timeout;
            let bytes = request.bytes.len() as u64;
            if let Err((cause, written)) = link.write_all(&request.bytes, stall).await {
                let phase = if written == 0 { phase } else { Phase::Waiting };
                return Err(Trouble::Link(Lost { phase, client_has_some: false, cause }));
            }
            self.shared.metrics.bytes.add(Direction::ToCoordinator, bytes);
            phase = Phase::Waiting;
            if request.complete {
                return Ok(());
            }
            // Boxed: few requests are so large, and all would hold what it takes.
            Box::pin(self.inbox.next_piece(&mut self.client, request, &self.shared.settings)).await?;
        }
    }

    /// Waits for bytes of the reply: for as long as it takes, while both sides live. A client that is gone is noticed; one
    /// that has only finished sending gets its reply.
    pub(super) async fn await_reply(&mut self, link: &mut Link<S>) -> Result<Result<Chunk, LostCause>, End> {
        tokio::select! {
            biased;
            read = link.read() => Ok(read),
            () = self.client.stream.gone() => Err(End::client_gone()),
        }
    }
}
