//! Listens for clients: binds with errors that help, and accepts in a loop that never ends.

mod address;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep_until;

use address::plain;
pub use address::{ListenAddress, NoListenAddress};

use super::socket::SocketSettings;
use crate::clock;

/// How many connections the kernel may keep ready for the router (it cuts this to `net.core.somaxconn`):
/// after a network fault all clients reconnect at once.
const BACKLOG: u32 = 4096;
/// The first pause when the process is out of files, buffers or memory.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// Pauses double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The same warning is not logged more often than this.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another listener of this one, uses the port.
    #[error("{address} is already in use: stop the process that listens there or choose another port")]
    InUse {
        /// The address that was to be bound.
        address: ListenAddress,
    },
    /// The address is not an address of this machine.
    #[error("{address} is not an address of this machine: use one of its addresses, or *:{} for all", address.port())]
    NotOurs {
        /// The address that was to be bound.
        address: ListenAddress,
    },
    /// Ports below 1024 need a privilege.
    #[error("not permitted to listen on {address}: choose a port from 1024 up or grant CAP_NET_BIND_SERVICE")]
    NotPermitted {
        /// The address that was to be bound.
        address: ListenAddress,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address that was to be bound.
        address: ListenAddress,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Binds and listens; port 0 takes a free one. Must be called within a runtime.
///
/// # Errors
/// When the port is in use, the address is not this machine's, or the port needs a privilege.
pub fn bind(address: ListenAddress) -> Result<TcpListener, BindError> {
    let bound = match address {
        ListenAddress::One(SocketAddr::V4(one)) => TcpSocket::new_v4().and_then(|s| listen(s, one.into())),
        ListenAddress::One(SocketAddr::V6(one)) => v6(true).and_then(|socket| listen(socket, one.into())),
        ListenAddress::All { port } => match v6(false) {
            Ok(socket) => listen(socket, (Ipv6Addr::UNSPECIFIED, port).into()),
            // The kernel has no IPv6, so the IPv4 addresses are all there are.
            Err(_) => TcpSocket::new_v4().and_then(|s| listen(s, (Ipv4Addr::UNSPECIFIED, port).into())),
        },
    };
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs { address },
        io::ErrorKind::PermissionDenied => BindError::NotPermitted { address },
        _ => BindError::Other { address, source },
    })
}

/// A socket of IPv6, which takes connections of IPv4 too unless it is for `v6_only`.
fn v6(v6_only: bool) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v6()?;
    SockRef::from(&socket).set_only_v6(v6_only)?;
    Ok(socket)
}

fn listen(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpListener> {
    // Without it a restart would have to wait until the connections of the former process have timed out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// As [`bind`], with these options for every connection that is accepted: sockets inherit them from their
/// listener (Linux: `sk_clone_lock`), which saves six system calls for each.
///
/// # Errors
/// When the port is in use, the address is not this machine's, or the port needs a privilege.
pub fn bind_for_clients(address: ListenAddress, settings: &SocketSettings) -> Result<TcpListener, BindError> {
    let listener = bind(address)?;
    settings.apply(&listener).map_err(|source| BindError::Other { address, source })?;
    Ok(listener)
}

/// A source of connections.
pub trait Source: Send {
    /// The type of a connection.
    type Stream: Send;

    /// Waits for the next connection. Must be cancel-safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Source for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        Ok((stream, plain(address)))
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection, with the options of its listener.
    pub stream: S,
    /// The client's address.
    pub address: SocketAddr,
    /// Its permit, to be held as long as the connection.
    pub permit: OwnedSemaphorePermit,
}

/// Counts of what went wrong while accepting, since the start.
#[derive(Debug, Default)]
pub struct AcceptCounts {
    /// Connections that failed before they could be accepted.
    pub failed: AtomicU64,
    /// Times that the process was out of files, buffers or memory.
    pub exhausted: AtomicU64,
    /// Times that accepting stopped because all permits were taken.
    pub at_limit: AtomicU64,
}

/// Accepts connections, never more at a time than there are permits, and never gives up.
#[derive(Debug)]
pub struct Acceptor<A> {
    source: A,
    permits: Arc<Semaphore>,
    counts: Arc<AcceptCounts>,
    /// The pause before the next attempt while the process is out of something; zero otherwise.
    pause: Duration,
    resume_at: Option<Instant>,
    exhaustion_log: LogGate,
    limit_log: LogGate,
}

impl<A: Source> Acceptor<A> {
    /// `permits` may be shared by several listeners, to bound the connections of the whole process.
    pub fn new(source: A, permits: Arc<Semaphore>, counts: Arc<AcceptCounts>) -> Self {
        Self {
            source,
            permits,
            counts,
            pause: Duration::ZERO,
            resume_at: None,
            exhaustion_log: LogGate::default(),
            limit_log: LogGate::default(),
        }
    }

    /// The next connection. A permit is taken first. So clients that come at the limit wait in the kernel's
    /// queue, where they cost nothing and from where they may go elsewhere.
    ///
    /// `None` only when the semaphore of the permits was closed. Cancel-safe: no connection is lost, and a
    /// pause that was begun goes on at the next call.
    pub async fn accept(&mut self) -> Option<Accepted<A::Stream>> {
        let permit = self.permit().await?;
        loop {
            if let Some(resume_at) = self.resume_at {
                sleep_until(resume_at.into()).await;
                self.resume_at = None;
            }
            match self.source.accept().await {
                Ok((stream, address)) => {
                    self.pause = Duration::ZERO;
                    return Some(Accepted { stream, address, permit });
                }
                Err(error) => self.note(&error),
            }
        }
    }

    async fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        self.counts.at_limit.fetch_add(1, Ordering::Relaxed);
        if self.limit_log.opens(clock::now()) {
            tracing::warn!("the limit of connections is reached: new ones wait until others end");
        }
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    fn note(&mut self, error: &io::Error) {
        match Failure::of(error) {
            Failure::Connection => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a connection failed before it was accepted");
            }
            Failure::Process => {
                let now = clock::now();
                self.counts.exhausted.fetch_add(1, Ordering::Relaxed);
                self.pause = self.pause.saturating_mul(2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                self.resume_at = now.checked_add(self.pause);
                if self.exhaustion_log.opens(now) {
                    tracing::warn!(%error, "cannot accept connections: trying again until it works");
                }
            }
        }
    }
}

/// What an error of `accept` concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// One connection, which is gone: accept(2) returns pending errors of the new socket.
    Connection,
    /// This process or machine: files, buffers and memory, and everything unknown, because a pause too many
    /// does no harm and an endless loop of errors does.
    Process,
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            // EPERM comes from a firewall.
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::Connection,
            _ => Self::Process,
        }
    }
}

/// Allows a log line once in [`LOG_INTERVAL`].
#[derive(Debug, Default)]
struct LogGate {
    last: Option<Instant>,
}

impl LogGate {
    fn opens(&mut self, now: Instant) -> bool {
        let opens = self.last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_INTERVAL);
        if opens {
            self.last = Some(now);
        }
        opens
    }
}

#[cfg(test)]
mod tests;
