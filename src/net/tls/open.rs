//! A TLS connection after its handshake: what was received and is to be decrypted, and what is to be sent.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use rustls::{Error, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

use super::failure::Failure;
use super::outgoing::Outgoing;
use super::session::{Progress, RECORD_EXTRA, Session, Sink};
use crate::net::buffer::{BUFFER_SIZE, Buffer};
use crate::net::stream::{Seen, Stream};

/// The least that a read takes from the socket, so that a reader of few bytes costs few reads.
const LEAST_READ: usize = 4 << 10;

/// What a TLS connection consists of.
pub(super) struct Open<S: Stream> {
    pub(super) socket: S,
    pub(super) session: Session,
    /// Received bytes that were not decrypted yet; empty unless a record or a handshake message is not whole,
    /// or the reader had no room.
    pub(super) received: Vec<u8>,
    /// Whether `received` begins with records of a handshake message that is not whole.
    pub(super) has_partial_handshake: bool,
    /// Decrypted bytes that the reader had no room for; at most a record.
    pub(super) decrypted: Vec<u8>,
    pub(super) outgoing: Outgoing,
    pub(super) end: Option<End>,
    pub(super) resets: AtomicBool,
    /// Whether a message that was begun has not been written to its end.
    pub(super) is_midway: bool,
}

/// What came behind a handshake in the same bytes.
pub(super) struct Rest {
    /// Bytes that were not decrypted yet.
    pub(super) received: Vec<u8>,
    /// Decrypted bytes.
    pub(super) decrypted: Vec<u8>,
    /// Whether `received` begins with records of a handshake message that is not whole.
    pub(super) has_partial_handshake: bool,
    /// Whether the peer has said that it will send no more.
    pub(super) is_closed: bool,
}

/// How the peer's half of a TLS connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// With a `close_notify`: all that was sent has arrived.
    Orderly,
    /// The connection failed.
    Failed(Failure),
}

impl End {
    /// The failure after which nothing can be written. A peer that sends no more without having said so in
    /// TLS may still read.
    fn forbids_writing(&self) -> Option<&Failure> {
        match self {
            Self::Orderly | Self::Failed(Failure::Truncated) => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

impl<S: Stream> Open<S> {
    /// Decrypts what was received, for as long as the reader has room. Notes how the connection ended.
    fn decrypt(&mut self, received: &mut [u8], mut reader: Option<&mut ReadBuf<'_>>) -> usize {
        let mut used = 0;
        self.has_partial_handshake = false;
        // Stops when the reader has no room for a whole record, because one more must not be decrypted then.
        let mut again = false;
        while self.end.is_none() && self.decrypted.is_empty() {
            let rest = received.get_mut(used..).unwrap_or_default();
            if rest.is_empty() && !again {
                break;
            }
            let (len, is_whole) = (rest.len(), is_whole_record(rest));
            let mut sink = Sink { reader: reader.as_deref_mut(), rest: &mut self.decrypted };
            let (discard, progress) = self.session.step(rest, &mut sink, &mut self.outgoing.messages);
            used += discard;
            again = matches!(progress, Ok(Progress::Again));
            match progress {
                Ok(Progress::Some | Progress::Again) => {}
                Ok(Progress::NeedsMore) if discard > 0 => {}
                Ok(Progress::NeedsMore) if is_whole && len > self.session.longest_message() => {
                    let error = Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);
                    self.end = Some(End::Failed(error.into()));
                }
                Ok(Progress::NeedsMore) => {
                    self.has_partial_handshake = is_whole;
                    break;
                }
                Ok(Progress::PeerClosed) => self.end = Some(End::Orderly),
                Err(error) => self.end = Some(End::Failed(self.session.failure(error))),
            }
        }
        if self.end.is_some() { received.len() } else { used }
    }

    /// Decrypts what is kept of earlier reads.
    fn decrypt_kept(&mut self, reader: Option<&mut ReadBuf<'_>>) {
        let mut received = std::mem::take(&mut self.received);
        let used = self.decrypt(&mut received, reader);
        if used < received.len() {
            received.drain(..used);
            self.received = received;
        }
    }

    /// Reads from the socket, and decrypts. Pending if nothing came; ready says nothing about what came of
    /// it.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        reader: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<()>> {
        let kept = self.received.len();
        // Whole records, if the reader has room for their plaintext: a part of one has to be kept.
        let wanted = reader.as_ref().map_or(0, |reader| reader.remaining() + RECORD_EXTRA).max(LEAST_READ);
        let mut buffer = Buffer::take();
        let end = (kept + wanted).min(BUFFER_SIZE);
        let mut room = ReadBuf::new(buffer.get_mut(kept..end).unwrap_or_default());
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
        let len = room.filled().len();
        if len == 0 {
            self.end = Some(End::Failed(Failure::Truncated));
            return Poll::Ready(Ok(()));
        }
        let received = buffer.get_mut(..kept + len).unwrap_or_default();
        if let Some(front) = received.get_mut(..kept) {
            front.copy_from_slice(&self.received);
        }
        let used = self.decrypt(received, reader);
        self.received.clear();
        match received.get(used..) {
            None | Some([]) => self.received = Vec::new(),
            Some(rest) => self.received.extend_from_slice(rest),
        }
        Poll::Ready(Ok(()))
    }

    /// Whether more can be decrypted before more is received.
    fn is_kept_whole(&self) -> bool {
        !self.has_partial_handshake && is_whole_record(&self.received)
    }

    /// Whether a read would find something that has been received already.
    pub(super) fn has_something(&self) -> bool {
        !self.decrypted.is_empty() || self.end.is_some() || self.is_kept_whole()
    }

    /// Gives decrypted bytes that are kept to the reader.
    fn take_decrypted(&mut self, reader: &mut ReadBuf<'_>) {
        let fits = reader.remaining().min(self.decrypted.len());
        reader.put_slice(self.decrypted.get(..fits).unwrap_or_default());
        self.decrypted.drain(..fits);
        if self.decrypted.is_empty() {
            self.decrypted = Vec::new();
        }
    }

    /// What the peer's end of the connection means for a read.
    fn ended(&self) -> Option<io::Result<()>> {
        self.end.as_ref().map(|end| match end {
            End::Orderly => Ok(()),
            End::Failed(failure) => Err(failure.clone().into()),
        })
    }

    /// What a read would find. `socket` tells what the socket has; if those are bytes, they are decrypted,
    /// because they may be nothing that a reader sees, such as a ticket.
    #[inline(never)]
    pub(super) fn see(&mut self, socket: impl Fn(&mut S) -> Seen) -> Seen {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if !self.decrypted.is_empty() {
                return Seen::Bytes;
            }
            if self.end.is_some() {
                return Seen::End;
            }
            if self.is_kept_whole() {
                self.decrypt_kept(None);
                continue;
            }
            match socket(&mut self.socket) {
                Seen::Bytes => {}
                seen => return seen,
            }
            // Unconstrained: the socket is asked even if the task has had its share of time.
            let receive = pin!(unconstrained(poll_fn(|cx| self.poll_receive(cx, None))));
            match receive.poll(&mut cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Seen::End,
                // The runtime does not know yet that bytes have come. They may be for a reader.
                Poll::Pending => return Seen::Bytes,
            }
        }
    }

    /// As [`Self::see`], but the task is woken when there is something to see.
    #[inline(never)]
    pub(super) fn poll_seen(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        loop {
            if self.has_something() {
                return Poll::Ready(self.see(|_| Seen::Nothing));
            }
            match ready!(self.socket.poll_seen(cx)) {
                Seen::Bytes => {}
                seen => return Poll::Ready(seen),
            }
            if ready!(self.poll_receive(cx, None)).is_err() {
                return Poll::Ready(Seen::End);
            }
        }
    }

    /// Sends what the protocol itself has to say, if the socket takes it at once; else it goes with the next
    /// write.
    fn try_send_messages(&mut self, cx: &mut Context<'_>) {
        if !self.outgoing.messages.is_empty() && !self.outgoing.has_records() {
            // An error shows at the next read or write.
            let _sent = self.outgoing.poll_messages(&mut self.socket, cx);
        }
    }

    /// Tells the peer that nothing more comes, unless that would make a part of a message look like a whole
    /// one. Does not wait for it.
    pub(super) fn say_end(&mut self) {
        if self.resets.load(Ordering::Relaxed)
            || self.is_midway
            || self.outgoing.has_records()
            || self.end.as_ref().and_then(End::forbids_writing).is_some()
        {
            return;
        }
        let mut room = [0; 256];
        let partial = partial_handshake(self.has_partial_handshake, &mut self.received);
        if let Ok(len) = self.session.close(&mut room, partial) {
            self.outgoing.messages.extend_from_slice(room.get(..len).unwrap_or_default());
            self.try_send_messages(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Returns the kept bytes if they belong to a handshake message that is not whole: the library has noted
/// where it stands in them.
fn partial_handshake(is_partial: bool, received: &mut [u8]) -> &mut [u8] {
    if is_partial { received } else { &mut [] }
}

/// Whether the bytes begin with a whole record (RFC 8446 5.1: type, version, length).
pub(super) fn is_whole_record(bytes: &[u8]) -> bool {
    match bytes {
        [_, _, _, high, low, rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

impl<S: Stream> AsyncRead for Open<S> {
    #[inline(never)]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        reader: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        let before = reader.filled().len();
        loop {
            tls.take_decrypted(reader);
            if reader.filled().len() > before || reader.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(ended) = tls.ended() {
                return Poll::Ready(ended);
            }
            if tls.is_kept_whole() {
                tls.decrypt_kept(Some(reader));
            } else {
                ready!(tls.poll_receive(cx, Some(reader)))?;
            }
            tls.try_send_messages(cx);
        }
    }
}

impl<S: Stream> AsyncWrite for Open<S> {
    /// Writes whole records. Pending until one of them is gone; it is then to be called with the same bytes.
    #[inline(never)]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tls = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let Some(failure) = tls.end.as_ref().and_then(End::forbids_writing) {
            return Poll::Ready(Err(failure.clone().into()));
        }
        if !tls.outgoing.has_records() {
            ready!(tls.outgoing.poll_messages(&mut tls.socket, cx))?;
            let partial = partial_handshake(tls.has_partial_handshake, &mut tls.received);
            if let Err(failure) = tls.outgoing.begin(bytes, &mut tls.session, partial) {
                tls.end = Some(End::Failed(failure.clone()));
                return Poll::Ready(Err(failure.into()));
            }
        }
        tls.outgoing.poll_records(&mut tls.socket, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        ready!(tls.outgoing.poll_all(&mut tls.socket, cx))?;
        Pin::new(&mut tls.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        if !tls.outgoing.has_records() {
            // Said once only; later calls add nothing.
            tls.say_end();
        }
        ready!(tls.outgoing.poll_all(&mut tls.socket, cx))?;
        Pin::new(&mut tls.socket).poll_shutdown(cx)
    }
}
