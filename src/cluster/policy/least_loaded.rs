//! The least-loaded coordinator first.

use super::super::load::Weight;
use super::super::pick::{Basis, Contender};

/// Remembers nothing: the counts are the memory.
#[derive(Debug)]
pub(crate) struct LeastLoaded {
    /// What an open session adds to a score.
    pub(super) idle_session_cost: f64,
}

impl LeastLoaded {
    pub(super) fn rank(&self, contenders: &mut [Contender<'_>]) {
        let mut highest: f64 = 1.0;
        for contender in &mut *contenders {
            let (coordinator, outlook) = (contender.coordinator, contender.outlook);
            let weight = Weight::new(coordinator.weight, outlook.share);
            let score = coordinator.load().score(outlook.others, weight, self.idle_session_cost);
            highest = highest.max(score);
            contender.basis = Basis::Load { score };
        }
        // Each counts as much as the busiest has to do: with less, one that fails all it gets would soon be the least
        // loaded again wherever the others have much to do.
        for contender in contenders {
            if let Basis::Load { score } = &mut contender.basis {
                *score += contender.outlook.failures * highest;
            }
        }
    }
}
