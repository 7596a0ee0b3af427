//! A certificate, and clients that come with TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tempfile::TempDir;

use crate::support::message::{Message, Value, open_session};
use crate::support::router::{SELDOM, TestRouter};
use crate::support::talk::PATIENCE;

/// The files of a certificate that both the router and coordinators have, and what trusts it.
pub(crate) struct Files {
    folder: TempDir,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

pub(crate) static FILES: LazyLock<Files> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("both.pem"), certificate.pem() + &key.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Files { folder, server: Arc::new(server), client: Arc::new(client) }
});

impl Files {
    /// Keys of `[listener]`.
    pub(crate) fn listener(&self) -> String {
        format!("tls = {{ certificate = \"{}/both.pem\" }}\n", self.folder.path().display())
    }

    /// Keys of `[[cluster]]`.
    pub(crate) fn cluster(&self) -> String {
        format!("tls = {{ ca = \"{}/ca.pem\" }}\n", self.folder.path().display())
    }
}

/// A router with TLS on both sides, in front of one coordinator.
pub(crate) fn router(coordinator: SocketAddr, keys: &str) -> TestRouter {
    let port = coordinator.port();
    TestRouter::start(&format!(
        "[router]\n{keys}\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n{}\
         [[cluster]]\nname = \"test\"\nflavor = \"impala\"\n{SELDOM}\nshare_links = false\nservice_threads = 0\n{}\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}]\n",
        FILES.listener(),
        FILES.cluster(),
    ))
}

/// A client inside of TLS.
pub(crate) struct Secret {
    pub(crate) tls: StreamOwned<ClientConnection, TcpStream>,
}

impl Secret {
    /// After the handshake.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(&FILES.client), name).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).unwrap();
        }
        Self { tls }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).unwrap();
        self.tls.flush().unwrap();
    }

    pub(crate) fn hear(&mut self) -> io::Result<Message> {
        Message::read(&mut self.tls)
    }

    pub(crate) fn call(&mut self, message: &Message) -> Message {
        self.send(&message.encode());
        let reply = self.hear().unwrap_or_else(|error| panic!("no reply to {}: {error}", message.name));
        assert_eq!((&reply.name, reply.seqid), (&message.name, message.seqid));
        reply
    }

    pub(crate) fn open(&mut self) -> Value {
        let reply = self.call(&open_session());
        assert_eq!(reply.status(), Some(0), "{reply:?}");
        reply.handle(&[0, 3])
    }

    /// Closes the socket without a word of TLS.
    pub(crate) fn hang_up(self) {
        drop(self.tls.sock);
    }

    /// All that comes until the end; an error unless TLS says that it is the end.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.tls.read_to_end(&mut all)?;
        Ok(all)
    }
}
