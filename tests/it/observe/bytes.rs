//! Not a byte is changed, inserted or held back, whatever is read along or cannot be.

use std::io::{Read as _, Write as _};

use hs2router::fake::sasl::gssapi::{ticket, wrapped};
use hs2router::fake::sasl::{COMPLETE, Framing, OK, START, frame, negotiation};
use hs2router::ids::Depth;

use super::await_depth;
use crate::support::message::{Message, execute, handle, of_handle, open_session};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

/// The status of an HS2 reply: success.
fn reply_to(call: &Message) -> Message {
    match call.name.as_str() {
        "OpenSession" => call.done(vec![(3, handle([1; 16], [2; 16]))]),
        "ExecuteStatement" => call.done(vec![(2, handle([3; 16], [4; 16]))]),
        _ => call.done(vec![]),
    }
}

/// What is said after the handshake, one side after the other.
#[derive(Clone, Debug)]
enum Said {
    ByClient(Vec<u8>),
    ByCoordinator(Vec<u8>),
}

/// The client's part of a handshake that chooses this layer, without the AP-REP's answer.
fn choice(layer: u8) -> Vec<u8> {
    negotiation(OK, &wrapped(&[&[layer, 0, 0, 0], b"ann".as_slice()].concat(), 0))
}

/// Has both sides do a handshake and say what is to be said, in pieces of this many bytes, and compares all
/// that each hears. Returns the router.
fn converse(layer: u8, said: &[Said], piece: usize) -> TestRouter {
    let script = {
        let said = said.to_vec();
        Script::raw(move |mut stream, _| {
            stream.set_nodelay(true).unwrap();
            let expect = |stream: &mut std::net::TcpStream, expected: &[u8]| {
                let mut heard = vec![0; expected.len()];
                stream.read_exact(&mut heard).unwrap();
                assert!(heard == expected, "the coordinator got other bytes than were sent");
            };
            expect(&mut stream, &[negotiation(START, b"GSSAPI"), negotiation(OK, &ticket("ann"))].concat());
            stream.write_all(&negotiation(OK, b"AP-REP")).unwrap();
            expect(&mut stream, &negotiation(OK, b""));
            stream.write_all(&negotiation(OK, &wrapped(&[7, 0, 0, 0], 0))).unwrap();
            expect(&mut stream, &choice(layer));
            stream.write_all(&negotiation(COMPLETE, b"")).unwrap();
            for said in &said {
                match said {
                    Said::ByClient(bytes) => expect(&mut stream, bytes),
                    Said::ByCoordinator(bytes) => bytes.chunks(piece).for_each(|piece| {
                        stream.write_all(piece).unwrap();
                    }),
                }
            }
        })
    };
    let router = TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::over(std::net::TcpStream::connect(router.listener(0)).unwrap(), Framing::None);
    client.send(&[negotiation(START, b"GSSAPI"), negotiation(OK, &ticket("ann"))].concat());
    assert_eq!(client.sasl_message().unwrap(), (OK, b"AP-REP".to_vec()));
    client.send(&negotiation(OK, b""));
    assert_eq!(client.sasl_message().unwrap(), (OK, wrapped(&[7, 0, 0, 0], 0)));
    client.send(&choice(layer));
    assert_eq!(client.sasl_message().unwrap(), (COMPLETE, Vec::new()));
    for said in said {
        match said {
            Said::ByClient(bytes) => bytes.chunks(piece).for_each(|piece| client.send(piece)),
            Said::ByCoordinator(bytes) => {
                let mut heard = vec![0; bytes.len()];
                client.stream.read_exact(&mut heard).unwrap();
                assert!(heard == *bytes, "the client got other bytes than were sent");
            }
        }
    }
    assert!(client.ends_orderly());
    router
}

/// Calls, each in a frame, and their replies.
fn calls() -> Vec<Said> {
    let session = handle([1; 16], [2; 16]);
    let (open, run) = (open_session(), execute(&session, &"x".repeat(5000)));
    let last = of_handle("CloseSession", &session);
    let mut said = Vec::new();
    for call in [open, run, last] {
        said.push(Said::ByClient(frame(&call.encode())));
        said.push(Said::ByCoordinator(frame(&reply_to(&call).encode())));
    }
    said
}

#[test]
fn calls_pass_unchanged_however_they_are_cut() {
    for piece in [1, 7, 1000, 1 << 20] {
        let router = converse(1, &calls(), piece);
        await_depth(&router, Depth::Observe, 1.0);
        router.await_metric("hs2router_calls_total{method=\"CloseSession\",outcome=\"reply\"}", 1.0);
    }
}

#[test]
fn large_messages_over_many_frames_pass_and_are_read() {
    let statement = execute(&handle([1; 16], [2; 16]), &"y".repeat(3_000_000));
    let frames = |message: &[u8]| message.chunks(100_000).flat_map(frame).collect::<Vec<u8>>();
    let mut said = vec![Said::ByClient(frames(&statement.encode()))];
    let rows = Message::call("FetchResults", vec![]);
    let mut reply = reply_to(&statement);
    reply.name = statement.name.clone();
    said.push(Said::ByCoordinator(frames(&reply.encode())));
    said.push(Said::ByClient(frames(&rows.encode())));
    let long = rows.done(vec![(3, crate::support::message::Value::text(&"z".repeat(6_000_000)))]);
    said.push(Said::ByCoordinator(frames(&long.encode())));
    let router = converse(1, &said, 1 << 20);
    router.await_metric("hs2router_calls_total{method=\"FetchResults\",outcome=\"reply\"}", 1.0);
}

#[test]
fn what_a_layer_protects_is_passed_on_unread() {
    let sealed = [&[5, 4, 2, 0xff], [9; 200].as_slice()].concat();
    let said = vec![
        Said::ByClient(frame(&sealed)),
        Said::ByCoordinator(frame(&sealed)),
        Said::ByClient(frame(&sealed)),
    ];
    // As the handshake says it, integrity alone too; and as the first frame says it, whatever was chosen.
    for layer in [2, 4, 1] {
        let router = converse(layer, &said, 50);
        await_depth(&router, Depth::Opaque, 1.0);
        assert!(!router.logs().text().contains("not read any more"), "that is nothing unusual");
    }
    // In the clear, but signed.
    let said = vec![Said::ByClient(frame(&[&[5, 4, 0, 0xff], open_session().encode().as_slice()].concat()))];
    await_depth(&converse(1, &said, 1 << 20), Depth::Opaque, 1.0);
}

#[test]
fn what_cannot_be_followed_passes_all_the_same_and_that_is_said_once() {
    let open = open_session();
    let noise = vec![0xee; 3000];
    let stray = Said::ByCoordinator(frame(&reply_to(&open).encode()));
    let cases: [Vec<Said>; 5] = [
        vec![Said::ByClient(frame(b"no message")), Said::ByCoordinator(noise.clone())],
        vec![Said::ByClient(vec![0; 4]), Said::ByCoordinator(noise.clone())],
        vec![Said::ByClient(noise.clone()), Said::ByCoordinator(noise.clone())],
        vec![stray, Said::ByClient(noise.clone())],
        [calls(), vec![Said::ByClient(noise.clone()), Said::ByCoordinator(noise)]].concat(),
    ];
    for said in cases {
        let router = converse(1, &said, 500);
        let words = "a Kerberos connection is not read any more, only passed on";
        let is_said = || router.logs().text().lines().filter(|line| line.contains(words)).count() == 1;
        assert!(eventually(is_said), "{}", router.logs().text());
    }
}

#[test]
fn a_connection_that_is_not_read_any_more_counts_as_one_session_and_its_handles_are_forgotten() {
    let (open, session) = (open_session(), handle([1; 16], [2; 16]));
    let run = execute(&session, "select 1");
    let script = Script::raw(move |stream, _| {
        let mut talk = Talk::over(stream, Framing::None);
        for answer in [
            None,
            Some((OK, b"AP-REP".to_vec())),
            Some((OK, wrapped(&[1, 0, 0, 0], 0))),
            Some((COMPLETE, vec![])),
        ] {
            let _heard = talk.sasl_message().unwrap();
            if let Some((status, payload)) = answer {
                talk.send(&negotiation(status, &payload));
            }
        }
        talk.frames();
        for _ in 0..2 {
            let call = talk.hear().unwrap();
            let reply = reply_to(&call);
            talk.say(&reply);
        }
        talk.rest();
    });
    let router = TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    client.send(&[negotiation(START, b"GSSAPI"), negotiation(OK, &ticket("ann"))].concat());
    client.sasl_message().unwrap();
    client.send(&negotiation(OK, b""));
    client.sasl_message().unwrap();
    client.send(&choice(1));
    assert_eq!(client.sasl_message().unwrap().0, COMPLETE);
    client.frames();
    client.call(&open);
    client.call(&run);
    let fleet = &router.router().fleets()[0];
    let coordinator = fleet.cluster.coordinators().iter().next().cloned().unwrap();
    let load = coordinator.load();
    assert_eq!((load.open_sessions, load.running_operations, coordinator.opaque_connections()), (1, 1, 0));
    client.send(&[0; 4]);
    assert!(eventually(|| coordinator.opaque_connections() == 1));
    let load = coordinator.load();
    assert_eq!((load.open_sessions, load.running_operations, coordinator.open_operations()), (1, 0, 0));
    assert_eq!((fleet.table.sessions(), fleet.table.operations()), (0, 0));
    client.finish();
    assert!(eventually(|| coordinator.is_empty()));
}
