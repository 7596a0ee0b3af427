use std::future::Future;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::super::buffer::{BUFFER_SIZE, unused_here};
use super::super::stream::double::{Double, pair};
use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// The far ends of a relay: what a client and a coordinator hold, and the relay between them.
struct Ends<S, F> {
    client: S,
    coordinator: S,
    relay: F,
}

/// How a relay ended, with the bytes that it counted from each side.
#[derive(Debug)]
struct Relayed {
    who: Side,
    client_bytes: u64,
    coordinator_bytes: u64,
    error: Option<io::Error>,
}

async fn own_and_relay<S: Stream>(mut client: S, mut coordinator: S) -> Relayed {
    let (mut client_bytes, mut coordinator_bytes) = (0, 0);
    let mut count = |from, more| match from {
        Side::Client => client_bytes += more,
        Side::Coordinator => coordinator_bytes += more,
    };
    let Ended { who, error } = Sides::new(&mut client, &mut coordinator).relay(&mut count).await;
    Relayed { who, client_bytes, coordinator_bytes, error }
}

fn in_memory(capacity: usize) -> Ends<Double, impl Future<Output = Relayed>> {
    let (client, client_side) = pair(capacity);
    let (coordinator, coordinator_side) = pair(capacity);
    Ends { client, coordinator, relay: own_and_relay(client_side, coordinator_side) }
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (far, listener.accept().await.unwrap().0)
}

async fn over_tcp() -> Ends<TcpStream, impl Future<Output = Relayed>> {
    let (client, client_side) = connection().await;
    let (coordinator, coordinator_side) = connection().await;
    Ends { client, coordinator, relay: own_and_relay(client_side, coordinator_side) }
}

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Sends `out` and a FIN while reading to the end.
async fn exchange<S: Stream>(stream: S, out: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = Vec::new();
    let (sent, read) = tokio::join!(
        async {
            writer.write_all(out).await?;
            writer.shutdown().await
        },
        reader.read_to_end(&mut received)
    );
    sent.unwrap();
    read.unwrap();
    received
}

async fn assert_both_ways_are_byte_exact<S: Stream>(ends: Ends<S, impl Future<Output = Relayed>>) {
    let (request, reply) = (bytes(700_001, 1), bytes(1_300_003, 2));
    let (to_client, to_coordinator, ended) = timeout(DEADLINE, async {
        tokio::join!(exchange(ends.client, &request), exchange(ends.coordinator, &reply), ends.relay)
    })
    .await
    .expect("the relay ends after both sides have finished");
    assert!(to_client == reply, "the client got other bytes than were sent");
    assert!(to_coordinator == request, "the coordinator got other bytes than were sent");
    assert!(ended.error.is_none(), "{ended:?}");
    assert_eq!((ended.client_bytes, ended.coordinator_bytes), (700_001, 1_300_003));
}

#[tokio::test]
async fn bytes_arrive_exactly_through_narrow_pipes() {
    for capacity in [1000, 4096, 1 << 20] {
        assert_both_ways_are_byte_exact(in_memory(capacity)).await;
    }
}

#[tokio::test]
async fn bytes_arrive_exactly_over_tcp() {
    assert_both_ways_are_byte_exact(over_tcp().await).await;
}

#[tokio::test]
async fn after_one_side_finishes_the_other_direction_goes_on() {
    for first in [Side::Client, Side::Coordinator] {
        let Ends { client, coordinator, relay } = over_tcp().await;
        let (mut early, mut late) = match first {
            Side::Client => (client, coordinator),
            Side::Coordinator => (coordinator, client),
        };
        let ends = async {
            early.write_all(b"last words").await.unwrap();
            early.shutdown().await.unwrap();
            let mut heard = Vec::new();
            late.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"last words");
            let mut answer = [0; 6];
            for _ in 0..3 {
                late.write_all(b"answer").await.unwrap();
                early.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"answer");
            }
            late.shutdown().await.unwrap();
            assert_eq!(early.read(&mut answer).await.unwrap(), 0);
        };
        let (ended, ()) = timeout(DEADLINE, async { tokio::join!(relay, ends) }).await.unwrap();
        assert_eq!(ended.who, first);
        assert!(ended.error.is_none(), "{ended:?}");
    }
}

#[tokio::test]
async fn a_reset_of_one_side_resets_the_other_and_is_blamed_on_the_first() {
    for culprit in [Side::Client, Side::Coordinator] {
        let Ends { client, coordinator, relay } = over_tcp().await;
        let (bad, mut good) = match culprit {
            Side::Client => (client, coordinator),
            Side::Coordinator => (coordinator, client),
        };
        let ends = async {
            bad.reset_on_close();
            drop(bad);
            good.read(&mut [0; 1]).await.unwrap_err()
        };
        let (ended, error) = timeout(DEADLINE, async { tokio::join!(relay, ends) }).await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(ended.who, culprit);
        assert_eq!(ended.error.unwrap().kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_relay_that_is_given_up_looks_orderly_to_neither_side() {
    for has_begun in [false, true] {
        let ((mut client, mut client_side), (mut coordinator, mut coordinator_side)) =
            (connection().await, connection().await);
        let mut nobody = |_, _| {};
        let mut relay = Box::pin(Sides::new(&mut client_side, &mut coordinator_side).relay(&mut nobody));
        if has_begun {
            client.write_all(b"half").await.unwrap();
            let mut heard = [0; 4];
            tokio::select! {
                biased;
                ended = &mut relay => panic!("{ended:?}"),
                read = coordinator.read_exact(&mut heard) => assert_eq!(read.unwrap(), 4),
            }
        }
        drop(relay);
        drop((client_side, coordinator_side));
        for far in [&mut client, &mut coordinator] {
            let error = far.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{has_begun}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_finishes_and_then_resets_does_not_keep_its_coordinator() {
    let Ends { mut client, mut coordinator, relay } = in_memory(64);
    let ends = async {
        client.shutdown().await.unwrap();
        assert_eq!(coordinator.read(&mut [0; 1]).await.unwrap(), 0);
        client.reset();
    };
    let (ended, ()) = timeout(DEADLINE, async { tokio::join!(relay, ends) }).await.unwrap();
    assert_eq!(ended.who, Side::Client);
    assert!(ended.error.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resets_while_its_coordinator_does_not_read_is_noticed() {
    let Ends { mut client, coordinator, relay } = in_memory(64);
    let ends = async {
        let sent = timeout(Duration::from_secs(1), client.write_all(&bytes(4 * BUFFER_SIZE, 3))).await;
        assert!(sent.is_err(), "nobody reads, so it cannot all be sent");
        client.reset();
    };
    let (ended, ()) = timeout(DEADLINE, async { tokio::join!(relay, ends) }).await.unwrap();
    assert_eq!(ended.who, Side::Client);
    assert_eq!(ended.client_bytes, 64);
    drop(coordinator);
}

#[tokio::test(start_paused = true)]
async fn what_a_coordinator_said_before_it_closed_reaches_a_client_that_is_still_sending() {
    let Ends { mut client, mut coordinator, relay } = in_memory(64);
    let farewell = bytes(3 * 64, 4);
    let ends = async {
        // A pipe on each side and the relay between them hold all of it.
        coordinator.write_all(&farewell).await.unwrap();
        drop(coordinator);
        client.write_all(b"still sending").await.unwrap();
        sleep(Duration::from_mins(1)).await;
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, farewell);
    };
    let (ended, ()) = tokio::join!(relay, ends);
    assert_eq!(ended.who, Side::Coordinator);
    assert_eq!(ended.error.unwrap().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_coordinators_reset_reaches_a_slow_client() {
    let Ends { mut client, mut coordinator, relay } = in_memory(64);
    let reply = bytes(2 * 64, 5);
    let ends = async {
        coordinator.write_all(&reply).await.unwrap();
        tokio::task::yield_now().await;
        coordinator.reset();
        sleep(Duration::from_mins(1)).await;
        let mut heard = vec![0; reply.len()];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, reply);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    };
    let (ended, ()) = tokio::join!(relay, ends);
    assert_eq!(ended.who, Side::Coordinator);
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_lasts_for_hours_and_holds_no_buffer() {
    let Ends { mut client, mut coordinator, relay } = in_memory(1024);
    let ends = async {
        for _ in 0..3 {
            client.write_all(b"call").await.unwrap();
            coordinator.read_exact(&mut [0; 4]).await.unwrap();
            sleep(Duration::from_hours(6)).await;
            // Both directions gave the one buffer that this thread ever needed back.
            assert_eq!(unused_here(), 1);
        }
        drop((client, coordinator));
    };
    let (ended, ()) = tokio::join!(relay, ends);
    assert_eq!((ended.client_bytes, ended.error.is_none()), (12, true));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_costs_one_buffer() {
    let Ends { client, mut coordinator, relay } = in_memory(1024);
    let ends = async {
        let mut sent = 0;
        let all = async {
            loop {
                sent += coordinator.write(&[7; 1024]).await.unwrap();
            }
        };
        assert!(timeout(Duration::from_hours(1), all).await.is_err());
        // A pipe's worth on each side of the relay, and what it read before it could not write.
        assert!(sent <= BUFFER_SIZE + 2 * 1024, "{sent} bytes taken from the coordinator");
        drop((client, coordinator));
    };
    let (_ended, ()) = tokio::join!(relay, ends);
}

#[tokio::test]
async fn bytes_are_counted_as_they_are_delivered() {
    let ((mut client, mut client_side), (mut coordinator, mut coordinator_side)) = (pair(64), pair(64));
    let counted = std::cell::Cell::new((0, 0));
    let mut count = |from, more| {
        let (client, coordinator) = counted.get();
        counted.set(match from {
            Side::Client => (client + more, coordinator),
            Side::Coordinator => (client, coordinator + more),
        });
    };
    let relay = Sides::new(&mut client_side, &mut coordinator_side).relay(&mut count);
    let ends = async {
        client.write_all(b"question").await.unwrap();
        coordinator.read_exact(&mut [0; 8]).await.unwrap();
        assert_eq!(counted.get(), (8, 0));
        coordinator.write_all(b"answer").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
        assert_eq!(counted.get(), (8, 6));
        drop((client, coordinator));
    };
    let (_ended, ()) = timeout(DEADLINE, async { tokio::join!(relay, ends) }).await.unwrap();
    assert_eq!(counted.get(), (8, 6));
}

/// Connections are tasks of a runtime with many threads, whatever their streams are; this compiles or it does
/// not.
#[expect(dead_code, reason = "a check of types")]
fn a_relay_may_change_threads<'a, C: Stream, K: Stream>(
    client: &'a mut C,
    coordinator: &'a mut K,
    onlooker: &'a mut (impl Onlooker + Send),
) -> impl Future<Output = Ended> + Send + 'a {
    Sides::new(client, coordinator).relay(onlooker)
}

/// Notes what it sees, and ends the relay once it has seen the coordinator's last word.
#[derive(Default)]
struct Listener {
    read: Vec<(Side, Vec<u8>)>,
    delivered: u64,
}

impl Onlooker for Listener {
    fn note_read(&mut self, from: Side, bytes: &[u8]) {
        assert_eq!(self.delivered, 8 * self.read.len() as u64, "bytes are seen before they are delivered");
        self.read.push((from, bytes.to_vec()));
    }

    fn note_delivered(&mut self, _from: Side, count: u64) {
        self.delivered += count;
    }

    fn poll_end(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.read.len() == 2 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[tokio::test]
async fn an_onlooker_sees_all_bytes_before_they_are_delivered_and_may_end_the_relay_in_order() {
    let ((mut client, mut client_side), (mut coordinator, mut coordinator_side)) =
        (connection().await, connection().await);
    let ends = async {
        client.write_all(b"question").await.unwrap();
        coordinator.read_exact(&mut [0; 8]).await.unwrap();
        coordinator.write_all(b"the word").await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"the word");
        assert_eq!(coordinator.read(&mut [0]).await.unwrap(), 0, "an orderly end");
    };
    let mut listener = Listener::default();
    let relay = async {
        let ended = Sides::new(&mut client_side, &mut coordinator_side).relay(&mut listener).await;
        drop((client_side, coordinator_side));
        ended
    };
    let (ended, ()) = timeout(DEADLINE, async { tokio::join!(relay, ends) }).await.unwrap();
    assert!(ended.error.is_none(), "{ended:?}");
    let seen = [(Side::Client, b"question".to_vec()), (Side::Coordinator, b"the word".to_vec())];
    assert_eq!(listener.read, seen);
}
