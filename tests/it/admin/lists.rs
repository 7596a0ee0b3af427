//! Operators see sessions and operations: whose they are, where, and how long; and nothing secret.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use super::ask;
use crate::support::fleet::{Fleet, Plan, id, query_id};
use crate::support::router::{TestRouter, eventually};

fn list(router: &TestRouter, path: &str) -> Value {
    let (status, body) = ask(router, &format!("GET /api/v1/{path}"), "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn a_session_is_shown_with_its_user_and_where_it_came_from() {
    let fleet = Fleet::secured(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    let shown = list(fleet.router(), "sessions");
    assert_eq!((&shown["total"], &shown["matching"]), (&1.into(), &1.into()));
    let row = &shown["sessions"][0];
    let listener = fleet.address(crate::support::fleet::Door::Hs2).to_string();
    for (field, value) in [
        ("session", id(&session.session_id).to_string()),
        ("user", "ann".to_owned()),
        ("client", "127.0.0.1".to_owned()),
        ("listener", listener),
        ("service", "hs2".to_owned()),
        ("cluster", "test".to_owned()),
        ("coordinator", format!("c{}", fleet.owner(&session) + 1)),
        ("state", "live".to_owned()),
        ("pinned", "an operation is open".to_owned()),
    ] {
        assert_eq!(row[field], value, "{field}: {row}");
    }
    assert_eq!((&row["open_operations"], &row["connections"]), (&1.into(), &1.into()));
    assert!(row["age"].as_f64().unwrap() >= row["idle"].as_f64().unwrap(), "{row}");
}

#[test]
fn an_operation_is_shown_until_its_client_closes_it() {
    let fleet = Fleet::secured(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(600000)").unwrap();
    let shown = list(fleet.router(), "operations");
    let row = &shown["operations"][0];
    let (operation_id, session_id) = (query_id(&operation).to_string(), id(&session.session_id).to_string());
    for (field, value) in [
        ("operation", &*operation_id),
        ("session", &*session_id),
        ("user", "ann"),
        ("client", "127.0.0.1"),
        ("coordinator", "c1"),
        ("kind", "statement"),
        ("state", "running"),
    ] {
        assert_eq!(row[field], value, "{field}: {row}");
    }
    client.cancel(&operation).unwrap();
    assert_eq!(list(fleet.router(), "operations")["operations"][0]["state"], "ended");
    client.close(&operation).unwrap();
    assert_eq!(list(fleet.router(), "operations")["total"], 0);
}

#[test]
fn a_beeswax_connection_is_shown_as_the_session_that_it_is() {
    let fleet = Fleet::of(1);
    let mut client = fleet.beeswax();
    let _query = client.execute("select sleep(600000)", "ann").unwrap();
    let shown = list(fleet.router(), "sessions");
    let row = &shown["sessions"][0];
    assert_eq!((&row["service"], &row["client"]), (&"beeswax".into(), &"127.0.0.1".into()), "{shown}");
    assert_eq!(list(fleet.router(), "operations")["operations"][0]["session"], row["session"]);
    drop(client);
    assert!(eventually(|| list(fleet.router(), "sessions")["total"] == 0));
}

#[test]
fn lists_are_filtered_by_words_and_cut_at_a_limit() {
    let fleet = Fleet::secured(2);
    let (mut ann, mut bob) = (fleet.hs2(), fleet.hs2_as("bob", "bbo"));
    let first = ann.open(&[]).unwrap();
    let others: Vec<_> = (0..3).map(|_| bob.open(&[]).unwrap()).collect();
    let counts = |query: &str| {
        let shown = list(fleet.router(), &format!("sessions{query}"));
        let rows = shown["sessions"].as_array().unwrap().len();
        (shown["total"].as_u64().unwrap(), shown["matching"].as_u64().unwrap(), rows)
    };
    assert_eq!(counts(""), (4, 4, 4));
    assert_eq!(counts("?filter=BOB"), (4, 3, 3));
    assert_eq!(counts("?filter=bob&limit=2"), (4, 3, 2));
    assert_eq!(counts("?filter=bob+127.0.0.1"), (4, 3, 3));
    assert_eq!(counts(&format!("?filter={}", id(&first.session_id))), (4, 1, 1));
    assert_eq!(counts("?filter=nobody"), (4, 0, 0));
    assert_eq!(list(fleet.router(), "sessions?limit=1")["sessions"][0]["user"], "ann", "the oldest is first");
    let _operation = bob.execute(&others[1], "select * from rows(10)").unwrap();
    let busy = list(fleet.router(), "sessions?sort=open_operations&limit=1");
    assert_eq!(busy["sessions"][0]["open_operations"], 1);
}

#[test]
fn a_query_that_is_not_understood_is_refused_with_the_parameters_that_are() {
    let fleet = Fleet::of(1);
    for (query, why) in
        [("limit=x", "limit must be"), ("order=age", "limit, filter and"), ("sort=user", "sort must be")]
    {
        let (status, text) = ask(fleet.router(), &format!("GET /api/v1/sessions?{query}"), "");
        assert_eq!(status, 400);
        assert!(text.contains(why), "{text}");
    }
    let (status, _) = ask(fleet.router(), &format!("GET /api/v1/operations?filter={}", "x".repeat(300)), "");
    assert_eq!(status, 400);
}

#[test]
fn neither_secrets_nor_statements_are_shown() {
    let fleet = Fleet::with(Plan { users: &[("ann", "hunter2")], coordinators: 1, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[("use:database", "salaries")]).unwrap();
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    for path in ["sessions", "operations"] {
        let shown = list(fleet.router(), path).to_string().to_lowercase();
        assert!(shown.contains("\"ann\""), "{shown}");
        for secret in [&session.session_id.secret, &operation.operation_id.secret] {
            assert!(!shown.contains(&HEXLOWER.encode(secret)), "{shown}");
            assert!(!shown.contains(&BASE64.encode(secret).to_lowercase()), "{shown}");
        }
        for text in ["hunter2", "rows(10)"] {
            assert!(!shown.contains(text), "{shown}");
        }
    }
}
