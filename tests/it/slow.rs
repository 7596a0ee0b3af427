//! A coordinator that is slow is waited for, one that is hung is not: only an answer of its process tells
//! which it is.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use hs2router::cluster::health::State;
use hs2router::fake::sasl::{BAD, COMPLETE, plain};
use hs2router::fake::{Coordinator, Settings};
use hs2router::ids::Service;

use crate::lost::WAYS;
use crate::support::message::{Message, Value, handle, open_session};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

mod left;
mod real;

/// What the router calls to find out whether a process answers.
const SIGN_OF_LIFE: &str = "hs2router_probe";

fn opened(open: &Message) -> Message {
    open.done(vec![(2, Value::I32(5)), (3, handle(*b"guid-of-the-slow", *b"secret-of-a-sess"))])
}

/// A coordinator that opens sessions only when it is told to, each once, and is well otherwise.
fn slow() -> (Script, Sender<()>) {
    let (go, told) = channel();
    let told = Mutex::new(told);
    let script = Script::calls(move |call| {
        if call.message.name != "OpenSession" {
            return Act::Ordinary;
        }
        let _never_told = told.lock().unwrap().recv();
        Act::Reply(opened(&call.message))
    });
    (script, go)
}

/// Has the first coordinator asked for a session, and nobody else.
fn open_on(first: &Script, way: fn(SocketAddr) -> Talk, router: &TestRouter) -> Talk {
    for other in &router.router().fleets()[0].cluster.coordinators()[1..] {
        router.router().fleets()[0].drain(other, None);
    }
    let mut client = way(router.listener(0));
    client.say(&open_session());
    assert!(eventually(|| first.count("OpenSession") == 1), "it was not asked");
    for other in &router.router().fleets()[0].cluster.coordinators()[1..] {
        other.resume();
    }
    client
}

fn state(router: &TestRouter) -> State {
    router.router().fleets()[0].cluster.coordinators()[0].health(Service::Hs2).state()
}

#[test]
fn an_open_that_takes_long_is_waited_for_where_it_is_as_long_as_the_coordinator_answers() {
    let waits = |flavor: &'static str, way: fn(SocketAddr) -> Talk| {
        move || {
            let ((slow, go), other) = (slow(), Script::sound());
            let router = TestRouter::of(flavor, &[slow.address(), other.address()]);
            let mut client = open_on(&slow, way, &router);
            let passed = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"passed\"}";
            // The next one is as far away as the interval says, so these were asked for.
            for asked in [1.0, 2.0] {
                router.await_metric(passed, asked);
            }
            go.send(()).unwrap();
            let reply = client.hear().unwrap();
            assert_eq!(reply.handle(&[0, 3]), handle(*b"guid-of-the-slow", *b"secret-of-a-sess"));
            assert_eq!((slow.count("OpenSession"), other.count("OpenSession")), (1, 0));
            assert_eq!(state(&router), State::Healthy);
        }
    };
    thread::scope(|scope| {
        for flavor in ["hive", "impala"] {
            for way in WAYS {
                scope.spawn(waits(flavor, way));
            }
        }
    });
}

#[test]
fn a_login_at_a_port_that_expects_none_gets_no_coordinator_ejected() {
    // It takes the handshake for the beginning of a message, and waits for the rest, as impalad does.
    let coordinator = Coordinator::start(Settings::default()).unwrap();
    for flavor in ["impala", "hive"] {
        let router = TestRouter::of(flavor, &[coordinator.hs2()]);
        let mut client = Talk::connect(router.listener(0));
        client.send(&plain("u1", b"p1"));
        for asked in [1.0, 2.0] {
            router.await_metric(
                "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"passed\"}",
                asked,
            );
        }
        assert_eq!(state(&router), State::Healthy);
        Talk::connect(router.listener(0)).open();
    }
}

#[test]
fn an_open_that_is_answered_soon_has_no_coordinator_asked_whether_it_is_there() {
    let script = Script::sound();
    let router = TestRouter::of("hive", &[script.address()]);
    Talk::connect(router.listener(0)).open();
    assert_eq!(script.count(SIGN_OF_LIFE), 0);
    assert_eq!(script.accepted(), 1);
}

#[test]
fn an_open_that_takes_longer_than_open_timeout_is_told_so_and_sent_nowhere_else() {
    for way in WAYS {
        let ((slow, _go), other) = (slow(), Script::sound());
        let router =
            TestRouter::with("impala", &[slow.address(), other.address()], "open_timeout = \"200ms\"");
        let mut client = open_on(&slow, way, &router);
        let (sql_state, words) = client.hear().unwrap().error();
        assert_eq!(sql_state, "08S01", "{words}");
        assert!(words.contains("c1: no answer within 200ms (open_timeout)"), "{words}");
        assert_eq!(other.count("OpenSession"), 0);
        // What did not open a session in all that time is not the first to be asked for the next one.
        client.open();
        assert_eq!(other.count("OpenSession"), 1);
    }
}

#[test]
fn opens_leave_a_coordinator_that_answers_nothing_any_more_and_none_goes_there() {
    let leaves = |flavor: &'static str, way: fn(SocketAddr) -> Talk| {
        move || {
            let ((hung, go), other) = (slow(), Script::sound());
            let router = TestRouter::of(flavor, &[hung.address(), other.address()]);
            let mut client = open_on(&hung, way, &router);
            // The kernel still takes connections, as for a process that is stopped.
            hung.pause();
            let session = client.hear().unwrap().handle(&[0, 3]);
            assert!(other.minted(&session));
            assert_eq!(state(&router), State::Ejected);
            for _ in 0..3 {
                way(router.listener(0)).open();
            }
            assert_eq!((hung.count("OpenSession"), other.count("OpenSession")), (1, 4));
            // It goes on after all: nobody has a handle of what comes of the open.
            go.send(()).unwrap();
            assert!(eventually(|| hung.count("CloseSession") == 1), "what came late was not closed");
        }
    };
    thread::scope(|scope| {
        for flavor in ["hive", "impala"] {
            for way in WAYS {
                scope.spawn(leaves(flavor, way));
            }
        }
    });
}

#[test]
fn a_coordinator_that_fell_silent_is_back_when_it_answers_and_not_when_it_is_connected_to() {
    let ((hung, _go), other) = (slow(), Script::sound());
    let (probe, links) = ("probe = { interval = \"100ms\", timeout = \"100ms\" }", "share_links = false");
    let one = |name, at: SocketAddr| {
        let port = at.port();
        format!(
            "{{ name = \"{name}\", host = \"127.0.0.1\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}"
        )
    };
    let coordinators = [one("c1", hung.address()), one("c2", other.address())].join(", ");
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\n\
         {probe}\n{links}\ncoordinators = [{coordinators}]\n"
    ));
    let mut client = open_on(&hung, Talk::connect, &router);
    hung.pause();
    assert!(eventually(|| state(&router) == State::Ejected));
    client.hear().unwrap();
    let failed = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"failed\"}";
    let before = router.metric(failed);
    assert!(eventually(|| router.metric(failed) >= before + 10.0), "a connection is enough for it");
    assert_eq!(state(&router), State::Ejected);
    hung.resume();
    assert!(eventually(|| state(&router) == State::Healthy));
    let passed = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"passed\"}";
    // At first it reads what it was asked while it hung.
    let is_left_alone = || {
        let (asked, before) = (hung.count(SIGN_OF_LIFE), router.metric(passed));
        eventually(|| router.metric(passed) >= before + 3.0) && hung.count(SIGN_OF_LIFE) == asked
    };
    assert!(eventually(is_left_alone), "it answers: there is nothing to ask any more");
}

#[test]
fn a_login_at_a_coordinator_that_answers_nothing_any_more_fails_by_its_name_and_the_next_goes_elsewhere() {
    for flavor in ["spark", "impala"] {
        let (hung, other) = (Script::sound(), Script::sound());
        let router = TestRouter::of(flavor, &[hung.address(), other.address()]);
        router.router().fleets()[0].drain(&router.router().fleets()[0].cluster.coordinators()[1], None);
        hung.pause();
        let (mut client, status, text) = Talk::log_in(router.listener(0), "u1", "p1");
        assert_eq!(status, BAD);
        assert!(text.contains("coordinator c1") && text.contains("its port no longer answers"), "{text}");
        assert_eq!(client.rest(), b"");
        assert_eq!(other.credentials(), 0, "credentials were shown to another coordinator");
        assert_eq!(state(&router), State::Ejected);
        router.router().fleets()[0].cluster.coordinators()[1].resume();
        for _ in 0..3 {
            Talk::connect_sasl(router.listener(0)).open();
        }
        assert_eq!(other.credentials(), 3, "one went where nobody answers");
    }
}

/// A coordinator whose directory takes until it is told to before it says who somebody is.
fn slow_directory() -> (Script, Sender<()>) {
    let (go, told) = channel();
    let told = Mutex::new(told);
    let script = Script::logins(move |_| {
        let _never_told = told.lock().unwrap().recv();
        Act::Ordinary
    });
    (script, go)
}

#[test]
fn a_login_that_takes_long_is_waited_for_as_long_as_the_coordinator_answers_others() {
    let (slow, go) = slow_directory();
    let router = TestRouter::of("hive", &[slow.address()]);
    let at = router.listener(0);
    let login = thread::spawn(move || Talk::log_in(at, "u1", "p1"));
    let passed = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"passed\"}";
    for asked in [1.0, 2.0] {
        router.await_metric(passed, asked);
    }
    go.send(()).unwrap();
    let (_client, status, text) = login.join().unwrap();
    assert_eq!(status, COMPLETE, "{text}");
    assert_eq!(state(&router), State::Healthy);
}
