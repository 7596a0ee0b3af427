//! What a peer learns of an end.

use super::*;
use crate::net::relay::{Side, Sides};

#[tokio::test]
async fn dropping_a_connection_says_that_this_is_the_end() {
    let (mut client, ours) = served(both(&version::TLS13), 64 << 10).await;
    drop(ours);
    assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
    // Where the peer must not take it for the end, it is not said.
    let (mut client, ours) = served(both(&version::TLS13), 64 << 10).await;
    ours.reset_on_close();
    drop(ours);
    assert!(client.read(&mut [0; 4]).await.is_err());
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_message_is_not_said() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 64 << 10).await;
        ours.set_midway(true);
        carry(&mut ours, &mut client, b"half of it").await;
        drop(ours);
        assert!(client.read(&mut [0; 4]).await.is_err(), "it looked orderly");

        let (mut client, mut ours) = served(both(version), 64 << 10).await;
        ours.set_midway(true);
        carry(&mut ours, &mut client, b"all of it").await;
        ours.set_midway(false);
        drop(ours);
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_peer_that_sends_no_more_without_a_word_still_reads() {
    for version in VERSIONS {
        let (mut client, mut ours) = served(both(version), 64 << 10).await;
        // Its half of the connection beneath, and not that of TLS.
        client.get_mut().0.shutdown().await.unwrap();
        let error = ours.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        carry(&mut ours, &mut client, b"an answer").await;
        drop(ours);
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn of_ends_without_a_word_a_client_s_is_passed_on_by_a_relay_and_a_coordinator_s_is_a_failure() {
    for from in [Side::Client, Side::Coordinator] {
        let (mut client, mut to_client) = served(both(&version::TLS13), 64 << 10).await;
        let (mut coordinator, mut to_coordinator) = connected(both(&version::TLS13), 64 << 10).await;
        let relay = async {
            let ended = Sides::new(&mut to_client, &mut to_coordinator).relay(&mut |_, _| {}).await;
            drop((to_client, to_coordinator));
            ended
        };
        let talk = async {
            let mut got = [0; 4];
            match from {
                Side::Client => {
                    carry(&mut client, &mut coordinator, b"asks").await;
                    client.get_mut().0.shutdown().await.unwrap();
                    assert_eq!(coordinator.read(&mut got).await.unwrap(), 0);
                    carry(&mut coordinator, &mut client, b"answer").await;
                    coordinator.shutdown().await.unwrap();
                    assert_eq!(client.read(&mut got).await.unwrap(), 0);
                }
                Side::Coordinator => {
                    carry(&mut coordinator, &mut client, b"half").await;
                    coordinator.get_mut().0.shutdown().await.unwrap();
                    assert!(client.read(&mut got).await.is_err(), "it looked orderly");
                }
            }
        };
        let (ended, ()) = tokio::join!(relay, talk);
        assert_eq!((ended.who, ended.error.is_some()), (from, from == Side::Coordinator), "{ended:?}");
    }
}
