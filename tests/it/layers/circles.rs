//! Imports have one direction: between the folders of `serve/`, where no circle has more than three files,
//! and between all files of the other layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{code_of, is_for_tests, sources};

/// The folders and files of `serve/` from the bottom to the top: each may import itself and those before it.
const ORDER: &[&str] = &[
    "threads",
    "connections",
    "settings",
    "shared",
    "message",
    "link",
    "fleet",
    "background",
    "call",
    "client",
];

/// Files that a circle of imports may have.
const LARGEST_CIRCLE: usize = 3;

/// The layers in which no file may be in a circle with another.
const WITHOUT_CIRCLES: &[&str] = &["wire", "control", "session", "cluster", "net"];

/// Files by the path of their module below `src/`, and what each imports.
type Imports = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The module that a file is.
fn module_of(file: &str) -> Vec<String> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

/// The paths that a use tree names: `a::{b, c::d}` is `a::b` and `a::c::d`. Ends where the tree does.
fn expanded(tree: &str) -> Vec<Vec<String>> {
    let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    let (name, rest) = tree.split_at(end);
    let Some(rest) = rest.trim_start().strip_prefix("::") else { return vec![vec![name.to_owned()]] };
    let below = match rest.trim_start().strip_prefix('{') {
        Some(group) => group_of(group).into_iter().flat_map(|tree| expanded(tree.trim())).collect(),
        None => expanded(rest.trim_start()),
    };
    let with_name = |path: Vec<String>| std::iter::once(name.to_owned()).chain(path).collect();
    below.into_iter().map(with_name).collect()
}

/// The trees between a brace, which was taken off already, and the one that closes it.
fn group_of(group: &str) -> Vec<&str> {
    let (mut depth, mut begun, mut trees) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            ',' if depth == 0 => {
                trees.push(&group[begun..at]);
                begun = at + 1;
            }
            '}' if depth == 0 => {
                trees.push(&group[begun..at]);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    trees.retain(|tree| !tree.trim().is_empty());
    trees
}

/// The absolute paths, below `crate`, that the code of a module names; what its tests name is left out.
fn named(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code = code_of(text);
    let code = &code[..code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len())];
    let mut found = Vec::new();
    for (at, root) in ["crate::", "super::", "self::"]
        .iter()
        .flat_map(|root| code.match_indices(root))
        .filter(|(at, _)| !code[..*at].ends_with(['$', ':']) && !code[..*at].ends_with(char::is_alphanumeric))
    {
        let mut rest = &code[at..];
        let mut base = match root {
            "crate::" => Vec::new(),
            _ => module.to_vec(),
        };
        while let Some((head, below)) = rest.split_once("::") {
            match head {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = below;
        }
        let trees = match rest.strip_prefix('{') {
            Some(group) => group_of(group),
            None => vec![rest],
        };
        let paths = trees.into_iter().flat_map(|tree| expanded(tree.trim()));
        found.extend(paths.map(|path| [base.clone(), path].concat()));
    }
    found
}

/// The children of a module that its code names by their names alone: `use child::Thing`.
fn children_named(module: &[String], text: &str, modules: &BTreeSet<Vec<String>>) -> Vec<Vec<String>> {
    let code = code_of(text);
    let code = &code[..code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len())];
    let is_named = |child: &&Vec<String>| {
        let path = format!("{}::", child[module.len()]);
        let is_whole = |at: usize| {
            !code[..at]
                .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | ':' | '$'))
        };
        code.match_indices(&path).any(|(at, _)| is_whole(at))
    };
    let children = modules.iter().filter(|it| it.len() == module.len() + 1 && it.starts_with(module));
    children.filter(is_named).cloned().collect()
}

fn imports(files: &[(String, String)]) -> Imports {
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(file, _)| module_of(file)).collect();
    let mut imports = Imports::new();
    for (file, text) in files {
        let module = module_of(file);
        let to = named(&module, text).into_iter().filter_map(|mut path| {
            while !path.is_empty() && !modules.contains(&path) {
                path.pop();
            }
            // A layer by itself holds nothing: so is it named in visibilities.
            (path.len() > 1 && path != module).then_some(path)
        });
        let mut to: BTreeSet<Vec<String>> = to.collect();
        // What serve/client uses of its children makes a circle with what they use of it, larger than is
        // allowed there.
        if module.len() > 1 && WITHOUT_CIRCLES.contains(&module[0].as_str()) {
            to.extend(children_named(&module, text, &modules));
        }
        imports.insert(module, to);
    }
    imports
}

/// The modules that a module imports, and those that they import, and so on.
fn reached<'a>(imports: &'a Imports, from: &'a [String]) -> BTreeSet<&'a [String]> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for to in imports.get(module).into_iter().flatten() {
            if reached.insert(to.as_slice()) {
                next.push(to);
            }
        }
    }
    reached
}

/// The circles of imports: each module with those that it reaches and that reach it.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<&[String]>> {
    let reach: BTreeMap<&[String], _> =
        imports.keys().map(|module| (module.as_slice(), reached(imports, module))).collect();
    let circle = |module: &&[String]| -> BTreeSet<&[String]> {
        reach[module].iter().filter(|other| reach[*other].contains(module)).copied().collect()
    };
    reach.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// What breaks the rules in `serve/`, a line each.
fn breaches(files: &[(String, String)]) -> String {
    let imports = imports(files);
    let mut report = String::new();
    let place =
        |module: &[String]| ORDER.iter().position(|folder| module.get(1).is_some_and(|it| it == folder));
    for (module, to) in &imports {
        let Some(own) = place(module) else { continue };
        for upward in to.iter().filter(|to| to[0] == "serve" && place(to).is_none_or(|to| to > own)) {
            writeln!(report, "{} may not import {}", module.join("::"), upward.join("::")).unwrap();
        }
    }
    for circle in circles(&imports).iter().filter(|circle| circle.len() > LARGEST_CIRCLE) {
        let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
        writeln!(report, "{} files import each other: {}", circle.len(), names.join(", ")).unwrap();
    }
    report
}

/// The circles in the other layers, a line each.
fn circle_breaches(files: &[(String, String)]) -> String {
    let imports = imports(files);
    let mut report = String::new();
    for circle in circles(&imports) {
        let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
        writeln!(report, "these files import each other: {}", names.join(", ")).unwrap();
    }
    report
}

fn files_of(layers: &[&str]) -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for layer in layers {
        sources(&root, &root.join(layer), &mut files);
    }
    files.retain(|(file, _)| !is_for_tests(file));
    files
}

fn files_of_serve() -> Vec<(String, String)> {
    files_of(&["serve"])
}

#[test]
fn no_files_of_the_other_layers_import_each_other() {
    let report = circle_breaches(&files_of(WITHOUT_CIRCLES));
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn a_circle_of_two_files_is_found_however_the_import_is_written() {
    let report = |file: &str, line: &str| {
        let mut files = files_of(WITHOUT_CIRCLES);
        let (_, text) = files.iter_mut().find(|(name, _)| name == file).expect("the file is there");
        text.insert_str(0, line);
        circle_breaches(&files)
    };
    for (file, line, said) in [
        ("wire/watch.rs", "use super::scan::Scanner;\n", "wire::facts, wire::hs2::method"),
        ("wire/scan/levels.rs", "use super::Scanner;\n", "wire::scan, wire::scan::levels"),
        ("wire/thrift.rs", "use crate::wire::{facts::Facts, frame};\n", "wire::thrift"),
        (
            "control/config/checked.rs",
            "use super::rules;\n",
            "control::config::checked, control::config::rules",
        ),
        (
            "control/config/section.rs",
            "fn f() { super::keys::SECTIONS; }\n",
            "control::config::keys, control::config::keys::history, control::config::keys::kerberos, \
             control::config::keys::listener",
        ),
        (
            "control/admin/shown.rs",
            "use super::View;\n",
            "control::admin, control::admin::coordinators, control::admin::shown",
        ),
        ("cluster/load.rs", "use super::pick::Candidate;\n", "cluster::load, "),
        ("session/statement.rs", "use crate::session::{decide::Plan, table};\n", "session::statement"),
        ("net/host.rs", "use crate::net::dial::dial;\n", "net::dial, net::host"),
    ] {
        let report = report(file, line);
        assert!(report.contains("import each other") && report.contains(said), "{line}{report}");
    }
    assert_eq!(report("wire/watch.rs", "//! See [`super::scan`].\n"), "");
}

#[test]
fn the_folders_of_serve_have_one_direction_and_small_circles() {
    let files = files_of_serve();
    let seen: BTreeSet<String> =
        files.iter().filter_map(|(file, _)| module_of(file).get(1).cloned()).collect();
    let known: BTreeSet<String> = ORDER.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(seen, known, "the order of folders and src/serve/ differ");
    let report = breaches(&files);
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn an_import_against_the_direction_is_found_however_it_is_written() {
    let add = |file: &str, line: &str| {
        let mut files = files_of_serve();
        let (_, text) = files.iter_mut().find(|(name, _)| name == file).expect("the file is there");
        text.insert_str(0, line);
        breaches(&files)
    };
    let said = "serve::link::port may not import serve::call::conn\n";
    for line in [
        "use crate::serve::call::conn::Conn;\n",
        "use crate::serve::{call::{conn::{Conn, look_interval}}, shared::Shared};\n",
        "use super::super::call::conn::Conn;\n",
        "fn f(conn: &crate::serve::call::conn::Conn<S>) {}\n",
    ] {
        assert!(add("serve/link/port.rs", line).contains(said), "{line}");
    }
    assert_eq!(add("serve/link/port.rs", "// crate::serve::call::conn::Conn\n"), "");
}

#[test]
fn a_circle_of_four_files_is_found() {
    let file =
        |name: &str, imports: &str| (format!("serve/call/{name}.rs"), format!("use super::{imports}::A;\n"));
    let four = [file("a", "b"), file("b", "c"), file("c", "d"), file("d", "a")];
    assert!(breaches(&four).contains("4 files import each other"), "{}", breaches(&four));
    let three = [file("a", "b"), file("b", "c"), file("c", "a"), file("d", "a")];
    assert_eq!(breaches(&three), "");
}
