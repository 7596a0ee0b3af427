//! What all connections share, built once and passed as one reference.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::asking::Askings;
use super::bell::{Bells, Ring};
use super::keyring::Keyring;
pub use super::memory::{Held, ReplayMemory};
pub use super::moves::MoveSettings;
use super::moves::Moves;
use super::opaque::Cuts;
use super::pool::{Lobby, Pool};
use super::watched::Watched;
use crate::chance::Chance;
use crate::clock;
use crate::cluster::brake::{Brake, Who};
use crate::cluster::room::{Holder, Kind, Limits, OwnLinks, RoomView};
use crate::cluster::{Cluster, Coordinator, DrainSettings, Figures, NoPick, Opening, Wanted};
use crate::ids::{ConnId, CoordinatorId, Identity, Service};
use crate::metrics::{CallMetrics, CoordinatorMetrics, Metrics, QueueMetrics, WaitOutcome};
use crate::net::limits::WarningLimit;
use crate::net::stream::Stream;
use crate::session::table::{NotKept, Table};
use crate::wire::facts::GuidText;
use crate::wire::method;

/// Times and sizes of the data path; `docs/CONFIG.md` explains each under `[router]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence of a new client before a coordinator is dialed in case it speaks first.
    pub detect_timeout: Duration,
    /// The SASL handshake, each side by itself.
    pub handshake_timeout: Duration,
    /// One dial.
    pub connect_timeout: Duration,
    /// One `OpenSession`, from the first coordinator that is asked on, over all that are.
    pub open_timeout: Duration,
    /// A client that sends no byte inside a request, or takes none of its reply.
    pub stall_timeout: Duration,
    /// Requests up to this many bytes are held whole before a link is taken.
    pub replay_limit: usize,
    /// Bytes that all held requests may have together.
    pub replay_memory: usize,
}

/// Opens that were given up and are waited for at once. Each is a link, and perhaps a coordinator's service thread.
const LATE_OPENS: usize = 256;

/// What all connections of a router share.
#[derive(Debug)]
pub struct Shared<S: Stream = TcpStream> {
    /// Times and sizes.
    pub settings: Settings,
    /// What connections to coordinators are opened by.
    pub network: S::Network,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// The counters of calls, by a method's place.
    pub calls: CallMetrics,
    /// Bytes of requests that are held.
    pub replay: ReplayMemory,
    /// What calls connections while they wait for something else.
    pub(super) bells: Arc<Bells>,
    /// Cancelled when the router shall end: connections leave as soon as nothing is under way on them.
    pub draining: CancellationToken,
    /// Cancelled when those that are still there are cut.
    pub cut: CancellationToken,
    /// A permit for each open that was given up and may still come to something.
    pub(super) late_opens: Arc<Semaphore>,
    /// Bounds the lines in the log that strangers can cause.
    warnings: WarningLimit,
    next_connection: AtomicU64,
}

impl<S: Stream> Shared<S> {
    /// The state of a router that serves.
    pub fn new(settings: Settings, network: S::Network, metrics: Arc<Metrics>) -> Self {
        let replay = ReplayMemory::new(settings.replay_memory);
        let (draining, cut) = (CancellationToken::new(), CancellationToken::new());
        let names: Vec<&'static str> = method::all().map(|method| method.name).collect();
        let calls = metrics.calls(&names);
        Self {
            settings,
            network,
            metrics,
            calls,
            replay,
            bells: Arc::default(),
            draining,
            cut,
            late_opens: Arc::new(Semaphore::new(LATE_OPENS)),
            warnings: WarningLimit::default(),
            next_connection: AtomicU64::new(1),
        }
    }

    /// Has connections end as soon as nothing is under way on them, and no more accepted.
    pub fn drain_connections(&self) {
        self.draining.cancel();
        self.bells.ring(Ring::Drain);
    }

    /// Has connections end at once.
    pub fn cut_connections(&self) {
        self.cut.cancel();
        self.bells.ring(Ring::Cut);
    }

    /// Has connections look for sessions that shall leave their coordinators.
    pub(super) fn have_connections_look(&self) {
        self.bells.ring(Ring::Look);
    }

    /// Whether a line that strangers can cause may be logged: `None` if not, else how many of its kind were left out before.
    pub(super) fn admit_line(&self, line: &'static str, why: &'static str) -> Option<u64> {
        self.warnings.admit(line, why, clock::now())
    }

    /// Says that a session is not in the table: calls that name it on other connections are at the mercy of chance.
    pub(super) fn warn_unknown(&self, session: &GuidText, error: NotKept) {
        if let Some(left_out) = self.admit_line("a session is not known", "") {
            tracing::warn!(%session, %error, left_out, "a session is not known");
        }
    }

    /// A name for a new connection.
    pub fn next_connection(&self) -> ConnId {
        ConnId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }
}

/// The longest that a call waits for a poll to begin.
const MOST_POLL_WAIT: Duration = Duration::from_secs(1);

/// A cluster with everything that is known of its sessions.
#[derive(Debug)]
pub struct Fleet<S: Stream = TcpStream> {
    /// Its coordinators.
    pub cluster: Cluster,
    /// Their sessions and operations.
    pub table: Arc<Table>,
    /// Counters of each coordinator, in the cluster's order.
    pub metrics: Vec<CoordinatorMetrics>,
    /// One permit a coordinator and service, for a dial made because a client was silent: two handshakes that nobody goes
    /// on with block a secured impalad's port (Impala: `accepted_cnxn_setup_thread_pool_size`).
    parked: Vec<[Arc<Semaphore>; 3]>,
    /// How its coordinators are watched.
    pub watching: WatchSettings,
    watched: Vec<Watched>,
    /// What is left to chance here: ties, names, the moment of a probe.
    pub(super) chance: Chance,
    /// How much room they have.
    pub room: RoomSettings,
    /// Counters of those who wait for it.
    pub queue: QueueMetrics,
    pools: Vec<[Arc<Pool<S>>; Service::ALL.len()]>,
    /// For each service.
    lobbies: [Arc<Lobby<S>>; Service::ALL.len()],
    /// Questions for handles that the table lacks.
    pub(super) askings: Askings,
    pub(super) moves: Moves,
    /// How its coordinators are drained.
    pub draining: DrainSettings,
    pub(super) keyring: Keyring,
    /// What ends connections that are passed on unread.
    pub(super) cuts: Cuts,
    /// Slows down clients whose dials are in vain.
    pub(super) brake: Mutex<Brake>,
}

/// How much room its coordinators have; `docs/CONFIG.md` explains each under `[[cluster]]`.
#[derive(Clone, Copy, Debug)]
pub struct RoomSettings {
    /// Connections of each port.
    pub limits: Limits,
    /// How long a new session or a call may wait for room.
    pub queue_timeout: Duration,
    /// How many may wait.
    pub queue_length: usize,
    /// Whether HS2 links are shared by all connections of an identity: then sessions are looked after here.
    pub upkeep: Option<SessionUpkeep>,
}

/// How sessions are looked after whose links are shared, and do not tell their coordinator whether a client is there.
#[derive(Clone, Copy, Debug)]
pub struct SessionUpkeep {
    /// A session without client connections is closed after this.
    pub client_lost_grace: Duration,
    /// After this a coordinator closes a session without links.
    pub disconnected_session_timeout: Duration,
}

impl SessionUpkeep {
    /// An idle client's sessions are touched this often, which is soon enough if one touch fails.
    pub(super) fn touch_after(&self) -> Duration {
        self.disconnected_session_timeout / 3
    }
}

/// How a fleet's coordinators are watched; `docs/CONFIG.md` explains each under `[[cluster]]`.
#[derive(Clone, Copy, Debug)]
pub struct WatchSettings {
    /// From one probe of a port to the next.
    pub probe_interval: Duration,
    /// One probe, or one page of the web port.
    pub probe_timeout: Duration,
    /// From one poll of the web port to the next.
    pub load_interval: Duration,
}

/// What a fleet is told beside its coordinators.
#[derive(Clone, Copy, Debug)]
pub struct FleetSettings {
    /// How they are watched.
    pub watching: WatchSettings,
    /// How much room they have.
    pub room: RoomSettings,
    /// How their sessions move.
    pub moving: MoveSettings,
    /// How they are drained.
    pub draining: DrainSettings,
}

impl<S: Stream> Drop for Fleet<S> {
    fn drop(&mut self) {
        self.pools.iter().flatten().for_each(|pool| pool.close());
    }
}

impl<S: Stream> Fleet<S> {
    /// A fleet that has no sessions yet.
    pub fn new(
        cluster: Cluster,
        table: Table,
        metrics: &Metrics,
        settings: FleetSettings,
        chance: Chance,
    ) -> Self {
        let FleetSettings { watching, room, moving, draining } = settings;
        let lobbies = Service::ALL.map(|_| Arc::new(Lobby::new(room.queue_length)));
        let pools = cluster.coordinators.iter().map(|coordinator| {
            Service::ALL.map(|service| {
                let shares = room.upkeep.is_some() && service == Service::Hs2;
                let lobby = of_service(&lobbies, service);
                Arc::new(Pool::new((coordinator, service), room.limits, (shares, room.queue_length), lobby))
            })
        });
        let (pools, queue) = (pools.collect(), metrics.queue(&cluster.name));
        let one = || Arc::new(Semaphore::new(1));
        let counters = cluster
            .coordinators
            .iter()
            .map(|coordinator| metrics.coordinator(&cluster.name, &coordinator.name));
        let metrics = counters.collect();
        let parked = cluster.coordinators.iter().map(|_| [one(), one(), one()]).collect();
        let watched = cluster.coordinators.iter().map(|one| Watched::at(&one.host)).collect();
        let (askings, moves) = (Askings::new(&chance), Moves::new(&cluster, moving));
        let (table, cuts) = (Arc::new(table), Cuts::new(cluster.coordinators.len()));
        Self {
            cluster,
            table,
            metrics,
            parked,
            watching,
            watched,
            chance,
            room,
            queue,
            pools,
            lobbies,
            askings,
            moves,
            draining,
            keyring: Keyring::default(),
            cuts,
            brake: Mutex::default(),
        }
    }

    /// Drains a coordinator, with a deadline from now or the one that is usual here (see [`Coordinator::drain`]).
    pub fn drain(&self, coordinator: &Coordinator, deadline: Option<Duration>) {
        coordinator.drain(deadline, self.draining.deadline, clock::now());
    }

    /// The permit for parked dials to a coordinator's service.
    pub fn parked(&self, coordinator: &Coordinator, service: Service) -> Option<&Arc<Semaphore>> {
        let permits = self.parked.get(usize::from(coordinator.id.0))?;
        permits.get(match service {
            Service::Hs2 => 0,
            Service::Beeswax => 1,
            Service::Hs2Http => 2,
        })
    }

    /// The best coordinator that was not tried yet and has room, with an open counted on it.
    ///
    /// # Errors
    /// [`NoPick`].
    pub fn pick(&self, wanted: &Wanted<'_>) -> Result<Opening, NoPick> {
        let now = clock::now();
        let picked = self.chance.draw(|rng| self.cluster.pick_and_reserve(wanted, now, rng))?;
        tracing::trace!(coordinator = %picked.opening.coordinator().name, reason = %picked.candidate.reason, "picked");
        Ok(picked.opening)
    }

    /// The links to a coordinator's port.
    pub(super) fn pool(&self, coordinator: &Coordinator, service: Service) -> Option<&Arc<Pool<S>>> {
        Some(of_service(self.pools.get(usize::from(coordinator.id.0))?, service))
    }

    /// The links to all ports.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool<S>>> {
        self.pools.iter().flatten()
    }

    /// What the room of a coordinator's port looks like, and how many calls wait for it.
    pub fn room_of(&self, coordinator: &Coordinator, service: Service) -> Option<(RoomView, usize)> {
        let pool = self.pool(coordinator, service)?;
        Some((pool.view(), pool.waiting()))
    }

    /// A client has dialed in vain: it waits before it is told so, the longer the more often that was so.
    pub(super) async fn slow_down(&self, who: Who) {
        let wait = self.brake.lock().note_in_vain(who, clock::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Whether somebody without a link could have one to a coordinator's port, for a new session.
    pub fn has_room(&self, coordinator: &Coordinator, service: Service) -> bool {
        self.pool(coordinator, service)
            .is_some_and(|pool| pool.has_room(Holder::ourselves(&Identity::Unread), Kind::New))
    }

    /// New sessions that wait for room on any coordinator.
    pub(super) fn lobby(&self, service: Service) -> &Arc<Lobby<S>> {
        of_service(&self.lobbies, service)
    }

    /// Calls those who wait for a service, as far as there is room.
    pub(super) fn call_waiting(&self, service: Service) {
        for pools in &self.pools {
            of_service(pools, service).call_waiting();
        }
    }

    /// Has one relay that is not answered give way to those who wait for a service.
    pub(super) fn make_room(&self, service: Service) {
        let mut pools = self.pools.iter().map(|pools| of_service(pools, service));
        pools.any(|pool| pool.make_room());
    }

    /// The links to each of a coordinator's ports: what of a poll's figures would be ours now.
    pub(super) fn own_links(&self, coordinator: &Coordinator) -> [OwnLinks; Service::ALL.len()] {
        let own = |service| self.pool(coordinator, service).map(|pool| pool.own()).unwrap_or_default();
        Service::ALL.map(own)
    }

    /// Takes in what a poll says of a coordinator's ports; `before` is what was ours when it began.
    pub(super) fn note_ports(
        &self,
        coordinator: &Coordinator,
        figures: &Figures,
        before: [OwnLinks; Service::ALL.len()],
    ) {
        for (service, own) in Service::ALL.into_iter().zip(before) {
            if let Some(pool) = self.pool(coordinator, service) {
                pool.note_polled(*of_service(&figures.ports, service), own);
            }
        }
    }

    /// What polls said of a coordinator's ports is known no more.
    pub(super) fn forget_ports(&self, coordinator: &Coordinator) {
        for service in Service::ALL {
            if let Some(pool) = self.pool(coordinator, service) {
                pool.forget_others();
            }
        }
    }

    /// Somebody may not wait, because too many do.
    pub(super) fn note_queue_full(&self) {
        self.queue.waits.count(WaitOutcome::QueueFull);
    }

    pub(super) fn watched(&self, coordinator: &Coordinator) -> Option<&Watched> {
        self.watched.get(usize::from(coordinator.id.0))
    }

    /// Something went wrong on a link to a coordinator's port: that is for a probe to judge, and it shall do so now.
    pub(super) fn doubt(&self, coordinator: &Coordinator, service: Service) {
        if let Some(watched) = self.watched(coordinator) {
            watched.port(service).probe_now();
        }
    }

    /// A coordinator refused new work because it shuts down: its web port shall say whether that is so.
    pub(super) fn note_shutting_down(&self, coordinator: &Coordinator) {
        coordinator.note_shutting_down(clock::now());
        if let Some(watched) = self.watched(coordinator) {
            watched.poll.notify_one();
        }
    }

    /// Has a coordinator's web port asked now, and waits for the answer as long as that may take; at once if it has none.
    pub(super) async fn poll_now(&self, coordinator: &Coordinator) {
        let Some(watched) = self.watched(coordinator).filter(|_| coordinator.ports.web.is_some()) else {
            return;
        };
        // Registered before it is asked. A poll that is under way already does for one that was asked for.
        let mut polled = pin!(watched.polled.notified());
        polled.as_mut().enable();
        watched.poll.notify_one();
        let longest = self.watching.load_interval.min(MOST_POLL_WAIT) + self.watching.probe_timeout;
        let _in_time = timeout(longest, polled).await;
    }

    /// The counters of a coordinator.
    pub fn counters(&self, coordinator: CoordinatorId) -> Option<&CoordinatorMetrics> {
        self.metrics.get(usize::from(coordinator.0))
    }
}

/// What belongs to a service, of a list in the order of [`Service::ALL`].
pub(super) fn of_service<T>(all: &[T; Service::ALL.len()], service: Service) -> &T {
    let [hs2, beeswax, hs2_http] = all;
    match service {
        Service::Hs2 => hs2,
        Service::Beeswax => beeswax,
        Service::Hs2Http => hs2_http,
    }
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub struct Entrance<S: Stream = TcpStream> {
    /// The address as configured.
    pub name: Arc<str>,
    /// Where its connections go.
    pub fleet: Arc<Fleet<S>>,
    /// The coordinators' port until the bytes tell.
    pub service: Service,
}
