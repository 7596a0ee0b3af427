//! Clients of each transport reach coordinators of each transport: only the two ends know of transports.

use super::world::{REPLAY_LIMIT, World, in_memory};
use crate::ids::Transport;
use crate::serve::message::coding::Form;

const TRANSPORTS: [Transport; 4] =
    [Transport::Unframed, Transport::Framed, Transport::Sasl, Transport::Lines];

/// Every pair in which a client may reach a coordinator. Links in HTTP are for clients whose requests each
/// name their user.
fn pairs() -> impl Iterator<Item = (Transport, Transport)> {
    let mixed = TRANSPORTS.into_iter().flat_map(|client| TRANSPORTS.map(|link| (client, link)));
    mixed.chain([(Transport::Http, Transport::Http)])
}

#[tokio::test(start_paused = true)]
async fn sessions_statements_and_rows_go_through_in_every_pair_of_transports() {
    in_memory(async {
        for (client, link) in pairs() {
            let pair = format!("{client:?} to {link:?}");
            let world = World::of(2, link);
            let (mut one, mut other) = (world.connect(client).await, world.connect(client).await);
            let session = one.open().await.expect(&pair);
            let owner = world.owner();
            let few = one.execute(&session, "select * from rows(3)").await.expect(&pair);
            assert_eq!(other.fetch(&few, 10).await, Ok(3), "{pair}");
            let many = other
                .execute(&session, "select * from rows(20000, 'bigint, string(40)')")
                .await
                .expect(&pair);
            assert_eq!(one.fetch(&many, 20_000).await, Ok(20_000), "{pair}");
            other.close(&session).await.expect(&pair);
            let gone = one.execute(&session, "select 1").await.unwrap_err();
            assert!(gone.contains("Invalid session id"), "{pair}: {gone}");
            assert!(world.coordinators[owner].methods().contains(&"CloseSession".to_owned()), "{pair}");
            assert!(
                world.coordinators[1 - owner].methods().iter().all(|method| method != "ExecuteStatement")
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_held_goes_through_piece_by_piece_unless_a_frame_would_have_to_say_its_length()
{
    in_memory(async {
        for (client, link) in pairs() {
            let pair = format!("{client:?} to {link:?}");
            let world = World::of(1, link);
            let mut one = world.connect(client).await;
            let session = one.open().await.expect(&pair);
            let long = format!("select '{}' as a", "x".repeat(50 * REPLAY_LIMIT));
            let executed = one.execute(&session, &long).await;
            if link == Transport::Framed && client != Transport::Framed {
                assert!(executed.is_err(), "{pair}");
                let end = one.end().await;
                assert!(end.contains("a message of more than replay_limit bytes"), "{pair}: {end}");
            } else {
                assert_eq!(one.fetch(&executed.expect(&pair), 10).await, Ok(1), "{pair}");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_routers_own_errors_use_the_clients_transport() {
    in_memory(async {
        for (client, link) in pairs() {
            let world = World::of(1, link);
            world.coordinators[0].unplug();
            let refused = world.connect(client).await.open().await.unwrap_err();
            assert!(
                refused.contains("hs2router") && refused.contains("c1"),
                "{client:?} to {link:?}: {refused}"
            );
        }
    })
    .await;
}

#[test]
fn pieces_pass_untouched_only_between_connections_of_one_transport_that_changes_no_payload() {
    for (client, link) in pairs() {
        let passes = client == link && ![Transport::Lines, Transport::Http].contains(&client);
        assert_eq!(Form::between(client, link) == Form::AsItCame, passes, "{client:?} to {link:?}");
    }
}
