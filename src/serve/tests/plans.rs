//! What a router in memory is configured with.

use std::sync::Arc;
use std::time::Duration;

use super::coordinators::Coordinator;
use super::world::REPLAY_LIMIT;
use crate::cluster::room::{AddressShare, Limits};
use crate::cluster::{
    AdminState, Cluster, CoordinatorSettings, DrainSettings, DrainThen, Flavor, HealthSettings, PolicyName,
    Ports, Stick,
};
use crate::ids::{CoordinatorName, Transport};
use crate::serve::settings::{FleetSettings, MoveSettings, RoomSettings, Settings, WatchSettings};

pub(super) fn ports(link: Transport) -> Ports {
    let is_http = link == Transport::Http;
    let (hs2, hs2_http) = ((!is_http).then_some(21050), is_http.then_some(28000));
    Ports { hs2, beeswax: None, hs2_http, web: None }
}

pub(super) fn cluster(coordinators: &[Coordinator], ports: Ports) -> Cluster {
    let of = |(at, one): (usize, &Coordinator)| CoordinatorSettings {
        name: CoordinatorName(format!("c{}", at + 1).into()),
        host: one.address.to_string(),
        ports,
        tls: None,
        weight: 1,
        state: AdminState::Active,
    };
    Cluster::new(crate::cluster::Settings {
        name: "test".into(),
        flavor: Flavor::Impala,
        sessions_outlive_connections: true,
        policy: PolicyName::LeastLoaded,
        idle_session_cost: 0.1,
        health: HealthSettings::default(),
        coordinators: coordinators.iter().enumerate().map(of).collect(),
    })
    .unwrap()
}

pub(super) fn fleet_settings() -> FleetSettings {
    let second = Duration::from_secs(1);
    FleetSettings {
        watching: WatchSettings { probe_interval: second, probe_timeout: second, load_interval: second },
        room: RoomSettings {
            limits: Limits { threads: Some(8), reserve: 1, address_share: AddressShare::ALL },
            queue_timeout: 10 * second,
            queue_length: 10,
            upkeep: None,
        },
        moving: MoveSettings { idle_sessions: true, cooldown: Duration::ZERO, rebalance: false },
        draining: DrainSettings { deadline: 60 * second, then: DrainThen::Leave },
        stick: Stick::Nothing,
        tls: None,
        trusted_headers: Arc::default(),
        kerberos: None,
    }
}

pub(super) fn settings() -> Settings {
    let second = Duration::from_secs(1);
    Settings {
        detect_timeout: second,
        handshake_timeout: 10 * second,
        connect_timeout: second,
        open_timeout: 10 * second,
        stall_timeout: 10 * second,
        replay_limit: REPLAY_LIMIT,
        replay_memory: 1 << 20,
    }
}
