//! Relays that begin or end TLS: what makes a simulated coordinator one with TLS, and a client in the clear
//! one that uses TLS. They are made with tokio-rustls and share no code with the router.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What was agreed in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) version: ProtocolVersion,
    pub(crate) is_resumed: bool,
    /// The name that the client asked for, where this was the server.
    pub(crate) server_name: Option<String>,
    /// Whether the other side showed a certificate.
    pub(crate) has_certificate: bool,
}

/// A relay on a free port of 127.0.0.1, which ends with the value.
pub(crate) struct Relay {
    address: SocketAddr,
    handshakes: Arc<Mutex<Vec<Result<Agreed, String>>>>,
    way: Arc<Mutex<Way>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    runtime: Option<Runtime>,
}

/// Both sides of a relay.
trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

/// What a relay does with a connection, and what it then knows of the handshake.
#[derive(Clone)]
enum Way {
    Ends(TlsAcceptor),
    Begins(TlsConnector, ServerName<'static>),
}

impl Relay {
    /// Ends the TLS of clients, and passes what is in it on in the clear.
    pub(crate) fn ending_tls(to: SocketAddr, config: Arc<ServerConfig>) -> Self {
        Self::start(to, Way::Ends(TlsAcceptor::from(config)))
    }

    /// Passes what comes in the clear on with TLS, to a server that it expects to have this name.
    pub(crate) fn beginning_tls(to: SocketAddr, config: ClientConfig, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Self::start(to, Way::Begins(TlsConnector::from(Arc::new(config)), name))
    }

    fn start(to: SocketAddr, way: Way) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let handshakes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&handshakes);
        let (way, connections) = (Arc::new(Mutex::new(way)), Arc::new(Mutex::new(Vec::new())));
        let (in_use, open) = (Arc::clone(&way), Arc::clone(&connections));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let way = in_use.lock().unwrap().clone();
                let connection = tokio::spawn(pass_on(client, to, way, Arc::clone(&seen)));
                open.lock().unwrap().push(connection.abort_handle());
            }
        });
        Self { address, handshakes, way, connections, runtime: Some(runtime) }
    }

    /// Cuts all connections, and ends the TLS of later ones with this.
    pub(crate) fn restart(&self, config: ServerConfig) {
        *self.way.lock().unwrap() = Way::Ends(TlsAcceptor::from(Arc::new(config)));
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What all handshakes came to so far.
    pub(crate) fn handshakes(&self) -> Vec<Result<Agreed, String>> {
        self.handshakes.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn pass_on(
    client: TcpStream,
    to: SocketAddr,
    way: Way,
    handshakes: Arc<Mutex<Vec<Result<Agreed, String>>>>,
) {
    drop(client.set_nodelay(true));
    let note = |result| handshakes.lock().unwrap().push(result);
    let (mut client, mut server): (Box<dyn Pipe>, Box<dyn Pipe>) = match way {
        Way::Ends(acceptor) => match acceptor.accept(client).await {
            Err(error) => return note(Err(error.to_string())),
            Ok(client) => {
                let state = client.get_ref().1;
                note(Ok(agreed(state, state.server_name())));
                let Ok(server) = TcpStream::connect(to).await else { return };
                drop(server.set_nodelay(true));
                (Box::new(client), Box::new(server))
            }
        },
        Way::Begins(connector, name) => {
            let Ok(server) = TcpStream::connect(to).await else { return };
            drop(server.set_nodelay(true));
            match connector.connect(name, server).await {
                Err(error) => return note(Err(error.to_string())),
                Ok(server) => {
                    note(Ok(agreed(server.get_ref().1, None)));
                    (Box::new(client), Box::new(server))
                }
            }
        }
    };
    // However it ends, both sides then end.
    drop(copy_bidirectional(&mut client, &mut server).await);
}

fn agreed(state: &rustls::CommonState, server_name: Option<&str>) -> Agreed {
    Agreed {
        version: state.protocol_version().expect("the handshake is complete"),
        is_resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        server_name: server_name.map(str::to_owned),
        has_certificate: state.peer_certificates().is_some_and(|chain| !chain.is_empty()),
    }
}
