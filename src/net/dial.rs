//! Opens connections to coordinators: at the known address of their host, or where its name resolves to, all
//! within one deadline.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::host::{Failed, Host};
use super::stream::Network;
use super::tls::client::CoordinatorTls;
use crate::clock;
use crate::ids::HostAndPort;

/// Where a dial goes: the name as configured, not the address that it stands for.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The host.
    pub host: Host,
    /// The TCP port.
    pub port: u16,
    /// TLS there; `None` if the port is reached in the clear. [`secure`](super::tls::handshake::secure)
    /// begins it on a connection that was dialed.
    pub tls: Option<Arc<CoordinatorTls>>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HostAndPort { host: self.host.name(), port: self.port }.fmt(f)
    }
}

/// A dial that failed.
#[derive(Debug, thiserror::Error)]
#[error("{destination}: {failure}")]
pub struct DialError {
    /// Where the dial went.
    pub destination: Destination,
    /// What happened; with several addresses, at the last one tried.
    #[source]
    pub failure: DialFailure,
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum DialFailure {
    /// The name could not be resolved, or stands for no address.
    #[error("the name does not resolve: {0}")]
    Resolve(io::Error),
    /// Nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// No answer in time, from the resolver or from the last address tried.
    #[error("no answer within {allowed:?}")]
    TimedOut {
        /// What the whole dial was allowed.
        allowed: Duration,
    },
    /// There is no route to the host or its network, or the host gave up the connection.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// This machine could not try: it is out of files, ports or memory, or not permitted to.
    #[error("this machine cannot connect: {0}")]
    Local(io::Error),
}

impl DialFailure {
    /// Whether the failure is a fact about the coordinator (or the way to it) rather than about this process.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Self::Local(_))
    }

    fn from_connect(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted => Self::Unreachable(error),
            _ => Self::Local(error),
        }
    }
}

/// How often one dial may find that its host is elsewhere: the host could no longer be reached at its
/// address, or another dial has chosen another one meanwhile.
const ROUNDS: usize = 3;

/// Connects to a port of a host at the address that was chosen for the host. If the host can no longer be
/// reached there, or none was chosen yet, its name is resolved, and the first of its addresses that answers
/// is chosen (see [`super::host`]). Each address that is tried may take an equal share of what is left of
/// `connect_timeout`, so that an address that does not answer leaves time for the others.
///
/// Cancel-safe: a dropped dial leaves nothing behind.
///
/// # Errors
/// When the name does not resolve, or no address can be connected to within the deadline.
pub async fn dial<N: Network>(
    network: &N,
    destination: &Destination,
    connect_timeout: Duration,
) -> Result<N::Stream, DialError> {
    let window = Window { deadline: clock::now() + connect_timeout, allowed: connect_timeout };
    let dialed = choose_and_connect(network, destination, window).await;
    dialed.map_err(|failure| DialError { destination: destination.clone(), failure })
}

async fn choose_and_connect<N: Network>(
    network: &N,
    Destination { host, port, tls: _ }: &Destination,
    window: Window,
) -> Result<N::Stream, DialFailure> {
    let mut lost: Option<(DialFailure, Vec<IpAddr>)> = None;
    for _ in 0..ROUNDS {
        let chosen = host.addresses(*port);
        let was_chosen = chosen.is_some();
        let all = match chosen {
            Some(addresses) => addresses,
            None => match (resolve(network, host.name(), window).await, &lost) {
                (Ok(addresses), _) => addresses,
                (Err(failure), None) => return Err(failure),
                (Err(_), Some(_)) => break,
            },
        };
        // The address at which the host was just lost is not tried again.
        let is_new = |address: &IpAddr| lost.as_ref().is_none_or(|(_, tried)| !tried.contains(address));
        let addresses: Vec<IpAddr> = all.iter().copied().filter(is_new).collect();
        if addresses.is_empty() && lost.is_some() {
            break;
        }
        match try_all(&addresses, *port, window, |address| network.connect(address)).await {
            Ok((stream, address)) if host.note_connected(*port, address, &all) => return Ok(stream),
            // Another dial has chosen another address meanwhile, so try that.
            Ok(_) => {}
            Err(failure) if !failure.is_remote() => return Err(failure),
            Err(failure) => match host.note_failed(*port, &addresses) {
                Failed::Lost if was_chosen => lost = Some((failure, addresses)),
                Failed::Lost | Failed::There => return Err(failure),
            },
        }
    }
    Err(lost.map_or(DialFailure::TimedOut { allowed: window.allowed }, |(failure, _)| failure))
}

/// The time that one dial has.
#[derive(Clone, Copy, Debug)]
struct Window {
    deadline: Instant,
    allowed: Duration,
}

/// The addresses of a name; of a literal the one that it is.
async fn resolve<N: Network>(network: &N, name: &str, window: Window) -> Result<Vec<IpAddr>, DialFailure> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    timeout_at(window.deadline.into(), network.resolve(name))
        .await
        .map_err(|_elapsed| DialFailure::TimedOut { allowed: window.allowed })?
        .map_err(DialFailure::Resolve)
}

async fn try_all<S, F: Future<Output = io::Result<S>>>(
    addresses: &[IpAddr],
    port: u16,
    window: Window,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(S, IpAddr), DialFailure> {
    let mut failure = DialFailure::Resolve(io::ErrorKind::NotFound.into());
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for &address in addresses {
        let now = clock::now();
        let share = window.deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        failure = match timeout_at((now + share).into(), connect((address, port).into())).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => DialFailure::from_connect(error),
            Err(_elapsed) => DialFailure::TimedOut { allowed: window.allowed },
        };
    }
    Err(failure)
}

#[cfg(test)]
mod tests;
