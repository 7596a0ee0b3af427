//! Operators see every coordinator, and drain and resume one, over the admin port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::fleet::Fleet;
use crate::support::router::TestRouter;

mod cut;
mod drain;
mod lists;
mod orders;
mod pause;
mod score;
mod slow;
mod tls;

/// Status and body of a request with these further lines in its head.
fn ask(router: &TestRouter, request: &str, lines: &str) -> (u16, String) {
    ask_at(router.router().admin(), request, lines)
}

/// The same of an admin port.
pub(crate) fn ask_at(address: SocketAddr, request: &str, lines: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn coordinators(router: &TestRouter) -> Vec<Value> {
    let (status, body) = ask(router, "GET /api/v1/coordinators", "");
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

pub(crate) const ALLOWED: &str = "X-Hs2router: 1\r\n";

#[test]
fn every_coordinator_is_shown_with_what_it_does() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let owner = fleet.owner(&session);
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    let shown = coordinators(fleet.router());
    assert_eq!(shown.len(), 2);
    let busy = &shown[owner];
    assert_eq!(
        (&busy["cluster"], &busy["state"], &busy["weight"]),
        (&"test".into(), &"active".into(), &1.into())
    );
    for (key, value) in [("sessions", 1), ("running", 1), ("open_operations", 1)] {
        assert_eq!(busy[key], value, "{key}: {busy}");
        assert_eq!(shown[1 - owner][key], 0, "{key}");
    }
    assert_eq!(
        (&busy["ports"][0]["service"], &busy["ports"][0]["health"]),
        (&"hs2".into(), &"healthy".into())
    );
}

#[test]
fn a_coordinator_is_drained_and_resumed() {
    let fleet = Fleet::of(2);
    let (status, body) = ask(fleet.router(), "POST /api/v1/coordinators/test/c1/drain", ALLOWED);
    assert_eq!(status, 200, "{body}");
    assert_eq!(coordinators(fleet.router())[0]["state"], "drain");
    let mut client = fleet.hs2();
    for _ in 0..4 {
        let session = client.open(&[]).unwrap();
        assert_eq!(fleet.owner(&session), 1);
    }
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/test/c1/resume", ALLOWED).0, 200);
    let session = client.open(&[]).unwrap();
    assert_eq!(fleet.owner(&session), 0);
}

#[test]
fn a_drain_shows_whom_it_waits_for() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    assert_eq!(coordinators(fleet.router())[0]["waits_for"], Value::Array(Vec::new()), "nobody drains it");
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/test/c1/drain", ALLOWED).0, 200);
    let waits_for = &coordinators(fleet.router())[0]["waits_for"];
    assert_eq!((&waits_for[0]["open_operations"], &waits_for[1]), (&1.into(), &Value::Null));
    assert_eq!(waits_for[0]["pinned"], "an operation is open");
}

#[test]
fn what_a_foreign_page_could_send_changes_nothing() {
    let fleet = Fleet::of(1);
    let drain = "POST /api/v1/coordinators/test/c1/drain";
    let foreign = format!("{ALLOWED}Origin: http://evil.example\r\n");
    for lines in ["", &foreign] {
        let (status, text) = ask(fleet.router(), drain, lines);
        assert_eq!(status, 403);
        assert!(text.contains("header"), "it says why: {text}");
    }
    assert_eq!(ask(fleet.router(), "GET /api/v1/coordinators/test/c1/drain", ALLOWED).0, 405);
    assert_eq!(coordinators(fleet.router())[0]["state"], "active");
}

#[test]
fn the_cluster_may_be_left_out_where_it_is_clear_which_is_meant() {
    let coordinators_of = |names: &[&str]| {
        let one = |name| format!("{{ name = \"{name}\", host = \"{name}.invalid\", web = 0 }}");
        names.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\ncluster = \"one\"\n\
         [[cluster]]\nname = \"one\"\ncoordinators = [{}]\n\
         [[cluster]]\nname = \"two\"\ncoordinators = [{}]\n",
        coordinators_of(&["a", "b"]),
        coordinators_of(&["b", "c"]),
    ));
    let wanted = || coordinators(&router).iter().map(|one| one["state"].clone()).collect::<Vec<_>>();
    let post = |path: &str| ask(&router, &format!("POST /api/v1/coordinators/{path}"), ALLOWED);
    assert_eq!(post("c/drain?deadline=1h").0, 200);
    assert_eq!(wanted(), ["active", "active", "active", "drain"]);
    let (status, text) = post("b/drain");
    assert_eq!((status, text.contains("several clusters")), (409, true));
    assert_eq!(post("two/b/drain").0, 200);
    assert_eq!(post("c/resume").0, 200);
    assert_eq!(wanted(), ["active", "active", "drain", "active"]);
    assert_eq!(post("one/drain").0, 404, "that is a cluster");
    assert_eq!(ask(&router, "POST /api/v1/coordinators/a/drain", "").0, 403);
}

#[test]
fn a_coordinator_that_is_not_there_is_not_drained() {
    let fleet = Fleet::of(1);
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/test/c9/drain", ALLOWED).0, 404);
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/other/c1/drain", ALLOWED).0, 404);
    assert_eq!(coordinators(fleet.router())[0]["state"], "active");
}
