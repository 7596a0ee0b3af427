//! Ports that are kept free for a server, for one that cannot choose its own or that is to come back on the
//! same; and those that nobody listens or accepts on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 that no test beside this one gets, as long as the value is there. Only a server that
/// asks for it by its number can listen on it, if it sets `SO_REUSEADDR`, as servers do: Linux lets it,
/// because this socket does not listen.
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

/// The address of a port that nobody listens on.
pub(crate) fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A port that nobody accepts on, with no place left in its queue: to dial it takes as long as the dialing
/// side allows.
#[derive(Debug)]
pub(crate) struct Hanging {
    listener: Socket,
    _filling: Vec<TcpStream>,
}

impl Hanging {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        Self { _filling: fill(address), listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}

/// Connects until nobody is let in any more.
pub(super) fn fill(address: SocketAddr) -> Vec<TcpStream> {
    std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()).collect()
}
