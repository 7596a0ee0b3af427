//! The same with TLS on both sides: its keys and what it has decrypted go with the connection.

use std::io::Read as _;
use std::sync::Arc;

use super::{Keys, Pair, SAID, SOON, poll};
use crate::support::certificates::{Authority, HERE};
use crate::support::message::{execute, of_handle};
use crate::support::relay::Relay;
use crate::support::script::Script;
use crate::support::talk::{PATIENCE, Talk};

/// A router with two threads, and TLS between it and both its sides.
struct Encrypted {
    pair: Pair,
    client_side: Relay,
    link_side: Relay,
}

impl Encrypted {
    fn around(script: &Script, flavor: &str) -> Self {
        let authority = Authority::new();
        let (router, coordinator) = (authority.issue("router", &HERE), authority.issue("coordinator", &HERE));
        let link_side = Relay::ending_tls(script.address(), Arc::new(coordinator.server_config()));
        let keys = Keys {
            listener: format!("tls = {{ {} }}", router.keys()),
            cluster: format!("tls = {{ ca = \"{}\" }}", authority.ca().display()),
        };
        let ports = format!("hs2 = {}, beeswax = 0", link_side.address().port());
        let pair = Pair::with(flavor, "hs2", &ports, &keys);
        let at = pair.router.listeners()[0];
        let client_side = Relay::beginning_tls(at, authority.client_config(), "localhost");
        Self { pair, client_side, link_side }
    }

    fn connect(&self) -> Talk {
        Talk::connect(self.client_side.address())
    }

    /// Every handshake that there was, with clients and with coordinators, was good; how many each.
    fn handshakes(&self) -> [usize; 2] {
        [&self.client_side, &self.link_side].map(|side| {
            let handshakes = side.handshakes();
            assert!(handshakes.iter().all(Result::is_ok), "{handshakes:?}");
            handshakes.len()
        })
    }
}

#[test]
fn a_connection_under_tls_takes_its_links_under_tls_to_another_thread() {
    let script = Script::sound();
    let encrypted = Encrypted::around(&script, "hive");
    let mut at_home_with_the_first = Talk::connect_sasl(encrypted.client_side.address());
    at_home_with_the_first.open();
    let mut client = Talk::connect_sasl(encrypted.client_side.address());
    let session = client.open();
    let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
    let before = encrypted.handshakes();
    encrypted.pair.drive_away(&mut client, &poll(&operation));
    for _ in 0..20 {
        assert_eq!(client.call(&poll(&operation)).status(), Some(0));
    }
    assert_eq!(client.call(&of_handle("CloseSession", &session)).status(), Some(0));
    assert_eq!(encrypted.handshakes(), before, "it was dialed again");
}

#[test]
fn calls_that_came_in_one_record_are_all_answered_by_the_other_thread() {
    let script = Script::sound();
    let encrypted = Encrypted::around(&script, "impala");
    let mut at_home_with_the_first = encrypted.connect();
    at_home_with_the_first.open();
    let mut client = encrypted.connect();
    let session = client.open();
    let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
    // The first of them may make the connection go, with the others decrypted or half of it.
    let many: Vec<u8> = (0..400).flat_map(|number| poll(&operation).seqid(number).encode()).collect();
    let crowd = encrypted.pair.crowd();
    client.send(&many);
    for number in 0..400 {
        assert_eq!(client.hear().unwrap().seqid, number);
    }
    drop(crowd);
    encrypted.pair.drive_away(&mut client, &poll(&operation));
}

#[test]
fn connections_under_tls_whose_contents_are_passed_on_unread_are_spread_over_the_threads() {
    let script = Script::raw(super::echo);
    let encrypted = Encrypted::around(&script, "impala");
    let say = |client: &mut Talk| {
        client.send(SAID);
        client.stream.read_exact(&mut SAID.clone())
    };
    let mut clients = [(); 4].map(|()| {
        let mut client = encrypted.connect();
        say(&mut client).unwrap();
        client.stream.set_read_timeout(Some(SOON)).unwrap();
        client
    });
    let held_up = encrypted.pair.hold_up();
    let answered = clients.each_mut().map(|client| say(client).is_ok());
    drop(held_up);
    assert_eq!(answered.iter().filter(|answered| **answered).count(), 2, "{answered:?}");
    for (client, answered) in clients.iter_mut().zip(answered) {
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if !answered {
            client.stream.read_exact(&mut SAID.clone()).unwrap();
        }
        say(client).unwrap();
    }
    assert_eq!(encrypted.handshakes(), [4, 4]);
}
