//! Choosing where a new session goes, with the reason for it.

use std::fmt;
use std::time::Instant;

use rand::Rng;

use super::condition::Standing;
use super::demands::Demand;
use super::guards::Opening;
use super::roster::All;
use super::{Cluster, Coordinator};
use crate::ids::{CoordinatorId, Service};

/// Who is picked of.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) cluster: &'a Cluster,
    /// The cluster's coordinators at the moment.
    pub(super) all: &'a All<Coordinator>,
}

/// A coordinator that may take the session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Which one.
    pub id: CoordinatorId,
    /// Why it stands where it stands in the order.
    pub reason: PickReason,
}

/// What decided a candidate's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickReason {
    /// What the policy went by.
    pub basis: Basis,
    /// One that is not ready comes after all that are, whatever its basis.
    pub standing: Standing,
}

/// What a policy went by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// The score at the pick (see [`super::Load::score`]); lower comes first.
    Load {
        /// In running operations for a weight of 1 that has all its share; recent failures included.
        score: f64,
    },
    /// Its turn in a weighted round; the longest owed comes first.
    Turn {
        /// How much it was owed at the pick, in hundredths of a weight.
        owed: i64,
    },
}

impl fmt::Display for PickReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.basis {
            Basis::Load { score } => write!(f, "load {score:.2}")?,
            Basis::Turn { owed } => write!(f, "turn (owed {owed})")?,
        }
        match self.standing {
            Standing::Ready => Ok(()),
            standing => write!(f, ", tried last: {standing}"),
        }
    }
}

/// What a session needs of a coordinator.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The port that it comes by.
    pub service: Service,
    /// What it is, where that can be told: those that failed at it come after all others that are ready.
    pub demand: Option<Demand>,
    /// Those that were tried already.
    pub tried: &'a [CoordinatorId],
    /// Whether a coordinator has room for it.
    pub has_room: &'a dyn Fn(&Coordinator) -> bool,
}

impl<'a> Wanted<'a> {
    /// One that takes any coordinator that offers the service and was not tried.
    pub fn anywhere_but(tried: &'a [CoordinatorId], service: Service) -> Self {
        Self { service, demand: None, tried, has_room: &|_| true }
    }
}

/// Why no coordinator was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// All were tried already, or drain.
    Nobody,
    /// There are others, but without room: worth waiting for.
    NoRoom,
}

/// The first candidate of a pick, with the open already counted there.
#[derive(Debug)]
#[must_use = "the reservation ends when this is dropped"]
pub struct Reserved {
    /// Which coordinator was picked, and why.
    pub candidate: Candidate,
    /// Counts the open; knows the coordinator.
    pub opening: Opening,
}

impl Cluster {
    /// The best coordinator that was not tried yet and has room, with an open counted on it before anyone
    /// else picks. Those that health speaks against come last, since to try one is better than to refuse a
    /// client; but none of them is taken while a fit one is only full. One that drains is not taken.
    ///
    /// To go on after a failure, call again with the failed one added to `tried`: the order follows the load
    /// of that moment, not of the first attempt.
    ///
    /// # Errors
    /// [`NoPick`].
    pub fn pick_and_reserve(
        &self,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Reserved, NoPick> {
        let failed = wanted.demand.map(|demand| self.failed_at(demand)).unwrap_or_default();
        if !failed.is_empty() {
            let tried = [wanted.tried, failed.as_slice()].concat();
            let other = self.pick_of_all(&Wanted { tried: &tried, ..*wanted }, now, rng);
            if let Ok(other) = other
                && other.candidate.reason.standing == Standing::Ready
            {
                return Ok(other);
            }
        }
        self.pick_of_all(wanted, now, rng)
    }

    fn pick_of_all(&self, wanted: &Wanted<'_>, now: Instant, rng: &mut impl Rng) -> Result<Reserved, NoPick> {
        let mut policy = self.policy.lock();
        let all = self.coordinators();
        let (coordinator, candidate) = policy.pick(Of { cluster: self, all: &all }, wanted, now, rng)?;
        // Still under the lock: fifty opens at once must see each other, or all go to the same idle
        // coordinator.
        let opening = coordinator.begin_open();
        drop(policy);
        Ok(Reserved { candidate, opening })
    }
}
