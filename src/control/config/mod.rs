//! The config: from the file as it is written ([`SECTIONS`]) to what the router works with ([`Config`]).
//!
//! A syntax error is reported alone. Otherwise all problems are reported at once, each with its line, its key
//! and a remedy, because an operator who repairs a file at night wants one round, not seven.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

mod check;
mod checked;
mod cluster_tls;
mod diff;
mod file;
mod headers;
mod host;
mod in_force;
mod kerberos;
mod keys;
mod listener_tls;
mod networks;
mod principal;
mod problem;
mod rules;
mod section;
mod sni;
mod units;
mod usual;
mod value;
mod words;

pub use checked::{
    AdminConfig, ClusterConfig, ClusterKerberos, ClusterTlsConfig, Config, CoordinatorConfig, HistoryConfig,
    ListenerConfig, ListenerKerberos, LogConfig, NamedCluster, RouterConfig,
};
pub use diff::NewState;
pub use host::{Host, HostError, HostPort, LONGEST_NAME, Name};
pub use keys::SECTIONS;
pub use principal::{NoPrincipal, Principal};
pub use problem::{Fault, Problem, Problems};
pub use section::{Absent, Key, SectionInfo};
pub use units::{ByteSize, LARGEST, LONGEST, TimeSpan, UnitError};
pub use words::{LogFormat, LogLevel, VerifyWord, Words};

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is not TOML; line and column count from 1.
    #[error("{origin}:{line}:{column}: {message}")]
    Syntax {
        /// Where the text came from.
        origin: String,
        /// The line of the first error.
        line: usize,
        /// The character in that line.
        column: usize,
        /// What the parser says, on one line.
        message: String,
    },
    /// The text is TOML, but has unknown, missing, invalid or contradictory keys.
    #[error(transparent)]
    Problems(#[from] Problems),
}

impl Config {
    /// Reads a config file. Paths in it count from its folder.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or anything in it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mut config = Self::parse(&path.display().to_string(), &text)?;
        config.resolve_paths(path.parent().unwrap_or_else(|| Path::new("")));
        Ok(config)
    }

    /// Reads a config from its text; `origin` is how errors name it. Relative paths in it stay relative.
    ///
    /// # Errors
    /// When it is not TOML, or anything in it is wrong.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ConfigError> {
        let (document, errors) = DeTable::parse_recoverable(text);
        // The parser does not report errors in the order of the text, and only the first error in the text is
        // sure not to follow from another.
        let first = errors.iter().min_by_key(|error| error.span().map(|span| span.start));
        if let Some(error) = first {
            return Err(syntax(origin, text, error));
        }
        let mut problems = Problems::of_text(origin, text, keys::section_of);
        let file = file::File::read(document.get_ref(), &mut problems);
        Ok(check::check(&file, problems)?)
    }
}

fn syntax(origin: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    ConfigError::Syntax {
        origin: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        column: column + 1,
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests;
