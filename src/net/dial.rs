//! Opening a connection to a coordinator: resolve, try every address, all within one deadline.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout_at;

use super::socket::SocketSettings;
use crate::clock;
use crate::ids::HostAndPort;

/// Where a dial went: the name as configured, not the address it stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A host name or an address literal without brackets.
    pub host: Arc<str>,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HostAndPort { host: &self.host, port: self.port }.fmt(f)
    }
}

/// A dial that failed.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {failure}")]
pub struct DialError {
    /// Where it went.
    pub place: Place,
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
    /// No way to the host or its network, or it gave up on the connection.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// This machine could not try: out of files, ports or memory, or not permitted.
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

/// Connects to `host` (a name or an address literal; resolved anew each time, because names move) and applies
/// `settings`. Every address is tried in the resolver's order; each may take an equal share of what is left of
/// `connect_timeout`, so that one that does not answer leaves time for the rest.
///
/// Cancel-safe: a dropped dial leaves nothing behind.
///
/// # Errors
/// See [`DialFailure`].
pub async fn dial(
    host: &str,
    port: u16,
    settings: &SocketSettings,
    connect_timeout: Duration,
) -> Result<TcpStream, DialError> {
    // A literal may come as it would in a URL.
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let window = Window { deadline: clock::now() + connect_timeout, allowed: connect_timeout };
    let dialed = async {
        let addresses = resolve(host, port, window).await?;
        let stream = try_all(&addresses, window, TcpStream::connect).await?;
        settings.apply(&stream).map_err(DialFailure::Unreachable)?;
        Ok(stream)
    };
    dialed.await.map_err(|failure| DialError { place: Place { host: host.into(), port }, failure })
}

/// The time that one dial has.
#[derive(Clone, Copy, Debug)]
struct Window {
    deadline: Instant,
    allowed: Duration,
}

async fn resolve(host: &str, port: u16, window: Window) -> Result<Vec<SocketAddr>, DialFailure> {
    let found = timeout_at(window.deadline.into(), lookup_host((host, port)))
        .await
        .map_err(|_elapsed| DialFailure::TimedOut { allowed: window.allowed })?
        .map_err(DialFailure::Resolve)?;
    Ok(found.collect())
}

async fn try_all<S, F: Future<Output = io::Result<S>>>(
    addresses: &[SocketAddr],
    window: Window,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, DialFailure> {
    let mut failure = DialFailure::Resolve(io::ErrorKind::NotFound.into());
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for &address in addresses {
        let now = clock::now();
        let share = window.deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        failure = match timeout_at((now + share).into(), connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => DialFailure::from_connect(error),
            Err(_elapsed) => DialFailure::TimedOut { allowed: window.allowed },
        };
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::net::TcpListener;

    use super::*;

    const SETTINGS: SocketSettings = SocketSettings { keepalive: Duration::from_mins(1), user_timeout: None };
    const ALLOWED: Duration = Duration::from_secs(3);

    async fn closed_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    }

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|last| SocketAddr::from(([192, 0, 2, last], 21050))).collect()
    }

    fn window() -> Window {
        Window { deadline: clock::now() + ALLOWED, allowed: ALLOWED }
    }

    #[tokio::test]
    async fn a_name_is_dialed_at_whichever_of_its_addresses_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "[127.0.0.1]"] {
            let stream = dial(host, port, &SETTINGS, ALLOWED).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
            assert!(stream.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn an_ipv6_literal_is_dialed() {
        // A machine without IPv6 has nothing to dial.
        let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
        let port = listener.local_addr().unwrap().port();
        for host in ["::1", "[::1]"] {
            assert!(dial(host, port, &SETTINGS, ALLOWED).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_port_without_a_listener_refuses() {
        let port = closed_port().await;
        let error = dial("127.0.0.1", port, &SETTINGS, ALLOWED).await.unwrap_err();
        assert!(matches!(error.failure, DialFailure::Refused), "{error}");
        assert_eq!(error.to_string(), format!("127.0.0.1:{port}: connection refused"));
        assert!(error.failure.is_remote());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_named() {
        let error = dial("no such host", 21050, &SETTINGS, ALLOWED).await.unwrap_err();
        assert!(matches!(error.failure, DialFailure::Resolve(_)), "{error}");
        assert!(error.to_string().starts_with("no such host:21050: the name does not resolve"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_do_not_answer_share_the_time() {
        let begun = clock::now();
        let tried = Mutex::new(Vec::new());
        let failure = try_all(&addresses(3), window(), |address| {
            tried.lock().unwrap().push((address, clock::now().saturating_duration_since(begun).as_secs()));
            std::future::pending::<io::Result<()>>()
        })
        .await
        .unwrap_err();
        assert!(matches!(failure, DialFailure::TimedOut { allowed: ALLOWED }));
        let at: Vec<u64> = tried.into_inner().unwrap().into_iter().map(|(_, second)| second).collect();
        assert_eq!(at, [0, 1, 2]);
        let took = clock::now().saturating_duration_since(begun);
        assert!(took >= ALLOWED && took < ALLOWED + Duration::from_millis(50), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_leaves_its_time_to_the_others() {
        let begun = clock::now();
        let silent_then_good = try_all(&addresses(3), window(), async |address: SocketAddr| match address {
            SocketAddr::V4(v4) if v4.ip().octets()[3] == 1 => Err(io::ErrorKind::ConnectionRefused.into()),
            SocketAddr::V4(v4) if v4.ip().octets()[3] == 2 => std::future::pending().await,
            _ => Ok(address),
        })
        .await
        .unwrap();
        assert_eq!(silent_then_good, addresses(3)[2]);
        assert_eq!(clock::now().saturating_duration_since(begun).as_millis() / 100, 15);
    }

    #[tokio::test]
    async fn our_own_exhaustion_is_not_the_coordinators_failure() {
        let failure = try_all(&addresses(1), window(), async |_| {
            Err::<(), _>(io::Error::from(io::ErrorKind::AddrNotAvailable))
        })
        .await
        .unwrap_err();
        assert!(!failure.is_remote(), "{failure}");
        let failure = try_all(&[], window(), async |_| Ok(())).await.unwrap_err();
        assert!(matches!(failure, DialFailure::Resolve(_)));
    }
}
