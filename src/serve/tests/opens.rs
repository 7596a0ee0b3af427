//! New sessions: each goes to a coordinator that takes it, and the client does not notice those that did not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{World, in_memory};
use crate::cluster::AdminState;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::Transport::Unframed;
use crate::ids::{Access, Service};
use crate::net::buffer::{Buffer, unused_here};

#[tokio::test(start_paused = true)]
async fn sessions_are_spread_one_by_one_also_over_one_connection() {
    in_memory(async {
        let world = World::of(3, Unframed);
        let mut client = world.connect(Unframed).await;
        for _ in 0..6 {
            client.open().await.unwrap();
        }
        assert_eq!(world.sessions(), [2, 2, 2]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_open_goes_on_to_the_next_coordinator_when_one_refuses_connections_hangs_up_or_shuts_down() {
    in_memory(async {
        for trouble in ["refuses", "hangs up", "shuts down"] {
            let world = World::of(2, Unframed);
            match trouble {
                "refuses" => world.coordinators[0].unplug(),
                "hangs up" => world.coordinators[0].hang_up(),
                _ => world.coordinators[0].memory.faults().start_quiescing(),
            }
            for _ in 0..2 {
                let opened = world.connect(Unframed).await.open().await;
                assert!(opened.is_ok(), "{trouble}: {opened:?}");
            }
            assert_eq!(world.sessions(), [0, 2], "{trouble}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_open_that_no_coordinator_takes_is_refused_with_the_reasons_of_all_and_the_connection_goes_on() {
    in_memory(async {
        let world = World::of(2, Unframed);
        world.coordinators.iter().for_each(super::coordinators::Coordinator::unplug);
        let mut client = world.connect(Unframed).await;
        let refused = client.open().await.unwrap_err();
        assert!(refused.contains("c1: ") && refused.contains("c2: "), "{refused}");
        world.coordinators[1].plug_in();
        client.open().await.unwrap();
        assert_eq!(world.sessions(), [0, 1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_the_last_coordinators_own_words_about_its_shutdown() {
    in_memory(async {
        let world = World::of(1, Unframed);
        world.coordinators[0].memory.faults().start_quiescing();
        let refused = world.connect(Unframed).await.open().await.unwrap_err();
        assert!(refused.starts_with("Server is being shut down:"), "{refused}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_drained_gets_no_session_and_keeps_those_that_it_has() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let mut client = world.connect(Unframed).await;
        let session = client.open().await.unwrap();
        let owner = world.owner();
        let operation = client.execute(&session, "select * from rows(1)").await.unwrap();
        let drained = world.fleet.cluster.coordinators()[owner].clone();
        world.fleet.drain(&drained, None);
        assert_eq!(drained.state(), AdminState::Drain);
        client.open().await.unwrap();
        assert_eq!(client.fetch(&operation, 10).await, Ok(1));
        assert_eq!(world.sessions(), [1, 1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_open_that_was_turned_away_holds_no_read_buffer_while_it_waits_for_room() {
    in_memory(async {
        let world = World::of(2, Unframed);
        world.coordinators[0].memory.faults().start_quiescing();
        world.coordinators[0].says_at_once.store(true, Ordering::Relaxed);
        let full = world.fleet.cluster.coordinators()[1].clone();
        let port = world.fleet.port(&full, Service::Hs2).unwrap();
        let holder = Holder::ourselves(&Access::UNREAD);
        let grants: Vec<_> = std::iter::from_fn(|| port.claim(holder, Purpose::Work, Kind::New)).collect();
        let mut client = world.connect(Unframed).await;
        // More than are ever in use here at the same time.
        drop([Buffer::take(), Buffer::take(), Buffer::take(), Buffer::take()]);
        let unused = unused_here();
        let open = tokio::spawn(async move { client.open().await });
        // The open has come to wait when there is nothing left to do but to let time pass.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!open.is_finished());
        assert_eq!(unused_here(), unused, "the buffer in which the reply came is held");
        drop(grants);
        open.await.unwrap().unwrap();
        assert_eq!(world.sessions(), [0, 1]);
    })
    .await;
}
