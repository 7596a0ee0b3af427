//! Requests that come faster than they are answered, and requests that are too large to be held.

use hs2router::fake::sasl::frame;

use super::Scene;
use crate::support::message::{Message, Value, execute, of_handle};
use crate::support::router::eventually;
use crate::support::script::Script;
use crate::support::talk::Talk;

/// How clients come.
const WAYS: [fn(std::net::SocketAddr) -> Talk; 3] = [Talk::connect, Talk::connect_framed, Talk::connect_sasl];

/// The statements that any coordinator got, in order.
fn statements(scene: &Scene) -> Vec<Message> {
    let got = scene.coordinators.iter().flat_map(Script::got);
    got.filter(|call| call.name == "ExecuteStatement").collect()
}

#[test]
fn three_requests_in_one_segment_get_three_replies_in_order() {
    for way in WAYS {
        let mut scene = Scene::new("");
        let mut client = way(scene.listener());
        let session = client.open();
        let calls = [
            execute(&session, "select 1").seqid(1),
            of_handle("PingImpalaHS2Service", &session).seqid(2),
            of_handle("CloseSession", &session).seqid(3),
        ];
        let segment: Vec<u8> = calls.iter().flat_map(|call| client.wrap(&call.encode())).collect();
        client.send(&segment);
        for call in &calls {
            let reply = client.hear().unwrap();
            assert_eq!((&reply.name, reply.seqid, reply.status()), (&call.name, call.seqid, Some(0)));
        }
        scene.others_are_unharmed();
    }
}

#[test]
fn sessions_of_one_segment_are_opened_one_after_the_other_and_spread() {
    let scene = Scene::new("");
    let mut client = Talk::connect(scene.listener());
    let opens: Vec<u8> =
        (0..7).flat_map(|seqid| crate::support::message::open_session().seqid(seqid).encode()).collect();
    client.send(&opens);
    for seqid in 0..7 {
        assert_eq!(client.hear().unwrap().seqid, seqid);
    }
    // With the bystander's there are eight.
    let counts: Vec<usize> = scene.coordinators.iter().map(|script| script.count("OpenSession")).collect();
    assert_eq!(counts, [4, 4]);
}

#[test]
fn a_request_in_frames_of_one_byte_and_in_bytes_is_one_request() {
    let scene = Scene::new("");
    let mut client = Talk::connect_sasl(scene.listener());
    let session = client.open();
    let call = execute(&session, "select 1");
    for byte in call.encode() {
        let one = frame(&[byte]);
        client.send(&one[..3]);
        client.send(&one[3..]);
    }
    assert_eq!(client.hear().unwrap().status(), Some(0));
    assert_eq!(statements(&scene), [call]);
}

/// A statement of three megabytes in which no two places look the same.
fn large(session: &Value) -> Message {
    let numbers: Vec<String> = (0..300_000).map(|number| format!("{number:010}")).collect();
    execute(session, &numbers.concat())
}

#[test]
fn requests_larger_than_replay_limit_arrive_as_they_were_sent() {
    for way in WAYS {
        let mut scene = Scene::new("replay_limit = \"4KiB\"");
        let mut client = way(scene.listener());
        let session = client.open();
        let call = large(&session);
        assert_eq!(client.call(&call).status(), Some(0));
        assert!(statements(&scene) == [call], "it is not what was sent");
        assert_eq!(client.call(&execute(&session, "select 2")).status(), Some(0));
        scene.others_are_unharmed();
    }
}

#[test]
fn requests_that_the_replay_memory_cannot_hold_are_sent_on_without_being_held() {
    let mut scene = Scene::new("replay_limit = \"64KiB\"\nreplay_memory = \"64KiB\"");
    let accepted = |scene: &Scene| scene.coordinators.iter().map(Script::accepted).sum::<usize>();
    let before = accepted(&scene);
    let call = execute(&scene.session, &"x".repeat(50_000));
    let bytes = call.encode();
    let (most, last) = bytes.split_at(bytes.len() - 1);
    let mut clients: Vec<Talk> = (0..10).map(|_| Talk::connect(scene.listener())).collect();
    for client in &mut clients {
        client.send(most);
    }
    // One fits. Each of the others needs a link before it is complete.
    assert!(eventually(|| accepted(&scene) >= before + 9), "{} were dialed", accepted(&scene) - before);
    for client in &mut clients {
        client.send(last);
        assert_eq!(client.hear().unwrap().status(), Some(0));
    }
    assert!(statements(&scene) == vec![call; 10], "they are not what was sent");
    scene.others_are_unharmed();
}

#[test]
fn a_large_request_whose_handle_does_not_come_costs_its_connection() {
    let mut scene = Scene::new("replay_limit = \"4KiB\"\nreplay_memory = \"64KiB\"");
    let request = vec![(2, Value::text(&"x".repeat(1 << 20))), (1, scene.session.clone())];
    let call = Message::call("ExecuteStatement", vec![(1, Value::Struct(request))]).encode();
    let client = Talk::connect(scene.listener());
    super::costs_its_connection(client, &mut scene, &call, "bad_thrift", "no handle within the first");
    assert!(eventually(|| statements(&scene).len() == 1));
}

#[test]
fn a_handle_behind_its_statement_is_found() {
    let scene = Scene::new("");
    let mut client = Talk::connect(scene.listener());
    let sessions = [client.open(), client.open(), client.open()];
    for session in sessions {
        let request = vec![(2, Value::text(&"x".repeat(100_000))), (1, session.clone())];
        let call = Message::call("ExecuteStatement", vec![(1, Value::Struct(request))]);
        let reply = client.call(&call);
        let owner = scene.coordinators.iter().find(|script| script.minted(&session)).unwrap();
        assert!(owner.minted(&reply.handle(&[0, 2])));
    }
}

#[test]
fn a_large_request_that_stalls_half_way_costs_its_connection_and_its_link() {
    let mut scene = Scene::new(&format!("replay_limit = \"4KiB\"\n{}", super::HASTY));
    let mut client = Talk::connect(scene.listener());
    let session = client.open();
    let bytes = large(&session).encode();
    super::costs_its_connection(client, &mut scene, &bytes[..1 << 20], "client_stalled", "no byte sent");
    assert!(eventually(|| scene.coordinators.iter().map(Script::open).sum::<usize>() == 1));
}
