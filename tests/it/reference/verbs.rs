//! What operators can have the router do is the same wherever they ask for it.

use std::fs;
use std::path::PathBuf;

use hs2router::control::verbs::{Parameter, Verb};

use crate::admin::{ALLOWED, ask_at};
use crate::cli::outcome;
use crate::support::fleet::Fleet;

fn text_of(file: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn every_verb_is_a_command_a_button_and_a_line_of_the_reference() {
    let (page, reference) = (text_of("src/control/page/verbs.js"), text_of("docs/ADMIN.md"));
    for verb in Verb::ALL {
        let words = verb.words();
        let help: Vec<&str> = words.split(' ').chain(["--help"]).collect();
        let (code, help, _) = outcome(&help);
        assert!(code == 0 && help.contains(&format!("hs2router {words}")), "{words}: {help}");
        assert!(page.contains(&format!("\n  \"{words}\": {{\n    title: ")), "{words}");
        assert!(reference.contains(&format!("\n| `hs2router {words}")), "{words}");
    }
}

/// The path of a verb with these names in it.
fn asked(verb: Verb, query: &str) -> String {
    let (method, path) = verb.path();
    let named = path.split('/').map(|part| if part.starts_with('{') { "nothing-such" } else { part });
    format!("{method} {}{query}", named.collect::<Vec<_>>().join("/"))
}

#[test]
fn every_verb_is_authorised_by_itself_and_takes_what_it_knows_alone() {
    let fleet = Fleet::of(1);
    let ask = |request: &str, lines: &str| ask_at(fleet.router().router().admin(), request, lines);
    for verb in Verb::ALL {
        let words = verb.words();
        assert_eq!(ask(&asked(verb, ""), "").0, 403, "{words}");
        let (status, said) = ask(&asked(verb, "?nothing=1"), ALLOWED);
        assert_eq!(status, 400, "{words}: {said}");
        let says = |(name, how): &Parameter| said.contains(&format!("{name} ({how})"));
        assert!(verb.parameters().iter().all(says), "{words}: {said}");
        if verb.path().1.contains('{') {
            let (status, said) = ask(&asked(verb, ""), ALLOWED);
            assert!(status == 404 && said.contains("; hs2router "), "{words}: {said}");
        }
    }
}
