//! Real clients against the simulated coordinator, where they are installed (`tests/run` installs them).

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::*;

/// Where `tests/run` installs what the tests need.
fn tools() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::env::var_os("HS2ROUTER_TOOLS").map_or_else(default, PathBuf::from)
}

/// A program of the Python environment; where it is missing the test is skipped, unless the tools are
/// required.
fn program(name: &str) -> Option<PathBuf> {
    let path = tools().join("venv/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("HS2ROUTER_REQUIRE_TOOLS").is_some();
    assert!(!required, "{} is not installed", path.display());
    eprintln!("SKIPPED: {} is not installed", path.display());
    None
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstdout:\n{out}\nstderr:\n{err}", output.status)
}

const STATEMENTS: &str = "select 1 as a, 'x' as b; use demo; select current_database(); \
                          insert into t select * from rows(5); select * from rows(10000, 9) limit 3; \
                          profile; summary; select sleep(300); show databases;";

fn shell(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program("impala-shell")?);
    let output = run(command.args(["-B", "--quiet"]).args(arguments));
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    Some(text)
}

fn check_shell(text: &str) {
    for expected in ["1\tx", "demo", "Query (id=", "00:UNION", "functional"] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

#[test]
fn impala_shell_works_over_hs2() {
    let coordinator = open();
    let address = coordinator.hs2().to_string();
    if let Some(text) = shell(&["--protocol=hs2", "-i", &address, "-q", STATEMENTS]) {
        check_shell(&text);
        assert!(coordinator.open_sessions().is_empty(), "it closes its session");
    }
}

#[test]
fn impala_shell_works_over_beeswax() {
    let coordinator = open();
    let address = coordinator.beeswax().to_string();
    if let Some(text) = shell(&["--protocol=beeswax", "-i", &address, "-q", STATEMENTS]) {
        check_shell(&text);
    }
}

#[test]
fn impala_shell_works_with_a_password() {
    let coordinator = secured();
    let address = coordinator.hs2().to_string();
    let login = ["-l", "-u", "ann", "--ldap_password_cmd=printf nna", "--auth_creds_ok_in_clear"];
    let mut arguments = vec!["--protocol=hs2", "-i", &address, "-q", "select user()"];
    arguments.extend(login);
    if let Some(text) = shell(&arguments) {
        assert!(text.contains("ann"), "{text}");
    }
}

#[test]
fn interrupting_impala_shell_cancels_from_a_second_connection() {
    for protocol in ["hs2", "beeswax"] {
        let coordinator = open();
        let address = if protocol == "hs2" { coordinator.hs2() } else { coordinator.beeswax() };
        let Some(shell) = program("impala-shell") else { return };
        let arguments = ["--protocol", protocol, "-i", &address.to_string(), "-q", "select sleep(3600000)"];
        let child = Command::new(shell)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let called = |method: &str| coordinator.calls().iter().any(|call| call.method == method);
        let (poll, cancel) = if protocol == "hs2" {
            ("GetOperationStatus", "CancelOperation")
        } else {
            ("get_state", "Cancel")
        };
        eventually("the shell polls", || called(poll));
        let interrupted = run(Command::new("kill").args(["-INT", &child.id().to_string()]));
        assert!(interrupted.status.success());
        let output = child.wait_with_output().unwrap();
        let calls = coordinator.calls();
        let of = |method: &str| calls.iter().find(|call| call.method == method).unwrap();
        assert_eq!(of(cancel).operation, of(poll).operation, "{}", text(&output));
        assert_ne!(of(cancel).connection, of(poll).connection);
    }
}

const IMPYLA: &str = r"
import sys
from impala.dbapi import connect
port, kwargs = int(sys.argv[1]), eval(sys.argv[2])
connection = connect(host='127.0.0.1', port=port, **kwargs)
cursors = [connection.cursor() for _ in range(3)]
for cursor in cursors:
    cursor.execute('select * from rows(3000, 14)')
rows = [cursor.fetchall() for cursor in cursors]
assert [len(r) for r in rows] == [3000] * 3, [len(r) for r in rows]
assert rows[0][1][0] == 1 and len(rows[0][1]) == 14, rows[0][1]
cursor = cursors[0]
cursor.execute('select user(), null, 1.5')
print(cursor.fetchall())
cursor.execute('insert into t select * from rows(6)')
print('affected', cursor.rowcount)
try:
    cursor.execute('selec')
except Exception as error:
    print('error', error)
print(cursor.get_databases() and cursor.get_tables())
cursor.execute('select 1')
print('profile', cursor.get_profile()[:9])
for cursor in cursors:
    cursor.close()
connection.close()
";

fn impyla(port: u16, arguments: &str) -> Option<String> {
    let mut command = Command::new(program("python")?);
    let output = run(command.args(["-c", IMPYLA, &port.to_string(), arguments]));
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    Some(text)
}

#[test]
fn impyla_works_without_authentication() {
    let coordinator = open();
    if let Some(text) = impyla(coordinator.hs2().port(), "dict(auth_mechanism='NOSASL')") {
        assert!(text.contains("ParseException") && text.contains("profile Query (id"), "{text}");
        assert!(coordinator.open_sessions().is_empty(), "its cursors close their sessions");
    }
}

#[test]
fn impyla_works_with_a_password() {
    let coordinator = secured();
    let arguments = "dict(auth_mechanism='PLAIN', user='ann', password='nna')";
    if let Some(text) = impyla(coordinator.hs2().port(), arguments) {
        assert!(text.contains("('ann', None, Decimal('1.5'))"), "{text}");
    }
}

#[test]
fn pyhive_works_with_a_password() {
    let coordinator = secured();
    let script = "import sys\n\
                  from pyhive import hive\n\
                  c = hive.connect('127.0.0.1', int(sys.argv[1]), username='ann', password='nna', auth='LDAP').cursor()\n\
                  c.execute('select user()')\n\
                  print(c.fetchall())\n\
                  c.execute('select * from rows(2500, 14)')\n\
                  assert len(c.fetchall()) == 2500\n";
    let Some(python) = program("python") else { return };
    let output = run(Command::new(python).args(["-c", script, &coordinator.hs2().port().to_string()]));
    let text = text(&output);
    assert!(output.status.success() && text.contains("[('ann',)]"), "{text}");
}

/// beeline from Spark's jars: its Hive JDBC driver asks for V10 and wants a configuration back.
fn beeline(coordinator: &Coordinator, session: &str) -> Option<String> {
    let jars = tools().join("spark/jars");
    if !jars.exists() || Command::new("java").arg("-version").output().is_err() {
        let required = std::env::var_os("HS2ROUTER_REQUIRE_TOOLS").is_some();
        assert!(!required, "no java, or no {}", jars.display());
        eprintln!("SKIPPED: no java, or no {}", jars.display());
        return None;
    }
    let url = format!("jdbc:hive2://{}/demo{session}", coordinator.hs2());
    let statement = "select current_database(), user(); select * from rows(3, 14); show tables;";
    let output = run(Command::new("java").arg("-cp").arg(jars.join("*")).args([
        "org.apache.hive.beeline.BeeLine",
        "--silent=true",
        "--outputformat=csv2",
        "-u",
        &url,
        "-n",
        "ann",
        "-p",
        "nna",
        "-e",
        statement,
    ]));
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for expected in ["demo,ann", "1,1---", "numbers"] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
    Some(text)
}

#[test]
fn beeline_works_without_authentication() {
    drop(beeline(&open(), ";auth=noSasl"));
}

#[test]
fn beeline_works_with_a_password() {
    drop(beeline(&secured(), ""));
}
