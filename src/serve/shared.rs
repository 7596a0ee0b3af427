//! The state that all connections of a router share. It is built once and passed as one reference.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::ids::ConnId;
use crate::metrics::{CallMetrics, Metrics};
use crate::net::limits::WarningLimit;
use crate::net::stream::Stream;
use crate::serve::connections::Connections;
use crate::serve::settings::Settings;
use crate::serve::threads::memory::ReplayMemory;
use crate::serve::threads::signals::Signal;
use crate::wire::facts::GuidText;
use crate::wire::http::own_cookie::CookieKey;
use crate::wire::http::request::CredentialKey;
use crate::wire::method;

/// The most abandoned opens that are waited for at the same time. Each uses a link, and perhaps one of its
/// coordinator's service threads.
const LATE_OPENS: usize = 256;

/// The most clients that are told at the same time that they are refused.
const REFUSALS: usize = 64;

/// The state that all connections of a router share.
#[derive(Debug)]
pub struct Shared<S: Stream = TcpStream> {
    /// Times and sizes of the data path.
    pub settings: Settings,
    /// Opens connections to coordinators.
    pub network: S::Network,
    /// All metrics of the router.
    pub metrics: Arc<Metrics>,
    /// The counters of calls, indexed by method.
    pub calls: CallMetrics,
    /// The budget of bytes for requests that are held so that they can be sent again.
    pub replay: ReplayMemory,
    /// The connections that are open.
    pub connections: Arc<Connections>,
    /// Cancelled when the router shuts down: each connection ends as soon as nothing is under way on it.
    pub draining: CancellationToken,
    /// Cancelled when the connections that are still open must end at once.
    pub cut: CancellationToken,
    /// Tasks that run beside the connections and may outlive them until [`Self::cut`]: they read replies to
    /// their end, wait for abandoned opens, and close sessions.
    pub detached: TaskTracker,
    /// Has a permit for each abandoned open that may still produce a session.
    pub(crate) late_opens: Arc<Semaphore>,
    /// Has a permit for each client that is being told that it is refused.
    pub(crate) refusals: Semaphore,
    /// Tells the credentials apart that come over HTTP.
    pub(crate) credential_key: CredentialKey,
    /// Signs the router's own cookies.
    pub(crate) cookie_key: CookieKey,
    /// Limits how many log lines strangers can cause.
    warnings: WarningLimit,
    next_connection: AtomicU64,
}

impl<S: Stream> Shared<S> {
    /// Creates the state of a router that accepts connections.
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
            connections: Arc::default(),
            draining,
            cut,
            detached: TaskTracker::new(),
            late_opens: Arc::new(Semaphore::new(LATE_OPENS)),
            refusals: Semaphore::new(REFUSALS),
            credential_key: CredentialKey::new(&rand::random()),
            cookie_key: CookieKey::new(&rand::random()),
            warnings: WarningLimit::default(),
            next_connection: AtomicU64::new(1),
        }
    }

    /// Ends each connection as soon as nothing is under way on it, and stops accepting new ones.
    pub fn drain_connections(&self) {
        self.draining.cancel();
        self.connections.send(Signal::Drain);
    }

    /// Ends all connections at once.
    pub fn cut_connections(&self) {
        self.cut.cancel();
        self.connections.send(Signal::Cut);
    }

    /// Makes all connections check whether sessions of theirs must leave their coordinators.
    pub(crate) fn have_connections_look(&self) {
        self.connections.send(Signal::Look);
    }

    /// Whether a log line that strangers can cause may be written now. Returns `None` if it may not, else the
    /// number of lines of its kind that were suppressed since the last one.
    pub(crate) fn admit_line(&self, line: &'static str, why: &'static str) -> Option<u64> {
        self.warnings.admit(line, why, clock::now())
    }

    /// Logs that a session could not be added to the table. Calls on other connections that use its handle
    /// will have to locate it, which may fail.
    pub(crate) fn warn_unknown(&self, session: &GuidText, error: impl fmt::Display) {
        if let Some(left_out) = self.admit_line("a session could not be recorded", "") {
            tracing::warn!(%session, %error, left_out, "a session could not be recorded");
        }
    }

    /// Returns the number of a new connection.
    pub fn next_connection(&self) -> ConnId {
        ConnId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }
}
