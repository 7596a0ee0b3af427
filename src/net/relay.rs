//! Passes bytes both ways between a client and a coordinator, unchanged.
//!
//! A direction holds a buffer only from the read that found bytes to the write that delivers the last of
//! them. So an idle connection holds none, and a peer that does not read costs at most one buffer. There is
//! no idle timeout, because sessions that are idle for hours are normal; keepalive finds dead peers.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use super::buffer::Buffer;
use super::stream::Stream;

/// How often to look at a connection whose reset no read or write would notice, because one direction has
/// ended or waits for the other side.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that connected to the router.
    Client,
    /// The side that the router dialed.
    Coordinator,
}

impl Side {
    /// The word used in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Coordinator => "coordinator",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Looks on while bytes pass by. It can end the relay, but change nothing.
pub trait Onlooker {
    /// These bytes of a side were read, and are delivered next.
    fn note_read(&mut self, from: Side, bytes: &[u8]);

    /// So many bytes of a side were delivered.
    fn note_delivered(&mut self, from: Side, count: u64);

    /// Is ready when the relay has to end, with an orderly end for both sides. Called by one task, each time
    /// that all is delivered and nothing more can be read.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// An onlooker that only counts what is delivered.
impl<F: FnMut(Side, u64)> Onlooker for F {
    fn note_read(&mut self, _from: Side, _bytes: &[u8]) {}

    fn note_delivered(&mut self, from: Side, count: u64) {
        self(from, count);
    }

    fn poll_end(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// How a relay ended.
#[derive(Debug)]
pub struct Ended {
    /// The side that failed, or, if neither did, the side that finished first. Says nothing if the onlooker
    /// ended it.
    pub who: Side,
    /// The error on the connection of `who`; `None` after two orderly ends.
    pub error: Option<io::Error>,
}

/// The two sides of a connection that is relayed. Unless they have come to an end of their own, both are set
/// to be reset when this is dropped: neither may take that for an orderly end.
#[derive(Debug)]
pub struct Sides<'a, C: Stream, K: Stream> {
    /// The connection to the client.
    pub client: &'a mut C,
    /// The connection to the coordinator.
    pub coordinator: &'a mut K,
    has_ended: bool,
}

impl<'a, C: Stream, K: Stream> Sides<'a, C, K> {
    /// Two sides that have not ended.
    pub fn new(client: &'a mut C, coordinator: &'a mut K) -> Self {
        Self { client, coordinator, has_ended: false }
    }

    /// Passes bytes both ways until both sides have finished or one has failed. A FIN is passed on when the
    /// bytes before it have been delivered; the other direction goes on. The bytes that a side sent before it
    /// failed are delivered as well. Unless that side had sent a FIN, the other side's connection is set to
    /// be reset when it closes, so that the end does not look orderly; the caller drops both.
    ///
    /// Not cancel-safe: bytes in flight are lost with the future, and both sides are reset.
    pub async fn relay(mut self, onlooker: &mut impl Onlooker) -> Ended {
        let Self { client, coordinator, .. } = &mut self;
        let mut pump = Pump::default();
        let failed = loop {
            let mut look = pin!(sleep(LOOK_INTERVAL));
            let step = poll_fn(|cx| {
                if let Poll::Ready(ended) = pump.poll(cx, *client, *coordinator, onlooker) {
                    return Poll::Ready(Some(ended));
                }
                if pump.is_at_rest() && onlooker.poll_end(cx).is_ready() {
                    return Poll::Ready(Some(Ok(())));
                }
                if pump.reads_both() {
                    return Poll::Pending;
                }
                look.as_mut().poll(cx).map(|()| None)
            });
            if let Some(ended) = step.await {
                break ended.err();
            }
            if let Some(who) = pump.gone(*client, *coordinator).await {
                break Some(Failure { who, error: io::ErrorKind::ConnectionReset.into() });
            }
        };
        match failed.as_ref().map(|failure| failure.who) {
            Some(Side::Client) if !pump.from_client.is_finished() => coordinator.reset_on_close(),
            Some(Side::Coordinator) if !pump.from_coordinator.is_finished() => client.reset_on_close(),
            _ => {}
        }
        self.has_ended = true;
        Ended {
            // Without a failure both sides have finished, unless the onlooker ended it: one of them was first.
            who: failed.as_ref().map(|failure| failure.who).or(pump.first_to_finish).unwrap_or(Side::Client),
            error: failed.map(|failure| failure.error),
        }
    }
}

impl<C: Stream, K: Stream> Drop for Sides<'_, C, K> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.client.reset_on_close();
            self.coordinator.reset_on_close();
        }
    }
}

/// A failure and the side whose connection it happened on: the reader's for a read, the writer's for a write.
#[derive(Debug)]
struct Failure {
    who: Side,
    error: io::Error,
}

/// Both directions.
#[derive(Debug)]
struct Pump {
    from_client: Direction,
    from_coordinator: Direction,
    first_to_finish: Option<Side>,
    /// A write that failed, while bytes that its side sent before are still being delivered.
    failure: Option<Failure>,
}

impl Default for Pump {
    fn default() -> Self {
        Self {
            from_client: Direction::new(Side::Client),
            from_coordinator: Direction::new(Side::Coordinator),
            first_to_finish: None,
            failure: None,
        }
    }
}

impl Pump {
    /// Whether nothing is on its way to either side.
    fn is_at_rest(&self) -> bool {
        [&self.from_client, &self.from_coordinator].iter().all(|direction| direction.is_at_rest())
    }

    /// Whether both directions wait for bytes; if so, a reset of either side wakes a read.
    fn reads_both(&self) -> bool {
        [&self.from_client, &self.from_coordinator]
            .iter()
            .all(|direction| matches!(direction.state, State::Reading))
    }

    fn poll<C: Stream, K: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        coordinator: &mut K,
        onlooker: &mut impl Onlooker,
    ) -> Poll<Result<(), Failure>> {
        let from_client = self.from_client.poll(cx, client, coordinator, onlooker);
        let from_client = self.keep_write_failure(Side::Client, from_client)?;
        let from_coordinator = self.from_coordinator.poll(cx, coordinator, client, onlooker);
        let from_coordinator = self.keep_write_failure(Side::Coordinator, from_coordinator)?;
        for direction in [&self.from_client, &self.from_coordinator] {
            if matches!(direction.state, State::Finishing | State::Finished) {
                self.first_to_finish.get_or_insert(direction.from);
            }
        }
        ready!(from_client);
        ready!(from_coordinator);
        Poll::Ready(self.failure.take().map_or(Ok(()), Err))
    }

    /// A failed read ends everything. A failed write ends its direction only: a coordinator that hangs up,
    /// and says why while the client is still sending, must be heard. The other direction cannot hang on a
    /// dead connection, because reading it gives what is left and then an end.
    fn keep_write_failure(
        &mut self,
        from: Side,
        outcome: Poll<Result<(), Failure>>,
    ) -> Result<Poll<()>, Failure> {
        let Poll::Ready(Err(failure)) = outcome else { return Ok(outcome.map(|_| ())) };
        if failure.who == from {
            return Err(self.failure.take().unwrap_or(failure));
        }
        match from {
            Side::Client => self.from_client.state = State::Broken,
            Side::Coordinator => self.from_coordinator.state = State::Broken,
        }
        self.failure.get_or_insert(failure);
        Ok(Poll::Ready(()))
    }

    /// The side whose connection is dead at this moment and no longer needed: a client always, a coordinator
    /// only when everything that was read from it has been delivered, however slowly the client reads.
    async fn gone(&self, client: &impl Stream, coordinator: &impl Stream) -> Option<Side> {
        let delivered =
            self.failure.is_none() && !matches!(self.from_coordinator.state, State::Writing { .. });
        tokio::select! {
            biased;
            () = client.gone() => Some(Side::Client),
            () = coordinator.gone(), if delivered => Some(Side::Coordinator),
            () = std::future::ready(()) => None,
        }
    }
}

/// One direction.
#[derive(Debug)]
struct Direction {
    from: Side,
    to: Side,
    state: State,
    /// Whether the writer may still hold bytes back.
    flushed: Flushed,
}

#[derive(Debug)]
enum State {
    /// Waits for bytes and holds no buffer.
    Reading,
    /// `buffer[at..end]` is to be written; `at < end <= buffer.len()`.
    Writing { buffer: Buffer, at: usize, end: usize },
    /// The reader sent a FIN, which is to be passed on.
    Finishing,
    /// The FIN was passed on.
    Finished,
    /// The writer failed.
    Broken,
}

/// `No` after a write: some writers, for example those that encrypt, hold bytes back until they are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    Yes,
    No,
}

impl Direction {
    fn new(from: Side) -> Self {
        let to = match from {
            Side::Client => Side::Coordinator,
            Side::Coordinator => Side::Client,
        };
        Self { from, to, state: State::Reading, flushed: Flushed::Yes }
    }

    fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Whether it has delivered all that it has read.
    fn is_at_rest(&self) -> bool {
        let is_at_rest = matches!(self.state, State::Reading | State::Finished | State::Broken);
        is_at_rest && self.flushed == Flushed::Yes
    }

    /// Moves what can be moved; ready when nothing more will come.
    fn poll<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        onlooker: &mut impl Onlooker,
    ) -> Poll<Result<(), Failure>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Reading) {
                State::Reading => match self.poll_read(cx, reader) {
                    Poll::Ready(next) => {
                        let next = next?;
                        if let State::Writing { buffer, at, end } = &next {
                            onlooker.note_read(self.from, buffer.get(*at..*end).unwrap_or_default());
                        }
                        next
                    }
                    Poll::Pending => {
                        self.poll_flush(cx, writer)?;
                        return Poll::Pending;
                    }
                },
                State::Writing { buffer, at, end } => {
                    let unwritten = buffer.get(at..end).unwrap_or_default();
                    let Poll::Ready(written) = Pin::new(&mut *writer).poll_write(cx, unwritten) else {
                        self.state = State::Writing { buffer, at, end };
                        return Poll::Pending;
                    };
                    let written = self.check_written(written)?;
                    onlooker.note_delivered(self.from, written as u64);
                    self.flushed = Flushed::No;
                    let at = at + written;
                    if at < end { State::Writing { buffer, at, end } } else { State::Reading }
                }
                State::Finishing => {
                    let Poll::Ready(shut) = Pin::new(&mut *writer).poll_shutdown(cx) else {
                        self.state = State::Finishing;
                        return Poll::Pending;
                    };
                    shut.map_err(|error| Failure { who: self.to, error })?;
                    State::Finished
                }
                over @ (State::Finished | State::Broken) => {
                    self.state = over;
                    return Poll::Ready(Ok(()));
                }
            };
        }
    }

    /// Reads into a buffer that goes back to the pool at once if there is nothing to read.
    ///
    /// Many clients close a TLS connection without saying so in TLS; that is a FIN like any other. Where a
    /// coordinator does so, its reply may be cut off.
    fn poll_read<R: AsyncRead + Unpin>(
        &self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<Result<State, Failure>> {
        let mut buffer = Buffer::take();
        let mut read = ReadBuf::new(&mut buffer);
        let result = ready!(Pin::new(reader).poll_read(cx, &mut read));
        let end = read.filled().len();
        Poll::Ready(match result {
            Err(error) if self.from == Side::Client && error.kind() == io::ErrorKind::UnexpectedEof => {
                Ok(State::Finishing)
            }
            Err(error) => Err(Failure { who: self.from, error }),
            Ok(()) if end == 0 => Ok(State::Finishing),
            Ok(()) => Ok(State::Writing { buffer, at: 0, end }),
        })
    }

    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Result<(), Failure> {
        if self.flushed == Flushed::Yes {
            return Ok(());
        }
        if let Poll::Ready(flushed) = Pin::new(writer).poll_flush(cx) {
            flushed.map_err(|error| Failure { who: self.to, error })?;
            self.flushed = Flushed::Yes;
        }
        Ok(())
    }

    fn check_written(&self, written: io::Result<usize>) -> Result<usize, Failure> {
        match written {
            Ok(0) => Err(Failure { who: self.to, error: io::ErrorKind::WriteZero.into() }),
            other => other.map_err(|error| Failure { who: self.to, error }),
        }
    }
}

#[cfg(test)]
mod tests;
