//! gohive 1.8, Go's client for `HiveServer2`, by the program of `tests/clients/go`.

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use super::clients::{Complaints, Cursors, Login, Shown, Target, Tls, show, with_deadline};
use super::tools;

/// What came of a statement that was given up, and of the one after it on the same connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancelled {
    /// Seconds from the end of its context to the end of the call.
    pub(crate) lasted: f64,
    /// The long statement.
    pub(crate) long: Outcome,
    /// The one after it.
    pub(crate) short: Outcome,
}

/// What came of one statement.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// The rows.
    pub(crate) rows: Vec<Vec<serde_json::Value>>,
    /// Why there are none.
    #[serde(default)]
    pub(crate) error: String,
}

/// What came of a large result.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Total {
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// How many rows came.
    pub(crate) rows: usize,
    /// The length of all values as text.
    pub(crate) bytes: usize,
    /// A checksum over all values in their order.
    pub(crate) sum: String,
    /// Why the rest is missing.
    #[serde(default)]
    pub(crate) error: String,
}

/// A line of JSON for each statement: columns and rows, or the error. gohive has a connection for each
/// session.
pub(crate) fn rows(target: &Target, login: Login, sessions: Cursors, statements: &[&str]) -> Shown {
    let sessions = match sessions {
        Cursors::One => "one",
        Cursors::Each | Cursors::Apart => "each",
    };
    let mut command = program("rows", target, word(login));
    command.arg(sessions).args(statements);
    show(command, target, Complaints::LastLine).by("gohive", login.authentication())
}

/// The same over HTTP, all on one connection.
pub(crate) fn rows_by_http(target: &Target, statements: &[&str]) -> Shown {
    let mut command = program("rows", target, "http");
    command.arg("one").args(statements);
    show(command, target, Complaints::LastLine).by("gohive", "HTTP-NONE")
}

/// Gives `long` up after so many milliseconds, then runs `short`.
///
/// # Panics
///
/// When the program fails.
pub(crate) fn cancel(target: &Target, login: Login, milliseconds: u32, long: &str, short: &str) -> Cancelled {
    let mut command = program("cancel", target, word(login));
    command.args([&milliseconds.to_string(), long, short]);
    parse(&show(command, target, Complaints::LastLine)).remove(0)
}

/// Counts what comes of each statement.
///
/// # Panics
///
/// When the program fails.
pub(crate) fn totals(target: &Target, login: Login, statements: &[&str]) -> Vec<Total> {
    let mut command = program("total", target, word(login));
    command.args(statements);
    parse(&show(command, target, Complaints::LastLine))
}

/// A program that keeps its connection and runs its statement as often as it is told.
pub(crate) struct Again {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Again {
    /// Starts it. It connects before it waits for the first [`Self::run`].
    pub(crate) fn start(target: &Target, login: Login, statement: &str) -> Self {
        let mut command = program("again", target, word(login));
        command.arg(statement).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("timeout is part of coreutils");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { input: child.stdin.take(), child, output }
    }

    /// Runs the statement; after an error a second time, on a new connection.
    pub(crate) fn run(&mut self) -> Vec<Outcome> {
        writeln!(self.input.as_mut().expect("it is open until the end")).unwrap();
        let mut outcomes = vec![self.next()];
        if !outcomes[0].error.is_empty() {
            outcomes.push(self.next());
        }
        outcomes
    }

    /// Lets it close its session and end.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }

    fn next(&mut self) -> Outcome {
        let line = self.output.next().expect("it prints what came of the statement").unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        // It ends with its input; `timeout` passes on the signal to a program that hangs.
        drop(self.input.take());
    }
}

fn program(what: &str, target: &Target, login: &str) -> Command {
    let mut command = with_deadline(&tools::go_program());
    command.args([what, &target.host, &target.port.to_string(), login]);
    match &target.tls {
        Tls::Off => &mut command,
        Tls::Unverified => command.env("HS2GO_CA", ""),
        Tls::Verified(ca) => command.env("HS2GO_CA", ca),
    };
    command
}

fn parse<T: for<'de> Deserialize<'de>>(shown: &Shown) -> Vec<T> {
    let read =
        |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
    shown.rows().iter().map(read).collect()
}

/// How the program is told of a login.
fn word(login: Login) -> &'static str {
    match login {
        Login::NoSasl => "nosasl",
        Login::Plain | Login::Ldap { .. } => "plain",
    }
}
