//! Encrypted bytes on their way to a peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use super::failure::Failure;
use super::session::{RECORD_PLAINTEXT, RECORD_ROOM, Session};
use crate::net::buffer::{BUFFER_SIZE, Buffer};

/// Encrypted bytes that the peer has not taken yet.
#[derive(Default)]
pub(super) struct Outgoing {
    /// What the protocol itself has to say: handshakes, alerts, answers to key updates.
    pub(super) messages: Vec<u8>,
    records: Option<Records>,
}

/// Encrypted bytes of one write.
struct Records {
    buffer: Buffer,
    sent: usize,
    /// Where each record ends in the buffer, and how many bytes of plaintext it has.
    ends: SmallVec<[RecordEnd; 16]>,
}

#[derive(Clone, Copy)]
struct RecordEnd {
    at: usize,
    plaintext: usize,
}

impl Outgoing {
    /// Whether a write is under way.
    pub(super) fn has_records(&self) -> bool {
        self.records.is_some()
    }

    /// Encrypts the front of `plaintext`. No write may be under way.
    ///
    /// # Errors
    /// As [`Session::encrypt`].
    pub(super) fn begin(
        &mut self,
        plaintext: &[u8],
        session: &mut Session,
        partial: &mut [u8],
    ) -> Result<(), Failure> {
        let mut buffer = Buffer::take();
        let (mut ends, mut at) = (SmallVec::new(), 0);
        for piece in plaintext.chunks(RECORD_PLAINTEXT) {
            if BUFFER_SIZE - at < RECORD_ROOM {
                break;
            }
            at += session.encrypt(piece, buffer.get_mut(at..).unwrap_or_default(), partial)?;
            ends.push(RecordEnd { at, plaintext: piece.len() });
        }
        self.records = Some(Records { buffer, sent: 0, ends });
        Ok(())
    }

    /// Sends everything.
    pub(super) fn poll_all(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.has_records() {
            ready!(self.poll_records(socket, cx))?;
        }
        self.poll_messages(socket, cx)
    }

    /// Sends what the protocol itself has to say. No write may be under way, because what it has to say
    /// comes behind the records of that.
    pub(super) fn poll_messages(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let polled = loop {
            match self.messages.get(sent..) {
                None | Some([]) => break Poll::Ready(Ok(())),
                Some(rest) => match Pin::new(&mut *socket).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(some)) => sent += some,
                    Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                    Poll::Pending => break Poll::Pending,
                },
            }
        };
        self.messages.drain(..sent);
        if self.messages.is_empty() {
            self.messages = Vec::new();
        }
        polled
    }

    /// Sends the records of the write that is under way. Ready with the number of bytes of plaintext in those
    /// that are gone as a whole, as soon as no more can be sent; pending while that is none.
    pub(super) fn poll_records(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(records) = &mut self.records else { return Poll::Ready(Ok(0)) };
        let end = records.ends.last().map_or(0, |end| end.at);
        let polled = loop {
            match records.buffer.get(records.sent..end) {
                None | Some([]) => break Poll::Ready(Ok(())),
                Some(rest) => match Pin::new(&mut *socket).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(some)) => records.sent += some,
                    Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                    Poll::Pending => break Poll::Pending,
                },
            }
        };
        let gone = records.take_gone();
        if records.ends.is_empty() {
            self.records = None;
        }
        match polled {
            // An error shows at the next write, if the peer has got something by this one.
            Poll::Ready(Err(error)) if gone == 0 => Poll::Ready(Err(error)),
            Poll::Pending if gone == 0 => Poll::Pending,
            _ => Poll::Ready(Ok(gone)),
        }
    }
}

#[cfg(test)]
impl Outgoing {
    pub(super) fn held(&self) -> usize {
        self.messages.capacity() + if self.records.is_some() { BUFFER_SIZE } else { 0 }
    }
}

impl Records {
    /// Forgets the records that are gone as a whole; returns how many bytes of plaintext they had.
    fn take_gone(&mut self) -> usize {
        let gone = self.ends.iter().take_while(|end| end.at <= self.sent).count();
        self.ends.drain(..gone).map(|end| end.plaintext).sum()
    }
}
