//! A router that was told to end lets go of each client as soon as nothing is under way.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::{JoinHandle, spawn};

use super::router;
use crate::support::message::{Value, execute, of_handle};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

/// Drains a router and waits until it has begun to: nobody is accepted any more.
fn draining(router: TestRouter) -> JoinHandle<usize> {
    let listener = router.listener(0);
    let drained = spawn(move || router.drain());
    let refused =
        || TcpStream::connect(listener).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    assert!(eventually(refused), "the listener still accepts");
    drained
}

#[test]
fn idle_connections_end_by_a_fin_at_once_and_their_sessions_live_on() {
    let script = Script::sound();
    let router = router(&[script.address()]);
    let listener = router.listener(0);
    let mut silent = Talk::connect(listener);
    let mut clients = [Talk::connect(listener), Talk::connect_framed(listener), Talk::connect_sasl(listener)];
    let sessions = clients.each_mut().map(Talk::open);
    let operation = clients[0].call(&execute(&sessions[0], "select 1")).handle(&[0, 2]);
    clients[0].call(&of_handle("CloseOperation", &operation));
    let drained = draining(router);
    for client in &mut clients {
        assert!(client.ends_orderly());
    }
    assert!(silent.ends_orderly());
    assert_eq!(drained.join().unwrap(), 0, "some had to be cut");
    assert_eq!(script.count("CloseSession"), 0);
}

#[test]
fn a_connection_with_a_call_in_flight_ends_after_its_reply() {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let script = Script::calls(move |call| {
        if call.message.name == "GetInfo" {
            told.lock().unwrap().recv().unwrap();
        }
        Act::Ordinary
    });
    let router = router(&[script.address()]);
    let (mut client, mut idle) = (Talk::connect(router.listener(0)), Talk::connect(router.listener(0)));
    let session = client.open();
    idle.open();
    client.say(&of_handle("GetInfo", &session));
    assert!(eventually(|| script.count("GetInfo") == 1));
    let drained = draining(router);
    assert!(idle.ends_orderly());
    tell.send(()).unwrap();
    assert_eq!(client.hear().unwrap().status(), Some(0));
    assert!(client.ends_orderly());
    assert_eq!(drained.join().unwrap(), 0);
}

/// A client with an open operation, and its handle.
fn with_operation(router: &TestRouter, way: fn(std::net::SocketAddr) -> Talk) -> (Talk, Value) {
    let mut client = way(router.listener(0));
    let session = client.open();
    let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
    (client, operation)
}

#[test]
fn a_connection_with_an_open_operation_is_served_until_that_is_closed() {
    for way in super::WAYS {
        let script = Script::sound();
        let router = router(&[script.address()]);
        let (mut client, operation) = with_operation(&router, way);
        let drained = draining(router);
        for _ in 0..3 {
            assert_eq!(client.call(&of_handle("FetchResults", &operation)).status(), Some(0));
        }
        assert_eq!(client.call(&of_handle("CloseOperation", &operation)).status(), Some(0));
        assert!(client.ends_orderly());
        assert_eq!(drained.join().unwrap(), 0);
    }
}

#[test]
fn what_is_left_at_drain_timeout_is_cut() {
    let script = Script::sound();
    let router = TestRouter::with("impala", &[script.address()], "drain_timeout = \"1s\"");
    let (mut client, _) = with_operation(&router, Talk::connect);
    let mut unknown = Talk::connect(router.listener(0));
    unknown.send(b"\x7fhello");
    let mut idle = Talk::connect(router.listener(0));
    idle.open();
    let drained = draining(router);
    assert!(idle.ends_orderly());
    assert_eq!(client.rest(), Vec::<u8>::new());
    // What is relayed unread may be in the middle of something.
    assert!(!unknown.ends_orderly());
    assert_eq!(drained.join().unwrap(), 2);
    assert_eq!(script.count("CloseSession"), 0);
}

#[test]
fn a_request_that_is_half_there_is_waited_for() {
    let script = Script::sound();
    let router = router(&[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    let call = of_handle("GetInfo", &session).encode();
    client.send(&call[..10]);
    let drained = draining(router);
    client.send(&call[10..]);
    assert_eq!(client.hear().unwrap().status(), Some(0));
    assert!(client.ends_orderly());
    assert_eq!(drained.join().unwrap(), 0);
}
