//! Smooth weighted turns: over any stretch each coordinator gets its share, without bursts to the heavy ones.
//!
//! Each pick owes every contender its weight and takes the sum of the weights from the one that goes first,
//! so what is owed always adds up to zero and nobody falls behind by more than a round. When a coordinator
//! comes or goes, the count begins anew.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use super::super::condition::Standing;
use super::super::coordinator::Coordinator;
use super::super::pick::{Basis, Candidate, NoPick, Of, PickReason, Wanted};
use super::super::roster::All;
use super::common::{Found, is_doubtful};
use crate::ids::{CoordinatorId, Service};

/// What each coordinator is owed.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// The coordinators that there were at the last pick.
    all: All<Coordinator>,
    /// In hundredths of a weight; who is not in here is owed nothing.
    owed: HashMap<CoordinatorId, i64>,
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
    /// The coordinator whose turn it is, of those that were not tried and have room. All of them are asked,
    /// since each is owed something.
    pub(super) fn pick<'a>(
        &mut self,
        of: Of<'a>,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        if !Arc::ptr_eq(&self.all, of.all) {
            self.all = Arc::clone(of.all);
            self.owed.clear();
        }
        let mut contenders = contenders(of, wanted.service, now, rng);
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
            let owed = self.owed_to(contender.coordinator.id);
            if none_ready || contender.is_ready() {
                *owed += contender.weight;
                round += contender.weight;
            }
            contender.owed = *owed;
        }
        let first = contenders.iter().min_by_key(|contender| contender.key());
        if let Some(first) = first {
            *self.owed_to(first.coordinator.id) -= round;
        }
    }

    fn owed_to(&mut self, id: CoordinatorId) -> &mut i64 {
        self.owed.entry(id).or_default()
    }
}

fn contenders<'a>(
    Of { cluster, all }: Of<'a>,
    service: Service,
    now: Instant,
    rng: &mut impl Rng,
) -> Vec<Contender<'a>> {
    let offers = |one: &&Arc<Coordinator>| one.ports.of(service).is_some();
    let wanted = all.iter().filter(|one| one.is_wanted()).filter(offers);
    let contender = |coordinator: &'a Arc<Coordinator>| {
        let outlook = coordinator.outlook(service, now);
        let weight = i64::from(coordinator.weight().get()) * i64::from(outlook.share.percent());
        Contender { coordinator, standing: outlook.standing, weight, owed: 0, tie: rng.next_u32() }
    };
    let mut contenders: Vec<_> = wanted.map(contender).collect();
    let fit = contenders.iter().filter(|contender| contender.standing.is_fit()).count();
    if is_doubtful(fit, contenders.len(), cluster.health.panic_threshold) {
        for contender in contenders.iter_mut().filter(|contender| contender.standing == Standing::Ejected) {
            contender.standing = Standing::Ready;
        }
    }
    contenders
}
