//! Handshakes that fail, stall or are none: each costs its own connection.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::channel;
use std::time::Duration;

use hs2router::cluster::Load;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::sasl::gssapi::{ticket, wrapped};
use hs2router::fake::sasl::{BAD, COMPLETE, ERROR, OK, START, negotiation};
use hs2router::ids::Depth;

use super::{await_depth, by_ticket, plan};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::ports::closed_port;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

fn start() -> Vec<u8> {
    negotiation(START, b"GSSAPI")
}

/// Nothing is held against any coordinator.
#[track_caller]
fn assert_all_fit(router: &TestRouter) {
    use hs2router::cluster::Standing;
    use hs2router::ids::Service;
    for coordinator in router.router().fleets()[0].cluster.coordinators().iter() {
        assert_eq!(coordinator.standing(Service::Hs2, hs2router::clock::now()), Standing::Ready);
        assert_eq!(coordinator.load(), Load::default());
    }
}

#[test]
fn a_refusal_is_the_clients_business_and_ejects_nobody() {
    let answers: [(&[u8], &str); 3] = [
        (b"", "it closes without a word, as impalad does"),
        (&negotiation(BAD, b"GSS initiate failed"), "as Hive does"),
        (&negotiation(ERROR, b"no"), "an error"),
    ];
    for (answer, how) in answers {
        let said = answer.to_vec();
        let script = Script::raw(move |stream, _| {
            let mut talk = Talk::over(stream, hs2router::fake::sasl::Framing::None);
            assert_eq!(talk.sasl_message().unwrap(), (START, b"GSSAPI".to_vec()));
            assert_eq!(talk.sasl_message().unwrap(), (OK, ticket("ann")));
            talk.send(&said);
        });
        let router = TestRouter::of("impala", &[script.address()]);
        for attempt in 1..=4 {
            let mut client = Talk::connect(router.listener(0));
            client.send(&[start(), negotiation(OK, &ticket("ann"))].concat());
            assert_eq!(client.rest(), answer, "{how}");
            drop(client);
            let refused = "hs2router_connections_closed_total{cause=\"credentials_refused\"}";
            router.await_metric(refused, f64::from(attempt));
        }
        assert_all_fit(&router);
        await_depth(&router, Depth::Observe, 4.0);
    }
}

#[test]
fn a_client_that_gets_no_ticket_costs_no_coordinator_anything() {
    let script = Script::sound();
    let router = TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    client.send(&start());
    client.finish();
    assert!(client.rest().is_empty());
    router.await_metric("hs2router_connections_closed_total{cause=\"credentials_refused\"}", 1.0);
    assert_eq!(script.accepted(), 0);
    let hint = "perhaps it gets no ticket for the name of the service that it asks for";
    assert!(router.logs().text().contains(hint), "{}", router.logs().text());
}

#[test]
fn half_a_token_is_waited_for_as_long_as_a_handshake_may_take_and_no_coordinator_is_dialed() {
    let script = Script::sound();
    let router = TestRouter::with("impala", &[script.address()], "handshake_timeout = \"200ms\"");
    let mut client = Talk::connect(router.listener(0));
    let message = negotiation(OK, &ticket("ann"));
    client.send(&[start(), message[..message.len() - 1].to_vec()].concat());
    assert!(client.rest().is_empty());
    router.await_metric("hs2router_connections_closed_total{cause=\"handshake_timed_out\"}", 1.0);
    assert_eq!(script.accepted(), 0);
}

#[test]
fn a_client_that_dawdles_in_the_middle_keeps_no_coordinator_waiting() {
    let fleet = Fleet::with(Plan { router: "handshake_timeout = \"200ms\"", ..plan() });
    let mut client = Talk::connect(fleet.address(Door::Hs2));
    client.send(&[start(), negotiation(OK, &ticket("ann"))].concat());
    assert_eq!(client.sasl_message().unwrap().0, OK);
    assert!(client.ends_orderly());
    fleet.router().await_metric("hs2router_connections_closed_total{cause=\"handshake_timed_out\"}", 1.0);
    fleet.await_idle();
    // The time of another begins anew with each of its turns, and ends with its handshake.
    let mut sound = by_ticket(&fleet, "ann");
    let session = sound.open(&[]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    sound.ping(&session).unwrap();
}

#[test]
fn a_coordinator_that_cannot_be_reached_is_passed_over_and_if_all_are_the_client_is_told() {
    let closed = closed_port();
    let fleet = Fleet::with(Plan { coordinators: 1, ..plan() });
    let sound = fleet.coordinator(0).hs2();
    let router = TestRouter::of("impala", &[closed, sound]);
    for _ in 0..4 {
        let mut client = Hs2Client::connect(router.listener(0), &Login::kerberos("ann")).unwrap();
        client.open(&[]).unwrap();
    }
    let router = TestRouter::of("impala", &[closed]);
    let mut client = Talk::connect(router.listener(0));
    client.send(&[start(), negotiation(OK, &ticket("ann"))].concat());
    let (status, text) = client.sasl_message().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(status == ERROR && text.starts_with("hs2router (c") && text.contains("c1: "), "{text}");
    assert!(client.ends_orderly());
    router.await_metric("hs2router_connections_closed_total{cause=\"no_coordinator\"}", 1.0);
}

#[test]
fn a_token_of_48_kib_passes_and_one_that_is_too_long_is_refused_before_a_coordinator_hears_of_it() {
    let fleet = Fleet::with(plan());
    let mut client = Talk::connect(fleet.address(Door::Hs2));
    // As large as Windows makes them with many groups, and in small pieces.
    let large = negotiation(OK, &ticket(&"a".repeat(48 << 10)));
    for piece in [start(), large].concat().chunks(1000) {
        client.send(piece);
    }
    assert_eq!(client.sasl_message().unwrap().0, OK, "the coordinator has it whole");

    let script = Script::sound();
    let router = TestRouter::of("impala", &[script.address()]);
    // One says that it has 4 GiB, and one is there.
    for (token, length) in [
        (vec![OK, 0xff, 0xff, 0xff, 0xff], "4294967295"),
        (negotiation(OK, &vec![0x60; 120 << 10]), "122880"),
    ] {
        let mut client = Talk::connect(router.listener(0));
        client.send(&[start(), token].concat());
        let (status, text) = client.sasl_message().unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(status, ERROR);
        assert!(text.ends_with(&format!("SASL message of {length} bytes exceeds 69632")), "{text}");
        assert!(client.ends_orderly());
    }
    assert_eq!(script.accepted(), 0);
    router.await_metric("hs2router_connections_closed_total{cause=\"bad_sasl\"}", 2.0);
}

#[test]
fn a_handshake_without_end_is_read_no_more_but_passed_on() {
    let (told, tell) = channel();
    let script = Script::raw(move |mut stream, _| {
        let mut heard = vec![0; start().len() + 100 * 5];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(&negotiation(BAD, b"enough")).unwrap();
        told.send(heard).unwrap();
    });
    let router = TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let rounds = [start(), negotiation(OK, b"").repeat(100)].concat();
    client.send(&rounds);
    assert_eq!(client.rest(), negotiation(BAD, b"enough"));
    assert_eq!(tell.recv().unwrap(), rounds);
    await_depth(&router, Depth::Opaque, 1.0);
    let words = "a Kerberos connection is not read any more, only passed on";
    let is_said = || router.logs().text().lines().filter(|line| line.contains(words)).count() == 1;
    assert!(eventually(is_said), "{}", router.logs().text());
}

#[test]
fn a_thousand_handshakes_of_garbage_do_not_keep_others_out() {
    let fleet = Fleet::with(plan());
    for seed in 0..1000_u32 {
        let mut client = Talk::connect(fleet.address(Door::Hs2));
        let noise: Vec<u8> =
            (0..40).map(|at| (seed.wrapping_mul(2_654_435_761) >> (at % 24)).to_be_bytes()[3]).collect();
        client.send(&[start(), negotiation(OK, &noise), noise].concat());
        if seed % 100 == 0 {
            let mut sound = by_ticket(&fleet, "ann");
            let session = sound.open(&[]).unwrap();
            sound.close_session(&session).unwrap();
        }
    }
    fleet.await_idle();
}

#[test]
fn layers_offered_and_chosen_are_read_whichever_way_a_token_is_turned() {
    for right in [0, 12, 28] {
        let script = Script::raw(move |stream, _| {
            let mut talk = Talk::over(stream, hs2router::fake::sasl::Framing::None);
            for _ in 0..2 {
                talk.sasl_message().unwrap();
            }
            talk.send(&negotiation(OK, b"AP-REP"));
            talk.sasl_message().unwrap();
            talk.send(&negotiation(OK, &wrapped(&[1, 0, 0, 0], right)));
            talk.sasl_message().unwrap();
            talk.send(&negotiation(COMPLETE, b""));
            talk.rest();
        });
        let router = TestRouter::of("impala", &[script.address()]);
        let mut client = Talk::connect(router.listener(0));
        client.send(&[start(), negotiation(OK, &ticket("ann"))].concat());
        client.sasl_message().unwrap();
        client.send(&negotiation(OK, b""));
        client.sasl_message().unwrap();
        client.send(&negotiation(COMPLETE, &wrapped(b"\x01\0\0\0ann@EXAMPLE.COM", right)));
        assert_eq!(client.sasl_message().unwrap().0, COMPLETE);
        drop(client);
        await_depth(&router, Depth::Observe, 1.0);
    }
}
