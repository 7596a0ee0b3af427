//! A drain waits until its deadline; then it leaves the operations that are still open, or cancels them.

use std::io::Read as _;
use std::time::Duration;

use hs2router::fake::Settings;
use hs2router::fake::client::{CallError, Hs2Client};
use hs2router::idl::beeswax::TBeeswaxServiceSyncClient as _;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};
use serde_json::Value;

use super::{ALLOWED, ask, coordinators};
use crate::support::fleet::{Door, Fleet, Plan, USERS, refusal};
use crate::support::router::eventually;
use crate::support::talk::Talk;

const CANCEL: &str = "drain_then = \"cancel\"";

fn drain(fleet: &Fleet, place: usize, query: &str) -> Value {
    let request = format!("POST /api/v1/coordinators/test/c{}/drain{query}", place + 1);
    let (status, body) = ask(fleet.router(), &request, ALLOWED);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["drain"].clone()
}

/// A session on the first coordinator.
fn session(fleet: &Fleet, client: &mut Hs2Client) -> TSessionHandle {
    loop {
        let session = client.open(&[]).unwrap();
        if fleet.owner(&session) == 0 {
            return session;
        }
    }
}

fn owner_now(client: &mut Hs2Client, session: &TSessionHandle) -> String {
    client.query(session, "select coordinator()").unwrap().concat().concat()
}

fn is_left(fleet: &Fleet) -> bool {
    eventually(|| fleet.loads()[0].open_sessions == 0)
}

/// Fetches until something other than "still executing" comes.
fn fetch(client: &mut Hs2Client, operation: &TOperationHandle) -> Result<(), CallError> {
    loop {
        if client.fetch(operation, 10)?.0.is_some() {
            return Ok(());
        }
    }
}

/// Whether a coordinator says, in its own words, that somebody has cancelled the query.
#[track_caller]
fn assert_cancelled(fetched: Result<(), CallError>) {
    let words = refusal(fetched);
    assert!(words.starts_with("Query ") && words.ends_with(" failed:\nCancelled\n\n"), "{words:?}");
}

#[test]
fn what_is_open_at_the_deadline_is_cancelled_and_its_session_leaves() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { coordinators: 2, users, cluster: CANCEL, ..Plan::default() });
        let mut client = fleet.hs2();
        let session = session(&fleet, &mut client);
        let operation = client.execute(&session, "select * from rows(10)").unwrap();
        drain(&fleet, 0, "?deadline=0s");
        assert!(is_left(&fleet), "{:?}", fleet.loads());
        assert_cancelled(fetch(&mut client, &operation));
        assert_eq!(owner_now(&mut client, &session), "c2");
        let series =
            "hs2router_drained_operations_total{cluster=\"test\",coordinator=\"c1\",outcome=\"cancelled\"}";
        fleet.router().await_metric(series, 1.0);
        let log = fleet.router().logs().text();
        let line = log.lines().find(|line| line.contains("operations that were open are cancelled")).unwrap();
        assert!(line.contains(" INFO ") && line.contains("cancelled=1 left=0"), "{line}");
    }
}

#[test]
fn a_call_that_waits_for_rows_hears_of_the_cancel_at_once() {
    // Whether its link is shared or its own: it is in use, and another one takes the client's login.
    for keys in [CANCEL, "share_links = false\ndrain_then = \"cancel\""] {
        let settings = Settings { fetch_timeout: Duration::from_mins(10), ..Settings::default() };
        let fleet =
            Fleet::with(Plan { coordinators: 2, users: &USERS, cluster: keys, settings, ..Plan::default() });
        let mut client = fleet.hs2();
        let session = session(&fleet, &mut client);
        let operation = client.execute(&session, "select sleep(600000)").unwrap();
        std::thread::scope(|scope| {
            let fetched = scope.spawn(|| fetch(&mut client, &operation));
            assert!(eventually(|| !fleet.calls("FetchResults").is_empty()));
            drain(&fleet, 0, "?deadline=0s");
            assert_cancelled(fetched.join().unwrap());
        });
        assert!(is_left(&fleet), "{:?}", fleet.loads());
    }
}

#[test]
fn a_query_of_beeswax_is_cancelled_too() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { coordinators: 1, users, cluster: CANCEL, ..Plan::default() });
        let mut client = fleet.beeswax();
        let query = client.execute("select * from rows(10)", "ann").unwrap();
        drain(&fleet, 0, "?deadline=0s");
        assert!(eventually(|| fleet.known().cluster.coordinators()[0].open_operations() == 0));
        let thrown = format!("{:?}", client.service().fetch(query, false, 10).unwrap_err());
        assert!(thrown.contains("Cancelled"), "{thrown}");
    }
}

#[test]
fn every_open_operation_of_every_client_is_cancelled_and_those_elsewhere_go_on() {
    let fleet = Fleet::with(Plan { coordinators: 2, users: &USERS, cluster: CANCEL, ..Plan::default() });
    let mut clients: Vec<_> = USERS.iter().map(|(user, password)| fleet.hs2_as(user, password)).collect();
    let mut operations = [Vec::new(), Vec::new()];
    for (number, client) in clients.iter_mut().enumerate() {
        for session in (0..4).map(|_| client.open(&[]).unwrap()).collect::<Vec<_>>() {
            let of_place = &mut operations[fleet.owner(&session)];
            of_place
                .extend((0..3).map(|_| (number, client.execute(&session, "select * from rows(9)").unwrap())));
        }
    }
    assert!(operations.iter().all(|of_place| of_place.len() > 6), "both have some");
    drain(&fleet, 0, "?deadline=0s");
    assert!(is_left(&fleet), "{:?}", fleet.loads());
    let [cancelled, untouched] = operations;
    for (number, operation) in &cancelled {
        assert_cancelled(fetch(&mut clients[*number], operation));
    }
    for (number, operation) in &untouched {
        fetch(&mut clients[*number], operation).unwrap();
    }
    assert_eq!(fleet.calls("CancelOperation").len(), cancelled.len());
}

#[test]
fn nothing_is_cancelled_before_the_deadline_or_after_a_resume() {
    let fleet = Fleet::with(Plan { coordinators: 2, cluster: CANCEL, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = session(&fleet, &mut client);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    drain(&fleet, 0, "?deadline=1h");
    // When the other's drain has ended twice, this one was looked at as often.
    let ends = || fleet.router().logs().text().matches("operations that were open are cancelled").count();
    for end in 1..=2 {
        drain(&fleet, 1, "?deadline=0s");
        assert!(eventually(|| ends() == end));
    }
    let resumed = ask(fleet.router(), "POST /api/v1/coordinators/test/c1/resume", ALLOWED);
    assert_eq!(resumed.0, 200);
    drain(&fleet, 1, "?deadline=0s");
    assert!(eventually(|| ends() == 3));
    fetch(&mut client, &operation).unwrap();
    assert_eq!(fleet.calls("CancelOperation").len(), 0);
}

#[test]
fn what_is_open_at_the_deadline_goes_on_if_it_is_to_be_left() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = session(&fleet, &mut client);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    drain(&fleet, 0, "?deadline=0s");
    let line = || {
        let log = fleet.router().logs().text();
        log.lines().find(|line| line.contains("operations that are open go on")).map(str::to_owned)
    };
    assert!(eventually(|| line().is_some()));
    assert!(line().unwrap().contains("left=1"), "{line:?}", line = line());
    fetch(&mut client, &operation).unwrap();
    assert_eq!(fleet.calls("CancelOperation").len(), 0);
    // As before, it keeps its session until it is closed.
    assert_eq!(fleet.loads()[0].open_sessions, 1);
    client.close(&operation).unwrap();
    assert!(is_left(&fleet), "{:?}", fleet.loads());
}

#[test]
fn a_drain_shows_when_it_began_and_when_it_ends() {
    let fleet = Fleet::with(Plan { coordinators: 1, cluster: "drain_deadline = \"30m\"", ..Plan::default() });
    let shown = || coordinators(fleet.router())[0]["drain"].clone();
    let deadline = |drain: &Value| drain["deadline_in"].as_f64().unwrap();
    assert_eq!(shown(), Value::Null);
    let usual = drain(&fleet, 0, "");
    assert_eq!(usual["then"], "leave");
    assert!((1700.0..=1800.0).contains(&deadline(&usual)), "{usual}");
    let other = drain(&fleet, 0, "?deadline=10h");
    assert!((35_000.0..=36_000.0).contains(&deadline(&other)), "{other}");
    assert!(deadline(&drain(&fleet, 0, "")) > 35_000.0, "the one that was asked for stays");
    let (since, later) = (&other["since"], &shown()["since"]);
    assert!(later.as_f64() >= since.as_f64() && since.as_f64().is_some(), "it is still the first drain");
    drain(&fleet, 0, "?deadline=0s");
    assert!(deadline(&shown()).abs() < f64::EPSILON);
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/test/c1/resume", ALLOWED).0, 200);
    assert_eq!(shown(), Value::Null);
}

#[test]
fn a_coordinator_that_is_drained_in_the_config_has_the_deadline_of_its_cluster() {
    let plan = Plan {
        coordinators: 2,
        cluster: "drain_deadline = \"30m\"\ndrain_then = \"cancel\"",
        keys: &["state = \"drain\""],
        ..Plan::default()
    };
    let fleet = Fleet::with(plan);
    let shown = coordinators(fleet.router());
    assert_eq!(shown[0]["drain"]["then"], "cancel");
    assert!((1700.0..=1800.0).contains(&shown[0]["drain"]["deadline_in"].as_f64().unwrap()), "{}", shown[0]);
    assert_eq!(shown[1]["drain"], Value::Null);
}

#[test]
fn a_deadline_that_is_none_is_refused_with_what_would_be_one() {
    let fleet = Fleet::of(1);
    for query in
        ["?deadline=5", "?deadline=", "?deadline=soon", "?deadline=9999h", "?after=5m", "?deadline=1s&x"]
    {
        let request = format!("POST /api/v1/coordinators/test/c1/drain{query}");
        let (status, text) = ask(fleet.router(), &request, ALLOWED);
        assert_eq!((status, text.contains("30s, 10m or 1h")), (400, true), "{query}: {text}");
        // Who may not drain is not even told that.
        assert_eq!(ask(fleet.router(), &request, "").0, 403);
    }
    let resume = "POST /api/v1/coordinators/test/c1/resume?deadline=5m";
    let (status, text) = ask(fleet.router(), resume, ALLOWED);
    assert_eq!((status, text.contains("no parameters")), (400, true));
    assert_eq!(coordinators(fleet.router())[0]["state"], "active");
}

/// A connection that the router does not understand, to the only coordinator.
fn opaque(fleet: &Fleet) -> Talk {
    let mut talk = Talk::connect(fleet.address(Door::Hs2));
    // Half the name of a message of the old style, which the coordinator waits for the rest of.
    talk.send(b"\0\0\0\x40GetInfo");
    assert!(eventually(|| coordinators(fleet.router())[0]["opaque_connections"] == 1));
    talk
}

fn waits_for(fleet: &Fleet, what: &str, value: f64) {
    let series = format!("hs2router_drain_waits_for{{cluster=\"test\",coordinator=\"c1\",what=\"{what}\"}}");
    fleet.router().await_metric(&series, value);
}

#[test]
fn a_drain_waits_for_connections_that_nobody_reads_and_closes_them_at_its_deadline() {
    let fleet = Fleet::with(Plan { coordinators: 1, cluster: CANCEL, ..Plan::default() });
    let mut talk = opaque(&fleet);
    let mut client = fleet.hs2();
    let session = session(&fleet, &mut client);
    client.execute(&session, "select * from rows(10)").unwrap();
    let draining = "hs2router_coordinator_draining{cluster=\"test\",coordinator=\"c1\"}";
    assert!(fleet.router().metric(draining) < 1.0);
    drain(&fleet, 0, "?deadline=1h");
    fleet.router().await_metric(draining, 1.0);
    for what in ["sessions", "operations", "opaque_connections"] {
        waits_for(&fleet, what, 1.0);
    }
    assert_eq!(coordinators(fleet.router())[0]["opaque_connections"], 1, "until the deadline");
    drain(&fleet, 0, "?deadline=0s");
    assert_eq!(talk.rest(), b"");
    fleet.router().await_metric("hs2router_connections_closed_total{cause=\"drained\"}", 1.0);
    waits_for(&fleet, "opaque_connections", 0.0);
    let log = fleet.router().logs().text();
    let line = log.lines().find(|line| line.contains("passed on unread are closed")).unwrap();
    assert!(line.contains(" INFO ") && line.contains("closed=1"), "{line}");
    // Those that come after a resume have nothing to do with that drain.
    assert_eq!(ask(fleet.router(), "POST /api/v1/coordinators/test/c1/resume", ALLOWED).0, 200);
    fleet.router().await_metric(draining, 0.0);
    waits_for(&fleet, "sessions", 0.0);
    let _later = opaque(&fleet);
}

#[test]
fn connections_that_nobody_reads_go_on_at_the_deadline_if_what_is_open_is_to_be_left() {
    let fleet = Fleet::of(1);
    let mut talk = opaque(&fleet);
    drain(&fleet, 0, "?deadline=0s");
    let line = "operations that are open go on";
    assert!(eventually(|| fleet.router().logs().text().contains(line)));
    let log = fleet.router().logs().text();
    let line = log.lines().find(|one| one.contains(line)).unwrap();
    assert!(line.contains("left=0 opaque_connections=1"), "{line}");
    let rest_of_name = [b'x'; 57];
    talk.send(&[&rest_of_name[..], b"\x01\0\0\0\x01\0"].concat());
    let mut answer = [0; 8];
    talk.stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..2], [0x80, 0x01], "{answer:?}");
}
