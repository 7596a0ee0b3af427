//! Bad input in a handshake of GSSAPI: each ends one connection, with words that a person can act on.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::front::{receive, send, token as ticket};
use super::{Fleet, SERVICE};
use crate::support::router::eventually;

const OK: u8 = 2;
const BAD: u8 = 3;
const ERROR: u8 = 4;

/// A connection on which GSSAPI has begun.
fn begun(router: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(router).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    send(&mut stream, 1, b"GSSAPI").unwrap();
    stream
}

/// What the router answers to a first token, and that it closes the connection then.
pub(super) fn refusal(router: SocketAddr, token: &[u8]) -> (u8, String) {
    let mut stream = begun(router);
    send(&mut stream, OK, token).unwrap();
    let (status, text) = receive(&mut stream).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
    (status, String::from_utf8(text).unwrap())
}

#[test]
fn damaged_replayed_and_foreign_tickets_are_refused_with_the_reason_and_a_remedy() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let router = fleet.router.listener;
    let good = ticket("ann", SERVICE);
    let mut flipped = good.clone();
    // In the middle is the ticket's encrypted part.
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let foreign = ticket("ann", "keyless");
    for (token, status, words) in [
        (&b""[..], BAD, "has no token"),
        (&b"not a token"[..], BAD, "must send a ticket of Kerberos 5"),
        (&vec![0x60; 40 << 10], BAD, "must send a ticket of Kerberos 5"),
        (&good[..good.len() / 2], BAD, "the token is malformed"),
        (&flipped[..], BAD, "impala/localhost@TEST kvno 1"),
        (
            &foreign[..],
            BAD,
            "compare the name that the client asks for (klist) with those in the router's keytab",
        ),
    ] {
        let (seen, text) = refusal(router, token);
        assert!(text.contains(words) && text.starts_with("hs2router (c"), "{text}");
        assert_eq!(seen, status, "{text}");
    }
    assert!(refusal(router, &foreign).1.contains("keyless/localhost@TEST"), "it names the service");
    // The client goes on, and another one comes with its token.
    let mut first = begun(router);
    send(&mut first, OK, &good).unwrap();
    assert_eq!(receive(&mut first).unwrap().0, OK);
    let (status, text) = refusal(router, &good);
    assert!(status == BAD && text.contains("Request is a replay"), "{text}");
    assert!(eventually(|| fleet.router.has_logged("the ticket was refused")));
}

#[test]
fn lengths_and_messages_that_cannot_be_end_the_connection_at_once() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let router = fleet.router.listener;
    let long = |len: u32| [&[OK][..], &len.to_be_bytes()].concat();
    for (bytes, words) in [
        (long(u32::MAX), "exceeds"),
        (long(70 << 10), "exceeds"),
        (vec![9, 0, 0, 0, 0], "SASL status 9 does not exist"),
        (vec![1, 0, 0, 0, 0], "out of place"),
    ] {
        let mut stream = begun(router);
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
        let (status, text) = receive(&mut stream).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(status == ERROR && text.contains(words), "{text}");
    }
    // A token where there must be none, after the router's own.
    let mut stream = begun(router);
    send(&mut stream, OK, &ticket("bob", SERVICE)).unwrap();
    assert_eq!(receive(&mut stream).unwrap().0, OK);
    send(&mut stream, OK, b"more").unwrap();
    let (status, text) = receive(&mut stream).unwrap();
    assert!(status == BAD && text.ends_with(b"where it must be empty"));
}

#[test]
fn a_principal_of_another_realm_or_that_no_key_is_for_is_told_so() {
    for (listener, words) in [
        ("realms = [\"OTHER.ORG\"]", "\"ann@TEST\" is not accepted: its realm is not among"),
        ("principal = \"hive/localhost@TEST\"", "the router's keytab"),
    ] {
        let Some(fleet) = Fleet::of(1, listener) else { return };
        assert!(super::log_in(fleet.router.listener, "ann").is_err());
        assert!(eventually(|| fleet.router.has_logged(words)), "{:?}", fleet.router.log.lock());
    }
}
