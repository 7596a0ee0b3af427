//! Who may import whom: the compiler cannot keep the layers of one crate apart, so this reads the imports.

mod circles;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

/// A layer (a folder of `src/`, or a file of it) and the others that it may import; every layer may import
/// itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("clock", &[]),
    ("chance", &[]),
    ("metrics", &["ids"]),
    ("idl", &[]),
    ("wire", &["ids"]),
    ("cluster", &["ids"]),
    ("session", &["ids", "wire", "cluster"]),
    ("net", &["ids", "clock", "wire"]),
    ("serve", &["ids", "clock", "chance", "metrics", "wire", "cluster", "session", "net"]),
    ("control", &["ids", "clock", "chance", "metrics", "wire", "cluster", "session", "net", "serve"]),
    ("cli", &["control", "net"]),
    ("cmd", &["cli", "control", "serve", "net", "cluster", "session", "metrics", "clock", "ids", "fake"]),
    ("fake", &["ids", "clock", "chance", "net", "idl"]),
];

/// The layers that neither perform IO nor read a clock nor draw random numbers.
const PURE: &[&str] = &["wire", "session", "cluster"];

/// What tests may import in every layer: a moment to begin with, and what stands for the rest of the world.
const FOR_TESTS: &[&str] = &["clock", "chance", "fake", "idl"];

/// What those may not name.
const BANNED: &[&str] = &[
    "tokio",
    "std::net::Tcp",
    "TcpStream",
    "TcpListener",
    "std::fs",
    "Instant::now",
    "clock::now",
    "rand::rng(",
];

#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The layer of a file, by its path below `src/`; none for `lib.rs` and `main.rs`, which see everything.
fn layer(file: &str) -> Option<&str> {
    let first = file.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "lib" | "main")).then_some(name)
}

/// The text with comments and the contents of strings blanked, so that places stay what they were.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut quoted = false;
        let mut before = ' ';
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            if !quoted && character == '/' && characters.peek() == Some(&'/') {
                break;
            }
            if character == '"' && before != '\\' && before != '\'' {
                quoted = !quoted;
            }
            code.push(if quoted { ' ' } else { character });
            before = if before == '\\' { ' ' } else { character };
        }
        code.push('\n');
    }
    code
}

/// The names that follow `crate::` here: one, or those at the top of a group.
fn imported(after: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = after.trim_start().strip_prefix('{') else {
        let after = after.trim_start();
        return vec![&after[..name(after)]];
    };
    let mut names = Vec::new();
    let (mut depth, mut expected) = (1, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            c if expected && depth == 1 && !c.is_whitespace() => {
                names.push(&group[at..at + name(&group[at..])]);
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Whether a file is there for tests alone: those may use the clock to have a moment to begin with.
fn is_for_tests(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// What a file below `src/` imports that its layer may not.
fn breaches(file: &str, text: &str) -> Vec<Breach> {
    let Some(own) = layer(file) else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == own) else {
        return vec![Breach { file: file.into(), line: 1, what: format!("{own} is in no layer") }];
    };
    let code = code_of(text);
    let tests_at =
        if is_for_tests(file) { 0 } else { code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len()) };
    let breach =
        |at: usize, what| Breach { file: file.into(), line: 1 + code[..at].matches('\n').count(), what };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with('$')) {
        for name in imported(&code[at + "crate::".len()..]) {
            let for_test = at >= tests_at && FOR_TESTS.contains(&name);
            if name != own && !allowed.contains(&name) && !for_test {
                found.push(breach(at, format!("{own} may not import {name}")));
            }
        }
    }
    for banned in BANNED.iter().filter(|_| PURE.contains(&own)) {
        for (at, _) in code.match_indices(banned).filter(|(at, _)| *at < tests_at) {
            found.push(breach(at, format!("{own} may not name {banned}")));
        }
    }
    found
}

/// Every Rust file below a folder, with its path from there.
fn sources(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_layer_imports_what_it_may_not() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files);
    let seen: BTreeSet<&str> = files.iter().filter_map(|(file, _)| layer(file)).collect();
    let known: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(seen, known, "the table of layers and src/ differ");
    let mut report = String::new();
    for breach in files.iter().flat_map(|(file, text)| breaches(file, text)) {
        writeln!(report, "{breach}").unwrap();
    }
    assert!(report.is_empty(), "\n{report}");
}

/// The lines of a `select!` that leaves to chance which of its branches is looked at first.
fn left_to_chance(text: &str) -> Vec<usize> {
    let code = code_of(text);
    let selects = code.match_indices("select! {");
    let unbiased =
        selects.filter(|(at, select)| !code[at + select.len()..].trim_start().starts_with("biased;"));
    unbiased.map(|(at, _)| 1 + code[..at].matches('\n').count()).collect()
}

#[test]
fn no_select_is_left_to_chance() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files);
    let selects = files.iter().filter(|(_, text)| text.contains("select! {")).count();
    assert!(selects > 5, "{selects} files with a select! were found");
    for (file, text) in files {
        let lines = left_to_chance(&text);
        assert!(lines.is_empty(), "src/{file}:{lines:?}: say `biased;`");
    }
    assert_eq!(left_to_chance("\nselect! {\n    biased;\n}\nselect! {\n    () = a => {}\n}"), [5]);
}

fn lines_of(file: &str, text: &str) -> Vec<(usize, String)> {
    breaches(file, text).into_iter().map(|breach| (breach.line, breach.what)).collect()
}

#[test]
fn a_breach_is_found_with_its_line_however_it_is_written() {
    let said = |line: usize, what: &str| vec![(line, what.to_owned())];
    let no_session = "net may not import session";
    assert_eq!(lines_of("net/dial.rs", "\nuse crate::session::table::Table;\n"), said(2, no_session));
    assert_eq!(
        lines_of("net/dial.rs", "use crate::{\n    ids::{A, B},\n    session::Table,\n};"),
        said(1, no_session)
    );
    assert_eq!(
        lines_of("net/dial.rs", "fn f() {\n    g(\"//\", crate::session::f());\n}"),
        said(2, no_session)
    );
    assert_eq!(lines_of("fake/rows.rs", "use crate::wire::scan;"), said(1, "fake may not import wire"));
    assert_eq!(
        lines_of("cluster/mod.rs", "use crate::metrics::Metrics;"),
        said(1, "cluster may not import metrics")
    );
    assert_eq!(lines_of("new.rs", ""), said(1, "new is in no layer"));
}

#[test]
fn a_pure_layer_may_not_name_io_clock_or_chance() {
    for (text, what) in [
        ("use tokio::io;", "tokio"),
        ("use std::net::TcpStream;", "TcpStream"),
        ("let now = Instant::now();", "Instant::now"),
        ("let text = std::fs::read(path);", "std::fs"),
        ("let mut rng = rand::rng();", "rand::rng("),
    ] {
        let found = lines_of("session/decide.rs", text);
        assert!(found.contains(&(1, format!("session may not name {what}"))), "{text}: {found:?}");
        assert_eq!(lines_of("net/dial.rs", text), [], "{text}");
    }
}

#[test]
fn what_is_allowed_or_not_code_is_no_breach() {
    assert_eq!(lines_of("serve/mod.rs", "use crate::{ids::A, net::{B, session::C}, serve::D};"), []);
    assert_eq!(
        lines_of("wire/scan.rs", "//! See [`crate::serve`] and tokio.\nlet a = \"tokio crate::serve\";"),
        []
    );
    assert_eq!(lines_of("wire/scan.rs", "#[cfg(test)]\nmod tests {\n    use crate::clock::now;\n}"), []);
    assert_eq!(lines_of("main.rs", "use crate::serve::client::listen;"), []);
}
