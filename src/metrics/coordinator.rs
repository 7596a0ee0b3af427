//! What is counted for one coordinator.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::descriptions::{
    COORDINATOR_DRAINING, COORDINATOR_STATE, DIALS, DRAIN_WAITS_FOR, DRAINED_OPERATIONS, LINKS_IDLE,
    LINKS_OPEN, LOAD_POLLS, OPERATIONS_RUNNING, PROBES, SESSION_MOVES, SESSIONS, SESSIONS_OPEN,
};
use super::labels::{
    DialOutcome, DrainWait, DrainedOutcome, Label as _, MoveOutcome, Per, PollOutcome, PortState,
    ProbeOutcome, SessionOutcome,
};
use super::registered;
use super::series::{CoordinatorLabels, CoordinatorOutcome, DrainLabels, PortLabels, StateLabels};
use crate::ids::{CoordinatorName, Service};

/// The metrics with a coordinator label, for all coordinators.
#[derive(Debug)]
pub(super) struct Coordinators {
    pub(super) sessions: Family<CoordinatorOutcome, Counter>,
    pub(super) moves: Family<CoordinatorOutcome, Counter>,
    pub(super) drained: Family<CoordinatorOutcome, Counter>,
    pub(super) draining: Family<CoordinatorLabels, Gauge>,
    pub(super) drain_waits_for: Family<DrainLabels, Gauge>,
    pub(super) sessions_open: Family<CoordinatorLabels, Gauge>,
    pub(super) operations_running: Family<CoordinatorLabels, Gauge>,
    pub(super) links_open: Family<PortLabels, Gauge>,
    pub(super) links_idle: Family<PortLabels, Gauge>,
    pub(super) dials: Family<CoordinatorOutcome, Counter>,
    pub(super) probes: Family<CoordinatorOutcome, Counter>,
    pub(super) load_polls: Family<CoordinatorOutcome, Counter>,
    pub(super) state: Family<StateLabels, Gauge>,
}

impl Coordinators {
    /// All at zero, exposed in the order of the fields.
    pub(super) fn registered(all: &mut Registry) -> Self {
        Self {
            sessions: registered(all, &SESSIONS),
            moves: registered(all, &SESSION_MOVES),
            drained: registered(all, &DRAINED_OPERATIONS),
            draining: registered(all, &COORDINATOR_DRAINING),
            drain_waits_for: registered(all, &DRAIN_WAITS_FOR),
            sessions_open: registered(all, &SESSIONS_OPEN),
            operations_running: registered(all, &OPERATIONS_RUNNING),
            links_open: registered(all, &LINKS_OPEN),
            links_idle: registered(all, &LINKS_IDLE),
            dials: registered(all, &DIALS),
            probes: registered(all, &PROBES),
            load_polls: registered(all, &LOAD_POLLS),
            state: registered(all, &COORDINATOR_STATE),
        }
    }

    /// The metrics of one coordinator.
    pub(super) fn of(&self, cluster: &str, coordinator: &CoordinatorName) -> CoordinatorMetrics {
        let labels = CoordinatorLabels { cluster: cluster.to_owned(), coordinator: coordinator.to_string() };
        let outcome = |outcome| {
            let CoordinatorLabels { cluster, coordinator } = labels.clone();
            CoordinatorOutcome { cluster, coordinator, outcome }
        };
        CoordinatorMetrics {
            sessions: Per::new(|word| self.sessions.get_or_create_owned(&outcome(word))),
            moves: Per::new(|word| self.moves.get_or_create_owned(&outcome(word))),
            drained: Per::new(|word| self.drained.get_or_create_owned(&outcome(word))),
            dials: Per::new(|word| self.dials.get_or_create_owned(&outcome(word))),
            probes: Per::new(|word| self.probes.get_or_create_owned(&outcome(word))),
            load_polls: Per::new(|word| self.load_polls.get_or_create_owned(&outcome(word))),
            states: States { family: self.state.clone(), labels: labels.clone() },
            drain: DrainGauges {
                draining: self.draining.get_or_create_owned(&labels),
                waits_for: self.drain_waits_for.clone(),
                labels: labels.clone(),
            },
            links: LinkGauges {
                open: self.links_open.clone(),
                idle: self.links_idle.clone(),
                labels: labels.clone(),
            },
            sessions_open: self.sessions_open.get_or_create_owned(&labels),
            operations_running: self.operations_running.get_or_create_owned(&labels),
        }
    }
}

/// What is counted for one coordinator.
#[derive(Clone, Debug)]
pub struct CoordinatorMetrics {
    /// Attempts to open a session.
    pub sessions: Per<SessionOutcome>,
    /// Attempts to move a session off it.
    pub moves: Per<MoveOutcome>,
    /// Operations that a drain had to cancel at its deadline.
    pub drained: Per<DrainedOutcome>,
    /// Attempts to connect.
    pub dials: Per<DialOutcome>,
    /// Probes of its ports.
    pub probes: Per<ProbeOutcome>,
    /// Polls of its web port.
    pub load_polls: Per<PollOutcome>,
    /// The states of its ports.
    pub states: States,
    /// Its drain, set once a second.
    pub drain: DrainGauges,
    /// The links to its ports, set once a second.
    pub links: LinkGauges,
    /// Open sessions, set once a second from the cluster's own counts.
    pub sessions_open: Gauge,
    /// Running operations, set once a second from the cluster's own counts.
    pub operations_running: Gauge,
}

/// The states of one coordinator's ports. A port appears when its state is first set, so unused ports have
/// none.
#[derive(Clone, Debug)]
pub struct States {
    family: Family<StateLabels, Gauge>,
    labels: CoordinatorLabels,
}

impl States {
    /// Shows this state and no other for a port.
    pub fn set(&self, port: Service, state: PortState) {
        for (other, _) in PortState::ALL {
            let CoordinatorLabels { cluster, coordinator } = self.labels.clone();
            let labels = StateLabels { cluster, coordinator, port: port.as_str(), state: other.word() };
            self.family.get_or_create_owned(&labels).set(i64::from(*other == state));
        }
    }
}

/// The drain of one coordinator.
#[derive(Clone, Debug)]
pub struct DrainGauges {
    draining: Gauge,
    waits_for: Family<DrainLabels, Gauge>,
    labels: CoordinatorLabels,
}

impl DrainGauges {
    /// Shows whether an operator drains the coordinator, and what the drain still waits for.
    pub fn set(&self, is_drained: bool, left: impl Fn(DrainWait) -> u32) {
        self.draining.set(is_drained.into());
        for (what, _) in DrainWait::ALL {
            let CoordinatorLabels { cluster, coordinator } = self.labels.clone();
            let labels = DrainLabels { cluster, coordinator, what: what.word() };
            let left = if is_drained { left(*what) } else { 0 };
            self.waits_for.get_or_create_owned(&labels).set(left.into());
        }
    }
}

/// The links to one coordinator's ports. A port appears when it is first set.
#[derive(Clone, Debug)]
pub struct LinkGauges {
    open: Family<PortLabels, Gauge>,
    idle: Family<PortLabels, Gauge>,
    labels: CoordinatorLabels,
}

impl LinkGauges {
    /// Shows how many links there are to a port, and how many of them are idle.
    pub fn set(&self, port: Service, open: u32, idle: u32) {
        let CoordinatorLabels { cluster, coordinator } = self.labels.clone();
        let labels = PortLabels { cluster, coordinator, port: port.as_str() };
        self.open.get_or_create_owned(&labels).set(open.into());
        self.idle.get_or_create_owned(&labels).set(idle.into());
    }
}
