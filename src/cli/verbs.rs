//! The arguments of the commands that have a router which runs do something.

use clap::{Args, ValueEnum};

use super::named::Named;
use super::operator::AdminArgs;
use crate::control::config::TimeSpan;

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

pub(super) const ROTATION_EXAMPLES: &str = "\
Examples:
  hs2router rotation out
      Tell load balancers that ask /readyz to send no new clients here. Those that are here go on.
  hs2router rotation in
  hs2router rotation
      Say whether it is in or out.";

/// Whether to do something, and to wait for what comes of it.
#[derive(Clone, Copy, Debug, Args)]
pub struct WaitArgs {
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
