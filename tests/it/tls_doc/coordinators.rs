//! Simulated coordinators that can be reached in the clear and with TLS, on ports of their own.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hs2router::fake::{Coordinator, Settings};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A coordinator with TLS in front of its ports.
pub(super) struct Simulated {
    coordinator: Coordinator,
    hs2: SocketAddr,
    hs2_http: SocketAddr,
    web: SocketAddr,
}

/// The ports of a coordinator that the router uses.
pub(super) struct Ports {
    pub(super) hs2: u16,
    pub(super) hs2_http: u16,
    pub(super) web: u16,
}

impl Simulated {
    /// `name`: that of its files `NAME.crt` and `NAME.key`, which may come later.
    pub(super) fn start(name: &str, folder: &Path, runtime: &Runtime) -> Self {
        let coordinator =
            Coordinator::start(Settings { name: name.to_owned(), ..Settings::default() }).unwrap();
        let front = |to| runtime.block_on(front(to, folder.join(name)));
        Self {
            hs2: front(coordinator.hs2()),
            hs2_http: front(coordinator.hs2_http()),
            web: front(coordinator.web()),
            coordinator,
        }
    }

    pub(super) fn ports(&self, tls: bool) -> Ports {
        let Self { coordinator, hs2, hs2_http, web } = self;
        let clear = [coordinator.hs2(), coordinator.hs2_http(), coordinator.web()];
        let [hs2, hs2_http, web] = if tls { [*hs2, *hs2_http, *web] } else { clear };
        Ports { hs2: hs2.port(), hs2_http: hs2_http.port(), web: web.port() }
    }
}

/// Takes TLS off what comes, and passes it on.
async fn front(to: SocketAddr, files: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let files = files.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate leaves; the test sees it there.
                let _left = pass(stream, to, &files).await;
            });
        }
    });
    address
}

async fn pass(stream: TcpStream, to: SocketAddr, files: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut outside = TlsAcceptor::from(config(files)?).accept(stream).await?;
    let mut inside = TcpStream::connect(to).await?;
    copy_bidirectional(&mut outside, &mut inside).await?;
    Ok(())
}

/// Reads the files, as an Impala does at its start.
fn config(files: &Path) -> Result<Arc<ServerConfig>, Box<dyn Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(files.with_extension("crt"))?.collect();
    let key = PrivateKeyDer::from_pem_file(files.with_extension("key"))?;
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_no_client_auth().with_single_cert(chain?, key)?))
}
