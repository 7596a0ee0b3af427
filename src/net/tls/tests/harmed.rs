//! Records that are changed, cut off or halved on their way, and a connection that moves meanwhile.

use std::io::Write as _;
use std::net::TcpListener as Listener;

use proptest::prelude::*;
use rustls::client::ClientConnection;
use tokio::runtime::{Builder, Runtime};

use super::*;

/// The records of a client for each of these pieces, and the one that says that this is the end.
fn records(client: &mut ClientConnection, says: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut take = |client: &mut ClientConnection| {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        records.push(bytes);
    };
    for piece in says {
        client.writer().write_all(piece).unwrap();
        take(client);
    }
    client.send_close_notify();
    take(client);
    records
}

fn here() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_changed_record_gives_an_error_and_not_a_byte_of_itself(
        says in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3_000), 1..5),
        at in any::<prop::sample::Index>(),
        bit in 0u32..8,
        is_new in any::<bool>(),
    ) {
        here().block_on(async {
            let (client, mut ours) = served(both(VERSIONS[usize::from(is_new)]), 1 << 20).await;
            let (mut socket, mut client) = client.into_inner();
            let records = records(&mut client, &says);
            let mut sent = records.concat();
            let at = at.index(sent.len());
            sent[at] ^= 1 << bit;
            socket.write_all(&sent).await.unwrap();
            drop(socket);
            let mut got = Vec::new();
            let end = ours.read_to_end(&mut got).await;
            // Those before the record that was changed.
            let mut ends = records.iter().scan(0, |end, record| {
                *end += record.len();
                Some(*end)
            });
            let harmed = ends.position(|end| at < end).unwrap();
            let before = says[..harmed.min(says.len())].concat();
            let start: usize = records[..harmed].iter().map(Vec::len).sum();
            if (1..3).contains(&(at - start)) {
                // The version in a record's header, which means nothing.
                let all = says.concat();
                prop_assert!(all.starts_with(&got) && (end.is_err() || got == all));
            } else {
                prop_assert!(end.is_err(), "an orderly end");
                prop_assert_eq!(got, before);
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_cut_off_before_the_close_notify_is_whole_is_no_orderly_end(
        says in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3_000), 0..4),
        at in any::<prop::sample::Index>(),
        is_new in any::<bool>(),
    ) {
        here().block_on(async {
            let (client, mut ours) = served(both(VERSIONS[usize::from(is_new)]), 1 << 20).await;
            let (mut socket, mut client) = client.into_inner();
            let sent = records(&mut client, &says).concat();
            socket.write_all(&sent[..at.index(sent.len())]).await.unwrap();
            drop(socket);
            let mut got = Vec::new();
            let error = ours.read_to_end(&mut got).await.unwrap_err();
            prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            prop_assert!(says.concat().starts_with(&got));
            Ok(())
        })?;
    }
}

#[test]
fn a_connection_moves_to_another_thread_with_unread_bytes_and_half_a_record() {
    for version in VERSIONS {
        let (first, second) = (here(), here());
        let both = both(version);
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        near.set_nonblocking(true).unwrap();
        let (client, ours) = first.block_on(async {
            let connector = TlsConnector::from(Arc::new(both.client));
            let (near, far) = (TcpStream::from_std(near).unwrap(), TcpStream::from_std(far).unwrap());
            let ours = accept(near, Vec::new(), Arc::new(both.server), Bounds::default());
            let (client, ours) = tokio::join!(connector.connect(name(), far), ours);
            (client.unwrap(), ours.unwrap())
        });
        let (socket, mut client) = client.into_inner();
        let mut far = socket.into_std().unwrap();
        far.set_nonblocking(false).unwrap();
        let records = records(&mut client, &[bytes(100), bytes(1_000)]);
        let (front, back) = records[1].split_at(500);
        far.write_all(&[&records[0], front].concat()).unwrap();
        let (ours, mut got) = first.block_on(async {
            let (mut ours, mut got) = (ours, vec![0; 10]);
            ours.read_exact(&mut got).await.unwrap();
            (ours, got)
        });
        let mut ours = {
            let _there = second.enter();
            ours.rehome_here().unwrap()
        };
        drop(first);
        assert_eq!(ours.look(), Seen::Bytes);
        second.block_on(async {
            let mut rest = vec![0; 90];
            ours.read_exact(&mut rest).await.unwrap();
            got.extend(rest);
            assert_eq!((ours.look(), ours.glance()), (Seen::Nothing, Seen::Nothing), "half a record");
            far.write_all(back).unwrap();
            assert_eq!(poll_fn(|cx| ours.poll_seen(cx)).await, Seen::Bytes);
            let mut rest = vec![0; 1_000];
            ours.read_exact(&mut rest).await.unwrap();
            got.extend(rest);
            assert_eq!(ours.held(), 0);
            far.write_all(&records[2]).unwrap();
            assert_eq!(poll_fn(|cx| ours.poll_seen(cx)).await, Seen::End);
            assert_eq!(ours.read(&mut [0; 4]).await.unwrap(), 0);
        });
        assert_eq!(got, [bytes(100), bytes(1_000)].concat());
    }
}

#[tokio::test]
async fn a_change_of_keys_on_an_idle_link_is_nothing_that_a_reader_sees() {
    let both = both(&version::TLS13);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(both.server));
    let (server, link) = tokio::join!(acceptor.accept(far), connect(near, Arc::new(both.client), name()));
    let (mut server, mut link) = (server.unwrap(), link.unwrap());
    for _ in 0..3 {
        server.get_mut().1.refresh_traffic_keys().unwrap();
        server.flush().await.unwrap();
        link.readable().await;
        assert_eq!((link.look(), link.glance()), (Seen::Nothing, Seen::Nothing));
        assert_eq!(link.held(), 0);
        carry(&mut link, &mut server, b"a call").await;
        carry(&mut server, &mut link, b"a reply").await;
    }
}
