//! The arguments of the commands that ask a router which runs.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::control::config::TimeSpan;

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  hs2router status
  hs2router status --json | jq -r '.[] | select(.state == \"drain\") | .name'

Columns and fields are explained in docs/ADMIN.md.";

pub(super) const SESSIONS_EXAMPLES: &str = "\
Examples:
  hs2router sessions
  hs2router sessions ann c1 --sort idle
      Sessions with both words in one of their texts, the one that was idle longest first.";

pub(super) const OPERATIONS_EXAMPLES: &str = "\
Example:
  hs2router operations running ann
      The running operations of ann, the oldest first.";

pub(super) const WAITING_EXAMPLES: &str = "\
Example:
  hs2router waiting ann
      What ann's clients wait for, since when, and in which place of the line.";

pub(super) const CONFIG_EXAMPLES: &str = "\
Examples:
  hs2router config | diff - <(hs2router config --admin 127.0.0.1:25026)
      What two routers do differently.
  hs2router config --json | jq .router.max_connections

Keys are explained in docs/CONFIG.md.";

pub(super) const EVENTS_EXAMPLES: &str = "\
Examples:
  hs2router events coordinator=etl-3
      What happened to etl-3, the newest first.
  hs2router events ejected
      The coordinators that were taken out, each with the reason.";

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  hs2router drain c1 --dry-run
      What is on c1.
  hs2router drain c1 --deadline 30m --wait --timeout 45m && ssh c1 systemctl restart impalad && hs2router resume c1
      Restart a coordinator once nothing is left on it.

Exit codes: 0 done, 69 no router answers, 75 the timeout of --wait is over, 64 wrong usage, 1 anything else.";

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  hs2router resume c1
  hs2router resume impala/c1
      Where several clusters have a c1.";

/// Where the router is.
#[derive(Clone, Copy, Debug, Args)]
pub struct AdminArgs {
    /// The router's admin address
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:25025")]
    pub admin: SocketAddr,
}

/// `hs2router status` and `hs2router config`
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// Which rows of a list to show.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Only rows that have each of these words in one of their texts
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
    /// At most so many rows
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=5000))]
    pub limit: u16,
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// `hs2router sessions`
#[derive(Clone, Debug, Args)]
pub struct SessionsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub list: ListArgs,
    /// What there is most of in the first row [default: age]
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<Sort>,
}

/// What a list of sessions is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are columns")]
pub enum Sort {
    Age,
    Idle,
    OpenOperations,
}

impl Sort {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Idle => "idle",
            Self::OpenOperations => "open_operations",
        }
    }
}

/// `hs2router operations`, `hs2router waiting` and `hs2router events`
#[derive(Clone, Debug, Args)]
pub struct RowsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub list: ListArgs,
}

/// `hs2router drain`
#[derive(Clone, Debug, Args)]
pub struct DrainArgs {
    /// The coordinator's name, or CLUSTER/NAME
    #[arg(value_name = "NAME")]
    pub coordinator: Named,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
    /// How long operations that are open may go on, such as 30s, 10m or 1h [default: the cluster's `drain_deadline`]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub deadline: Option<TimeSpan>,
    /// Wait until nothing is left on it, and say what is
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "wait")]
    pub timeout: Option<TimeSpan>,
    /// Only say what is on it
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

/// `hs2router resume`
#[derive(Clone, Debug, Args)]
pub struct ResumeArgs {
    /// The coordinator's name, or CLUSTER/NAME
    #[arg(value_name = "NAME")]
    pub coordinator: Named,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// A coordinator as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its cluster; `None`: whichever has one of that name.
    pub cluster: Option<String>,
    /// Its own name.
    pub name: String,
}

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('/') {
            Some((cluster, name)) => Self { cluster: Some(cluster.to_owned()), name: name.to_owned() },
            None => Self { cluster: None, name: text.to_owned() },
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cluster {
            Some(cluster) => write!(f, "{cluster}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn duration(text: &str) -> Result<TimeSpan, String> {
    text.parse().map_err(|error| format!("{error}; write a duration such as 30s, 10m or 1h"))
}
