//! A message may end elsewhere for its coordinator than for the router: a generated reader goes by its IDL
//! and not by the types that a container says its elements are of. A request of a known method that would is
//! refused; behind one of a method that is not known nobody else may use the link.

use std::net::SocketAddr;

use hs2router::ids::Service;

use super::lost::WAYS;
use super::support::message::{
    EXCEPTION, I32, LIST, MAP, Message, STRING, Value, execute, handle, of_handle, open_session,
};
use super::support::router::{SELDOM, TestRouter, eventually};
use super::support::script::{Act, Script};
use super::support::talk::Talk;

const BYTE: u8 = 3;

/// A router whose clients share their links, where its flavor lets them.
fn sharing(coordinator: SocketAddr) -> TestRouter {
    let port = coordinator.port();
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\nflavor = \"impala\"\n\
         {SELDOM}\ncoordinators = [{{ host = \"127.0.0.1\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}]\n"
    ))
}

fn links(router: &TestRouter) -> u32 {
    let known = &router.router().fleets()[0];
    known.room_of(&known.cluster.coordinators()[0], Service::Hs2).map_or(0, |(room, _)| room.links)
}

/// A container with one byte, or one empty string, of each of these types: less than a reader of strings
/// wants.
fn container(kinds: &[u8]) -> Value {
    let kind = if kinds.len() == 2 { MAP } else { LIST };
    let bytes = kinds.iter().map(|kind| if *kind == STRING { 4 } else { 1 }).sum();
    Value::Raw(kind, [kinds, &[0, 0, 0, 1], &vec![0; bytes]].concat())
}

/// A call of a method whose only argument is a struct with these fields.
fn request(method: &str, fields: Vec<(i16, Value)>) -> Message {
    Message::call(method, vec![(1, Value::Struct(fields))])
}

/// Requests that hold bytes where strings belong, with the names of the fields.
fn mistyped(session: &Value) -> Vec<(Message, &'static str)> {
    let (map, list) = (|| container(&[BYTE, BYTE]), || container(&[BYTE]));
    let (session, text) = (|| (1, session.clone()), |id| (id, Value::text("x")));
    vec![
        (request("OpenSession", vec![(1, Value::I32(5)), (4, map())]), "configuration"),
        (request("SetClientInfo", vec![session(), (2, map())]), "configuration"),
        (request("ExecuteStatement", vec![session(), text(2), (3, map())]), "confOverlay"),
        (
            request("ExecuteStatement", vec![session(), text(2), (3, container(&[STRING, BYTE]))]),
            "confOverlay",
        ),
        (request("GetTables", vec![session(), text(3), (5, list())]), "tableTypes"),
        (request("DownloadData", vec![session(), (5, map())]), "downloadOptions"),
    ]
}

#[test]
fn a_request_that_would_end_elsewhere_for_its_coordinator_does_not_reach_it() {
    for flavor in ["impala", "hive", "spark"] {
        let script = Script::sound();
        let router = TestRouter::of(flavor, &[script.address()]);
        for way in WAYS {
            let mut client = way(router.listener(0));
            let session = client.open();
            let before = script.got().len();
            for (message, field) in mistyped(&session) {
                let reply = client.call(&message);
                let (state, mut words) = reply.error();
                if reply.kind == EXCEPTION {
                    // Its response needs a handle that only a coordinator has.
                    assert_eq!(message.name, "DownloadData");
                    words = reply.text(&[1]);
                } else {
                    assert_eq!((reply.status(), state.as_str()), (Some(3), "HY000"), "{reply:?}");
                }
                assert!(words.contains(&format!("{}: {field} holds strings", message.name)), "{words}");
            }
            assert_eq!(script.got().len(), before, "it was sent");
            assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0), "it stays usable");
        }
    }
}

#[test]
fn a_beeswax_query_that_would_end_elsewhere_for_its_coordinator_does_not_reach_it() {
    let (script, other) = (Script::sound(), Script::sound());
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"beeswax\"\n[[cluster]]\nname = \"test\"\nflavor = \"impala\"\n\
         {SELDOM}\ncoordinators = [{{ host = \"127.0.0.1\", hs2 = {}, beeswax = {}, hs2_http = 0, web = 0 }}]\n",
        other.address().port(),
        script.address().port()
    ));
    let mut client = Talk::connect(router.listener(0));
    for method in ["query", "executeAndWait", "explain"] {
        let reply = client.call(&request(method, vec![(1, Value::text("x")), (3, container(&[BYTE]))]));
        let words = reply.text(&[1, 1]);
        assert!(words.contains(&format!("{method}: configuration holds strings")), "{reply:?}");
    }
    assert_eq!((script.got(), other.got()), (Vec::new(), Vec::new()));
}

#[test]
fn requests_that_would_end_elsewhere_take_no_links() {
    let script = Script::sound();
    let router = sharing(script.address());
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = Talk::connect(router.listener(0));
            let session = handle([1; 16], [2; 16]);
            client.say(&request("ExecuteStatement", vec![(1, session), (3, container(&[BYTE, BYTE]))]));
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.hear().unwrap().status(), Some(3));
    }
    assert_eq!((links(&router), script.accepted()), (0, 0));
}

/// An `ExecuteStatement` of a statement that is too long to be held, with bytes where strings belong before
/// it or behind it.
fn long(session: &Value, overlay_first: bool) -> Message {
    let (overlay, text) = ((3, container(&[BYTE, BYTE])), (2, Value::Bytes(vec![b' '; 1 << 20])));
    let rest = if overlay_first { [overlay, text] } else { [text, overlay] };
    request("ExecuteStatement", [(1, session.clone())].into_iter().chain(rest).collect())
}

#[test]
fn a_long_request_that_would_end_elsewhere_for_its_coordinator_is_answered_if_that_shows_in_time() {
    let script = Script::sound();
    let router = TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    assert_eq!(client.call(&long(&session, true)).status(), Some(3));
    assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
    assert_eq!((script.count("ExecuteStatement"), script.accepted()), (1, 1));
}

#[test]
fn a_long_request_that_turns_out_to_end_elsewhere_ends_its_connection_and_its_link() {
    let script = Script::sound();
    let router = TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    client.say(&long(&session, false));
    assert_eq!(client.rest(), b"");
    assert!(eventually(|| script.open() == 0));
    assert_eq!(script.count("ExecuteStatement"), 0, "its end came");
    router.await_metric("hs2router_connections_closed_total{cause=\"bad_thrift\"}", 1.0);
    let said = router.logs().text();
    assert!(said.contains("ExecuteStatement: confOverlay holds strings"), "{said}");
}

#[test]
fn a_field_that_the_idl_does_not_have_may_hold_anything_and_keeps_its_link() {
    // As in the definitions of servers that have added to HiveServer2's, whose drivers are used with others,
    // too.
    let numbers = Value::Raw(LIST, [&[I32, 0, 0, 0, 2][..], &[0; 8]].concat());
    for flavor in ["impala", "spark"] {
        let script = Script::sound();
        let router = TestRouter::of(flavor, &[script.address()]);
        let mut client = Talk::connect(router.listener(0));
        let opened = client.call(&request("OpenSession", vec![(1, Value::I32(5)), (1281, numbers.clone())]));
        let session = opened.handle(&[0, 3]);
        assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
        assert_eq!((script.accepted(), script.open()), (1, 1), "{flavor}: its link was closed");
    }
}

#[test]
fn a_method_that_is_not_known_leaves_the_session_that_ends_with_the_link() {
    for flavor in ["hive", "spark"] {
        let script = Script::sound();
        let router = TestRouter::of(flavor, &[script.address()]);
        for (number, way) in (1..).zip(WAYS) {
            let mut client = way(router.listener(0));
            let session = client.open();
            for _ in 0..2 {
                assert_eq!(client.call(&of_handle("GetFutureThing", &session)).kind, EXCEPTION);
            }
            assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
            assert_eq!(script.accepted(), number, "{flavor}: its link was closed");
            let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
            assert_eq!(coordinator.load().open_sessions, 1);
            client.call(&of_handle("CloseSession", &session));
        }
    }
}

#[test]
fn a_link_with_bytes_behind_its_reply_is_closed_all_the_same() {
    let script = Script::calls(|call| match call.message.name.as_str() {
        "GetFutureThing" => {
            let stray = open_session().done(vec![]).encode();
            Act::Bytes([call.message.done(vec![]).encode(), stray].concat())
        }
        _ => Act::Ordinary,
    });
    let router = TestRouter::of("spark", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    client.call(&of_handle("GetFutureThing", &session));
    assert!(eventually(|| script.open() == 0));
    client.open();
    assert_eq!(script.accepted(), 2);
}

#[test]
fn a_link_that_a_method_was_called_on_that_is_not_known_is_nobody_elses() {
    let script = Script::sound();
    let router = sharing(script.address());
    let mut attacker = Talk::connect(router.listener(0));
    let session = attacker.open();
    assert_eq!(links(&router), 1);
    attacker.call(&of_handle("GetFutureThing", &session));
    assert!(eventually(|| links(&router) == 0), "its link may serve somebody else");
    let mut victim = Talk::connect(router.listener(0));
    let own = victim.open();
    assert_eq!(victim.call(&execute(&own, "select 3")).status(), Some(0));
    assert_eq!(script.accepted(), 2);
}

#[test]
fn a_call_that_its_coordinator_finds_unfinished_holds_no_thread_when_its_client_has_left() {
    let script = Script::calls(|call| match call.message.name.as_str() {
        "GetFutureThing" => Act::Silence,
        _ => Act::Ordinary,
    });
    let router = sharing(script.address());
    let mut attacker = Talk::connect(router.listener(0));
    let session = attacker.open();
    attacker.say(&of_handle("GetFutureThing", &session));
    assert!(eventually(|| script.count("GetFutureThing") == 1));
    attacker.reset();
    assert!(eventually(|| links(&router) == 0));
    assert!(eventually(|| script.open() == 0));
}
