//! Handshake messages that are longer than a record.

use super::*;

/// The beginning of a `ClientHello` (1) of this length, in a record of 16 KiB.
fn long_hello(len: u32) -> Vec<u8> {
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.resize(5 + (16 << 10), 0);
    record[5..9].copy_from_slice(&((1 << 24) | len).to_be_bytes());
    record
}

#[tokio::test]
async fn a_handshake_message_without_end_is_refused() {
    let both = both(&version::TLS13);
    let (near, mut far) = pair(1 << 20);
    for _ in 0..8 {
        far.write_all(&long_hello(0xff_ffff)).await.unwrap();
    }
    assert!(accept(near, Vec::new(), Arc::new(both.server), Bounds::default()).await.is_err());
}

#[tokio::test]
async fn a_long_message_is_taken_only_from_a_client_that_is_asked_for_a_certificate() {
    let server = Arc::new(both(&version::TLS13).server);
    let records = [long_hello(60_000), long_hello(0), long_hello(0)].concat();
    for (asks_for_certificate, limit) in [(false, 20 << 10), (true, records.len())] {
        let (near, mut far) = pair(1 << 20);
        far.write_all(&records).await.unwrap();
        let bounds = Bounds { asks_for_certificate, ..Bounds::default() };
        let mut shaking = Box::pin(accept(near, Vec::new(), Arc::clone(&server), bounds));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let polled = shaking.as_mut().poll(&mut cx).map_err(|broken| broken.error);
        match (polled, asks_for_certificate) {
            (Poll::Ready(Err(HandshakeError::TooLong { limit: said })), false) => assert_eq!(said, limit),
            (Poll::Pending, true) => {}
            (polled, _) => panic!("{polled:?}"),
        }
    }
}
