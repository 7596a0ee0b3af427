//! Smooth weighted turns: over any stretch each coordinator gets its share, without bursts to the heavy ones.
//!
//! Each pick owes every contender its weight and takes the sum of the weights from the one that goes first, so what
//! is owed always adds up to zero and nobody falls behind by more than a round.

use super::super::pick::{Basis, Contender};
use crate::ids::CoordinatorId;

/// What each coordinator is owed, in hundredths of a weight, by its place in the cluster.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    owed: Vec<i64>,
}

impl RoundRobin {
    pub(super) fn new(count: usize) -> Self {
        Self { owed: vec![0; count] }
    }

    /// Takes one turn among those that would be tried first; the rest neither gain nor lose while others are ready.
    pub(super) fn rank(&mut self, contenders: &mut [Contender<'_>]) {
        let none_ready = !contenders.iter().any(Contender::is_ready);
        let mut round = 0;
        for contender in &mut *contenders {
            let Some(owed) = self.owed_to(contender.coordinator.id) else { continue };
            if none_ready || contender.is_ready() {
                let share = contender.outlook.share.percent();
                let weight = i64::from(contender.coordinator.weight.get()) * i64::from(share);
                *owed += weight;
                round += weight;
            }
            contender.basis = Basis::Turn { owed: *owed };
        }
        let first = contenders.iter().min_by(|a, b| a.compare(b)).map(|first| first.coordinator.id);
        if let Some(owed) = first.and_then(|id| self.owed_to(id)) {
            *owed -= round;
        }
    }

    fn owed_to(&mut self, id: CoordinatorId) -> Option<&mut i64> {
        self.owed.get_mut(usize::from(id.0))
    }
}
