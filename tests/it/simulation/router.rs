//! A router on the simulated network, with what its queues must never show.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::chance::Chance;
use hs2router::clock;
use hs2router::cluster::room::{AddressShare, Limits};
use hs2router::cluster::{
    AdminState, Cluster, Coordinator, CoordinatorSettings, DrainSettings, DrainThen, Flavor, HealthSettings,
    PolicyName, Ports, Settings, Stick,
};
use hs2router::ids::{CoordinatorName, Service};
use hs2router::metrics::Metrics;
use hs2router::net::listen::{AcceptCounts, Acceptor};
use hs2router::serve;
use hs2router::serve::background::upkeep;
use hs2router::serve::background::watching::Watchers;
use hs2router::serve::fleet::Fleet;
use hs2router::serve::fleet::entrance::Entrance;
use hs2router::serve::fleet::tickets::Tickets;
use hs2router::serve::settings::{
    FleetSettings, KerberosPlan, MoveSettings, RoomSettings, SessionUpkeep, WatchSettings,
};
use hs2router::serve::shared::Shared;
use hs2router::serve::threads::workers::Workers;
use hs2router::session::table::{self, Table};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::coordinator::{BEESWAX_PORT, HS2_PORT, HTTP_PORT, WEB_PORT};
use super::http::Http;
use super::journal::Journal;
use super::network::{PROBER, SimNetwork, SimStream};
use super::setup::Setup;

/// How long a coordinator keeps a session without connections.
pub(crate) const DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(40);
/// How long the router keeps one without clients, where links are shared.
pub(crate) const GRACE: Duration = Duration::from_secs(30);
/// How much longer the router remembers it: a coordinator may see the end of a connection so much later.
pub(crate) const MARGIN: Duration = Duration::from_secs(100);
/// Service threads that are kept for cancels and closes.
const RESERVE: u32 = 1;
/// So soon upkeep calls those who wait for a coordinator that has become fit, and whoever was forgotten.
const UPKEEP: Duration = Duration::from_millis(1_100);
/// Longer than it takes to close a session where it was before.
const LEFT_FOR: Duration = Duration::from_secs(10);
/// Ports on which it listens.
pub(crate) const LISTENERS: usize = 3;
/// How often queues are looked at.
const QUEUE_LOOK: Duration = Duration::from_millis(230);

/// How a router judges tickets, and what it is to coordinators.
pub(crate) struct ByTicket {
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) plan: KerberosPlan,
}

/// A router on the simulated network.
pub(crate) struct SimRouter {
    pub(crate) shared: Arc<Shared<SimStream>>,
    pub(crate) fleet: Arc<Fleet<SimStream>>,
    pub(crate) connections: TaskTracker,
    pub(crate) background: TaskTracker,
    /// Watch coordinators that come, too.
    pub(crate) watchers: Rc<Watchers<SimStream>>,
    /// Ends the watching.
    pub(crate) unwatched: CancellationToken,
    pub(crate) end: CancellationToken,
}

impl SimRouter {
    /// One that serves.
    pub(crate) fn start(network: &SimNetwork, setup: &Setup, seed: u64) -> Self {
        Self::start_with(network, setup, seed, None)
    }

    /// The same, where tickets are judged and the router comes to coordinators by tickets of its own, over HTTP alone.
    pub(crate) fn start_with(
        network: &SimNetwork,
        setup: &Setup,
        seed: u64,
        by_ticket: Option<&ByTicket>,
    ) -> Self {
        let metrics = Arc::new(Metrics::new());
        let detached_for = DISCONNECTED_TIMEOUT + MARGIN + if setup.shares { GRACE } else { Duration::ZERO };
        let table = Table::new(table::Settings { capacity: 30_000, detached_for });
        let (cluster, settings_of_fleet) = (cluster(setup, by_ticket.is_some()), fleet_settings(setup));
        let kerberos = by_ticket.map(|by_ticket| by_ticket.plan.clone());
        let settings_of_fleet = FleetSettings { kerberos, ..settings_of_fleet };
        let fleet = Fleet::new(cluster, table, &metrics, settings_of_fleet, Chance::from_seed(seed));
        let fleet = Arc::new(fleet);
        let shared = Arc::new(Shared::new(settings(), network.clone(), Arc::clone(&metrics)));
        let (connections, background) = (TaskTracker::new(), TaskTracker::new());
        let (end, counts) = (CancellationToken::new(), Arc::new(AcceptCounts::default()));
        let tls = setup.encryption.listener();
        let listeners: [_; LISTENERS] =
            [(HS2_PORT, Service::Hs2), (BEESWAX_PORT, Service::Beeswax), (HTTP_PORT, Service::Hs2Http)];
        for (port, service) in listeners {
            let permits = Arc::new(Semaphore::new(1000));
            let acceptor = Acceptor::new(network.listen(port), permits, Arc::clone(&counts));
            let entrance = Entrance::new("sim".into(), Arc::clone(&fleet), service);
            let tickets = by_ticket.map(|by_ticket| Arc::clone(&by_ticket.tickets));
            let entrance = Arc::new(Entrance { tls: tls.clone(), tickets, ..entrance });
            let (workers, tasks) = (Workers::here(), connections.clone());
            connections.spawn(serve::client::listen(Arc::clone(&shared), entrance, acceptor, workers, tasks));
        }
        background.spawn(upkeep::run(Arc::clone(&shared), vec![Arc::clone(&fleet)], counts, end.clone()));
        background.spawn(upkeep::move_sessions(Arc::clone(&shared), Arc::clone(&fleet), end.clone()));
        let unwatched = end.child_token();
        // Only the watching dials from here: its connections are none that clients wait for.
        let prober = Arc::new(Shared::new(settings(), network.from(PROBER), metrics));
        let watchers = Watchers { shared: prober, tasks: background.clone(), end: unwatched.clone() };
        let watchers = Rc::new(watchers);
        watchers.start(&fleet);
        Self { shared, fleet, connections, background, watchers, unwatched, end }
    }

    /// Looks, as long as it is polled, for somebody who waits although there is room.
    pub(crate) async fn look_at_queues(fleet: &Fleet<SimStream>, setup: &Setup, journal: &Journal) {
        loop {
            sleep(QUEUE_LOOK).await;
            if fleet.queue.waiting.get() == 0 {
                continue;
            }
            if journal.resumed_within(UPKEEP) {
                continue;
            }
            let before = kept_waiting(fleet, setup);
            // Those who were called in this moment get their turn.
            sleep(Duration::from_millis(2)).await;
            let now = kept_waiting(fleet, setup);
            if let Some(who) = before.iter().find(|who| now.contains(who)) {
                journal.violation(format_args!("{who}, although there is room"));
            }
        }
    }

    /// Looks, as long as it is polled, for sessions that the router has left somewhere.
    pub(crate) async fn look_at_left_over(fleet: &Fleet<SimStream>, journal: &Journal) {
        let mut before = Vec::new();
        loop {
            sleep(LEFT_FOR).await;
            let now = journal.left_over(|session| fleet.table.session_owner(session).is_some());
            for (coordinator, session) in now.iter().filter(|one| before.contains(*one)) {
                journal.violation(format_args!("session {session} was left on c{coordinator}"));
            }
            before = now;
        }
    }
}

/// Who waits for room that there is.
fn kept_waiting(fleet: &Fleet<SimStream>, setup: &Setup) -> Vec<String> {
    let mut found = Vec::new();
    for service in Service::ALL {
        for coordinator in fleet.cluster.coordinators().iter() {
            let waiting = fleet.room_of(coordinator, service).map_or(0, |(_, waiting)| waiting);
            if waiting > 0 && has_room(fleet, coordinator, service) {
                found.push(format!("{waiting} calls wait for {}'s port {service}", coordinator.name));
            }
        }
    }
    let all = fleet.cluster.coordinators();
    let ports = all.iter().flat_map(|one| Service::ALL.map(|service| (one, service)));
    let for_calls: usize =
        ports.filter_map(|(one, service)| fleet.room_of(one, service)).map(|(_, calls)| calls).sum();
    let sessions = usize::try_from(fleet.queue.waiting.get()).unwrap_or_default().saturating_sub(for_calls);
    // In foul weather those may be left that were tried in vain, and with several ports nobody knows which it is
    // for.
    if sessions > 0 && setup.is_calm() && !setup.beeswax && setup.http == Http::Nobody {
        let takes = |one: &&Arc<Coordinator>| {
            let is_fit = one.standing(Service::Hs2, clock::now()).is_fit();
            one.state() == AdminState::Active && is_fit && has_room(fleet, one, Service::Hs2)
        };
        if let Some(one) = fleet.cluster.coordinators().iter().find(takes) {
            found.push(format!("{sessions} sessions wait while {} would take them", one.name));
        }
    }
    found
}

fn has_room(fleet: &Fleet<SimStream>, coordinator: &Coordinator, service: Service) -> bool {
    let Some((room, _)) = fleet.room_of(coordinator, service) else { return false };
    let in_use = room.links - room.idle;
    room.limit.is_none_or(|limit| !room.crowded && in_use + RESERVE < limit)
}

fn fleet_settings(setup: &Setup) -> FleetSettings {
    let watching = WatchSettings {
        probe_interval: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(2),
        load_interval: Duration::from_secs(5),
    };
    let upkeep =
        SessionUpkeep { client_lost_grace: GRACE, disconnected_session_timeout: DISCONNECTED_TIMEOUT };
    // Without a stranger nobody may wait while there is room.
    let address_share = if setup.stranger.is_some() { AddressShare::new(0.75) } else { AddressShare::ALL };
    let room = RoomSettings {
        limits: Limits { threads: setup.threads, reserve: RESERVE, address_share },
        queue_timeout: Duration::from_secs(10),
        queue_length: 100,
        upkeep: setup.shares.then_some(upkeep),
    };
    let moving = MoveSettings {
        idle_sessions: setup.moves.is_some(),
        cooldown: setup.moves.unwrap_or_default(),
        rebalance: setup.rebalance,
    };
    let draining = DrainSettings { deadline: Duration::from_hours(1), then: DrainThen::Leave };
    let (tls, trusted_headers) = (setup.encryption.plan(), Arc::default());
    let stick = Stick::Nothing;
    FleetSettings { watching, room, moving, draining, stick, tls, trusted_headers, kerberos: None }
}

fn settings() -> serve::settings::Settings {
    serve::settings::Settings {
        detect_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(3),
        open_timeout: Duration::from_secs(15),
        stall_timeout: Duration::from_secs(40),
        replay_limit: 256 << 10,
        replay_memory: 64 << 20,
    }
}

/// One coordinator as the router is told of it.
pub(crate) fn coordinator(index: usize, setup: &Setup) -> CoordinatorSettings {
    let beeswax = setup.beeswax.then_some(BEESWAX_PORT);
    let hs2_http = (setup.http != Http::Nobody).then_some(HTTP_PORT);
    let host = format!("c{index}");
    CoordinatorSettings {
        name: CoordinatorName(format!("c{index}").into()),
        tls: setup.encryption.name(&host),
        host,
        ports: Ports { hs2: Some(HS2_PORT), beeswax, hs2_http, web: Some(WEB_PORT) },
        weight: 1,
        state: AdminState::Active,
    }
}

fn cluster(setup: &Setup, over_http_alone: bool) -> Cluster {
    let coordinators = (0..setup.coordinators).map(|index| {
        let mut coordinator = coordinator(index, setup);
        if over_http_alone {
            coordinator.ports.hs2 = None;
        }
        coordinator
    });
    let settings = Settings {
        name: "simulated".into(),
        flavor: Flavor::Impala,
        sessions_outlive_connections: true,
        policy: PolicyName::LeastLoaded,
        idle_session_cost: 0.1,
        health: HealthSettings::default(),
        coordinators: coordinators.collect(),
    };
    Cluster::new(settings).unwrap()
}
