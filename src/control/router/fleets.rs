//! The fleets that a config describes.

use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::clock;
use crate::cluster::room::{AddressShare, Limits};
use crate::cluster::{self, AdminState, Cluster, CoordinatorSettings, DrainSettings, HealthSettings, health};
use crate::control::cluster_tls;
use crate::control::config::{ClusterConfig, Config, CoordinatorConfig};
use crate::control::history::History;
use crate::control::router::kerberos;
use crate::ids::CoordinatorName;
use crate::metrics::Metrics;
use crate::net::kerberos::Kerberos;
use crate::net::tls::certificates::CertificateError;
use crate::net::tls::client::NoServerName;
use crate::serve::fleet::Fleet;
use crate::serve::settings::{FleetSettings, MoveSettings, RoomSettings, SessionUpkeep, WatchSettings};
use crate::session::table::{self, Table};

/// How much later than planned a coordinator may forget a disconnected session, by its own clock.
const DETACHED_MARGIN: Duration = Duration::from_mins(1);

/// Why a fleet was not created.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A cluster's settings are invalid, which the config's checks should have found.
    #[error("cluster {name}: {source}")]
    Settings {
        /// The cluster's name.
        name: Arc<str>,
        /// What is wrong.
        source: cluster::SettingsError,
    },
    /// The files of a cluster's TLS cannot be used.
    #[error("cluster {name}: {source}")]
    Tls {
        /// The cluster's name.
        name: Arc<str>,
        /// What is wrong.
        source: CertificateError,
    },
    /// A coordinator cannot be reached with TLS, which the config's checks should have found.
    #[error("coordinator {name}: {source}")]
    ServerName {
        /// The coordinator's name.
        name: CoordinatorName,
        /// What is wrong.
        source: NoServerName,
    },
}

/// Creates the fleet of each cluster.
///
/// # Errors
/// When a cluster's settings are invalid, or the files of its TLS cannot be used.
pub(super) fn create(
    config: &Config,
    metrics: &Metrics,
    kerberos: Option<&Arc<Kerberos>>,
    history: &History,
) -> Result<Vec<Arc<Fleet>>, FleetError> {
    let with_history =
        |table: Table, cluster: &ClusterConfig| table.with_history(history.of_cluster(&cluster.name));
    let fleet = |cluster| fleet(config, cluster, metrics, kerberos, |table| with_history(table, cluster));
    config.clusters.iter().map(fleet).collect()
}

fn fleet(
    config: &Config,
    cluster: &ClusterConfig,
    metrics: &Metrics,
    kerberos: Option<&Arc<Kerberos>>,
    with_history: impl FnOnce(Table) -> Table,
) -> Result<Arc<Fleet>, FleetError> {
    let plan = kerberos.and_then(|kerberos| kerberos::plan(cluster, kerberos));
    let settings = fleet_settings(cluster, config.router.client_lost_grace)?;
    let settings = FleetSettings { kerberos: plan, ..settings };
    // Where links are shared, the coordinator starts its time-out when they are closed.
    let grace = settings.room.upkeep.map_or(Duration::ZERO, |upkeep| upkeep.client_lost_grace);
    let detached_for = cluster.disconnected_session_timeout + grace + DETACHED_MARGIN;
    let table = Table::new(table::Settings { capacity: config.router.session_table_size, detached_for });
    let name = Arc::clone(&cluster.name);
    let cluster =
        Cluster::new(cluster_settings(cluster)?).map_err(|source| FleetError::Settings { name, source })?;
    begin_drains(&cluster, settings.draining.deadline);
    Ok(Arc::new(Fleet::new(cluster, with_history(table), metrics, settings, Chance::from_system())))
}

fn fleet_settings(cluster: &ClusterConfig, client_lost_grace: Duration) -> Result<FleetSettings, FleetError> {
    let watching = WatchSettings {
        probe_interval: cluster.probe.interval,
        probe_timeout: cluster.probe.timeout,
        load_interval: cluster.load_interval,
    };
    let moving = MoveSettings {
        idle_sessions: cluster.move_idle_sessions,
        cooldown: cluster.move_cooldown,
        rebalance: cluster.rebalance,
    };
    let draining = DrainSettings { deadline: cluster.drain_deadline, then: cluster.drain_then };
    let room = room_settings(cluster, client_lost_grace);
    let tls = cluster_tls::plan(cluster);
    let tls = tls.map_err(|source| FleetError::Tls { name: Arc::clone(&cluster.name), source })?;
    let trusted_headers = cluster.trusted_auth_headers.as_slice().into();
    let stick = cluster.stick;
    Ok(FleetSettings { watching, room, moving, draining, stick, tls, trusted_headers, kerberos: None })
}

/// Coordinators that the config drains start their drain now.
fn begin_drains(cluster: &Cluster, deadline: Duration) {
    let all = cluster.coordinators();
    let drained = all.iter().filter(|one| one.state() == AdminState::Drain);
    drained.for_each(|one| one.drain(None, deadline, clock::now()));
}

fn room_settings(config: &ClusterConfig, client_lost_grace: Duration) -> RoomSettings {
    let disconnected_session_timeout = config.disconnected_session_timeout;
    let shares = config.share_links
        && config.flavor.shares_links()
        && config.sessions_outlive_connections
        && !disconnected_session_timeout.is_zero();
    RoomSettings {
        limits: Limits {
            threads: config.service_threads,
            reserve: config.reserve,
            address_share: AddressShare::new(config.address_share),
        },
        queue_timeout: config.queue_timeout,
        queue_length: config.queue_length,
        upkeep: shares.then_some(SessionUpkeep { client_lost_grace, disconnected_session_timeout }),
    }
}

fn cluster_settings(config: &ClusterConfig) -> Result<cluster::Settings, FleetError> {
    let coordinators = config.coordinators.iter().map(|one| coordinator_settings(config, one));
    Ok(cluster::Settings {
        name: Arc::clone(&config.name),
        flavor: config.flavor,
        sessions_outlive_connections: config.sessions_outlive_connections,
        policy: config.policy,
        idle_session_cost: config.idle_session_cost,
        health: HealthSettings {
            probe: health::Settings {
                interval: config.probe.interval,
                fall: config.probe.fall,
                rise: config.probe.rise,
            },
            panic_threshold: config.panic_threshold,
            slow_start: config.slow_start,
        },
        coordinators: coordinators.collect::<Result<_, _>>()?,
    })
}

fn coordinator_settings(
    cluster: &ClusterConfig,
    config: &CoordinatorConfig,
) -> Result<CoordinatorSettings, FleetError> {
    let CoordinatorConfig { name, host, ports, weight, state, .. } = config.clone();
    let tls = cluster_tls::name_for(config, cluster);
    let tls = tls.map_err(|source| FleetError::ServerName { name: name.clone(), source })?;
    Ok(CoordinatorSettings { name, host, ports, tls, weight, state })
}
