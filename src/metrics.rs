//! Every metric of the router. [`Metrics`] is a value, not a static, so that two routers in one process do not mix.
//!
//! Whatever counts resolves its counters once ([`Metrics::listener`], [`Metrics::coordinator`], [`Metrics::calls`]);
//! to count is then one atomic addition, with no lock, no lookup and no allocation.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

mod forget;
mod labels;

pub use labels::{
    AcceptError, AskingOutcome, CallOutcome, CloseCause, DialOutcome, Direction, DrainWait, DrainedOutcome,
    Label, MoveOutcome, Per, PollOutcome, PortState, ProbeOutcome, RefusalCause, SessionOutcome, WaitOutcome,
};

use crate::ids::{CoordinatorName, Depth, Service};

/// The prefix of every name.
const PREFIX: &str = "hs2router";

/// The method of a call whose name is in no table.
const UNKNOWN_METHOD: &str = "unknown";

/// What a metric is, for `docs/METRICS.md`.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// As exposed, without the prefix.
    pub name: &'static str,
    /// `counter`, `gauge` or `info`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, ending without a full stop (the exposition adds it).
    pub help: &'static str,
}

macro_rules! descriptions {
    ($($id:ident = $kind:literal $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(const $id: Description =
            Description { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+

        /// Every metric, in the order of the exposition.
        pub const DESCRIPTIONS: &[Description] = &[$($id),+];
    };
}

descriptions! {
    BUILD = "info" "build_info" ["version"] "The version of the router; always 1";
    CONNECTIONS = "counter" "connections_total" ["listener", "depth"]
        "Client connections accepted and detected";
    CONNECTIONS_OPEN = "gauge" "connections_open" ["listener"] "Client connections open now";
    CONNECTIONS_REFUSED = "counter" "connections_refused_total" ["cause"]
        "Client connections and sessions turned away by the router";
    CONNECTIONS_CLOSED = "counter" "connections_closed_total" ["cause"] "Client connections ended, each by one cause";
    ACCEPT_ERRORS = "counter" "accept_errors_total" ["class"] "Errors of the accept loops";
    ACCEPT_WAITS = "counter" "accept_waits_total" []
        "Times that the router stopped accepting because max_connections were open";
    SESSIONS = "counter" "sessions_total" ["cluster", "coordinator", "outcome"]
        "Attempts to open a session on a coordinator";
    SESSION_MOVES = "counter" "session_moves_total" ["cluster", "coordinator", "outcome"]
        "Attempts to move a session off a coordinator";
    DRAINED_OPERATIONS = "counter" "drained_operations_total" ["cluster", "coordinator", "outcome"]
        "Operations that were open at the deadline of a drain and were to be cancelled";
    COORDINATOR_DRAINING = "gauge" "coordinator_draining" ["cluster", "coordinator"]
        "1 for a coordinator that people drain, else 0";
    DRAIN_WAITS_FOR = "gauge" "drain_waits_for" ["cluster", "coordinator", "what"]
        "What is left on a coordinator that people drain; 0 on others";
    SESSIONS_OPEN = "gauge" "sessions_open" ["cluster", "coordinator"] "Sessions open now";
    OPERATIONS_RUNNING = "gauge" "operations_running" ["cluster", "coordinator"] "Operations running now";
    LINKS_OPEN = "gauge" "links_open" ["cluster", "coordinator", "port"]
        "Connections to a coordinator's port, those that are being made among them";
    LINKS_IDLE = "gauge" "links_idle" ["cluster", "coordinator", "port"]
        "Connections to a coordinator's port that wait for a call of any client of their identity";
    QUEUE_WAITING = "gauge" "queue_waiting" ["cluster"]
        "New sessions and calls that wait for room on a coordinator now";
    QUEUE_WAITS = "counter" "queue_waits_total" ["cluster", "outcome"]
        "Waits of new sessions and calls for room on a coordinator";
    QUEUE_WAIT_SECONDS = "counter" "queue_wait_seconds_total" ["cluster"] "Seconds that they have waited, together";
    CALLS = "counter" "calls_total" ["method", "outcome"] "Calls ended";
    ASKINGS = "counter" "askings_total" ["outcome"] "Handles that the session table lacked, for which coordinators are asked";
    BYTES = "counter" "bytes_total" ["direction"] "Bytes relayed between clients and coordinators";
    DIALS = "counter" "dials_total" ["cluster", "coordinator", "outcome"] "Attempts to connect to a coordinator";
    PROBES = "counter" "probes_total" ["cluster", "coordinator", "outcome"] "Probes of a coordinator's ports";
    LOAD_POLLS = "counter" "load_polls_total" ["cluster", "coordinator", "outcome"]
        "Polls of a coordinator's web port";
    COORDINATOR_STATE = "gauge" "coordinator_state" ["cluster", "coordinator", "port", "state"]
        "1 for what is thought of a port that is in use, 0 for everything else";
    SESSION_TABLE_ENTRIES = "gauge" "session_table_entries" [] "Sessions in the session table";
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DepthLabels {
    listener: String,
    depth: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CoordinatorLabels {
    cluster: String,
    coordinator: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CoordinatorOutcome {
    cluster: String,
    coordinator: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DrainLabels {
    cluster: String,
    coordinator: String,
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    cluster: String,
    coordinator: String,
    port: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    cluster: String,
    coordinator: String,
    port: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterOutcome {
    cluster: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodOutcome {
    method: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    direction: &'static str,
}

/// All metrics of one router.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<DepthLabels, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    sessions: Family<CoordinatorOutcome, Counter>,
    session_moves: Family<CoordinatorOutcome, Counter>,
    drained_operations: Family<CoordinatorOutcome, Counter>,
    drains: (Family<CoordinatorLabels, Gauge>, Family<DrainLabels, Gauge>),
    sessions_open: Family<CoordinatorLabels, Gauge>,
    operations_running: Family<CoordinatorLabels, Gauge>,
    calls: Family<MethodOutcome, Counter>,
    dials: Family<CoordinatorOutcome, Counter>,
    probes: Family<CoordinatorOutcome, Counter>,
    load_polls: Family<CoordinatorOutcome, Counter>,
    coordinator_state: Family<StateLabels, Gauge>,
    links: (Family<PortLabels, Gauge>, Family<PortLabels, Gauge>),
    queue_waiting: Family<ClusterLabels, Gauge>,
    queue_waits: Family<ClusterOutcome, Counter>,
    queue_wait_seconds: Family<ClusterLabels, Counter<f64, AtomicU64>>,
    /// Clients turned away.
    pub connections_refused: Per<RefusalCause>,
    /// Client connections ended.
    pub connections_closed: Per<CloseCause>,
    /// Errors of the accept loops.
    pub accept_errors: Per<AcceptError>,
    /// Times that `max_connections` was reached.
    pub accept_waits: Counter,
    /// Handles that coordinators are asked for.
    pub askings: Per<AskingOutcome>,
    /// Bytes relayed, both depths together.
    pub bytes: Per<Direction>,
    /// The size of the session table.
    pub session_table_entries: Gauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let all = &mut registry;
        register(all, &BUILD, Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let connections = registered(all, &CONNECTIONS);
        let connections_open = registered(all, &CONNECTIONS_OPEN);
        let refused: Family<Cause, Counter> = registered(all, &CONNECTIONS_REFUSED);
        let closed: Family<Cause, Counter> = registered(all, &CONNECTIONS_CLOSED);
        let accept_errors: Family<Class, Counter> = registered(all, &ACCEPT_ERRORS);
        let accept_waits = registered(all, &ACCEPT_WAITS);
        let sessions = registered(all, &SESSIONS);
        let session_moves = registered(all, &SESSION_MOVES);
        let drained_operations = registered(all, &DRAINED_OPERATIONS);
        let drains = (registered(all, &COORDINATOR_DRAINING), registered(all, &DRAIN_WAITS_FOR));
        let sessions_open = registered(all, &SESSIONS_OPEN);
        let operations_running = registered(all, &OPERATIONS_RUNNING);
        let links = (registered(all, &LINKS_OPEN), registered(all, &LINKS_IDLE));
        let queue_waiting = registered(all, &QUEUE_WAITING);
        let queue_waits = registered(all, &QUEUE_WAITS);
        let queue_wait_seconds = registered(all, &QUEUE_WAIT_SECONDS);
        let calls = registered(all, &CALLS);
        let askings: Family<Outcome, Counter> = registered(all, &ASKINGS);
        let bytes: Family<Way, Counter> = registered(all, &BYTES);
        let dials = registered(all, &DIALS);
        let probes = registered(all, &PROBES);
        let load_polls = registered(all, &LOAD_POLLS);
        let coordinator_state = registered(all, &COORDINATOR_STATE);
        let session_table_entries = registered(all, &SESSION_TABLE_ENTRIES);
        Self {
            registry,
            connections,
            connections_open,
            sessions,
            session_moves,
            drained_operations,
            drains,
            sessions_open,
            operations_running,
            calls,
            dials,
            probes,
            load_polls,
            coordinator_state,
            links,
            queue_waiting,
            queue_waits,
            queue_wait_seconds,
            connections_refused: Per::new(|cause| refused.get_or_create_owned(&Cause { cause })),
            connections_closed: Per::new(|cause| closed.get_or_create_owned(&Cause { cause })),
            accept_errors: Per::new(|class| accept_errors.get_or_create_owned(&Class { class })),
            accept_waits,
            askings: Per::new(|outcome| askings.get_or_create_owned(&Outcome { outcome })),
            bytes: Per::new(|direction| bytes.get_or_create_owned(&Way { direction })),
            session_table_entries,
        }
    }

    /// The metrics of one listener, which is named by its address.
    pub fn listener(&self, address: &str) -> ListenerMetrics {
        let listener = || address.to_owned();
        let connections =
            |depth| self.connections.get_or_create_owned(&DepthLabels { listener: listener(), depth });
        ListenerMetrics {
            connections: Per::new(connections),
            open: self.connections_open.get_or_create_owned(&ListenerLabels { listener: listener() }),
        }
    }

    /// The metrics of a cluster's queue.
    pub fn queue(&self, cluster: &str) -> QueueMetrics {
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        let outcome = |outcome| ClusterOutcome { cluster: cluster.to_owned(), outcome };
        QueueMetrics {
            waits: Per::new(|word| self.queue_waits.get_or_create_owned(&outcome(word))),
            seconds: self.queue_wait_seconds.get_or_create_owned(&labels),
            waiting: self.queue_waiting.get_or_create_owned(&labels),
        }
    }

    /// The metrics of one coordinator of a cluster.
    pub fn coordinator(&self, cluster: &str, coordinator: &CoordinatorName) -> CoordinatorMetrics {
        let labels = CoordinatorLabels { cluster: cluster.to_owned(), coordinator: coordinator.to_string() };
        let outcome = |outcome| {
            let CoordinatorLabels { cluster, coordinator } = labels.clone();
            CoordinatorOutcome { cluster, coordinator, outcome }
        };
        CoordinatorMetrics {
            sessions: Per::new(|word| self.sessions.get_or_create_owned(&outcome(word))),
            moves: Per::new(|word| self.session_moves.get_or_create_owned(&outcome(word))),
            drained: Per::new(|word| self.drained_operations.get_or_create_owned(&outcome(word))),
            dials: Per::new(|word| self.dials.get_or_create_owned(&outcome(word))),
            probes: Per::new(|word| self.probes.get_or_create_owned(&outcome(word))),
            load_polls: Per::new(|word| self.load_polls.get_or_create_owned(&outcome(word))),
            states: States { family: self.coordinator_state.clone(), labels: labels.clone() },
            drain: DrainGauges {
                draining: self.drains.0.get_or_create_owned(&labels),
                waits_for: self.drains.1.clone(),
                labels: labels.clone(),
            },
            links: LinkGauges { families: self.links.clone(), labels: labels.clone() },
            sessions_open: self.sessions_open.get_or_create_owned(&labels),
            operations_running: self.operations_running.get_or_create_owned(&labels),
        }
    }

    /// The metrics of calls. A method is then known by its place in `methods`; no two may have the same name.
    pub fn calls(&self, methods: &[&'static str]) -> CallMetrics {
        let of_method = |method: &'static str| {
            let outcome = |outcome| self.calls.get_or_create_owned(&MethodOutcome { method, outcome });
            Per::new(outcome)
        };
        CallMetrics {
            methods: methods.iter().map(|method| of_method(method)).collect(),
            unknown: of_method(UNKNOWN_METHOD),
        }
    }

    /// Everything in the `OpenMetrics` text format.
    ///
    /// # Errors
    /// Never with the metrics defined here; the encoder's signature allows it.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted for one listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    /// Its connections, once their depth is known.
    pub connections: Per<Depth>,
    /// Its open connections; hold one by [`Held::one_of`].
    pub open: Gauge,
}

/// What is counted for those who wait for room in one cluster.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// Waits that ended.
    pub waits: Per<WaitOutcome>,
    /// How long they were together.
    pub seconds: Counter<f64, AtomicU64>,
    /// Those who wait; hold one by [`Held::one_of`].
    pub waiting: Gauge,
}

/// What is counted for one coordinator.
#[derive(Clone, Debug)]
pub struct CoordinatorMetrics {
    /// Attempts to open a session.
    pub sessions: Per<SessionOutcome>,
    /// Attempts to move a session off it.
    pub moves: Per<MoveOutcome>,
    /// Operations that were to be cancelled at the deadline of a drain.
    pub drained: Per<DrainedOutcome>,
    /// Attempts to connect.
    pub dials: Per<DialOutcome>,
    /// Probes of its ports.
    pub probes: Per<ProbeOutcome>,
    /// Polls of its web port.
    pub load_polls: Per<PollOutcome>,
    /// What is thought of its ports.
    pub states: States,
    /// Its drain, set once a second.
    pub drain: DrainGauges,
    /// The links to its ports, set likewise.
    pub links: LinkGauges,
    /// Open sessions, set once a second from the cluster's own counts.
    pub sessions_open: Gauge,
    /// Running operations, set likewise.
    pub operations_running: Gauge,
}

/// The states of one coordinator's ports. A port appears when its state is first set: one that nothing uses has none.
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
    /// Shows whether people drain it, and what is left on it then.
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
    families: (Family<PortLabels, Gauge>, Family<PortLabels, Gauge>),
    labels: CoordinatorLabels,
}

impl LinkGauges {
    /// Shows how many links there are to a port, and how many of them are idle.
    pub fn set(&self, port: Service, open: u32, idle: u32) {
        let CoordinatorLabels { cluster, coordinator } = self.labels.clone();
        let labels = PortLabels { cluster, coordinator, port: port.as_str() };
        self.families.0.get_or_create_owned(&labels).set(open.into());
        self.families.1.get_or_create_owned(&labels).set(idle.into());
    }
}

/// What is counted for calls.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    methods: Box<[Per<CallOutcome>]>,
    unknown: Per<CallOutcome>,
}

impl CallMetrics {
    /// Counts a call of the method at this place of the table; `None` stands for a method that is in no table.
    pub fn count(&self, method: Option<usize>, outcome: CallOutcome) {
        let known = method.and_then(|place| self.methods.get(place));
        known.unwrap_or(&self.unknown).count(outcome);
    }
}

/// One of what a gauge counts, for as long as it lives: on no way out can the gauge be left too high.
#[derive(Debug)]
#[must_use = "it counts only while it is held"]
pub struct Held(Gauge);

impl Held {
    /// Adds one to the gauge until the value is dropped.
    pub fn one_of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn registered<M: Metric + Clone + Default>(registry: &mut Registry, description: &Description) -> M {
    let metric = M::default();
    register(registry, description, metric.clone());
    metric
}

fn register(registry: &mut Registry, description: &Description, metric: impl Metric) {
    // The exposition adds these suffixes by itself.
    let name = description.name.trim_end_matches("_total").trim_end_matches("_info");
    registry.register(name, description.help, metric);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_exposed_under_its_documented_name_and_labels() {
        let metrics = Metrics::new();
        let listener = metrics.listener("0.0.0.0:21050");
        listener.connections.count(Depth::Route);
        let coordinator = metrics.coordinator("impala", &CoordinatorName("c1".into()));
        coordinator.dials.count(DialOutcome::Refused);
        coordinator.states.set(Service::Hs2, PortState::Suspect);
        coordinator.links.set(Service::Hs2, 2, 1);
        coordinator.drain.set(true, |_| 1);
        metrics.queue("impala").waits.count(WaitOutcome::Served);
        metrics.calls(&["OpenSession"]).count(Some(0), CallOutcome::Reply);
        let text = metrics.render().unwrap();
        for Description { name, kind, labels, help } in DESCRIPTIONS {
            let family = name.trim_end_matches("_total").trim_end_matches("_info");
            assert!(text.contains(&format!("# TYPE {PREFIX}_{family} {kind}\n")), "{name}: {text}");
            assert!(text.contains(&format!("# HELP {PREFIX}_{family} {help}.\n")), "{name}: {text}");
            let start = match labels.first() {
                Some(label) => format!("\n{PREFIX}_{name}{{{label}=\""),
                None => format!("\n{PREFIX}_{name} "),
            };
            let line = text.split_once(&start).unwrap_or_else(|| panic!("{start:?} is not in {text}")).1;
            let line = line.lines().next().unwrap();
            for label in labels.iter().skip(1) {
                assert!(line.contains(&format!(",{label}=\"")), "{name} lacks {label}: {line}");
            }
        }
        assert_eq!(text.matches("# TYPE ").count(), DESCRIPTIONS.len());
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn what_is_counted_is_what_is_exposed() {
        let metrics = Metrics::new();
        metrics.connections_closed.count(CloseCause::BadSasl);
        metrics.bytes.add(Direction::ToClient, 65_536);
        let calls = metrics.calls(&["OpenSession", "FetchResults"]);
        calls.count(Some(1), CallOutcome::Lost);
        calls.count(Some(2), CallOutcome::Reply);
        calls.count(None, CallOutcome::Reply);
        let text = metrics.render().unwrap();
        for line in [
            "hs2router_connections_closed_total{cause=\"bad_sasl\"} 1\n",
            "hs2router_bytes_total{direction=\"to_client\"} 65536\n",
            "hs2router_calls_total{method=\"FetchResults\",outcome=\"lost\"} 1\n",
            "hs2router_calls_total{method=\"unknown\",outcome=\"reply\"} 2\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn two_handles_of_one_coordinator_count_together() {
        let metrics = Metrics::new();
        let name = CoordinatorName("c1".into());
        metrics.coordinator("impala", &name).sessions.count(SessionOutcome::Opened);
        let again = metrics.coordinator("impala", &name);
        again.sessions.count(SessionOutcome::Opened);
        assert_eq!(again.sessions.counted(SessionOutcome::Opened), 2);
        let namesake = metrics.coordinator("etl", &name);
        assert_eq!(namesake.sessions.counted(SessionOutcome::Opened), 0);
    }

    #[test]
    fn a_port_has_one_state() {
        let metrics = Metrics::new();
        let coordinator = metrics.coordinator("impala", &CoordinatorName("c1".into()));
        coordinator.states.set(Service::Hs2, PortState::Ejected);
        coordinator.states.set(Service::Hs2, PortState::Healthy);
        let text = metrics.render().unwrap();
        let series = |state| {
            format!(
                "coordinator_state{{cluster=\"impala\",coordinator=\"c1\",port=\"hs2\",state=\"{state}\"}}"
            )
        };
        assert!(text.contains(&format!("{} 1\n", series("healthy"))), "{text}");
        assert!(text.contains(&format!("{} 0\n", series("ejected"))), "{text}");
        assert!(!text.contains("beeswax"), "{text}");
    }

    #[test]
    fn a_gauge_falls_when_what_it_counts_is_dropped() {
        let listener = Metrics::new().listener("a");
        let one = Held::one_of(&listener.open);
        let other = Held::one_of(&listener.open);
        assert_eq!(listener.open.get(), 2);
        drop(one);
        drop(other);
        assert_eq!(listener.open.get(), 0);
    }

    #[test]
    fn every_label_value_has_its_own_counter() {
        fn check<L: Label>() {
            let words: std::collections::HashSet<_> = L::ALL.iter().map(|(label, _)| label.word()).collect();
            assert_eq!(words.len(), L::ALL.len());
            for (place, (label, _)) in L::ALL.iter().enumerate() {
                assert_eq!(label.index(), place, "{}", label.word());
            }
        }
        check::<RefusalCause>();
        check::<AcceptError>();
        check::<CloseCause>();
        check::<SessionOutcome>();
        check::<MoveOutcome>();
        check::<DrainedOutcome>();
        check::<CallOutcome>();
        check::<AskingOutcome>();
        check::<DialOutcome>();
        check::<WaitOutcome>();
        check::<ProbeOutcome>();
        check::<PollOutcome>();
        check::<PortState>();
        check::<Direction>();
        check::<Depth>();
    }
}
