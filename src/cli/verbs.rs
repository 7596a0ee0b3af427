//! The arguments of the commands that have a router which runs do something.

use clap::{Args, ValueEnum};

use super::operator::AdminArgs;

pub(super) const ROTATION_EXAMPLES: &str = "\
Examples:
  hs2router rotation out
      Tell load balancers that ask /readyz to send no new clients here. Those that are here go on.
  hs2router rotation in
  hs2router rotation
      Say whether it is in or out.";

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
