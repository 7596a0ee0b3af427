//! The config as meant: real types, fully checked. Only `check.rs` makes it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::listener_tls;
use super::principal::Principal;
use super::words::{LogFormat, LogLevel};
use crate::cluster::{AdminState, DrainThen, Flavor, PolicyName, Ports, Stick};
use crate::ids::{CoordinatorName, Service};
use crate::net::kerberos::Keytabs;
use crate::net::listen::ListenAddress;
use crate::net::per_address::AddressLimits;
use crate::net::server_names::NamePattern;
use crate::net::tls::client::ClusterTlsSettings;
use crate::net::tls::server;
use crate::session::delegation::Rules;

/// Everything that the router needs to know before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Time-outs and limits.
    pub router: RouterConfig,
    /// What is logged.
    pub log: LogConfig,
    /// The operators' port.
    pub admin: AdminConfig,
    /// The addresses that clients connect to; at least one, and no two are the same.
    pub listeners: Vec<ListenerConfig>,
    /// The clusters; at least one, with distinct names.
    pub clusters: Vec<ClusterConfig>,
}

/// `[router]`; the meaning of each is in `docs/CONFIG.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented as the key of the same name")]
pub struct RouterConfig {
    pub detect_timeout: Duration,
    pub handshake_timeout: Duration,
    pub connect_timeout: Duration,
    pub open_timeout: Duration,
    pub keepalive: Duration,
    pub stall_timeout: Duration,
    pub client_lost_grace: Duration,
    pub drain_timeout: Duration,
    pub max_connections: usize,
    /// In bytes.
    pub replay_limit: usize,
    /// In bytes.
    pub replay_memory: usize,
    pub session_table_size: usize,
}

/// `[log]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severe events that are logged.
    pub level: LogLevel,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// A loopback address; port 0 stands for a free one.
    pub address: SocketAddr,
    /// Where the history is written; `None` if it is only in memory.
    pub history: Option<HistoryConfig>,
}

/// `history = { … }` of `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// The file.
    pub file: PathBuf,
    /// The size in bytes at which it is put aside; 1 MiB or more.
    pub rotate: u64,
    /// How long files are kept that were put aside; an hour or more.
    pub keep: Duration,
}

/// `[[listener]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where to listen; port 0 stands for a free one.
    pub address: ListenAddress,
    /// The name of one of [`Config::clusters`].
    pub cluster: Arc<str>,
    /// The coordinators' port for connections whose protocol is not recognized; at least one coordinator of
    /// the cluster has it.
    pub service: Service,
    /// TLS with a certificate of the router; `None` if TLS is relayed unread.
    pub tls: Option<server::Settings>,
    /// How tickets are judged; `None` if GSSAPI is relayed unread.
    pub kerberos: Option<ListenerKerberos>,
    /// The networks whose connections begin with a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// The networks of proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The limits of each client address.
    pub address_limits: AddressLimits,
    /// The clusters that TLS clients choose by a server name; no two names are the same.
    pub server_names: Vec<NamedCluster>,
}

/// An entry of `sni` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCluster {
    /// The server names.
    pub pattern: NamePattern,
    /// The name of one of [`Config::clusters`], of which at least one coordinator has the listener's service.
    pub cluster: Arc<str>,
}

impl ListenerConfig {
    /// Whether clients can reach this cluster by it.
    pub fn reaches(&self, cluster: &str) -> bool {
        let mut named = self.server_names.iter();
        *self.cluster == *cluster || named.any(|one| *one.cluster == *cluster)
    }

    /// What should be said of it although it is valid.
    pub fn warning(&self) -> Option<&'static str> {
        let is_in_the_clear = self.service == Service::Hs2Http && self.tls.is_none();
        (self.kerberos.is_some() && is_in_the_clear).then_some(
            "takes tickets over HTTP without TLS: whoever sees a request can use its cookie for an hour; add \
             [listener.tls]",
        )
    }

    /// A listener with nothing else written.
    pub(super) fn usual(address: ListenAddress, cluster: Arc<str>, service: Service) -> Self {
        Self {
            address,
            cluster,
            service,
            tls: None,
            kerberos: None,
            proxy_protocol_from: Vec::new(),
            trusted_proxies: Vec::new(),
            address_limits: AddressLimits::default(),
            server_names: Vec::new(),
        }
    }
}

/// `[[cluster]]`
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key that people write")]
pub struct ClusterConfig {
    /// Unique.
    pub name: Arc<str>,
    /// What its coordinators are.
    pub flavor: Flavor,
    /// Whether a session lives on when the connection that opened it closes.
    pub sessions_outlive_connections: bool,
    /// How they are picked.
    pub policy: PolicyName,
    /// What keeps connections together that are passed on.
    pub stick: Stick,
    /// 0 to 100, where a running operation counts 1.
    pub idle_session_cost: f64,
    /// How long a coordinator keeps a session without connections; zero means not at all.
    pub disconnected_session_timeout: Duration,
    /// Connections that a coordinator serves at once on a port; `None` means no limit.
    pub service_threads: Option<u32>,
    /// How many of them are kept for cancels and closes.
    pub reserve: u32,
    /// The share of the free connections that one address may use while nobody at it has logged in; 0 to 1.
    pub address_share: f64,
    /// How long a new session or a call may wait for room; more than zero.
    pub queue_timeout: Duration,
    /// How many new sessions, and per port how many calls, may wait.
    pub queue_length: usize,
    /// Whether connections of one identity share links.
    pub share_links: bool,
    /// Active health checks.
    pub probe: ProbeConfig,
    /// From one poll of a coordinator's web port to the next; 100ms or more.
    pub load_interval: Duration,
    /// When less than this share of the coordinators is healthy, ejections are ignored; 0 to 1.
    pub panic_threshold: f64,
    /// How long a returned coordinator takes to get its whole share.
    pub slow_start: Duration,
    /// Whether idle sessions leave a coordinator that goes away.
    pub move_idle_sessions: bool,
    /// How long a session stays where it changed data.
    pub move_cooldown: Duration,
    /// Whether idle sessions go back to a returned coordinator.
    pub rebalance: bool,
    /// How long operations may go on when their coordinator is drained; zero means that none is waited for.
    pub drain_deadline: Duration,
    /// What happens to the operations that are open then.
    pub drain_then: DrainThen,
    /// TLS towards its coordinators.
    pub tls: Option<ClusterTlsConfig>,
    /// Headers that never pass from a client to its coordinators.
    pub trusted_auth_headers: Vec<HeaderName>,
    /// How the router logs in as itself; `None` if it does not.
    pub kerberos: Option<ClusterKerberos>,
    /// 1 to 1000, with distinct names and addresses.
    pub coordinators: Vec<CoordinatorConfig>,
}

/// `[listener.kerberos]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerKerberos {
    /// The file with the keys of the service that clients ask for.
    pub keytab: PathBuf,
    /// The principal that tickets must be for; `None` if they may be for any in the keytab.
    pub principal: Option<Principal>,
    /// Who is accepted, and as whom.
    pub rules: Arc<Rules>,
}

/// `[cluster.kerberos]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterKerberos {
    /// The router's own principal.
    pub principal: Principal,
    /// The file with its key.
    pub keytab: PathBuf,
    /// The principal of a coordinator, in which `_HOST` stands for its host.
    pub coordinator: Principal,
}

/// `probe = { … }` of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// From one probe of a port to the next; 100ms or more.
    pub interval: Duration,
    /// How long one may take; at most the interval.
    pub timeout: Duration,
    /// Failures in a row that eject; 1 to 100.
    pub fall: u32,
    /// Passes in a row that restore; 1 to 100.
    pub rise: u32,
}

/// `[cluster.tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTlsConfig {
    /// What is trusted and shown.
    pub settings: ClusterTlsSettings,
    /// Whether the web ports are reached with TLS, too.
    pub web: bool,
}

/// One of `coordinators`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// Unique in its cluster.
    pub name: CoordinatorName,
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// Where its services are.
    pub ports: Ports,
    /// 1 to 1000.
    pub weight: u32,
    /// The state at the start.
    pub state: AdminState,
    /// Whether it is reached with TLS; only where its cluster has [`ClusterConfig::tls`].
    pub tls: bool,
    /// The name that its certificate is for, if that is not its host.
    pub server_name: Option<String>,
}

impl Config {
    /// The keytabs that the router uses; `None` if it uses none.
    pub fn keytabs(&self) -> Option<Keytabs> {
        let listeners = self.listeners.iter().find_map(|one| Some(one.kerberos.as_ref()?.keytab.clone()));
        let clusters = self.clusters.iter().find_map(|one| Some(one.kerberos.as_ref()?.keytab.clone()));
        let keytabs = Keytabs { listeners, clusters };
        (keytabs != Keytabs::default()).then_some(keytabs)
    }

    /// Makes the paths of files relative to `folder`, not to where the process runs.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        if let Some(history) = &mut self.admin.history {
            history.file = folder.join(&history.file);
        }
        for tls in self.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut()) {
            listener_tls::count_from(folder, tls);
        }
        for tls in self.clusters.iter_mut().filter_map(|cluster| cluster.tls.as_mut()) {
            let ClusterTlsSettings { ca, pair, verify: _ } = &mut tls.settings;
            let pair = pair.iter_mut().flat_map(|pair| [&mut pair.certificate, &mut pair.key]);
            ca.iter_mut().chain(pair).for_each(|path| *path = folder.join(&*path));
        }
        for file in self.listeners.iter_mut().filter_map(|listener| listener.kerberos.as_mut()) {
            count_from(folder, &mut file.keytab);
        }
        for file in self.clusters.iter_mut().filter_map(|cluster| cluster.kerberos.as_mut()) {
            count_from(folder, &mut file.keytab);
        }
    }
}

/// Makes relative paths count from `folder`. The process is begun anew with them, perhaps elsewhere, so they
/// become absolute.
fn count_from(folder: &Path, keytab: &mut PathBuf) {
    let path = folder.join(&*keytab);
    *keytab = std::path::absolute(&path).unwrap_or(path);
}

impl ClusterConfig {
    /// Whether any of its coordinators has this service.
    pub fn serves(&self, service: Service) -> bool {
        self.coordinators.iter().any(|coordinator| coordinator.ports.of(service).is_some())
    }

    /// The service of a listener on this port for which the config names none: the usual service of the port,
    /// or else the first that a coordinator has.
    pub(super) fn usual_service(&self, port: u16) -> Service {
        let first = || Service::BY_USE.into_iter().find(|service| self.serves(*service));
        self.flavor.usual_service(port).or_else(first).unwrap_or(Service::Hs2)
    }

    /// The listeners for a config without any: the flavor's default ports of the services that its
    /// coordinators have.
    pub(super) fn usual_listeners(&self, ip: Option<IpAddr>) -> Vec<ListenerConfig> {
        let services = Service::ALL.iter().filter(|service| self.serves(**service));
        let listener = |service: &Service| {
            let address = ListenAddress::of(ip, self.flavor.usual_port(*service)?);
            Some(ListenerConfig::usual(address, self.name.clone(), *service))
        };
        services.filter_map(listener).collect()
    }
}
