//! Every metric of the router. [`Metrics`] is a value, not a static, so that two routers in one process do
//! not mix.
//!
//! Code that counts looks up its counters once ([`Metrics::listener`], [`Metrics::coordinator`],
//! [`Metrics::calls`]). After that, counting is one atomic addition, with no lock, no lookup and no
//! allocation.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

mod certificates;
mod coordinator;
mod descriptions;
mod forget;
mod labels;
mod series;

use self::certificates::Certificates;
pub use self::certificates::{CertificateMetrics, Owner};
use self::coordinator::Coordinators;
pub use self::coordinator::{CoordinatorMetrics, DrainGauges, LinkGauges, States};
use self::descriptions::{
    ACCEPT_ERRORS, ACCEPT_WAITS, BUILD, BYTES, CALLS, CERTIFICATE_EXPIRES, CERTIFICATE_FILES_BAD,
    CERTIFICATE_RELOADS, CLIENT_CERTIFICATE_EXPIRES, CLIENT_CERTIFICATE_FILES_BAD,
    CLIENT_CERTIFICATE_RELOADS, CLUSTER_PAUSED, CLUSTER_VERIFIED, CONNECTIONS, CONNECTIONS_CLOSED,
    CONNECTIONS_OPEN, CONNECTIONS_REFUSED, CONNECTIONS_TLS, HANDLE_LOOKUPS, HISTORY_LOST, OWN_TICKET_EXPIRES,
    QUEUE_WAIT_SECONDS, QUEUE_WAITING, QUEUE_WAITS, SESSION_TABLE_ENTRIES, TLS_HANDSHAKES,
};
pub use self::descriptions::{DESCRIPTIONS, Description};
pub use self::labels::{
    AcceptError, CallOutcome, CloseCause, DialOutcome, Direction, DrainWait, DrainedOutcome, Encryption,
    HandshakeOutcome, HistoryLoss, Label, LocateOutcome, MoveOutcome, Per, PollOutcome, PortState,
    ProbeOutcome, RefusalCause, ReloadOutcome, SessionOutcome, WaitOutcome,
};
use self::series::{
    Cause, Class, ClusterLabels, ClusterOutcome, DepthLabels, ListenerLabels, ListenerOutcome, MethodOutcome,
    Outcome, TlsLabels, Way,
};
use crate::ids::{CoordinatorName, Depth};

/// The prefix of every name.
const PREFIX: &str = "hs2router";

/// The method label of calls whose method is in no table.
const UNKNOWN_METHOD: &str = "unknown";

/// All metrics of one router.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<DepthLabels, Counter>,
    connections_tls: Family<TlsLabels, Counter>,
    tls_handshakes: Family<ListenerOutcome, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    listener_certificates: Certificates,
    cluster_certificates: Certificates,
    cluster_verified: Family<ClusterLabels, Gauge>,
    own_ticket_expires: Family<ClusterLabels, Gauge>,
    cluster_paused: Family<ClusterLabels, Gauge>,
    coordinators: Coordinators,
    calls: Family<MethodOutcome, Counter>,
    queue_waiting: Family<ClusterLabels, Gauge>,
    queue_waits: Family<ClusterOutcome, Counter>,
    queue_wait_seconds: Family<ClusterLabels, Counter<f64, AtomicU64>>,
    /// Client connections and sessions that were refused.
    pub connections_refused: Per<RefusalCause>,
    /// Client connections that ended.
    pub connections_closed: Per<CloseCause>,
    /// Errors of the accept loops.
    pub accept_errors: Per<AcceptError>,
    /// Times that accepting stopped because `max_connections` were open.
    pub accept_waits: Counter,
    /// Lookups of unknown handles on all coordinators.
    pub handle_lookups: Per<LocateOutcome>,
    /// Bytes relayed, of both depths together.
    pub bytes: Per<Direction>,
    /// Records of the history that were lost.
    pub history_lost: Per<HistoryLoss>,
    /// The size of the session table.
    pub session_table_entries: Gauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let all = &mut registry;
        register(all, &BUILD, Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            connections: registered(all, &CONNECTIONS),
            connections_tls: registered(all, &CONNECTIONS_TLS),
            tls_handshakes: registered(all, &TLS_HANDSHAKES),
            connections_open: registered(all, &CONNECTIONS_OPEN),
            connections_refused: per(all, &CONNECTIONS_REFUSED, |cause| Cause { cause }),
            connections_closed: per(all, &CONNECTIONS_CLOSED, |cause| Cause { cause }),
            accept_errors: per(all, &ACCEPT_ERRORS, |class| Class { class }),
            listener_certificates: Certificates {
                reloads: registered(all, &CERTIFICATE_RELOADS),
                expires: registered(all, &CERTIFICATE_EXPIRES),
                bad: registered(all, &CERTIFICATE_FILES_BAD),
            },
            cluster_certificates: Certificates {
                reloads: registered(all, &CLIENT_CERTIFICATE_RELOADS),
                expires: registered(all, &CLIENT_CERTIFICATE_EXPIRES),
                bad: registered(all, &CLIENT_CERTIFICATE_FILES_BAD),
            },
            cluster_verified: registered(all, &CLUSTER_VERIFIED),
            own_ticket_expires: registered(all, &OWN_TICKET_EXPIRES),
            accept_waits: registered(all, &ACCEPT_WAITS),
            cluster_paused: registered(all, &CLUSTER_PAUSED),
            coordinators: Coordinators::registered(all),
            queue_waiting: registered(all, &QUEUE_WAITING),
            queue_waits: registered(all, &QUEUE_WAITS),
            queue_wait_seconds: registered(all, &QUEUE_WAIT_SECONDS),
            calls: registered(all, &CALLS),
            handle_lookups: per(all, &HANDLE_LOOKUPS, |outcome| Outcome { outcome }),
            bytes: per(all, &BYTES, |direction| Way { direction }),
            history_lost: per(all, &HISTORY_LOST, |cause| Cause { cause }),
            session_table_entries: registered(all, &SESSION_TABLE_ENTRIES),
            registry,
        }
    }

    /// The metrics of one listener, which is named by its address.
    pub fn listener(&self, address: &str) -> ListenerMetrics {
        let listener = || address.to_owned();
        let connections =
            |depth| self.connections.get_or_create_owned(&DepthLabels { listener: listener(), depth });
        let tls = |tls| self.connections_tls.get_or_create_owned(&TlsLabels { listener: listener(), tls });
        let handshakes = |outcome| {
            self.tls_handshakes.get_or_create_owned(&ListenerOutcome { listener: listener(), outcome })
        };
        ListenerMetrics {
            connections: Per::new(connections),
            tls: Per::new(tls),
            handshakes: Per::new(handshakes),
            open: self.connections_open.get_or_create_owned(&ListenerLabels { listener: listener() }),
        }
    }

    /// The metrics of the certificates that a listener or a cluster has.
    pub fn certificates(&self, owner: Owner) -> CertificateMetrics {
        match &owner {
            Owner::Listener(_) => self.listener_certificates.of(owner),
            Owner::Cluster(_) => self.cluster_certificates.of(owner),
        }
    }

    /// Shows whether the certificates of a cluster's coordinators are verified.
    pub fn show_verified(&self, cluster: &str, is_verified: bool) {
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        self.cluster_verified.get_or_create_owned(&labels).set(is_verified.into());
    }

    /// When the router's own ticket for a cluster expires.
    pub fn own_ticket_expires(&self, cluster: &str) -> Gauge {
        self.own_ticket_expires.get_or_create_owned(&ClusterLabels { cluster: cluster.to_owned() })
    }

    /// Whether operators have paused a cluster.
    pub fn cluster_paused(&self, cluster: &str) -> Gauge {
        self.cluster_paused.get_or_create_owned(&ClusterLabels { cluster: cluster.to_owned() })
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
        self.coordinators.of(cluster, coordinator)
    }

    /// A coordinator is gone: nothing is shown of it any more.
    pub fn forget_coordinator(&self, cluster: &str, coordinator: &CoordinatorName) {
        self.coordinators.forget(cluster, coordinator);
    }

    /// The metrics of calls. A method is then found by its place in `methods`, in which each name must be
    /// unique.
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

    /// All metrics in the `OpenMetrics` text format.
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
    /// Its connections by what became of TLS, counted at the same time.
    pub tls: Per<Encryption>,
    /// Its TLS handshakes.
    pub handshakes: Per<HandshakeOutcome>,
    /// Its open connections; hold one by [`Held::one_of`].
    pub open: Gauge,
}

/// The metrics of the queue for room in one cluster.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// Waits that ended.
    pub waits: Per<WaitOutcome>,
    /// The seconds that they took together.
    pub seconds: Counter<f64, AtomicU64>,
    /// Sessions and calls that are waiting, for room or for the end of a pause; hold one by [`Held::one_of`].
    pub waiting: Gauge,
}

/// What is counted for calls.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    methods: Box<[Per<CallOutcome>]>,
    unknown: Per<CallOutcome>,
}

impl CallMetrics {
    /// Counts a call of the method at this place of the table; `None` stands for a method that is in no
    /// table.
    pub fn count(&self, method: Option<usize>, outcome: CallOutcome) {
        let known = method.and_then(|place| self.methods.get(place));
        known.unwrap_or(&self.unknown).count(outcome);
    }
}

/// One unit of a gauge, counted until it is dropped, so that no path can leave the gauge too high.
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

/// A counter for each value of a label.
fn per<L: Label, S: EncodeLabelSet + Clone + fmt::Debug + Eq + Hash + Send + Sync + 'static>(
    registry: &mut Registry,
    description: &Description,
    labels: impl Fn(&'static str) -> S,
) -> Per<L> {
    let family: Family<S, Counter> = registered(registry, description);
    Per::new(|word| family.get_or_create_owned(&labels(word)))
}

fn register(registry: &mut Registry, description: &Description, metric: impl Metric) {
    // The exposition adds these suffixes itself.
    let name = description.name.trim_end_matches("_total").trim_end_matches("_info");
    registry.register(name, description.help, metric);
}

#[cfg(test)]
mod tests;
