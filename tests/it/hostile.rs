//! Bad input costs the connection it came on and nothing else: it is counted, logged once with its cause, and
//! every other session goes on.

mod coordinators;
mod forgotten;
mod memory;
mod pipelining;
mod replies;
pub(crate) mod secrets;

use std::net::SocketAddr;

use hs2router::fake::sasl::{BAD, COMPLETE, ERROR, OK, START, frame, length, negotiation};

use crate::support::message::{
    LIST, MAP, Message, ONEWAY, STRING, STRUCT, Value, execute, of_handle, open_session,
};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

/// A router that loses patience soon.
const HASTY: &str = "stall_timeout = \"300ms\"\n";

/// A router with two coordinators, and a client in the middle of a session.
struct Scene {
    router: TestRouter,
    coordinators: [Script; 2],
    bystander: Talk,
    session: Value,
}

impl Scene {
    fn new(keys: &str) -> Self {
        Self::with(keys, [Script::sound(), Script::sound()])
    }

    fn with(keys: &str, coordinators: [Script; 2]) -> Self {
        let addresses = [coordinators[0].address(), coordinators[1].address()];
        let router = TestRouter::with("impala", &addresses, keys);
        let mut bystander = Talk::connect(router.listener(0));
        let session = bystander.open();
        Self { router, coordinators, bystander, session }
    }

    fn listener(&self) -> SocketAddr {
        self.router.listener(0)
    }

    /// The client in the middle of its session goes on, and others can come.
    fn others_are_unharmed(&mut self) {
        let reply = self.bystander.call(&execute(&self.session, "select 1"));
        assert_eq!(reply.status(), Some(0));
        let mut newcomer = Talk::connect(self.listener());
        let session = newcomer.open();
        assert_eq!(newcomer.call(&of_handle("CloseSession", &session)).status(), Some(0));
    }

    /// A connection of this client has ended: it was counted once, under this cause, and logged once, with
    /// these words.
    fn ended(&mut self, client: SocketAddr, cause: &str, words: &str) {
        let series = format!("hs2router_connections_closed_total{{cause=\"{cause}\"}}");
        self.router.await_metric(&series, 1.0);
        assert!(eventually(|| !self.router.logs().warnings(client).is_empty()), "nothing was logged");
        let warnings = self.router.logs().warnings(client);
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{words:?} is not {warnings:?}");
        self.others_are_unharmed();
    }

    /// Calls of a method that any coordinator got.
    fn count(&self, method: &str) -> usize {
        self.coordinators.iter().map(|coordinator| coordinator.count(method)).sum()
    }
}

/// A client that says this, and waits for the end of its connection, fares so.
#[track_caller]
fn costs_its_connection(mut client: Talk, scene: &mut Scene, said: &[u8], cause: &str, words: &str) {
    let address = client.address();
    client.send(said);
    let heard = client.rest();
    assert!(heard.is_empty(), "it was told {heard:?}");
    scene.ended(address, cause, words);
}

/// Said by a client without SASL.
#[track_caller]
fn unframed(said: &[u8], cause: &str, words: &str) {
    let mut scene = Scene::new(HASTY);
    costs_its_connection(Talk::connect(scene.listener()), &mut scene, said, cause, words);
    let calls = scene.count("ExecuteStatement");
    assert_eq!(calls, 1, "something of it was passed on");
}

/// Said by a client that was authenticated.
#[track_caller]
fn authenticated(said: &[u8], cause: &str, words: &str) {
    let mut scene = Scene::new(HASTY);
    costs_its_connection(Talk::connect_sasl(scene.listener()), &mut scene, said, cause, words);
}

/// Said by a client with `TFramedTransport` that did well before.
#[track_caller]
fn framed(said: &[u8], cause: &str, words: &str) {
    let mut scene = Scene::new(HASTY);
    let mut client = Talk::connect_framed(scene.listener());
    client.open();
    costs_its_connection(client, &mut scene, said, cause, words);
}

/// A statement whose confOverlay, or another field that the router does not know, is this.
fn with_field(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let request = vec![(77, Value::Raw(kind, bytes.to_vec()))];
    Message::call("ExecuteStatement", vec![(1, Value::Struct(request))]).encode()
}

const TWO_GIB: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
const NEGATIVE: [u8; 4] = [0xff, 0xff, 0xff, 0xfe];

#[test]
fn a_string_of_two_gigabytes_or_of_negative_length_costs_its_connection() {
    unframed(&with_field(STRING, &TWO_GIB), "bad_thrift", "a message of more than");
    unframed(&with_field(STRING, &NEGATIVE), "bad_thrift", "a negative length: -2");
    authenticated(&frame(&with_field(STRING, &NEGATIVE)), "bad_thrift", "a negative length: -2");
}

#[test]
fn a_list_of_two_billion_or_of_a_negative_count_costs_its_connection() {
    for kind in [STRING, STRUCT, 8] {
        let of = |count: [u8; 4]| with_field(LIST, &[&[kind], count.as_slice()].concat());
        unframed(&of(TWO_GIB), "bad_thrift", "a message of more than");
        unframed(&of(NEGATIVE), "bad_thrift", "a negative length: -2");
    }
    let inner = [&[STRING], length(2).as_slice(), &length(1), b"a", &NEGATIVE].concat();
    unframed(&with_field(LIST, &inner), "bad_thrift", "a negative length: -2");
}

#[test]
fn a_map_of_two_billion_or_of_a_negative_count_costs_its_connection() {
    for kinds in [[STRING, STRING], [STRUCT, 8], [3, 3]] {
        let of = |count: [u8; 4]| with_field(MAP, &[kinds.as_slice(), &count].concat());
        unframed(&of(TWO_GIB), "bad_thrift", "a message of more than");
        unframed(&of(NEGATIVE), "bad_thrift", "a negative length: -2");
    }
}

#[test]
fn nesting_ten_thousand_deep_costs_its_connection() {
    let structs = [STRUCT, 0, 1].repeat(10_000);
    unframed(&with_field(STRUCT, &structs), "bad_thrift", "levels of nesting");
    let lists = [LIST, 0, 0, 0, 1].repeat(10_000);
    unframed(&with_field(LIST, &lists), "bad_thrift", "levels of nesting");
    let maps = [MAP, MAP, 0, 0, 0, 1].repeat(10_000);
    unframed(&with_field(MAP, &maps), "bad_thrift", "levels of nesting");
}

#[test]
fn a_method_name_of_a_megabyte_or_none_costs_its_connection() {
    let long = Message::call(&"x".repeat(1 << 20), vec![]).encode();
    unframed(&long, "bad_thrift", "a method name of 1048576 bytes");
    unframed(b"\x80\x01\0\x01\x7f\xff\xff\xff", "bad_thrift", "a method name of 2147483647 bytes");
    authenticated(
        &frame(b"\x80\x01\0\x01\xff\xff\xff\xff"),
        "bad_thrift",
        "a method name of 4294967295 bytes",
    );
    framed(&frame(&Message::call("", vec![]).encode()), "bad_thrift", "a method name of 0 bytes");
}

#[test]
fn two_session_handles_in_one_request_cost_its_connection() {
    let mut scene = Scene::new(HASTY);
    let session = scene.session.clone();
    let request = vec![(1, session.clone()), (2, Value::text("select 2")), (1, session)];
    let call = Message::call("ExecuteStatement", vec![(1, Value::Struct(request))]).encode();
    let client = Talk::connect(scene.listener());
    costs_its_connection(client, &mut scene, &call, "bad_thrift", "field 1 stands twice");
    let (first, other) = ([1; 16], [2; 16]);
    let id = [first, first, other].map(|part| (1, Value::Bytes(part.to_vec())));
    let session = Value::Struct(vec![(1, Value::Struct(id.to_vec()))]);
    unframed(&of_handle("CloseSession", &session).encode(), "bad_thrift", "field 1 stands twice");
}

#[test]
fn an_unknown_type_byte_costs_its_connection() {
    unframed(&with_field(99, b"\0\0\0\0"), "bad_thrift", "unknown type byte 99");
}

#[test]
fn a_call_without_an_answer_and_a_reply_in_place_of_a_call_cost_their_connections() {
    let oneway = Message { kind: ONEWAY, ..open_session() }.encode();
    unframed(&oneway, "bad_thrift", "message type 4 where a call belongs");
    let reply = Message { kind: 2, ..open_session() }.encode();
    unframed(&reply, "bad_thrift", "message type 2 where a call belongs");
}

#[test]
fn an_old_style_message_on_a_connection_that_is_understood_costs_it() {
    let mut scene = Scene::new(HASTY);
    let mut client = Talk::connect(scene.listener());
    client.open();
    let old = b"\0\0\0\x0bOpenSession\x01\0\0\0\0\0";
    costs_its_connection(client, &mut scene, old, "bad_thrift", "no strict Thrift message");
}

#[test]
fn frames_of_impossible_length_cost_their_connections() {
    for (header, words) in [
        (length(0), "frame of zero length"),
        (TWO_GIB, "frame of 2147483647 bytes exceeds"),
        (NEGATIVE, "frame of negative length -2"),
    ] {
        framed(&header, "bad_frame", words);
        authenticated(&header, "bad_frame", words);
    }
}

#[test]
fn two_messages_in_one_frame_cost_their_connection() {
    let two = frame(&[open_session().encode(), open_session().encode()].concat());
    framed(&two, "bad_frame", "bytes after the message inside a frame");
    authenticated(&two, "bad_frame", "bytes after the message inside a frame");
}

#[test]
fn half_a_message_and_then_silence_costs_its_connection() {
    let call = open_session().encode();
    for end in [13, call.len() - 1] {
        unframed(&call[..end], "client_stalled", "no byte sent within stall_timeout");
    }
    authenticated(&frame(&call)[..2], "client_stalled", "no byte sent within stall_timeout");
    framed(&frame(&call)[..20], "client_stalled", "no byte sent within stall_timeout");
}

#[test]
fn half_a_message_and_then_a_fin_costs_its_connection() {
    let call = open_session().encode();
    for (said, inside) in [
        (&call[..20], "in the middle of a request"),
        (b"\x01\0\0\0\x05PLAIN\x02\0\0\0\x09\0u", "in the middle of a handshake"),
    ] {
        let mut scene = Scene::new(HASTY);
        let client = Talk::connect(scene.listener());
        let mut saying = Talk::over(client.stream.try_clone().unwrap(), client.framing());
        saying.send(said);
        saying.finish();
        costs_its_connection(client, &mut scene, b"", "client_reset", inside);
    }
}

/// A client that shakes hands like this is told so, and its connection ends.
#[track_caller]
fn handshake(said: &[u8], status: u8, words: &str) {
    let mut scene = Scene::new(HASTY);
    let mut client = Talk::connect(scene.listener());
    let address = client.address();
    client.send(said);
    let (told, text) = client.sasl_message().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(told, status, "{text}");
    assert!(text.starts_with("hs2router (") && text.contains(words), "{text}");
    assert_eq!(client.rest(), b"");
    scene.ended(address, "bad_sasl", words);
    let credentials: usize = scene.coordinators.iter().map(Script::credentials).sum();
    assert_eq!(credentials, 0, "a coordinator was asked");
}

#[test]
fn a_broken_handshake_is_answered_and_costs_its_connection() {
    let start = negotiation(START, b"PLAIN");
    let after = |response: &[u8]| [&start, response].concat();
    handshake(&after(&[&[OK], TWO_GIB.as_slice()].concat()), ERROR, "SASL message of 2147483647 bytes");
    handshake(&after(&[&[OK], NEGATIVE.as_slice()].concat()), ERROR, "SASL message of 4294967294 bytes");
    handshake(&after(b"\x09\0\0\0\0"), ERROR, "SASL status 9 does not exist");
    handshake(&after(&negotiation(START, b"PLAIN")), ERROR, "SASL status Start out of place");
    handshake(&after(&negotiation(OK, b"u1")), BAD, "malformed SASL PLAIN credentials");
    handshake(&after(&negotiation(OK, b"\0u1\0p\0q")), BAD, "malformed SASL PLAIN credentials");
    handshake(&after(&negotiation(OK, b"\0\0p1")), BAD, "credentials without a user name");
}

#[test]
fn an_authorization_id_other_than_the_user_name_is_refused() {
    let said = [negotiation(START, b"PLAIN"), negotiation(OK, b"admin\0u1\0p1")].concat();
    handshake(&said, BAD, "authorization id differs from the user name");
}

#[test]
fn an_authorization_id_that_is_the_user_name_is_accepted() {
    let scene = Scene::new("");
    let mut client = Talk::connect(scene.listener());
    client.send(&[negotiation(START, b"PLAIN"), negotiation(COMPLETE, b"u1\0u1\0p1")].concat());
    assert_eq!(client.sasl_message().unwrap(), (COMPLETE, Vec::new()));
}

#[test]
fn half_a_handshake_and_then_silence_costs_its_connection() {
    for said in [negotiation(START, b"PLAIN"), b"\x01\0\0\0\x05PLAIN\x02\0\0\0\x09\0u".to_vec()] {
        let mut scene = Scene::new("handshake_timeout = \"300ms\"");
        let client = Talk::connect(scene.listener());
        let words = "did not finish its handshake within handshake_timeout";
        costs_its_connection(client, &mut scene, &said, "handshake_timed_out", words);
    }
}

#[test]
fn a_statement_that_is_not_sent_to_its_end_never_reaches_a_coordinator() {
    let mut scene = Scene::new(HASTY);
    let call = execute(&scene.session, &"x".repeat(100_000)).encode();
    let client = Talk::connect(scene.listener());
    costs_its_connection(client, &mut scene, &call[..call.len() - 1], "client_stalled", "no byte sent");
    assert_eq!(scene.count("ExecuteStatement"), 1, "the bystander's only");
}
