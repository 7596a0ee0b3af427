//! The arguments of the commands that ask a router which runs.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

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

pub(super) const CONNECTIONS_EXAMPLES: &str = "\
Examples:
  hs2router connections 192.0.2.17
      What comes from 192.0.2.17, the oldest first.
  hs2router connections opaque c1
      What is passed on to c1 unread.";

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

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  hs2router history ann --kind operation --sort lasted
      The operations of ann that have ended, the longest first.
  hs2router history --kind verb
      What operators had done, the newest first.

The last 10000 records are shown; the config's [admin] history keeps all of them in a file.";

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

/// `hs2router history`
#[derive(Clone, Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub list: ListArgs,
    /// Only records of this kind
    #[arg(long)]
    pub kind: Option<HistoryKind>,
    /// What there is most of in the first row [default: end]
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<HistorySort>,
}

/// What a record of the history is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are the API's words")]
pub enum HistoryKind {
    Session,
    Operation,
    Verb,
}

impl HistoryKind {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Operation => "operation",
            Self::Verb => "verb",
        }
    }
}

/// What a history is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are columns")]
pub enum HistorySort {
    End,
    Lasted,
}

impl HistorySort {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Lasted => "lasted",
        }
    }
}

/// `hs2router connections`, `hs2router operations`, `hs2router waiting` and `hs2router events`
#[derive(Clone, Debug, Args)]
pub struct RowsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub list: ListArgs,
}
