//! Choosing where a new session goes: an order of candidates, each with the reason for its place.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use super::condition::Standing;
use super::coordinator::{Coordinator, Outlook};
use super::counts::Opening;
use super::{AdminState, Cluster};
use crate::ids::{CoordinatorId, Service};

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
    /// Who was tried already.
    pub tried: &'a [CoordinatorId],
    /// Whether a coordinator has room for it.
    pub has_room: &'a dyn Fn(&Coordinator) -> bool,
}

impl<'a> Wanted<'a> {
    /// One that takes any coordinator that offers the service and was not tried.
    pub fn anywhere_but(tried: &'a [CoordinatorId], service: Service) -> Self {
        Self { service, tried, has_room: &|_| true }
    }
}

/// Why nobody was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// There is nobody who was not tried and does not drain.
    Nobody,
    /// There is, but without room: worth waiting for.
    NoRoom,
}

/// The first candidate of a pick, with the open already counted there.
#[derive(Debug)]
#[must_use = "the reservation ends when this is dropped"]
pub struct Reserved {
    /// Who was picked and why.
    pub candidate: Candidate,
    /// Counts the open; knows the coordinator.
    pub opening: Opening,
}

impl Cluster {
    /// Every coordinator that is not draining, best first: those that health speaks against come last, since to try one
    /// is better than to refuse a client. Under round-robin this takes a turn.
    ///
    /// Nothing is counted, so two calls in a row may name the same coordinator first: to open a session, use
    /// [`Self::pick_and_reserve`].
    pub fn pick(&self, service: Service, now: Instant, rng: &mut impl Rng) -> Vec<Candidate> {
        let mut policy = self.policy.lock();
        let mut contenders = self.contenders(service, &[], now, rng);
        policy.rank(&mut contenders);
        drop(policy);
        contenders.sort_unstable_by(Contender::compare);
        contenders.iter().map(Contender::candidate).collect()
    }

    /// The best coordinator that was not tried yet and has room, with an open counted on it before anyone else picks.
    /// One that health speaks against is not taken while a fit one is only full.
    ///
    /// To go on after a failure, call again with the failed one added to `tried`: the order follows the load of that
    /// moment, not of the first attempt. One pass over the coordinators, one allocation.
    ///
    /// # Errors
    /// [`NoPick`].
    pub fn pick_and_reserve(
        &self,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Reserved, NoPick> {
        let Wanted { service, tried, has_room } = *wanted;
        let mut policy = self.policy.lock();
        let mut contenders = self.contenders(service, tried, now, rng);
        let any_fit = contenders.iter().any(|contender| contender.outlook.standing.is_fit());
        let any = !contenders.is_empty();
        contenders.retain(|contender| has_room(contender.coordinator));
        policy.rank(&mut contenders);
        let first = contenders.iter().min_by(|a, b| a.compare(b));
        let Some(first) = first.filter(|first| first.outlook.standing.is_fit() || !any_fit) else {
            return Err(if any { NoPick::NoRoom } else { NoPick::Nobody });
        };
        // Still under the lock: fifty opens at once must see each other, or all go to the same idle coordinator.
        let opening = first.coordinator.begin_open();
        drop(policy);
        Ok(Reserved { candidate: first.candidate(), opening })
    }

    fn contenders(
        &self,
        service: Service,
        tried: &[CoordinatorId],
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<Contender<'_>> {
        let wanted = self.coordinators.iter().filter(|coordinator| coordinator.state() == AdminState::Active);
        let mut contenders = Vec::with_capacity(self.coordinators.len());
        contenders.extend(wanted.map(|coordinator| Contender {
            coordinator,
            outlook: coordinator.outlook(service, now),
            basis: Basis::Load { score: 0.0 },
            tie: rng.next_u32(),
        }));
        self.doubt_ejections(&mut contenders);
        contenders.retain(|contender| !tried.contains(&contender.coordinator.id));
        contenders
    }

    /// If too few are fit, the checker is more likely to be wrong than so many coordinators: its ejections count for
    /// nothing then. What a coordinator says of itself stands.
    fn doubt_ejections(&self, contenders: &mut [Contender<'_>]) {
        let fit = contenders.iter().filter(|contender| contender.outlook.standing.is_fit()).count();
        #[expect(clippy::cast_precision_loss, reason = "at most u16::MAX coordinators")]
        let too_few = (fit as f64) < self.panic_threshold * contenders.len() as f64;
        for contender in contenders.iter_mut().filter(|_| too_few) {
            if contender.outlook.standing == Standing::Ejected {
                contender.outlook.standing = Standing::Ready;
            }
        }
    }
}

/// A coordinator while a pick is under way; the policy fills in `basis`.
#[derive(Debug)]
pub(super) struct Contender<'a> {
    pub(super) coordinator: &'a Arc<Coordinator>,
    pub(super) outlook: Outlook,
    pub(super) basis: Basis,
    /// Decides among equals.
    tie: u32,
}

impl Contender<'_> {
    /// `Less` is tried earlier.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_basis = match (self.basis, other.basis) {
            (Basis::Load { score: a }, Basis::Load { score: b }) => a.total_cmp(&b),
            (Basis::Turn { owed: a }, Basis::Turn { owed: b }) => b.cmp(&a),
            // One policy ranks all contenders of a pick, so the kinds never mix.
            (Basis::Load { .. }, Basis::Turn { .. }) => Ordering::Less,
            (Basis::Turn { .. }, Basis::Load { .. }) => Ordering::Greater,
        };
        self.outlook
            .standing
            .class()
            .cmp(&other.outlook.standing.class())
            .then(by_basis)
            .then(self.tie.cmp(&other.tie))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.outlook.standing == Standing::Ready
    }

    fn candidate(&self) -> Candidate {
        let reason = PickReason { basis: self.basis, standing: self.outlook.standing };
        Candidate { id: self.coordinator.id, reason }
    }
}
