//! Limits on the connections of each client address, and what a client over one of them is told.

use hs2router::fake::sasl::{ERROR, OK, START, negotiation, plain};

use super::support::elsewhere::{ELSEWHERE, connect_from};
use super::support::message::{open_session, query};
use super::support::router::{SELDOM, TestRouter, eventually};
use super::support::script::Script;
use super::support::talk::Talk;

/// A router with two listeners for these services in front of a coordinator, with these keys of the
/// listeners.
fn router(coordinator: &Script, listener: &str) -> TestRouter {
    let port = coordinator.address().port();
    let listeners = ["hs2", "beeswax"].map(|service| {
        format!("[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{service}\"\n{listener}\n")
    });
    TestRouter::start(&format!(
        "{}[[cluster]]\nname = \"test\"\n{SELDOM}\nshare_links = false\nservice_threads = 0\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {port}, beeswax = {}, hs2_http = 0, web = 0 }}]\n",
        listeners.concat(),
        super::support::ports::closed_port().port(),
    ))
}

const FULL: &str =
    "the client's address has 1 connections, and no more are allowed (maximum_connections_per_address)";

#[test]
fn a_client_over_the_limit_is_told_so_in_its_own_protocol() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "maximum_connections_per_address = 1");
    let mut first = Talk::connect(router.listener(0));
    first.open();
    let connected = coordinator.accepted();
    for mut talk in [Talk::connect(router.listener(0)), Talk::connect_framed(router.listener(0))] {
        let (state, text) = talk.call(&open_session()).error();
        assert_eq!(state, "08004");
        assert!(text.starts_with("hs2router (c") && text.ends_with(FULL), "{text}");
        assert!(talk.ends_orderly());
    }
    let (mut login, status, text) = Talk::log_in(router.listener(0), "u1", "p1");
    assert!(status == ERROR && text.ends_with(FULL), "{status} {text}");
    assert!(login.ends_orderly());
    let mut other = Talk::connect(router.listener(0));
    other.send(&[negotiation(START, b"GSSAPI"), negotiation(OK, b"a token")].concat());
    assert_eq!(other.sasl_message().unwrap().0, ERROR);
    // What has no words for it sees a reset.
    let mut tls = Talk::connect(router.listener(0));
    tls.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
    assert_eq!(tls.rest(), b"");
    let refused = "hs2router_connections_refused_total{cause=\"too_many_connections\"}";
    router.await_metric(refused, 5.0);
    router.await_metric("hs2router_connections_closed_total{cause=\"address_limit\"}", 5.0);
    assert_eq!((coordinator.accepted(), coordinator.credentials()), (connected, 0));
    assert!(router.logs().shown().contains(&format!("refused: {FULL}")), "{}", router.logs().shown());
}

#[test]
fn a_beeswax_client_over_the_limit_is_told_so() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "maximum_connections_per_address = 1");
    let mut first = Talk::connect(router.listener(1));
    let words = |talk: &mut Talk| talk.call(&query("select 1")).text(&[1, 1]);
    assert!(words(&mut first).contains("c1: connection refused"), "nobody has that service");
    let told = words(&mut Talk::connect(router.listener(1)));
    assert!(told.ends_with(FULL), "{told}");
    // The other listener counts for itself.
    Talk::connect(router.listener(0)).open();
}

#[test]
fn the_end_of_a_connection_makes_room_and_other_addresses_have_their_own() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "maximum_connections_per_address = 2");
    let mut talks = [(); 2].map(|()| Talk::connect(router.listener(0)));
    for talk in &mut talks {
        talk.open();
    }
    assert_eq!(Talk::connect(router.listener(0)).call(&open_session()).error().0, "08004");
    connect_from(ELSEWHERE, router.listener(0)).open();
    let [first, _second] = talks;
    drop(first);
    let is_let_in = || Talk::connect(router.listener(0)).call(&open_session()).status() == Some(0);
    assert!(eventually(is_let_in));
}

#[test]
fn an_address_that_connects_too_fast_is_slowed_down() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "new_connections_per_second = 2");
    let is_let_in = || {
        let reply = Talk::connect(router.listener(0)).call(&open_session());
        if reply.status() == Some(0) {
            return true;
        }
        let (state, text) = reply.error();
        assert!(state == "08004" && text.contains("more than 2 connections a second"), "{state} {text}");
        false
    };
    assert!(is_let_in() && is_let_in(), "a burst");
    assert!(eventually(|| !is_let_in()));
    assert!(eventually(is_let_in), "the next second");
    let refused = router.metric("hs2router_connections_refused_total{cause=\"too_many_new_connections\"}");
    assert!(refused >= 1.0, "{refused}");
}

#[test]
fn a_crowd_of_refused_clients_that_say_nothing_is_not_waited_for() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "maximum_connections_per_address = 1");
    let mut first = Talk::connect(router.listener(0));
    first.open();
    let crowd: Vec<_> = (0..150).map(|_| Talk::connect(router.listener(0))).collect();
    router.await_metric("hs2router_connections_refused_total{cause=\"too_many_connections\"}", 150.0);
    let mut other = connect_from(ELSEWHERE, router.listener(0));
    other.open();
    for mut talk in crowd {
        assert_eq!(talk.rest(), b"");
    }
    assert!(eventually(|| router.metric(&open(&router)) < 3.0), "{}", router.metric(&open(&router)));
    first.open();
}

fn open(router: &TestRouter) -> String {
    format!("hs2router_connections_open{{listener=\"{}\"}}", router.listener(0))
}

#[test]
fn a_refused_login_that_comes_byte_by_byte_is_told() {
    let coordinator = Script::sound();
    let router = router(&coordinator, "maximum_connections_per_address = 1");
    let mut first = Talk::connect(router.listener(0));
    first.open();
    let mut login = Talk::connect(router.listener(0));
    plain("u1", b"p1").chunks(1).for_each(|byte| login.send(byte));
    let (status, text) = login.sasl_message().unwrap();
    assert_eq!(status, ERROR, "{}", String::from_utf8_lossy(&text));
}
