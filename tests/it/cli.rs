//! The program as a shell sees it: output, errors and exit codes.

use std::process::{Command, Output};

fn hs2router(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hs2router"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/config"))
        .output()
        .unwrap()
}

/// The exit code, and what was printed to standard output and to standard error.
fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = hs2router(arguments);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_good_config_is_described_on_standard_output() {
    let (code, out, err) = outcome(&["check", "valid/smallest.toml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("listens on 0.0.0.0:21050"), "{out}");
}

#[test]
fn a_bad_config_exits_with_78_and_all_its_problems() {
    let (code, out, err) = outcome(&["check", "invalid/services.toml"]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert_eq!(err.lines().count(), 4, "{err}");
    assert!(err.lines().all(|line| line.starts_with("invalid/services.toml:")), "{err}");
}

#[test]
fn a_missing_config_exits_with_78_and_says_why_once() {
    let (code, _, err) = outcome(&["check", "no-such-file.toml"]);
    assert_eq!(code, 78);
    assert!(err.starts_with("cannot read no-such-file.toml: No such file"), "{err}");
    assert_eq!(err.matches("No such file").count(), 1, "{err}");
}

#[test]
fn wrong_usage_exits_with_64() {
    for arguments in [&["chek"][..], &[], &["check"], &["run"], &["run", "--coordinator", "jdbc:hive2://a"]] {
        let (code, out, err) = outcome(arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(err.contains("hs2router") || err.contains("--help"), "{err}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    let (code, out, _) = outcome(&["--help"]);
    assert!(code == 0 && out.contains("Examples:"), "{out}");
    let (code, out, _) = outcome(&["--version"]);
    assert_eq!((code, out), (0, format!("hs2router {}\n", env!("CARGO_PKG_VERSION"))));
}
