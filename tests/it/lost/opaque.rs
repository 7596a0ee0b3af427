//! What is not understood is passed on, every byte, both ways.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::sasl::{Framing, START, negotiation};
use hs2router::ids::Service;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::router;
use crate::support::ports::closed_port;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

/// Listens to the end, then says all of it again, and a word of its own.
fn echo() -> Script {
    Script::raw(|mut stream, _| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        stream.write_all(b" amen").unwrap();
    })
}

/// Says something unknown in pieces, finishes, and hears what comes back.
#[track_caller]
fn passes(said: &[u8]) {
    let script = echo();
    let router = router(&[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let (first, rest) = said.split_at(said.len() / 2);
    client.send(first);
    client.send(rest);
    client.finish();
    let heard = client.rest();
    assert!(heard == [said, b" amen"].concat(), "{heard:?}");
    router.await_metric("hs2router_connections_closed_total{cause=\"client_closed\"}", 1.0);
    let listener = router.listener(0);
    let series = format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"opaque\"}}");
    router.await_metric(&series, 1.0);
}

#[test]
fn unknown_bytes_are_passed_both_ways_with_half_close() {
    passes(b"\x7f\0\xff anything");
    passes(&vec![0xa5; 3_000_000]);
    passes(b"\0\0\0\x0bOpenSession\x01\0\0\0\0\0");
}

#[test]
fn http_is_passed_on() {
    passes(b"POST /cliservice HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
}

#[test]
fn a_sasl_mechanism_that_nobody_has_seen_is_between_client_and_coordinator() {
    for name in [&b"X-NEVER-SEEN"[..], b"GSSAPI", b"SCRAM-SHA-256-PLUS", b"PLAIN2"] {
        passes(
            &[negotiation(START, name), negotiation(2, &[7; 5000]), b"\0\0\0\0 and what follows".to_vec()]
                .concat(),
        );
    }
}

#[test]
fn bytes_that_begin_nothing_that_is_known_are_passed_on_at_once() {
    let script = Script::raw(|mut stream, _| {
        let mut word = [0; 3];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let router = TestRouter::with("impala", &[script.address()], "detect_timeout = \"10m\"");
    for said in [b"abc", b"\x7f\0\0", b"\xff\xfe\xfd", b"{}\n"] {
        let mut client = Talk::connect(router.listener(0));
        client.send(said);
        assert_eq!(client.rest(), said);
    }
}

#[test]
fn half_a_greeting_is_passed_on_when_its_client_finishes() {
    for greeting in [&b"\x80"[..], b"\x01\0\0\0", b"POS", b"\x16\x03", b"\0\0\0\x20\x80\x01"] {
        let script = echo();
        let router = TestRouter::with("impala", &[script.address()], "detect_timeout = \"10m\"");
        let mut client = Talk::connect(router.listener(0));
        client.send(greeting);
        client.finish();
        assert_eq!(client.rest(), [greeting, b" amen"].concat());
    }
}

#[test]
fn half_a_greeting_is_passed_on_after_detect_timeout_from_its_first_byte() {
    let script = Script::raw(|mut stream, _| {
        let mut word = [0; 2];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let router = TestRouter::with(
        "impala",
        &[script.address()],
        "detect_timeout = \"200ms\"\nstall_timeout = \"10m\"",
    );
    let mut client = Talk::connect(router.listener(0));
    let begun = clock::now();
    client.send(b"\0\0");
    assert_eq!(client.rest(), b"\0\0");
    assert!(clock::now() - begun >= Duration::from_millis(200), "it could still have been a frame");
}

#[test]
fn a_coordinator_that_says_nothing_is_not_waited_for_longer_than_a_handshake() {
    let script = Script::raw(|mut stream, _| drop(stream.read_to_end(&mut Vec::new())));
    let router = TestRouter::with("impala", &[script.address()], "handshake_timeout = \"200ms\"");
    let mut client = Talk::connect(router.listener(0));
    client.send(b"\xffhello");
    assert!(client.stream.read(&mut [0]).is_err(), "it is reset");
    router.await_metric("hs2router_connections_closed_total{cause=\"handshake_timed_out\"}", 1.0);
    assert!(eventually(|| script.open() == 0), "its thread is free");
    let words = "the coordinator said nothing within 200ms to what began with something unknown";
    assert!(router.logs().text().contains(words), "{}", router.logs().text());
}

#[test]
fn a_coordinator_that_has_spoken_may_be_silent_for_as_long_as_it_likes() {
    let script = Script::raw(|mut stream, _| {
        let mut word = [0; 4];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let router = TestRouter::with("impala", &[script.address()], "handshake_timeout = \"50ms\"");
    let (mut spoken, mut silent) = (Talk::connect(router.listener(0)), Talk::connect(router.listener(0)));
    spoken.send(b"\xffone");
    spoken.stream.read_exact(&mut [0; 4]).unwrap();
    // By the time that this one is cut the other would have been, too.
    silent.send(b"\xff");
    assert!(silent.stream.read(&mut [0]).is_err());
    spoken.send(b"\xfftwo");
    assert_eq!(spoken.rest(), b"\xfftwo");
}

#[test]
fn a_sasl_mechanism_in_small_letters_is_between_client_and_coordinator() {
    passes(&[negotiation(START, b"plain"), negotiation(2, b"\0u1\0p1")].concat());
}

#[test]
fn a_coordinator_that_finishes_first_is_heard_and_can_be_answered() {
    let script = Script::raw(|mut stream, _| {
        stream.write_all(b"that is all from me").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"\x7fhello and goodbye");
    });
    let router = router(&[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    client.send(b"\x7fhello");
    assert_eq!(client.rest(), b"that is all from me");
    client.send(b" and goodbye");
    client.finish();
    router.await_metric("hs2router_connections_closed_total{cause=\"coordinator_closed\"}", 1.0);
}

#[test]
fn a_coordinator_that_speaks_first_is_heard() {
    let script = Script::raw(|mut stream, _| {
        stream.write_all(b"220 speak").unwrap();
        let mut word = [0; 6];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let router = TestRouter::with("impala", &[script.address()], "detect_timeout = \"50ms\"");
    let mut client = Talk::connect(router.listener(0));
    let mut greeting = [0; 9];
    client.stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 speak");
    client.send(b"\x80\x01\0\x01!!");
    assert_eq!(client.rest(), b"\x80\x01\0\x01!!");
}

#[test]
fn a_client_that_was_silent_for_long_is_routed_all_the_same() {
    let scripts = [Script::sound(), Script::sound()];
    let addresses = scripts.each_ref().map(Script::address);
    let router = TestRouter::with("impala", &addresses, "detect_timeout = \"50ms\"");
    let accepted = || scripts.iter().map(Script::accepted).sum::<usize>();
    let open = || scripts.iter().map(Script::open).sum::<usize>();
    // One speaks while the coordinator is listened to, the other when it has been left.
    let mut client = Talk::connect(router.listener(0));
    assert!(eventually(|| accepted() == 1));
    assert_ne!(client.open(), client.open());
    let mut client = Talk::connect(router.listener(0));
    let before = accepted();
    assert!(eventually(|| accepted() == before + 1));
    let during = open();
    assert!(eventually(|| open() == during - 1), "the parked connection was not left");
    assert_ne!(client.open(), client.open());
    let listener = router.listener(0);
    let series = format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"route\"}}");
    router.await_metric(&series, 2.0);
}

#[test]
fn silent_clients_hold_one_connection_to_a_coordinator_at_a_time() {
    let script = Script::raw(|mut stream, _| drop(stream.read(&mut [0])));
    let router = TestRouter::with("impala", &[script.address()], "detect_timeout = \"50ms\"");
    let clients: Vec<Talk> = (0..5).map(|_| Talk::connect(router.listener(0))).collect();
    // As the router counts them: the coordinator may see the end of one after the beginning of the next.
    let links = || {
        let fleet = &router.router().fleets()[0];
        fleet.room_of(&fleet.cluster.coordinators()[0], Service::Hs2).unwrap().0.links
    };
    let mut most = 0;
    assert!(eventually(|| {
        most = most.max(links());
        script.accepted() >= 3
    }));
    assert_eq!(most, 1);
    drop(clients);
}

#[test]
fn an_unknown_client_for_whom_nobody_can_be_reached_is_not_left_waiting() {
    let router = router(&[closed_port(), closed_port()]);
    let mut client = Talk::connect(router.listener(0));
    client.send(b"\x7fhello");
    assert_eq!(client.rest(), b"");
    router.await_metric("hs2router_connections_closed_total{cause=\"no_coordinator\"}", 1.0);
    router.await_metric("hs2router_connections_refused_total{cause=\"unreachable\"}", 1.0);
}

#[test]
fn a_dead_candidate_is_passed_over() {
    let script = echo();
    let router = router(&[closed_port(), script.address()]);
    for _ in 0..3 {
        let mut client = Talk::connect(router.listener(0));
        client.send(b"\x7fhello");
        client.finish();
        assert_eq!(client.rest(), b"\x7fhello amen");
    }
}

#[test]
fn a_coordinator_that_resets_is_not_taken_for_one_that_finished() {
    let resets = Script::raw(|stream, _| {
        let mut talk = Talk::over(stream, Framing::None);
        talk.stream.read_exact(&mut [0; 6]).unwrap();
        talk.reset();
    });
    let router = router(&[resets.address()]);
    let mut client = Talk::connect(router.listener(0));
    client.send(b"\x7fhello");
    let error = client.stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    router.await_metric("hs2router_connections_closed_total{cause=\"coordinator_lost\"}", 1.0);
}

#[test]
fn tls_is_between_client_and_coordinator() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["coordinator.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let server = Arc::new(server);
    let script = Script::raw(move |stream, _| {
        let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&server)).unwrap(), stream);
        let mut question = [0; 9];
        tls.read_exact(&mut question).unwrap();
        tls.write_all(&vec![b'x'; 1_000_000]).unwrap();
        tls.write_all(&question).unwrap();
        tls.conn.send_close_notify();
        tls.flush().unwrap();
    });
    let router = router(&[script.address()]);
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("coordinator.test").unwrap();
    let talk = Talk::connect(router.listener(0));
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), talk.stream);
    tls.write_all(b"question?").unwrap();
    let mut answer = Vec::new();
    tls.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 1_000_009);
    assert!(answer.ends_with(b"xquestion?"));
}
