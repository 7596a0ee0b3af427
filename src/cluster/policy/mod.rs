//! The rules by which a coordinator is found. What stands against one holds for all of them: [`Standing`].
//!
//! [`Standing`]: super::Standing

mod common;
mod least_loaded;
mod round_robin;
mod tournament;

use std::fmt;
use std::time::Instant;

use rand::Rng;

use self::common::Found;
pub(super) use self::common::{failure_cost, is_doubtful};
use self::least_loaded::LeastLoaded;
use self::round_robin::RoundRobin;
use super::pick::{NoPick, Of, Wanted};

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
    /// One that knows no coordinator yet.
    pub(super) fn new(name: PolicyName, idle_session_cost: f64) -> Self {
        match name {
            PolicyName::LeastLoaded => Self::LeastLoaded(Box::new(LeastLoaded::new(idle_session_cost))),
            PolicyName::RoundRobin => Self::RoundRobin(RoundRobin::default()),
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
        of: Of<'a>,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        match self {
            Self::LeastLoaded(policy) => policy.pick(of, wanted, now, rng),
            Self::RoundRobin(policy) => policy.pick(of, wanted, now, rng),
        }
    }
}
