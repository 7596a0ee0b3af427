//! One simulated world: a router, coordinators, clients, and the trouble that comes over them, all drawn from
//! one seed.

mod trouble;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::chance::Chance;
use hs2router::fake::memory::MemoryCoordinator;
use hs2router::fake::{self, Password};
use hs2router::ids::Service;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::client::{SimClient, User, World};
use super::coordinator::{HS2_PORT, SimCoordinator};
use super::http::Http;
use super::journal::{Journal, between};
use super::network::{PROBER, ROUTER, STRANGER, SimNetwork};
use super::router::{DISCONNECTED_TIMEOUT, GRACE, LISTENERS, MARGIN, SimRouter};
use super::setup::{Setup, Weather};
use super::stranger::Stranger;
use super::tls::Encryption;

/// No trouble lasts longer.
const LONGEST_TROUBLE: Duration = Duration::from_secs(90);
/// All virtual time that a world may take: ten times what the longest of 20,000 took.
const BOUND: Duration = Duration::from_hours(10);
/// How often silent links are looked for.
const CUTS: Duration = Duration::from_millis(970);
/// So long after the deadline of its drain a coordinator may be removed: its watchers end first.
const REMOVAL: Duration = Duration::from_secs(6);
/// Longer than a link is kept that nobody needs.
const UNNEEDED: Duration = Duration::from_secs(30);

/// What came of a world.
pub(crate) struct Outcome {
    /// Its events.
    pub(crate) lines: Vec<String>,
    /// The breaches of the promise that were seen.
    pub(crate) violations: Vec<String>,
    /// How long clients' calls took.
    pub(crate) calls: Vec<Duration>,
}

/// Lives through the world of a seed.
pub(crate) fn live(seed: u64) -> Outcome {
    live_in(seed, move |rng| Setup {
        encryption: Encryption::of(seed),
        http: Http::of(seed),
        ..Setup::draw(rng)
    })
}

/// Lives through a world of this setup.
pub(crate) fn live_in(seed: u64, setup: impl FnOnce(&mut StdRng) -> Setup + 'static) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = LocalSet::new().block_on(&runtime, async move {
        let mut rng = StdRng::seed_from_u64(seed);
        let setup = setup(&mut rng);
        let simulation = Simulation::new(setup, rng);
        let (journal, network) = (Rc::clone(&simulation.journal), simulation.network.clone());
        if timeout(BOUND, simulation.run()).await.is_err() {
            journal.violation(format_args!("the world did not end within {BOUND:?}"));
        }
        Outcome { lines: journal.lines(), violations: journal.violations(), calls: network.calls() }
    });
    drop(runtime);
    outcome
}

struct Simulation {
    rng: StdRng,
    setup: Setup,
    network: SimNetwork,
    journal: Rc<Journal>,
    coordinators: Vec<Rc<SimCoordinator>>,
    clients: Vec<Rc<SimClient>>,
    stranger: Option<Rc<Stranger>>,
    router: SimRouter,
    /// Coordinators that are of the fleet no more, or about to go.
    removed: Rc<RefCell<BTreeSet<usize>>>,
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
    fn new(setup: Setup, mut rng: StdRng) -> Self {
        let network = SimNetwork::new(rng.random());
        spawn_local(network.clone().run());
        let users = users(setup.logins);
        let memories: Vec<_> =
            (0..setup.coordinators).map(|index| memory(index, &users, rng.random())).collect();
        let journal = Rc::new(Journal::new(&network, memories.clone()));
        journal.say(setup);
        let coordinators: Vec<_> = memories
            .into_iter()
            .enumerate()
            .map(|(index, memory)| {
                SimCoordinator::new(index, memory, &network, (&journal, &setup, rng.random()))
            })
            .collect();
        coordinators.iter().for_each(SimCoordinator::start);
        let world =
            Rc::new(World { journal: Rc::clone(&journal), users, setup, tls: setup.encryption.connector() });
        // The router takes what a user shows in one transport for somebody else than what it shows in another,
        // and a session that has moved is only for whoever it was opened by.
        let one_for_user = setup.moves.is_some() && setup.logins;
        let client = |number: usize, rng: &mut StdRng| {
            let name = format!("client{number}");
            let address = 2 + u8::try_from(number).unwrap();
            let user = rng.random_range(0..world.users.len());
            Rc::new(SimClient {
                user: Rc::clone(&world.users[user]),
                network: network.from(&name).at(if setup.stranger.is_some() { address } else { 1 }),
                name,
                world: Rc::clone(&world),
                beeswax: setup.beeswax && rng.random_bool(0.4),
                http: setup.http.is_spoken_by(if one_for_user { user } else { number }),
                rng: RefCell::new(StdRng::seed_from_u64(rng.random())),
                disturbed: Cell::new(false),
                attached: RefCell::new(BTreeSet::new()),
            })
        };
        let clients = (0..setup.clients).map(|number| client(number, &mut rng)).collect();
        let stranger = setup.stranger.map(|trick| {
            let (network, journal) = (network.from(STRANGER).at(u8::MAX), Rc::clone(&journal));
            let rng = RefCell::new(StdRng::seed_from_u64(rng.random()));
            Rc::new(Stranger { trick, network, journal, rng, tls: setup.encryption.connector() })
        });
        let router = SimRouter::start(&network, &setup, rng.random());
        let (fleet, watched) = (Arc::clone(&router.fleet), Rc::clone(&journal));
        let looking = async move { SimRouter::look_at_queues(&fleet, &setup, &watched).await };
        // A stranger waits for room that is there for others.
        if setup.threads.is_some() && setup.stranger.is_none() {
            spawn_local(router.unwatched.clone().run_until_cancelled_owned(looking));
        }
        if setup.is_calm() && setup.threads.is_none() {
            let (fleet, watched) = (Arc::clone(&router.fleet), Rc::clone(&journal));
            let looking = async move { SimRouter::look_at_left_over(&fleet, &watched).await };
            spawn_local(router.unwatched.clone().run_until_cancelled_owned(looking));
        }
        if let Some(silent) = setup.cuts {
            let cutting = cut_links(network.clone(), silent);
            spawn_local(router.unwatched.clone().run_until_cancelled_owned(cutting));
        }
        Self { rng, setup, network, journal, coordinators, clients, stranger, router, removed: Rc::default() }
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
        let stranger = self.stranger.take().map(|stranger| spawn_local(stranger.run(over.clone())));
        while !over.is_cancelled() {
            let pause = between(&mut self.rng, 500, 15_000);
            let _over = timeout(pause, over.cancelled()).await;
            match self.setup.weather {
                _ if over.is_cancelled() => {}
                Weather::Calm => {}
                Weather::Drains => self.drain_for_a_while().await,
                Weather::Foul => self.trouble(),
            }
        }
        all.await.unwrap();
        if let Some(stranger) = stranger {
            stranger.await.unwrap();
        }
        self.settle().await;
    }

    /// All clients have left: after a while nothing of theirs may be anywhere.
    async fn settle(self) {
        // The longest trouble ends.
        sleep(LONGEST_TROUBLE).await;
        // Probes would go on for ever.
        self.router.unwatched.cancel();
        self.router.connections.close();
        let left = self.router.connections.len();
        if left > LISTENERS {
            let left = left - LISTENERS;
            self.journal.violation(format_args!("{left} connections are left, whose clients have gone"));
        }
        // Looked for every now and then, once to find them detached and once to forget them.
        sleep(GRACE + DISCONNECTED_TIMEOUT + MARGIN + Duration::from_secs(40) + UNNEEDED).await;
        self.look_at_what_is_left();
        let Self { network, journal, coordinators, router, .. } = self;
        router.shared.drain_connections();
        router.end.cancel();
        router.background.close();
        router.connections.wait().await;
        router.background.wait().await;
        sleep(Duration::from_secs(5)).await;
        for host in coordinators.iter().map(|coordinator| &coordinator.host) {
            let links = network.connections(ROUTER, host) + network.connections(PROBER, host);
            if links > 0 {
                journal.violation(format_args!("{host} has {links} links in the end"));
            }
        }
        for violation in network.violations() {
            journal.violation(violation);
        }
        journal.say("the end");
    }

    /// What the router and the coordinators still have, although all timers have run out.
    fn look_at_what_is_left(&self) {
        let Self { network, journal, router: SimRouter { fleet, .. }, .. } = self;
        let known = fleet.table.sessions();
        if known > 0 {
            journal.violation(format_args!("{known} sessions are still known"));
        }
        let waiting = fleet.queue.waiting.get();
        if waiting != 0 {
            journal.violation(format_args!("{waiting} are still counted as waiting"));
        }
        for coordinator in fleet.cluster.coordinators().iter() {
            let load = coordinator.load();
            let open = coordinator.open_operations();
            if (load.open_sessions, load.running_operations, open) != (0, 0, 0) {
                journal.violation(format_args!("{} still counts {load:?}", coordinator.name));
            }
            for service in Service::ALL {
                let counted = fleet.room_of(coordinator, service).map_or(0, |(room, _)| room.links);
                if counted > 0 {
                    journal.violation(format_args!(
                        "{} still counts {counted} links to {service}",
                        coordinator.name
                    ));
                }
            }
        }
        for coordinator in &self.coordinators {
            let links = network.connections(ROUTER, &coordinator.host);
            let sessions = coordinator.memory.open_sessions();
            if links > 0 || !sessions.is_empty() {
                let host = &coordinator.host;
                journal
                    .violation(format_args!("{host} has {links} links and sessions {sessions:?} in the end"));
            }
        }
    }
}

/// Cuts links that are silent for so long, as long as it is polled.
async fn cut_links(network: SimNetwork, silent: Duration) {
    loop {
        sleep(CUTS).await;
        network.cut_idle(HS2_PORT, silent);
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
