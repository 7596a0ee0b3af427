//! The least-loaded coordinator first.

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
            let coordinator = contender.coordinator;
            let score = coordinator.load().score(coordinator.weight, self.idle_session_cost);
            contender.basis = Basis::Load { score };
        }
    }
}
