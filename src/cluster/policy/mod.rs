//! The rules by which a coordinator is found. What stands against one holds for all of them: [`Standing`].
//!
//! [`Standing`]: super::Standing

mod least_loaded;
mod round_robin;
mod tournament;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use self::least_loaded::LeastLoaded;
use self::round_robin::RoundRobin;
use super::pick::{Candidate, NoPick, Wanted};
use super::{Cluster, Coordinator};

/// A policy as people choose it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PolicyName {
    /// The lowest score first.
    #[default]
    LeastLoaded,
    /// In turn, in proportion to the weights.
    RoundRobin,
}

impl PolicyName {
    /// The word used in config and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastLoaded => "least-loaded",
            Self::RoundRobin => "round-robin",
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A policy with whatever it remembers between picks.
#[derive(Debug)]
pub(super) enum Policy {
    LeastLoaded(Box<LeastLoaded>),
    RoundRobin(RoundRobin),
}

impl Policy {
    /// For a cluster of `count` coordinators.
    pub(super) fn new(name: PolicyName, idle_session_cost: f64, count: usize) -> Self {
        match name {
            PolicyName::LeastLoaded => Self::LeastLoaded(Box::new(LeastLoaded::new(idle_session_cost))),
            PolicyName::RoundRobin => Self::RoundRobin(RoundRobin::new(count)),
        }
    }

    /// What an open session adds to a score, if the policy goes by load.
    pub(super) fn idle_session_cost(&self) -> Option<f64> {
        match self {
            Self::LeastLoaded(policy) => Some(policy.idle_session_cost()),
            Self::RoundRobin(_) => None,
        }
    }

    /// The best coordinator for a session; under round-robin this takes a turn.
    ///
    /// # Errors
    /// [`NoPick`].
    pub(super) fn pick<'a>(
        &mut self,
        cluster: &'a Cluster,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        match self {
            Self::LeastLoaded(policy) => policy.pick(cluster, wanted, now, rng),
            Self::RoundRobin(policy) => policy.pick(cluster, wanted, now, rng),
        }
    }
}

/// Which coordinator was picked, and why.
pub(super) type Found<'a> = (&'a Arc<Coordinator>, Candidate);

/// What a failure costs with a coordinator of this score, if it costs so much without. In powers of two, so
/// that it rarely changes: all places go by it.
pub(super) fn failure_cost(without: f64, score: f64) -> f64 {
    if score <= without { without } else { score.log2().ceil().exp2() }
}

/// Whether so few of the coordinators that people want used are fit that the checker is more likely to be
/// wrong than so many coordinators: its ejections count for nothing then. What a coordinator says of itself
/// stands.
pub(super) fn is_doubtful(fit: usize, all: usize, panic_threshold: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "at most u16::MAX coordinators")]
    let (fit, all) = (fit as f64, all as f64);
    fit < panic_threshold * all
}
