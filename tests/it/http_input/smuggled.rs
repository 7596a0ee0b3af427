//! Requests that two servers would see end in two places (CL.TE, TE.CL, TE.TE, CL.0): whatever hides in them is
//! never carried out.

use super::{ANN, Scene, call};
use crate::support::message::{of_handle, open_session};

/// What hides in the request is a call of this method, which nobody else makes.
const HIDDEN: &str = "GetCatalogs";

/// Fields that say how long a body is, in ways that servers differ about.
const FIELDS: &[&str] = &[
    "Content-Length: %\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: %",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "Content-Length: 5\r\nContent-Length: %",
    "Content-Length: %\r\nContent-Length: %",
    "Content-Length: %, %",
    "Content-Length: +%",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5;x",
    "Content-Length: -1",
    "Content-Length: 5\t",
    "Content-Length:\t5",
    "Content-Length : 5",
    "Content-Length: ",
    "Content-Length: 000000000000000000005",
    "Content-Length: 18446744073709551621",
    "Content-Length: \"5\"",
    "Content-Length: 5\r\nTransfer-Encoding : chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: x\r\n chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: chunked\t",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked\u{c}",
    "Transfer-Encoding: chun\0ked",
    "Transfer-Encoding: \u{a0}chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding\r\n : chunked",
    "Transfer-Encoding\n: chunked",
    " Transfer-Encoding: chunked",
    "X: x\nTransfer-Encoding: chunked",
    "X: x\rTransfer-Encoding: chunked",
    "X: x\r\n\tTransfer-Encoding: chunked",
    "\u{b}Transfer-Encoding: chunked",
    "Transfer-\u{17f}ncoding: chunked",
    ": x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding chunked",
    "Content-Length: %\r\n\nX: y",
];

/// The start of a request, as far as its framing fields.
fn start(line: &str) -> String {
    format!("{line}\r\nHost: x\r\n{ANN}")
}

#[test]
fn no_framing_that_servers_differ_about_gets_past_the_router() {
    let scene = Scene::new("");
    let session = scene.session();
    let hidden = call("", &of_handle(HIDDEN, &session));
    let own = open_session().encode();
    let bodies = [
        // What a reader of chunks takes for the end, and then the hidden request.
        [b"0\r\n\r\n", hidden.as_slice()].concat(),
        // A chunk with the hidden request in it.
        [format!("{:x}\r\n", hidden.len()).as_bytes(), &hidden, b"\r\n0\r\n\r\n"].concat(),
        [own.as_slice(), &hidden].concat(),
        [own.as_slice(), &of_handle(HIDDEN, &session).encode()].concat(),
    ];
    let before = scene.calls();
    for fields in FIELDS {
        for (place, body) in bodies.iter().enumerate() {
            let fields = fields.replace('%', &body.len().to_string());
            let bytes = [start("POST / HTTP/1.1").as_bytes(), fields.as_bytes(), b"\r\n\r\n", body].concat();
            let answer = scene.told(&bytes);
            assert!([400, 413, 501].contains(&answer.status), "{answer:?} to {fields:?} with body {place}");
        }
    }
    assert_eq!(scene.calls(), before);
    scene.stays_sound();
}

#[test]
fn a_body_that_is_not_expected_is_no_request() {
    let scene = Scene::new("");
    let session = scene.session();
    let hidden = call("", &of_handle(HIDDEN, &session));
    let length = format!("Content-Length: {}\r\n\r\n", hidden.len());
    let before = scene.calls();
    for (line, status) in [
        ("GET / HTTP/1.1", 200),
        ("GET /healthz HTTP/1.1", 200),
        ("OPTIONS * HTTP/1.1", 200),
        ("OPTIONS / HTTP/1.1", 200),
        ("PUT / HTTP/1.1", 405),
        ("GET /x HTTP/1.1", 405),
        ("TRACE / HTTP/1.1", 405),
        ("POST / HTTP/1.1", 400),
        ("POST / HTTP/1.0", 400),
    ] {
        let bytes = [start(line).as_bytes(), length.as_bytes(), &hidden].concat();
        assert_eq!(scene.told(&bytes).status, status, "{line}");
        let chunk = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", hidden.len());
        let bytes = [start(line).as_bytes(), chunk.as_bytes(), &hidden, b"\r\n0\r\n\r\n"].concat();
        let answer = scene.told(&bytes);
        assert_eq!(answer.status, status, "{line} in chunks");
    }
    assert_eq!(scene.calls(), before);
    scene.stays_sound();
}

#[test]
fn what_follows_a_request_without_a_body_is_a_request_of_its_own() {
    let scene = Scene::new("");
    let session = scene.session();
    let hidden = call("", &of_handle(HIDDEN, &session));
    let before = scene.calls();
    for fields in ["Content-Length: 0\r\n\r\n", "\r\n"] {
        // A call without a message.
        let answer = scene.told(&[start("POST / HTTP/1.1").as_bytes(), fields.as_bytes(), &hidden].concat());
        assert_eq!(answer.status, 400);
        // It names nobody, and so is nobody's.
        let mut client = scene.client();
        client.send(&[start("GET / HTTP/1.1").as_bytes(), fields.as_bytes(), &hidden].concat());
        assert_eq!(client.hear().status, 200);
        assert_eq!(client.last().status, 401);
    }
    assert_eq!(scene.calls(), before);
    scene.stays_sound();
}

#[test]
fn chunks_that_servers_differ_about_hide_nothing() {
    let scene = Scene::new("");
    let session = scene.session();
    let hidden = call("", &of_handle(HIDDEN, &session));
    let message = open_session().encode();
    let hex = format!("{:x}", message.len());
    let before = scene.calls();
    for (size, end) in [
        (format!("{hex}\n"), "\r\n0\r\n\r\n"),
        (format!("{hex}\r"), "\r\n0\r\n\r\n"),
        (format!("{hex};x\n"), "\r\n0\r\n\r\n"),
        (format!("{hex};x\ry\r\n"), "\r\n0\r\n\r\n"),
        (format!("{hex}\u{b}\r\n"), "\r\n0\r\n\r\n"),
        (format!("{hex}g\r\n"), "\r\n0\r\n\r\n"),
        (format!("{hex} 1\r\n"), "\r\n0\r\n\r\n"),
        (format!(" {hex}\r\n"), "\r\n0\r\n\r\n"),
        (format!("{hex}\r\n"), "\n0\r\n\r\n"),
        (format!("{hex}\r\n"), "0\r\n\r\n"),
        (format!("{hex}\r\n"), "\r\n0\n\n"),
        (format!("{hex}\r\n"), "\r\n0\r\nX\r\n\r\n"),
        (format!("{hex}\r\n"), "\r\n0\r\nX: a\0b\r\n\r\n"),
        (format!("{hex}\r\n"), "\r\n-0\r\n\r\n"),
    ] {
        let head = [start("POST / HTTP/1.1").as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n"].concat();
        let answer = scene.told(&[&head, size.as_bytes(), &message, end.as_bytes(), &hidden].concat());
        assert_eq!(answer.status, 400, "{size:?} {end:?}");
    }
    assert_eq!(scene.calls(), before);
    scene.stays_sound();
}
