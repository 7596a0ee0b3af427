//! What is shown of a coordinator goes when the coordinator does.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::coordinator::Coordinators;
use super::labels::{
    DialOutcome, DrainWait, DrainedOutcome, Label, MoveOutcome, PollOutcome, PortState, ProbeOutcome,
    SessionOutcome,
};
use super::series::{CoordinatorLabels, CoordinatorOutcome, DrainLabels, PortLabels, StateLabels};
use crate::ids::{CoordinatorName, Service};

impl CoordinatorLabels {
    fn forget_outcomes<L: Label>(&self, family: &Family<CoordinatorOutcome, Counter>) {
        for (outcome, _) in L::ALL {
            let Self { cluster, coordinator } = self.clone();
            family.remove(&CoordinatorOutcome { cluster, coordinator, outcome: outcome.word() });
        }
    }
}

impl Coordinators {
    /// A coordinator is gone: nothing is shown of it any more. What is still counted for it is not seen.
    pub(super) fn forget(&self, cluster: &str, coordinator: &CoordinatorName) {
        let labels = CoordinatorLabels { cluster: cluster.to_owned(), coordinator: coordinator.to_string() };
        labels.forget_outcomes::<SessionOutcome>(&self.sessions);
        labels.forget_outcomes::<MoveOutcome>(&self.moves);
        labels.forget_outcomes::<DrainedOutcome>(&self.drained);
        labels.forget_outcomes::<DialOutcome>(&self.dials);
        labels.forget_outcomes::<ProbeOutcome>(&self.probes);
        labels.forget_outcomes::<PollOutcome>(&self.load_polls);
        self.forget_ports(&labels);
        self.forget_drain(&labels);
        self.sessions_open.remove(&labels);
        self.operations_running.remove(&labels);
    }

    fn forget_ports(&self, of: &CoordinatorLabels) {
        for port in Service::ALL.map(Service::as_str) {
            let CoordinatorLabels { cluster, coordinator } = of.clone();
            let labels = PortLabels { cluster, coordinator, port };
            self.links_open.remove(&labels);
            self.links_idle.remove(&labels);
            for (state, _) in PortState::ALL {
                let CoordinatorLabels { cluster, coordinator } = of.clone();
                self.state.remove(&StateLabels { cluster, coordinator, port, state: state.word() });
            }
        }
    }

    fn forget_drain(&self, of: &CoordinatorLabels) {
        self.draining.remove(of);
        for (what, _) in DrainWait::ALL {
            let CoordinatorLabels { cluster, coordinator } = of.clone();
            self.drain_waits_for.remove(&DrainLabels { cluster, coordinator, what: what.word() });
        }
    }
}
