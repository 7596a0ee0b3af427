//! What is shown of a coordinator goes when the coordinator does.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::labels::{
    DialOutcome, DrainWait, DrainedOutcome, Label, MoveOutcome, PollOutcome, PortState, ProbeOutcome,
    SessionOutcome,
};
use super::{CoordinatorLabels, CoordinatorOutcome, DrainLabels, Metrics, PortLabels, StateLabels};
use crate::ids::{CoordinatorName, Service};

impl CoordinatorLabels {
    fn forget_outcomes<L: Label>(&self, family: &Family<CoordinatorOutcome, Counter>) {
        for (outcome, _) in L::ALL {
            let Self { cluster, coordinator } = self.clone();
            family.remove(&CoordinatorOutcome { cluster, coordinator, outcome: outcome.word() });
        }
    }

    fn forget_ports(&self, metrics: &Metrics) {
        for port in Service::ALL.map(Service::as_str) {
            let Self { cluster, coordinator } = self.clone();
            let labels = PortLabels { cluster, coordinator, port };
            metrics.links.0.remove(&labels);
            metrics.links.1.remove(&labels);
            for (state, _) in PortState::ALL {
                let Self { cluster, coordinator } = self.clone();
                let state = state.word();
                metrics.coordinator_state.remove(&StateLabels { cluster, coordinator, port, state });
            }
        }
    }

    fn forget_drain(&self, metrics: &Metrics) {
        metrics.drains.0.remove(self);
        for (what, _) in DrainWait::ALL {
            let Self { cluster, coordinator } = self.clone();
            metrics.drains.1.remove(&DrainLabels { cluster, coordinator, what: what.word() });
        }
    }
}

impl Metrics {
    /// A coordinator is gone: nothing is shown of it any more. Whoever still counts something for it counts
    /// unseen.
    pub fn forget_coordinator(&self, cluster: &str, coordinator: &CoordinatorName) {
        let labels = CoordinatorLabels { cluster: cluster.to_owned(), coordinator: coordinator.to_string() };
        labels.forget_outcomes::<SessionOutcome>(&self.sessions);
        labels.forget_outcomes::<MoveOutcome>(&self.session_moves);
        labels.forget_outcomes::<DrainedOutcome>(&self.drained_operations);
        labels.forget_outcomes::<DialOutcome>(&self.dials);
        labels.forget_outcomes::<ProbeOutcome>(&self.probes);
        labels.forget_outcomes::<PollOutcome>(&self.load_polls);
        labels.forget_ports(self);
        labels.forget_drain(self);
        self.sessions_open.remove(&labels);
        self.operations_running.remove(&labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_of_a_coordinator_that_is_gone() {
        let metrics = Metrics::new();
        let [stays, goes] = ["c1", "c2"].map(|name| CoordinatorName(name.into()));
        for name in [&stays, &goes] {
            let coordinator = metrics.coordinator("impala", name);
            coordinator.states.set(Service::Hs2, PortState::Healthy);
            coordinator.links.set(Service::Beeswax, 2, 1);
            coordinator.drain.set(true, |_| 1);
        }
        let lines = |text: &str, name| text.matches(&format!("coordinator=\"{name}\"")).count();
        let before = metrics.render().unwrap();
        assert_eq!(lines(&before, "c1"), lines(&before, "c2"));
        metrics.forget_coordinator("impala", &goes);
        let after = metrics.render().unwrap();
        assert_eq!((lines(&after, "c1"), lines(&after, "c2")), (lines(&before, "c1"), 0));
    }
}
