//! A program with a pool of JDBC connections.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use super::clients::{Login, Target, jdbc_url, newest_driver, with_deadline};
use super::tools::BRIEF_JAVA;

/// Has Hive's newest JDBC driver keep so many connections and run the statement on all of them at once; returns
/// the first value of the first row of each.
///
/// # Panics
///
/// When one of them has none.
pub(crate) fn on_each(target: &Target, login: Login, connections: usize, statement: &str) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/pool.groovy");
    let mut command = with_deadline(Path::new("java"));
    command.env("JDK_JAVA_OPTIONS", BRIEF_JAVA);
    command.args(["-cp", &newest_driver(), "groovy.ui.GroovyMain"]).arg(script);
    command.args([&jdbc_url(target, login), login.user(), login.password(), &connections.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = command.spawn().expect("timeout is part of coreutils");
    writeln!(program.stdin.take().unwrap(), "all {statement}").unwrap();
    let ended = program.wait_with_output().unwrap();
    let lines = String::from_utf8_lossy(&ended.stdout).into_owned();
    let row = |line: &str| line.strip_prefix("row ").unwrap_or_else(|| panic!("{lines}")).to_owned();
    lines.lines().filter(|line| !line.is_empty()).map(row).collect()
}
