//! Requests that come before the last one is answered, and who they are for.

use super::{ANN, BOB, Scene, call, chunked_call};
use crate::support::message::{execute, of_handle, open_session};

#[test]
fn requests_in_one_segment_are_answered_one_after_the_other() {
    let scene = Scene::new("");
    let session = scene.session();
    let calls = [
        open_session().seqid(1),
        execute(&session, "select 1").seqid(2),
        of_handle("PingImpalaHS2Service", &session).seqid(3),
        execute(&session, &"x".repeat(200_000)).seqid(4),
        of_handle("CloseSession", &session).seqid(5),
    ];
    for chunked in [false, true] {
        let one = |message| if chunked { chunked_call(ANN, message, 4000) } else { call(ANN, message) };
        let mut client = scene.client();
        let between = b"GET / HTTP/1.1\r\n\r\n";
        let segment: Vec<u8> = calls.iter().flat_map(|call| [one(call), between.to_vec()].concat()).collect();
        client.send(&segment);
        for call in &calls {
            let reply = client.hear().message();
            assert_eq!((&reply.name, reply.seqid), (&call.name, call.seqid), "chunked: {chunked}");
            assert_eq!(client.hear().body, b"ok\n");
        }
    }
    scene.stays_sound();
}

#[test]
fn each_request_of_a_connection_is_made_for_whom_it_names() {
    let scene = Scene::new("");
    let mut client = scene.client();
    let order = [ANN, BOB, ANN, ANN, BOB, BOB];
    client.send(&order.iter().flat_map(|who| call(who, &open_session())).collect::<Vec<_>>());
    for _ in order {
        assert_eq!(client.hear().message().status(), Some(0));
    }
    let count = |user| scene.calls().iter().filter(|call| call.user.as_deref() == Some(user)).count();
    assert_eq!((count("ann"), count("bob")), (3, 3));
    // Who has nothing to show has nothing, whoever came before it on the same connection.
    client.send(&[call(ANN, &open_session()), call("", &open_session())].concat());
    assert_eq!(client.hear().message().status(), Some(0));
    assert_eq!(client.last().status, 401);
    assert_eq!((count("ann"), count("bob"), scene.calls().len()), (4, 3, 7));
    scene.stays_sound();
}

#[test]
fn nothing_that_follows_the_last_request_of_a_connection_is_carried_out() {
    let scene = Scene::new("");
    let lasts = [
        (call(&format!("{ANN}Connection: close\r\n"), &open_session()), 200),
        (call("", &open_session()), 401),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), 200),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".to_vec(), 200),
        (b"POST / HTTP/1.0\r\n\r\n".to_vec(), 400),
    ];
    for (bytes, status) in lasts {
        let before = scene.calls().len();
        let mut client = scene.client();
        // The rest is more than one read takes.
        client.pour(&[bytes, call(ANN, &open_session()).repeat(200)].concat());
        let answer = client.last();
        assert_eq!(answer.status, status, "{answer:?}");
        let ran = scene.calls().len() - before;
        assert!(ran <= usize::from(answer.body.starts_with(b"\x80")), "{ran} calls after {answer:?}");
    }
    scene.stays_sound();
}

#[test]
fn a_thousand_requests_in_one_segment_get_a_thousand_answers() {
    let scene = Scene::new("");
    let session = scene.session();
    let mut client = scene.client();
    client.send(&call(ANN, &of_handle("PingImpalaHS2Service", &session)).repeat(1000));
    for _ in 0..1000 {
        assert_eq!(client.hear().message().status(), Some(0));
    }
    scene.stays_sound();
}
