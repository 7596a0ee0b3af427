//! Coordinators that answer what they should not.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU8, Ordering};

use super::methods::old;
use super::{ANN, Raw, call, chunks};
use crate::support::message::{Message, Value, handle, of_handle, open_session};
use crate::support::router::TestRouter;
use crate::support::script::Script;

/// What a coordinator says about a call.
enum Say {
    /// Bytes, and goes on.
    Bytes(Vec<u8>),
    /// Bytes, and closes.
    Last(Vec<u8>),
}

/// A sound coordinator but for what `say` has for a call.
fn coordinator(say: impl Fn(&Message) -> Option<Say> + Send + Sync + 'static) -> Script {
    Script::raw(move |stream, _| {
        // How it ended is for the other side to see.
        let _ended = converse(stream, &say);
    })
}

fn converse(mut stream: TcpStream, say: &impl Fn(&Message) -> Option<Say>) -> io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut line) = (0, String::new());
        while input.read_line(&mut line)? > 2 {
            let small = line.to_ascii_lowercase();
            if let Some(said) = small.strip_prefix("content-length: ") {
                length = said.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let Ok(message) = Message::read(&mut body.as_slice()) else {
            return stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        };
        match say(&message).unwrap_or_else(|| Say::Bytes(answer("", &sound(&message)))) {
            Say::Bytes(bytes) => stream.write_all(&bytes)?,
            Say::Last(bytes) => return stream.write_all(&bytes),
        }
    }
}

fn sound(message: &Message) -> Vec<u8> {
    let fields = match message.name.as_str() {
        "OpenSession" => vec![(2, Value::I32(5)), (3, handle([7; 16], [8; 16]))],
        _ => vec![],
    };
    message.done(fields).encode()
}

/// An answer with these fields and this body.
fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-thrift\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A client with a session, on a router in front of this coordinator.
fn in_front(script: &Script) -> (TestRouter, Raw, Value) {
    let router = TestRouter::http("impala", &[script.address()]);
    let mut client = Raw::connect(router.listener(0));
    let session = client.call(ANN, &open_session()).handle(&[0, 3]);
    (router, client, session)
}

#[test]
fn a_compressed_reply_that_nobody_asked_for_costs_that_call_only() {
    // Ten bytes of gzip's head, and what might become gigabytes.
    let bomb = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &[0xff; 4096]].concat();
    let script = coordinator(move |message| {
        let bytes = || answer("Content-Encoding: gzip\r\n", &bomb);
        (message.name == "GetInfo").then(|| Say::Bytes(bytes()))
    });
    let (_router, mut client, session) = in_front(&script);
    for _ in 0..2 {
        let reply = client.call(ANN, &of_handle("GetInfo", &session));
        assert_eq!(reply.status(), Some(3), "{reply:?}");
        assert!(reply.error().1.contains("hs2router"), "{reply:?}");
        assert_eq!(client.call(ANN, &of_handle("CancelOperation", &session)).status(), Some(0));
    }
}

/// A large reply.
fn large(message: &Message) -> Vec<u8> {
    message.done(vec![(2, Value::text(&"x".repeat(1 << 20)))]).encode()
}

/// Makes an answer of a body that is cut before its end.
type Cut = fn(&[u8]) -> Vec<u8>;

const CUTS: [Cut; 5] = [
    |body| answer("", body)[..body.len() / 2].to_vec(),
    |body| answer("", body)[..body.len()].to_vec(),
    // More was announced than there is of the message.
    |body| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
        [head.as_bytes(), body].concat()
    },
    |body| {
        let (half, len) = (&body[..body.len() / 2], body.len());
        [format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n").as_bytes(), half]
            .concat()
    },
    // Its end is the connection's.
    |body| [b"HTTP/1.0 200 OK\r\n\r\n", &body[..body.len() / 2]].concat(),
];

/// A coordinator that cuts its replies to `GetLog` like this.
fn cutting(cut: Cut) -> Script {
    coordinator(move |message| (message.name == "GetLog").then(|| Say::Last(cut(&large(message)))))
}

#[test]
fn a_reply_that_is_cut_never_looks_whole() {
    for (place, cut) in CUTS.into_iter().enumerate() {
        let script = cutting(cut);
        let (_router, mut client, session) = in_front(&script);
        client.send(&call(ANN, &of_handle("GetLog", &session)));
        let answer = client.head();
        assert_eq!(answer.status, 200);
        if answer.field("transfer-encoding") == Some("chunked") {
            let mut came = Vec::new();
            let _cut = client.stream.read_to_end(&mut came);
            client.came.extend_from_slice(&came);
            assert!(!client.came.ends_with(b"0\r\n\r\n"), "way {place}: it looks whole");
        } else {
            let length = answer.field("content-length").unwrap().parse().unwrap();
            let came = client.take_what_comes(length);
            if came.len() == length {
                let reply = Message::read(&mut came.as_slice()).unwrap();
                assert_eq!(reply.status(), Some(3), "way {place}: {reply:?}");
            }
        }
    }
}

#[test]
fn a_reply_that_is_cut_does_not_end_in_order_for_a_client_without_chunks() {
    for (place, cut) in CUTS.into_iter().enumerate() {
        let script = cutting(cut);
        let (_router, mut client, session) = in_front(&script);
        let mut request = call(ANN, &of_handle("GetLog", &session));
        let version = request.windows(8).position(|piece| piece == b"HTTP/1.1").unwrap();
        request[version + 7] = b'0';
        client.send(&request);
        let mut came = Vec::new();
        if let Err(error) = client.stream.read_to_end(&mut came) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "way {place}");
        } else {
            let head = came.windows(4).position(|piece| piece == b"\r\n\r\n").unwrap() + 4;
            let text = String::from_utf8_lossy(&came[..head]).into_owned();
            let announced = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let body = &came[head..];
            if announced.is_none_or(|announced| announced.parse() == Ok(body.len())) {
                let status = Message::read(&mut &*body).unwrap().status();
                assert_eq!(status, Some(3), "way {place}: it ended after {}", came.len());
            }
        }
    }
}

#[test]
fn an_old_client_is_told_in_one_word_that_its_connection_ends_with_a_reply_of_unknown_length() {
    let in_chunks = |body: Vec<u8>| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        Say::Bytes([head, chunks(&body, 1 << 16), b"0\r\n\r\n".to_vec()].concat())
    };
    let script = coordinator(move |message| (message.name == "GetLog").then(|| in_chunks(large(message))));
    let (_router, mut client, session) = in_front(&script);
    client.send(&old(&call(&format!("{ANN}Connection: keep-alive\r\n"), &of_handle("GetLog", &session))));
    let answer = client.last();
    assert_eq!(answer.field("content-length"), None);
    assert_eq!(answer.message().status(), Some(0));
}

#[test]
fn a_call_that_may_have_been_carried_out_is_not_sent_twice() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\n\r\nlater",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"no HTTP at all\r\n\r\n",
    ] {
        let script = coordinator(move |message| {
            (message.name == "ExecuteStatement").then(|| Say::Last(bytes.to_vec()))
        });
        let (router, mut client, session) = in_front(&script);
        let accepted = script.accepted();
        client.send(&call(ANN, &of_handle("ExecuteStatement", &session)));
        let answer = client.hear();
        assert!(answer.status >= 500 || answer.message().status() == Some(3), "{answer:?}");
        assert_eq!(script.accepted(), accepted, "after {}", String::from_utf8_lossy(bytes));
        let mut other = Raw::connect(router.listener(0));
        assert_eq!(other.call(ANN, &of_handle("CancelOperation", &session)).status(), Some(0));
    }
}

#[test]
fn what_a_coordinator_says_without_being_asked_is_no_answer_to_the_next_call() {
    let stray = |message: &Message| {
        let reply = answer("", &sound(message));
        let forged =
            answer("", &Message { name: "GetInfo".into(), ..message.clone() }.failed("forged").encode());
        Some(Say::Bytes([reply, forged].concat()))
    };
    let script = coordinator(move |message| (message.name == "GetLog").then(|| stray(message)).flatten());
    let (_router, mut client, session) = in_front(&script);
    for _ in 0..3 {
        assert_eq!(client.call(ANN, &of_handle("GetLog", &session)).status(), Some(0));
        assert_eq!(client.call(ANN, &of_handle("GetInfo", &session)).status(), Some(0));
    }
}

#[test]
fn sessions_live_on_at_a_coordinator_that_ends_links_which_are_idle() {
    // Jetty ends a connection that has been idle for long; here at once, and without having said so.
    for flavor in ["hive", "spark"] {
        let opened = AtomicU8::new(0);
        let script = coordinator(move |message| {
            let opens = message.name == "OpenSession";
            let number = if opens { opened.fetch_add(1, Ordering::Relaxed) } else { 0 };
            let fields = vec![(2, Value::I32(5)), (3, handle([number; 16], [8; 16]))];
            let reply = message.done(if opens { fields } else { vec![] });
            Some(Say::Last(answer("", &reply.encode())))
        });
        let router = TestRouter::http(flavor, &[script.address()]);
        for count in 1..=3 {
            let mut client = Raw::connect(router.listener(0));
            let session = client.call(ANN, &open_session()).handle(&[0, 3]);
            for _ in 0..3 {
                assert_eq!(client.call(ANN, &of_handle("CancelOperation", &session)).status(), Some(0));
            }
            let series = "hs2router_sessions_open{cluster=\"test\",coordinator=\"127.0.0.1\"}";
            // Between two of these, upkeep looks for sessions whose links have all ended.
            router.await_metric(series, f64::from(count));
        }
    }
}
