//! Opens and logins that coordinators answered with a failure, kept until another one answers the same: that
//! tells whose fault it was.
//!
//! A failure may be the client's doing: a database that is not there, a wrong password. A client can send a
//! thousand of those. If each counted against the coordinator that answered it, one client would decide where
//! everybody's sessions go. So a failure by itself counts for nothing. It counts when another coordinator has
//! done the very same, for the same identity and with the same bytes, and the one that failed has done
//! nothing of the kind for anybody in between. Whoever only fails therefore moves no session but its own, and
//! one that fails here and succeeds there was right to. What a client cannot send it may still bring about, a
//! database that it creates between the two: a coordinator is then avoided for a while, but not one of its
//! choice, and only if nobody else has opened a session there.
//!
//! Until then whoever wants the same again is sent to a coordinator that has not failed at it.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, Hash};
use std::time::{Duration, Instant};

use super::{Cluster, Coordinator};
use crate::ids::{CoordinatorId, Service};

/// A failure is remembered for this long, unless another coordinator succeeds: clients may take that long to
/// try again.
const KEEP: Duration = Duration::from_mins(10);
/// This many demands are remembered, the latest.
const MOST: usize = 4096;
/// This many coordinators that failed at one are remembered, the latest.
const MOST_FAILED: usize = 16;

/// A step on the way to a session that a coordinator may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Credentials are judged.
    Login,
    /// A session is opened.
    Open,
}

/// What a client wants of a coordinator: a hash that tells it from everything else, with a key that nobody
/// knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    service: Service,
    step: Step,
    hash: u64,
}

/// A coordinator that failed at it.
#[derive(Clone, Copy, Debug)]
struct Failed {
    coordinator: CoordinatorId,
    /// How much of the kind it had done before for anybody.
    done: u64,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    failed: VecDeque<Failed>,
}

/// Demands that no coordinator has met yet.
#[derive(Debug, Default)]
pub(super) struct Demands {
    known: BTreeMap<Demand, Known>,
    /// Oldest first; of those that were met, some are still in here.
    order: VecDeque<(Instant, Demand)>,
}

impl Demands {
    fn note_failed(&mut self, demand: Demand, failed: Failed, now: Instant) {
        self.forget_old(now);
        let order = &mut self.order;
        let known = self.known.entry(demand).or_insert_with(|| {
            order.push_back((now, demand));
            Known { since: now, failed: VecDeque::new() }
        });
        known.failed.retain(|other| other.coordinator != failed.coordinator);
        if known.failed.len() == MOST_FAILED {
            known.failed.pop_front();
        }
        known.failed.push_back(failed);
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some(&(since, demand)) = self.order.front()
            && (self.order.len() >= MOST || now.saturating_duration_since(since) >= KEEP)
        {
            self.order.pop_front();
            // Else it was met, and has come up again.
            if self.known.get(&demand).is_some_and(|known| known.since == since) {
                self.known.remove(&demand);
            }
        }
    }
}

impl Cluster {
    /// The demand of a client that sends these bytes, or whatever else tells it from other demands.
    pub fn demand(&self, service: Service, step: Step, what: impl Hash) -> Demand {
        Demand { service, step, hash: self.demand_key.hash_one(what) }
    }

    /// Whether a coordinator failed at it.
    pub fn has_failed_at(&self, demand: Demand, coordinator: &Coordinator) -> bool {
        self.failed_at(demand).contains(&coordinator.id)
    }

    /// The coordinators that failed at it.
    pub(super) fn failed_at(&self, demand: Demand) -> Vec<CoordinatorId> {
        let demands = self.demands.lock();
        let known = demands.known.get(&demand).into_iter();
        known.flat_map(|known| known.failed.iter().map(|failed| failed.coordinator)).collect()
    }

    /// A coordinator answered it with a failure.
    pub fn note_failed(&self, demand: Demand, coordinator: &Coordinator, now: Instant) {
        let failed =
            Failed { coordinator: coordinator.id, done: coordinator.done(demand.service, demand.step) };
        self.demands.lock().note_failed(demand, failed, now);
    }

    /// A coordinator did it. That speaks against those that failed at it, unless they have done something of
    /// the kind since. If the coordinator had failed at it before, too, something has changed in between:
    /// then nothing follows for the others.
    pub fn note_done(&self, demand: Demand, coordinator: &Coordinator, now: Instant) {
        let Some(known) = self.demands.lock().known.remove(&demand) else { return };
        if known.failed.iter().any(|failed| failed.coordinator == coordinator.id) {
            return;
        }
        for failed in known.failed {
            if let Some(other) = self.coordinator(failed.coordinator)
                && other.done(demand.service, demand.step) == failed.done
            {
                other.note_failed(demand.service, demand.step, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
