//! Smooth weighted turns: over any stretch each coordinator gets its share, without bursts to the heavy ones.
//!
//! Each pick owes every contender its weight and takes the sum of the weights from the one that goes first,
//! so what is owed always adds up to zero and nobody falls behind by more than a round.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use super::super::condition::Standing;
use super::super::coordinator::Coordinator;
use super::super::pick::{Basis, Candidate, NoPick, PickReason, Wanted};
use super::super::{AdminState, Cluster};
use super::{Found, is_doubtful};
use crate::ids::{CoordinatorId, Service};

/// What each coordinator is owed, in hundredths of a weight, by its place in the cluster.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    owed: Vec<i64>,
}

/// A coordinator while a pick is under way.
struct Contender<'a> {
    coordinator: &'a Arc<Coordinator>,
    standing: Standing,
    /// Its weight with as much of its share as it takes, in hundredths.
    weight: i64,
    owed: i64,
    /// Decides among equals.
    tie: u32,
}

impl Contender<'_> {
    fn is_ready(&self) -> bool {
        self.standing == Standing::Ready
    }

    /// The least is tried first.
    fn key(&self) -> (u8, Reverse<i64>, u32) {
        (self.standing.class(), Reverse(self.owed), self.tie)
    }
}

impl RoundRobin {
    pub(super) fn new(count: usize) -> Self {
        Self { owed: vec![0; count] }
    }

    /// Which coordinator's turn it is, among those that were not tried and have room. All are asked, since
    /// each is owed something.
    pub(super) fn pick<'a>(
        &mut self,
        cluster: &'a Cluster,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        let mut contenders = contenders(cluster, wanted.service, now, rng);
        contenders.retain(|contender| !wanted.tried.contains(&contender.coordinator.id));
        let any_fit = contenders.iter().any(|contender| contender.standing.is_fit());
        let none = if contenders.is_empty() { NoPick::Nobody } else { NoPick::NoRoom };
        contenders.retain(|contender| (wanted.has_room)(contender.coordinator));
        self.take_turn(&mut contenders);
        let first = contenders.iter().min_by_key(|contender| contender.key());
        let first = first.filter(|first| first.standing.is_fit() || !any_fit).ok_or(none)?;
        let reason = PickReason { basis: Basis::Turn { owed: first.owed }, standing: first.standing };
        Ok((first.coordinator, Candidate { id: first.coordinator.id, reason }))
    }

    /// Takes one turn among those that would be tried first; the rest neither gain nor lose while others are
    /// ready.
    fn take_turn(&mut self, contenders: &mut [Contender<'_>]) {
        let none_ready = !contenders.iter().any(Contender::is_ready);
        let mut round = 0;
        for contender in &mut *contenders {
            let Some(owed) = self.owed_to(contender.coordinator.id) else { continue };
            if none_ready || contender.is_ready() {
                *owed += contender.weight;
                round += contender.weight;
            }
            contender.owed = *owed;
        }
        let first = contenders.iter().min_by_key(|contender| contender.key());
        if let Some(owed) = first.and_then(|first| self.owed_to(first.coordinator.id)) {
            *owed -= round;
        }
    }

    fn owed_to(&mut self, id: CoordinatorId) -> Option<&mut i64> {
        self.owed.get_mut(usize::from(id.0))
    }
}

fn contenders<'a>(
    cluster: &'a Cluster,
    service: Service,
    now: Instant,
    rng: &mut impl Rng,
) -> Vec<Contender<'a>> {
    let offers = |one: &&Arc<Coordinator>| one.ports.of(service).is_some();
    let active = cluster.coordinators.iter().filter(|one| one.state() == AdminState::Active).filter(offers);
    let contender = |coordinator: &'a Arc<Coordinator>| {
        let outlook = coordinator.outlook(service, now);
        let weight = i64::from(coordinator.weight.get()) * i64::from(outlook.share.percent());
        Contender { coordinator, standing: outlook.standing, weight, owed: 0, tie: rng.next_u32() }
    };
    let mut contenders: Vec<_> = active.map(contender).collect();
    let fit = contenders.iter().filter(|contender| contender.standing.is_fit()).count();
    if is_doubtful(fit, contenders.len(), cluster.panic_threshold) {
        for contender in contenders.iter_mut().filter(|contender| contender.standing == Standing::Ejected) {
            contender.standing = Standing::Ready;
        }
    }
    contenders
}
