//! The checked-in types are what the Thrift compiler makes of the definitions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure to set the test up is a failed test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

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
