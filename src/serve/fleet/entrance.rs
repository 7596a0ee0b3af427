//! The listeners by which clients reach a fleet.

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::ids::Service;
use crate::net::stream::Stream;
use crate::net::tls::server::ListenerTls;
use crate::serve::fleet::Fleet;

/// A listener's address, and the fleet behind it.
#[derive(Clone, Debug)]
pub struct Entrance<S: Stream = TcpStream> {
    /// The address as configured.
    pub name: Arc<str>,
    /// The fleet that its connections go to.
    pub fleet: Arc<Fleet<S>>,
    /// The service whose port is used until the client's bytes tell which one it needs.
    pub service: Service,
    /// TLS with a certificate of the router; `None` if TLS is relayed unread.
    pub tls: Option<Arc<ListenerTls>>,
}
