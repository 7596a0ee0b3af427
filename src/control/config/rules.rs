//! Checks that concern the range of a value or several values together. Every rule notes all that it finds;
//! none stops at the first problem.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use super::checked::ClusterConfig;
use super::host::Name;
use super::keys::{
    AdminFile, ClusterFile, CoordinatorFile, HistoryFile, ListenerFile, ProbeFile, RouterFile,
};
use super::problem::{Fault, Problems};
use super::units::TimeSpan;
use super::value::Entry;
use super::words::Words as _;
use crate::cluster::{Flavor, Ports, WEIGHTS};
use crate::ids::{HostAndPort, Service};
use crate::net::listen::ListenAddress;

/// The most coordinators of one cluster.
const MOST_COORDINATORS: usize = 1000;

pub(super) fn router(file: &RouterFile, problems: &mut Problems) {
    let positive = |span: &TimeSpan| span.0 > Duration::ZERO;
    for entry in [
        &file.detect_timeout,
        &file.handshake_timeout,
        &file.connect_timeout,
        &file.open_timeout,
        &file.stall_timeout,
    ] {
        entry.demand(problems, positive, "a duration of 1ms or more");
    }
    // The kernel takes 1 to 32767 whole seconds (tcp(7), TCP_KEEPIDLE).
    let kernel = |span: &TimeSpan| (1..=9 * 3600).contains(&span.0.as_secs()) && span.0.subsec_nanos() == 0;
    file.keepalive.demand(problems, kernel, "whole seconds from \"1s\" to \"9h\"");
    file.max_connections.demand(problems, |n| (1..=1_000_000).contains(n), "a number from 1 to 1000000");
    file.session_table_size.demand(
        problems,
        |n| (1..=100_000_000).contains(n),
        "a number from 1 to 100000000",
    );
    let held = 4 << 10..=16 << 20;
    file.replay_limit.demand(problems, |size| held.contains(&size.0), "a size from \"4KiB\" to \"16MiB\"");
    if let (Some(limit), Some(memory)) = (file.replay_limit.value, file.replay_memory.value)
        && limit > memory
    {
        let blamed = if file.replay_memory.written { &file.replay_memory } else { &file.replay_limit };
        let what =
            format!("replay_memory ({memory}) is less than replay_limit ({limit}), so no request fits");
        let remedy = "raise replay_memory or lower replay_limit".to_owned();
        blamed.fault(problems, Fault::Conflict { what, remedy });
    }
}

fn history(file: &HistoryFile, problems: &mut Problems) {
    let is_kept = |span: &TimeSpan| span.0 >= Duration::from_hours(1);
    file.keep.demand(problems, is_kept, "a duration of 1h or more");
    file.rotate.demand(problems, |size| size.0 >= 1 << 20, "a size of 1MiB or more");
    if let Some(path) = file.file.value.as_ref().filter(|path| path.file_name().is_none()) {
        let (value, why) = (path.display().to_string(), "has no name of a file".to_owned());
        let remedy = "write one such as \"/var/lib/hs2router/history.jsonl\"".to_owned();
        file.file.fault(problems, Fault::BadValue { value, why, remedy });
    }
}

pub(super) fn admin(file: &AdminFile, listeners: &[ListenAddress], problems: &mut Problems) {
    if let Some(history) = &file.history.value {
        self::history(history, problems);
    }
    let Some(address) = file.address.value else { return };
    if !address.ip().to_canonical().is_loopback() {
        let remedy = "write a loopback address such as \"127.0.0.1:25025\"".to_owned();
        let why = "is reachable from other machines, and users are not supported yet".to_owned();
        file.address.fault(problems, Fault::BadValue { value: address.to_string(), why, remedy });
    }
    if let Some(taken) = listeners.iter().find(|listener| listener.clashes(address.into())) {
        let what = format!("a listener already uses {taken}");
        let remedy = "give the admin port another address".to_owned();
        file.address.fault(problems, Fault::Conflict { what, remedy });
    }
}

pub(super) fn listener_addresses(listeners: &[ListenerFile], problems: &mut Problems) {
    let mut seen: Vec<ListenAddress> = Vec::with_capacity(listeners.len());
    for entry in listeners.iter().map(|listener| &listener.address) {
        let Some(address) = entry.value else { continue };
        match seen.iter().find(|other| other.clashes(address)) {
            Some(other) if *other == address => {
                duplicate(entry, "give each listener its own address", problems);
            }
            Some(other) => {
                let what = format!("{address} overlaps with the listener on {other}");
                let remedy = "give each listener its own port".to_owned();
                entry.fault(problems, Fault::Conflict { what, remedy });
            }
            None => seen.push(address),
        }
    }
}

pub(super) fn address_limits(listeners: &[ListenerFile], problems: &mut Problems) {
    for listener in listeners {
        for entry in [&listener.maximum_connections_per_address, &listener.new_connections_per_second] {
            entry.demand(problems, |limit| *limit <= 1_000_000, "a number from 0 to 1000000");
        }
    }
}

/// The name of a cluster, written or derived.
pub(super) fn cluster_name(file: &ClusterFile) -> Option<&str> {
    match &file.name.value {
        Some(name) => Some(&name.0),
        None if file.name.written => None,
        None => file.flavor.value.map(Flavor::word),
    }
}

/// The name of a coordinator, written or derived: its host, with its port if another coordinator `beside` it
/// would get the same name.
pub(super) fn coordinator_name(
    file: &CoordinatorFile,
    flavor: Flavor,
    beside: &[CoordinatorFile],
) -> Option<String> {
    if let Some(name) = &file.name.value {
        return Some(name.0.clone());
    }
    let host = file.host.value.as_ref().filter(|_| !file.name.written)?;
    let is_alike = |other: &&CoordinatorFile| !other.name.written && other.host.value.as_ref() == Some(host);
    let is_alone = beside.iter().filter(is_alike).count() == 1;
    let ports = ports(file, flavor);
    match ports.main().and_then(|service| ports.of(service)).filter(|_| !is_alone) {
        Some(port) => Some(HostAndPort { host: &host.0, port }.to_string()),
        None => Some(host.0.clone()),
    }
}

pub(super) fn cluster_names(clusters: &[ClusterFile], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for cluster in clusters {
        if let Some(name) = cluster_name(cluster)
            && !seen.insert(name)
        {
            let remedy = "give each cluster a name of its own";
            cluster.name.fault(problems, Fault::Duplicate { value: name.to_owned(), remedy });
        }
    }
}

/// Whether sessions outlive the connections that opened them, written or the flavor's.
pub(super) fn sessions_outlive_connections(file: &ClusterFile) -> Option<bool> {
    match file.sessions_outlive_connections.value {
        Some(outlive) => Some(outlive),
        None if file.sessions_outlive_connections.written => None,
        None => file.flavor.value.map(Flavor::sessions_outlive_connections),
    }
}

/// How many connections a coordinator serves at once, written or the flavor's; 0 means no limit.
pub(super) fn service_threads(file: &ClusterFile) -> Option<u64> {
    match file.service_threads.value {
        Some(threads) => Some(threads),
        None if file.service_threads.written => None,
        None => file.flavor.value.map(|flavor| u64::from(flavor.default_service_threads())),
    }
}

fn room(file: &ClusterFile, problems: &mut Problems) {
    for entry in [&file.service_threads, &file.queue_length] {
        entry.demand(problems, |count| *count <= 1_000_000, "a number from 0 to 1000000");
    }
    file.address_share.demand(problems, |share| (0.0..=1.0).contains(share), "a number from 0 to 1");
    file.queue_timeout.demand(problems, |span| span.0 > Duration::ZERO, "a duration of 1ms or more");
    if let (Some(threads), Some(reserve)) = (service_threads(file), file.reserve.value)
        && threads > 0
        && reserve >= threads
    {
        let what = format!("reserve ({reserve}) leaves none of the {threads} service threads");
        let remedy = "lower reserve or raise service_threads".to_owned();
        let blamed = if file.reserve.written { &file.reserve } else { &file.service_threads };
        blamed.fault(problems, Fault::Conflict { what, remedy });
    }
    if file.reserve.value.is_some_and(|reserve| u32::try_from(reserve).is_err()) {
        file.reserve.demand(problems, |_| false, "a number below service_threads");
    }
}

pub(super) fn cluster(file: &ClusterFile, problems: &mut Problems) {
    room(file, problems);
    file.idle_session_cost.demand(problems, |cost| (0.0..=100.0).contains(cost), "a number from 0 to 100");
    file.panic_threshold.demand(problems, |share| (0.0..=1.0).contains(share), "a number from 0 to 1");
    if let Some(probe) = &file.probe.value {
        self::probe(probe, problems);
    }
    if let Some(load) = &file.load.value {
        load.interval.demand(problems, is_interval, INTERVAL);
    }
    let Some(coordinators) = &file.coordinators.value else { return };
    if !(1..=MOST_COORDINATORS).contains(&coordinators.len()) {
        let value = format!("a list of {}", coordinators.len());
        let range = "1 to 1000 coordinators";
        file.coordinators.fault(problems, Fault::OutOfRange { value, range });
    }
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    for coordinator in coordinators {
        let is_weight = |weight: &u64| u32::try_from(*weight).is_ok_and(|weight| WEIGHTS.contains(&weight));
        coordinator.weight.demand(problems, is_weight, "a number from 1 to 1000");
        // If the flavor cannot be read, the default will do: it only decides how unnamed coordinators on one
        // host are called.
        let flavor = file.flavor.value.unwrap_or(Flavor::Impala);
        let Some(name) = coordinator_name(coordinator, flavor, coordinators) else { continue };
        if !names.insert(name.clone()) {
            let remedy = "list each coordinator once, under its own name";
            coordinator.name.fault(problems, Fault::Duplicate { value: name, remedy });
            continue;
        }
        if file.flavor.value.is_some() {
            coordinator_addresses(coordinator, flavor, &mut addresses, problems);
        }
    }
}

const INTERVAL: &str = "a duration from \"100ms\" to \"1h\"";

fn is_interval(span: &TimeSpan) -> bool {
    (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&span.0)
}

fn probe(file: &ProbeFile, problems: &mut Problems) {
    file.interval.demand(problems, is_interval, INTERVAL);
    file.timeout.demand(problems, |span| span.0 > Duration::ZERO, "a duration of 1ms or more");
    for entry in [&file.fall, &file.rise] {
        entry.demand(problems, |count| (1..=100).contains(count), "a number from 1 to 100");
    }
    if let (Some(interval), Some(timeout)) = (file.interval.value, file.timeout.value)
        && timeout > interval
    {
        let blamed = if file.timeout.written { &file.timeout } else { &file.interval };
        let what = format!("timeout ({timeout}) is longer than interval ({interval})");
        let remedy = "raise interval or lower timeout".to_owned();
        blamed.fault(problems, Fault::Conflict { what, remedy });
    }
}

fn coordinator_addresses(
    coordinator: &CoordinatorFile,
    flavor: Flavor,
    seen: &mut HashSet<(String, u16)>,
    problems: &mut Problems,
) {
    beeswax_only_on_impala(coordinator, flavor, problems);
    let Some(host) = &coordinator.host.value else { return };
    let ports @ Ports { hs2, beeswax, hs2_http, web } = ports(coordinator, flavor);
    if ports.main().is_none() {
        let what = format!("coordinator {host} has none of the services that clients use");
        let remedy = "give hs2, beeswax or hs2_http a port".to_owned();
        coordinator.host.fault(problems, Fault::Conflict { what, remedy });
    }
    let ports = [hs2, beeswax, hs2_http, web];
    let mut taken = ports.into_iter().flatten().filter(|port| !seen.insert((host.canonical(), *port)));
    if let Some(port) = taken.next() {
        let remedy = "give each service its own port, or 0 where there is none";
        let value = HostAndPort { host: &host.0, port }.to_string();
        coordinator.host.fault(problems, Fault::Duplicate { value, remedy });
    }
    // Notes the other addresses as well, after the first that is used twice.
    taken.for_each(drop);
}

fn beeswax_only_on_impala(coordinator: &CoordinatorFile, flavor: Flavor, problems: &mut Problems) {
    if flavor != Flavor::Impala && coordinator.beeswax.value.is_some_and(|port| port > 0) {
        let what = format!("coordinators of flavor {:?} do not speak Beeswax", flavor.word());
        let remedy = "remove the key, or set flavor = \"impala\"".to_owned();
        coordinator.beeswax.fault(problems, Fault::Conflict { what, remedy });
    }
}

/// The ports of a coordinator: as written (0: none), else the flavor's.
pub(super) fn ports(file: &CoordinatorFile, flavor: Flavor) -> Ports {
    let usual = flavor.default_ports();
    let port = |entry: &Entry<u16>, usual| entry.value.or(usual).filter(|port| *port > 0);
    Ports {
        hs2: port(&file.hs2, usual.hs2),
        beeswax: port(&file.beeswax, usual.beeswax).filter(|_| flavor == Flavor::Impala),
        hs2_http: port(&file.hs2_http, usual.hs2_http),
        web: port(&file.web, usual.web),
    }
}

/// Which of `clusters` a listener is for.
pub(super) fn cluster_of(
    listener: &ListenerFile,
    clusters: &[ClusterFile],
    problems: &mut Problems,
) -> Option<usize> {
    if listener.cluster.written {
        return named_cluster(&listener.cluster, clusters, problems);
    }
    if clusters.len() > 1 {
        let what = "is missing, and there are several clusters".to_owned();
        listener.cluster.fault(problems, Fault::Conflict { what, remedy: name_one(clusters) });
    }
    (clusters.len() == 1).then_some(0)
}

/// Which of `clusters` a key names.
pub(super) fn named_cluster(
    entry: &Entry<Name>,
    clusters: &[ClusterFile],
    problems: &mut Problems,
) -> Option<usize> {
    let name = entry.value.as_ref()?;
    let found = clusters.iter().position(|cluster| cluster_name(cluster) == Some(&name.0));
    // If another cluster's name or flavor is invalid, that cluster may be meant.
    if found.is_none() && clusters.iter().all(|cluster| cluster_name(cluster).is_some()) {
        let why = "is not the name of a cluster".to_owned();
        entry.fault(problems, Fault::BadValue { value: name.to_string(), why, remedy: name_one(clusters) });
    }
    found
}

fn name_one(clusters: &[ClusterFile]) -> String {
    let names: Option<Vec<_>> =
        clusters.iter().map(|cluster| Some(format!("{:?}", cluster_name(cluster)?))).collect();
    match names {
        Some(names) => format!("write one of {}", names.join(", ")),
        None => "write the name of one of them".to_owned(),
    }
}

/// Checks that the service has a coordinator: otherwise the listener could only refuse.
pub(super) fn service_is_there(
    listener: &ListenerFile,
    service: Service,
    cluster: &ClusterConfig,
    problems: &mut Problems,
) {
    if cluster.serves(service) {
        return;
    }
    let what = match service {
        Service::Beeswax if cluster.flavor != Flavor::Impala => {
            format!("coordinators of flavor {:?} do not speak Beeswax", cluster.flavor.word())
        }
        _ => format!("no coordinator of cluster {:?} has a port for {:?}", cluster.name, service.word()),
    };
    let remedy = "choose another service, or remove this listener".to_owned();
    listener.service.fault(problems, Fault::Conflict { what, remedy });
}

fn duplicate<T: Display>(entry: &Entry<T>, remedy: &'static str, problems: &mut Problems) {
    if let Some(value) = &entry.value {
        entry.fault(problems, Fault::Duplicate { value: value.to_string(), remedy });
    }
}
