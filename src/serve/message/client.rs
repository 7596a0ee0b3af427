//! The client's connection: the socket, and the bytes that were read from it and not used yet.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{FutureExt, TryFutureExt};
use rustls::ServerConfig;
use zeroize::Zeroize as _;

use crate::ids::ClientAddress;
use crate::net::flow::{self, Chunk};
use crate::net::per_address::Admitted;
use crate::net::scratch::Scratch;
use crate::net::stream::{Seen, Stream};
use crate::net::tls::handshake::{Bounds, Broken, accept};
use crate::net::tls::io::Io;
use crate::serve::message::end::End;
use crate::wire::detect::Speech;

/// The most bytes that one read takes from a client (16 KiB). Bytes behind the current request stay in
/// `pending`, which no budget of memory counts, until that request is answered. That may never happen, so the
/// limit must be small enough for thousands of such clients.
pub(crate) const READ_LIMIT: usize = 16 << 10;

/// A client's connection. `pending` holds what was read and not used yet; it is empty while the connection
/// idles.
#[derive(Debug)]
pub(crate) struct Client<S: Stream> {
    /// The connection.
    pub stream: Io<S>,
    /// Bytes that were read and not used.
    pub pending: Unused,
    /// The address that the client connected from, to the router or to a balancer in front of it, as far as
    /// bounds go.
    pub address: ClientAddress,
    /// The same address, as others are told of it.
    pub ip: IpAddr,
    /// Counts the connection among those of its address.
    pub admitted: Admitted,
}

/// Bytes that were read and not used. They may hold a password, so they are zeroed when they are dropped.
#[derive(Debug, Default)]
pub(crate) struct Unused(BytesMut);

impl Unused {
    /// Takes the bytes out; whoever has them now has to see to what they hold.
    pub(crate) fn take(&mut self) -> BytesMut {
        std::mem::take(&mut self.0)
    }
}

impl From<BytesMut> for Unused {
    fn from(bytes: BytesMut) -> Self {
        Self(bytes)
    }
}

impl Deref for Unused {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.0
    }
}

impl DerefMut for Unused {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.0
    }
}

impl Drop for Unused {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<S: Stream> Client<S> {
    /// Wraps a connection from which nothing was read yet.
    pub(crate) fn new(stream: S, ip: IpAddr) -> Self {
        let (stream, pending, admitted) = (stream.into(), Unused::default(), Admitted::default());
        Self { stream, pending, address: ip.into(), ip, admitted }
    }

    /// Notes that a balancer has said where the client comes from.
    pub(crate) fn come_from(&mut self, ip: IpAddr) {
        (self.address, self.ip) = (ip.into(), ip);
    }

    /// Returns whether the client will send no more: it has left, or has at least finished sending. Bytes
    /// that it sent before that may still be unread.
    pub(crate) fn has_closed(&mut self) -> bool {
        self.stream.look() == Seen::End || self.stream.closed().now_or_never().is_some()
    }

    /// Whether the client has begun TLS with whatever coordinator its bytes reach; a single byte of a hello
    /// is enough.
    pub(crate) fn brings_tls(&self) -> bool {
        self.stream.negotiated().is_none() && Speech::guess(&self.pending) == Some(Speech::Tls)
    }

    /// Registers the connection with the runtime that this is called in.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the kernel refuses to register the socket.
    pub(crate) fn rehome_here(self) -> Result<Self, End> {
        let stream = self.stream.rehome_here().map_err(End::ClientGone)?;
        Ok(Self { stream, ..self })
    }

    /// Reads the next bytes; an empty chunk means that the client has finished sending. Cancel-safe.
    ///
    /// Many clients close a TLS connection without saying so in TLS. That is an end like any other here,
    /// because a message itself says whether it is whole.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the connection is broken.
    pub(crate) fn read(&mut self) -> impl Future<Output = Result<Chunk, End>> {
        flow::read_at_most(&mut self.stream, READ_LIMIT).map(|read| match read {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Chunk::nothing()),
            read => read.map_err(End::ClientGone),
        })
    }

    /// Does the TLS handshake with a client in the clear that began one.
    ///
    /// Nothing happens to a connection that is inside of TLS already.
    ///
    /// # Errors
    /// When the handshake fails.
    pub(crate) async fn begin_tls(
        self,
        config: Arc<ServerConfig>,
        bounds: Bounds<'_>,
    ) -> Result<Self, Broken<S>> {
        let Self { stream, mut pending, address, ip, admitted } = self;
        let socket = match stream.into_plain() {
            Ok(socket) => socket,
            Err(stream) => return Ok(Self { stream, pending, address, ip, admitted }),
        };
        let stream = accept(socket, pending.take().into(), config, bounds).await?;
        Ok(Self { stream, pending, address, ip, admitted })
    }

    /// Says how a client ended that will send no more: with an orderly close, or with a broken connection.
    pub(crate) async fn left(&mut self) -> End {
        self.read().await.err().unwrap_or(End::ClientClosed)
    }

    /// Reads the next bytes and appends them to `pending`; false if the client has finished sending.
    /// Cancel-safe. Leaves no copy behind, because they may hold a password.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the connection is broken.
    pub(crate) async fn more(&mut self) -> Result<bool, End> {
        let mut chunk = self.read().await?;
        append(&mut self.pending, &chunk);
        let has_more = !chunk.is_empty();
        if let Some(copied) = chunk.own_mut() {
            copied.zeroize();
        }
        Ok(has_more)
    }

    /// Sends bytes. The client must take some of them every `stall`.
    ///
    /// # Errors
    /// [`End::ClientStalled`], when the client takes no byte for `stall`; [`End::ClientGone`], when the
    /// connection is broken.
    pub(crate) fn send(&mut self, bytes: &[u8], stall: Duration) -> impl Future<Output = Result<(), End>> {
        flow::write_all(&mut self.stream, bytes, stall).map_err(|(error, _)| End::untaken(error))
    }

    /// Sends two pieces, one behind the other, as [`Self::send`] does.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn send_both(
        &mut self,
        head: Scratch,
        piece: &[u8],
        stall: Duration,
    ) -> impl Future<Output = Result<(), End>> {
        flow::write_both(&mut self.stream, head, piece, stall).map_err(|(error, _)| End::untaken(error))
    }
}

/// Appends bytes. What has to grow leaves nothing where it was.
fn append(pending: &mut BytesMut, bytes: &[u8]) {
    if !pending.is_empty() && pending.capacity() - pending.len() < bytes.len() {
        let mut larger = BytesMut::with_capacity((pending.len() + bytes.len()).max(2 * pending.capacity()));
        larger.extend_from_slice(pending);
        std::mem::replace(pending, larger).zeroize();
    }
    pending.extend_from_slice(bytes);
}
