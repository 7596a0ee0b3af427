//! Bodies that are longer or shorter than they say, or hold something other than one message.

use super::{ANN, Scene, call, chunked_call, chunks, request};
use crate::support::message::{Message, execute, open_session};

fn length(len: usize) -> String {
    format!("Content-Length: {len}\r\n")
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// Bodies with the fields that say how long they are, none of which holds one message and nothing else.
fn bad(message: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (two, short) = ([message, message].concat(), message[..message.len() - 1].to_vec());
    let in_chunks = |bytes: &[u8], last: &str| {
        (CHUNKED.to_owned(), [chunks(bytes, 7), last.as_bytes().to_vec()].concat())
    };
    let sized = |size: &str| {
        let line = format!("{size}\r\n");
        (CHUNKED.to_owned(), [line.as_bytes(), message, b"\r\n0\r\n\r\n"].concat())
    };
    let hex = format!("{:x}", message.len());
    vec![
        (String::new(), Vec::new()),
        (length(0), Vec::new()),
        (length(two.len()), two.clone()),
        (length(message.len() + 1), [message, b"\0"].concat()),
        (length(message.len() + 9), message.to_vec()),
        (length(short.len()), short.clone()),
        (length(4), b"\r\n\r\n".to_vec()),
        in_chunks(&two, "0\r\n\r\n"),
        in_chunks(&short, "0\r\n\r\n"),
        in_chunks(b"", "0\r\n\r\n"),
        (CHUNKED.to_owned(), [chunks(message, 7), chunks(b"x", 1), b"0\r\n\r\n".to_vec()].concat()),
        in_chunks(&short, "x\r\n"),
        sized("8000000000000000"),
        sized("7fffffffffffffff"),
        sized("10000000000000000"),
        sized(&format!("0x{hex}")),
        sized(&format!("+{hex}")),
        sized(&format!("-{hex}")),
        sized(&format!("{hex};a\n")),
        sized(""),
        // A chunk that goes on behind its end.
        (CHUNKED.to_owned(), [format!("{hex}\r\n").as_bytes(), message, b"xx\r\n0\r\n\r\n"].concat()),
        (CHUNKED.to_owned(), [format!("{hex};{}\r\n", "x".repeat(1 << 20)).as_bytes(), message].concat()),
    ]
}

#[test]
fn a_body_with_anything_but_one_message_is_refused_and_reaches_nobody() {
    let scene = Scene::new("");
    for (fields, body) in bad(&open_session().encode()) {
        let mut client = scene.client();
        client.pour(&request(&fields, &body));
        let answer = client.hear();
        assert_eq!(
            answer.status,
            400,
            "{} to {}",
            answer.text(),
            String::from_utf8_lossy(&body[..body.len().min(99)])
        );
        assert_eq!(answer.field("connection"), Some("close"));
    }
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn whoever_sends_a_bad_body_is_told_what_is_wrong_with_it() {
    let scene = Scene::new("");
    let message = open_session().encode();
    for (body, text) in [
        (&b""[..], "has no body"),
        (&message[..message.len() - 1], "the body of the request ended inside the message"),
        (&[&message[..], b"\0"].concat(), "bytes after the message inside the body"),
    ] {
        for sent in [
            request(&length(body.len()), body),
            request(CHUNKED, &[chunks(body, 7), b"0\r\n\r\n".to_vec()].concat()),
        ] {
            let answer = scene.told(&sent);
            assert!(answer.status == 400 && answer.text().contains(text), "{}", answer.text());
        }
    }
    scene.fleet.router().await_metric("hs2router_connections_closed_total{cause=\"bad_http\"}", 6.0);
}

#[test]
fn a_large_body_with_anything_but_one_message_leaves_no_bytes_at_its_coordinator() {
    // Such a request is passed on while it comes.
    let scene = Scene::new("replay_limit = \"4KiB\"");
    let session = scene.session();
    let message = execute(&session, &"x".repeat(100_000)).encode();
    for (fields, body) in bad(&message).into_iter().skip(2) {
        let mut client = scene.client();
        client.pour(&request(&fields, &body));
        // Whoever was told so late has perhaps sent too much to be told in order.
        assert_eq!(client.hear().status, 400, "{fields}");
        scene.stays_sound();
    }
    assert_eq!(
        scene
            .fleet
            .calls("ExecuteStatement")
            .iter()
            .filter(|(_, call)| call.user.as_deref() != Some("bob"))
            .count(),
        0
    );
}

#[test]
fn a_body_in_chunks_of_any_kind_is_one_message() {
    let scene = Scene::new("");
    let message = open_session();
    let bytes = message.encode();
    let mut client = scene.client();
    for size in [1, 2, 3, 5, 1000] {
        client.send(&chunked_call(ANN, &message, size));
        assert_eq!(client.hear().message().status(), Some(0), "by {size}");
    }
    let hex = format!("{:X}", bytes.len());
    for line in [format!("000{hex}"), format!("{hex};a=b"), format!("{hex};a=\"b c\""), format!("{hex};")] {
        let body = [line.as_bytes(), b"\r\n", &bytes, b"\r\n0;x=y\r\nTrailer: x\r\n\r\n"].concat();
        client.send(&request(CHUNKED, &body));
        assert_eq!(client.hear().message().status(), Some(0), "{line}");
    }
    scene.stays_sound();
}

#[test]
fn trailers_without_end_are_not_read_to_their_end() {
    let scene = Scene::new("");
    let mut client = scene.client();
    client.pour(&request(
        CHUNKED,
        &[chunks(&open_session().encode(), 50), b"0\r\n".to_vec(), b"X: y\r\n".repeat(1 << 20)].concat(),
    ));
    assert_eq!(client.hear().status, 400);
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn a_body_that_does_not_come_in_time_is_answered_408() {
    let scene = Scene::new("stall_timeout = \"300ms\"");
    let message = open_session().encode();
    for at in [0, 1, message.len() - 1] {
        let (part, len) = (&message[..at], message.len());
        assert_eq!(scene.told(&request(&length(len), part)).status, 408, "{at} of {len}");
        assert_eq!(scene.told(&request(CHUNKED, &chunks(part, 9))).status, 408, "{at} of {len} in chunks");
    }
    assert_eq!(scene.told(&request(CHUNKED, &chunks(&message, 9))).status, 408, "the last chunk is missing");
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let scene = Scene::new("");
    let message = open_session();
    let mut client = scene.client();
    for _ in 0..2 {
        let bytes = call(&format!("{ANN}Expect: 100-continue\r\n"), &message);
        let (head, body) = bytes.split_at(bytes.len() - message.encode().len());
        client.send(head);
        assert_eq!(client.take(25), b"HTTP/1.1 100 Continue\r\n\r\n");
        client.send(body);
        assert_eq!(client.hear().message().status(), Some(0));
    }
    let seen = scene.calls().pop().unwrap().head.unwrap();
    assert_eq!(seen.values("expect"), [""; 0]);
    // One that does not wait is answered as well, with or without that word.
    client.send(&call(&format!("{ANN}Expect: 100-continue\r\n"), &message));
    let mut answer = client.head();
    if answer.status == 100 {
        answer = client.head();
    }
    assert_eq!(answer.status, 200);
    scene.stays_sound();
}

#[test]
fn a_message_over_http_of_any_size_arrives_as_it_was_sent() {
    let scene = Scene::new("replay_limit = \"4KiB\"");
    let session = scene.session();
    let mut client = scene.client();
    let status = |message: Message| (message.name.clone(), message.status());
    for statement in ["select 1".to_owned(), format!("select '{}'", "x".repeat(1 << 20))] {
        let message = execute(&session, &statement);
        let answered = ("ExecuteStatement".to_owned(), Some(0));
        assert_eq!(status(client.call(ANN, &message)), answered);
        for size in [1000, 1 << 19] {
            client.send(&chunked_call(ANN, &message, size));
            assert_eq!(status(client.hear().message()), answered);
        }
    }
    scene.stays_sound();
}
