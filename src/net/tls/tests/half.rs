//! A client that sends half a handshake message, which no library does.

use super::*;

#[tokio::test]
async fn a_client_that_never_ends_a_handshake_message_is_cut_off_soon() {
    let HalfClient { mut socket, server, finished, secrets, .. } = HalfClient::connect().await;
    socket.write_all(&finished).await.unwrap();
    let mut ours = server.await.unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut sent = 0;
    loop {
        let mut few = [0; 4];
        match Pin::new(&mut ours).poll_read(&mut cx, &mut ReadBuf::new(&mut few)) {
            Poll::Ready(read) => break assert!(read.is_err(), "{read:?}"),
            Poll::Pending => {}
        }
        assert!(sent < 100, "{} bytes are held", ours.held());
        // A KeyUpdate (24) of 65,535 bytes, one by one.
        let byte = [24, 0, 0xff, 0xff].get(sent).copied().unwrap_or_default();
        let seq = secrets.tx.0 + u64::try_from(sent).unwrap();
        socket.write_all(&seal(&secrets.tx.1, seq, &[byte])).await.unwrap();
        sent += 1;
    }
}

/// A client that can send half a handshake message, which no library does.
struct HalfClient {
    socket: Double,
    /// Our side, which waits for the end of the handshake.
    server: JoinHandle<Io<Double>>,
    /// The last bytes of the handshake.
    finished: Vec<u8>,
    /// A record with the first three bytes of a `KeyUpdate` message.
    half: Vec<u8>,
    secrets: rustls::ExtractedSecrets,
}

impl HalfClient {
    async fn connect() -> Self {
        let mut both = both(&version::TLS13);
        both.client.enable_secret_extraction = true;
        both.client.resumption = rustls::client::Resumption::disabled();
        both.server.send_tls13_tickets = 0;
        let (near, mut socket) = pair(64 << 10);
        let server = Arc::new(both.server);
        let server =
            tokio::spawn(async { accept(near, Vec::new(), server, Bounds::default()).await.unwrap() });
        let mut client = UnbufferedClientConnection::new(Arc::new(both.client), name()).unwrap();
        let (mut received, mut outgoing, mut is_first) = (Vec::new(), Vec::new(), true);
        loop {
            let status = client.process_tls_records(&mut received);
            let discard = status.discard;
            match status.state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    let mut room = [0; 4096];
                    let len = data.encode(&mut room).unwrap();
                    outgoing.extend_from_slice(&room[..len]);
                }
                ConnectionState::TransmitTlsData(data) => {
                    if std::mem::take(&mut is_first) {
                        socket.write_all(&std::mem::take(&mut outgoing)).await.unwrap();
                    }
                    data.done();
                }
                ConnectionState::BlockedHandshake => {
                    received.drain(..discard);
                    received.push(socket.read_u8().await.unwrap());
                    continue;
                }
                ConnectionState::WriteTraffic(_) => break,
                other => panic!("{other:?}"),
            }
            received.drain(..discard);
        }
        let (secrets, _) = client.dangerous_into_kernel_connection().unwrap();
        let half = seal(&secrets.tx.1, secrets.tx.0, &[24, 0, 0]);
        Self { socket, server, finished: outgoing, half, secrets }
    }
}

/// Seals a handshake record of TLS 1.3 (RFC 8446 5.2).
fn seal(secrets: &rustls::ConnectionTrafficSecrets, seq: u64, message: &[u8]) -> Vec<u8> {
    use ::aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let rustls::ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another cipher") };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
    let mut nonce: [u8; 12] = iv.as_ref().try_into().unwrap();
    for (byte, seq) in nonce[4..].iter_mut().zip(seq.to_be_bytes()) {
        *byte ^= seq;
    }
    let mut body = [message, &[22]].concat();
    let header = [23, 3, 3, 0, u8::try_from(body.len() + 16).unwrap()];
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(header), &mut body).unwrap();
    [&header[..], &body].concat()
}

#[tokio::test]
async fn half_a_handshake_message_stops_neither_writes_nor_looks() {
    let HalfClient { mut socket, server, finished, half, .. } = HalfClient::connect().await;
    socket.write_all(&finished).await.unwrap();
    let mut ours = server.await.unwrap();
    socket.write_all(&half).await.unwrap();
    // Reads the half, and finds nothing for a reader.
    let mut few = [0; 4];
    let mut room = ReadBuf::new(&mut few);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut ours).poll_read(&mut cx, &mut room).is_pending());
    assert_eq!(ours.held(), half.len());
    assert_eq!(ours.look(), Seen::Nothing);
    ours.write_all(b"goes out nevertheless").await.unwrap();
    assert_eq!([socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap()], [23, 3]);
}

#[tokio::test]
async fn half_a_handshake_message_right_behind_the_handshake_stops_no_writes() {
    let HalfClient { mut socket, server, finished, half, .. } = HalfClient::connect().await;
    socket.write_all(&[finished, half].concat()).await.unwrap();
    let mut ours = server.await.unwrap();
    ours.write_all(b"goes out nevertheless").await.unwrap();
    assert_eq!([socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap()], [23, 3]);
    drop(ours);
}
