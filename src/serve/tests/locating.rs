//! Handles that the table lacks, as after a restart of the router: every coordinator is asked which of them
//! has the handle.

use super::world::{TestClient, World, in_memory};
use crate::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};
use crate::ids::Transport::{self, Lines, Unframed};

/// Opens a session with an open operation through the router that will be restarted.
async fn opened_before(world: &World) -> (TSessionHandle, TOperationHandle, TestClient) {
    let mut before = world.connect(Unframed).await;
    let session = before.open().await.unwrap();
    let operation = before.execute(&session, "select * from rows(4)").await.unwrap();
    (session, operation, before)
}

/// Puts a router with an empty table in front of the same coordinators.
fn restarted(before: World) -> World {
    let World { coordinators, shared, .. } = before;
    World::in_front_of(coordinators, shared.network.clone(), Unframed)
}

#[tokio::test(start_paused = true)]
async fn a_session_is_found_where_it_is_and_the_others_are_asked_once() {
    in_memory(async {
        let world = World::of(3, Unframed);
        let (session, _, _before) = opened_before(&world).await;
        let owner = world.owner();
        let world = restarted(world);
        let mut client = world.connect(Unframed).await;
        for _ in 0..2 {
            client.execute(&session, "select 1").await.unwrap();
        }
        for (at, coordinator) in world.coordinators.iter().enumerate() {
            let asked = coordinator.methods().into_iter().filter(|method| method == "PingImpalaHS2Service");
            assert_eq!(asked.count(), 1, "c{}", at + 1);
            assert_eq!(coordinator.methods().contains(&"ExecuteStatement".to_owned()), at == owner);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_found_by_its_own_handle() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let (_, operation, _before) = opened_before(&world).await;
        let world = restarted(world);
        assert_eq!(world.connect(Unframed).await.fetch(&operation, 10).await, Ok(4));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_no_coordinator_has_is_answered_in_a_coordinators_words_and_not_asked_for_again() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let (mut session, _, _before) = opened_before(&world).await;
        session.session_id.guid[0] ^= 0xff;
        let world = restarted(world);
        let mut client = world.connect(Unframed).await;
        for _ in 0..3 {
            let gone = client.execute(&session, "select 1").await.unwrap_err();
            assert!(gone.contains("Invalid session id"), "{gone}");
        }
        let asked = world.coordinators.iter().flat_map(super::coordinators::Coordinator::methods);
        assert_eq!(asked.filter(|method| method == "PingImpalaHS2Service").count(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_finds_nothing() {
    in_memory(async {
        let world = World::of(2, Unframed);
        let (mut session, _, _before) = opened_before(&world).await;
        session.session_id.secret[3] ^= 1;
        let world = restarted(world);
        let refused = world.connect(Unframed).await.execute(&session, "select 1").await;
        assert!(refused.is_err(), "{refused:?}");
        assert!(world.fleet.table.session_owner(&guid(&session)).is_none(), "it was not learnt");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_coordinator_does_not_delay_a_lookup() {
    in_memory(async {
        let world = World::of(3, Unframed);
        let (session, _, _before) = opened_before(&world).await;
        let owner = world.owner();
        let world = restarted(world);
        world.coordinators[(owner + 1) % 3].unplug();
        world.coordinators[(owner + 2) % 3].hang_up();
        world.connect(Unframed).await.execute(&session, "select 1").await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn questions_use_the_transport_of_the_links_and_not_that_of_the_client() {
    in_memory(async {
        let world = World::of(2, Lines);
        let mut before = world.connect(Unframed).await;
        let session = before.open().await.unwrap();
        let World { coordinators, shared, .. } = world;
        let world = World::in_front_of(coordinators, shared.network.clone(), Lines);
        for client in [Unframed, Transport::Framed, Transport::Sasl] {
            world.connect(client).await.execute(&session, "select 1").await.unwrap();
        }
    })
    .await;
}

fn guid(session: &TSessionHandle) -> [u8; 16] {
    session.session_id.guid.as_slice().try_into().unwrap()
}
