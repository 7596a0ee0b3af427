//! What the data path needs of a connection besides reading and writing: to notice that the other side has
//! left without taking bytes that are for another reader.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::host::Resolver;
use super::socket::{self, SocketSettings};

/// A connection to a client or to a coordinator.
pub trait Stream: Sized + AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// Opens connections to coordinators for clients that come on connections of this type. Those may be of
    /// another type: [`LinkStream`].
    type Network: Network;

    /// Resolves when a read would find something: bytes, an end or an error. May resolve early.
    ///
    /// Reads nothing; cancel-safe.
    fn readable(&self) -> impl Future<Output = ()> + Send;

    /// Resolves when the connection is dead: reset by the peer, or given up by the kernel (keepalive, user
    /// timeout). Unread bytes and a FIN, after which the peer may still read, do not resolve it.
    ///
    /// Reads nothing; cancel-safe.
    fn gone(&self) -> impl Future<Output = ()> + Send;

    /// Resolves when the peer will send no more: it sent a FIN or a reset. Unread bytes neither resolve nor
    /// delay it.
    ///
    /// Reads nothing; cancel-safe.
    fn closed(&self) -> impl Future<Output = ()> + Send;

    /// What a read would find at this moment. It asks the kernel, so that even a FIN that arrived a
    /// microsecond ago is seen.
    fn look(&mut self) -> Seen;

    /// As [`Self::look`], but asks the kernel only if the runtime has had an event since the last read; so
    /// what arrived at this very moment may be missed.
    fn glance(&mut self) -> Seen;

    /// What a read would find, as soon as it would find something; until then the task is woken when it does.
    /// Reads nothing, and asks the kernel only when the runtime has had an event.
    fn poll_seen(&mut self, cx: &mut Context<'_>) -> Poll<Seen>;

    /// Registers the connection with the current runtime, in place of the one in which it was opened: a
    /// runtime that gets an event for a task of another one has to wake the other's thread each time.
    ///
    /// # Errors
    /// When the kernel refuses; the connection is then gone.
    fn rehome_here(self) -> io::Result<Self>;

    /// Makes the close at drop a reset, which discards unsent bytes, so that the peer does not take it for an
    /// orderly end.
    fn reset_on_close(&self);

    /// Sets or clears `TCP_USER_TIMEOUT` (see [`socket::set_user_timeout`]).
    ///
    /// # Errors
    /// When the kernel refuses, for example because the socket is no longer connected.
    fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

/// The connections to coordinators where clients come on connections of type `S`.
pub type LinkStream<S> = <<S as Stream>::Network as Network>::Stream;

/// Opens connections: as sockets, or as something in their place.
pub trait Network: Clone + fmt::Debug + Send + Sync + 'static {
    /// The connections that it opens.
    type Stream: Stream;

    /// The addresses that a host name stands for, each once, in the order in which they are to be tried.
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the name does not resolve.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;

    /// Connects to an address, however long that takes; the deadline is the caller's (see
    /// [`dial`](super::dial::dial)). Cancel-safe.
    ///
    /// # Errors
    /// When the connection fails, for example because it is refused.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The options of every connection.
    pub settings: SocketSettings,
    /// Resolves names.
    pub resolver: Resolver,
}

impl Network for Sockets {
    type Stream = TcpStream;

    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.resolver.resolve(name).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // The socket is no longer connected.
        self.settings.apply(&stream).map_err(|_| io::ErrorKind::ConnectionReset)?;
        Ok(stream)
    }
}

/// What [`Stream::look`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing to read, and the peer has not closed.
    Nothing,
    /// Unread bytes; what comes after them cannot be seen.
    Bytes,
    /// A FIN or a reset.
    End,
}

impl Stream for TcpStream {
    type Network = Sockets;

    async fn readable(&self) {
        // An error is something that a read would find.
        let _ready = Self::readable(self).await;
    }

    async fn gone(&self) {
        // An error is something to read as well, and while there is nothing to read this is the cheaper way
        // to wait.
        let _ready = poll_fn(|cx| self.poll_read_ready(cx)).await;
        // An error readiness never goes away by itself, and unread bytes do not satisfy this interest: no
        // spinning.
        Box::pin(async {
            while let Ok(ready) = self.ready(Interest::ERROR).await {
                if ready.is_error() {
                    return;
                }
            }
        })
        .await;
    }

    async fn closed(&self) {
        // The one interest that a FIN satisfies and unread bytes do not. Urgent data would satisfy it too,
        // but tokio registers streams without it.
        while let Ok(ready) = self.ready(Interest::PRIORITY).await {
            if ready.is_read_closed() {
                return;
            }
        }
    }

    fn look(&mut self) -> Seen {
        peek(self)
    }

    fn glance(&mut self) -> Seen {
        // To poll for readiness would register the task, too.
        match self.try_io(Interest::READABLE, || Ok(())) {
            Err(_) => Seen::Nothing,
            Ok(()) => self.look(),
        }
    }

    fn poll_seen(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        loop {
            if ready!(self.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Seen::End);
            }
            // The event of the runtime may be about bytes that were read since; if so, this makes it wait for
            // more.
            let seen = self.try_io(Interest::READABLE, || match peek(self) {
                Seen::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                seen => Ok(seen),
            });
            if let Ok(seen) = seen {
                return Poll::Ready(seen);
            }
        }
    }

    fn rehome_here(self) -> io::Result<Self> {
        Self::from_std(self.into_std()?)
    }

    fn reset_on_close(&self) {
        // Fails only for a socket that is already dead.
        let _set = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        socket::set_user_timeout(self, timeout)
    }
}

/// Asks the kernel what a read would find.
fn peek(stream: &TcpStream) -> Seen {
    let mut byte = [MaybeUninit::uninit()];
    match SockRef::from(stream).peek(&mut byte) {
        Ok(0) => Seen::End,
        Ok(_) => Seen::Bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Seen::Nothing
        }
        Err(_) => Seen::End,
    }
}

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;
