use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// A real connection: the side that is watched, and the peer.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (watched, _address) = listener.accept().await.unwrap();
    (watched, peer)
}

fn reset(peer: TcpStream) {
    peer.reset_on_close();
    drop(peer);
}

/// Whether the future is ready at this moment.
fn is_ready(future: impl Future<Output = ()>) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Waits until the driver has told the watched socket of everything that the kernel knows up to the FIN.
async fn settle_until_closed(watched: &TcpStream) {
    timeout(DEADLINE, watched.closed()).await.expect("the close is noticed");
}

/// Counts wake-ups, so that a test can tell waiting from spinning.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_connection_is_waited_for_where_it_was_rehomed_last() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (watched, mut peer) = second.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let watched = first.spawn(TcpStream::connect(address));
        let watched = std::thread::scope(|scope| scope.spawn(|| first.block_on(watched)).join()).unwrap();
        (watched.unwrap().unwrap(), listener.accept().await.unwrap().0)
    });
    let mut watched = second.block_on(async { watched.rehome_here() }).unwrap();
    drop(first);
    let mut read = [0; 5];
    second.block_on(async {
        peer.write_all(b"hello").await.unwrap();
        timeout(DEADLINE, watched.read_exact(&mut read)).await.expect("its runtime lives").unwrap();
    });
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn a_reset_is_noticed() {
    let (mut watched, peer) = connection().await;
    assert!(!is_ready(watched.gone()));
    reset(peer);
    timeout(DEADLINE, watched.gone()).await.expect("the reset is noticed");
    timeout(DEADLINE, watched.closed()).await.expect("a reset is a close too");
    assert_eq!(watched.look(), Seen::End);
}

#[tokio::test]
async fn a_reset_behind_unread_bytes_is_noticed_and_the_bytes_stay() {
    let (mut watched, mut peer) = connection().await;
    peer.write_all(b"next request").await.unwrap();
    watched.readable().await.unwrap();
    assert!(!is_ready(watched.gone()));
    reset(peer);
    timeout(DEADLINE, watched.gone()).await.expect("the reset is noticed");
    let mut bytes = [0; 12];
    watched.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"next request");
}

#[tokio::test]
async fn a_finish_alone_does_not_mean_gone() {
    let (mut watched, mut peer) = connection().await;
    peer.shutdown().await.unwrap();
    settle_until_closed(&watched).await;
    assert!(!is_ready(watched.gone()));
    assert_eq!(watched.look(), Seen::End);
}

#[tokio::test]
async fn a_finish_behind_unread_bytes_is_noticed_and_the_bytes_stay() {
    let (mut watched, mut peer) = connection().await;
    peer.write_all(b"abc").await.unwrap();
    watched.readable().await.unwrap();
    assert!(!is_ready(watched.closed()));
    assert_eq!(watched.look(), Seen::Bytes);
    peer.shutdown().await.unwrap();
    settle_until_closed(&watched).await;
    assert!(!is_ready(watched.gone()));
    let mut bytes = Vec::new();
    watched.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"abc");
}

#[tokio::test]
async fn a_finish_that_was_read_stays_noticed() {
    let (mut watched, peer) = connection().await;
    drop(peer);
    assert_eq!(watched.read(&mut [0; 1]).await.unwrap(), 0);
    settle_until_closed(&watched).await;
    settle_until_closed(&watched).await;
}

#[tokio::test]
async fn a_reset_after_a_finish_is_noticed() {
    let (mut watched, peer) = connection().await;
    drop(peer);
    settle_until_closed(&watched).await;
    assert!(!is_ready(watched.gone()));
    // The peer's socket is closed for both directions: it answers these bytes with a reset.
    watched.write_all(b"reply").await.unwrap();
    timeout(DEADLINE, watched.gone()).await.expect("the reset is noticed");
}

#[tokio::test]
async fn a_quiet_connection_is_seen_as_such() {
    let (mut watched, _peer) = connection().await;
    assert_eq!(watched.look(), Seen::Nothing);
    assert!(!is_ready(watched.gone()));
    assert!(!is_ready(watched.closed()));
}

#[tokio::test]
async fn watching_does_not_spin_on_unread_bytes() {
    let (watched, mut peer) = connection().await;
    let (for_gone, for_closed) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let (gone_waker, closed_waker) = (Waker::from(for_gone.clone()), Waker::from(for_closed.clone()));
    let (mut gone, mut closed) = (pin!(watched.gone()), pin!(watched.closed()));
    for _ in 0..50 {
        assert!(gone.as_mut().poll(&mut Context::from_waker(&gone_waker)).is_pending());
        assert!(closed.as_mut().poll(&mut Context::from_waker(&closed_waker)).is_pending());
        peer.write_all(b"unread").await.unwrap();
        watched.readable().await.unwrap();
    }
    assert_eq!(for_gone.0.load(Ordering::Relaxed), 0);
    assert_eq!(for_closed.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn urgent_data_is_not_taken_for_a_close() {
    let (watched, mut peer) = connection().await;
    SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    peer.write_all(b"after it").await.unwrap();
    watched.readable().await.unwrap();
    assert!(!is_ready(watched.closed()));
    assert!(!is_ready(watched.gone()));
    peer.shutdown().await.unwrap();
    settle_until_closed(&watched).await;
}

#[tokio::test]
async fn a_reset_on_close_reaches_the_peer_as_one() {
    let (watched, mut peer) = connection().await;
    watched.reset_on_close();
    drop(watched);
    let error = peer.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_end_wakes_who_waits_for_whatever_comes_and_what_was_read_does_not() {
    let (mut watched, mut peer) = connection().await;
    let count = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert!(watched.poll_seen(&mut cx).is_pending());
    peer.write_all(b"abc").await.unwrap();
    assert_eq!(timeout(DEADLINE, poll_fn(|cx| watched.poll_seen(cx))).await, Ok(Seen::Bytes));
    // As much as there is: the runtime thinks that there may be more.
    watched.read_exact(&mut [0; 3]).await.unwrap();
    assert!(watched.poll_seen(&mut cx).is_pending());
    let before = count.0.load(Ordering::Relaxed);
    tokio::task::yield_now().await;
    assert_eq!(count.0.load(Ordering::Relaxed), before, "it spins");
    peer.shutdown().await.unwrap();
    settle_until_closed(&watched).await;
    assert!(count.0.load(Ordering::Relaxed) > before, "nobody was woken");
    assert_eq!(watched.poll_seen(&mut cx), Poll::Ready(Seen::End));
    let (mut watched, peer) = connection().await;
    assert!(watched.poll_seen(&mut cx).is_pending());
    reset(peer);
    assert_eq!(timeout(DEADLINE, poll_fn(|cx| watched.poll_seen(cx))).await, Ok(Seen::End));
}
