//! The checked-in types are what the Thrift compiler makes of the definitions, and what the router knows of
//! requests is what the definitions say.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure to set the test up is a failed test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use hs2router::wire::method;
use hs2router::wire::scan::Scanner;
use hs2router::wire::watch::Strings;

use crate::support::message::{Message, Value};

/// The only compiler version whose output is compared: each writes its code in its own way.
const COMPILER: &str = "Thrift version 0.17.0";

#[test]
fn the_generated_types_are_current() {
    if !compiler_found() {
        let required = ["CI", "HS2ROUTER_REQUIRE_TOOLS"].iter().any(|name| std::env::var_os(name).is_some());
        assert!(!required, "{COMPILER} is needed here (Debian: thrift-compiler)");
        eprintln!("SKIPPED the_generated_types_are_current: no {COMPILER} (Debian: thrift-compiler)");
        return;
    }
    let idl = Path::new(env!("CARGO_MANIFEST_DIR")).join("idl");
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new(idl.join("generate")).arg(fresh.path()).status().unwrap();
    assert!(status.success(), "idl/generate failed: {status}");
    let fresh = sources(fresh.path());
    let kept = sources(&idl.join("gen"));
    assert!(!fresh.is_empty(), "idl/generate wrote nothing");
    assert_eq!(fresh.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for (name, text) in &fresh {
        assert!(kept[name] == *text, "idl/gen/{name} is not current: run idl/generate");
    }
}

fn compiler_found() -> bool {
    Command::new("thrift")
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == COMPILER)
}

fn sources(folder: &Path) -> BTreeMap<String, String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// A field of a struct, or an argument of a method: its number, its type, its name.
#[derive(Clone, Debug)]
struct Field {
    id: i16,
    kind: String,
    name: String,
}

/// What the definitions say, as far as they say it in the form that they are written in here.
#[derive(Default)]
struct Definitions {
    structs: BTreeMap<String, Vec<Field>>,
    /// Those of both services, where they share a name.
    methods: Vec<(String, Vec<Field>)>,
}

impl Definitions {
    fn read() -> Self {
        let mut all = Self::default();
        for name in ["TCLIService", "beeswax", "ImpalaService"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("idl").join(name).with_extension("thrift");
            let text = fs::read_to_string(path).unwrap();
            let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
            all.add(&code.join("\n"));
        }
        all
    }

    fn add(&mut self, code: &str) {
        for block in code.split('}') {
            let Some((head, body)) = block.split_once('{') else { continue };
            let mut words =
                head.lines().rev().find(|line| !line.trim().is_empty()).unwrap().split_whitespace();
            match (words.next().unwrap(), words.next().unwrap_or_default()) {
                ("struct", name) => {
                    // Only `TStatus` stands in two files, and in no request.
                    self.structs.insert(name.to_owned(), body.lines().filter_map(field).collect());
                }
                ("service", _) => self.methods.extend(body.split(')').filter_map(declared)),
                _ => {}
            }
        }
    }

    /// The containers that a reader of these fields knows: where they stand, and their types.
    fn containers(&self, fields: &[Field], around: &[i16]) -> Vec<(Vec<i16>, Field)> {
        let found = fields.iter().flat_map(|field| {
            let path = [around, &[field.id]].concat();
            let kind = field.kind.rsplit('.').next().unwrap();
            match self.structs.get(kind) {
                Some(inner) => self.containers(inner, &path),
                None if field.kind.contains('<') => vec![(path, field.clone())],
                None => Vec::new(),
            }
        });
        found.collect()
    }
}

/// `1: required map<string, string> name`.
fn field(line: &str) -> Option<Field> {
    let (id, rest) = line.trim().split_once(':')?;
    let rest = rest.trim().trim_start_matches("required ").trim_start_matches("optional ");
    let rest = rest.split('=').next().unwrap().trim();
    let (kind, name) = rest.rsplit_once(' ')?;
    Some(Field { id: id.trim().parse().ok()?, kind: kind.trim().to_owned(), name: name.to_owned() })
}

/// `TReply Method(1: TRequest req`, without the end.
fn declared(text: &str) -> Option<(String, Vec<Field>)> {
    let (head, arguments) = text.split_once('(')?;
    let name = head.split_whitespace().last()?;
    (name != "throws").then(|| (name.to_owned(), arguments.split(", ").filter_map(field).collect()))
}

/// A call with nothing in it but one container, at this path, of one element of these types.
fn with_container(name: &str, path: &[i16], kind: u8, elements: &[u8]) -> Vec<u8> {
    let container = [elements, &1_i32.to_be_bytes(), &vec![0; elements.len()]].concat();
    let around = |inside: Value, id: &i16| Value::Struct(vec![(*id, inside)]);
    let body = path.iter().rev().fold(Value::Raw(kind, container), around);
    Message { body, ..Message::call(name, Vec::new()) }.encode()
}

#[test]
fn every_container_that_a_request_has_by_its_definition_is_known_and_holds_strings() {
    let definitions = Definitions::read();
    let (mut seen, mut found) = (std::collections::BTreeSet::new(), 0);
    for (name, arguments) in &definitions.methods {
        let method = method::lookup(name.as_bytes());
        assert_eq!(method.name, name, "it is in no table");
        seen.insert(method.name);
        for (path, field) in definitions.containers(arguments, &[]) {
            let (kind, bytes): (u8, &[u8]) = match field.kind.as_str() {
                "map<string, string>" => (13, &[3, 3]),
                "list<string>" => (15, &[3]),
                other => panic!("{name}: {} is a {other}", field.name),
            };
            let mut scanner = Scanner::request(1 << 10);
            assert!(scanner.push(&with_container(name, &path, kind, bytes)).unwrap().done);
            let known = scanner.facts().mistyped.map(Strings::name);
            assert_eq!(known, Some(field.name.as_str()), "{name}: {path:?}");
            found += 1;
        }
    }
    assert_eq!(seen.len(), method::all().count(), "some are in no definition");
    assert_eq!(found, 9);
}
