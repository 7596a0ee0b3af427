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
        for contender in contenders {
            let (coordinator, outlook) = (contender.coordinator, contender.outlook);
            let weight = Weight::new(coordinator.weight, outlook.share);
            let score = coordinator.load().score(outlook.others, weight, self.idle_session_cost);
            contender.basis = Basis::Load { score };
        }
    }
}
