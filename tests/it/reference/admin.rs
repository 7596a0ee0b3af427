//! `docs/ADMIN.md` is written by hand, except its examples, which are the program's own answers.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hs2router::control::admin::paths;
use serde_json::Value;

use crate::admin::{ALLOWED, ask_at};
use crate::support::certificates::Authority;
use crate::support::crowded::Crowded;
use crate::support::fleet::{Fleet, Plan};
use crate::support::router::{SELDOM, TestRouter, eventually};

const BEGIN: &str = "```json\n";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/ADMIN.md")
}

/// The fields of a value, `a.b` within `a`, `a[].b` within the items of `a`.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields(member, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

fn fields_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    fields(value, "", &mut found);
    found
}

/// A coordinator of which everything can be said.
fn coordinator() -> Value {
    let fleet = Fleet::with(Plan { coordinators: 1, watched: true, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    let ask = |request| ask_at(fleet.router().router().admin(), request, ALLOWED);
    assert_eq!(ask("POST /api/v1/coordinators/c1/drain").0, 200);
    first_of(fleet.router(), "coordinators", |shown| {
        !shown["others"].is_null() && !shown["waits_for"][0].is_null()
    })
}

/// A listener or a cluster of which everything can be said.
fn encrypted(list: &str) -> Value {
    let authority = Authority::new();
    let (pair, ca) = (authority.issue("router", &["router.example.com"]), authority.ca());
    let ca = ca.display();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = {{ {own}, client_ca = \"{ca}\" }}\n\
         [[cluster]]\n{SELDOM}\ncoordinators = [\"impala-1.invalid\"]\n\
         tls = {{ {own}, ca = \"{ca}\", verify = \"name-of-cluster\", server_name = \"impala.example.com\" }}\n",
        own = pair.keys()
    ));
    fs::write(ca.to_string(), "").unwrap();
    first_of(&router, list, |shown| !shown["tls"]["files"]["failure"].is_null())
}

/// The first item of a list, once it is `complete`.
fn first_of(router: &TestRouter, list: &str, complete: impl Fn(&Value) -> bool) -> Value {
    let mut shown = Value::Null;
    assert!(eventually(|| {
        shown = answer(router, list)[0].clone();
        complete(&shown)
    }));
    shown
}

fn answer(router: &TestRouter, list: &str) -> Value {
    let (_, listed) = ask_at(router.router().admin(), &format!("GET /api/v1/{list}"), "");
    serde_json::from_str(&listed).unwrap()
}

/// What is said of a session with an operation.
fn of_one_session(list: &str) -> Value {
    let fleet = Fleet::secured(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    answer(fleet.router(), list)
}

/// The example of a path, with what stands before and behind it.
struct Section<'a> {
    before: &'a str,
    example: &'a str,
    behind: &'a str,
}

impl<'a> Section<'a> {
    fn of(list: &str, text: &'a str) -> Self {
        let begin = text.find(&format!("\n## `GET /api/v1/{list}`\n")).unwrap();
        let example = begin + text[begin..].find(BEGIN).unwrap() + BEGIN.len();
        let end = example + text[example..].find("```").unwrap();
        Self { before: &text[..example], example: &text[example..end], behind: &text[end..] }
    }

    fn example(&self) -> Value {
        serde_json::from_str(self.example).unwrap_or_default()
    }

    /// The fields that are explained before the next section.
    fn explained(&self) -> BTreeSet<String> {
        let section = self.behind.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        rows.map(|(field, _)| field.to_owned()).collect()
    }
}

/// Compares what the document says of a list with its first item.
fn compare(list: &str, shown: &Value) {
    // Those that write it take turns.
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = fs::read_to_string(file()).unwrap();
    let section = Section::of(list, &text);
    // Its values are others each time: it is written anew only if it has to be.
    if std::env::var_os("UPDATE_DOCS").is_some() && fields_of(&section.example()) != fields_of(shown) {
        let Section { before, behind, .. } = section;
        text = format!("{before}{}\n{behind}", serde_json::to_string_pretty(shown).unwrap());
        fs::write(file(), &text).unwrap();
    }
    let section = Section::of(list, &text);
    assert_eq!(fields_of(&section.example()), fields_of(shown), "UPDATE_DOCS=1 cargo test reference");
    assert_eq!(section.explained(), fields_of(shown));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_a_coordinator() {
    compare("coordinators", &coordinator());
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_a_listener() {
    compare("listeners", &encrypted("listeners"));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_a_cluster() {
    compare("clusters", &encrypted("clusters"));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_sessions() {
    compare("sessions", &of_one_session("sessions"));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_connections() {
    let fleet = Fleet::secured(1);
    let _client = fleet.hs2();
    compare("connections", &answer(fleet.router(), "connections"));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_operations() {
    compare("operations", &of_one_session("operations"));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_waiting() {
    let crowded = Crowded::start();
    compare("waiting", &answer(crowded.fleet.router(), "waiting"));
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_events() {
    let fleet = Fleet::secured(1);
    let stranger = fleet.hs2();
    // No call that anybody knows how to follow.
    stranger.stream().write_all(&[0x80, 1, 0, 9, 0, 0, 0, 1, b'x', 0, 0, 0, 0]).unwrap();
    let mut shown = Value::Null;
    assert!(eventually(|| {
        shown = answer(fleet.router(), "events?filter=ended");
        shown["matching"] == 1
    }));
    compare("events", &shown);
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_of_the_history() {
    let fleet = Fleet::secured(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    client.close_session(&session).unwrap();
    let mut shown = Value::Null;
    assert!(eventually(|| {
        shown = answer(fleet.router(), "history");
        shown["matching"] == 1
    }));
    compare("history", &shown);
}

#[test]
fn the_admin_reference_has_every_path() {
    let text = fs::read_to_string(file()).unwrap();
    for (method, path) in paths() {
        assert!(text.contains(&format!("\n## `{method} {path}`\n")), "{method} {path}");
    }
    assert_eq!(text.matches("\n## `").count(), paths().count(), "and no other");
}
