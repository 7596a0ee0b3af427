//! `docs/ADMIN.md` is written by hand, except its example, which is the program's own answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hs2router::control::admin::PATHS;
use serde_json::Value;

use crate::admin::{ALLOWED, ask_at};
use crate::support::fleet::{Fleet, Plan};
use crate::support::router::eventually;

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
fn shown() -> Value {
    let fleet = Fleet::with(Plan { coordinators: 1, watched: true, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let _operation = client.execute(&session, "select * from rows(10)").unwrap();
    let ask = |request| ask_at(fleet.router().router().admin(), request, ALLOWED);
    assert_eq!(ask("POST /api/v1/coordinators/c1/drain").0, 200);
    let mut shown = Value::Null;
    assert!(eventually(|| {
        let listed: Value = serde_json::from_str(&ask("GET /api/v1/coordinators").1).unwrap();
        shown = listed[0].clone();
        !shown["others"].is_null() && !shown["waits_for"][0].is_null()
    }));
    shown
}

/// The example, with what stands before and behind it.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let end = rest.find("```").unwrap();
    (before, &rest[..end], &rest[end..])
}

#[test]
fn the_admin_reference_shows_and_explains_every_field_that_the_program_has() {
    let (mut text, shown) = (fs::read_to_string(file()).unwrap(), shown());
    let example = |text: &str| serde_json::from_str::<Value>(parts(text).1).unwrap_or_default();
    // Its values are others each time: it is written anew only if it has to be.
    if std::env::var_os("UPDATE_DOCS").is_some() && fields_of(&example(&text)) != fields_of(&shown) {
        let (before, _, behind) = parts(&text);
        text = format!("{before}{BEGIN}{}\n{behind}", serde_json::to_string_pretty(&shown).unwrap());
        fs::write(file(), &text).unwrap();
    }
    assert_eq!(fields_of(&example(&text)), fields_of(&shown), "UPDATE_DOCS=1 cargo test reference");
    let rows = parts(&text).2.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let explained: BTreeSet<String> = rows.map(|(field, _)| field.to_owned()).collect();
    assert_eq!(explained, fields_of(&shown));
}

#[test]
fn the_admin_reference_has_every_path() {
    let text = fs::read_to_string(file()).unwrap();
    for (method, path) in PATHS {
        assert!(text.contains(&format!("\n## `{method} {path}`\n")), "{method} {path}");
    }
    assert_eq!(text.matches("\n## `").count(), PATHS.len(), "and no other");
}
