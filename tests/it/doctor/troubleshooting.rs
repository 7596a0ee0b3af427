//! `docs/TROUBLESHOOTING.md` explains each finding, and quotes the router as it speaks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hs2router::cmd::doctor::{KINDS, Kind};

const BEGIN: &str = "<!-- findings -->\n";
const END: &str = "<!-- end of findings -->";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join("docs/TROUBLESHOOTING.md")).unwrap()
}

/// The document, with the table of findings as the program has it.
fn written_anew(text: &str) -> String {
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let row = |kind: &&Kind| {
        let (name, level) = (kind.name, kind.level.as_str());
        format!("| `{name}` | {level} | {} | {} |\n", kind.means, kind.remedy)
    };
    let rows: Vec<String> = KINDS.iter().map(row).collect();
    let table =
        format!("| finding | level | it means | what to do |\n| --- | --- | --- | --- |\n{}", rows.concat());
    format!("{before}{BEGIN}{table}{END}{after}")
}

#[test]
fn the_table_of_findings_is_current() {
    let stored = document();
    let current = written_anew(&stored);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join("docs/TROUBLESHOOTING.md"), &current).unwrap();
        return;
    }
    assert!(stored == current, "out of date: UPDATE_DOCS=1 cargo test the_table_of_findings");
}

/// The rows of the table below this heading, each as its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = document();
    let (_, below) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The texts of all Rust files below a folder, each as it is printed but for what is put in.
fn texts(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, all);
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines().map(str::trim) {
            match line.strip_suffix('\\') {
                Some(begun) => all.push_str(begun),
                None => all.extend([line, "\n"]),
            }
        }
    }
}

#[test]
fn each_text_of_the_router_is_one_that_it_can_say() {
    let mut said = String::new();
    for folder in ["src/control", "src/net", "src/serve", "src/session", "src/wire"] {
        texts(&root().join(folder), &mut said);
    }
    let rows = rows("What the router says");
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let texts = quoted(&row[0]);
        assert!(!texts.is_empty(), "{row:?}");
        for text in texts {
            assert!(said.contains(text), "nothing says {text}");
        }
    }
}

#[test]
fn each_finding_that_a_row_names_is_one_of_the_doctors() {
    let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let mut checked = 0;
    for heading in ["What the router says", "What clients, coordinators and libraries say"] {
        for row in rows(heading) {
            assert_eq!(row.len(), 4, "{row:?}");
            for name in quoted(&row[2]).into_iter().filter(|name| !name.contains('A')) {
                assert!(names.contains(name), "{name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn what_users_ask_for_most_is_found_by_its_words() {
    let text = document();
    for words in [
        "Server not found in Kerberos database",
        "Request is a replay",
        "Peer indicated failure: Unsupported mechanism type PLAIN",
        "TSocket read 0 bytes",
        "Clock skew too great",
        "Invalid session id",
    ] {
        assert!(text.contains(&format!("| `{words}`")), "{words}");
    }
}
