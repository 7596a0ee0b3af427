//! Ports that are kept free for a server: for one that cannot choose its own, or that is to come back on the same.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 that no test beside this one gets, as long as the value is there. Only a server that asks for it by
/// its number can listen on it, if it sets `SO_REUSEADDR`, as servers do: Linux lets it, because this socket does not listen.
#[derive(Debug)]
pub(crate) struct KeptPort(Socket);

impl KeptPort {
    /// Keeps a port; 0: any that is free.
    ///
    /// # Errors
    ///
    /// When somebody listens there.
    pub(crate) fn take(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Or connections that were cut would keep it.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        Ok(Self(socket))
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        let address = self.0.local_addr().expect("it is bound").as_socket();
        address.expect("it is an address of IPv4").port()
    }
}
