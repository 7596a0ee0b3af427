//! A cluster's state, which all connections to the cluster share. It is built once and passed as one
//! reference.

pub(crate) mod candidates;
pub(crate) mod dialing;
pub mod entrance;
pub(crate) mod incarnations;
pub(crate) mod keyring;
pub(crate) mod lookups;
pub(crate) mod member;
pub(crate) mod moves;
pub(crate) mod own_calls;
pub(crate) mod pause;
pub(crate) mod sessions_page;
pub mod tickets;
pub(crate) mod verdicts;
pub(crate) mod waiters;
pub(crate) mod whereabouts;
pub(crate) mod wishes;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::clock;
use crate::cluster::brake::{Brake, Who};
use crate::cluster::room::{Holder, Kind, RoomView};
use crate::cluster::roster::{All, Roster};
use crate::cluster::{Cluster, Coordinator, DrainSettings, NoPick, Opening, Stick, Wanted};
use crate::ids::{Access, CoordinatorId, PerService, Service};
use crate::metrics::{CoordinatorMetrics, Metrics, QueueMetrics};
use crate::net::stream::Stream;
use crate::serve::fleet::keyring::Keyring;
use crate::serve::fleet::lookups::Lookups;
use crate::serve::fleet::member::{Common, Member};
use crate::serve::fleet::moves::Moves;
use crate::serve::fleet::pause::Pause;
use crate::serve::fleet::verdicts::Verdicts;
use crate::serve::link::login::Login;
use crate::serve::link::port::Port;
use crate::serve::link::router_login::RouterLogin;
use crate::serve::link::session_queue::SessionQueue;
use crate::serve::link::slot::Grant;
use crate::serve::settings::{FleetSettings, RoomSettings, TlsPlan, WatchSettings};
use crate::session::table::Table;

/// The longest that a call waits for a poll to begin.
const MOST_POLL_WAIT: Duration = Duration::from_secs(1);

/// A cluster with its sessions and everything else that its connections share.
#[derive(Debug)]
pub struct Fleet<S: Stream = TcpStream> {
    /// The coordinators of the cluster, and the picks among them.
    pub cluster: Cluster,
    /// The sessions and operations of the cluster.
    pub table: Arc<Table>,
    /// How the coordinators are watched.
    pub watching: WatchSettings,
    /// Source of the fleet's random choices: ties between coordinators, guids, the moments of probes.
    pub(crate) chance: Chance,
    /// How many links the coordinators serve, and how calls wait for one.
    pub room: RoomSettings,
    /// Metrics of the queues.
    pub queue: QueueMetrics,
    /// Whether operators have paused the cluster.
    pub(crate) pause: Pause,
    /// What is kept for each coordinator, by its id.
    pub(crate) members: Roster<Member<S>>,
    common: Common<S>,
    /// The lookups of handles that the table lacks.
    pub(crate) lookups: Lookups,
    pub(crate) moves: Moves,
    /// How the coordinators are drained.
    pub draining: DrainSettings,
    /// What keeps connections together that are passed on.
    pub(crate) stick: Stick,
    pub(crate) keyring: Keyring,
    /// What coordinators have said lately about credentials over HTTP.
    pub(crate) verdicts: Verdicts,
    /// Slows down clients whose dials fail.
    pub(crate) brake: Mutex<Brake>,
    /// Headers over HTTP that never pass from a client.
    pub(crate) trusted_headers: Arc<[HeaderName]>,
}

impl<S: Stream> Fleet<S> {
    /// Creates a fleet without sessions.
    pub fn new(
        cluster: Cluster,
        table: Table,
        metrics: &Metrics,
        settings: FleetSettings,
        chance: Chance,
    ) -> Self {
        let FleetSettings { watching, room, moving, draining, stick, tls, trusted_headers, kerberos } =
            settings;
        let own = kerberos.map(|plan| Login::Router(Arc::new(RouterLogin::new(plan))));
        let queue = metrics.queue(&cluster.name);
        let session_queues = PerService::new(|_| Arc::new(SessionQueue::new(&room, queue.clone())));
        let pause = Pause::new(&cluster.name, &room, &queue, metrics.cluster_paused(&cluster.name));
        let common = Common { flavor: cluster.flavor, room, tls, session_queues };
        let (lookups, moves) = (Lookups::new(&chance), Moves::new(cluster.flavor, moving));
        let fleet = Self {
            cluster,
            table: Arc::new(table),
            watching,
            chance,
            room,
            queue,
            pause,
            members: Roster::default(),
            common,
            lookups,
            moves,
            draining,
            stick,
            keyring: Keyring::new(own),
            verdicts: Verdicts::default(),
            brake: Mutex::default(),
            trusted_headers,
        };
        for coordinator in fleet.cluster.coordinators().iter() {
            fleet.keep(Arc::clone(coordinator), metrics);
        }
        fleet
    }

    /// Creates what is kept for a coordinator, and adds it to the fleet.
    pub(crate) fn keep(&self, coordinator: Arc<Coordinator>, metrics: &Metrics) -> Arc<Member<S>> {
        let counters = Arc::new(metrics.coordinator(&self.cluster.name, &coordinator.name));
        let member = Arc::new(Member::new(coordinator, counters, &self.common));
        self.members.add(&member);
        member
    }

    /// What is kept for a coordinator, while it belongs to the fleet.
    pub(crate) fn member(&self, id: CoordinatorId) -> Option<Arc<Member<S>>> {
        self.members.get(id)
    }

    /// What is kept for each coordinator that belongs to the fleet now.
    pub(crate) fn members(&self) -> All<Member<S>> {
        self.members.all()
    }

    /// How the coordinators are reached with TLS; `None` if none of them is.
    pub fn tls(&self) -> Option<&TlsPlan> {
        self.common.tls.as_ref()
    }

    /// Drains a coordinator. The deadline counts from now; without one, the cluster's usual deadline applies
    /// (see [`Coordinator::drain`]).
    pub fn drain(&self, coordinator: &Coordinator, deadline: Option<Duration>) {
        coordinator.drain(deadline, self.draining.deadline, clock::now());
    }

    /// Gives a coordinator new sessions again that people keep out (see [`Coordinator::restore`]); false if
    /// they do not.
    pub fn restore(&self, coordinator: &Coordinator) -> bool {
        let was_out = coordinator.restore(clock::now());
        if was_out {
            for service in Service::ALL {
                self.serve_waiters(service);
            }
        }
        was_out
    }

    /// Picks the best coordinator that was not tried yet and has room, and counts an open on it.
    ///
    /// # Errors
    /// [`NoPick::Nobody`] when all coordinators were tried already or are draining; [`NoPick::NoRoom`] when
    /// none of the others has room.
    pub fn pick(&self, wanted: &Wanted<'_>) -> Result<Opening, NoPick> {
        let now = clock::now();
        let picked = self.chance.draw(|rng| self.cluster.pick_and_reserve(wanted, now, rng))?;
        tracing::trace!(coordinator = %picked.opening.coordinator().name, reason = %picked.candidate.reason, "picked");
        Ok(picked.opening)
    }

    /// A coordinator's port, while the coordinator belongs to the fleet.
    pub(crate) fn port(&self, coordinator: &Coordinator, service: Service) -> Option<Arc<Port<S>>> {
        self.members.read(coordinator.id, |member| Arc::clone(member.ports.get(service)))
    }

    /// Like [`Self::port`], but only for the length of `use_it`. The reference to the port is not counted,
    /// which would be a write that all threads share.
    pub(crate) fn at_port<T>(
        &self,
        coordinator: CoordinatorId,
        service: Service,
        use_it: impl FnOnce(&Arc<Port<S>>) -> T,
    ) -> Option<T> {
        self.members.read(coordinator, |member| use_it(member.ports.get(service)))
    }

    /// How a port's room is used, and how many calls wait for a link to it.
    pub fn room_of(&self, coordinator: &Coordinator, service: Service) -> Option<(RoomView, usize)> {
        let port = self.port(coordinator, service)?;
        Some((port.view(), port.waiting()))
    }

    /// Delays a client whose dial failed before it is told so. The more often that happens, the longer the
    /// delay.
    pub(crate) async fn slow_down(&self, who: Who) {
        let wait = self.brake.lock().note_in_vain(who, clock::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Whether a client without a link could get one to a coordinator's port for a new session.
    pub fn has_room(&self, coordinator: &Coordinator, service: Service) -> bool {
        self.port(coordinator, service)
            .is_some_and(|port| port.has_room(Holder::ourselves(&Access::UNREAD), Kind::New))
    }

    /// The queue of new sessions that wait for a slot on any coordinator.
    pub(crate) fn session_queue(&self, service: Service) -> &Arc<SessionQueue<Grant<S>>> {
        self.common.session_queues.get(service)
    }

    /// Serves those that wait for a service, as far as there is room.
    pub(crate) fn serve_waiters(&self, service: Service) {
        self.members().iter().for_each(|member| member.ports.get(service).serve_waiters());
    }

    /// Ends one unanswered connection, if its slot would serve a client that waits for the service.
    pub(crate) fn make_room(&self, service: Service) {
        self.members().iter().any(|member| member.ports.get(service).make_room());
    }

    /// Has a coordinator's port probed now. Called when something went wrong on a link, which only a probe
    /// can judge.
    pub(crate) fn doubt(&self, coordinator: &Coordinator, service: Service) {
        if let Some(port) = self.port(coordinator, service) {
            port.watch.probe_now();
        }
    }

    /// Records that a coordinator refused new work because it is shutting down, and has its web port polled
    /// now to confirm that.
    pub(crate) fn note_shutting_down(&self, coordinator: &Coordinator) {
        coordinator.note_shutting_down(clock::now());
        self.members.read(coordinator.id, |member| member.poll.notify_one());
    }

    /// Has a coordinator's web port polled now, and waits for the result of a poll that begins after this
    /// call, as long as that may take. Returns at once if the coordinator has no web port.
    pub(crate) async fn poll_now(&self, coordinator: &Coordinator) {
        let Some(watched) = self.member(coordinator.id).filter(|_| coordinator.ports.web.is_some()) else {
            return;
        };
        let asked = clock::now();
        let mut polled = watched.polled.subscribe();
        watched.poll.notify_one();
        // A poll that is under way may be answered by a process that has ended since.
        let polled = polled.wait_for(|begun| begun.is_some_and(|begun| begun >= asked));
        let longest = self.watching.load_interval.min(MOST_POLL_WAIT) + 2 * self.watching.probe_timeout;
        let _in_time = timeout(longest, polled).await;
    }

    /// The metrics of a coordinator, while it belongs to the fleet.
    pub fn counters(&self, coordinator: CoordinatorId) -> Option<Arc<CoordinatorMetrics>> {
        self.members.read(coordinator, |member| Arc::clone(&member.counters))
    }

    /// Whether sessions must leave a coordinator.
    pub(crate) fn sessions_must_leave(&self, coordinator: CoordinatorId) -> bool {
        self.members.read(coordinator, Member::sessions_must_leave).unwrap_or(false)
    }

    /// The token that ends a connection to a coordinator which begins now and is passed on. It is
    /// cancelled already if the coordinator was removed.
    pub(crate) fn passage_end(&self, coordinator: CoordinatorId) -> CancellationToken {
        self.members.read(coordinator, Member::passage_end).unwrap_or_else(|| {
            let ended = CancellationToken::new();
            ended.cancel();
            ended
        })
    }
}
