//! What `tls` feeds a connection: a peer of another implementation, whose bytes come in odd pieces, some of
//! them changed or missing.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hs2router::net::stream::{Network, Seen, Stream};
use hs2router::net::tls::handshake::{Bounds, accept, connect};
use hs2router::net::tls::io::Io;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, CommonState, ConnectionCommon, IoState, RootCertStore, ServerConfig,
    ServerConnection, SideData, SupportedProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;

/// Both sides' settings for each version.
struct Settings {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn settings(version: &'static SupportedProtocolVersion) -> Settings {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(["peer.test".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = params.self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Else one input would decide what another does.
    client.resumption = rustls::client::Resumption::disabled();
    Settings { server: Arc::new(server), client: Arc::new(client) }
}

/// For the timers of our side, which never run out here.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());

static SETTINGS: LazyLock<[Settings; 2]> = LazyLock::new(|| [settings(&TLS13), settings(&TLS12)]);

/// What the two ends of a connection have sent each other.
#[derive(Debug, Default)]
struct Wire {
    /// Pieces for our side; an empty one makes it wait once.
    to_us: VecDeque<Vec<u8>>,
    /// Whether nothing comes after them.
    is_over: bool,
    from_us: Vec<u8>,
    /// How many bytes our side may write at once; it waits after each.
    takes: usize,
    is_full: bool,
}

/// Our end.
#[derive(Clone, Debug)]
struct Near(Arc<Mutex<Wire>>);

impl Near {
    fn with<T>(&self, act: impl FnOnce(&mut Wire) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

impl AsyncRead for Near {
    fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| {
            let Some(mut piece) = wire.to_us.pop_front() else {
                return if wire.is_over { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            if piece.is_empty() {
                return Poll::Pending;
            }
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                wire.to_us.push_front(rest);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Near {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|wire| {
            wire.is_full = !wire.is_full;
            if !wire.is_full {
                return Poll::Pending;
            }
            let len = bytes.len().min(wire.takes);
            wire.from_us.extend_from_slice(bytes.get(..len).unwrap_or_default());
            Poll::Ready(Ok(len))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Near {
    type Network = Nowhere;

    async fn readable(&self) {}

    async fn gone(&self) {
        std::future::pending::<()>().await;
    }

    async fn closed(&self) {
        std::future::pending::<()>().await;
    }

    fn look(&mut self) -> Seen {
        self.with(|wire| match wire.to_us.front() {
            Some(piece) if piece.is_empty() => Seen::Nothing,
            Some(_) => Seen::Bytes,
            None if wire.is_over => Seen::End,
            None => Seen::Nothing,
        })
    }

    fn glance(&mut self) -> Seen {
        self.look()
    }

    fn poll_seen(&mut self, _cx: &mut Context<'_>) -> Poll<Seen> {
        match self.look() {
            Seen::Nothing => Poll::Pending,
            seen => Poll::Ready(seen),
        }
    }

    fn rehome_here(self) -> io::Result<Self> {
        Ok(self)
    }

    fn reset_on_close(&self) {}

    fn set_user_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

/// A network where nobody is.
#[derive(Clone, Debug)]
struct Nowhere;

impl Network for Nowhere {
    type Stream = Near;

    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    async fn connect(&self, _address: SocketAddr) -> io::Result<Near> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// The other side, of another implementation.
enum Peer {
    Client(Box<ClientConnection>),
    Server(Box<ServerConnection>),
}

impl Peer {
    fn hear(&mut self, bytes: &[u8]) -> Result<IoState, rustls::Error> {
        fn with<Data: SideData>(
            connection: &mut ConnectionCommon<Data>,
            bytes: &[u8],
        ) -> Result<IoState, rustls::Error> {
            let mut came = Cursor::new(bytes);
            while came.position() < bytes.len() as u64 {
                connection.read_tls(&mut came).unwrap();
                connection.process_new_packets()?;
            }
            connection.process_new_packets()
        }
        match self {
            Self::Client(client) => with(&mut *client, bytes),
            Self::Server(server) => with(&mut *server, bytes),
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        match self {
            Self::Client(client) => client.reader().read_exact(&mut bytes).unwrap(),
            Self::Server(server) => server.reader().read_exact(&mut bytes).unwrap(),
        }
        bytes
    }

    fn say(&mut self, plaintext: &[u8]) -> Vec<u8> {
        match self {
            Self::Client(client) => client.writer().write_all(plaintext).unwrap(),
            Self::Server(server) => server.writer().write_all(plaintext).unwrap(),
        }
        self.outgoing()
    }

    fn change_keys(&mut self) {
        match self {
            Self::Client(client) => client.refresh_traffic_keys().unwrap(),
            Self::Server(server) => server.refresh_traffic_keys().unwrap(),
        }
    }

    fn outgoing(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Client(client) => while client.write_tls(&mut bytes).unwrap() > 0 {},
            Self::Server(server) => while server.write_tls(&mut bytes).unwrap() > 0 {},
        }
        bytes
    }
}

impl Deref for Peer {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Client(client) => client,
            Self::Server(server) => server,
        }
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut CommonState {
        match self {
            Self::Client(client) => client,
            Self::Server(server) => server,
        }
    }
}

/// What is done to a connection.
pub(crate) struct Case<'a> {
    /// Whether our side is the server.
    pub(crate) is_server: bool,
    /// TLS 1.2 instead of 1.3.
    pub(crate) is_old: bool,
    /// What the peer says, as one piece of plaintext after the other; between two it may change its keys.
    pub(crate) says: &'a [&'a [u8]],
    /// Sizes of the pieces in which it comes, over and over; 0 makes our side wait.
    pub(crate) sizes: &'a [usize],
    /// How many bytes our side reads at once.
    pub(crate) reads: usize,
    /// What happens to the bytes on their way.
    pub(crate) harm: Harm,
}

/// What happens to bytes on their way. Places are taken modulo the number of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    None,
    /// One of them is another one: the bits are flipped.
    Changed {
        at: usize,
        bits: u8,
    },
    /// Those from here on are missing.
    Truncated {
        at: usize,
    },
}

/// Our side and its peer after their handshake.
fn meet(case: &Case<'_>) -> (Io<Near>, Near, Peer) {
    let Settings { server, client } = SETTINGS.get(usize::from(case.is_old)).unwrap();
    let near = Near(Arc::new(Mutex::new(Wire { takes: case.reads.max(1) * 61, ..Wire::default() })));
    let name = ServerName::try_from("peer.test").unwrap();
    let mut peer = if case.is_server {
        Peer::Client(Box::new(ClientConnection::new(Arc::clone(client), name.clone()).unwrap()))
    } else {
        Peer::Server(Box::new(ServerConnection::new(Arc::clone(server)).unwrap()))
    };
    let (server, client, socket) = (Arc::clone(server), Arc::clone(client), near.clone());
    let handshake = async {
        if case.is_server {
            accept(socket, Vec::new(), server, Bounds::default()).await.map_err(|broken| broken.error)
        } else {
            connect(socket, client, name).await
        }
    };
    let _entered = RUNTIME.enter();
    let mut handshake = pin!(handshake);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        near.with(|wire| cut(&peer.outgoing(), case.sizes, &mut wire.to_us));
        if let Poll::Ready(met) = handshake.as_mut().poll(&mut cx) {
            let said = near.with(|wire| std::mem::take(&mut wire.from_us));
            peer.hear(&said).unwrap();
            return (met.unwrap(), near, peer);
        }
        let said = near.with(|wire| std::mem::take(&mut wire.from_us));
        peer.hear(&said).unwrap();
    }
    panic!("the handshake does not end");
}

/// Puts bytes in line in pieces of these sizes.
fn cut(mut bytes: &[u8], sizes: &[usize], pieces: &mut VecDeque<Vec<u8>>) {
    let sizes = if sizes.iter().any(|size| *size > 0) { sizes } else { &[usize::MAX] };
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            return;
        }
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push_back(piece.to_vec());
        bytes = rest;
    }
}

/// A connection gives just what its peer said, or an error; and an orderly end only behind all of it.
pub(crate) fn carry(case: &Case<'_>) {
    let (mut ours, near, mut peer) = meet(case);
    // Tickets, and what a peer of TLS 1.2 still had to say.
    let mut records = peer.outgoing();
    let unharmed = records.len();
    for (at, plaintext) in case.says.iter().enumerate() {
        if at > 0 && !case.is_old {
            peer.change_keys();
        }
        records.extend(peer.say(plaintext));
    }
    peer.send_close_notify();
    records.extend(peer.outgoing());
    let said = case.says.concat();
    let harmed = unharmed..records.len();
    let place = |at: usize| harmed.start + at % harmed.len();
    match case.harm {
        Harm::None => {}
        Harm::Changed { at, bits } => *records.get_mut(place(at)).unwrap() ^= bits,
        Harm::Truncated { at } => records.truncate(place(at)),
    }
    near.with(|wire| {
        cut(&records, case.sizes, &mut wire.to_us);
        wire.is_over = true;
    });
    let (got, is_orderly) = read_all(&mut ours, &near, case.reads.max(1));
    assert!(said.starts_with(&got), "{} bytes came out otherwise", got.len());
    assert!(!is_orderly || got == said, "an orderly end after {} of {} bytes", got.len(), said.len());
    match case.harm {
        Harm::None | Harm::Changed { bits: 0, .. } => assert!(is_orderly, "it ended after {}", got.len()),
        Harm::Truncated { .. } => assert!(!is_orderly, "a truncated connection ended in order"),
        // Not all bits of a record's header mean something.
        Harm::Changed { .. } => {}
    }
    if matches!(case.harm, Harm::None) {
        answer(&mut ours, &near, &mut peer, &said);
    }
}

/// Reads up to the end; returns the bytes, and whether the end was orderly. Looks before each read.
fn read_all(ours: &mut Io<Near>, near: &Near, reads: usize) -> (Vec<u8>, bool) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut got, mut waits) = (Vec::new(), 0);
    loop {
        let seen = if waits % 2 == 0 { ours.glance() } else { ours.look() };
        let _ready = ours.poll_seen(&mut cx);
        let mut bytes = vec![0; reads];
        let mut room = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *ours).poll_read(&mut cx, &mut room) {
            Poll::Ready(Ok(())) if room.filled().is_empty() => return (got, true),
            Poll::Ready(Ok(())) => {
                assert!(seen != Seen::End, "bytes behind the end");
                got.extend_from_slice(room.filled());
            }
            Poll::Ready(Err(_)) => {
                let again = Pin::new(&mut *ours).poll_read(&mut cx, &mut room);
                assert!(matches!(again, Poll::Ready(Err(_))), "an error stays");
                return (got, false);
            }
            Poll::Pending => {
                waits += 1;
                let left = near.with(|wire| wire.to_us.len());
                assert!(waits <= 1_000_000, "{left} pieces are left, and nobody reads them");
            }
        }
    }
}

/// Our side answers after the peer's end, in as many records as the answer needs.
fn answer(ours: &mut Io<Near>, near: &Near, peer: &mut Peer, said: &[u8]) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut rest = said;
    while !rest.is_empty() {
        if let Poll::Ready(written) = Pin::new(&mut *ours).poll_write(&mut cx, rest) {
            rest = rest.get(written.unwrap()..).unwrap_or_default();
        }
    }
    while Pin::new(&mut *ours).poll_flush(&mut cx).map(Result::unwrap).is_pending() {}
    let sent = near.with(|wire| std::mem::take(&mut wire.from_us));
    let mut heard = Vec::new();
    for piece in sent.chunks(4096) {
        let state = peer.hear(piece).unwrap();
        heard.extend(peer.take(state.plaintext_bytes_to_read()));
    }
    assert!(heard == said, "the answer came out otherwise");
}

/// Bytes that are no handshake complete none, and never panic.
pub(crate) fn stumble(is_server: bool, bytes: &[u8], sizes: &[usize]) {
    let Settings { server, client } = SETTINGS.first().unwrap();
    let near = Near(Arc::new(Mutex::new(Wire { takes: 1 << 14, is_over: true, ..Wire::default() })));
    near.with(|wire| cut(bytes, sizes, &mut wire.to_us));
    let (server, client, socket) = (Arc::clone(server), Arc::clone(client), near.clone());
    let handshake = async {
        if is_server {
            accept(socket, Vec::new(), server, Bounds::default()).await.map_err(|broken| broken.error)
        } else {
            connect(socket, client, ServerName::try_from("peer.test").unwrap()).await
        }
    };
    let _entered = RUNTIME.enter();
    let mut handshake = pin!(handshake);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..4 * bytes.len() + 1_000 {
        if let Poll::Ready(met) = handshake.as_mut().poll(&mut cx) {
            assert!(met.is_err(), "{met:?}");
            return;
        }
    }
    panic!("the handshake does not end");
}
