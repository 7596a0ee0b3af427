mod crumbs;
mod ends;
mod flood;
mod half;
mod harmed;
mod keys;
mod long;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::unbuffered::ConnectionState;
use rustls::{ClientConfig, NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, consume_budget};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::handshake::{Bounds, HandshakeError, accept, connect};
use super::io::{Failure, Io};
use crate::net::buffer;
use crate::net::stream::double::{Double, Lan, pair};
use crate::net::stream::{Seen, Stream};

/// A server's and a client's settings that fit together.
struct Both {
    server: ServerConfig,
    client: ClientConfig,
}

fn both(version: &'static SupportedProtocolVersion) -> Both {
    both_with(version, super::provider(), aws_lc_rs::default_provider())
}

/// With this cryptography.
fn both_with(
    version: &'static SupportedProtocolVersion,
    of_server: Arc<CryptoProvider>,
    of_client: CryptoProvider,
) -> Both {
    let certified = rcgen::generate_simple_self_signed(["coordinator.test".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(of_server)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(of_client))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Both { server, client }
}

fn name() -> ServerName<'static> {
    "coordinator.test".try_into().unwrap()
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A client of another implementation and our server, after the handshake.
async fn served(both: Both, capacity: usize) -> (tokio_rustls::client::TlsStream<Double>, Io<Double>) {
    let (near, far) = pair(capacity);
    let connector = TlsConnector::from(Arc::new(both.client));
    let (theirs, ours) = tokio::join!(
        connector.connect(name(), far),
        accept(near, Vec::new(), Arc::new(both.server), Bounds::default())
    );
    (theirs.unwrap(), ours.unwrap())
}

/// A server of another implementation and our client, after the handshake.
async fn connected(both: Both, capacity: usize) -> (tokio_rustls::server::TlsStream<Double>, Io<Double>) {
    let (near, far) = pair(capacity);
    let acceptor = TlsAcceptor::from(Arc::new(both.server));
    let (theirs, ours) = tokio::join!(acceptor.accept(far), connect(near, Arc::new(both.client), name()));
    (theirs.unwrap(), ours.unwrap())
}

/// Sends `sent` from one side to the other, and compares.
async fn carry(from: &mut (impl AsyncWrite + Unpin), to: &mut (impl AsyncRead + Unpin), sent: &[u8]) {
    let mut got = vec![0; sent.len()];
    let (written, read) = tokio::join!(
        async {
            from.write_all(sent).await?;
            from.flush().await
        },
        to.read_exact(&mut got)
    );
    written.unwrap();
    read.unwrap();
    assert!(got == sent, "{} bytes came out otherwise", sent.len());
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn what_another_implementation_sends_arrives_and_what_we_send_arrives_there() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 64 << 10).await;
        let (mut server, mut link) = connected(both(version), 64 << 10).await;
        for len in [1, 16, 100, 16_383, 16_384, 16_385, 65_537, 300_000, 1 << 20] {
            carry(&mut client, &mut ours, &bytes(len)).await;
            carry(&mut ours, &mut client, &bytes(len)).await;
            carry(&mut server, &mut link, &bytes(len)).await;
            carry(&mut link, &mut server, &bytes(len)).await;
        }
    }
}

#[tokio::test]
async fn bytes_that_were_read_before_the_handshake_are_a_part_of_it() {
    let (both, (mut near, far)) = (both(&version::TLS13), pair(64 << 10));
    let server = async {
        let mut first = [0; 16];
        near.read_exact(&mut first).await.unwrap();
        accept(near, first.to_vec(), Arc::new(both.server), Bounds::default()).await.unwrap()
    };
    let client = TlsConnector::from(Arc::new(both.client)).connect(name(), far);
    let (client, mut ours) = tokio::join!(client, server);
    carry(&mut client.unwrap(), &mut ours, b"hello").await;
}

#[tokio::test]
async fn a_reader_of_few_bytes_misses_none() {
    let (mut client, mut ours) = served(both(&version::TLS13), 64 << 10).await;
    let sent = bytes(40_000);
    client.write_all(&sent).await.unwrap();
    client.flush().await.unwrap();
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let mut few = [0; 7];
        let len = ours.read(&mut few).await.unwrap();
        got.extend_from_slice(&few[..len]);
        // A look takes nothing away.
        let is_within_a_record = got.len() < sent.len() && got.len() % (16 << 10) > 0;
        assert!(ours.look() == Seen::Bytes || !is_within_a_record);
    }
    assert!(got == sent);
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 1 << 20).await;
        carry(&mut client, &mut ours, &bytes(100_000)).await;
        carry(&mut ours, &mut client, &bytes(100_000)).await;
        assert_eq!(ours.held(), 0);
        assert_eq!(buffer::unused_here(), buffer::unused_here().max(1), "the buffers are back");
        let (mut server, mut link) = connected(both(version), 1 << 20).await;
        carry(&mut server, &mut link, &bytes(100_000)).await;
        carry(&mut link, &mut server, &bytes(100_000)).await;
        assert_eq!(link.held(), 0);
    }
}

#[tokio::test]
async fn a_read_that_has_room_for_a_record_leaves_no_part_of_it_behind() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 1 << 20).await;
        client.write_all(&bytes(32 << 10)).await.unwrap();
        client.flush().await.unwrap();
        let mut room = vec![0; 16 << 10];
        assert_eq!(ours.read(&mut room).await.unwrap(), room.len());
        // Of the second record, no more than a read for a larger overhead than this may bring.
        assert!(ours.held() < 64, "{} bytes are held", ours.held());
    }
}

#[tokio::test]
async fn clients_choose_the_key_exchange_and_coordinators_are_offered_the_cheaper_one_first() {
    let group =
        |of: &Io<Double>| of.negotiated()?.negotiated_key_exchange_group().map(SupportedKxGroup::name);
    let (_server, link) = connected(
        both_with(&version::TLS13, super::provider(), super::provider().as_ref().clone()),
        64 << 10,
    )
    .await;
    assert_eq!(group(&link), Some(NamedGroup::X25519));

    for first in [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1] {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.retain(|group| group.name() != first.name());
        provider.kx_groups.insert(0, first);
        let (_client, ours) = served(both_with(&version::TLS13, super::provider(), provider), 64 << 10).await;
        assert_eq!(group(&ours), Some(first.name()));
    }
}

#[tokio::test]
async fn a_close_without_a_close_notify_is_no_orderly_end() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 64 << 10).await;
        client.write_all(b"half of a reply").await.unwrap();
        drop(client);
        let mut got = Vec::new();
        let error = ours.read_to_end(&mut got).await.unwrap_err();
        assert_eq!(got, b"half of a reply");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
        assert!(matches!(failure, Some(Failure::Truncated)), "{error}");
        // It stays so.
        assert!(ours.read(&mut [0; 4]).await.is_err());
    }
}

#[tokio::test]
async fn a_reset_is_no_orderly_end() {
    let (client, mut ours) = served(both(&version::TLS13), 64 << 10).await;
    client.into_inner().0.reset();
    let error = ours.read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_close_notify_is_an_orderly_end_and_the_other_half_stays_open() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 64 << 10).await;
        client.write_all(b"the last words").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        ours.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"the last words");
        assert_eq!(ours.look(), Seen::End);
        ours.closed().await;
        carry(&mut ours, &mut client, b"an answer").await;
    }
}

#[tokio::test]
async fn a_client_that_closes_right_behind_the_handshake_has_completed_it() {
    for version in VERSIONS {
        let both = both(version);
        let (near, far) = pair(64 << 10);
        let connector = TlsConnector::from(Arc::new(both.client));
        let client = async {
            let mut client = connector.connect(name(), far).await.unwrap();
            client.shutdown().await.unwrap();
            client
        };
        let (_client, ours) =
            tokio::join!(client, accept(near, Vec::new(), Arc::new(both.server), Bounds::default()));
        let mut ours = ours.unwrap();
        assert_eq!(ours.look(), Seen::End);
        assert_eq!(ours.read(&mut [0; 4]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_request_and_an_end_right_behind_the_handshake_are_both_seen() {
    let both = both(&version::TLS13);
    let (near, far) = pair(64 << 10);
    let connector = TlsConnector::from(Arc::new(both.client));
    let client = async {
        let mut client = connector.connect(name(), far).await.unwrap();
        client.write_all(b"a request").await.unwrap();
        client.shutdown().await.unwrap();
        client
    };
    let (client, ours) =
        tokio::join!(client, accept(near, Vec::new(), Arc::new(both.server), Bounds::default()));
    let (mut client, mut ours) = (client, ours.unwrap());
    let mut got = Vec::new();
    ours.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"a request");
    carry(&mut ours, &mut client, b"an answer").await;
}

#[tokio::test]
async fn moving_to_another_runtime_ends_nothing() {
    let (mut client, ours) = served(both(&version::TLS13), 64 << 10).await;
    let mut ours = ours.rehome_here().unwrap();
    carry(&mut client, &mut ours, b"hello").await;
    carry(&mut ours, &mut client, b"hello").await;
}

#[tokio::test]
async fn tickets_are_nothing_that_a_reader_sees_and_a_byte_behind_them_is() {
    let both = both(&version::TLS13);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(both.server));
    let (server, link) = tokio::join!(acceptor.accept(far), connect(near, Arc::new(both.client), name()));
    let (mut server, mut link) = (server.unwrap(), link.unwrap());
    // The tickets have been sent, and wait to be read.
    link.readable().await;
    assert_eq!(link.look(), Seen::Nothing);
    assert_eq!(link.glance(), Seen::Nothing);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(link.poll_seen(&mut cx).is_pending());
    assert_eq!(link.held(), 0);

    // Also by a task that has had its share of time.
    server.get_mut().1.refresh_traffic_keys().unwrap();
    server.flush().await.unwrap();
    link.readable().await;
    poll_fn(|cx| {
        while pin!(consume_budget()).poll(cx).is_ready() {}
        assert_eq!(link.look(), Seen::Nothing);
        Poll::Ready(())
    })
    .await;

    server.write_all(b"x").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(poll_fn(|cx| link.poll_seen(cx)).await, Seen::Bytes);
    assert_eq!((link.look(), link.glance()), (Seen::Bytes, Seen::Bytes));
    assert_eq!(link.read_u8().await.unwrap(), b'x');
    assert_eq!(link.glance(), Seen::Nothing);

    server.shutdown().await.unwrap();
    assert_eq!(poll_fn(|cx| link.poll_seen(cx)).await, Seen::End);
    assert_eq!(link.look(), Seen::End);
}

#[tokio::test]
async fn a_peer_may_change_its_keys_and_ask_for_ours_to_change() {
    let (mut client, mut ours) = served(both(&version::TLS13), 64 << 10).await;
    for round in 0..5 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        carry(&mut client, &mut ours, &bytes(20_000 + round)).await;
        carry(&mut ours, &mut client, &bytes(20_000 + round)).await;
        assert_eq!(ours.held(), 0);
    }
}

#[tokio::test]
async fn what_is_no_tls_ends_the_handshake_with_an_alert() {
    let both = both(&version::TLS13);
    let (near, mut far) = pair(64 << 10);
    far.write_all(&[0x80, 1, 0, 1, 0, 0, 0, 11, b'O']).await.unwrap();
    let refused = accept(near, Vec::new(), Arc::new(both.server), Bounds::default()).await.unwrap_err().error;
    assert!(matches!(refused, HandshakeError::Refused(_)), "{refused}");
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    // An alert (21) that is fatal (2).
    assert_eq!((got.first(), got.get(5)), (Some(&21), Some(&2)), "{got:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_handshake_is_told_from_one_that_is_refused() {
    let both = both(&version::TLS13);
    let (near, mut far) = pair(64 << 10);
    far.write_all(&[22, 3, 1, 1, 0]).await.unwrap();
    drop(far);
    let left = accept(near, Vec::new(), Arc::new(both.server), Bounds::default()).await.unwrap_err().error;
    assert!(matches!(left, HandshakeError::Closed), "{left}");
}
