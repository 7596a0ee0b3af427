//! A connection that may be encrypted.
//!
//! An idle one holds no buffer: received bytes are kept only while they are a part of a record, and bytes to
//! be sent only while the peer does not take them.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::CommonState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use super::failure::Failure;
use super::open::{End, Open, Rest};
use super::outgoing::Outgoing;
use super::session::Session;
use crate::net::stream::{Seen, Stream};

/// A connection in the clear, or one inside of TLS.
pub enum Io<S: Stream> {
    /// In the clear.
    Plain(S),
    /// Inside of TLS, after the handshake.
    Tls(Tls<S>),
}

/// A TLS connection after its handshake. When it is dropped, the peer is told that this is the end, except
/// [midway](Io::set_midway).
pub struct Tls<S: Stream> {
    /// None only while the connection is rehomed, dropped, or taken out.
    open: Option<Box<Open<S>>>,
}

impl<S: Stream> Io<S> {
    /// Returns the connection itself if it is in the clear.
    ///
    /// # Errors
    /// The connection, when it is inside of TLS.
    pub fn into_plain(self) -> Result<S, Self> {
        match self {
            Self::Plain(stream) => Ok(stream),
            Self::Tls(_) => Err(self),
        }
    }

    /// Takes the connection out, for whoever puts it back. Nothing else may be done with this until then.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Tls(Tls { open: None }))
    }

    /// Notes whether a message that was begun has not been written to its end. Where a connection ends then,
    /// the peer is not told in TLS that this is the end, and so it knows that bytes are missing.
    #[inline]
    pub fn set_midway(&mut self, is_midway: bool) {
        if let Self::Tls(tls) = self {
            tls.open_mut().is_midway = is_midway;
        }
    }

    /// What carries the connection.
    fn socket(&self) -> &S {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.open().socket,
        }
    }

    /// What was negotiated, if the connection is inside of TLS.
    pub fn negotiated(&self) -> Option<&CommonState> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls.open().session.common()),
        }
    }
}

#[cfg(test)]
impl<S: Stream> Io<S> {
    /// How many bytes the connection keeps room for.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => {
                let Open { received, decrypted, outgoing, .. } = tls.open();
                received.capacity() + decrypted.capacity() + outgoing.held()
            }
        }
    }
}

impl<S: Stream> From<S> for Io<S> {
    fn from(stream: S) -> Self {
        Self::Plain(stream)
    }
}

impl<S: Stream> fmt::Debug for Io<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if matches!(self, Self::Plain(_)) { "Io::Plain" } else { "Io::Tls" };
        f.debug_struct(name).finish_non_exhaustive()
    }
}

impl<S: Stream> Tls<S> {
    /// A connection whose handshake is complete.
    pub(super) fn new(socket: S, session: Session, rest: Rest) -> Self {
        let Rest { received, decrypted, has_partial_handshake, is_closed } = rest;
        let open = Open {
            socket,
            session,
            received,
            has_partial_handshake,
            decrypted,
            outgoing: Outgoing::default(),
            end: is_closed.then_some(End::Orderly),
            resets: AtomicBool::new(false),
            is_midway: false,
        };
        Self { open: Some(Box::new(open)) }
    }

    fn open(&self) -> &Open<S> {
        match &self.open {
            Some(open) => open,
            None => unreachable!("what takes it out owns the connection"),
        }
    }

    fn open_mut(&mut self) -> &mut Open<S> {
        match &mut self.open {
            Some(open) => open,
            None => unreachable!("what takes it out owns the connection"),
        }
    }

    fn rehome_here(mut self) -> io::Result<Self> {
        let Some(open) = self.open.take() else { return Ok(self) };
        let open = Open { socket: open.socket.rehome_here()?, ..*open };
        Ok(Self { open: Some(Box::new(open)) })
    }
}

impl<S: Stream> Drop for Tls<S> {
    fn drop(&mut self) {
        if let Some(open) = &mut self.open {
            open.say_end();
        }
    }
}

// What TLS does stays out of line, so that calls in the clear pay for nothing of it but the question.
impl<S: Stream> AsyncRead for Io<S> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        reader: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, reader),
            Self::Tls(tls) => Pin::new(tls.open_mut()).poll_read(cx, reader),
        }
    }
}

impl<S: Stream> AsyncWrite for Io<S> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls.open_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(tls) => {
                let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| &**piece);
                Pin::new(tls.open_mut()).poll_write(cx, first)
            }
        }
    }

    /// Inside of TLS each write is a record of its own, so pieces are better put together first.
    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Plain(stream) if stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.open_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.open_mut()).poll_shutdown(cx),
        }
    }
}

impl<S: Stream> Stream for Io<S> {
    type Network = S::Network;

    async fn readable(&self) {
        match self {
            Self::Plain(stream) => stream.readable().await,
            Self::Tls(tls) if tls.open().has_something() => {}
            Self::Tls(tls) => tls.open().socket.readable().await,
        }
    }

    fn gone(&self) -> impl Future<Output = ()> + Send {
        self.socket().gone()
    }

    async fn closed(&self) {
        match self {
            Self::Plain(stream) => stream.closed().await,
            Self::Tls(tls) if tls.open().end.is_some() => {}
            Self::Tls(tls) => tls.open().socket.closed().await,
        }
    }

    fn look(&mut self) -> Seen {
        match self {
            Self::Plain(stream) => stream.look(),
            Self::Tls(tls) => tls.open_mut().see(Stream::look),
        }
    }

    #[inline]
    fn glance(&mut self) -> Seen {
        match self {
            Self::Plain(stream) => stream.glance(),
            Self::Tls(tls) => tls.open_mut().see(Stream::glance),
        }
    }

    fn poll_seen(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        match self {
            Self::Plain(stream) => stream.poll_seen(cx),
            Self::Tls(tls) => tls.open_mut().poll_seen(cx),
        }
    }

    fn rehome_here(self) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => stream.rehome_here().map(Self::Plain),
            Self::Tls(tls) => tls.rehome_here().map(Self::Tls),
        }
    }

    fn reset_on_close(&self) {
        match self {
            Self::Plain(stream) => stream.reset_on_close(),
            Self::Tls(tls) => {
                tls.open().resets.store(true, Ordering::Relaxed);
                tls.open().socket.reset_on_close();
            }
        }
    }

    fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket().set_user_timeout(timeout)
    }
}
