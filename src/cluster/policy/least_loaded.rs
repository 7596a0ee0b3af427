//! The least-loaded coordinator first.

use std::time::Instant;

use super::super::load::Weight;
use super::super::pick::{Basis, Contender};
use crate::ids::Service;

/// Remembers nothing: the counts are the memory.
#[derive(Debug)]
pub(crate) struct LeastLoaded {
    /// What an open session adds to a score.
    pub(super) idle_session_cost: f64,
}

impl LeastLoaded {
    pub(super) fn rank(&self, contenders: &mut [Contender<'_>], service: Service, now: Instant) {
        for contender in contenders {
            let coordinator = contender.coordinator;
            let weight = Weight::new(coordinator.weight, coordinator.share(service, now));
            let score = coordinator.load().score(coordinator.others(), weight, self.idle_session_cost);
            contender.basis = Basis::Load { score };
        }
    }
}
