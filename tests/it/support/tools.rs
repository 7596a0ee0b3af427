//! The programs that `tests/run` installs, and what happens where they are missing.

use std::env;
use std::path::{Path, PathBuf};

use super::{kdc, slapd};

/// Set by `tests/run`: a test whose tools are missing then fails and is not skipped.
const REQUIRE: &str = "HS2ROUTER_REQUIRE_TOOLS";

/// Parts that `tests/run --without` leaves out, by name, separated by commas.
const WITHOUT: &str = "HS2ROUTER_WITHOUT";

/// Java's options for a program that lives for minutes at most: the simple compiler and collector take half the
/// CPU.
pub(crate) const BRIEF_JAVA: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

/// [`BRIEF_JAVA`], and the classes that `tests/run` had such a server write down: with them it takes half the CPU
/// until it has run its first statement. Java uses them only where the class path begins with the jars beside them,
/// named as there.
pub(crate) fn quick_java(home: &Path) -> Vec<String> {
    let classes = format!("-XX:SharedArchiveFile={}", home.join("classes.jsa").display());
    BRIEF_JAVA.split(' ').map(str::to_owned).chain([classes]).collect()
}

/// Something a test needs that does not come with Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A Java runtime.
    Java,
    /// The Python environment with impala-shell, impyla and `PyHive`.
    Python,
    /// The Python environment with an impala-shell of 2023.
    OldShell,
    /// The program `curl`.
    Curl,
    /// Spark's jars and scripts.
    Spark,
    /// The jars of `HiveServer2`, and Hive's newest JDBC driver.
    Hive,
    /// The program that runs statements with Go's client.
    Go,
    /// An LDAP server, which only Hive's tests use.
    Slapd,
    /// A KDC of MIT Kerberos, and the programs of its users.
    Kdc,
    /// The balancer that people have had until now.
    Haproxy,
    /// The program `openssl`.
    Openssl,
    /// Chromium, and what a script of Node.js needs to use it.
    Browser,
}

/// Whether all these tools are here. Where one is not, the caller skips its test: the reason is printed.
///
/// # Panics
///
/// When one is missing that was not left out by name and `HS2ROUTER_REQUIRE_TOOLS` is set.
pub(crate) fn present(tools: &[Tool]) -> bool {
    if let Some(part) = tools.iter().find_map(|tool| tool.left_out()) {
        println!("skipped: without {part}");
        return false;
    }
    let missing: Vec<String> =
        tools.iter().filter(|tool| !tool.is_here()).map(|tool| tool.reason()).collect();
    assert!(
        missing.is_empty() || env::var_os(REQUIRE).is_none(),
        "{} (tests/run installs it)",
        missing.join("; ")
    );
    if !missing.is_empty() {
        println!("skipped: {} (tests/run installs it)", missing.join("; "));
    }
    missing.is_empty()
}

/// A program of the Python environment: `python`, `impala-shell`.
pub(crate) fn python_program(name: &str) -> PathBuf {
    folder().join("venv/bin").join(name)
}

/// The impala-shell of 2023.
pub(crate) fn old_shell() -> PathBuf {
    folder().join("old-shell/bin/impala-shell")
}

/// `SPARK_HOME`.
pub(crate) fn spark_home() -> PathBuf {
    folder().join("spark")
}

/// The folder with `HiveServer2` (`jars`) and Hive's JDBC driver (`jdbc`).
pub(crate) fn hive_home() -> PathBuf {
    folder().join("hive")
}

/// The program of `tests/clients/go`.
pub(crate) fn go_program() -> PathBuf {
    folder().join("go/hs2go")
}

/// The folder with the packages of `tests/browser`.
pub(crate) fn browser_packages() -> PathBuf {
    folder().join("browser")
}

fn is_in_path(program: &str) -> bool {
    let is_there = |path| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    env::var_os("PATH").is_some_and(is_there)
}

/// Where `tests/run` puts what it installs.
fn folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    env::var_os("HS2ROUTER_TOOLS").map_or_else(default, PathBuf::from)
}

fn are_files(programs: &[&str]) -> bool {
    programs.iter().all(|program| Path::new(program).is_file())
}

impl Tool {
    fn is_here(self) -> bool {
        match self {
            Self::Java => is_in_path("java"),
            Self::Haproxy => is_in_path("haproxy"),
            Self::Openssl => is_in_path("openssl"),
            Self::Python => python_program("impala-shell").is_file(),
            Self::OldShell => old_shell().is_file(),
            Self::Spark => spark_home().join("bin/spark-submit").is_file(),
            Self::Hive => hive_home().join(".stamp").is_file(),
            Self::Curl => is_in_path("curl"),
            Self::Go => go_program().is_file(),
            Self::Slapd => are_files(&slapd::PROGRAMS),
            Self::Kdc => are_files(&kdc::PROGRAMS),
            Self::Browser => {
                is_in_path("chromium") && is_in_path("node") && browser_packages().join(".stamp").is_file()
            }
        }
    }

    /// The part of `tests/run` that installs it, where that can be left out and was.
    fn left_out(self) -> Option<&'static str> {
        let part = match self {
            Self::Hive | Self::Slapd => "hive",
            Self::Go => "go",
            Self::Browser => "browser",
            Self::Java
            | Self::Python
            | Self::OldShell
            | Self::Spark
            | Self::Haproxy
            | Self::Openssl
            | Self::Curl
            | Self::Kdc => return None,
        };
        let without = env::var(WITHOUT).unwrap_or_default();
        without.split(',').any(|name| name == part).then_some(part)
    }

    fn reason(self) -> String {
        match self {
            Self::Java => "no java in PATH".to_owned(),
            Self::Haproxy => "no haproxy in PATH".to_owned(),
            Self::Openssl => "no openssl in PATH".to_owned(),
            Self::Python => format!("no Python environment at {}", folder().join("venv").display()),
            Self::OldShell => format!("no {}", old_shell().display()),
            Self::Spark => format!("no Spark at {}", spark_home().display()),
            Self::Hive => format!("no HiveServer2 at {}", hive_home().display()),
            Self::Curl => "no curl in PATH".to_owned(),
            Self::Go => format!("no {}", go_program().display()),
            Self::Kdc => format!("no KDC at {}", kdc::PROGRAMS.join(", ")),
            Self::Browser => {
                format!("no chromium or node in PATH, or no packages at {}", browser_packages().display())
            }
            Self::Slapd => format!("no LDAP server at {}", slapd::PROGRAMS.join(" and ")),
        }
    }
}
