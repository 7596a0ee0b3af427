//! What to listen on: an address, all addresses of a family, or all addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Where to listen.
///
/// `[::]` stands for the IPv6 addresses only, as in nginx and `HAProxy`, so that it can be used beside
/// `0.0.0.0`; the kernel's own reading depends on `net.ipv6.bindv6only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address, or all of its family: `10.0.0.1:21050`, `0.0.0.0:21050`, `[::]:21050`.
    One(SocketAddr),
    /// All addresses of both families: `*:21050`.
    All {
        /// The port.
        port: u16,
    },
}

/// The text is not an address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an IP address and a port")]
pub struct NoListenAddress;

impl From<SocketAddr> for ListenAddress {
    /// An IPv4 address that is written as one of IPv6 is an IPv4 address.
    fn from(address: SocketAddr) -> Self {
        Self::One(plain(address))
    }
}

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        if let Some(port) = text.strip_prefix("*:") {
            return Ok(Self::All { port: port.parse().map_err(|_| NoListenAddress)? });
        }
        text.parse::<SocketAddr>().map(Self::from).map_err(|_| NoListenAddress)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(f),
            Self::All { port } => write!(f, "*:{port}"),
        }
    }
}

impl ListenAddress {
    /// The port; 0 stands for a free one.
    pub fn port(self) -> u16 {
        match self {
            Self::One(address) => address.port(),
            Self::All { port } => port,
        }
    }

    /// All addresses, or this one.
    pub fn of(ip: Option<IpAddr>, port: u16) -> Self {
        ip.map_or(Self::All { port }, |ip| SocketAddr::new(ip, port).into())
    }

    /// The same with another port.
    #[must_use]
    pub fn with_port(mut self, another: u16) -> Self {
        match &mut self {
            Self::One(address) => address.set_port(another),
            Self::All { port } => *port = another,
        }
        self
    }

    /// Whether the two cannot be listened on at the same time.
    pub fn clashes(self, other: Self) -> bool {
        if self.port() == 0 || self.port() != other.port() {
            return false;
        }
        let (Self::One(one), Self::One(other)) = (self, other) else { return true };
        match (one, other) {
            (SocketAddr::V4(one), SocketAddr::V4(other)) => {
                one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified()
            }
            (SocketAddr::V6(one), SocketAddr::V6(other)) => {
                // A link-local address is a different one on each link.
                let is_local = one.ip().is_unicast_link_local();
                let same = one.ip() == other.ip() && (!is_local || one.scope_id() == other.scope_id());
                same || one.ip().is_unspecified() || other.ip().is_unspecified()
            }
            _ => false,
        }
    }
}

/// Turns an IPv4 address in the form of IPv6, as sockets of both families report it, into IPv4.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::super::{BindError, Source, bind};
    use super::*;

    fn at(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_prints_as_it_is_written() {
        for text in ["0.0.0.0:21050", "10.0.0.1:0", "[::]:21050", "[fe80::1%3]:1", "*:21050"] {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at("[::ffff:10.0.0.1]:5"), at("10.0.0.1:5"));
        for text in ["", "*", "*:", "*:65536", "[*]:1", "localhost:1", "::1", ":21050"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(NoListenAddress), "{text}");
        }
    }

    /// What the kernel says is tried with each pair, on a port that the first of them gets.
    #[tokio::test]
    async fn what_clashes_is_what_the_kernel_does_not_bind() {
        if bind(at("[::1]:0")).is_err() {
            // A machine without IPv6 has half of them only.
            return;
        }
        let hosts = [
            "0.0.0.0",
            "127.0.0.1",
            "127.0.0.2",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:0.0.0.0]",
            "*",
        ];
        let mut clashes = 0;
        for one in hosts {
            for other in hosts {
                // Somebody else may have the port on the other's address: another port then.
                let (first, second, bound) = (0..20)
                    .map(|_| {
                        let bound = bind(at(&format!("{one}:0"))).unwrap();
                        let first = at(&format!("{one}:0")).with_port(bound.local_addr().unwrap().port());
                        let second = at(&format!("{other}:{}", first.port()));
                        (first, second, bind(second).map(drop))
                    })
                    .find(|(first, second, bound)| first.clashes(*second) || bound.is_ok())
                    .unwrap_or_else(|| panic!("{one} and {other} cannot be bound together"));
                assert_eq!(first.clashes(second), second.clashes(first));
                if first.clashes(second) {
                    clashes += 1;
                    assert!(matches!(bound, Err(BindError::InUse { .. })), "{first} and {second}: {bound:?}");
                }
            }
        }
        assert!(clashes > 30 && clashes < 64, "{clashes}");
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families_and_clients_have_their_own() {
        let mut listener = bind(at("*:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "::1"] {
            if bind(at("[::1]:0")).is_err() && host == "::1" {
                continue;
            }
            let client = TcpStream::connect((host, port)).await.unwrap();
            let (_accepted, address) = Source::accept(&mut listener).await.unwrap();
            assert_eq!(address, client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn all_addresses_of_ipv6_are_none_of_ipv4() {
        // Another program may have the same port of IPv4.
        for _ in 0..5 {
            let Ok(listener) = bind(at("[::]:0")) else { return };
            let port = listener.local_addr().unwrap().port();
            assert!(TcpStream::connect(("::1", port)).await.is_ok());
            if TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                return;
            }
        }
        panic!("clients of IPv4 are let in");
    }
}
