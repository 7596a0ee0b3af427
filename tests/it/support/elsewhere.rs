//! Clients that come from other addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(feature = "kerberos")]
use std::sync::atomic::{AtomicU16, Ordering};

use hs2router::fake::sasl::Framing;
use socket2::{Domain, Socket, Type};

use super::talk::Talk;

/// Another address of this machine than the one that clients usually have.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A client without SASL that comes from `address`.
pub(crate) fn connect_from(address: Ipv4Addr, to: SocketAddr) -> Talk {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::V4(address), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Talk::over(socket.into(), Framing::None)
}

/// A client without SASL that comes from an address which no other has, so that it is not slowed down for what
/// others did.
#[cfg(feature = "kerberos")]
pub(crate) fn connect_from_a_new_address(to: SocketAddr) -> Talk {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    connect_from(Ipv4Addr::new(127, 1, high, low), to)
}
