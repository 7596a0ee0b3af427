//! How clients come to a fleet.

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;

/// An address that is listened on.
#[derive(Clone, Debug)]
pub struct Entrance<S: Stream = TcpStream> {
    /// The address as configured.
    pub name: Arc<str>,
    /// Where its connections go.
    pub fleet: Arc<Fleet<S>>,
    /// The coordinators' port until the bytes tell.
    pub service: Service,
}
