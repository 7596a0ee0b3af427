//! Sessions that move because their coordinator is lost or shuts down, while their clients do not notice.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::world::{World, in_memory};
use crate::clock;
use crate::ids::Transport::{self, Lines, Unframed};

#[tokio::test(start_paused = true)]
async fn an_idle_session_moves_when_its_coordinator_is_lost_and_its_next_call_is_run_once() {
    in_memory(async {
        for link in [Unframed, Transport::Sasl, Lines] {
            let world = World::of(2, link);
            let mut client = world.connect(Unframed).await;
            let session = client.open().await.unwrap();
            let owner = world.owner();
            world.coordinators[owner].lose();
            let operation = client.execute(&session, "select * from rows(5)").await.unwrap();
            assert_eq!(client.fetch(&operation, 10).await, Ok(5), "{link:?}");
            let methods = world.coordinators[1 - owner].methods();
            let run = methods.iter().filter(|method| *method == "ExecuteStatement").count();
            assert_eq!((methods[0].as_str(), run), ("OpenSession", 1), "{link:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_a_coordinator_refuses_because_it_shuts_down_is_run_elsewhere() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let mut client = world.connect(Unframed).await;
        let session = client.open().await.unwrap();
        let owner = world.owner();
        world.coordinators[owner].memory.faults().start_quiescing();
        let operation = client.execute(&session, "select * from rows(1)").await.unwrap();
        assert_eq!(client.fetch(&operation, 10).await, Ok(1));
        assert_eq!(world.sessions()[1 - owner], 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_session_keeps_its_clients_handle_its_options_and_its_leftover_until_it_is_closed() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let mut client = world.connect(Unframed).await;
        let session = client.open().await.unwrap();
        client.run(&session, "set batch_size=7").await.unwrap();
        let owner = world.owner();
        world.coordinators[owner].memory.faults().start_quiescing();
        let set = client.execute(&session, "set").await.unwrap();
        assert!(client.fetch(&set, 1_000).await.unwrap() > 0);
        assert_eq!(world.sessions(), [1, 1], "what it left is open for the profiles of its operations");
        client.close(&session).await.unwrap();
        // Leftovers are closed after the call, and before the connection's next call.
        client.execute(&session, "select * from rows(1)").await.unwrap_err();
        assert_eq!(world.sessions(), [0, 0]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_with_an_open_operation_stays_and_its_client_is_told_when_its_coordinator_is_lost() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let mut client = world.connect(Unframed).await;
        let session = client.open().await.unwrap();
        let owner = world.owner();
        let operation = client.execute(&session, "select * from rows(5)").await.unwrap();
        world.coordinators[owner].lose();
        let lost = client.fetch(&operation, 10).await.unwrap_err();
        assert!(lost.contains("hs2router") && lost.contains(&format!("c{}", owner + 1)), "{lost}");
        assert_eq!(world.sessions()[1 - owner], 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_was_under_way_does_not_tell_which_process_answers_now() {
    in_memory(async {
        let world = World::with_web(1, Unframed);
        let coordinators = world.fleet.cluster.coordinators();
        let member = world.fleet.member(coordinators[0].id).unwrap();
        let before = clock::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        let mut polled = pin!(world.fleet.poll_now(&coordinators[0]));
        assert!(polled.as_mut().now_or_never().is_none());
        member.polled.send_replace(Some(before));
        assert!(polled.as_mut().now_or_never().is_none(), "it began before");
        member.polled.send_replace(Some(clock::now()));
        assert!(polled.as_mut().now_or_never().is_some());
    })
    .await;
}
