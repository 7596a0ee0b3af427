//! Every file and command of `docs/TLS.md` does what the document says, and what it says of the source is
//! true.

mod blocks;
mod coordinators;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use blocks::{Block, Section, sections};
use world::World;

/// The section that makes the certificates for all others.
const FIRST: &str = "Certificates to try it with";

/// The section whose config stands until another section has one of its own.
const USUAL: &str = "TLS to the router only";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn document() -> Vec<Section> {
    sections(&read("docs/TLS.md"))
}

/// Goes through a section, as a reader does who has made the certificates.
fn follow(title: &str) {
    let document = document();
    let section = |title| &document.iter().find(|section| section.title == title).expect(title).blocks;
    let mut world = World::new();
    let files = section(USUAL).iter().filter(|block| matches!(block, Block::File { .. }));
    for block in section(FIRST).iter().chain(files).chain(section(title)) {
        match block {
            Block::File { name, text } => world.write(name, text),
            Block::Steps(steps) if !steps.iter().all(|step| world.take(step)) => return,
            Block::Steps(_) | Block::NotRun => {}
        }
    }
}

/// A test for each section with commands.
macro_rules! followed {
    ($($test:ident: $title:literal,)*) => {
        const FOLLOWED: &[&str] = &[$($title),*];
        $(#[test]
        fn $test() {
            follow($title);
        })*
    };
}

followed! {
    tls_to_the_router_only: "TLS to the router only",
    http_inside_of_tls: "HTTP inside of TLS",
    tls_to_the_coordinators_only: "TLS to the coordinators only",
    tls_on_both_sides: "TLS on both sides",
    moving_to_tls_while_everything_runs: "Moving to TLS while everything runs",
    one_name_for_all_coordinators: "One name for all coordinators",
    certificates_of_clients: "Certificates of clients",
    renewal: "Renewal",
    several_routers: "Several routers",
    from_haproxy: "From HAProxy",
}

#[test]
fn every_section_with_commands_is_followed() {
    for Section { title, blocks } in document() {
        let runs = blocks.iter().any(|block| *block != Block::NotRun);
        assert!(!runs || title == FIRST || FOLLOWED.contains(&title.as_str()), "{title}");
    }
}

/// What stands between single backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    let outside = text.split("\n```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_key_and_metric_that_is_named_exists() {
    let (text, keys, metrics) = (read("docs/TLS.md"), read("docs/CONFIG.md"), read("docs/METRICS.md"));
    let mut checked = 0;
    for quoted in quoted(&text) {
        for (before, _) in quoted.match_indices(" = ").map(|(at, _)| quoted.split_at(at)) {
            let key = before.rsplit([' ', '{']).next().unwrap();
            checked += 1;
            // A server's name is a key of the table `sni`.
            assert!(key.starts_with('"') || keys.contains(&format!("\n| `{key}` |")), "{quoted}");
        }
    }
    let names = text.split("hs2router_").skip(1).filter_map(|rest| rest.split(['{', '`', ' ']).next());
    for name in names {
        checked += 1;
        assert!(metrics.contains(&format!("`hs2router_{name}`")), "{name}");
    }
    assert!(checked > 20, "only {checked}");
}

/// The texts of a Rust file, each as it is printed but for what is put in.
fn texts(file: &str) -> String {
    let source = read(file);
    let lines = source.lines().map(str::trim);
    lines.fold(String::new(), |all, line| match all.strip_suffix('\\') {
        Some(begun) => format!("{begun}{line}"),
        None => format!("{all}\n{line}"),
    })
}

#[test]
fn every_line_that_is_explained_can_be_logged() {
    let files = [
        "src/serve/message/end.rs",
        "src/net/tls/refusal.rs",
        "src/net/tls/client/failure.rs",
        "src/net/tls/client/verifier.rs",
    ];
    let logged: String = files.into_iter().map(texts).collect();
    let text = read("docs/TLS.md");
    let tables = text.split("| in the log |").skip(1).filter_map(|rest| rest.split("\n\n").next());
    let rows: Vec<_> = tables.flat_map(|table| table.lines().skip(2)).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let said = row.split('`').nth(1).unwrap();
        assert!(logged.contains(said), "{said}");
    }
}
