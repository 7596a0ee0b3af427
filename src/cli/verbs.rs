//! The arguments of the commands that have a router which runs do something.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::named::Named;
use super::operator::AdminArgs;
use crate::control::config::{LogLevel, TimeSpan, Words as _};

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

pub(super) const EJECT_EXAMPLES: &str = "\
Examples:
  hs2router eject c1
      No new session goes to c1, whatever probes find, until it is restored. What is there goes on.
  hs2router eject c1 --wait --timeout 1h
      Wait until nothing is left on it.
  hs2router drain c1
      Have idle sessions leave it as well, and end its operations at a deadline.

Exit codes: 0 done, 69 no router answers, 75 the timeout of --wait is over, 64 wrong usage, 1 anything else.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Example:
  hs2router restore c1
      It gets its share of new sessions gradually (slow_start), as after any return.";

pub(super) const WEIGHT_EXAMPLES: &str = "\
Example:
  hs2router weight c1 2
      c1 gets twice as many sessions as one with weight 1, until the router ends or this is set again.";

pub(super) const MOVE_EXAMPLES: &str = "\
Examples:
  hs2router sessions ann
  hs2router move 9c4d1f0a63b2e875:5a6b7c8d9e0f1a2b
      Have an idle session go to the best coordinator. Its client notices nothing.
  hs2router move 9c4d1f0a63b2e875:5a6b7c8d9e0f1a2b --to c2";

pub(super) const MOVE_ALL_EXAMPLES: &str = "\
Examples:
  hs2router move-all c1 --dry-run
      How many sessions would leave c1, and why the others would stay.
  hs2router move-all c1 --wait --timeout 30s
  hs2router drain c1
      Have those leave as well that cannot leave yet, and keep new ones away.

Exit codes: 0 done, 69 no router answers, 75 the timeout of --wait is over, 64 wrong usage, 1 anything else.";

pub(super) const CLOSE_EXAMPLES: &str = "\
Example:
  hs2router close 9c4d1f0a63b2e875:5a6b7c8d9e0f1a2b
      End a session, with its operations. Its client is told that there is no such session.";

pub(super) const CUT_EXAMPLES: &str = "\
Examples:
  hs2router connections ann
  hs2router cut c1a4
      End a connection at once. Its client sees it closed, and may connect again.";

pub(super) const CANCEL_EXAMPLES: &str = "\
Examples:
  hs2router operations running
  hs2router cancel 3f2a1b0c9d8e7f60:1122334455667788
      Cancel a query, wherever it runs. Its client is told so by the coordinator.";

pub(super) const ROTATION_EXAMPLES: &str = "\
Examples:
  hs2router rotation out
      Tell load balancers that ask /readyz to send no new clients here. Those that are here go on.
  hs2router rotation in
  hs2router rotation
      Say whether it is in or out.";

pub(super) const LOG_LEVEL_EXAMPLES: &str = "\
Examples:
  hs2router log-level debug
      Write the life of every session to the log from now on.
  hs2router log-level
      Say which level it has, and which one the config.";

pub(super) const PAUSE_CLUSTER_EXAMPLES: &str = "\
Examples:
  hs2router pause-cluster impala --dry-run
      What is open in the cluster.
  hs2router pause-cluster impala --for 15m --wait --timeout 10m && ./restart-all; hs2router resume-cluster impala
      Restart everything while new sessions and statements wait, for 15 minutes at most.

Exit codes: 0 done, 69 no router answers, 75 the timeout of --wait is over, 64 wrong usage, 1 anything else.";

pub(super) const RESUME_CLUSTER_EXAMPLES: &str = "\
Example:
  hs2router resume-cluster impala
      All that wait go on at once. Where there is no room for them, they take turns.";

/// Whether to do something, and to wait for what comes of it.
#[derive(Clone, Copy, Debug, Args)]
pub struct WaitArgs {
    /// Wait until it is done, and say meanwhile what is waited for
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "wait")]
    pub timeout: Option<TimeSpan>,
    /// Only say what is there
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

/// `hs2router drain`
#[derive(Clone, Debug, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub of: CoordinatorArgs,
    /// How long operations that are open may go on, such as 30s, 10m or 1h [default: the cluster's `drain_deadline`]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub deadline: Option<TimeSpan>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub waiting: WaitArgs,
}

/// `hs2router pause-cluster`
#[derive(Clone, Debug, Args)]
pub struct PauseClusterArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub of: ClusterArgs,
    /// Resume the cluster by itself after this time, such as 15m; without it, somebody has to resume it
    #[arg(long = "for", value_name = "DURATION")]
    pub lasts: Option<TimeSpan>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub waiting: WaitArgs,
}

/// `hs2router resume-cluster`
#[derive(Clone, Debug, Args)]
pub struct ClusterArgs {
    /// The cluster's name
    #[arg(value_name = "CLUSTER")]
    pub cluster: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// `hs2router eject`
#[derive(Clone, Debug, Args)]
pub struct EjectArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub of: CoordinatorArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub waiting: WaitArgs,
}

/// `hs2router weight`
#[derive(Clone, Debug, Args)]
pub struct WeightArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub of: CoordinatorArgs,
    /// Its share of the load relative to the others, from 1 to 1000
    #[arg(value_name = "WEIGHT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub weight: u32,
}

/// `hs2router resume` and `hs2router restore`
#[derive(Clone, Debug, Args)]
pub struct CoordinatorArgs {
    /// The coordinator's name, or CLUSTER/NAME
    #[arg(value_name = "NAME")]
    pub coordinator: Named,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// `hs2router move-all`
#[derive(Clone, Debug, Args)]
pub struct MoveAllArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub of: CoordinatorArgs,
    /// Move them to this coordinator of the cluster [default: the best for each]
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub waiting: WaitArgs,
}

/// `hs2router move`
#[derive(Clone, Debug, Args)]
pub struct MoveArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub of: SessionArgs,
    /// Move it to this coordinator of its cluster [default: the best]
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
}

/// `hs2router close`
#[derive(Clone, Debug, Args)]
pub struct SessionArgs {
    /// The session, as hs2router sessions shows it
    #[arg(value_name = "SESSION")]
    pub session: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// `hs2router cut`
#[derive(Clone, Debug, Args)]
pub struct CutArgs {
    /// The connection, as hs2router connections shows it
    #[arg(value_name = "CONNECTION")]
    pub connection: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// `hs2router cancel`
#[derive(Clone, Debug, Args)]
pub struct CancelArgs {
    /// The operation, as hs2router operations shows it
    #[arg(value_name = "OPERATION")]
    pub operation: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// `hs2router log-level`
#[derive(Clone, Debug, Args)]
pub struct LogLevelArgs {
    /// The least severe events to write; without it, only say which these are
    #[arg(value_name = "LEVEL", value_parser = levels())]
    pub level: Option<LogLevel>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// The words of the config, which shells complete.
fn levels() -> impl TypedValueParser<Value = LogLevel> {
    let words = LogLevel::ALL.iter().map(|level| level.word());
    PossibleValuesParser::new(words.collect::<Vec<_>>())
        .try_map(|word| LogLevel::from_word(&word).ok_or_else(LogLevel::listed))
}

/// `hs2router rotation`
#[derive(Clone, Debug, Args)]
pub struct RotationArgs {
    /// Where to put it; without it, only say where it is
    #[arg(value_name = "WHERE")]
    pub place: Option<Place>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments have their own words")]
    pub admin: AdminArgs,
}

/// In or out of rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// /readyz answers 200
    In,
    /// /readyz answers 503
    Out,
}

fn duration(text: &str) -> Result<TimeSpan, String> {
    text.parse().map_err(|error| format!("{error}; write a duration such as 30s, 10m or 1h"))
}
