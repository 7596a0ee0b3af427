//! Sessions that ended with the link to their coordinator: Spark Thrift Server was restarted under an idle
//! client.

use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Manner, Settings};

use crate::support::fleet::{is_valid, refusal, refusal_and_state};
use crate::support::router::{TestRouter, eventually};

fn start(flavor: &str, manner: Manner) -> (Coordinator, TestRouter) {
    let coordinator = Coordinator::start(Settings { manner, ..Settings::default() }).unwrap();
    let router = TestRouter::of(flavor, &[coordinator.hs2()]);
    (coordinator, router)
}

fn connect(router: &TestRouter) -> Hs2Client {
    Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap()
}

#[test]
fn every_call_of_a_session_that_ended_with_its_link_is_told_so_until_it_is_closed() {
    for (flavor, manner) in [("spark", Manner::Spark), ("hive", Manner::Hive { outlives: false })] {
        let (coordinator, router) = start(flavor, manner);
        let mut client = connect(&router);
        let session = client.open(&[]).unwrap();
        let operation = client.execute(&session, "select 1").unwrap();
        is_valid(&mut client, &session).unwrap();
        coordinator.restart();
        for _ in 0..2 {
            let (text, state) = refusal_and_state(is_valid(&mut client, &session));
            assert!(state == "08S01" && text.contains("coordinator c1"), "{state}: {text}");
            let (text, state) = refusal_and_state(client.execute(&session, "select 1"));
            assert!(state == "08S01" && text.contains("coordinator c1"), "{state}: {text}");
        }
        refusal(client.status(&operation));
        let before = coordinator.calls().len();
        client.close_session(&session).unwrap();
        assert_eq!(coordinator.calls().len(), before, "there is nothing to close");
        assert!(refusal(client.execute(&session, "select 1")).starts_with("Invalid SessionHandle"));
        // The connection is as good as a new one.
        let next = client.open(&[]).unwrap();
        is_valid(&mut client, &next).unwrap();
        client.execute(&next, "select 1").unwrap();
    }
}

#[test]
fn a_close_that_finds_its_session_ended_with_its_link_succeeds() {
    let (coordinator, router) = start("spark", Manner::Spark);
    let mut client = connect(&router);
    let session = client.open(&[]).unwrap();
    coordinator.restart();
    client.close_session(&session).unwrap();
    assert_eq!(router.router().fleets()[0].table.sessions(), 0);
}

#[test]
fn other_connections_that_used_the_session_are_told_so_too() {
    let (coordinator, router) = start("spark", Manner::Spark);
    let (mut opener, mut other) = (connect(&router), connect(&router));
    let session = opener.open(&[]).unwrap();
    is_valid(&mut other, &session).unwrap();
    drop(opener);
    assert!(eventually(|| coordinator.open_sessions().is_empty()), "it ended with the link that opened it");
    assert!(eventually(|| router.router().fleets()[0].table.sessions() == 0));
    let (text, state) = refusal_and_state(is_valid(&mut other, &session));
    assert!(state == "08S01", "{state}: {text}");
}

#[test]
fn of_sessions_that_ended_with_their_links_a_connection_remembers_the_latest() {
    let (coordinator, router) = start("spark", Manner::Spark);
    let mut client = connect(&router);
    // More than are looked through at once.
    for _ in 0..70 {
        let session = client.open(&[]).unwrap();
        coordinator.restart();
        assert_eq!(refusal_and_state(is_valid(&mut client, &session)).1, "08S01");
    }
    let session = client.open(&[]).unwrap();
    is_valid(&mut client, &session).unwrap();
}

#[test]
fn a_method_that_nobody_knows_does_not_end_its_session() {
    let (_coordinator, router) = start("spark", Manner::Spark);
    let mut client = connect(&router);
    let session = client.open(&[]).unwrap();
    assert!(client.call_without_arguments("NoSuchMethod").is_err());
    client.execute(&session, "select 1").unwrap();
    assert_eq!(router.router().fleets()[0].table.sessions(), 1);
}
