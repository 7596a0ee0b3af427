//! The programs that `tests/run` installs, and what happens where they are missing.

use std::env;
use std::path::{Path, PathBuf};

/// Set by `tests/run`: a test whose tools are missing then fails and is not skipped.
const REQUIRE: &str = "HS2ROUTER_REQUIRE_TOOLS";

/// Something a test needs that does not come with Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A Java runtime.
    Java,
    /// The Python environment with impala-shell, impyla and `PyHive`.
    Python,
    /// Spark's jars and scripts.
    Spark,
}

/// Whether all these tools are here. Where one is not, the caller skips its test: the reason is printed.
///
/// # Panics
///
/// When one is missing and `HS2ROUTER_REQUIRE_TOOLS` is set.
pub(crate) fn present(tools: &[Tool]) -> bool {
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

/// `SPARK_HOME`.
pub(crate) fn spark_home() -> PathBuf {
    folder().join("spark")
}

/// Where `tests/run` puts what it installs.
fn folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    env::var_os("HS2ROUTER_TOOLS").map_or_else(default, PathBuf::from)
}

impl Tool {
    fn is_here(self) -> bool {
        match self {
            Self::Java => env::var_os("PATH")
                .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join("java").is_file())),
            Self::Python => python_program("impala-shell").is_file(),
            Self::Spark => spark_home().join("bin/spark-submit").is_file(),
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Java => "no java in PATH".to_owned(),
            Self::Python => format!("no Python environment at {}", folder().join("venv").display()),
            Self::Spark => format!("no Spark at {}", spark_home().display()),
        }
    }
}
