//! What operators see and do from a shell.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::outcome;
use crate::admin::ask_at;
use crate::support::crowded::Crowded;
use crate::support::fleet::{Fleet, Plan, session_id};
use crate::support::ports::closed_port;
use crate::support::router::eventually;

/// The outcome of a command that asks the fleet's router.
fn asked(fleet: &Fleet, command: &str) -> (i32, String, String) {
    let admin = fleet.router().router().admin().to_string();
    let arguments: Vec<&str> = command.split(' ').chain(["--admin", &admin]).collect();
    outcome(&arguments)
}

/// The cell of a table whose first line has the names.
fn cell<'t>(table: &'t str, row: usize, name: &str) -> &'t str {
    let names = table.lines().next().unwrap().split_whitespace();
    let place =
        names.clone().position(|column| column == name).unwrap_or_else(|| panic!("no {name}: {table}"));
    table.lines().nth(row + 1).unwrap().split_whitespace().nth(place).unwrap()
}

#[test]
fn status_shows_each_coordinator_by_the_names_of_the_api() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let owner = fleet.owner(&session);
    let (code, table, err) = asked(&fleet, "status");
    assert_eq!((code, err.as_str(), table.lines().count()), (0, "", 3), "{table}");
    for (name, shown) in
        [("cluster", "test"), ("state", "active"), ("health", "healthy"), ("sessions", "1"), ("running", "0")]
    {
        assert_eq!(cell(&table, owner, name), shown, "{name}: {table}");
    }
    let (_, json, _) = asked(&fleet, "status --json");
    let fleet: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(fleet[owner]["sessions"], 1);
}

#[test]
fn sessions_and_operations_are_found_by_words() {
    let fleet = Fleet::secured(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    for (command, name) in
        [("sessions ann --sort open_operations", "session"), ("operations ann running", "operation")]
    {
        let (code, table, err) = asked(&fleet, command);
        assert_eq!((code, err.as_str(), table.lines().count()), (0, "", 2), "{table}");
        assert_eq!(cell(&table, 0, name).len(), 33, "{table}");
        assert_eq!(cell(&table, 0, "user"), "ann", "{table}");
    }
    let (code, table, _) = asked(&fleet, "sessions nobody");
    assert_eq!((code, table.lines().count()), (0, 1), "{table}");
    let (_, _, err) = asked(&fleet, "sessions --limit 0");
    assert_eq!(err, "0 of 1 sessions; --limit shows more\n");
}

#[test]
fn connections_are_listed_and_one_is_cut_by_its_id() {
    let fleet = Fleet::secured(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let address = client.stream().local_addr().unwrap();
    let (code, table, err) = asked(&fleet, "connections ann route");
    assert_eq!((code, err.as_str(), table.lines().count()), (0, "", 2), "{table}");
    for (name, shown) in [
        ("user", "ann"),
        ("client", &*address.to_string()),
        ("depth", "route"),
        ("tls", "clear"),
        ("coordinator", "-"),
    ] {
        assert_eq!(cell(&table, 0, name), shown, "{name}: {table}");
    }
    let connection = cell(&table, 0, "connection");
    let (code, out, _) = asked(&fleet, &format!("cut {connection}"));
    assert_eq!((code, out), (0, format!("{connection} is cut, which came from {address}\n")));
    assert!(client.ping(&session).is_err());
    let (code, _, err) = asked(&fleet, &format!("cut {connection}"));
    assert!(code == 1 && err.contains("there is no such connection"), "{err}");
    assert_eq!(asked(&fleet, "connections").1.lines().count(), 1);
}

#[test]
fn whoever_waits_for_room_is_listed_with_its_place() {
    let crowded = Crowded::start();
    let (code, table, err) = asked(&crowded.fleet, "waiting 127.0.0.1 session");
    assert_eq!((code, err.as_str(), table.lines().count()), (0, "", 2), "{table}");
    for (name, shown) in [("waits_for", "session"), ("place", "1"), ("user", "-"), ("coordinator", "-")] {
        assert_eq!(cell(&table, 0, name), shown, "{name}: {table}");
    }
    let fleet = Fleet::of(1);
    assert_eq!(asked(&fleet, "waiting").1.lines().count(), 1, "nobody waits");
}

#[test]
fn the_config_in_force_is_a_file_from_which_a_router_can_be_started() {
    let fleet = Fleet::of(2);
    let (code, written, err) = asked(&fleet, "config");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(written.contains("name = \"c2\"") && written.contains("max_connections = 20000"), "{written}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in-force.toml");
    fs::write(&file, &written).unwrap();
    let (code, _, err) = outcome(&["check", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let (_, json, _) = asked(&fleet, "config --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["cluster"][0]["coordinators"].as_array().unwrap().len(), 2);
}

#[test]
fn events_tell_what_happened_to_a_coordinator_the_newest_first() {
    let fleet = Fleet::of(2);
    for command in ["drain c2", "resume c2", "drain c1"] {
        assert_eq!(asked(&fleet, command).0, 0);
    }
    let (code, table, err) = asked(&fleet, "events c2 operator");
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("age") && lines.len() == 3, "{table}");
    for (line, verb) in lines[1..].iter().zip(["resume", "drain"]) {
        assert!(line.contains("asked by an operator") && line.contains("  info  "), "{table}");
        let said = format!("verb={verb} cluster=test coordinator=c2 from=127.0.0.1:");
        assert!(line.contains(&said) && line.contains(" outcome=done"), "{table}");
    }
    let (_, json, _) = asked(&fleet, "events c2 operator --json");
    let events: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(events["matching"], 2);
}

#[test]
fn what_has_ended_is_listed_with_whose_it_was_and_how_it_ended() {
    let fleet = Fleet::secured(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select 1").unwrap();
    client.close(&operation).unwrap();
    client.close_session(&session).unwrap();
    assert_eq!(asked(&fleet, "weight c1 2").0, 0);
    let mut table = String::new();
    assert!(eventually(|| {
        table = asked(&fleet, "history").1;
        table.lines().count() == 4
    }));
    for (row, kind, outcome) in [(0, "verb", "done"), (1, "session", "closed"), (2, "operation", "closed")] {
        assert_eq!((cell(&table, row, "kind"), cell(&table, row, "outcome")), (kind, outcome), "{table}");
        assert_eq!(cell(&table, row, "user"), if kind == "verb" { "-" } else { "ann" }, "{table}");
        assert_eq!(cell(&table, row, "coordinator"), "c1", "{table}");
    }
    assert!(table.contains("weight weight=2"), "{table}");
    let (code, table, _) = asked(&fleet, "history ann --kind operation --sort lasted");
    assert_eq!((code, table.lines().count()), (0, 2), "{table}");
    let (_, json, _) = asked(&fleet, "history --kind verb --json");
    let history: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&history["total"], &history["matching"]), (&3.into(), &1.into()));
}

#[test]
fn a_drain_waits_until_the_coordinator_is_empty_and_resume_undoes_it() {
    let fleet = Fleet::of(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    let (code, out, _) = asked(&fleet, "drain test/c1 --dry-run");
    assert_eq!((code, out.as_str()), (0, "would drain test/c1: 1 session, 1 open operation\n"));
    assert_eq!(cell(&asked(&fleet, "status").1, 0, "state"), "active");

    let (code, out, err) = asked(&fleet, "drain c1 --wait --timeout 0s");
    assert_eq!((code, out.as_str()), (75, "c1 is drained: 1 session, 1 open operation\n"), "{err}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[0], "waits for 1 session, 1 open operation (an operation is open)");
    assert!(lines[1].ends_with("the drain goes on"), "{err}");

    let admin = fleet.router().router().admin().to_string();
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_hs2router"))
        .args(["drain", "c1", "--deadline", "1h", "--wait", "--admin", &admin])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(eventually(|| fleet.loads()[0].open_sessions == 1) && waiting.try_wait().unwrap().is_none());
    client.close(&operation).unwrap();
    client.close_session(&session).unwrap();
    assert!(waiting.wait().unwrap().success());
    let mut out = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(out.ends_with("c1 is empty\n"), "{out}");

    assert_eq!(asked(&fleet, "resume c1"), (0, "c1 gets new sessions again\n".to_owned(), String::new()));
    assert_eq!(cell(&asked(&fleet, "status").1, 0, "state"), "active");
}

#[test]
fn a_coordinator_that_is_ejected_keeps_what_it_has_and_gets_no_more_until_it_is_restored() {
    let fleet = Fleet::with(Plan { coordinators: 2, cluster: "slow_start = \"0s\"", ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    let owner = fleet.owner(&session);
    let name = format!("c{}", owner + 1);
    let (code, out, _) = asked(&fleet, &format!("eject {name} --dry-run"));
    assert_eq!((code, out), (0, format!("would eject {name}: 1 session, 1 open operation\n")));
    assert_eq!(cell(&asked(&fleet, "status").1, owner, "state"), "active");

    let (code, out, err) = asked(&fleet, &format!("eject {name} --wait --timeout 0s"));
    assert_eq!((code, out), (75, format!("{name} is ejected: 1 session, 1 open operation\n")), "{err}");
    assert!(err.ends_with("; it stays ejected\n"), "{err}");
    assert!(asked(&fleet, "status").1.contains("ejected by an operator"));
    for _ in 0..4 {
        let other = client.open(&[]).unwrap();
        assert_eq!(fleet.owner(&other), 1 - owner);
    }
    client.fetch(&operation, 10).expect("what is there goes on");
    client.close(&operation).unwrap();

    let restored = (0, format!("{name} is ejected no more\n"), String::new());
    assert_eq!(asked(&fleet, &format!("restore {name}")), restored);
    let other = client.open(&[]).unwrap();
    assert_eq!(fleet.owner(&other), owner);
    let (code, _, err) = asked(&fleet, &format!("restore {name}"));
    assert!(code == 1 && err.contains("no operator has ejected it"), "{err}");
}

#[test]
fn a_coordinator_with_another_weight_gets_another_share() {
    let fleet = Fleet::of(2);
    assert_eq!(asked(&fleet, "weight c2 3"), (0, "c2 has weight 3\n".to_owned(), String::new()));
    let (_, json, _) = asked(&fleet, "status --json");
    let shown: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&shown[0]["weight"], &shown[1]["weight"]), (&1.into(), &3.into()));
    let mut client = fleet.hs2();
    let _sessions: Vec<_> = (0..8).map(|_| client.open(&[]).unwrap()).collect();
    assert_eq!(fleet.spread(), [2, 6]);
    for weight in ["0", "1001", "many"] {
        assert_eq!(asked(&fleet, &format!("weight c2 {weight}")).0, 64, "{weight}");
    }
}

#[test]
fn an_operation_is_cancelled_and_a_session_closed_by_the_ids_that_lists_show() {
    let fleet = Fleet::secured(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select sleep(600000)").unwrap();
    let coordinator = format!("c{}", fleet.owner(&session) + 1);
    let operation = cell(&asked(&fleet, "operations running").1, 0, "operation").to_owned();
    let cancelled = format!("{operation} is cancelled on {coordinator}\n");
    assert_eq!(asked(&fleet, &format!("cancel {operation}")), (0, cancelled, String::new()));
    assert_eq!(cell(&asked(&fleet, "operations").1, 0, "state"), "ended");
    let session = cell(&asked(&fleet, "sessions").1, 0, "session").to_owned();
    let closed = format!("{session} is closed\n");
    assert_eq!(asked(&fleet, &format!("close {session}")), (0, closed, String::new()));
    let (code, _, err) = asked(&fleet, &format!("close {session}"));
    assert!(code == 1 && err.contains("no such session"), "{err}");
}

#[test]
fn sessions_move_one_by_one_or_all_of_a_coordinator() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let (from, to) = if fleet.owner(&session) == 0 { ("c1", "c2") } else { ("c2", "c1") };
    let id = session_id(&session);
    let moved = format!("{id} is on {to} now\n");
    assert_eq!(asked(&fleet, &format!("move {id}")), (0, moved, String::new()));
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    let (code, _, err) = asked(&fleet, &format!("move {id} --to {from}"));
    assert_eq!((code, err.as_str()), (1, "the router says: it stays: an operation is open\n"));

    let (_others, before) = ((0..3).map(|_| client.open(&[]).unwrap()).collect::<Vec<_>>(), fleet.loads());
    let there = before[place_of(to)].open_sessions - 1;
    let would = format!("would move {there} of the sessions of {to}; 1 stay: an operation is open\n");
    assert_eq!(asked(&fleet, &format!("move-all {to} --dry-run")), (0, would, String::new()));
    let (code, out, err) = asked(&fleet, &format!("move-all {to} --wait --timeout 1m"));
    assert_eq!(code, 0, "{err}");
    let left = format!("left on {to}: 1 session, 1 open operation; 1 stay: an operation is open\n");
    assert!(out.contains(" are to move\n") && out.ends_with(&left), "{out}");
}

/// The place of a coordinator by its name.
fn place_of(name: &str) -> usize {
    usize::from(name == "c2")
}

#[test]
fn the_log_has_events_from_another_level_on_once_an_operator_says_so() {
    let fleet = Fleet::of(1);
    let (code, said, _) = asked(&fleet, "log-level");
    assert!(code == 0 && said.ends_with(" on (as in the config)\n"), "{said}");
    let weighed = || fleet.router().logs().text().matches("verb=weight").count();
    for (level, lines) in [("error", 0), ("info", 1), ("warn", 1), ("debug", 2)] {
        let (code, said, err) = asked(&fleet, &format!("log-level {level}"));
        assert!(
            code == 0 && said.starts_with(&format!("the log has events from {level} on (")),
            "{said}{err}"
        );
        assert_eq!(asked(&fleet, "weight c1 2").0, 0);
        assert_eq!(weighed(), lines, "{level}");
        let (_, events, _) = asked(&fleet, "events weight");
        assert!(events.contains("asked by an operator"), "events are kept whatever is written: {events}");
    }
    let (code, _, err) = asked(&fleet, "log-level loud");
    assert!(code == 64 && err.contains("error, warn, info, debug, trace"), "{err}");
}

#[test]
fn a_router_is_taken_out_of_rotation_and_put_back() {
    let fleet = Fleet::of(1);
    let ready = || ask_at(fleet.router().router().admin(), "GET /readyz", "");
    let (inside, outside) =
        ("in rotation: /readyz answers 200 ok\n", "out of rotation: /readyz answers 503 out of rotation\n");
    for (command, said, answer) in [
        ("rotation", inside, (200, "ok\n")),
        ("rotation out", outside, (503, "out of rotation\n")),
        ("rotation", outside, (503, "out of rotation\n")),
        ("rotation in", inside, (200, "ok\n")),
    ] {
        assert_eq!(asked(&fleet, command), (0, said.to_owned(), String::new()), "{command}");
        assert_eq!(ready(), (answer.0, answer.1.to_owned()), "{command}");
        // Clients that come nevertheless are served.
        fleet.hs2().open(&[]).unwrap();
    }
}

#[test]
fn a_cluster_is_paused_until_nothing_is_open_and_resumed() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    let dry = asked(&fleet, "pause-cluster test --dry-run");
    assert_eq!(dry, (0, "would pause test: 1 session, 1 open operation\n".to_owned(), String::new()));
    assert_eq!(asked(&fleet, "status").2, "");
    let (code, out, err) = asked(&fleet, "pause-cluster test --wait --timeout 0s");
    assert_eq!((code, out.as_str()), (75, "test is paused: 1 session, 1 open operation\n"), "{err}");
    assert!(
        err.starts_with("waits for 1 open operation\n") && err.ends_with("the cluster stays paused\n"),
        "{err}"
    );
    client.close(&operation).unwrap();
    let (code, out, err) = asked(&fleet, "pause-cluster test --wait");
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "test is paused: 1 session\nno operation is open in test\n", "")
    );
    let (code, table, err) = asked(&fleet, "status");
    assert_eq!((code, table.lines().count()), (0, 3));
    assert!(
        err.starts_with("an operator paused test ")
            && err.ends_with(" s ago, and 0 wait; hs2router resume-cluster test\n"),
        "{err}"
    );
    let resumed = asked(&fleet, "resume-cluster test");
    assert_eq!(resumed, (0, "test takes new sessions and statements\n".to_owned(), String::new()));
    client.query(&session, "select 1").unwrap();
    for command in ["pause-cluster other", "resume-cluster other", "pause-cluster other --dry-run"] {
        let (code, _, err) = asked(&fleet, command);
        assert!(code == 1 && err.ends_with("; hs2router status lists them\n"), "{command}: {err}");
    }
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let fleet = Fleet::of(1);
    let none = "the router says: there is no such coordinator; hs2router status lists them\n";
    for command in ["drain c9", "resume other/c1"] {
        let (code, _, err) = asked(&fleet, command);
        assert_eq!((code, err.as_str()), (1, none), "{command}");
    }
    let (_, events, _) = asked(&fleet, "events operator c9");
    assert!(
        events.contains("verb=drain named=c9") && events.contains("outcome=there is no such"),
        "{events}"
    );
    let (code, _, err) = asked(&fleet, "drain c9 --dry-run");
    assert_eq!((code, err.as_str()), (1, "the router has no coordinator c9; hs2router status lists them\n"));
    let (code, _, err) = asked(&fleet, "drain c1 --deadline soon");
    assert!(code == 64 && err.contains("30s, 10m or 1h"), "{err}");
    let (code, _, err) = asked(&fleet, "drain c1 --timeout 1s");
    assert!(code == 64 && err.contains("--wait"), "{err}");
    let unused = closed_port();
    let (code, _, err) = outcome(&["status", "--admin", &unused.to_string()]);
    assert!(code == 69 && err.contains("--admin says where"), "{err}");
}
