//! The rules by which candidates are put in order. Eligibility and cooling are not theirs: those hold for all.

mod least_loaded;
mod round_robin;

use std::fmt;

use self::least_loaded::LeastLoaded;
use self::round_robin::RoundRobin;
use super::pick::Contender;

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
    LeastLoaded(LeastLoaded),
    RoundRobin(RoundRobin),
}

impl Policy {
    /// For a cluster of `count` coordinators.
    pub(super) fn new(name: PolicyName, idle_session_cost: f64, count: usize) -> Self {
        match name {
            PolicyName::LeastLoaded => Self::LeastLoaded(LeastLoaded { idle_session_cost }),
            PolicyName::RoundRobin => Self::RoundRobin(RoundRobin::new(count)),
        }
    }

    /// Gives every contender its basis; the first by [`Contender::compare`] is the one that was picked.
    pub(super) fn rank(&mut self, contenders: &mut [Contender<'_>]) {
        match self {
            Self::LeastLoaded(policy) => policy.rank(contenders),
            Self::RoundRobin(policy) => policy.rank(contenders),
        }
    }
}
