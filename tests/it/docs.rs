//! What the documents say of the source is true: files, functions and the table of methods.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hs2router::wire::method::{self, Method, Owner, Retry, Role};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The documents that speak of the source.
const DOCUMENTS: [&str; 9] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/ARCHITECTURE.md",
    "docs/KERBEROS.md",
    "docs/PROTOCOL.md",
    "docs/OUT-OF-SCOPE.md",
    "docs/TLS.md",
    "docs/TROUBLESHOOTING.md",
    "docs/HTTP.md",
];

/// What stands between single backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The file that a path means: from the root of the project, or below `src/`.
fn file(path: &str) -> Option<PathBuf> {
    [root().join(path), root().join("src").join(path)].into_iter().find(|file| file.exists())
}

/// Whether Rust source defines something of this name.
fn defines(source: &str, name: &str) -> bool {
    const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];
    source.lines().any(|line| {
        let words: Vec<&str> =
            line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        !line.trim_start().starts_with("//")
            && words.windows(2).any(|two| KINDS.contains(&two[0]) && two[1] == name)
    })
}

/// What is wrong with something quoted, if it speaks of the source and is not true.
fn fault(quoted: &str) -> Option<String> {
    if quoted.contains(char::is_whitespace) || quoted.contains(['*', '…', '<', '{']) {
        return None;
    }
    let (path, name) = quoted.split_once("::").map_or((quoted, None), |(path, name)| (path, Some(name)));
    let is_path = Path::new(path).extension().is_some_and(|e| e == "rs") || path.starts_with("src/");
    if !is_path {
        return None;
    }
    let Some(file) = file(path) else { return Some(format!("{quoted}: there is no {path}")) };
    let name = name?;
    (!defines(&fs::read_to_string(file).unwrap(), name)).then(|| format!("{quoted}: no {name} there"))
}

#[test]
fn every_file_and_function_that_the_documents_name_exists() {
    let mut checked = BTreeSet::new();
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for quoted in quoted(&text).into_iter().filter(|quoted| quoted.contains(".rs")) {
            checked.insert(quoted.to_owned());
            faults.extend(fault(quoted).map(|fault| format!("{document}: {fault}")));
        }
    }
    assert!(checked.len() > 40, "only {} references found", checked.len());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_reference_that_is_not_true_is_found() {
    assert_eq!(fault("wire/detect.rs::detect"), None);
    assert_eq!(fault("src/wire"), None);
    assert_eq!(fault("UPDATE_DOCS=1 cargo test"), None);
    assert!(fault("wire/detect.rs::detec").is_some());
    assert!(fault("wire/nowhere.rs").is_some());
    assert!(fault("src/nowhere").is_some());
}

/// The links of a Markdown text that lead to files: `](docs/CONFIG.md)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut checked = 0;
    for document in DOCUMENTS {
        let at = root().join(document);
        let folder = at.parent().unwrap();
        let text = fs::read_to_string(&at).unwrap();
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or(link);
            assert!(folder.join(target).exists(), "{document}: {link}");
            checked += 1;
        }
    }
    assert!(checked > 5, "only {checked} links found");
}

fn role(role: Role) -> &'static str {
    match role {
        Role::OpenSession => "opens a session",
        Role::CloseSession => "closes a session",
        Role::UseSession => "uses a session",
        Role::Statement => "runs a statement",
        Role::Metadata => "asks for metadata",
        Role::UseOperation => "uses an operation",
        Role::CancelOperation => "cancels an operation",
        Role::Fetch => "fetches rows",
        Role::Poll => "asks for an operation's state",
        Role::CloseOperation => "closes an operation",
        Role::Profile => "reads about an operation, open or closed",
        Role::Connection => "needs the connection only",
        Role::Unknown => "not known: goes by a handle in the usual place",
    }
}

fn again(retry: Retry) -> &'static str {
    match retry {
        Retry::NextCandidate => "to the next candidate",
        Retry::Once => "once",
        Retry::OnceGoneIsDone => "once; \"no such handle\" is then success",
        Retry::Never => "never",
    }
}

fn methods() -> String {
    let mut table = String::from("| method | service | role | sent again |\n| --- | --- | --- | --- |\n");
    for Method { name, service, role: does, retry, .. } in method::all().chain([&method::UNKNOWN]) {
        let service = match service {
            Owner::Hs2 => "HS2",
            Owner::Beeswax => "Beeswax",
            Owner::Either => "both",
            Owner::Unknown => "the connection's",
        };
        let name = if *service == *"the connection's" { "any other".to_owned() } else { format!("`{name}`") };
        writeln!(table, "| {name} | {service} | {} | {} |", role(*does), again(*retry)).unwrap();
    }
    table
}

#[test]
fn the_table_of_methods_is_current() {
    const BEGIN: &str = "UPDATE_DOCS=1 cargo test docs -->\n";
    const END: &str = "<!-- methods end -->";
    let at = root().join("docs/PROTOCOL.md");
    let text = fs::read_to_string(&at).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (stored, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&at, format!("{before}{BEGIN}{}{END}{after}", methods())).unwrap();
        return;
    }
    assert_eq!(stored, methods(), "docs/PROTOCOL.md is out of date: UPDATE_DOCS=1 cargo test docs");
}

/// The rows of tables in a text, but for their heads.
fn rows(text: &str) -> Vec<&str> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    rows.filter(|row| !row.starts_with("| what ") && !row.starts_with("| --- ")).collect()
}

#[test]
fn the_figures_in_the_readme_are_those_of_the_benchmarks() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let (readme, benchmarks) = (read("README.md"), read("docs/BENCHMARKS.md"));
    let (_, rest) = readme.split_once("<!-- three lines of docs/BENCHMARKS.md -->").unwrap();
    let (quoted, _) = rest.split_once("<!-- /three lines -->").unwrap();
    let quoted = rows(quoted);
    assert_eq!(quoted.len(), 3, "{quoted:?}");
    let there: BTreeSet<&str> = rows(&benchmarks).into_iter().collect();
    let invented: Vec<_> = quoted.iter().filter(|row| !there.contains(*row)).collect();
    assert!(invented.is_empty(), "not in docs/BENCHMARKS.md: {invented:#?}");
}
