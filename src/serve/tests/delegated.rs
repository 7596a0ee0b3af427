//! Users for whom the router speaks under its own name: a coordinator sees one user for all, so what keeps them
//! apart is the router alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::world::{TestClient, World, in_memory};
use crate::idl::t_c_l_i_service::{THandleIdentifier, TOperationHandle, TSessionHandle};
use crate::ids::Transport::{self, Http, Sasl};
use crate::session::delegation::{Caller, Claims, Rules};
use crate::wire::method::{self, Method, Role};
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

fn rules() -> Arc<Rules> {
    Arc::new(Rules {
        realms: ["R".to_owned()].into(),
        proxy_users: [("hue".to_owned(), Claims::Of(["ann".to_owned(), "bob".to_owned()].into()))].into(),
        ..Rules::default()
    })
}

fn caller(name: &str) -> Caller {
    Caller::new(&format!("{name}@R"), &rules()).unwrap()
}

/// How users come, and how the router comes to coordinators.
const WAYS: [Transport; 2] = [Sasl, Http];

/// A client of this user's that comes like this.
async fn connect(world: &World, name: &str, way: Transport) -> TestClient {
    match way {
        Http => world.connect_by_cookie(&format!("{name}@R"), &rules()).await,
        _ => world.connect_as(caller(name)).await,
    }
}

/// Every way to come, with every way to coordinators.
fn all_ways() -> impl Iterator<Item = (Transport, Transport)> {
    WAYS.into_iter().flat_map(|way| WAYS.map(|link| (way, link)))
}

/// What a user has open, and the connection by which it was opened.
struct Open {
    client: TestClient,
    session: TSessionHandle,
    operation: TOperationHandle,
}

async fn opened_by(world: &World, name: &str, way: Transport) -> Open {
    let mut client = connect(world, name, way).await;
    let session = client.open().await.unwrap();
    let operation = client.execute(&session, "select * from rows(4)").await.unwrap();
    Open { client, session, operation }
}

fn identifier(writer: &mut Writer, id: i16, handle: &THandleIdentifier) {
    writer.structure(id, |held| {
        held.structure(1, |identifier| {
            identifier.string(1, &handle.guid);
            identifier.string(2, &handle.secret);
        });
    });
}

/// A call of this method that names these: an operation where it takes one, and a session where it takes one.
fn call(method: &Method, session: &TSessionHandle, operation: &TOperationHandle) -> Vec<u8> {
    let named_first = match method.role {
        Role::Profile
        | Role::UseOperation
        | Role::CancelOperation
        | Role::Fetch
        | Role::Poll
        | Role::CloseOperation => &operation.operation_id,
        _ => &session.session_id,
    };
    let message = Writer::message(MessageType::Call, method.name.as_bytes(), 7, |arguments| {
        arguments.structure(1, |request| {
            identifier(request, 1, named_first);
            if method.role == Role::Profile {
                identifier(request, 2, &session.session_id);
            }
        });
    });
    message.to_vec()
}

/// The effective users of a coordinator's sessions, sorted.
fn users(world: &World, coordinator: usize) -> Vec<String> {
    let mut users = world.coordinators[coordinator].memory.effective_users();
    users.sort();
    users
}

/// How many calls the coordinators have received.
fn received(world: &World) -> usize {
    world.coordinators.iter().map(|one| one.methods().len()).sum()
}

/// That each method of HS2 and of Beeswax is refused for these handles, and that no coordinator hears of it.
async fn assert_all_refused(
    world: &World,
    client: &mut TestClient,
    session: &TSessionHandle,
    operation: &TOperationHandle,
) {
    let before = received(world);
    let mut tried = BTreeSet::new();
    for method in method::all().filter(|method| method.role != Role::OpenSession) {
        let reply = client.raw(&call(method, session, operation)).await;
        let text = String::from_utf8_lossy(&reply);
        assert!(text.contains("hs2router (c"), "{}: {text:?}", method.name);
        tried.insert(method.name);
    }
    assert!(tried.contains("FetchResults") && tried.contains("GetRuntimeProfile") && tried.len() > 40);
    let unknown = Writer::message(MessageType::Call, b"SomethingNew", 7, |arguments| {
        arguments.structure(1, |request| identifier(request, 1, &session.session_id));
    });
    assert!(String::from_utf8_lossy(&client.raw(&unknown).await).contains("not one that the router knows"));
    assert_eq!(received(world), before, "no coordinator hears of it");
}

#[tokio::test(start_paused = true)]
async fn the_user_goes_along_when_a_session_is_opened_and_no_other_user_with_it() {
    in_memory(async {
        for (way, link) in all_ways() {
            let world = World::of(1, link);
            for (claim, opened) in [(None, true), (Some("ann"), true), (Some("bob"), false)] {
                let mut client = connect(&world, "ann", way).await;
                let claims: Vec<_> = claim.map(|user| ("Impala.Doas.User", user)).into_iter().collect();
                assert_eq!(client.open_with(&claims).await.is_ok(), opened, "{claim:?}");
            }
            assert_eq!(users(&world, 0), ["ann", "ann"]);
            let mut hue = connect(&world, "hue", way).await;
            let session = hue.open_with(&[("impala.doas.user", "bob")]).await.unwrap();
            assert_eq!(users(&world, 0), ["ann", "ann", "bob"]);
            hue.run(&session, "select 1").await.unwrap();
            hue.open_with(&[("impala.doas.user", "root")]).await.unwrap_err();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn with_anothers_handle_and_its_secret_no_method_reaches_a_coordinator() {
    in_memory(async {
        for (way, link) in all_ways() {
            for bobs in WAYS {
                assert_kept_apart(&World::of(2, link), way, bobs).await;
            }
        }
    })
    .await;
}

/// That ann's sessions, who comes like this, are not bob's, who comes like that, and that both are the router's
/// own to nobody.
async fn assert_kept_apart(world: &World, anns: Transport, bobs: Transport) {
    let ann = opened_by(world, "ann", anns).await;
    let mut bob = opened_by(world, "bob", bobs).await;
    assert_all_refused(world, &mut bob.client, &ann.session, &ann.operation).await;
    // Her operation with his session, and the other way round.
    for (session, operation) in [(&bob.session, &ann.operation), (&ann.session, &bob.operation)] {
        let before = received(world);
        let profile = method::all().find(|method| method.name == "GetRuntimeProfile").unwrap();
        let reply = bob.client.raw(&call(profile, session, operation)).await;
        assert!(String::from_utf8_lossy(&reply).contains("is not known as one of this user's"));
        assert_eq!(received(world), before);
    }
    // Nor is a session of a principal another's that has the same user.
    let mut admin = connect(world, "ann/admin", bobs).await;
    assert_all_refused(world, &mut admin, &ann.session, &ann.operation).await;
    // Their own they have all the same, whichever way they come.
    let mut again = connect(world, "ann", bobs).await;
    assert_eq!(again.fetch(&ann.operation, 10).await, Ok(4));
    assert_eq!(bob.client.fetch(&bob.operation, 10).await, Ok(4));
}

#[tokio::test(start_paused = true)]
async fn a_handle_with_another_secret_is_of_no_use_to_its_own_user() {
    in_memory(async {
        for way in WAYS {
            let world = World::of(1, Sasl);
            let Open { mut client, mut session, mut operation } = opened_by(&world, "ann", way).await;
            session.session_id.secret[15] ^= 1;
            operation.operation_id.secret[0] ^= 1;
            assert_all_refused(&world, &mut client, &session, &operation).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_the_router_nobody_gets_at_what_was_open_before() {
    in_memory(async {
        for (way, link) in all_ways() {
            let before = World::of(2, link);
            let ann = opened_by(&before, "ann", way).await;
            let World { coordinators, shared, .. } = before;
            let world = World::in_front_of(coordinators, shared.network.clone(), link);
            for name in ["ann", "bob"] {
                let mut client = connect(&world, name, way).await;
                assert_all_refused(&world, &mut client, &ann.session, &ann.operation).await;
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_session_is_its_users_still_and_nobody_elses() {
    in_memory(async {
        for (way, link) in all_ways() {
            let world = World::of(2, link);
            let mut ann = opened_by(&world, "ann", way).await;
            let mut bob = opened_by(&world, "bob", way).await;
            let owner = world.owner_of(&ann.session);
            let before = ann.operation.clone();
            world.coordinators[owner].lose();
            let moved = ann.client.execute(&ann.session, "select * from rows(3)").await.unwrap();
            assert!(users(&world, 1 - owner).contains(&"ann".to_owned()));
            for operation in [&before, &moved] {
                assert_all_refused(&world, &mut bob.client, &ann.session, operation).await;
            }
            assert_eq!(ann.client.fetch(&moved, 10).await, Ok(3));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_users_connection_has_sessions_of_several_users_which_all_move() {
    in_memory(async {
        let world = World::of(2, Sasl);
        let mut hue = world.connect_as(caller("hue")).await;
        let mut sessions = Vec::new();
        for user in ["ann", "bob", "ann", "bob"] {
            sessions.push(hue.open_with(&[("impala.doas.user", user)]).await.unwrap());
        }
        world.coordinators[0].lose();
        for session in &sessions {
            hue.run(session, "select 1").await.unwrap();
        }
        assert_eq!(users(&world, 1), ["ann", "ann", "bob", "bob"]);
        // What it opened for ann is not hers to use: her own ticket did not open it.
        let mut ann = world.connect_as(caller("ann")).await;
        ann.execute(&sessions[0], "select 1").await.unwrap_err();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_open_that_cannot_be_read_to_its_end_is_refused() {
    in_memory(async {
        let world = World::of(1, Sasl);
        let mut client = world.connect_as(caller("ann")).await;
        let long = "x".repeat(2 * super::world::REPLAY_LIMIT);
        let refused = client.open_with(&[("a", &long)]).await.unwrap_err();
        assert!(refused.contains("longer than the router holds"), "{refused}");
        let odd = Writer::message(MessageType::Call, b"OpenSession", 7, |arguments| {
            arguments.structure(1, |request| {
                request.i32(1, 5);
                request.string(9, b"?");
            });
        });
        let reply = client.raw(&odd).await;
        assert!(String::from_utf8_lossy(&reply).contains("the OpenSession request is malformed"));
        assert_eq!(received(&world), 0);
        client.open().await.unwrap();
    })
    .await;
}
