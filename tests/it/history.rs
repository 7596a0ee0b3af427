//! What has ended is known afterwards: at the admin port, and in a file if there is one.

use std::fs;
use std::path::{Path, PathBuf};

use hs2router::control::config::Config;
use hs2router::control::router::Router;
use serde_json::Value;
use tempfile::TempDir;

use crate::admin::{ALLOWED, ask_at};
use crate::cli::outcome;
use crate::support::fleet::{Door, Fleet, Plan, USERS, query_id, session_id};
use crate::support::router::{TestRouter, eventually};

/// A place for a file, and the keys that have the history written there.
struct Place {
    _folder: TempDir,
    file: PathBuf,
    keys: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.jsonl");
        let keys = format!("[admin.history]\nfile = \"{}\"\n", file.display());
        Self { _folder: folder, file, keys }
    }

    fn fleet(&self, coordinators: usize) -> Fleet {
        Fleet::with(Plan { coordinators, users: &USERS, router: &self.keys, ..Plan::default() })
    }
}

fn lines(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records that match, once there are so many; the newest first.
#[track_caller]
fn records(router: &TestRouter, query: &str, number: usize) -> Vec<Value> {
    let mut body = String::new();
    let found = eventually(|| {
        body = ask_at(router.router().admin(), &format!("GET /api/v1/history?{query}"), "").1;
        serde_json::from_str::<Value>(&body).unwrap()["matching"] == number
    });
    assert!(found, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["history"].as_array().unwrap().clone()
}

#[track_caller]
fn has(record: &Value, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        assert_eq!(record[field], *value, "{field}: {record}");
    }
}

#[test]
fn a_session_and_its_operations_are_in_the_file_as_at_the_admin_port() {
    let place = Place::new();
    let fleet = place.fleet(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let finished = client.execute(&session, "select * from rows(10)").unwrap();
    while client.fetch(&finished, 100).unwrap().1 {}
    let cancelled = client.execute(&session, "select sleep(600000)").unwrap();
    client.cancel(&cancelled).unwrap();
    for operation in [&finished, &cancelled] {
        client.close(operation).unwrap();
    }
    let running = client.execute(&session, "select sleep(600000)").unwrap();
    client.close_session(&session).unwrap();
    let records = records(fleet.router(), "", 4);
    let (session, listener) = (session_id(&session).to_string(), fleet.address(Door::Hs2).to_string());
    let common = [("session", &*session), ("user", "ann"), ("client", "127.0.0.1"), ("listener", &*listener)];
    for record in &records {
        has(record, &common);
        has(record, &[("cluster", "test"), ("coordinator", "c1")]);
        assert!(record["start"].as_str() <= record["end"].as_str(), "{record}");
        assert!(record["lasted"].as_f64().unwrap() > 0.0, "{record}");
    }
    has(&records[0], &[("kind", "session"), ("outcome", "closed"), ("service", "hs2")]);
    let ends = [(&running, "session_ended"), (&cancelled, "cancelled"), (&finished, "finished")];
    for (record, (operation, end)) in records[1..].iter().zip(ends) {
        let operation = query_id(operation).to_string();
        has(record, &[("kind", "operation"), ("operation", &operation), ("outcome", end)]);
        has(record, &[("operation_kind", "statement")]);
    }
    let mut written = Vec::new();
    assert!(eventually(|| {
        written = lines(&place.file);
        written.len() == 4
    }));
    written.reverse();
    assert_eq!(written, records);
}

#[test]
fn records_are_searched_by_word_and_by_kind_and_sorted_by_how_long_it_was() {
    let fleet = Fleet::secured(1);
    let (mut ann, mut bob) = (fleet.hs2(), fleet.hs2_as("bob", "bbo"));
    let longest = ann.open(&[]).unwrap();
    for _ in 0..2 {
        let session = bob.open(&[]).unwrap();
        let operation = bob.execute(&session, "select 1").unwrap();
        bob.close(&operation).unwrap();
        bob.close_session(&session).unwrap();
    }
    ann.close_session(&longest).unwrap();
    // Whoever ends later here began later, but for the first.
    records(fleet.router(), "", 5);
    assert_eq!(records(fleet.router(), "kind=session&limit=1", 3)[0]["user"], "ann");
    let by_length = records(fleet.router(), "kind=session&sort=lasted", 3);
    assert_eq!(by_length[0]["user"], "ann");
    let lasted: Vec<_> = by_length.iter().map(|record| record["lasted"].as_f64().unwrap()).collect();
    assert!(lasted.is_sorted_by(|one, next| one >= next), "{lasted:?}");
    records(fleet.router(), "filter=BOB%20statement", 2);
    records(fleet.router(), "filter=ann&kind=operation", 0);
    for bad in ["kind=sessions", "sort=age", "kind=verb&kind=verb", "user=ann"] {
        let (status, said) =
            ask_at(fleet.router().router().admin(), &format!("GET /api/v1/history?{bad}"), "");
        assert_eq!(status, 400, "{bad}: {said}");
    }
}

#[test]
fn a_session_that_moved_is_one_record_with_both_coordinators() {
    let fleet = Fleet::secured(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let from = fleet.owner(&session);
    let order = format!("POST /api/v1/sessions/{}/move", session_id(&session));
    let (status, said) = ask_at(fleet.router().router().admin(), &order, ALLOWED);
    assert_eq!(status, 200, "{said}");
    client.close_session(&session).unwrap();
    let record = &records(fleet.router(), "kind=session", 1)[0];
    assert_eq!(record["coordinator"], format!("c{}", 2 - from), "{record}");
    assert_eq!(record["earlier_coordinators"], serde_json::json!([format!("c{}", from + 1)]));
}

#[test]
fn whoever_ends_a_session_it_is_recorded_how() {
    let mut fleet = Fleet::of(2);
    let ended = |fleet: &Fleet, end: &str| {
        let records = records(fleet.router(), &format!("kind=session&filter={end}"), 1);
        assert_eq!(records[0]["outcome"], end);
    };
    let mut client = fleet.beeswax();
    client.execute("select 1", "ann").unwrap();
    drop(client);
    ended(&fleet, "disconnected");

    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let order = format!("POST /api/v1/sessions/{}/close", session_id(&sessions[0]));
    assert_eq!(ask_at(fleet.router().router().admin(), &order, ALLOWED).0, 200);
    ended(&fleet, "closed_by_operator");
    fleet.lose(1);
    fleet.revive(1);
    drop(client);
    assert!(eventually(|| {
        let mut connections = 0;
        let (cause, now) = (hs2router::session::table::Cause::Lost, hs2router::clock::now());
        fleet.known().table.see_sessions(cause, now, |seen| connections += seen.connections);
        connections == 0
    }));
    assert_eq!(fleet.forget_detached(), 1);
    ended(&fleet, "forgotten");
}

#[test]
fn what_operators_had_done_is_recorded_with_how_it_ended() {
    let place = Place::new();
    let fleet = place.fleet(2);
    let ask = |request: &str| ask_at(fleet.router().router().admin(), request, ALLOWED).0;
    assert_eq!(ask("POST /api/v1/coordinators/c1/drain?deadline=30m"), 200);
    assert_eq!(ask("POST /api/v1/coordinators/test/c9/resume"), 404);
    assert_eq!(ask("DELETE /api/v1/rotation"), 200);
    let records = records(fleet.router(), "kind=verb", 3);
    has(&records[2], &[("verb", "drain"), ("query", "deadline=30m"), ("outcome", "done")]);
    has(&records[2], &[("cluster", "test"), ("coordinator", "c1"), ("client", "127.0.0.1")]);
    has(&records[1], &[("verb", "resume"), ("cluster", "test"), ("coordinator", "c9")]);
    assert!(records[1]["outcome"].as_str().unwrap().contains("there is no such coordinator"));
    has(&records[0], &[("verb", "rotation out"), ("outcome", "done")]);
}

#[test]
fn what_is_open_when_the_router_ends_is_in_the_file_too() {
    let place = Place::new();
    let fleet = place.fleet(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    drop(client);
    let (_, coordinators) = fleet.drain();
    assert_eq!(coordinators[0].open_sessions().len(), 1, "it may be used again, by another router");
    let written = lines(&place.file);
    assert_eq!(written.len(), 1, "{written:?}");
    let session = session_id(&session).to_string();
    has(&written[0], &[("kind", "session"), ("session", &session), ("outcome", "left_open")]);
}

#[test]
fn a_place_where_no_file_can_be_is_told_before_a_router_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("router.toml");
    let write = |history: &str| {
        let text = format!(
            "[admin]\naddress = \"127.0.0.1:0\"\nhistory = {{ file = \"{history}\" }}\n[[listener]]\n\
             address = \"127.0.0.1:0\"\n[[cluster]]\ncoordinators = [\"127.0.0.1\"]\n"
        );
        fs::write(&file, text).unwrap();
    };
    write("nowhere/history.jsonl");
    let (code, _, err) = outcome(&["check", file.to_str().unwrap()]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("there is no folder") && err.contains("nowhere: create it"), "{err}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let error = Router::start(&Config::load(&file).unwrap()).unwrap_err();
    assert!(error.to_string().contains("there is no folder"), "{error}");

    write("history.jsonl");
    let (code, said, err) = outcome(&["check", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let path = folder.path().join("history.jsonl");
    let expected =
        format!("writes the history to {}, in files of 100MiB that are kept for 30d", path.display());
    assert!(said.contains(&expected), "{said}");
    assert!(!path.exists(), "to check changes nothing");
}
