//! Gathers the facts. Everything has a deadline; what does not come is a fact as well.

mod kerberos;
mod names;
mod ports;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::kerberos::Tickets;
use self::names::Reverse;
use self::ports::Dialer;
use super::facts::{Cluster, Coordinator, Facts, Listener, Names};
use crate::control::config::{ClusterConfig, Config, CoordinatorConfig, ListenerConfig};
use crate::ids::Service;
use crate::net::host::{Host, Resolver};
use crate::net::kerberos::{IS_BUILT_IN, Kerberos};
use crate::net::listen::ListenAddress;
use crate::net::tls::certificates::CertificateError;
use crate::net::tls::client::ClusterTls;
use crate::net::tls::server::ListenerTls;

/// How long a dial, a handshake of TLS, an answer or a look-up of a name may take.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// How long the KDC may take, and each step of a login of the router's own. The library itself tries each KDC for
/// some seconds.
const TICKET_TIME: Duration = Duration::from_secs(15);
/// How many coordinators are asked at a time.
const AT_ONCE: usize = 16;

/// What is looked at.
#[derive(Debug)]
pub(super) struct Scope {
    /// The listeners and coordinators of this config.
    pub(super) config: Config,
    /// Whether the listeners are connected to as well.
    pub(super) dials_listeners: bool,
    /// For which user sessions are opened.
    pub(super) user: Arc<str>,
}

/// What the world is asked by.
#[derive(Clone)]
pub(super) struct World {
    pub(super) resolver: Resolver,
    pub(super) reverse: Arc<Reverse>,
    /// How long a dial, a handshake of TLS, an answer or a look-up of a name may take.
    pub(super) allowed: Duration,
}

impl World {
    /// This machine's.
    pub(super) fn of_system() -> Self {
        Self {
            resolver: Resolver::System,
            reverse: Arc::new(crate::net::reverse::name_of),
            allowed: ANSWER_TIME,
        }
    }
}

/// Gathers everything about what is in the scope.
///
/// # Errors
/// When no thread can be started.
pub(super) async fn gather(scope: &Scope, world: &World) -> std::io::Result<Facts> {
    let config = &scope.config;
    let needs_kerberos = config.keytabs().is_some();
    let kerberos = if needs_kerberos { Kerberos::of_system()?.map(Arc::new) } else { None };
    let tickets = Tickets { kerberos, user: Arc::clone(&scope.user), allowed: TICKET_TIME };
    let mut facts = Facts { lacks_kerberos: needs_kerberos && !IS_BUILT_IN, ..Facts::default() };
    for listener in &config.listeners {
        facts.listeners.push(self::listener(listener, scope, world, &tickets).await);
    }
    for cluster in &config.clusters {
        facts.clusters.push(self::cluster(cluster, world, &tickets).await);
    }
    Ok(facts)
}

async fn listener(config: &ListenerConfig, scope: &Scope, world: &World, tickets: &Tickets) -> Listener {
    let certificates = config.tls.clone().map(|tls| {
        let loaded = ListenerTls::load(tls).map(|tls| tls.chains());
        loaded.map_err(|error| error.to_string())
    });
    let own = scope.config.clusters.iter().find_map(|cluster| cluster.kerberos.as_ref());
    let kerberos = match &config.kerberos {
        None => None,
        Some(kerberos) => Some(tickets.of_listener(kerberos, own, world).await),
    };
    let port = if scope.dials_listeners {
        let (host, number) = dialed(config.address);
        let dialer = Dialer::new(world, None);
        Some(dialer.listener(config.service, &Host::from(&*host), number).await)
    } else {
        None
    };
    Listener { address: config.address.to_string(), certificates, kerberos, port }
}

/// Where a listener is reached from this machine.
fn dialed(address: ListenAddress) -> (String, u16) {
    match address {
        ListenAddress::All { port } => ("127.0.0.1".to_owned(), port),
        ListenAddress::One(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
                IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
                ip => ip.to_string(),
            };
            (ip, address.port())
        }
    }
}

async fn cluster(config: &ClusterConfig, world: &World, tickets: &Tickets) -> Cluster {
    let tls = config.tls.as_ref().map(|tls| ClusterTls::load(tls.settings.clone()).map(Arc::new));
    let certificate = match &tls {
        Some(Err(error)) => Some(Err(CertificateError::to_string(error))),
        Some(Ok(tls)) => tls.client_certificate().map(Ok),
        None => None,
    };
    let kerberos = match &config.kerberos {
        None => None,
        Some(kerberos) => Some(tickets.of_cluster(kerberos).await),
    };
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for (place, coordinator) in config.coordinators.iter().cloned().enumerate() {
        let (config, tls) = (config.clone(), tls.as_ref().and_then(|tls| tls.as_ref().ok()).cloned());
        let (world, tickets, turns) = (world.clone(), tickets.clone(), Arc::clone(&turns));
        asked.spawn(async move {
            let _turn = turns.acquire().await;
            (place, self::coordinator(&coordinator, &config, Dialer::new(&world, tls), &tickets).await)
        });
    }
    let mut found = Vec::new();
    while let Some(one) = asked.join_next().await {
        found.extend(one);
    }
    found.sort_by_key(|(place, _)| *place);
    let coordinators = found.into_iter().map(|(_, one)| one).collect();
    Cluster { config: config.clone(), certificate, kerberos, coordinators }
}

async fn coordinator(
    config: &CoordinatorConfig,
    cluster: &ClusterConfig,
    dialer: Dialer,
    tickets: &Tickets,
) -> Coordinator {
    let names = names::of(&config.host, &dialer.world).await;
    let name = config.name.to_string();
    if names.addresses.is_err() {
        return Coordinator { name, names, ports: Vec::new(), web: None, login: None };
    }
    let host = Host::from(&*config.host);
    let mut ports = Vec::new();
    for service in Service::ALL {
        if let Some(number) = config.ports.of(service) {
            ports.push(dialer.port(service, &host, number, config.tls.then_some(config)).await);
        }
    }
    let web = match config.ports.web.filter(|_| cluster.flavor == crate::cluster::Flavor::Impala) {
        Some(number) => {
            let with_tls = config.tls && cluster.tls.as_ref().is_some_and(|tls| tls.web);
            Some(dialer.web(&host, number, with_tls.then_some(config)).await)
        }
        None => None,
    };
    let mut login = None;
    if let (Some(kerberos), Some(port)) = (&cluster.kerberos, ports::with_tickets(&ports))
        && let Some(number) = config.ports.of(port.service)
    {
        let destination = dialer.destination(&host, number, config.tls.then_some(config));
        let way = (&dialer.network, &destination);
        login = tickets.try_login(kerberos, cluster.flavor.family(), port.service, way).await;
    }
    Coordinator { name, names, ports, web, login }
}

/// A name that is looked up nowhere.
pub(super) fn unknown(name: &str, why: String) -> Names {
    Names { name: name.to_owned(), addresses: Err(why) }
}

#[cfg(test)]
mod tests;
