//! A cluster's state: what all connections to it share, built once and passed as one reference.

pub(crate) mod candidates;
pub(crate) mod dialing;
pub mod entrance;
pub(crate) mod incarnations;
pub(crate) mod keyring;
pub(crate) mod links;
pub(crate) mod lookups;
pub(crate) mod member;
pub(crate) mod moves;
pub(crate) mod seek;
pub(crate) mod whereabouts;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::clock;
use crate::cluster::brake::{Brake, Who};
use crate::cluster::room::{Holder, Kind, RoomView};
use crate::cluster::roster::{All, Roster};
use crate::cluster::{Cluster, Coordinator, DrainSettings, NoPick, Opening, Wanted};
use crate::ids::{Access, CoordinatorId, PerService, Service};
use crate::metrics::{CoordinatorMetrics, Metrics, QueueMetrics};
use crate::net::stream::Stream;
use crate::serve::fleet::keyring::Keyring;
use crate::serve::fleet::lookups::Lookups;
use crate::serve::fleet::member::{Common, Member};
use crate::serve::fleet::moves::Moves;
use crate::serve::link::port::Port;
use crate::serve::link::session_queue::SessionQueue;
use crate::serve::link::slot::Grant;
use crate::serve::settings::{FleetSettings, RoomSettings, WatchSettings};
use crate::session::table::Table;

/// The longest that a call waits for a poll to begin.
const MOST_POLL_WAIT: Duration = Duration::from_secs(1);

/// A cluster with everything that is known of its sessions.
#[derive(Debug)]
pub struct Fleet<S: Stream = TcpStream> {
    /// Its coordinators.
    pub cluster: Cluster,
    /// Their sessions and operations.
    pub table: Arc<Table>,
    /// How its coordinators are watched.
    pub watching: WatchSettings,
    /// What is left to chance here: ties, names, the moment of a probe.
    pub(crate) chance: Chance,
    /// How much room they have.
    pub room: RoomSettings,
    /// Counters of those who wait for it.
    pub queue: QueueMetrics,
    /// What is kept for each coordinator.
    pub(crate) members: Roster<Member<S>>,
    common: Common<S>,
    /// Questions for handles that the table lacks.
    pub(crate) lookups: Lookups,
    pub(crate) moves: Moves,
    /// How its coordinators are drained.
    pub draining: DrainSettings,
    pub(crate) keyring: Keyring,
    /// Slows down clients whose dials are in vain.
    pub(crate) brake: Mutex<Brake>,
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
        let queue = metrics.queue(&cluster.name);
        let session_queues = PerService::new(|_| Arc::new(SessionQueue::new(&room, queue.clone())));
        let common = Common { flavor: cluster.flavor, room, session_queues };
        let (lookups, moves) = (Lookups::new(&chance), Moves::new(cluster.flavor, moving));
        let fleet = Self {
            cluster,
            table: Arc::new(table),
            watching,
            chance,
            room,
            queue,
            members: Roster::default(),
            common,
            lookups,
            moves,
            draining,
            keyring: Keyring::default(),
            brake: Mutex::default(),
        };
        for coordinator in fleet.cluster.coordinators().iter() {
            fleet.keep(Arc::clone(coordinator), metrics);
        }
        fleet
    }

    /// Begins to keep what is kept for a coordinator.
    pub(crate) fn keep(&self, coordinator: Arc<Coordinator>, metrics: &Metrics) -> Arc<Member<S>> {
        let counters = metrics.coordinator(&self.cluster.name, &coordinator.name);
        let member = Arc::new(Member::new(coordinator, counters, &self.common));
        self.members.add(&member);
        member
    }

    /// What is kept for a coordinator, as long as it is of the fleet.
    pub(crate) fn member(&self, id: CoordinatorId) -> Option<Arc<Member<S>>> {
        self.members.get(id)
    }

    /// What is kept for each coordinator that is of the fleet now.
    pub(crate) fn members(&self) -> All<Member<S>> {
        self.members.all()
    }

    /// Drains a coordinator, with a deadline from now or the one that is usual here (see [`Coordinator::drain`]).
    pub fn drain(&self, coordinator: &Coordinator, deadline: Option<Duration>) {
        coordinator.drain(deadline, self.draining.deadline, clock::now());
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

    /// The links to a coordinator's port, as long as it is of the fleet.
    pub(crate) fn port(&self, coordinator: &Coordinator, service: Service) -> Option<Arc<Port<S>>> {
        self.members.read(coordinator.id, |member| Arc::clone(member.ports.get(service)))
    }

    /// As [`Self::port`], for the length of `use_it`: a reference to the port need not be counted, which would be
    /// a write that all threads share.
    pub(crate) fn at_port<T>(
        &self,
        coordinator: CoordinatorId,
        service: Service,
        use_it: impl FnOnce(&Arc<Port<S>>) -> T,
    ) -> Option<T> {
        self.members.read(coordinator, |member| use_it(member.ports.get(service)))
    }

    /// What the room of a coordinator's port looks like, and how many calls wait for it.
    pub fn room_of(&self, coordinator: &Coordinator, service: Service) -> Option<(RoomView, usize)> {
        let port = self.port(coordinator, service)?;
        Some((port.view(), port.waiting()))
    }

    /// A client has dialed in vain: it waits before it is told so, the longer the more often that was so.
    pub(crate) async fn slow_down(&self, who: Who) {
        let wait = self.brake.lock().note_in_vain(who, clock::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Whether somebody without a link could have one to a coordinator's port, for a new session.
    pub fn has_room(&self, coordinator: &Coordinator, service: Service) -> bool {
        self.port(coordinator, service)
            .is_some_and(|port| port.has_room(Holder::ourselves(&Access::UNREAD), Kind::New))
    }

    /// New sessions that wait for room on any coordinator.
    pub(crate) fn session_queue(&self, service: Service) -> &Arc<SessionQueue<Grant<S>>> {
        self.common.session_queues.get(service)
    }

    /// Calls those who wait for a service, as far as there is room.
    pub(crate) fn call_waiting(&self, service: Service) {
        self.members().iter().for_each(|member| member.ports.get(service).call_waiting());
    }

    /// Has one relay that is not answered give way to those who wait for a service.
    pub(crate) fn make_room(&self, service: Service) {
        self.members().iter().any(|member| member.ports.get(service).make_room());
    }

    /// Something went wrong on a link to a coordinator's port: that is for a probe to judge, and it shall do so now.
    pub(crate) fn doubt(&self, coordinator: &Coordinator, service: Service) {
        if let Some(port) = self.port(coordinator, service) {
            port.watch.probe_now();
        }
    }

    /// A coordinator refused new work because it shuts down: its web port shall say whether that is so.
    pub(crate) fn note_shutting_down(&self, coordinator: &Coordinator) {
        coordinator.note_shutting_down(clock::now());
        self.members.read(coordinator.id, |member| member.poll.notify_one());
    }

    /// Has a coordinator's web port asked now, and waits for the answer as long as that may take; at once if it has none.
    pub(crate) async fn poll_now(&self, coordinator: &Coordinator) {
        let Some(watched) = self.member(coordinator.id).filter(|_| coordinator.ports.web.is_some()) else {
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
    pub fn counters(&self, coordinator: CoordinatorId) -> Option<Arc<CoordinatorMetrics>> {
        self.members.read(coordinator, |member| Arc::clone(&member.counters))
    }

    /// Whether sessions shall leave a coordinator.
    pub(crate) fn is_left(&self, coordinator: CoordinatorId) -> bool {
        self.members.read(coordinator, Member::is_left).unwrap_or(false)
    }

    /// What ends a connection to a coordinator that begins now and is passed on unread.
    pub(crate) fn opaque_end(&self, coordinator: CoordinatorId) -> CancellationToken {
        self.members.read(coordinator, Member::opaque_end).unwrap_or_else(|| {
            let ended = CancellationToken::new();
            ended.cancel();
            ended
        })
    }
}
