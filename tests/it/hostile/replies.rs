//! Clients that do not take their reply, and replies that do not come.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::{HASTY, Scene};
use crate::support::message::{Value, execute, of_handle};
use crate::support::router::eventually;
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

/// Coordinators that answer a fetch with more rows than all buffers of this machine hold.
fn generous() -> [Script; 2] {
    [(), ()].map(|()| {
        Script::calls(|call| match call.message.name.as_str() {
            "FetchResults" => Act::Reply(call.message.done(vec![(3, Value::Bytes(vec![b'x'; 64 << 20]))])),
            _ => Act::Ordinary,
        })
    })
}

#[test]
fn a_client_that_never_reads_its_reply_costs_its_connection() {
    let mut scene = Scene::with(HASTY, generous());
    let mut client = Talk::connect(scene.listener());
    let address = client.address();
    let session = client.open();
    client.say(&of_handle("FetchResults", &session));
    scene.ended(address, "client_stalled", "no byte taken within stall_timeout");
    assert!(
        eventually(|| scene.coordinators.iter().map(Script::open).sum::<usize>() == 1),
        "its link is open"
    );
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_its_reply() {
    let scene = Scene::with("", generous());
    let mut client = Talk::connect(scene.listener());
    let session = client.open();
    let reply = client.call(&of_handle("FetchResults", &session));
    assert!(matches!(reply.body.at(&[0, 3]), Some(Value::Bytes(rows)) if rows.len() == 64 << 20));
}

/// Coordinators that answer an `ExecuteStatement` of "slow" when they are told to, and the way to tell them.
fn slow() -> ([Script; 2], [mpsc::Sender<Act>; 2]) {
    let (one, first) = mpsc::channel::<Act>();
    let (two, second) = mpsc::channel::<Act>();
    let scripts = [first, second].map(|told| {
        let told = Mutex::new(told);
        Script::calls(move |call| match call.message.text(&[1, 2]).as_str() {
            // A sender that is gone has nothing to say: as good as a close.
            "slow" => told.lock().unwrap().recv().unwrap_or(Act::Close),
            _ => Act::Ordinary,
        })
    });
    (scripts, [one, two])
}

/// A client that waits for the reply to "slow", and the place of the coordinator that owes it.
fn waiting(scene: &Scene) -> (Talk, usize) {
    let mut client = Talk::connect(scene.listener());
    let session = client.open();
    let owner = scene.coordinators.iter().position(|script| script.minted(&session)).unwrap();
    let before = scene.coordinators[owner].count("ExecuteStatement");
    client.say(&execute(&session, "slow"));
    assert!(eventually(|| scene.coordinators[owner].count("ExecuteStatement") > before));
    (client, owner)
}

#[test]
fn a_reply_that_comes_late_is_delivered_whatever_stall_timeout_says() {
    let (scripts, tell) = slow();
    let mut scene = Scene::with("stall_timeout = \"50ms\"", scripts);
    let (mut client, owner) = waiting(&scene);
    // Several stall timeouts go by, in something that takes them.
    for _ in 0..4 {
        let mut stalled = Talk::connect(scene.listener());
        stalled.send(b"\x80\x01\0\x01\0\0\0\x0b");
        assert_eq!(stalled.rest(), b"");
    }
    scene.others_are_unharmed();
    tell[owner].send(Act::Ordinary).unwrap();
    assert_eq!(client.hear().unwrap().status(), Some(0));
}

#[test]
fn a_client_that_finishes_while_it_waits_still_gets_its_reply() {
    let (scripts, tell) = slow();
    let mut scene = Scene::with("", scripts);
    let (mut client, owner) = waiting(&scene);
    client.finish();
    scene.others_are_unharmed();
    tell[owner].send(Act::Ordinary).unwrap();
    assert_eq!(client.hear().unwrap().status(), Some(0));
    assert!(client.ends_orderly());
    scene.router.await_metric("hs2router_connections_closed_total{cause=\"client_closed\"}", 2.0);
}

#[test]
fn a_client_that_resets_while_it_waits_takes_its_link_with_it() {
    let left = Arc::new(AtomicUsize::new(0));
    let scripts = [(), ()].map(|()| {
        let left = Arc::clone(&left);
        Script::calls(move |call| match call.message.text(&[1, 2]).as_str() {
            "slow" => {
                left.fetch_add(1, Ordering::SeqCst);
                Act::Silence
            }
            _ => Act::Ordinary,
        })
    });
    let mut scene = Scene::with("", scripts);
    let (client, owner) = waiting(&scene);
    let open = scene.coordinators[owner].open();
    client.reset();
    assert!(eventually(|| scene.coordinators[owner].open() == open - 1), "the link stays open");
    scene.router.await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", 1.0);
    assert_eq!(left.load(Ordering::SeqCst), 1);
    scene.others_are_unharmed();
}

#[test]
fn a_coordinator_that_leaves_while_its_reply_is_awaited_makes_a_typed_error() {
    let (scripts, tell) = slow();
    let mut scene = Scene::with("", scripts);
    let (mut client, owner) = waiting(&scene);
    tell[owner].send(Act::Close).unwrap();
    let (sql_state, words) = client.hear().unwrap().error();
    assert_eq!(sql_state, "08S01");
    assert!(words.contains("was lost during the call: it closed the connection"), "{words}");
    client.open();
    scene.others_are_unharmed();
}
