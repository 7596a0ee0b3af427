//! A flood of handshakes, and whatever else the same thread has to do.

use rustls::ClientConnection;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use super::*;

/// How many clients send their hellos at once.
const CLIENTS: usize = 50;

#[tokio::test]
async fn between_two_handshakes_of_a_flood_everything_else_that_is_ready_has_its_turn() {
    let (Both { server, client }, client_name) = (both(&version::TLS13), name());
    let (server, turns) = (Arc::new(server), Arc::new(Semaphore::new(1)));
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(client), client_name).unwrap().write_tls(&mut hello).unwrap();
    let (mut clients, mut handshakes) = (Vec::new(), JoinSet::new());
    for _ in 0..CLIENTS {
        let (near, far) = pair(64 << 10);
        let (hello, server, turns) = (hello.clone(), Arc::clone(&server), Arc::clone(&turns));
        handshakes.spawn(async move {
            let bounds = Bounds { turns: Some(&turns), asks_for_certificate: false };
            accept(near, hello, server, bounds).await.map(drop)
        });
        clients.push(far);
    }
    while !clients.is_empty() {
        yield_now().await;
        let waited = clients.len();
        clients.retain_mut(|client| !has_answer(client));
        let computed = waited - clients.len();
        assert!(computed <= 1, "{computed} handshakes were computed one right after the other");
    }
}

/// Whether the server has said something; takes the first byte of that.
fn has_answer(client: &mut Double) -> bool {
    let (mut byte, mut cx) = ([0], Context::from_waker(std::task::Waker::noop()));
    Pin::new(client).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_ready()
}
