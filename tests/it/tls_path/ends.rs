//! How connections end inside of TLS, on either side, and what comes of what was under way.

use std::io::{Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::thread;

use super::coordinator::Sleeve;
use super::peers::{Secret, router};
use crate::support::message::{Message, Value, execute, of_handle, open_session};
use crate::support::router::eventually;
use crate::support::script::{Act, Script};

const CLIENT_CLOSED: &str = "hs2router_connections_closed_total{cause=\"client_closed\"}";
const COORDINATOR_CLOSED: &str = "hs2router_connections_closed_total{cause=\"coordinator_closed\"}";
/// A reply of several records.
const LONG: usize = 300_000;

/// A sound coordinator whose fetches are long.
fn long_fetches() -> Script {
    Script::calls(|call| match call.message.name.as_str() {
        "FetchResults" => {
            Act::Reply(call.message.done(vec![(2, Value::Bool(true)), (3, Value::text(&"x".repeat(LONG)))]))
        }
        _ => Act::Ordinary,
    })
}

#[test]
fn a_client_that_closes_without_a_word_between_two_calls_has_left_in_order() {
    let script = Script::sound();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    let mut client = Secret::connect(router.listener(0));
    let session = client.open();
    assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
    client.hang_up();
    router.await_metric(CLIENT_CLOSED, 1.0);
    // The coordinator is told in TLS that this is the end.
    assert!(eventually(|| script.open() == 0));
    assert_eq!(sleeve.manners.truncated.load(Ordering::SeqCst), 0);
}

#[test]
fn half_a_request_of_a_client_that_leaves_never_reaches_the_coordinator_as_a_whole_one() {
    let script = Script::sound();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "replay_limit = \"64KiB\"");
    // Held until it is whole; and too long for that, so that it is passed on in pieces.
    for len in [1_000, 500_000] {
        for says_so in [false, true] {
            let mut client = Secret::connect(router.listener(0));
            let session = client.open();
            let whole = execute(&session, &"x".repeat(len)).encode();
            client.send(&whole[..whole.len() - 1]);
            if says_so {
                client.tls.conn.send_close_notify();
                client.tls.conn.complete_io(&mut client.tls.sock).unwrap();
            }
            client.hang_up();
        }
    }
    assert!(eventually(|| script.open() == 0), "{} links are left", script.open());
    assert_eq!(script.count("OpenSession"), 4);
    assert_eq!(script.count("ExecuteStatement"), 0);
}

#[test]
fn a_reply_that_is_cut_off_inside_of_tls_is_an_error_and_never_a_short_one() {
    let script = Script::sound();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    let mut client = Secret::connect(router.listener(0));
    let session = client.open();
    let call = execute(&session, "select 1");
    let len = {
        // As long as its like.
        let before = sleeve.manners.truncates_after.load(Ordering::SeqCst);
        assert_eq!(client.call(&call).status(), Some(0));
        before - sleeve.manners.truncates_after.load(Ordering::SeqCst)
    };
    for cut in [0, 1, len / 2, len - 1] {
        sleeve.truncate_after(cut);
        let reply = client.call(&call);
        let (state, words) = reply.error();
        assert_eq!(state, "08S01", "cut after {cut}: {reply:?}");
        assert!(words.contains("c1"), "{words}");
    }
    // A whole one is a whole one, whatever comes of the connection afterwards.
    sleeve.truncate_after(len);
    assert_eq!(client.call(&call).status(), Some(0));
    assert_eq!(client.call(&call).status(), Some(0));
}

#[test]
fn a_long_reply_that_is_cut_off_inside_of_tls_is_never_a_whole_one() {
    let script = long_fetches();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    for cut in [20_000, LONG / 2, LONG] {
        let mut client = Secret::connect(router.listener(0));
        let session = client.open();
        let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
        sleeve.truncate_after(cut);
        client.send(&of_handle("FetchResults", &operation).encode());
        // The client has a part of it already, so that nothing else can be said.
        assert!(client.hear().is_err(), "cut after {cut}");
        assert!(client.rest().is_err(), "cut after {cut}: it looked orderly");
    }
}

/// A coordinator that speaks something unknown: it answers a word and hangs up.
fn unknown() -> Script {
    Script::raw(|mut stream, _| {
        let mut word = [0; 5];
        if stream.read_exact(&mut word).is_ok() {
            stream.write_all(b"half of an answer").unwrap();
            // Until the other side ends.
            let _ended = stream.read(&mut [0]);
        }
    })
}

#[test]
fn what_is_passed_on_unread_inside_of_tls_ends_as_it_ended() {
    let script = unknown();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    // Cut off: no orderly end.
    sleeve.truncate_after(8);
    let mut client = Secret::connect(router.listener(0));
    client.send(b"\x7fword");
    let mut word = [0; 8];
    client.tls.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"half of ");
    assert!(client.rest().is_err());
    router.await_metric("hs2router_connections_closed_total{cause=\"coordinator_lost\"}", 1.0);
    // The client's end in order, and the coordinator's.
    let mut client = Secret::connect(router.listener(0));
    client.send(b"\x7fword");
    let mut word = [0; 17];
    client.tls.read_exact(&mut word).unwrap();
    client.tls.conn.send_close_notify();
    client.tls.conn.complete_io(&mut client.tls.sock).unwrap();
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(sleeve.manners.truncated.load(Ordering::SeqCst), 0);
    // Which of the two ends was seen first is chance.
    let ended = || router.metric(CLIENT_CLOSED) + router.metric(COORDINATOR_CLOSED);
    assert!(eventually(|| ended() > 0.0));
    // The client's end without a word of TLS is one like any other: many clients never say it.
    let closed = router.metric(CLIENT_CLOSED);
    let mut client = Secret::connect(router.listener(0));
    client.send(b"\x7fword");
    client.tls.read_exact(&mut word).unwrap();
    client.hang_up();
    assert!(eventually(|| script.open() == 0));
    router.await_metric(CLIENT_CLOSED, closed + 1.0);
    assert_eq!(sleeve.manners.truncated.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_cut_at_drain_timeout_in_the_middle_does_not_look_whole() {
    // The coordinator answers half, and waits for another end.
    let half = Script::calls(|call| match call.message.name.as_str() {
        "FetchResults" => {
            let whole = call.message.done(vec![(2, Value::Bool(true)), (3, Value::text(&"x".repeat(LONG)))]);
            let mut bytes = whole.encode();
            bytes.truncate(LONG / 2);
            Act::Bytes(bytes)
        }
        _ => Act::Ordinary,
    });
    let sleeve = Sleeve::around(half.address());
    let router = router(sleeve.address, "drain_timeout = \"1s\"");
    let mut client = Secret::connect(router.listener(0));
    let session = client.open();
    let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
    client.send(&of_handle("FetchResults", &operation).encode());
    let mut some = vec![0; 20_000];
    client.tls.read_exact(&mut some).unwrap();
    let mut unread = Secret::connect(router.listener(0));
    unread.send(b"\x7fword");
    let mut idle = Secret::connect(router.listener(0));
    idle.open();
    assert!(eventually(|| half.open() == 3), "{} links", half.open());
    assert_eq!(router.drain(), 2);
    assert_eq!(idle.rest().unwrap(), b"");
    assert!(client.rest().is_err(), "it looked orderly");
    assert!(unread.rest().is_err(), "it looked orderly");
}

#[test]
fn a_client_that_has_said_its_last_in_tls_is_answered() {
    let script = Script::sound();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    let mut client = Secret::connect(router.listener(0));
    client.send(&open_session().encode());
    client.tls.conn.send_close_notify();
    client.tls.conn.complete_io(&mut client.tls.sock).unwrap();
    assert_eq!(client.hear().unwrap().status(), Some(0));
    assert_eq!(client.rest().unwrap(), b"", "the router says its end, too");
}

#[test]
fn keys_change_in_the_middle_of_a_fetch_and_on_an_idle_link() {
    let script = long_fetches();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    let mut client = Secret::connect(router.listener(0));
    let session = client.open();
    let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
    sleeve.manners.changes_keys.store(true, Ordering::SeqCst);
    let met = sleeve.manners.met.load(Ordering::SeqCst);
    let fetch = of_handle("FetchResults", &operation);
    for _ in 0..5 {
        // The client's change, too, in the middle of its request.
        let request = fetch.encode();
        client.send(&request[..20]);
        client.tls.conn.refresh_traffic_keys().unwrap();
        client.send(&request[20..]);
        let reply = client.hear().unwrap();
        assert_eq!(reply.text(&[0, 3]).len(), LONG);
    }
    assert_eq!(sleeve.manners.met.load(Ordering::SeqCst), met, "its link was dialed again");
}

#[test]
fn calls_that_come_at_once_in_one_record_or_byte_by_byte_in_many_are_answered_in_order() {
    let script = Script::sound();
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    let mut client = Secret::connect(router.listener(0));
    let session = client.open();
    let calls: Vec<Message> = (10..13).map(|number| execute(&session, "select 1").seqid(number)).collect();
    let all: Vec<u8> = calls.iter().flat_map(Message::encode).collect();
    client.send(&all);
    for number in 10..13 {
        assert_eq!(client.hear().unwrap().seqid, number);
    }
    let reading = {
        let mut client = client;
        thread::spawn(move || {
            for byte in &all {
                client.send(&[*byte]);
            }
            (10..13).map(|_| client.hear().unwrap().seqid).collect::<Vec<_>>()
        })
    };
    assert_eq!(reading.join().unwrap(), [10, 11, 12]);
}
