//! Clients that come from other addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
