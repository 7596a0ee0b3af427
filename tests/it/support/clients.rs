//! Real clients, run as a user runs them, and what they show in a form that two runs can be compared by.

#[path = "clients/shell.rs"]
mod shell;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) use self::shell::SHELL_PATIENCE;
pub(crate) use self::shell::{
    Dialect, Interrupted, Shell, impala_shell, impala_shell_interrupted, interrupt_impala_shell,
    run_impala_shell,
};
use super::certificates::{STORE_PASSWORD, trust_store};
use super::tools::{self, BRIEF_JAVA};

/// Seconds that a client may take before it is killed.
const DEADLINE: u32 = 120;

/// Where a client connects to: a server, or the router in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name or an address.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Whether the client uses TLS.
    pub(crate) tls: Tls,
    /// Whether it uses HTTP.
    pub(crate) over_http: bool,
    /// What is asked a ticket for, by a client with Kerberos over SASL.
    pub(crate) service: &'static str,
}

/// Whether a client uses TLS, and whom it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// It connects in the clear.
    Off,
    /// It takes any certificate.
    Unverified,
    /// It takes certificates for the host that it connects to, from the authority in this file.
    Verified(PathBuf),
}

impl Target {
    /// In the clear.
    pub(crate) fn of(address: SocketAddr) -> Self {
        let host = address.ip().to_string();
        Self { host, port: address.port(), tls: Tls::Off, over_http: false, service: "impala" }
    }

    /// The same over HTTP.
    pub(crate) fn over_http(self) -> Self {
        Self { over_http: true, ..self }
    }

    /// The same where its service has another name over SASL.
    #[cfg(feature = "kerberos")]
    pub(crate) fn called(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    /// The same with TLS.
    pub(crate) fn with(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }
}

impl Tls {
    /// How the scripts in Python are told.
    fn word(&self) -> &OsStr {
        match self {
            Self::Off => OsStr::new("clear"),
            Self::Unverified => OsStr::new("unverified"),
            Self::Verified(ca) => ca.as_os_str(),
        }
    }
}

/// How a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// Thrift without SASL.
    NoSasl,
    /// SASL PLAIN as user `u1` with password `p1` (`PyHive`: password `x`, as it always sends without LDAP),
    /// for a server that takes any.
    Plain,
    /// SASL PLAIN for a server that has an LDAP directory check it.
    Ldap {
        /// Who logs in.
        user: &'static str,
        /// Right or wrong.
        password: &'static str,
    },
}

/// How impyla spreads statements over cursors. A cursor is a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cursors {
    /// All statements on one.
    One,
    /// One for each statement, all on one connection and opened before the first statement is run.
    Each,
    /// The same, each on a connection of its own.
    Apart,
}

impl Cursors {
    /// How the script is told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Each => "each",
            Self::Apart => "apart",
        }
    }
}

/// What a client showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Which client it is, as `tests/tested_with` calls it.
    pub(crate) client: &'static str,
    /// How it logged in, in Hive's words.
    pub(crate) login: String,
    /// Its exit status; 124 and 137: it was killed at the deadline.
    pub(crate) code: Option<i32>,
    /// Its standard output, without anything that differs from run to run.
    pub(crate) output: Vec<String>,
    /// What it complained about, likewise.
    pub(crate) complaints: Vec<String>,
}

/// impyla 0.24. A line of JSON for each statement: columns and rows, or the error.
pub(crate) fn impyla(target: &Target, login: Login, cursors: Cursors, statements: &[&str]) -> Shown {
    let mut command = script("impyla_rows.py");
    connect(&mut command, target).args(login.words()).arg(cursors.word()).args(statements);
    show(command, target, Complaints::LastLine).by("impyla", way(target, login.authentication()))
}

/// `PyHive` 0.7, all statements on one cursor. A line of JSON for each statement: columns and rows, or the
/// error.
pub(crate) fn pyhive(target: &Target, login: Login, statements: &[&str]) -> Shown {
    let mut command = script("pyhive_rows.py");
    connect(&mut command, target).args(login.words()).args(statements);
    show(command, target, Complaints::LastLine).by("pyhive", way(target, login.authentication()))
}

/// beeline with Hive's JDBC driver 2.3, from Spark's jars; rows separated by tabs, after a line of column
/// names.
pub(crate) fn beeline(target: &Target, login: Login, statements: &[&str]) -> Shown {
    let mut command = with_deadline(&tools::spark_home().join("bin/beeline"));
    command.env("SPARK_HOME", tools::spark_home());
    run_beeline(command, target, login, statements).by("beeline", way(target, login.authentication()))
}

/// beeline 3.1 with Hive's newest JDBC driver, 4.1; shows the same as [`beeline`].
pub(crate) fn beeline_with_newest_driver(target: &Target, login: Login, statements: &[&str]) -> Shown {
    let mut command = with_deadline(Path::new("java"));
    command.args(["-cp", &newest_driver(), "org.apache.hive.beeline.BeeLine"]);
    run_beeline(command, target, login, statements).by("jdbc", way(target, login.authentication()))
}

/// A class path with Hive's newest JDBC driver, and with Groovy and a connection pool, which the server
/// brings.
pub(crate) fn newest_driver() -> String {
    let home = tools::hive_home();
    let home = home.display();
    // The driver first: the server's jars hold an older one.
    format!("{home}/jdbc/hive-jdbc-4.1.0-standalone.jar:{home}/jdbc/*:{home}/jars/*")
}

/// The URL of a server for Hive's JDBC driver.
pub(crate) fn jdbc_url(target: &Target, login: Login) -> String {
    let login = if login == Login::NoSasl { ";auth=noSasl" } else { "" };
    let http = if target.over_http { ";transportMode=http;httpPath=cliservice" } else { "" };
    format!("jdbc:hive2://{}:{}/{login}{http}", target.host, target.port)
}

fn run_beeline(mut command: Command, target: &Target, login: Login, statements: &[&str]) -> Shown {
    let home = tempfile::tempdir().unwrap();
    // Java takes it wherever a script puts its own options.
    command.env("JDK_JAVA_OPTIONS", format!("{BRIEF_JAVA} -Duser.home={}", home.path().display()));
    let mut url = jdbc_url(target, login);
    match &target.tls {
        Tls::Off => {}
        Tls::Unverified => unimplemented!("Hive's JDBC driver verifies"),
        Tls::Verified(ca) => {
            let store = trust_store(ca, home.path());
            url.extend([
                ";ssl=true;sslTrustStore=",
                store.to_str().unwrap(),
                ";trustStorePassword=",
                STORE_PASSWORD,
            ]);
        }
    }
    command.args(["-u", &url, "-n", login.user(), "-p", login.password()]);
    show_beeline(command, target, statements)
}

/// What a beeline shows that knows where to connect to.
pub(super) fn show_beeline(mut command: Command, target: &Target, statements: &[&str]) -> Shown {
    command.args(["--silent=true", "--outputformat=tsv2"]);
    for statement in statements {
        command.args(["-e", statement]);
    }
    let mut shown = show(command, target, Complaints::BeginningWith("Error: "));
    // It prompts even when nobody is there to type; the prompt stands before the first line of each result.
    for line in &mut shown.output {
        while let Some((_, rest)) =
            line.split_once("> ").filter(|(prompt, _)| prompt.starts_with("0: jdbc:hive2:"))
        {
            *line = rest.to_owned();
        }
    }
    // Over HTTP the old one logs a refusal, with the time.
    shown.output.retain(|line| !line.is_empty() && !line.contains(" [main] ERROR "));
    shown
}

impl Login {
    /// The first user of the directory that servers ask, with the right password.
    pub(crate) const LDAP: Self = Self::Ldap { user: "u1", password: "p1" };

    /// The same kind of login, accepted.
    pub(crate) fn that_works(self) -> Self {
        if let Self::Ldap { .. } = self { Self::LDAP } else { self }
    }

    /// The user's name.
    pub(crate) fn user(self) -> &'static str {
        match self {
            Self::NoSasl | Self::Plain => "u1",
            Self::Ldap { user, .. } => user,
        }
    }

    /// The password, where one is sent.
    pub(crate) fn password(self) -> &'static str {
        match self {
            Self::NoSasl | Self::Plain => "p1",
            Self::Ldap { password, .. } => password,
        }
    }

    /// What Hive and Spark call it (`hive.server2.authentication`); their NONE is SASL PLAIN with any name
    /// and password.
    pub(crate) fn authentication(self) -> &'static str {
        match self {
            Self::NoSasl => "NOSASL",
            Self::Plain => "NONE",
            Self::Ldap { .. } => "LDAP",
        }
    }

    /// How the scripts in Python are told.
    fn words(self) -> [&'static str; 3] {
        [self.authentication(), self.user(), self.password()]
    }
}

impl Shown {
    /// The same with the client's name, and how it logged in.
    pub(super) fn by(self, client: &'static str, login: impl Into<String>) -> Self {
        Self { client, login: login.into(), ..self }
    }

    /// The output of a client that ended well.
    ///
    /// # Panics
    ///
    /// When it did not.
    pub(crate) fn rows(&self) -> &[String] {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.output
    }
}

/// How a client reaches its target and logs in there.
fn way(target: &Target, login: &str) -> String {
    if target.over_http { format!("HTTP-{login}") } else { login.to_owned() }
}

/// Which lines of a client's standard error are worth comparing.
#[derive(Clone, Copy)]
pub(super) enum Complaints {
    /// Python: the last line of a traceback.
    LastLine,
    /// impala-shell: the last line, then what it says of exceptions before, without the time.
    OfTheShell,
    /// Java: what stands before the stack trace.
    BeginningWith(&'static str),
}

/// Tells a script where to connect to.
fn connect<'a>(command: &'a mut Command, target: &Target) -> &'a mut Command {
    let transport = if target.over_http { "http" } else { "binary" };
    command.arg(&target.host).arg(target.port.to_string()).arg(transport).arg(target.tls.word())
}

pub(super) fn script(name: &str) -> Command {
    let mut command = with_deadline(&tools::python_program("python"));
    command.arg(scripts().join(name));
    command
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

pub(crate) fn with_deadline(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(DEADLINE.to_string()).arg(program);
    // No __pycache__ beside the scripts; no Java that greets with its options.
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("JAVA_TOOL_OPTIONS")
        .stdin(std::process::Stdio::null());
    command
}

pub(super) fn show(mut command: Command, target: &Target, complaints: Complaints) -> Shown {
    let ended = command.output().expect("timeout is part of coreutils");
    let place = format!("{}:{}", target.host, target.port);
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes).lines().map(|line| line.trim_end().replace(&place, "TARGET")).collect()
    };
    let mut said = lines(&ended.stderr);
    said.retain(|line| !line.is_empty());
    match complaints {
        Complaints::LastLine => drop(said.drain(..said.len().saturating_sub(1))),
        Complaints::OfTheShell => {
            let exceptions: Vec<_> = said
                .iter()
                .filter_map(|line| Some(line.split_once(" [Exception] ")?.1.trim_start().to_owned()))
                .collect();
            drop(said.drain(..said.len().saturating_sub(1)));
            said.extend(exceptions);
        }
        Complaints::BeginningWith(word) => said.retain(|line| line.starts_with(word)),
    }
    let (client, login) = ("", String::new());
    Shown { client, login, code: ended.status.code(), output: lines(&ended.stdout), complaints: said }
}
