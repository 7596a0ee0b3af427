//! Users whom tickets prove to routers that come to the coordinators under their own name: what keeps users apart is
//! the routers alone. In these worlds there are two of them in front of the same coordinators, which move sessions,
//! lose them and find those of the other; and a stranger who is a proven user, too, and has everybody's handles and
//! secrets, tries every method with them.

mod connection;
mod kdc;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::chance::Chance;
use hs2router::fake;
use hs2router::fake::memory::MemoryCoordinator;
use hs2router::net::dial::{Destination, dial};
use hs2router::wire::method::{self, Method, Role};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::kdc::Kdc;
use super::coordinator::{HS2_PORT, HTTP_PORT, SimCoordinator};
use super::http::Http;
use super::journal::{Journal, between};
use super::network::{ROUTER, SimNetwork};
use super::router::{DISCONNECTED_TIMEOUT, SimRouter};
use super::setup::{Setup, Weather};
use super::tls::{Encryption, Line};
use crate::support::message::{Message, Value, execute, of_handle, open_session};

/// Worlds that are lived through.
const WORLDS: u64 = 6;
/// The hosts of the routers.
const ROUTERS: [&str; 2] = [ROUTER, "router-2"];
/// Who have sessions. The first two are one user to coordinators.
const USERS: [&str; 3] = ["ann@R", "ann/admin@R", "bob@R"];
/// Who has none.
const STRANGER: &str = "eve@R";
/// Calls of each user in a world.
const CALLS: usize = 60;
/// The longest that a call may take.
const BOUND: Duration = Duration::from_mins(5);
/// How a router refuses what is not the client's own.
const REFUSALS: [&str; 5] = [
    "is not known as one of this user's",
    "Beeswax has no delegation",
    "is not available through a router that speaks for its users",
    "the call names no session or operation",
    "the request was not sent to a coordinator",
];

/// What a user has open, and whose it is.
#[derive(Clone)]
struct Open {
    principal: &'static str,
    /// The router by which the session was opened.
    router: usize,
    session: Value,
    operation: Option<Value>,
}

/// What came of a world.
#[derive(Debug, Default)]
struct Outcome {
    breaches: Vec<String>,
    /// Calls of users that succeeded on the router that had opened their session, and on the other one.
    succeeded: usize,
    located: usize,
    /// Calls of the stranger, and of users with sessions of others, that were refused.
    refused: usize,
}

/// What all in a world share.
struct World {
    network: SimNetwork,
    kdc: Arc<Kdc>,
    /// What the stranger has stolen: all that there is, and some that there was.
    open: RefCell<Vec<Open>>,
    outcome: RefCell<Outcome>,
    tickets: Cell<u64>,
}

impl World {
    /// Makes a call as this principal, on a connection of its own; none if it was not answered.
    async fn call(
        &self,
        principal: &str,
        router: usize,
        over_http: bool,
        message: &Message,
    ) -> Option<Vec<u8>> {
        self.tickets.set(self.tickets.get() + 1);
        let token = Kdc::token(principal, self.tickets.get());
        let port = if over_http { HTTP_PORT } else { HS2_PORT };
        let router = Destination { host: ROUTERS[router].into(), port, tls: None };
        let network = self.network.from(principal);
        let call = async {
            let mut line = Line::connect(dial(&network, &router, BOUND).await.ok()?, None).await.ok()?;
            if over_http {
                connection::by_http(&mut line, &token, &message.encode()).await
            } else {
                connection::by_sasl(&mut line, &token, &message.encode()).await
            }
        };
        let answered = timeout(BOUND, call).await;
        if answered.is_err() {
            self.breach(format!("{principal} got no answer to {}", message.name));
        }
        answered.ok().flatten()
    }

    fn breach(&self, what: String) {
        self.outcome.borrow_mut().breaches.push(what);
    }

    /// A user opens sessions, runs statements in them and closes them, mostly by one router.
    async fn work(&self, principal: &'static str, mut rng: StdRng) {
        let home = rng.random_range(0..ROUTERS.len());
        for _ in 0..CALLS {
            sleep(between(&mut rng, 0, 1_500)).await;
            let router = if rng.random_bool(0.7) { home } else { 1 - home };
            let own: Vec<usize> = {
                let open = self.open.borrow();
                (0..open.len()).filter(|place| open[*place].principal == principal).collect()
            };
            let over_http = rng.random_bool(0.5);
            match rng.random_range(0..10) {
                _ if own.is_empty() => self.open(principal, router, over_http).await,
                0 => self.open(principal, router, over_http).await,
                1 => {
                    let place = own[rng.random_range(0..own.len())];
                    let session = self.open.borrow()[place].session.clone();
                    // The stranger keeps it.
                    self.call(principal, router, over_http, &of_handle("CloseSession", &session)).await;
                }
                _ => {
                    let place = own[rng.random_range(0..own.len())];
                    self.ask_who(place, router, over_http).await;
                }
            }
        }
    }

    async fn open(&self, principal: &'static str, router: usize, over_http: bool) {
        let Some(reply) = self.call(principal, router, over_http, &open_session()).await else { return };
        let Ok(reply) = Message::read(&mut reply.as_slice()) else { return };
        if reply.status() == Some(0) {
            let session = reply.handle(&[0, 3]);
            self.open.borrow_mut().push(Open { principal, router, session, operation: None });
        }
    }

    /// Runs a statement that tells whose the session is, wherever that is now.
    async fn ask_who(&self, place: usize, router: usize, over_http: bool) {
        let Open { principal, session, router: home, .. } = self.open.borrow()[place].clone();
        let statement = execute(&session, "select effective_user()");
        let Some(reply) = self.call(principal, router, over_http, &statement).await else { return };
        let Ok(reply) = Message::read(&mut reply.as_slice()) else { return };
        if reply.status() != Some(0) {
            return;
        }
        {
            let outcome = &mut *self.outcome.borrow_mut();
            *(if home == router { &mut outcome.succeeded } else { &mut outcome.located }) += 1;
        }
        let operation = reply.handle(&[0, 2]);
        self.open.borrow_mut()[place].operation = Some(operation.clone());
        let fetch = vec![(1, operation), (2, Value::I32(0)), (3, Value::I64(10))];
        let fetch = Message::call("FetchResults", vec![(1, Value::Struct(fetch))]);
        let Some(rows) = self.call(principal, router, over_http, &fetch).await else { return };
        let is_told = |name: &str| has(&rows, &[&[0, 0, 0, 3], name.as_bytes()].concat());
        let others = USERS.map(user_of).into_iter().filter(|other| *other != user_of(principal));
        if let Some(other) = others.into_iter().find(|other| is_told(other)) {
            self.breach(format!("{principal} was told that a session of its own is {other}'s"));
        }
    }

    /// Tries whatever there is with every method, on both routers.
    async fn steal(&self, over: &CancellationToken, mut rng: StdRng) {
        while !over.is_cancelled() {
            sleep(between(&mut rng, 0, 600)).await;
            let thief = if rng.random_bool(0.7) { STRANGER } else { USERS[rng.random_range(0..USERS.len())] };
            // A router that does not know a session gives it to its user, by whatever principal.
            let of_others = |one: &&Open| user_of(one.principal) != user_of(thief);
            let stolen: Vec<Open> = self.open.borrow().iter().filter(of_others).cloned().collect();
            if stolen.is_empty() {
                continue;
            }
            let stolen = &stolen[rng.random_range(0..stolen.len())];
            let methods: Vec<_> = method::all().filter(|method| method.role != Role::OpenSession).collect();
            let operation = stolen.operation.as_ref().unwrap_or(&stolen.session);
            let call = naming(methods[rng.random_range(0..methods.len())], &stolen.session, operation);
            let router = rng.random_range(0..ROUTERS.len());
            let Some(reply) = self.call(thief, router, rng.random_bool(0.5), &call).await else { continue };
            if REFUSALS.iter().any(|words| has(&reply, words.as_bytes())) {
                self.outcome.borrow_mut().refused += 1;
            } else {
                let (reply, owner) = (String::from_utf8_lossy(&reply).into_owned(), stolen.principal);
                self.breach(format!("{thief} was answered {} of {owner}'s: {reply:?}", call.name));
            }
        }
    }
}

/// Who a principal is to coordinators.
fn user_of(principal: &str) -> &str {
    principal.split(['/', '@']).next().unwrap_or_default()
}

/// A call of this method that names these: an operation where the method takes one, else a session.
pub(crate) fn naming(method: &Method, session: &Value, operation: &Value) -> Message {
    let first = match method.role {
        Role::Profile
        | Role::UseOperation
        | Role::CancelOperation
        | Role::Fetch
        | Role::Poll
        | Role::CloseOperation => operation,
        _ => session,
    };
    let mut fields = vec![(1, first.clone())];
    match method.role {
        Role::Profile => fields.push((2, session.clone())),
        Role::Statement => fields.push((2, Value::text("select 'stolen'"))),
        _ => {}
    }
    Message::call(method.name, vec![(1, Value::Struct(fields))])
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn setup(rng: &mut StdRng) -> Setup {
    Setup {
        weather: Weather::Foul,
        coordinators: rng.random_range(2..=3),
        clients: USERS.len(),
        logins: false,
        shares: true,
        moves: Some(Duration::ZERO),
        rebalance: rng.random_bool(0.5),
        beeswax: false,
        threads: None,
        stranger: None,
        cuts: None,
        encryption: Encryption::NONE,
        http: Http::All,
    }
}

fn memory(index: usize, seed: u64) -> Arc<MemoryCoordinator> {
    let settings = fake::Settings {
        name: format!("c{index}"),
        tickets: true,
        disconnected_session_timeout: DISCONNECTED_TIMEOUT,
        fetch_timeout: Duration::ZERO,
        ..fake::Settings::default()
    };
    MemoryCoordinator::new(settings, Chance::from_seed(seed))
}

/// What befalls coordinators and routers.
struct Trouble {
    world: Rc<World>,
    setup: Setup,
    coordinators: Vec<Rc<SimCoordinator>>,
    routers: Vec<SimRouter>,
    rng: StdRng,
}

impl Trouble {
    async fn befall(&mut self, over: &CancellationToken) {
        while !over.is_cancelled() {
            sleep(between(&mut self.rng, 2_000, 12_000)).await;
            let router = self.rng.random_range(0..ROUTERS.len());
            let one = self.rng.random_range(0..self.coordinators.len());
            match self.rng.random_range(0..3) {
                0 => {
                    self.coordinators[one].kill().await;
                    sleep(between(&mut self.rng, 500, 5_000)).await;
                    self.coordinators[one].start();
                }
                1 => {
                    let fleet = &self.routers[router].fleet;
                    let coordinator = Arc::clone(&fleet.cluster.coordinators()[one]);
                    fleet.drain(&coordinator, None);
                    sleep(between(&mut self.rng, 1_000, 10_000)).await;
                    coordinator.resume();
                }
                _ => self.restart(router).await,
            }
        }
    }

    /// Puts a router that knows nothing in the place of one.
    async fn restart(&mut self, place: usize) {
        let seed = self.rng.random();
        end(self.routers.remove(place)).await;
        self.routers.insert(place, start(&self.world, &self.setup, place, seed));
    }
}

fn start(world: &World, setup: &Setup, place: usize, seed: u64) -> SimRouter {
    let network = world.network.from(ROUTERS[place]);
    SimRouter::start_with(&network, setup, seed, Some(&world.kdc.by_ticket()))
}

async fn end(router: SimRouter) {
    router.shared.drain_connections();
    router.shared.cut_connections();
    router.end.cancel();
    router.connections.close();
    router.background.close();
    router.connections.wait().await;
    router.background.wait().await;
}

async fn live(seed: u64) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let setup = setup(&mut rng);
    let network = SimNetwork::new(rng.random());
    spawn_local(network.clone().run());
    let memories: Vec<_> = (0..setup.coordinators).map(|index| memory(index, rng.random())).collect();
    let journal = Rc::new(Journal::new(&network, memories.clone()));
    let coordinator =
        |(index, memory)| SimCoordinator::new(index, memory, &network, (&journal, &setup, rng.random()));
    let coordinators: Vec<_> = memories.into_iter().enumerate().map(coordinator).collect();
    coordinators.iter().for_each(SimCoordinator::start);
    let (kdc, open, outcome, tickets) =
        (Arc::new(Kdc::default()), RefCell::default(), RefCell::default(), Cell::new(0));
    let world = Rc::new(World { network, kdc, open, outcome, tickets });
    let routers = (0..ROUTERS.len()).map(|place| start(&world, &setup, place, rng.random())).collect();
    let mut working = Vec::new();
    for user in USERS {
        let (world, rng) = (Rc::clone(&world), StdRng::seed_from_u64(rng.random()));
        working.push(spawn_local(async move { world.work(user, rng).await }));
    }
    let over = CancellationToken::new();
    let stealing = {
        let (world, over, rng) = (Rc::clone(&world), over.clone(), StdRng::seed_from_u64(rng.random()));
        spawn_local(async move { world.steal(&over, rng).await })
    };
    let mut trouble = Trouble { world: Rc::clone(&world), setup, coordinators, routers, rng };
    let befalling = {
        let over = over.clone();
        spawn_local(async move {
            trouble.befall(&over).await;
            for router in trouble.routers {
                end(router).await;
            }
        })
    };
    for user in working {
        user.await.unwrap();
    }
    over.cancel();
    stealing.await.unwrap();
    befalling.await.unwrap();
    world.outcome.take()
}

#[test]
fn whatever_happens_nobody_gets_at_anothers_session_by_its_handle_and_secret() {
    let (mut succeeded, mut located, mut refused) = (0, 0, 0);
    for seed in 0..WORLDS {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outcome = LocalSet::new().block_on(&runtime, live(seed));
        assert_eq!(outcome.breaches, Vec::<String>::new(), "seed {seed}");
        succeeded += outcome.succeeded;
        located += outcome.located;
        refused += outcome.refused;
    }
    let counts = (succeeded, located, refused);
    assert!(succeeded > 150 && located > 75 && refused > 500, "{counts:?}");
}
