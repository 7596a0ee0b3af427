//! One exchange with a coordinator. A request of known length is sent by the router itself, and an ordinary
//! answer to it is only counted, as a frame would be. hyper does the rest: requests of unknown length, and
//! answers that are in chunks, end with the connection, or hold no reply.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Request;
use parking_lot::Mutex;

use crate::net::flow::{self, Chunk, WriteError};
use crate::net::stream::Stream;
use crate::net::tls::io::Io;
use crate::serve::message::http::outbound::{Came, Outbound};
use crate::wire::http::answer::{Beginning, KnownAnswer, Ordinary};
use crate::wire::http::cookie::SetCookie;

/// A request that is sent, and the answer as far as it has come.
pub(super) enum LinkExchange<S: Stream> {
    /// The router itself sends the request, and the answer's head is not whole.
    Asked(Asked),
    /// An ordinary answer comes.
    Counted(Counted),
    /// It is hyper's. Locked by nobody: this makes the link one that threads may look at.
    Hyper(Box<Mutex<Outbound<S>>>),
}

/// What has come of an answer whose head is not whole.
pub(super) struct Asked {
    begun: BytesMut,
    /// Whether the answer is expected to hold rows.
    brings_rows: bool,
}

/// An ordinary answer, of which the head has come.
pub(super) struct Counted {
    /// How many bytes of the body are to be given out.
    left: u64,
    /// The front of the body, which came with the head.
    front: Chunk,
    /// Whether the connection may serve another exchange after this one.
    leaves_fit: bool,
}

impl<S: Stream> LinkExchange<S> {
    /// An exchange whose request the router itself sends; `brings_rows` says whether the answer is expected to
    /// hold rows.
    pub(super) fn asked(brings_rows: bool) -> Self {
        Self::Asked(Asked { begun: BytesMut::new(), brings_rows })
    }

    /// An exchange whose request has a body of unknown length.
    ///
    /// # Errors
    /// As [`Outbound::begin`].
    pub(super) fn in_chunks(stream: &Io<S>, head: Request<()>, brings_rows: bool) -> io::Result<Self> {
        Outbound::begin(stream, head, brings_rows).map(Self::hyper)
    }

    fn hyper(outbound: Outbound<S>) -> Self {
        Self::Hyper(Box::new(Mutex::new(outbound)))
    }

    /// Sends a piece of the request's body; nothing follows the last one. The coordinator must take some of
    /// it every `stall`.
    ///
    /// # Errors
    /// When the connection breaks, or the coordinator takes no byte for `stall`; with the number of bytes
    /// that it took.
    pub(super) async fn send(
        &mut self,
        stream: &mut Io<S>,
        piece: &[u8],
        is_last: bool,
        stall: Duration,
    ) -> Result<(), (WriteError, usize)> {
        match self {
            Self::Hyper(outbound) => {
                outbound.get_mut().send(stream, Bytes::copy_from_slice(piece), is_last, stall).await
            }
            Self::Asked(_) | Self::Counted(_) => flow::write_all(stream, piece, stall).await,
        }
    }

    /// Waits for what comes next of the answer; `known` is how the last one on the link began. Cancel-safe.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no answer.
    pub(super) async fn next(&mut self, stream: &mut Io<S>, known: &mut KnownAnswer) -> io::Result<Came> {
        loop {
            match self {
                Self::Asked(asked) => match asked.look(read(stream).await?, known) {
                    Looked::Partial => {}
                    Looked::Ordinary(counted, cookie) => {
                        *self = Self::Counted(counted);
                        return Ok(Came::Accepted(cookie));
                    }
                    Looked::Other(begun) => {
                        let outbound = Outbound::answering(stream, begun, asked.brings_rows)?;
                        *self = Self::hyper(outbound);
                    }
                },
                Self::Counted(counted) => return counted.next(stream).await,
                Self::Hyper(outbound) => return outbound.get_mut().next(stream).await,
            }
        }
    }

    /// Whether all of the answer was taken, as its announced length says.
    pub(super) fn is_over(&mut self) -> bool {
        match self {
            Self::Asked(_) => false,
            Self::Counted(counted) => counted.left == 0,
            Self::Hyper(outbound) => outbound.get_mut().is_over(),
        }
    }

    /// Whether the answer has ended, as far as can be told without waiting, once its body is whole for whoever
    /// reads it.
    ///
    /// # Errors
    /// When more of the body comes, or the connection broke.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        match self {
            Self::Hyper(outbound) => outbound.get_mut().has_ended(),
            Self::Counted(Counted { left: 0, .. }) => Ok(true),
            Self::Asked(_) | Self::Counted(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// How many bytes of the answer's body are to come, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Counted(counted) => Some(counted.left),
            Self::Asked(_) | Self::Hyper(_) => None,
        }
    }

    /// Ends an exchange whose answer has come; returns whether the connection may serve another one: the
    /// coordinator keeps it open, and nothing came after the answer.
    pub(super) fn finish(self) -> bool {
        match self {
            Self::Asked(_) => false,
            Self::Counted(counted) => counted.left == 0 && counted.leaves_fit,
            Self::Hyper(outbound) => outbound.into_inner().finish(),
        }
    }
}

/// What the bytes of an answer turn out to be.
enum Looked {
    /// Not enough to tell.
    Partial,
    /// An ordinary answer, with what stands for the login from now on.
    Ordinary(Counted, Option<SetCookie>),
    /// Another one, which begins with these bytes.
    Other(BytesMut),
}

impl Asked {
    fn look(&mut self, mut chunk: Chunk, known: &mut KnownAnswer) -> Looked {
        // The head comes in one piece as a rule.
        let is_first = self.begun.is_empty();
        if !is_first {
            self.begun.extend_from_slice(&chunk);
        }
        match known.begins(if is_first { &chunk } else { &self.begun }) {
            Beginning::Partial if is_first => {
                self.begun.extend_from_slice(&chunk);
                Looked::Partial
            }
            Beginning::Partial => Looked::Partial,
            Beginning::Ordinary(Ordinary { head_len, body_len, keeps_open, cookie }) => {
                if !is_first {
                    chunk = std::mem::take(&mut self.begun).freeze().into();
                }
                chunk.advance(head_len);
                Looked::Ordinary(Counted::new(chunk, body_len, keeps_open), cookie)
            }
            Beginning::Other if is_first => Looked::Other(BytesMut::from(&*chunk)),
            Beginning::Other => Looked::Other(std::mem::take(&mut self.begun)),
        }
    }
}

impl Counted {
    fn new(front: Chunk, left: u64, keeps_open: bool) -> Self {
        let leaves_fit = keeps_open && front.len() as u64 <= left;
        Self { left, front, leaves_fit }
    }

    async fn next<S: Stream>(&mut self, stream: &mut Io<S>) -> io::Result<Came> {
        if self.left == 0 {
            return Ok(Came::End);
        }
        let mut piece = std::mem::replace(&mut self.front, Chunk::nothing());
        if piece.is_empty() {
            piece = read(stream).await?;
        }
        let left = self.left;
        self.left = left.saturating_sub(piece.len() as u64);
        if self.left == 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX);
            self.leaves_fit &= piece.len() <= len;
            piece.truncate(len);
        }
        Ok(Came::Piece(piece))
    }
}

/// Reads bytes of an answer, which has not ended.
async fn read<S: Stream>(stream: &mut Io<S>) -> io::Result<Chunk> {
    let chunk = flow::read(stream).await?;
    if chunk.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(chunk) }
}
