//! A session that comes after its open was given up belongs to nobody: it is closed again.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::lost::WAYS;
use crate::support::message::{Message, Value, handle, open_session};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Call, Script};
use crate::support::talk::Talk;

const LATE: &str = "hs2router_sessions_total{cluster=\"test\",coordinator=\"c1\",outcome=\"late\"}";
const GUID: [u8; 16] = *b"guid-of-the-late";

/// A coordinator that answers an open with what `answer` says, once it was told to.
fn slow(answer: impl Fn(&Message) -> Message + Send + Sync + 'static) -> (Script, Sender<()>) {
    slow_to(move |call| Act::Reply(answer(&call.message)))
}

/// One that does about an open what `answer` says, once it was told to.
fn slow_to(answer: impl Fn(&Call) -> Act + Send + Sync + 'static) -> (Script, Sender<()>) {
    let (go, told): (_, Receiver<()>) = channel();
    let told = Mutex::new(told);
    let act = move |call: &Call| match call.message.name.as_str() {
        "OpenSession" => {
            let _never_told = told.lock().unwrap().recv();
            answer(call)
        }
        _ => Act::Ordinary,
    };
    (Script::calls(act), go)
}

fn opened(open: &Message) -> Message {
    open.done(vec![(2, Value::I32(5)), (3, handle(GUID, *b"secret-of-a-sess"))])
}

/// Opens sessions until the first coordinator was asked for one, in vain: the others have the sessions, so it
/// has the least load.
fn open_until_asked(way: fn(std::net::SocketAddr) -> Talk, slow: &Script, router: &TestRouter) -> Talk {
    let mut client = way(router.listener(0));
    let failed = (0..3).filter(|_| client.call(&open_session()).status() != Some(0)).count();
    assert_eq!((slow.count("OpenSession"), failed), (1, 1));
    client
}

#[test]
fn a_session_that_comes_after_open_timeout_is_closed() {
    for way in WAYS {
        let ((late, go), good) = (slow(opened), Script::sound());
        let router =
            TestRouter::with("impala", &[late.address(), good.address()], "open_timeout = \"200ms\"");
        let mut client = open_until_asked(way, &late, &router);
        assert_eq!(good.count("OpenSession"), 2);
        go.send(()).unwrap();
        router.await_metric(LATE, 1.0);
        let close = late.got().pop().unwrap();
        assert_eq!(close.name, "CloseSession");
        assert_eq!(close.body.at(&[1, 1]), Some(&handle(GUID, *b"secret-of-a-sess")));
        assert!(eventually(|| late.open() == 0), "its link is left");
        client.open();
    }
}

#[test]
fn a_session_whose_client_has_vanished_is_closed() {
    let (late, go) = slow(opened);
    let router = TestRouter::of("impala", &[late.address()]);
    let mut client = Talk::connect(router.listener(0));
    client.say(&open_session());
    assert!(eventually(|| late.count("OpenSession") == 1));
    client.reset();
    router.await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", 1.0);
    go.send(()).unwrap();
    router.await_metric(LATE, 1.0);
    assert_eq!(late.count("CloseSession"), 1);
    assert!(eventually(|| late.open() == 0), "its link is left");
}

#[test]
fn a_session_whose_reply_is_too_large_to_be_held_is_closed() {
    let (late, go) = slow(|open| {
        let Value::Struct(mut fields) = opened(open).handle(&[0]) else { unreachable!() };
        fields.push((9, Value::Bytes(vec![b'x'; 3 << 20])));
        open.reply(vec![(0, Value::Struct(fields))])
    });
    go.send(()).unwrap();
    let router = TestRouter::of("impala", &[late.address()]);
    let (sql_state, words) = Talk::connect(router.listener(0)).call(&open_session()).error();
    assert_eq!(sql_state, "08S01");
    assert!(words.contains("has more than"), "{words}");
    router.await_metric(LATE, 1.0);
    assert_eq!(late.count("CloseSession"), 1);
}

#[test]
fn an_open_that_fails_late_leaves_nothing_to_close() {
    // A failed open carries a handle that looks alive (impala-hs2-server.cc OpenSession).
    let ((late, go), good) = (
        slow(|open| {
            let Value::Struct(mut fields) = open.failed("no such user").handle(&[0]) else { unreachable!() };
            fields.push((3, handle(GUID, *b"secret-of-a-sess")));
            open.reply(vec![(0, Value::Struct(fields))])
        }),
        Script::sound(),
    );
    let router = TestRouter::with("impala", &[late.address(), good.address()], "open_timeout = \"200ms\"");
    let _client = open_until_asked(Talk::connect, &late, &router);
    go.send(()).unwrap();
    assert!(eventually(|| late.open() == 0), "its link is left");
    assert_eq!(late.count("CloseSession"), 0);
}

#[test]
fn nothing_is_asked_on_a_link_on_which_more_came_than_the_reply_to_a_late_open() {
    for way in WAYS {
        let (late, go) = slow_to(|call| {
            let answer = call.wrap(&opened(&call.message).encode());
            Act::Bytes([answer.as_slice(), &answer].concat())
        });
        let good = Script::sound();
        let router =
            TestRouter::with("impala", &[late.address(), good.address()], "open_timeout = \"200ms\"");
        let _client = open_until_asked(way, &late, &router);
        go.send(()).unwrap();
        assert!(eventually(|| late.open() == 0), "its link is left");
        assert_eq!(late.count("CloseSession"), 0, "the answer to it would be mistaken");
    }
}
