//! One simulated world: a router, coordinators, clients, and the trouble that comes over them, all drawn from one seed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::chance::Chance;
use hs2router::clock;
use hs2router::cluster::room::Limits;
use hs2router::cluster::{
    AdminState, Cluster, CoordinatorSettings, DrainSettings, DrainThen, Flavor, HealthSettings, PolicyName,
    Ports, Settings,
};
use hs2router::fake;
use hs2router::fake::Password;
use hs2router::fake::memory::MemoryCoordinator;
use hs2router::ids::{CoordinatorName, Service};
use hs2router::metrics::Metrics;
use hs2router::net::listen::{AcceptCounts, Acceptor};
use hs2router::serve::shared::{
    Entrance, Fleet, FleetSettings, MoveSettings, RoomSettings, SessionUpkeep, Shared, WatchSettings,
};
use hs2router::serve::workers::Workers;
use hs2router::serve::{self, upkeep, watching};
use hs2router::session::table::{self, Table};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{SimClient, User, World};
use super::coordinator::{HS2_PORT, SimCoordinator, WEB_PORT};
use super::journal::{Journal, between};
use super::network::{ROUTER, SimNetwork, SimStream};
use super::talk::LISTENER_PORT;

/// How long a coordinator keeps a session without connections.
pub(crate) const DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(40);
/// How much longer the router remembers it: a coordinator may see the end of a connection so much later.
const MARGIN: Duration = Duration::from_secs(100);
/// No trouble lasts longer.
const LONGEST_TROUBLE: Duration = Duration::from_secs(90);
/// All virtual time that a world may take: ten times what the longest of 20,000 took.
const BOUND: Duration = Duration::from_hours(10);

/// What came of a world.
pub(crate) struct Outcome {
    /// Its events.
    pub(crate) lines: Vec<String>,
    /// The breaches of the promise that were seen.
    pub(crate) violations: Vec<String>,
}

/// Lives through the world of a seed.
pub(crate) fn live(seed: u64) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = LocalSet::new().block_on(&runtime, async move {
        let simulation = Simulation::new(seed);
        let journal = Rc::clone(&simulation.journal);
        if timeout(BOUND, simulation.run()).await.is_err() {
            journal.violation(format_args!("the world did not end within {BOUND:?}"));
        }
        Outcome { lines: journal.lines(), violations: journal.violations() }
    });
    drop(runtime);
    outcome
}

struct Simulation {
    rng: StdRng,
    network: SimNetwork,
    journal: Rc<Journal>,
    coordinators: Vec<Rc<SimCoordinator>>,
    clients: Vec<Rc<SimClient>>,
    is_calm: bool,
    router: SimRouter,
}

/// A router on the simulated network.
pub(crate) struct SimRouter {
    shared: Arc<Shared<SimStream>>,
    fleet: Arc<Fleet<SimStream>>,
    connections: TaskTracker,
    background: TaskTracker,
    /// Ends the watching.
    unwatched: CancellationToken,
    end: CancellationToken,
}

impl SimRouter {
    /// A router in front of coordinators; its connections share their links where it is told how to look after sessions then.
    pub(crate) fn start(
        network: &SimNetwork,
        coordinators: usize,
        upkeep: Option<SessionUpkeep>,
        seed: u64,
    ) -> Self {
        let metrics = Arc::new(Metrics::new());
        let watching = WatchSettings {
            probe_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(2),
            load_interval: Duration::from_secs(5),
        };
        let room = RoomSettings {
            limits: Limits { threads: None, reserve: 1 },
            queue_timeout: Duration::from_secs(10),
            queue_length: 100,
            upkeep,
        };
        let table =
            Table::new(table::Settings { capacity: 10_000, detached_for: DISCONNECTED_TIMEOUT + MARGIN });
        let chance = Chance::from_seed(seed);
        let moving = MoveSettings { idle_sessions: false, cooldown: Duration::ZERO, rebalance: false };
        let draining = DrainSettings { deadline: Duration::from_hours(1), then: DrainThen::Leave };
        let fleet_settings = FleetSettings { watching, room, moving, draining };
        let fleet = Arc::new(Fleet::new(cluster(coordinators), table, &metrics, fleet_settings, chance));
        let shared = Arc::new(Shared::new(settings(), network.clone(), metrics));
        let (connections, background) = (TaskTracker::new(), TaskTracker::new());
        let (end, counts) = (CancellationToken::new(), Arc::new(AcceptCounts::default()));
        let acceptor =
            Acceptor::new(network.listen(LISTENER_PORT), Arc::new(Semaphore::new(1000)), Arc::clone(&counts));
        let entrance = Entrance { name: "sim".into(), fleet: Arc::clone(&fleet), service: Service::Hs2 };
        let listening = serve::listen(
            Arc::clone(&shared),
            Arc::new(entrance),
            acceptor,
            Workers::here(),
            connections.clone(),
        );
        connections.spawn(listening);
        background.spawn(upkeep::run(Arc::clone(&shared), vec![Arc::clone(&fleet)], counts, end.clone()));
        let unwatched = end.child_token();
        watching::start(&shared, &fleet, &background, &unwatched);
        Self { shared, fleet, connections, background, unwatched, end }
    }

    /// Coordinators are neither probed nor polled any more.
    pub(crate) fn look_away(&self) {
        self.unwatched.cancel();
    }
}

fn settings() -> serve::shared::Settings {
    serve::shared::Settings {
        detect_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(3),
        open_timeout: Duration::from_secs(15),
        stall_timeout: Duration::from_secs(40),
        replay_limit: 256 << 10,
        replay_memory: 64 << 20,
    }
}

fn cluster(coordinators: usize) -> Cluster {
    let coordinators = (0..coordinators).map(|index| CoordinatorSettings {
        name: CoordinatorName(format!("c{index}").into()),
        host: format!("c{index}"),
        ports: Ports { hs2: HS2_PORT, beeswax: None, hs2_http: None, web: Some(WEB_PORT) },
        weight: 1,
        state: AdminState::Active,
    });
    let settings = Settings {
        name: "simulated".into(),
        flavor: Flavor::Impala,
        policy: PolicyName::LeastLoaded,
        idle_session_cost: 0.1,
        health: HealthSettings::default(),
        coordinators: coordinators.collect(),
    };
    Cluster::new(settings).unwrap()
}

/// The names of users and their passwords, where coordinators want them.
fn users(logins: bool) -> Vec<Rc<User>> {
    let login = |name: &str| logins.then(|| (name.to_owned(), format!("{name}'s password")));
    ["alice", "bob", "carol"].iter().map(|name| User::new(login(name))).collect()
}

/// What a coordinator of this place knows, and who may log in there.
pub(crate) fn memory(index: usize, users: &[Rc<User>], seed: u64) -> Arc<MemoryCoordinator> {
    let passwords: BTreeMap<_, _> = users
        .iter()
        .filter_map(|user| user.login.clone())
        .map(|(name, password)| (name, Password::new(&password)))
        .collect();
    let settings = fake::Settings {
        name: format!("c{index}"),
        users: (!passwords.is_empty()).then_some(passwords),
        disconnected_session_timeout: DISCONNECTED_TIMEOUT,
        fetch_timeout: Duration::ZERO,
        ..fake::Settings::default()
    };
    MemoryCoordinator::new(settings, Chance::from_seed(seed))
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let network = SimNetwork::new(rng.random());
        spawn_local(network.clone().run());
        let users = users(rng.random_bool(0.6));
        let is_calm = rng.random_bool(0.15);
        let count = rng.random_range(2..=4);
        let memories: Vec<_> = (0..count).map(|index| memory(index, &users, rng.random())).collect();
        let journal = Rc::new(Journal::new(memories.clone()));
        let coordinators: Vec<_> = memories
            .into_iter()
            .enumerate()
            .map(|(index, memory)| SimCoordinator::new(index, memory, &network, (&journal, rng.random())))
            .collect();
        coordinators.iter().for_each(SimCoordinator::start);
        let world = Rc::new(World { journal: Rc::clone(&journal), users, is_calm });
        let client = |number: usize, rng: &mut StdRng| {
            let name = format!("client{number}");
            let user = Rc::clone(&world.users[rng.random_range(0..world.users.len())]);
            let network = network.from(&name);
            let rng = RefCell::new(StdRng::seed_from_u64(rng.random()));
            Rc::new(SimClient {
                name,
                user,
                network,
                world: Rc::clone(&world),
                rng,
                disturbed: Cell::new(false),
            })
        };
        let clients = rng.random_range(2..=6);
        let clients = (0..clients).map(|number| client(number, &mut rng)).collect();
        let router = SimRouter::start(&network, count, None, rng.random());
        Self { rng, network, journal, coordinators, clients, is_calm, router }
    }

    async fn run(mut self) {
        let running: Vec<_> =
            self.clients.iter().map(|client| spawn_local(Rc::clone(client).run())).collect();
        let over = CancellationToken::new();
        let all = {
            let over = over.clone();
            spawn_local(async move {
                for client in running {
                    client.await.unwrap();
                }
                over.cancel();
            })
        };
        while !over.is_cancelled() {
            let pause = between(&mut self.rng, 500, 15_000);
            let _over = timeout(pause, over.cancelled()).await;
            if !self.is_calm && !over.is_cancelled() {
                self.trouble();
            }
        }
        all.await.unwrap();
        self.settle().await;
    }

    /// Something happens.
    fn trouble(&mut self) {
        let rng = &mut self.rng;
        let coordinator = Rc::clone(&self.coordinators[rng.random_range(0..self.coordinators.len())]);
        let (short, long) = (between(rng, 0, 20_000), between(rng, 1_000, LONGEST_TROUBLE.as_secs() * 1_000));
        let (network, journal) = (self.network.clone(), Rc::clone(&self.journal));
        let host = coordinator.host.clone();
        match rng.random_range(0..14) {
            0 => drop(spawn_local(restart(coordinator, journal, short, Duration::ZERO))),
            1 => drop(spawn_local(restart(coordinator, journal, short / 4, short))),
            2 | 3 => {
                journal.say(format_args!("a connection of {host} is reset"));
                network.reset_one(&host);
            }
            4 => {
                journal.say(format_args!("{host} cannot be reached for {long:?}"));
                network.partition(&host, long);
            }
            5 => drop(spawn_local(async move {
                journal.say(format_args!("the way to {host} is slow"));
                network.slow_down(&host, short / 50);
                sleep(long).await;
                network.slow_down(&host, Duration::ZERO);
            })),
            6 => {
                journal.say(format_args!("dials to {host} hang for {short:?}"));
                network.hang_dials(&host, short);
            }
            7 => drop(spawn_local(async move {
                journal.say(format_args!("{host} is full for {long:?}"));
                coordinator.set_full(true);
                sleep(long).await;
                coordinator.set_full(false);
            })),
            8 => drop(spawn_local(async move {
                journal.say(format_args!("{host} is busy"));
                coordinator.set_slow(short / 4);
                sleep(long).await;
                coordinator.set_slow(Duration::from_millis(5));
            })),
            9 | 10 => {
                journal.say(format_args!("{host} is out of order"));
                coordinator.set_flaky(self.rng.random_range(1..20));
            }
            11 => {
                let state = self.router.fleet.cluster.coordinators[coordinator.index].clone();
                drop(spawn_local(async move {
                    journal.say(format_args!("{host} is drained for {long:?}"));
                    state.drain(None, long, clock::now());
                    journal.drained(coordinator.index, true);
                    sleep(long).await;
                    state.resume();
                    journal.drained(coordinator.index, false);
                }));
            }
            _ => self.trouble_for_a_client(long),
        }
    }

    fn trouble_for_a_client(&mut self, long: Duration) {
        let client = &self.clients[self.rng.random_range(0..self.clients.len())];
        let name = &client.name;
        client.disturbed.set(true);
        if self.rng.random_bool(0.5) {
            self.journal.say(format_args!("a connection of {name} is reset"));
            self.network.reset_one(name);
        } else {
            self.journal.say(format_args!("{name} cannot be reached for {long:?}"));
            self.network.partition(name, long);
        }
    }

    /// All clients have left: after a while nothing of theirs may be anywhere.
    async fn settle(self) {
        let Self { network, journal, coordinators, router, .. } = self;
        // The longest trouble ends.
        sleep(LONGEST_TROUBLE).await;
        // Probes would go on for ever.
        router.unwatched.cancel();
        router.connections.close();
        let connections = || network.connections("client0", ROUTER) + router.connections.len();
        let left = connections();
        if left > 1 {
            journal.violation(format_args!("{left} connections are left, whose clients have gone"));
        }
        // Looked for every now and then, once to find them detached and once to forget them.
        sleep(DISCONNECTED_TIMEOUT + MARGIN + Duration::from_secs(40)).await;
        let known = router.fleet.table.sessions();
        if known > 0 {
            journal.violation(format_args!("{known} sessions are still known"));
        }
        for coordinator in &router.fleet.cluster.coordinators {
            let load = coordinator.load();
            let open = coordinator.open_operations();
            if (load.open_sessions, load.running_operations, open) != (0, 0, 0) {
                journal.violation(format_args!("{} still counts {load:?}", coordinator.name));
            }
        }
        router.shared.drain_connections();
        router.end.cancel();
        router.background.close();
        router.connections.wait().await;
        router.background.wait().await;
        sleep(Duration::from_secs(5)).await;
        for coordinator in coordinators {
            let host = &coordinator.host;
            let links = network.connections(ROUTER, host);
            let sessions = coordinator.memory.open_sessions().len();
            if links > 0 || sessions > 0 {
                journal
                    .violation(format_args!("{host} has {links} links and {sessions} sessions in the end"));
            }
        }
        for violation in network.violations() {
            journal.violation(violation);
        }
        journal.say("the end");
    }
}

/// A coordinator is stopped, after it has quiesced for a while, and started again.
async fn restart(coordinator: Rc<SimCoordinator>, journal: Rc<Journal>, down: Duration, quiesces: Duration) {
    if !quiesces.is_zero() {
        journal.say(format_args!("{} shuts down within {quiesces:?}", coordinator.host));
        coordinator.memory.faults().start_quiescing();
        sleep(quiesces).await;
    }
    journal.say(format_args!("{} is killed, and back after {down:?}", coordinator.host));
    if coordinator.kill().await {
        sleep(down).await;
        coordinator.start();
        journal.say(format_args!("{} is back", coordinator.host));
    }
}
