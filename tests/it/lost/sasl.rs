//! Credentials are shown to one coordinator, and its verdict is the client's.

use std::net::SocketAddr;
use std::sync::mpsc;

use hs2router::cluster::Standing;
use hs2router::fake::sasl::{BAD, COMPLETE, ERROR, OK, START, negotiation, plain};
use hs2router::ids::Service;

use super::router;
use crate::support::ports::closed_port;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script, WRONG};
use crate::support::talk::Talk;

/// Logs in with a password; what it was told, and that the connection then ended.
fn told(listener: SocketAddr, password: &str) -> (u8, String) {
    let (client, status, text) = Talk::log_in(listener, "u1", password);
    let mut client = client;
    assert_eq!(client.rest(), b"");
    (status, text)
}

fn shown(scripts: &[Script]) -> usize {
    scripts.iter().map(Script::credentials).sum()
}

#[test]
fn a_wrong_password_is_answered_by_one_coordinator_in_its_own_words() {
    let scripts = [Script::sound(), Script::sound(), Script::sound()];
    let router = router(&scripts.each_ref().map(Script::address));
    for times in 1..=3 {
        let expected = (BAD, "no such user, or another password".to_owned());
        assert_eq!(told(router.listener(0), WRONG), expected);
        assert_eq!(shown(&scripts), times, "another coordinator was asked");
    }
    router.await_metric("hs2router_connections_closed_total{cause=\"credentials_refused\"}", 3.0);
    let mut client = Talk::connect_sasl(router.listener(0));
    client.open();
}

/// Reads a handshake up to the credentials, then ends the connection; as impalad refuses.
fn hangs_up() -> Script {
    Script::logins(|_| Act::Close)
}

#[test]
fn a_close_in_place_of_an_answer_to_credentials_is_a_verdict() {
    let scripts = [hangs_up(), hangs_up()];
    let router = router(&scripts.each_ref().map(Script::address));
    let (status, text) = told(router.listener(0), "p1");
    assert_eq!(status, BAD);
    assert!(text.contains("authentication failed"), "{text}");
    assert_eq!(scripts.iter().map(Script::accepted).sum::<usize>(), 1, "another coordinator was asked");
    router.await_metric("hs2router_connections_closed_total{cause=\"credentials_refused\"}", 1.0);
}

#[test]
fn credentials_that_are_not_answered_are_not_shown_to_another_coordinator() {
    let scripts = [(), ()].map(|()| Script::logins(|_| Act::Silence));
    let addresses = scripts.each_ref().map(Script::address);
    let router = TestRouter::with("impala", &addresses, "handshake_timeout = \"1s\"");
    let (status, text) = told(router.listener(0), "p1");
    assert_eq!(status, BAD);
    assert!(text.contains("no answer to the credentials within"), "{text}");
    assert_eq!(scripts.iter().map(Script::accepted).sum::<usize>(), 1);
}

/// A coordinator that does this once it has the credentials gets no second client's for a while.
#[track_caller]
fn is_tried_last(act: fn() -> Act) {
    let bad = Script::logins(move |_| act());
    let good = [Script::sound(), Script::sound()];
    let addresses = [bad.address(), good[0].address(), good[1].address()];
    let router = TestRouter::with("impala", &addresses, "handshake_timeout = \"300ms\"");
    let mut kept = Vec::new();
    assert!(eventually(|| {
        kept.push(Talk::log_in(router.listener(0), "u1", "p1"));
        bad.accepted() == 1
    }));
    for _ in 0..4 {
        kept.push((Talk::connect_sasl(router.listener(0)), COMPLETE, String::new()));
    }
    assert_eq!(bad.accepted(), 1, "it is still among the first");
}

#[test]
fn a_coordinator_that_gives_no_verdict_on_credentials_is_tried_last() {
    is_tried_last(|| Act::Silence);
    is_tried_last(|| Act::Last(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
}

#[test]
fn a_verdict_on_credentials_speaks_against_no_coordinator() {
    let scripts = [hangs_up(), Script::sound()];
    let router = router(&scripts.each_ref().map(Script::address));
    for _ in 0..4 {
        told(router.listener(0), WRONG);
    }
    let now = hs2router::clock::now();
    for coordinator in &router.router().fleets()[0].cluster.coordinators {
        assert_eq!(coordinator.standing(Service::Hs2, now), Standing::Ready);
    }
}

#[test]
fn a_coordinator_that_cannot_be_reached_is_passed_over() {
    let good = Script::sound();
    let router = router(&[closed_port(), closed_port(), good.address()]);
    for times in 1..=4 {
        let mut client = Talk::connect_sasl(router.listener(0));
        assert_eq!(good.credentials(), times);
        client.open();
        // The link that checked the credentials is the session's.
        assert_eq!(good.accepted(), times);
    }
}

#[test]
fn when_none_can_be_reached_the_client_is_told_why() {
    let router = router(&[closed_port(), closed_port()]);
    let (status, text) = told(router.listener(0), "p1");
    assert_eq!(status, ERROR);
    assert!(text.starts_with("hs2router (") && text.contains("none of the 2 coordinators"), "{text}");
    assert!(text.contains("c1: connection refused") && text.contains("c2: connection refused"), "{text}");
    router.await_metric("hs2router_connections_closed_total{cause=\"no_coordinator\"}", 1.0);
}

#[test]
fn each_session_may_go_to_another_coordinator_under_the_same_credentials() {
    let scripts = [Script::sound(), Script::sound()];
    let router = router(&scripts.each_ref().map(Script::address));
    let mut client = Talk::connect_sasl(router.listener(0));
    let sessions = [client.open(), client.open(), client.open(), client.open()];
    for script in &scripts {
        assert_eq!(sessions.iter().filter(|session| script.minted(session)).count(), 2);
        assert_eq!(script.credentials(), 1);
    }
}

#[test]
fn a_handshake_in_single_bytes_is_understood() {
    let script = Script::sound();
    let router = router(&[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    for byte in plain("u1", b"p1") {
        client.send(&[byte]);
    }
    assert_eq!(client.sasl_message().unwrap(), (COMPLETE, Vec::new()));
}

#[test]
fn what_hive_and_spark_take_for_a_login_reaches_them_as_it_came() {
    for flavor in ["hive", "spark"] {
        let (tell, shown) = mpsc::channel();
        let script = Script::logins(move |response| {
            tell.send(response.to_vec()).unwrap();
            Act::Ordinary
        });
        let router = TestRouter::of(flavor, &[script.address()]);
        for response in [&b"[PLAIN]\0hive\0x"[..], b"admin\0u1\0p1", b"u1\0p1", b"\0u1\0p1"] {
            let mut client = Talk::connect(router.listener(0));
            client.send(&negotiation(START, b"PLAIN"));
            client.send(&negotiation(OK, response));
            let (status, text) = client.sasl_message().unwrap();
            assert_eq!((status, String::from_utf8(text).unwrap().as_str()), (COMPLETE, ""), "{flavor}");
            assert_eq!(shown.recv().unwrap(), response);
        }
    }
}

#[test]
fn what_impala_would_misread_or_refuse_as_a_login_does_not_reach_it() {
    let script = Script::sound();
    let router = router(&[script.address()]);
    for response in [&b"admin\0u1\0p1"[..], b"u1\0p1"] {
        let mut client = Talk::connect(router.listener(0));
        client.send(&negotiation(START, b"PLAIN"));
        client.send(&negotiation(OK, response));
        assert_eq!(client.sasl_message().unwrap().0, BAD);
    }
    assert_eq!(script.accepted(), 0);
}
