//! Heads that say nothing, too much, or two things.

use std::io::{ErrorKind, Read as _, Write as _, copy, sink};
use std::time::Duration;

use super::{ANN, Raw, Scene, call, request};
use crate::support::fleet::Door;
use crate::support::message::open_session;
use crate::support::router::{SELDOM, TestRouter, eventually};
use crate::support::script::Script;

#[test]
fn a_malformed_head_is_answered_with_its_status_and_reaches_nobody() {
    let scene = Scene::new("");
    let message = open_session().encode();
    let of = |fields: &str| request(fields, &message);
    let length = format!("Content-Length: {}\r\n", message.len());
    let cases = [
        (of(&format!("{length}{length}")), 400),
        (of(&format!("{length}Content-Length: 1\r\n")), 400),
        (of(&format!("{length}Transfer-Encoding: chunked\r\n")), 400),
        (of(&format!("{length}X: a\r\n b\r\n")), 400),
        (of(&format!("{length}X: a\0b\r\n")), 400),
        (of(&format!("{length}X: a\rb\r\n")), 400),
        (of(&format!("{length}X: a\nY: b\r\n")), 400),
        (of(&format!("{length}{ANN}")), 400),
        (of("Content-Length: 9999999999\r\n"), 413),
        (of("Transfer-Encoding: gzip\r\n"), 501),
        (b"GET /\r\n\r\n".to_vec(), 505),
        (b"POST /\r\n\r\n".to_vec(), 505),
        (b"POST / HTTP/2.0\r\n\r\n".to_vec(), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505),
        (b"POST / HTTP/1.1 x\r\n\r\n".to_vec(), 400),
    ];
    for (bytes, status) in cases {
        let answer = scene.told(&bytes);
        assert_eq!(answer.status, status, "{} to {}", answer.text(), String::from_utf8_lossy(&bytes));
        assert!(answer.text().starts_with("hs2router: "), "{}", answer.text());
    }
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn a_head_of_a_mebibyte_or_of_ten_thousand_fields_is_refused() {
    let scene = Scene::new("");
    let (long, many) = (format!("X: {}\r\n", "x".repeat(1 << 20)), "X: y\r\n".repeat(10_000));
    let lines = format!("X: {}\r\n", "x".repeat(8000)).repeat(128);
    for fields in [long, many, lines] {
        let mut client = scene.client();
        client.pour(&request(&fields, b""));
        assert_eq!(client.hear().status, 431);
    }
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn a_head_that_does_not_come_to_its_end_in_time_is_answered_408() {
    let scene = Scene::new("stall_timeout = \"300ms\"");
    for part in
        ["POST ", "POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\n\r"]
    {
        assert_eq!(scene.told(part.as_bytes()).status, 408, "{part}");
    }
    let mut client = scene.client();
    client.send(b"POST / HTTP/1.1\r\nX: ");
    client.stream.set_nonblocking(true).unwrap();
    // Byte by byte it does not take longer.
    let answered = eventually(|| {
        client.pour(b"x");
        client.stream.peek(&mut [0]).is_ok()
    });
    client.stream.set_nonblocking(false).unwrap();
    assert!(answered);
    assert_eq!(client.hear().status, 408);
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn what_is_no_http_never_reaches_the_port_for_http() {
    let scene = Scene::new("detect_timeout = \"100ms\"\nstall_timeout = \"300ms\"");
    let inner = String::from_utf8_lossy(&request("X-Forwarded-For: 10.0.0.1\r\n", b"")).into_owned();
    let cases = [
        inner.replacen("POST", "post", 1),
        inner.replacen("POST", "Post", 1),
        inner.replacen("POST", "PROPFIND", 1),
        format!(" {inner}"),
        format!("\0{inner}"),
        format!("\n{inner}"),
        format!("\r\n\r\n{inner}"),
        "P".to_owned(),
    ];
    let heads = || scene.fleet.coordinators().map(|one| one.http_counts().requests).sum::<u64>();
    let before = heads();
    for bytes in &cases {
        let mut client = scene.client();
        client.send(bytes.as_bytes());
        let answer = client.hear();
        assert!([400, 405, 408].contains(&answer.status), "{answer:?} to {bytes}");
    }
    // A client that is slow with its first line is none that nobody understands.
    let mut client = scene.client();
    client.send(b"PO");
    assert_eq!(client.last().status, 408);
    assert_eq!(heads(), before, "it was relayed as it is");
    // One empty line before a request is what old clients leave there, and is nothing by itself.
    let mut client = scene.client();
    client.send(b"\r\n");
    client.finish();
    assert_eq!(client.rest(), b"");
    let mut client = scene.client();
    client.send(&[b"\r\n", call(ANN, &open_session()).as_slice()].concat());
    assert_eq!(client.hear().message().status(), Some(0));
    let seen = scene.calls().pop().unwrap().head.unwrap();
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    scene.stays_sound();
}

#[test]
fn a_client_that_is_silent_is_not_relayed_to_what_a_port_for_http_says_first() {
    let script = Script::raw(|mut stream, _| {
        // As a server does that waited too long for a request.
        let _said = stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
        let _ended = copy(&mut stream, &mut sink());
    });
    let port = script.address().port();
    let router = TestRouter::start(&format!(
        "[router]\ndetect_timeout = \"50ms\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2-http\"\n\
         [[cluster]]\nname = \"test\"\nflavor = \"impala\"\n{SELDOM}\ncoordinators = [{{ host = \"127.0.0.1\", hs2 = 0, \
         beeswax = 0, hs2_http = {port}, web = 0 }}]\n",
    ));
    let probed = script.came();
    let mut client = Raw::connect(router.listener(0));
    client.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let waited = client.stream.read(&mut [0]).unwrap_err();
    assert_eq!(waited.kind(), ErrorKind::WouldBlock, "the coordinator's word was relayed");
    assert!(script.came() <= probed + 1);
}

#[test]
fn fields_by_which_coordinators_believe_a_client_do_not_pass() {
    let scene = Scene::new("");
    let fields = format!(
        "{ANN}X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-User: root\r\nForwarded: for=10.0.0.1\r\n\
         Cookie: impala.auth=x\r\nConnection: keep-alive, X-Request-Id\r\nX-Request-Id: one\r\nTE: trailers\r\n\
         Accept-Encoding: gzip\r\nUpgrade: h2c\r\nKeep-Alive: timeout=1\r\nProxy-Authorization: Basic eA==\r\n"
    );
    let mut client = Raw::connect(scene.fleet.address(Door::Http));
    assert_eq!(client.call(&fields, &open_session()).status(), Some(0));
    let seen = scene.calls().pop().unwrap().head.unwrap();
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    for name in [
        "x-forwarded-user",
        "forwarded",
        "cookie",
        "connection",
        "te",
        "accept-encoding",
        "upgrade",
        "keep-alive",
        "proxy-authorization",
        "transfer-encoding",
    ] {
        assert_eq!(seen.values(name), [""; 0], "{name}");
    }
    assert_eq!(seen.values("content-length").len(), 1);
    scene.stays_sound();
}
