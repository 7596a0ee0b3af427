//! What was counted before, and with what.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The recorded counts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) recorded_with: Toolchain,
    /// By the case's name.
    pub(crate) instructions: BTreeMap<String, u64>,
    /// What other proxies took in the same run: to be read, compared with nothing.
    #[serde(default)]
    pub(crate) references: References,
}

/// Counts of other proxies.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct References {
    /// The version of `HAProxy`.
    pub(crate) haproxy: String,
    /// By the case's name.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// All that counts depend on besides the router's code.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toolchain {
    rustc: String,
    target: String,
    /// The C library allocates and copies.
    libc: String,
    valgrind: String,
    /// The C library picks its copying by these; see [`features`].
    cpu: String,
}

impl Toolchain {
    /// What is there; `cpu` is what [`features`] says under valgrind, which is not what it says outside.
    pub(crate) fn current(cpu: &str) -> anyhow::Result<Self> {
        let verbose = said("rustc", &["-vV"])?;
        let line = |start: &str| verbose.lines().find_map(|line| line.strip_prefix(start));
        Ok(Self {
            rustc: verbose.lines().next().context("rustc says nothing")?.to_owned(),
            target: line("host: ").context("rustc does not say its host")?.to_owned(),
            libc: said("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_default(),
            valgrind: said("valgrind", &["--version"])?,
            cpu: cpu.to_owned(),
        })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, target, libc, valgrind, cpu } = self;
        write!(f, "{rustc}, {target}, {libc}, {valgrind}, {cpu}")
    }
}

impl Baseline {
    /// None if nothing was recorded yet.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        match std::fs::read_to_string(file) {
            Ok(text) => toml::from_str(&text).with_context(|| file.display().to_string()).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }

    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = toml::to_string(self)?;
        let text = format!("# Written by cargo bench --bench instructions -- --record\n{text}");
        std::fs::write(file, text).with_context(|| file.display().to_string())
    }
}

fn said(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the processor can do, of what the C library's copying goes by.
#[cfg(target_arch = "x86_64")]
pub(crate) fn features() -> String {
    let features = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("ermsb", is_x86_feature_detected!("ermsb")),
    ];
    let there: Vec<&str> = features.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    there.join(" ")
}

/// What the processor can do: here nothing that matters is known to differ.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn features() -> String {
    std::env::consts::ARCH.to_owned()
}
