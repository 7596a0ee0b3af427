//! TLS of a world's clients and coordinators. Their side of it is not the router's own: the library with its
//! buffers, as other programs use it.
//!
//! What is random in TLS must have no say in what happens. So all of it has a fixed length: Ed25519 signs
//! with 64 bytes, where ECDSA needs more or fewer; and validity is so long that the real time does not
//! matter.

use std::io::{self, Cursor, Write as _};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use hs2router::net::stream::{Seen, Stream as _};
use hs2router::net::tls::certificates::PairFiles;
use hs2router::net::tls::client::{ClusterTls, ClusterTlsSettings, Verify};
use hs2router::net::tls::server::{self, ListenerTls};
use hs2router::serve::settings::TlsPlan;
use rcgen::{CertificateParams, KeyPair, SerialNumber};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::network::{ROUTER, SimStream};

/// The most bytes of plaintext in a record.
const RECORD: usize = 16 << 10;
/// What the records of each version add: a header, a tag and, in one, the kind or the nonce.
const ADDED_BY_TLS13: usize = 22;
const ADDED_BY_TLS12: usize = 29;

/// Who comes to the router's listeners how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    /// In the clear; the listeners have no certificate.
    Clear,
    /// With TLS, without which nobody is let in.
    Tls,
    /// As each likes.
    Both,
}

/// Which ways of a world are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encryption {
    /// Those of clients.
    pub(crate) clients: Clients,
    /// Those to the coordinators' client ports.
    pub(crate) coordinators: bool,
    /// Those to their web ports, if so.
    pub(crate) web: bool,
    /// Whether clients and coordinators have no newer version than 1.2.
    pub(crate) is_old: bool,
}

impl Encryption {
    /// None.
    pub(crate) const NONE: Self =
        Self { clients: Clients::Clear, coordinators: false, web: false, is_old: false };

    /// What a world's seed says of it, without drawing: what is drawn from the seed stays the same.
    pub(crate) fn of(seed: u64) -> Self {
        let clients = match seed % 8 {
            0 => Clients::Tls,
            4 => Clients::Both,
            _ => Clients::Clear,
        };
        let is = |digit: u64| seed / 16 % digit == 1;
        Self { clients, coordinators: seed / 4 % 4 == 2, web: is(2), is_old: is(3) }
    }

    fn versions(self) -> [&'static SupportedProtocolVersion; 1] {
        [if self.is_old { &TLS12 } else { &TLS13 }]
    }

    /// What the router's listeners have.
    pub(crate) fn listener(self) -> Option<Arc<ListenerTls>> {
        if self.clients == Clients::Clear {
            return None;
        }
        let settings = server::Settings {
            pairs: vec![FILES.pair()],
            clients: None,
            minimum_version: server::Version::Tls12,
            required: self.clients == Clients::Tls,
            ticket_key: None,
            strict_sni: false,
        };
        Some(Arc::new(ListenerTls::load(settings).unwrap()))
    }

    /// How the router reaches coordinators.
    pub(crate) fn plan(self) -> Option<TlsPlan> {
        let settings =
            || ClusterTlsSettings { ca: Some(FILES.pair().certificate), pair: None, verify: Verify::Full };
        let cluster = || Arc::new(ClusterTls::load(settings()).unwrap());
        self.coordinators.then(|| TlsPlan { cluster: cluster(), web: self.web })
    }

    /// What a coordinator's certificate is for, if it has one.
    pub(crate) fn name(self, host: &str) -> Option<ServerName<'static>> {
        self.coordinators.then(|| ServerName::try_from(host.to_owned()).unwrap())
    }

    /// What clients have.
    pub(crate) fn connector(self) -> Option<TlsConnector> {
        let config = || {
            ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(&self.versions())
                .unwrap()
                .with_root_certificates(FILES.roots.clone())
                .with_no_client_auth()
        };
        (self.clients != Clients::Clear).then(|| TlsConnector::from(Arc::new(config())))
    }

    /// What coordinators have.
    pub(crate) fn acceptor(self) -> Option<TlsAcceptor> {
        let config = || {
            ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(&self.versions())
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![FILES.certificate.clone()], FILES.key.clone_key())
                .unwrap()
        };
        self.coordinators.then(|| TlsAcceptor::from(Arc::new(config())))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// One certificate for all of them, and its files.
struct Files {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let names = [ROUTER, "c0", "c1", "c2", "c3"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.serial_number = Some(SerialNumber::from(1));
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("certificate.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let certificate = certificate.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    Files { folder, certificate, key, roots }
});

impl Files {
    fn pair(&self) -> PairFiles {
        let file = |name| self.folder.path().join(name);
        PairFiles { certificate: file("certificate.pem"), key: file("key.pem") }
    }
}

/// One end of a connection of a client or a coordinator.
pub(crate) enum Line {
    /// In the clear.
    Clear(SimStream),
    /// Inside of TLS.
    Tls(Box<TlsStream<SimStream>>),
}

impl Line {
    /// The coordinator's end, after the handshake if there is one.
    pub(crate) async fn accept(stream: SimStream, acceptor: Option<&TlsAcceptor>) -> io::Result<Self> {
        let Some(acceptor) = acceptor else { return Ok(Self::Clear(stream)) };
        // What comes in a handshake, and tickets behind it, the router need not have asked for.
        stream.excuse_all();
        let accepted = acceptor.accept(stream).await?;
        accepted.get_ref().0.excuse_sent();
        Ok(Self::Tls(Box::new(accepted.into())))
    }

    /// The client's end, after the handshake if there is one.
    pub(crate) async fn connect(stream: SimStream, connector: Option<&TlsConnector>) -> io::Result<Self> {
        let Some(connector) = connector else { return Ok(Self::Clear(stream)) };
        let connected = connector.connect(ServerName::try_from(ROUTER).unwrap(), stream).await?;
        Ok(Self::Tls(Box::new(connected.into())))
    }

    /// What the network knows of it.
    pub(crate) fn socket(&self) -> &SimStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Sends all of it.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// How many bytes of the network so many are.
    pub(crate) fn sealed(&self, len: usize) -> usize {
        let Self::Tls(tls) = self else { return len };
        let is_old = tls.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        len + len.div_ceil(RECORD) * if is_old { ADDED_BY_TLS12 } else { ADDED_BY_TLS13 }
    }

    /// Puts bytes before the other end, if nothing is under way between the two.
    pub(crate) fn say_unasked(&mut self, bytes: &[u8]) {
        let sealed = self.sealed(bytes.len());
        if self.socket().may_say_unasked(sealed) {
            match self {
                Self::Clear(stream) => stream.say_unasked(bytes),
                Self::Tls(tls) => {
                    let records = encrypt(tls, Some(bytes));
                    assert_eq!(records.len(), sealed);
                    tls.get_ref().0.say_unasked(&records);
                }
            }
        }
    }

    /// What a read would find at this moment.
    pub(crate) fn look(&mut self) -> Seen {
        match self {
            Self::Clear(stream) => stream.look(),
            Self::Tls(tls) => loop {
                match take_in(tls) {
                    Ok(state) if state.plaintext_bytes_to_read() > 0 => return Seen::Bytes,
                    Ok(state) if !state.peer_has_closed() => {}
                    Ok(_) | Err(_) => return Seen::End,
                }
                match tls.get_mut().0.look() {
                    Seen::Bytes => {}
                    seen => return seen,
                }
            },
        }
    }

    /// Says that this is the end, as some programs do and some do not.
    pub(crate) fn say_end(&mut self) {
        if let Self::Tls(tls) = self {
            let last = encrypt(tls, None);
            let mut cx = Context::from_waker(Waker::noop());
            // If there is no room for it, then it is not said.
            let _sent = Pin::new(tls.get_mut().0).poll_write(&mut cx, &last);
        }
    }
}

/// The records of these bytes, or of an alert that says that this is the end.
fn encrypt(tls: &mut TlsStream<SimStream>, bytes: Option<&[u8]>) -> Vec<u8> {
    fn with<Data>(connection: &mut rustls::ConnectionCommon<Data>, bytes: Option<&[u8]>) -> Vec<u8> {
        match bytes {
            Some(bytes) => connection.writer().write_all(bytes).unwrap(),
            None => connection.send_close_notify(),
        }
        let mut records = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut records).unwrap();
        }
        records
    }
    match tls {
        TlsStream::Client(client) => with(client.get_mut().1, bytes),
        TlsStream::Server(server) => with(server.get_mut().1, bytes),
    }
}

/// Has the library decrypt what has come, which stays to be read.
fn take_in(tls: &mut TlsStream<SimStream>) -> Result<rustls::IoState, rustls::Error> {
    fn with<Data>(
        stream: &mut SimStream,
        connection: &mut rustls::ConnectionCommon<Data>,
    ) -> Result<rustls::IoState, rustls::Error> {
        let mut bytes = [0; 4096];
        let mut room = ReadBuf::new(&mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        if stream.look() == Seen::Bytes {
            let _read = Pin::new(stream).poll_read(&mut cx, &mut room);
        }
        let mut came = Cursor::new(room.filled());
        while came.position() < came.get_ref().len() as u64 {
            let _taken = connection.read_tls(&mut came);
            connection.process_new_packets()?;
        }
        connection.process_new_packets()
    }
    match tls {
        TlsStream::Client(client) => {
            let (stream, connection) = client.get_mut();
            with(stream, connection)
        }
        TlsStream::Server(server) => {
            let (stream, connection) = server.get_mut();
            with(stream, connection)
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => {
                let shut = Pin::new(&mut *tls).poll_shutdown(cx);
                // To say in TLS that this is the end is no more than a FIN, which nobody has to ask for.
                tls.get_ref().0.excuse_sent();
                shut
            }
        }
    }
}
