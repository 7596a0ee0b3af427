//! Turns the config as written into the config as meant, and collects everything that is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::checked::{
    AdminConfig, ClusterConfig, Config, CoordinatorConfig, HistoryConfig, ListenerConfig, LogConfig,
    NamedCluster, ProbeConfig, RouterConfig,
};
use super::cluster_tls;
use super::file::File;
use super::host::{Host, HostPort};
use super::kerberos;
use super::keys::{
    AdminFile, ClusterFile, CoordinatorFile, HistoryFile, ListenerFile, LoadFile, LogFile, ProbeFile,
    RouterFile,
};
use super::listener_tls;
use super::problem::{Fault, Problems};
use super::rules;
use super::section::Section;
use super::sni::NameFile;
use super::value::Entry;
use super::words::Words as _;
use crate::ids::{CoordinatorName, Service};
use crate::net::listen::ListenAddress;
use crate::net::per_address::AddressLimits;

impl Config {
    /// The config of a router for which only Impala coordinators are given: Impala's default ports on both
    /// sides. `listen` is an IP address (none: all of them) with, perhaps, a port, for which there is then a
    /// single listener. `admin` replaces the default address of the admin port.
    ///
    /// # Errors
    /// When a coordinator is given twice, when there is none, when none has the service that is usual on the
    /// port of `listen`, or when `admin` is not a loopback address.
    pub fn of_coordinators(
        coordinators: &[HostPort],
        listen: Option<(Option<IpAddr>, Option<u16>)>,
        admin: Option<SocketAddr>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::of_arguments();
        let mut file = File::read(&toml::de::DeTable::new(), &mut problems);
        if let Some(admin) = admin {
            file.admin.address.value = Some(admin);
            file.admin.address.key = "--admin";
        }
        let mut cluster = empty::<ClusterFile>();
        let mut read = Vec::with_capacity(coordinators.len());
        for (nth, host) in coordinators.iter().enumerate() {
            if coordinators.iter().take(nth).any(|other| other == host) {
                let (what, remedy) = (format!("{host} is given twice"), "list it once".to_owned());
                problems.add(&(0..0), "--coordinator", Fault::Conflict { what, remedy });
            } else {
                read.push(CoordinatorFile::at_host(host, &(0..0), &mut problems));
            }
        }
        cluster.coordinators.value = Some(read);
        cluster.coordinators.key = "--coordinator";
        file.clusters.push(cluster);
        match listen {
            Some((ip, Some(port))) => {
                file.listeners.push(ListenerFile::at_address(ListenAddress::of(ip, port), "--listen"));
            }
            Some((ip, None)) => file.listen_on = ip,
            None => {}
        }
        check(&file, problems)
    }
}

/// Turns the config as written into the config as meant.
///
/// # Errors
/// When anything is wrong; the error has all problems, including those found while reading.
pub(super) fn check(file: &File, mut problems: Problems) -> Result<Config, Problems> {
    let config = config(file, &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems.sorted()),
    }
}

/// `None` only after a problem was added.
fn config(file: &File, problems: &mut Problems) -> Option<Config> {
    rules::router(&file.router, problems);
    rules::listener_addresses(&file.listeners, problems);
    rules::address_limits(&file.listeners, problems);
    rules::cluster_names(&file.clusters, problems);
    kerberos::check(&file.listeners, &file.clusters, problems);
    let clusters: Vec<_> = file.clusters.iter().map(|cluster| self::cluster(cluster, problems)).collect();
    let listeners = listeners(file, &clusters, problems);
    let taken: Vec<ListenAddress> = match &listeners {
        Some(listeners) => listeners.iter().map(|listener| listener.address).collect(),
        None => file.listeners.iter().filter_map(|listener| listener.address.value).collect(),
    };
    rules::admin(&file.admin, &taken, problems);
    Some(Config {
        router: router(&file.router)?,
        log: log(&file.log)?,
        admin: admin(&file.admin)?,
        listeners: listeners?,
        clusters: clusters.into_iter().collect::<Option<_>>()?,
    })
}

fn router(file: &RouterFile) -> Option<RouterConfig> {
    Some(RouterConfig {
        detect_timeout: file.detect_timeout.value?.0,
        handshake_timeout: file.handshake_timeout.value?.0,
        connect_timeout: file.connect_timeout.value?.0,
        open_timeout: file.open_timeout.value?.0,
        keepalive: file.keepalive.value?.0,
        stall_timeout: file.stall_timeout.value?.0,
        client_lost_grace: file.client_lost_grace.value?.0,
        drain_timeout: file.drain_timeout.value?.0,
        max_connections: usize::try_from(file.max_connections.value?).ok()?,
        replay_limit: file.replay_limit.value?.0,
        replay_memory: file.replay_memory.value?.0,
        session_table_size: usize::try_from(file.session_table_size.value?).ok()?,
    })
}

fn log(file: &LogFile) -> Option<LogConfig> {
    Some(LogConfig { format: file.format.value?, level: file.level.value? })
}

fn admin(file: &AdminFile) -> Option<AdminConfig> {
    let history = if file.history.written { Some(history(file.history.value.as_ref()?)?) } else { None };
    Some(AdminConfig { address: file.address.value?, history })
}

fn history(file: &HistoryFile) -> Option<HistoryConfig> {
    Some(HistoryConfig {
        file: file.file.value.clone()?,
        rotate: file.rotate.value?.0 as u64,
        keep: file.keep.value?.0,
    })
}

fn cluster(file: &ClusterFile, problems: &mut Problems) -> Option<ClusterConfig> {
    rules::cluster(file, problems);
    cluster_tls::check(file, problems);
    let flavor = file.flavor.value?;
    let listed = file.coordinators.value.as_ref()?;
    let coordinators: Vec<_> = listed.iter().map(|one| coordinator(one, file, listed)).collect();
    Some(ClusterConfig {
        name: Arc::from(rules::cluster_name(file)?),
        flavor,
        sessions_outlive_connections: rules::sessions_outlive_connections(file)?,
        policy: file.policy.value?,
        stick: file.stick.value?,
        idle_session_cost: file.idle_session_cost.value?,
        disconnected_session_timeout: file.disconnected_session_timeout.value?.0,
        service_threads: Some(u32::try_from(rules::service_threads(file)?).ok()?)
            .filter(|threads| *threads > 0),
        reserve: u32::try_from(file.reserve.value?).ok()?,
        address_share: file.address_share.value?,
        queue_timeout: file.queue_timeout.value?.0,
        queue_length: usize::try_from(file.queue_length.value?).ok()?,
        share_links: file.share_links.value?,
        probe: probe(file)?,
        load_interval: load_interval(file)?,
        panic_threshold: file.panic_threshold.value?,
        slow_start: file.slow_start.value?.0,
        move_idle_sessions: file.move_idle_sessions.value?,
        move_cooldown: file.move_cooldown.value?.0,
        rebalance: file.rebalance.value?,
        drain_deadline: file.drain_deadline.value?.0,
        drain_then: file.drain_then.value?,
        tls: cluster_tls::of_cluster(file),
        kerberos: kerberos::of_cluster(file),
        trusted_auth_headers: file.trusted_auth_headers.value.clone()?,
        coordinators: coordinators.into_iter().collect::<Option<_>>()?,
    })
}

fn probe(file: &ClusterFile) -> Option<ProbeConfig> {
    let usual = empty();
    let ProbeFile { interval, timeout, fall, rise } = file.probe.value.as_ref().unwrap_or(&usual);
    Some(ProbeConfig {
        interval: interval.value?.0,
        timeout: timeout.value?.0,
        fall: u32::try_from(fall.value?).ok()?,
        rise: u32::try_from(rise.value?).ok()?,
    })
}

fn load_interval(file: &ClusterFile) -> Option<Duration> {
    let usual: LoadFile = empty();
    file.load.value.as_ref().unwrap_or(&usual).interval.value.map(|interval| interval.0)
}

fn coordinator(
    file: &CoordinatorFile,
    cluster: &ClusterFile,
    listed: &[CoordinatorFile],
) -> Option<CoordinatorConfig> {
    let flavor = cluster.flavor.value?;
    let Host(host) = file.host.value.clone()?;
    Some(CoordinatorConfig {
        name: CoordinatorName(Arc::from(rules::coordinator_name(file, flavor, listed)?)),
        host,
        ports: rules::ports(file, flavor),
        weight: u32::try_from(file.weight.value?).ok()?,
        state: file.state.value?,
        tls: cluster_tls::is_reached_with_tls(file, cluster),
        server_name: file.server_name.value.clone().map(|Host(name)| name),
    })
}

/// `clusters` are the file's clusters in the same order, `None` for each that is invalid.
fn listeners(
    file: &File,
    clusters: &[Option<ClusterConfig>],
    problems: &mut Problems,
) -> Option<Vec<ListenerConfig>> {
    let start = 0..0;
    match (clusters, file.listeners.as_slice()) {
        ([], _) if file.names_a_cluster => None,
        ([], _) => {
            let example = "[[cluster]] and below it coordinators = [\"impala-1.example.com\"]";
            problems.add(&start, "cluster", Fault::Missing { example });
            None
        }
        ([only], []) => Some(only.as_ref()?.usual_listeners(file.listen_on)),
        (_, []) => {
            let example = "[[listener]] with address and cluster, for each cluster";
            problems.add(&start, "listener", Fault::Missing { example });
            None
        }
        (_, listeners) => {
            let made: Vec<_> =
                listeners.iter().map(|listener| self::listener(listener, file, clusters, problems)).collect();
            made.into_iter().collect()
        }
    }
}

fn listener(
    listener: &ListenerFile,
    file: &File,
    clusters: &[Option<ClusterConfig>],
    problems: &mut Problems,
) -> Option<ListenerConfig> {
    let tls = listener_tls::of(listener, problems);
    let nth = rules::cluster_of(listener, &file.clusters, problems)?;
    let cluster = clusters.get(nth)?.as_ref()?;
    let address = listener.address.value?;
    let service = listener.service.value.unwrap_or_else(|| cluster.usual_service(address.port()));
    rules::service_is_there(listener, service, cluster, problems);
    let kerberos = kerberos::of_listener(listener, service, file.clusters.get(nth)?, problems);
    let server_names = server_names(listener, service, &file.clusters, clusters, problems);
    Some(ListenerConfig {
        proxy_protocol_from: listener.proxy_protocol_from.value.clone()?,
        trusted_proxies: listener.trusted_proxies.value.clone()?,
        address_limits: address_limits(listener)?,
        server_names: server_names?,
        tls: tls?,
        kerberos: kerberos?,
        ..ListenerConfig::usual(address, cluster.name.clone(), service)
    })
}

/// The clusters that the names of a listener stand for. Each must have the listener's service. `clusters` are
/// those of `files`, in the same order, `None` for each that is invalid.
fn server_names(
    listener: &ListenerFile,
    service: Service,
    files: &[ClusterFile],
    clusters: &[Option<ClusterConfig>],
    problems: &mut Problems,
) -> Option<Vec<NamedCluster>> {
    let mut named = Vec::new();
    for NameFile { pattern, cluster } in &listener.sni.value.as_ref()?.0 {
        let Some(nth) = rules::named_cluster(cluster, files, problems) else { continue };
        let Some(Some(found)) = clusters.get(nth) else { continue };
        if found.serves(service) {
            named.push(NamedCluster { pattern: pattern.clone(), cluster: Arc::clone(&found.name) });
        } else {
            let what =
                format!("no coordinator of cluster {:?} has a port for {:?}", found.name, service.word());
            let remedy = "choose a cluster that has the listener's service".to_owned();
            cluster.fault(problems, Fault::Conflict { what, remedy });
        }
    }
    Some(named)
}

fn address_limits(file: &ListenerFile) -> Option<AddressLimits> {
    let limit = |entry: &Entry<u64>| entry.value.and_then(|limit| u32::try_from(limit).ok());
    let some = |limit: u32| Some(limit).filter(|limit| *limit > 0);
    let connections = some(limit(&file.maximum_connections_per_address)?);
    Some(AddressLimits { connections, per_second: some(limit(&file.new_connections_per_second)?) })
}

/// A table in which no key is written.
fn empty<S: Section>() -> S {
    // The caller supplies what has no default, so an absent key is not a problem.
    let mut ignored = Problems::of_arguments();
    S::read(&toml::de::DeTable::new(), &(0..0), &mut ignored)
}

impl ListenerFile {
    /// A listener for which only the address is given, by the argument `key`.
    fn at_address(address: ListenAddress, key: &'static str) -> Self {
        let mut listener: Self = empty();
        listener.address.value = Some(address);
        listener.address.key = key;
        listener.service.key = key;
        listener
    }
}
