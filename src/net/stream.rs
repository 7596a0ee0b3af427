//! What the data path needs of a connection besides reading and writing: to notice that the other side left,
//! without taking a byte that somebody else is to read.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::host::Resolver;
use super::socket::{self, SocketSettings};

/// A connection to a client or to a coordinator.
pub trait Stream: Sized + AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// What such connections are opened by.
    type Network: Network<Stream = Self>;

    /// Resolves when reading would find something: bytes, an end or an error. May resolve early.
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

    /// What reading would find at this moment; asks the kernel, so that a FIN which arrived a microsecond ago
    /// is seen.
    fn look(&self) -> Seen;

    /// As [`Self::look`], without asking the kernel unless the runtime has been told of something since the
    /// last read: what arrived in this very moment may be missed.
    fn glance(&self) -> Seen;

    /// What reading would find, as soon as it would find something; until then the task is woken when it
    /// does. Reads nothing, and asks the kernel only when the runtime has been told of something.
    fn poll_seen(&self, cx: &mut Context<'_>) -> Poll<Seen>;

    /// Has the runtime in which this is called wait for it from now on, in place of the one in which it was
    /// opened: each time that one finds something for a task of another, it has to wake the other's thread.
    ///
    /// # Errors
    /// The kernel's. The connection is then gone.
    fn settle_here(self) -> io::Result<Self>;

    /// Makes the close at drop a reset that discards unsent bytes, so that the peer does not take it for an
    /// orderly end.
    fn reset_on_close(&self);

    /// Sets or clears `TCP_USER_TIMEOUT` (see [`socket::set_user_timeout`]).
    ///
    /// # Errors
    /// The kernel's.
    fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

/// What connections are opened by: sockets, or what stands in their place.
pub trait Network: Clone + fmt::Debug + Send + Sync + 'static {
    /// What it opens.
    type Stream: Stream<Network = Self>;

    /// The addresses that a host name stands for, each once, in the order in which they are to be tried.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The resolver's.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;

    /// Connects to an address, for as long as that takes: who dials (see [`dial`](super::dial::dial)) has a
    /// deadline. Cancel-safe.
    ///
    /// # Errors
    /// The kernel's.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The options of every connection.
    pub settings: SocketSettings,
    /// What knows the addresses of names.
    pub resolver: Resolver,
}

impl Network for Sockets {
    type Stream = TcpStream;

    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.resolver.resolve(name).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // It is connected no more.
        self.settings.apply(&stream).map_err(|_| io::ErrorKind::ConnectionReset)?;
        Ok(stream)
    }
}

/// What [`Stream::look`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing to read, and the peer has not closed.
    Nothing,
    /// Bytes that nobody read yet; what comes after them cannot be seen.
    Bytes,
    /// A FIN or a reset.
    End,
}

impl Stream for TcpStream {
    type Network = Sockets;

    async fn readable(&self) {
        // An error is something that reading would find.
        let _ready = Self::readable(self).await;
    }

    async fn gone(&self) {
        // An error is something to read, too, and while there is nothing to read this is the cheaper way to
        // wait.
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

    fn look(&self) -> Seen {
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(self).peek(&mut byte) {
            Ok(0) => Seen::End,
            Ok(_) => Seen::Bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Seen::Nothing
            }
            Err(_) => Seen::End,
        }
    }

    fn glance(&self) -> Seen {
        match self.poll_read_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Seen::Nothing,
            Poll::Ready(_) => self.look(),
        }
    }

    fn poll_seen(&self, cx: &mut Context<'_>) -> Poll<Seen> {
        loop {
            if ready!(self.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Seen::End);
            }
            // What the runtime was told may have been read since: if so, this has it wait for more.
            let seen = self.try_io(Interest::READABLE, || match self.look() {
                Seen::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                seen => Ok(seen),
            });
            if let Ok(seen) = seen {
                return Poll::Ready(seen);
            }
        }
    }

    fn settle_here(self) -> io::Result<Self> {
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

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;
