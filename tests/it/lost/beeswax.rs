//! The same for Beeswax, where the connection is the session and an error is an exception.

use std::net::SocketAddr;

use super::closes_on;
use crate::support::message::{EXCEPTION, Message, REPLY, Value, of_query, query};
use crate::support::ports::closed_port;
use crate::support::router::{SELDOM, TestRouter};
use crate::support::script::Script;
use crate::support::talk::Talk;

/// A router in front of the Beeswax ports of these.
fn router(coordinators: &[SocketAddr]) -> TestRouter {
    let one = |at: &SocketAddr| {
        let (port, hs2) = (at.port(), closed_port().port());
        format!(
            "{{ name = \"p{port}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = {port}, hs2_http = 0, web = 0 }}"
        )
    };
    let coordinators: Vec<String> = coordinators.iter().map(one).collect();
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"beeswax\"\n[[cluster]]\n{SELDOM}\ncoordinators = [{}]\n",
        coordinators.join(", ")
    ))
}

/// SQLSTATE and words of a `BeeswaxException` in this field of the result.
fn thrown(reply: &Message, field: i16) -> (String, String) {
    assert_eq!(reply.kind, REPLY, "{reply:?}");
    (reply.text(&[field, 5]), reply.text(&[field, 1]))
}

fn id_of(reply: &Message) -> String {
    let id = reply.text(&[0, 1]);
    assert!(!id.is_empty(), "{reply:?}");
    id
}

#[test]
fn the_first_call_of_a_connection_finds_a_coordinator_that_lives() {
    let (dead, good) = (closed_port(), Script::sound());
    let router = router(&[dead, good.address()]);
    for _ in 0..4 {
        id_of(&Talk::connect(router.listener(0)).call(&query("select 1")));
    }
    assert_eq!((good.count("query"), good.accepted()), (4, 4));
}

#[test]
fn when_none_can_be_reached_a_call_ends_in_the_exception_that_it_declares() {
    let router = router(&[closed_port(), closed_port()]);
    let mut client = Talk::connect(router.listener(0));
    for _ in 0..2 {
        let (sql_state, words) = thrown(&client.call(&query("select 1")), 1);
        assert_eq!(sql_state, "08001");
        assert!(words.starts_with("hs2router (") && words.contains("connection refused"), "{words}");
        let (sql_state, _) = thrown(&client.call(&of_query("fetch", "a:b")), 2);
        assert_eq!(sql_state, "08001");
        let reply = client.call(&Message::call("PingImpalaService", vec![]));
        assert_eq!((reply.kind, reply.body.at(&[2])), (EXCEPTION, Some(&Value::I32(6))));
        assert!(reply.text(&[1]).contains("connection refused"), "{reply:?}");
    }
}

#[test]
fn what_is_lost_twice_is_told_in_the_methods_own_form() {
    for (method, field) in [("get_log", None), ("close", Some(2)), ("get_state", None), ("Cancel", Some(1))] {
        let script = closes_on(method, usize::MAX);
        let router = router(&[script.address()]);
        let mut client = Talk::connect(router.listener(0));
        let id = id_of(&client.call(&query("select 1")));
        let call = match method {
            "get_log" => Message::call(method, vec![(1, Value::text(&id))]),
            _ => of_query(method, &id),
        };
        let reply = client.call(&call);
        match field {
            Some(field) => assert_eq!(thrown(&reply, field).0, "08S01", "{method}"),
            None => {
                assert_eq!((reply.kind, reply.body.at(&[2])), (EXCEPTION, Some(&Value::I32(6))), "{method}");
            }
        }
        assert_eq!(script.count(method), 2, "{method}");
        id_of(&client.call(&query("select 1")));
    }
}

#[test]
fn a_coordinator_that_is_gone_is_told_once_and_then_another_is_found() {
    let scripts = [Script::sound(), Script::sound()];
    let router = router(&[scripts[0].address(), scripts[1].address()]);
    let mut client = Talk::connect(router.listener(0));
    id_of(&client.call(&query("select 1")));
    let [one, other] = scripts;
    let (dying, staying) = if one.count("query") == 1 { (one, other) } else { (other, one) };
    drop(dying);
    let (sql_state, words) = thrown(&client.call(&query("select 2")), 1);
    assert_eq!(sql_state, "08001");
    assert!(words.contains("cannot be reached: connection refused"), "{words}");
    id_of(&client.call(&query("select 3")));
    assert_eq!(staying.count("query"), 1);
}
