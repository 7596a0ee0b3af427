//! What all connections of a router share, built once and passed as one reference.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::ids::ConnId;
use crate::metrics::{CallMetrics, Metrics};
use crate::net::limits::WarningLimit;
use crate::net::stream::Stream;
use crate::serve::settings::Settings;
use crate::serve::threads::memory::ReplayMemory;
use crate::serve::threads::signals::{AllSignals, Signal};
use crate::session::table::NotKept;
use crate::wire::facts::GuidText;
use crate::wire::method;

/// Opens that were given up and are waited for at once. Each is a link, and perhaps a coordinator's service thread.
const LATE_OPENS: usize = 256;

/// What all connections of a router share.
#[derive(Debug)]
pub struct Shared<S: Stream = TcpStream> {
    /// Times and sizes.
    pub settings: Settings,
    /// What connections to coordinators are opened by.
    pub network: S::Network,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// The counters of calls, by a method's place.
    pub calls: CallMetrics,
    /// Bytes of requests that are held.
    pub replay: ReplayMemory,
    /// What calls connections while they wait for something else.
    pub(crate) all_signals: Arc<AllSignals>,
    /// Cancelled when the router shall end: connections leave as soon as nothing is under way on them.
    pub draining: CancellationToken,
    /// Cancelled when those that are still there are cut.
    pub cut: CancellationToken,
    /// A permit for each open that was given up and may still come to something.
    pub(crate) late_opens: Arc<Semaphore>,
    /// Bounds the lines in the log that strangers can cause.
    warnings: WarningLimit,
    next_connection: AtomicU64,
}

impl<S: Stream> Shared<S> {
    /// The state of a router that serves.
    pub fn new(settings: Settings, network: S::Network, metrics: Arc<Metrics>) -> Self {
        let replay = ReplayMemory::new(settings.replay_memory);
        let (draining, cut) = (CancellationToken::new(), CancellationToken::new());
        let names: Vec<&'static str> = method::all().map(|method| method.name).collect();
        let calls = metrics.calls(&names);
        Self {
            settings,
            network,
            metrics,
            calls,
            replay,
            all_signals: Arc::default(),
            draining,
            cut,
            late_opens: Arc::new(Semaphore::new(LATE_OPENS)),
            warnings: WarningLimit::default(),
            next_connection: AtomicU64::new(1),
        }
    }

    /// Has connections end as soon as nothing is under way on them, and no more accepted.
    pub fn drain_connections(&self) {
        self.draining.cancel();
        self.all_signals.send(Signal::Drain);
    }

    /// Has connections end at once.
    pub fn cut_connections(&self) {
        self.cut.cancel();
        self.all_signals.send(Signal::Cut);
    }

    /// Has connections look for sessions that shall leave their coordinators.
    pub(crate) fn have_connections_look(&self) {
        self.all_signals.send(Signal::Look);
    }

    /// Whether a line that strangers can cause may be logged: `None` if not, else how many of its kind were left out before.
    pub(crate) fn admit_line(&self, line: &'static str, why: &'static str) -> Option<u64> {
        self.warnings.admit(line, why, clock::now())
    }

    /// Says that a session is not in the table: calls that name it on other connections are at the mercy of chance.
    pub(crate) fn warn_unknown(&self, session: &GuidText, error: NotKept) {
        if let Some(left_out) = self.admit_line("a session is not known", "") {
            tracing::warn!(%session, %error, left_out, "a session is not known");
        }
    }

    /// A name for a new connection.
    pub fn next_connection(&self) -> ConnId {
        ConnId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }
}
