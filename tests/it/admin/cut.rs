//! Operators see the clients' connections, and end one at once, whatever it waits for.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use hs2router::cluster::Load;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::sasl::{OK, START, negotiation, plain};
use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::ids::Depth;
use serde_json::Value;

use super::{ALLOWED, ask, coordinators};
use crate::support::clients::{self, Cursors, Login as ClientLogin};
use crate::support::crowded::Crowded;
use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::message::{Value as Field, handle, of_handle, open_session};
use crate::support::ports::Hanging;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Call, Script};
use crate::support::talk::Talk;
use crate::support::tools::{self, Tool};

const CUT: &str = "hs2router_connections_closed_total{cause=\"cut\"}";

/// The connections that match.
fn listed(router: &TestRouter, filter: &str) -> Vec<Value> {
    let (status, said) = ask(router, &format!("GET /api/v1/connections?filter={filter}"), "");
    assert_eq!(status, 200, "{said}");
    serde_json::from_str::<Value>(&said).unwrap()["connections"].as_array().unwrap().clone()
}

/// The connection that comes from this address.
#[track_caller]
fn row_of(router: &TestRouter, client: SocketAddr) -> Value {
    let mut rows = Vec::new();
    // It is accepted in its time.
    assert!(eventually(|| {
        rows = listed(router, &client.to_string());
        rows.len() == 1
    }));
    rows.remove(0)
}

fn order(router: &TestRouter, connection: &str) -> (u16, String) {
    let (status, said) = ask(router, &format!("POST /api/v1/connections/{connection}/cut"), ALLOWED);
    (status, said.trim_end().to_owned())
}

/// Cuts a connection, which is gone when the answer comes; the answer.
#[track_caller]
fn cut_row(router: &TestRouter, row: &Value) -> Value {
    let before = router.metric(CUT);
    let connection = row["connection"].as_str().unwrap();
    let (status, said) = order(router, connection);
    assert_eq!(status, 200, "{said}");
    router.await_metric(CUT, before + 1.0);
    assert!(listed(router, connection).iter().all(|other| other["connection"] != row["connection"]));
    let done: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&done["outcome"], &done["connection"]), (&"cut".into(), &row["connection"]), "{done}");
    done
}

#[track_caller]
fn cut(router: &TestRouter, client: &TcpStream) -> Value {
    cut_row(router, &row_of(router, client.local_addr().unwrap()))
}

/// Cuts a client that sees its connection end, with nothing more on it.
#[track_caller]
fn cut_and_see(router: &TestRouter, client: &mut Talk) -> Value {
    let done = cut(router, &client.stream);
    assert_eq!(client.rest(), b"");
    done
}

/// A router in front of this coordinator, whose links nobody shares.
fn router_of(script: &Script) -> TestRouter {
    TestRouter::of("impala", &[script.address()])
}

/// Nothing is counted for whoever was cut.
#[track_caller]
fn assert_no_load(router: &TestRouter) {
    let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
    assert!(eventually(|| coordinator.load() == Load::default()), "{:?}", coordinator.load());
}

#[test]
fn a_connection_is_listed_with_what_is_known_of_it_until_it_ends() {
    let fleet = Fleet::with(Plan { users: &USERS, http: true, ..Plan::default() });
    let (mut binary, mut http) =
        (fleet.hs2(), Hs2Client::connect(fleet.address(Door::Http), &Login::basic("ann", "nna")).unwrap());
    binary.open(&[]).unwrap();
    http.open(&[]).unwrap();
    for (client, door, user, transport) in
        [(&binary, Door::Hs2, Value::from("ann"), "sasl"), (&http, Door::Http, Value::Null, "http")]
    {
        let row = row_of(fleet.router(), client.stream().local_addr().unwrap());
        for (field, value) in [
            ("listener", Value::from(fleet.address(door).to_string())),
            ("cluster", "test".into()),
            ("user", user),
            ("acts_as", Value::Null),
            ("via", Value::Null),
            ("depth", Depth::Route.as_str().into()),
            ("transport", transport.into()),
            ("tls", "clear".into()),
            ("coordinator", Value::Null),
        ] {
            assert_eq!(row[field], value, "{field}: {row}");
        }
        assert!(row["age"].as_f64().unwrap() > 0.0, "{row}");
    }
    let rows = listed(fleet.router(), "test");
    assert_eq!(
        rows.iter().map(|row| &row["connection"]).collect::<Vec<_>>(),
        ["c1", "c2"],
        "the oldest is first"
    );
    assert_eq!(listed(fleet.router(), "ANN+sasl").len(), 1);
    drop((binary, http));
    assert!(eventually(|| listed(fleet.router(), "").is_empty()));
}

#[test]
fn a_cut_ends_one_connection_and_its_sessions_are_used_from_the_next() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { users, ..Plan::default() });
        let (mut client, mut other) = (fleet.hs2(), fleet.hs2());
        let (session, kept) = (client.open(&[]).unwrap(), other.open(&[]).unwrap());
        let operation = client.execute(&session, "select * from rows(3)").unwrap();
        let row = row_of(fleet.router(), client.stream().local_addr().unwrap());
        let done = cut(fleet.router(), client.stream());
        for field in ["client", "user", "cluster", "listener", "depth"] {
            assert_eq!(done[field], row[field], "{field}: {done}");
        }
        assert!(client.ping(&session).is_err());
        other.ping(&kept).unwrap();
        let (status, said) = order(fleet.router(), row["connection"].as_str().unwrap());
        assert_eq!(
            (status, said.as_str()),
            (404, "there is no such connection; hs2router connections lists them")
        );
        let mut again = fleet.hs2();
        assert!(again.fetch(&operation, 10).unwrap().0.is_some());
        again.close_session(&session).unwrap();
    }
}

#[test]
fn what_is_no_connection_is_not_cut() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    for name in ["c0", "c2", "1", "C1", "c01", "c+1", "c1x", "c%31%20"] {
        assert_eq!(order(fleet.router(), name).0, 404, "{name}");
    }
    client.ping(&session).unwrap();
    let events = ask(fleet.router(), "GET /api/v1/events?filter=operator+cut+named%3Dc01", "").1;
    let events: Value = serde_json::from_str(&events).unwrap();
    assert_eq!(events["matching"], 1, "{events}");
}

#[test]
fn a_cut_is_an_event_that_names_the_connection() {
    let fleet = Fleet::of(1);
    let client = fleet.hs2();
    let row = row_of(fleet.router(), client.stream().local_addr().unwrap());
    cut_row(fleet.router(), &row);
    let events = ask(fleet.router(), "GET /api/v1/events?filter=operator", "").1;
    let event = &serde_json::from_str::<Value>(&events).unwrap()["events"][0];
    assert_eq!(event["event"], "asked by an operator");
    let of = |name: &str| {
        let fields = event["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("{event}"))["value"]
            .clone()
    };
    assert_eq!(
        (of("verb"), of("connection"), of("cluster")),
        ("cut".into(), row["connection"].clone(), "test".into())
    );
    assert_eq!(of("outcome"), "done");
}

#[test]
fn who_has_not_said_anything_whole_yet_is_cut() {
    let router = router_of(&Script::sound());
    for begun in [
        &b""[..],
        b"\x80\x01\x00",
        &negotiation(START, b"PLAIN"),
        b"\x80\x01\x00\x01\x00\x00\x00\x0bOpenSess",
    ] {
        let mut client = Talk::connect(router.listener(0));
        client.send(begun);
        cut_and_see(&router, &mut client);
    }
    assert_no_load(&router);
}

#[test]
fn who_waits_for_the_verdict_on_a_password_is_cut() {
    let script = Script::logins(|_| Act::Silence);
    let router = router_of(&script);
    let mut client = Talk::connect(router.listener(0));
    client.send(&[negotiation(START, b"PLAIN"), negotiation(OK, b"\0ann\0nna")].concat());
    assert!(eventually(|| script.credentials() == 1));
    let done = cut_and_see(&router, &mut client);
    assert_eq!((&done["user"], &done["depth"]), (&"ann".into(), &Value::Null), "{done}");
    assert_no_load(&router);
    assert!(eventually(|| script.open() == 0), "its link is left");
}

#[test]
fn who_waits_for_a_dial_is_cut() {
    for request in [open_session().encode(), plain("u1", b"p1")] {
        let hanging = Hanging::new();
        let router = TestRouter::with("impala", &[hanging.address()], "connect_timeout = \"1h\"");
        let mut client = Talk::connect(router.listener(0));
        client.send(&request);
        let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
        assert!(eventually(|| coordinator.load().opens_in_progress == 1), "it was not dialed");
        cut_and_see(&router, &mut client);
        assert_no_load(&router);
    }
}

#[test]
fn who_waits_for_room_is_cut_and_leaves_its_place() {
    let crowded = Crowded::start();
    let router = crowded.fleet.router();
    // The first one has the thread.
    let waits = listed(router, "").pop().unwrap();
    cut_row(router, &waits);
    assert_eq!(crowded.fleet.known().queue.waiting.get(), 0);
}

#[test]
fn who_waits_in_a_pause_is_cut_and_leaves_its_place() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { users, ..Plan::default() });
        let router = fleet.router();
        assert_eq!(ask(router, "POST /api/v1/clusters/test/pause", ALLOWED).0, 200);
        let clusters = || serde_json::from_str::<Value>(&ask(router, "GET /api/v1/clusters", "").1).unwrap();
        let mut client = Talk::connect(fleet.address(Door::Hs2));
        client.send(&if users.is_empty() { open_session().encode() } else { plain("u1", b"p1") });
        assert!(eventually(|| clusters()[0]["waiting"] == 1));
        cut_and_see(router, &mut client);
        assert_eq!(clusters()[0]["waiting"], 0);
        assert_eq!(ask(router, "POST /api/v1/clusters/test/resume", ALLOWED).0, 200);
        assert_eq!(fleet.calls("OpenSession").len(), 0, "nothing is begun for it");
        fleet.await_idle();
    }
}

#[test]
fn who_is_in_the_middle_of_a_large_fetch_is_cut_and_its_link_serves_nobody_else() {
    let script = Script::endless();
    let router = router_of(&script);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    client.say(&of_handle("FetchResults", &session));
    assert!(eventually(|| script.count("FetchResults") == 1));
    // Bytes of the reply are there, and it takes no more of them.
    client.stream.peek(&mut [0]).unwrap();
    cut(&router, &client.stream);
    assert!(!client.rest().is_empty(), "what was sent before arrives");
    assert!(eventually(|| script.open() == 0), "its link is left");
}

#[test]
fn a_session_is_closed_whose_open_was_under_way_at_a_cut() {
    let (go, told) = channel::<()>();
    let told = Mutex::new(told);
    let script = Script::calls(move |call: &Call| {
        if call.message.name != "OpenSession" {
            return Act::Ordinary;
        }
        told.lock().unwrap().recv().unwrap();
        let session = handle(*b"guid-of-the-late", *b"secret-of-a-sess");
        Act::Reply(call.message.done(vec![(2, Field::I32(5)), (3, session)]))
    });
    let router = router_of(&script);
    let mut client = Talk::connect(router.listener(0));
    client.say(&open_session());
    assert!(eventually(|| script.count("OpenSession") == 1));
    cut_and_see(&router, &mut client);
    go.send(()).unwrap();
    router
        .await_metric("hs2router_sessions_total{cluster=\"test\",coordinator=\"c1\",outcome=\"late\"}", 1.0);
    assert_eq!(script.count("CloseSession"), 1);
}

/// The shared links to the only coordinator: how many are open, and how many of these no call uses.
fn links(fleet: &Fleet) -> [u64; 2] {
    let shown = coordinators(fleet.router());
    let ports = shown[0]["ports"].as_array().unwrap();
    let hs2 = ports.iter().find(|port| port["service"] == "hs2").unwrap();
    ["open", "idle"].map(|name| hs2["links"][name].as_u64().unwrap())
}

#[test]
fn the_link_of_a_call_under_way_is_kept_as_when_its_client_vanishes() {
    for is_cut in [false, true] {
        let settings = Settings { fetch_timeout: Duration::from_millis(500), ..Settings::default() };
        let fleet = Fleet::with(Plan { coordinators: 1, users: &USERS, settings, ..Plan::default() });
        let (mut client, mut other) = (fleet.hs2(), fleet.hs2());
        let session = client.open(&[]).unwrap();
        let operation = client.execute(&session, "select sleep(600000)").unwrap();
        assert_eq!(links(&fleet), [2, 2]);
        if is_cut {
            let (socket, fetched) = (client.stream().try_clone().unwrap(), operation.clone());
            let waiting = thread::spawn(move || client.fetch(&fetched, 1).map(drop));
            assert!(eventually(|| !fleet.calls("FetchResults").is_empty()));
            cut(fleet.router(), &socket);
            assert!(waiting.join().unwrap().is_err());
        } else {
            fleet.reset_during_fetch(client, operation.clone());
        }
        // The coordinator still has the call.
        assert_eq!(links(&fleet), [2, 1]);
        assert!(eventually(|| links(&fleet) == [2, 2]), "{:?}", links(&fleet));
        // Nobody gets what was meant for somebody else.
        for _ in 0..3 {
            assert_eq!(other.query(&session, "select 1").unwrap(), [["1"]]);
        }
        other.cancel(&operation).unwrap();
    }
}

#[test]
fn a_statement_under_way_at_a_cut_is_sent_once() {
    let fleet = Fleet::of(1);
    fleet.coordinator(0).faults().once("ExecuteStatement", Fault::DelayReply(Duration::from_millis(300)));
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let (socket, stated) = (client.stream().try_clone().unwrap(), session.clone());
    let waiting =
        thread::spawn(move || client.execute(&stated, "insert into t select * from rows(5)").map(drop));
    assert!(eventually(|| fleet.calls("ExecuteStatement").len() == 1));
    cut(fleet.router(), &socket);
    assert!(waiting.join().unwrap().is_err());
    let mut again = fleet.hs2();
    again.ping(&session).unwrap();
    assert_eq!(fleet.calls("ExecuteStatement").len(), 1);
    again.close_session(&session).unwrap();
    fleet.await_idle();
}

#[test]
fn a_beeswax_connection_is_cut_with_its_session() {
    let fleet = Fleet::of(2);
    let mut client = fleet.beeswax();
    client.execute("select sleep(600000)", "ann").unwrap();
    cut(fleet.router(), client.stream());
    fleet.await_idle();
    assert!(eventually(|| fleet.spread() == [0, 0]));
    assert_eq!(fleet.known().table.sessions(), 0);
}

#[test]
fn what_is_relayed_unread_is_listed_with_its_coordinator_and_cut_on_both_sides() {
    let script = Script::raw(|mut stream, _| {
        let _ended = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
    });
    let router = router_of(&script);
    let mut client = Talk::connect(router.listener(0));
    client.send(b"\0\x10\0\0unknown bytes");
    client.stream.read_exact(&mut [0; 17]).unwrap();
    let done = cut_and_see(&router, &mut client);
    for (field, value) in [("depth", Depth::Opaque.as_str()), ("coordinator", "c1"), ("tls", "clear")] {
        assert_eq!(done[field], value, "{field}: {done}");
    }
    assert_eq!((&done["transport"], &done["user"]), (&Value::Null, &Value::Null), "{done}");
    assert!(eventually(|| script.open() == 0), "its link is left");
    assert_no_load(&router);
}

#[test]
fn what_is_read_along_is_cut_with_its_sessions() {
    let settings = Settings { tickets: true, ..Plan::default().settings };
    let fleet = Fleet::with(Plan { users: &USERS, settings, ..Plan::default() });
    let mut client = Hs2Client::connect(fleet.address(Door::Hs2), &Login::kerberos("ann")).unwrap();
    let session = client.open(&[]).unwrap();
    client.execute(&session, "select sleep(600000)").unwrap();
    let owner = fleet.owner(&session);
    let done = cut(fleet.router(), client.stream());
    assert_eq!(done["depth"], Depth::Observe.as_str(), "{done}");
    assert_eq!(done["coordinator"], format!("c{}", owner + 1), "{done}");
    assert!(client.ping(&session).is_err());
    let connections = || fleet.coordinators().map(Coordinator::connections).sum::<usize>();
    assert!(eventually(|| connections() == 0), "{} links are left", connections());
}

#[test]
fn a_kept_connection_over_http_is_cut_between_two_requests_and_inside_one() {
    let fleet = Fleet::with(Plan { http: true, users: &USERS, ..Plan::default() });
    let login = Login::basic("ann", "nna");
    let connect = || Hs2Client::connect(fleet.address(Door::Http), &login).unwrap();
    let mut client = connect();
    let session = client.open(&[]).unwrap();
    cut(fleet.router(), client.stream());
    assert!(client.ping(&session).is_err());

    let mut client = connect();
    let operation = client.execute(&session, "select sleep(600000)").unwrap();
    let socket = client.stream().try_clone().unwrap();
    let fetched = operation.clone();
    let waiting = thread::spawn(move || client.fetch(&fetched, 1).map(drop));
    assert!(eventually(|| !fleet.calls("FetchResults").is_empty()));
    cut(fleet.router(), &socket);
    assert!(waiting.join().unwrap().is_err());
    connect().close(&operation).unwrap();

    let mut begun = TcpStream::connect(fleet.address(Door::Http)).unwrap();
    begun.write_all(b"POST /cliservice HTTP/1.1\r\nHost: a\r\nContent-Le").unwrap();
    cut(fleet.router(), &begun);
}

#[test]
fn impyla_connects_again_by_itself_and_gets_its_rows() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let fleet = Fleet::of(3);
    let target = fleet.target(Door::Hs2);
    let running = thread::spawn(move || {
        clients::impyla(&target, ClientLogin::NoSasl, Cursors::One, &["select sleep(3000)", "select 1"])
    });
    assert!(eventually(|| !fleet.calls("GetOperationStatus").is_empty()));
    let rows = listed(fleet.router(), "");
    assert_eq!(rows.len(), 1, "{rows:?}");
    cut_row(fleet.router(), &rows[0]);
    let shown = running.join().unwrap();
    assert_eq!(shown.rows().len(), 2, "{shown:?}");
    assert!(shown.rows()[1].contains(r#""rows": [[1]]"#), "{shown:?}");
    assert_eq!(fleet.calls("ExecuteStatement").len(), 2, "no statement was sent twice");
}
