//! A whole router as a value: started from a [`Config`], stopped by draining. `run`, `demo` and the tests use
//! it.

mod fleets;
mod kerberos;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::fleets::FleetError;
pub use self::kerberos::KerberosStart;
use super::admin::{self, AdminError, View};
use super::config::{Config, ListenerConfig, NamedCluster, RouterConfig};
use super::history::{History, HistoryError, Keeping};
use super::log::Log;
use crate::metrics::Metrics;
use crate::net::host::Resolver;
use crate::net::listen::{AcceptCounts, Acceptor, BindError, ListenAddress, bind_for_clients};
use crate::net::per_address::PerAddress;
use crate::net::server_names::ServerNames;
use crate::net::socket::SocketSettings;
use crate::net::stream::Sockets;
use crate::net::tls::certificates::CertificateError;
use crate::net::tls::server::ListenerTls;
use crate::serve;
use crate::serve::background::watching::Watchers;
use crate::serve::background::{certificates, draining, upkeep};
use crate::serve::fleet::Fleet;
use crate::serve::fleet::entrance::Entrance;
use crate::serve::settings::Settings;
use crate::serve::shared::Shared;
use crate::serve::threads::workers::Workers;

/// A peer that acknowledges nothing for this long counts as gone.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long connections may take to end after they were cut.
const CUT_TIME: Duration = Duration::from_secs(5);

/// Why a router did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin port's address cannot be listened on.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A cluster's fleet cannot be created.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// There is no place for the history.
    #[error("the history cannot be kept: {source}")]
    History {
        /// Why.
        #[from]
        source: HistoryError,
    },
    /// The system has no thread for the history.
    #[error("no thread for the history")]
    HistoryThread(#[source] std::io::Error),
    /// There is no Kerberos, or not with this config.
    #[error(transparent)]
    Kerberos(#[from] KerberosStart),
    /// A listener's certificate, key or another of its files cannot be used.
    #[error("listener {listener}: {source}")]
    Certificate {
        /// Its address.
        listener: ListenAddress,
        /// What is wrong.
        source: CertificateError,
    },
}

/// A running router.
#[derive(Debug)]
pub struct Router {
    shared: Arc<Shared>,
    fleets: Vec<Arc<Fleet>>,
    listeners: Vec<SocketAddr>,
    admin: SocketAddr,
    /// Accept loops and connections.
    connections: TaskTracker,
    /// Upkeep and the admin port, which outlive the connections.
    background: TaskTracker,
    end: CancellationToken,
    drain_timeout: Duration,
    keeping: Keeping,
}

impl Router {
    /// As [`Self::start_on`], with everything in the current runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on, a cluster's settings are invalid, or a file of TLS cannot be
    /// used; nothing is served then.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_on(config, &Workers::here(), Resolver::System, Log::default())
    }

    /// Binds every address, then begins to serve: connections on `workers`, upkeep and the admin port in the
    /// current runtime. `resolver` finds the addresses of coordinators, and operators see and change the `log`.
    ///
    /// # Errors
    /// When an address cannot be listened on, a cluster's settings are invalid, or a file of TLS cannot be
    /// used; nothing is served then.
    pub fn start_on(
        config: &Config,
        workers: &Workers,
        resolver: Resolver,
        log: Log,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let kerberos = kerberos::start(config)?;
        let opened = History::open(config.admin.history.as_ref(), &metrics)?;
        let fleets = fleets::create(config, &metrics, kerberos.as_ref(), &opened.history)?;
        let network = network(&config.router, resolver);
        let shared: Arc<Shared> =
            Arc::new(Shared::new(settings(&config.router), network, Arc::clone(&metrics)));
        let first = workers.first();
        let bind = |listener| Bound::new(listener, &shared.network.settings, first);
        let bound = config.listeners.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let admin_listener = admin::bind(config.admin.address)?;
        let admin = admin_listener.local_addr().unwrap_or(config.admin.address);

        let (history, keeping) = opened.keep(fleets.clone(), &metrics).map_err(StartError::HistoryThread)?;
        let connections = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(config.router.max_connections.min(Semaphore::MAX_PERMITS)));
        let counts = Arc::new(AcceptCounts::default());
        let readings = Arc::default();
        let (mut listeners, mut shown, mut watched) = (Vec::new(), Vec::new(), Vec::new());
        for Bound { listener, socket, tls } in bound {
            let Some(fleet) = fleets.iter().find(|fleet| fleet.cluster.name == listener.cluster) else {
                continue;
            };
            let Ok(address) = socket.local_addr() else { continue };
            listeners.push(address);
            let name: Arc<str> = listener.address.with_port(address.port()).to_string().into();
            let tickets = kerberos.as_ref().and_then(|kerberos| kerberos::tickets(listener, kerberos));
            let entrance = Arc::new(Entrance { tls, tickets, ..entrance(listener, &name, fleet, &fleets) });
            watched.extend(certificates::Watched::of(&entrance, &metrics, &readings));
            shown.push(admin::Listener { entrance: Arc::clone(&entrance), tls: listener.tls.clone() });
            let acceptor = Acceptor::new(socket, Arc::clone(&permits), Arc::clone(&counts));
            let (workers, tasks) = (workers.clone(), connections.clone());
            let listening = serve::client::listen(Arc::clone(&shared), entrance, acceptor, workers, tasks);
            connections.spawn_on(listening, first);
        }
        watched.extend(fleets.iter().filter_map(|fleet| {
            let plan = fleet.tls()?;
            Some(certificates::Watched::of_cluster(&fleet.cluster.name, &plan.cluster, &metrics, &readings))
        }));
        let (end, background) = (CancellationToken::new(), TaskTracker::new());
        background.spawn(upkeep::run(Arc::clone(&shared), fleets.clone(), counts, end.clone()));
        for watched in watched {
            background.spawn(watched.watch(end.clone()));
        }
        for ticket in kerberos::own_tickets(config, kerberos.as_ref(), &metrics) {
            background.spawn(ticket.watch(end.clone()));
        }
        keep_up(&shared, &fleets, &background, &end);
        let view = View {
            shared: Arc::clone(&shared),
            rotation: Arc::default(),
            fleets: fleets.clone(),
            listeners: shown,
            readings,
            log,
            history,
            config: Arc::new(config.in_force()),
        };
        background.spawn(admin::serve(admin_listener, view, end.clone()));
        let drain_timeout = config.router.drain_timeout;
        Ok(Self { shared, fleets, listeners, admin, connections, background, end, drain_timeout, keeping })
    }

    /// The addresses that clients connect to, in the order of the config.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The address of the admin port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The router's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The state of each cluster, in the order of the config.
    pub fn fleets(&self) -> &[Arc<Fleet>] {
        &self.fleets
    }

    /// Stops accepting, and closes each connection as soon as it has no call in flight and no open operation.
    /// When `drain_timeout` is over or `hurry` completes, the remaining connections are cut. Returns how many
    /// were cut.
    pub async fn drain(self, hurry: impl Future<Output = ()>) -> usize {
        self.shared.drain_connections();
        self.connections.close();
        tokio::select! {
            biased;
            _ = timeout(self.drain_timeout, self.connections.wait()) => {}
            () = hurry => {}
        }
        let left = self.connections.len();
        self.shared.cut_connections();
        self.shared.detached.close();
        let ended = async { tokio::join!(self.connections.wait(), self.shared.detached.wait()) };
        let _in_time = timeout(CUT_TIME, ended).await;
        self.end.cancel();
        self.background.close();
        let _in_time = timeout(CUT_TIME, self.background.wait()).await;
        self.keeping.end(&self.fleets, CUT_TIME).await;
        left
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.shared.drain_connections();
        self.shared.cut_connections();
        self.end.cancel();
    }
}

/// A listener whose address is listened on.
struct Bound<'a> {
    listener: &'a ListenerConfig,
    socket: TcpListener,
    tls: Option<Arc<ListenerTls>>,
}

impl<'a> Bound<'a> {
    fn new(listener: &'a ListenerConfig, sockets: &SocketSettings, on: &Handle) -> Result<Self, StartError> {
        let tls = listener_tls(listener)?;
        let _there = on.enter();
        Ok(Self { listener, socket: bind_for_clients(listener.address, sockets)?, tls })
    }
}

/// Starts what goes on in each fleet beside calls: looks at its coordinators, moves of sessions, and the ends of drains.
fn keep_up(shared: &Arc<Shared>, fleets: &[Arc<Fleet>], tasks: &TaskTracker, end: &CancellationToken) {
    let watchers = Watchers { shared: Arc::clone(shared), tasks: tasks.clone(), end: end.clone() };
    for fleet in fleets {
        watchers.start(fleet);
        tasks.spawn(upkeep::move_sessions(Arc::clone(shared), Arc::clone(fleet), end.clone()));
        tasks.spawn(draining::end_drains(Arc::clone(shared), Arc::clone(fleet), end.clone()));
    }
}

fn listener_tls(config: &ListenerConfig) -> Result<Option<Arc<ListenerTls>>, StartError> {
    let Some(settings) = config.tls.clone() else { return Ok(None) };
    let failed = |source| StartError::Certificate { listener: config.address, source };
    ListenerTls::load(settings).map(|tls| Some(Arc::new(tls))).map_err(failed)
}

fn network(config: &RouterConfig, resolver: Resolver) -> Sockets {
    let settings = SocketSettings { keepalive: config.keepalive, user_timeout: Some(USER_TIMEOUT) };
    Sockets { settings, resolver }
}

fn settings(config: &RouterConfig) -> Settings {
    Settings {
        detect_timeout: config.detect_timeout,
        handshake_timeout: config.handshake_timeout,
        connect_timeout: config.connect_timeout,
        open_timeout: config.open_timeout,
        stall_timeout: config.stall_timeout,
        replay_limit: config.replay_limit,
        replay_memory: config.replay_memory,
    }
}

/// The entrance of a listener to its own fleet, with those to the others that its clients may choose.
fn entrance(listener: &ListenerConfig, name: &Arc<str>, own: &Arc<Fleet>, all: &[Arc<Fleet>]) -> Entrance {
    let to = |fleet| Entrance::new(Arc::clone(name), Arc::clone(fleet), listener.service);
    let mut server_names = ServerNames::default();
    for NamedCluster { pattern, cluster } in &listener.server_names {
        if let Some(fleet) = all.iter().find(|fleet| fleet.cluster.name == *cluster) {
            server_names.insert(pattern.clone(), Arc::new(to(fleet)));
        }
    }
    Entrance {
        balancers: listener.proxy_protocol_from.as_slice().into(),
        proxies: listener.trusted_proxies.as_slice().into(),
        addresses: Arc::new(PerAddress::new(listener.address_limits)),
        server_names,
        ..to(own)
    }
}
