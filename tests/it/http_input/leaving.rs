//! Clients that leave in the middle of something.

use super::{ANN, Scene, chunks, request};
use crate::support::message::{execute, open_session};
use crate::support::router::eventually;

#[test]
fn a_call_is_not_carried_out_of_which_a_client_has_sent_a_part() {
    let scene = Scene::new("replay_limit = \"4KiB\"");
    let session = scene.session();
    let message = execute(&session, &"x".repeat(100_000)).encode();
    let part = &message[..message.len() - 1];
    let length = format!("Content-Length: {}\r\n", message.len());
    let requests = || scene.fleet.coordinators().map(|one| one.http_counts().requests).sum::<u64>();
    let mut left = 0.0;
    for bytes in [
        request(&length, part),
        request("Transfer-Encoding: chunked\r\n", &chunks(part, 5000)),
        request("Transfer-Encoding: chunked\r\n", &chunks(part, 5000)[..90_000]),
    ] {
        let before = requests();
        for half in [true, false] {
            let mut client = scene.client();
            client.send(&bytes);
            assert!(eventually(|| requests() > before), "nothing of it was passed on");
            if half {
                client.finish();
                assert_eq!(client.rest(), b"", "there is nothing to say");
            }
            drop(client);
            left += 1.0;
            scene
                .fleet
                .router()
                .await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", left);
        }
    }
    let ran = scene.fleet.calls("ExecuteStatement");
    assert!(ran.is_empty(), "{ran:?}");
    scene.stays_sound();
}

#[test]
fn a_head_of_which_a_part_came_is_nothing() {
    let scene = Scene::new("");
    let mut client = scene.client();
    let bytes = super::call(ANN, &open_session());
    for at in 1..bytes.len() {
        let mut client = scene.client();
        client.send(&bytes[..at]);
        client.finish();
        assert_eq!(client.rest(), b"", "after {at} bytes");
    }
    assert_eq!(scene.calls(), []);
    client.send(&bytes);
    assert_eq!(client.hear().message().status(), Some(0));
    // Who has finished sending gets its answer.
    let mut client = scene.client();
    client.send(&bytes);
    client.finish();
    assert_eq!(client.hear().message().status(), Some(0));
    scene.stays_sound();
}
