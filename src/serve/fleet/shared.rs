//! What all connections share, built once and passed as one reference.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::clock;
use crate::cluster::brake::{Brake, Who};
use crate::cluster::room::{Holder, Kind, OwnLinks, RoomView};
use crate::cluster::{Cluster, Coordinator, DrainSettings, Figures, NoPick, Opening, Wanted};
use crate::ids::{CoordinatorId, Identity, PerService, Service};
use crate::metrics::{CoordinatorMetrics, Metrics, QueueMetrics};
use crate::net::stream::Stream;
use crate::serve::fleet::cuts::Cuts;
use crate::serve::fleet::keyring::Keyring;
use crate::serve::fleet::lookups::Askings;
use crate::serve::fleet::moves::Moves;
use crate::serve::fleet::watched::Watched;
use crate::serve::link::lobby::Lobby;
use crate::serve::link::port::{Port, PortPlan};
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
    /// Counters of each coordinator, in the cluster's order.
    pub metrics: Vec<CoordinatorMetrics>,
    /// How its coordinators are watched.
    pub watching: WatchSettings,
    watched: Vec<Watched>,
    /// What is left to chance here: ties, names, the moment of a probe.
    pub(in crate::serve) chance: Chance,
    /// How much room they have.
    pub room: RoomSettings,
    /// Counters of those who wait for it.
    pub queue: QueueMetrics,
    ports: Vec<PerService<Arc<Port<S>>>>,
    lobbies: PerService<Arc<Lobby<Grant<S>>>>,
    /// Questions for handles that the table lacks.
    pub(in crate::serve) askings: Askings,
    pub(in crate::serve) moves: Moves,
    /// How its coordinators are drained.
    pub draining: DrainSettings,
    pub(in crate::serve) keyring: Keyring,
    /// What ends connections that are passed on unread.
    pub(in crate::serve) cuts: Cuts,
    /// Slows down clients whose dials are in vain.
    pub(in crate::serve) brake: Mutex<Brake>,
}

impl<S: Stream> Drop for Fleet<S> {
    fn drop(&mut self) {
        self.ports.iter().flat_map(PerService::values).for_each(|port| port.close());
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
        let queue = metrics.queue(&cluster.name);
        let lobbies = PerService::new(|_| Arc::new(Lobby::new(&room, queue.clone())));
        let watched: Vec<_> = cluster.coordinators.iter().map(|one| Watched::at(&one.host)).collect();
        let counters = cluster
            .coordinators
            .iter()
            .map(|coordinator| metrics.coordinator(&cluster.name, &coordinator.name));
        let metrics: Vec<_> = counters.collect();
        let watched_and_counted = watched.iter().zip(&metrics);
        let ports = cluster.coordinators.iter().zip(watched_and_counted).map(
            |(coordinator, (Watched { host, .. }, counters))| {
                PerService::new(|service| {
                    let flavor = cluster.flavor;
                    let plan = PortPlan { coordinator, flavor, host, counters, room: &room };
                    Arc::new(Port::new(plan, service, lobbies.get(service)))
                })
            },
        );
        let ports = ports.collect();
        let (askings, moves) = (Askings::new(&chance), Moves::new(&cluster, moving));
        let (table, cuts) = (Arc::new(table), Cuts::new(cluster.coordinators.len()));
        Self {
            cluster,
            table,
            metrics,
            watching,
            watched,
            chance,
            room,
            queue,
            ports,
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
    pub(in crate::serve) fn port(
        &self,
        coordinator: &Coordinator,
        service: Service,
    ) -> Option<&Arc<Port<S>>> {
        Some(self.ports.get(usize::from(coordinator.id.0))?.get(service))
    }

    /// The links to all ports.
    pub(in crate::serve) fn ports(&self) -> impl Iterator<Item = &Arc<Port<S>>> {
        self.ports.iter().flat_map(PerService::values)
    }

    /// What the room of a coordinator's port looks like, and how many calls wait for it.
    pub fn room_of(&self, coordinator: &Coordinator, service: Service) -> Option<(RoomView, usize)> {
        let port = self.port(coordinator, service)?;
        Some((port.view(), port.waiting()))
    }

    /// A client has dialed in vain: it waits before it is told so, the longer the more often that was so.
    pub(in crate::serve) async fn slow_down(&self, who: Who) {
        let wait = self.brake.lock().note_in_vain(who, clock::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Whether somebody without a link could have one to a coordinator's port, for a new session.
    pub fn has_room(&self, coordinator: &Coordinator, service: Service) -> bool {
        self.port(coordinator, service)
            .is_some_and(|port| port.has_room(Holder::ourselves(&Identity::Unread), Kind::New))
    }

    /// New sessions that wait for room on any coordinator.
    pub(in crate::serve) fn lobby(&self, service: Service) -> &Arc<Lobby<Grant<S>>> {
        self.lobbies.get(service)
    }

    /// Calls those who wait for a service, as far as there is room.
    pub(in crate::serve) fn call_waiting(&self, service: Service) {
        for ports in &self.ports {
            ports.get(service).call_waiting();
        }
    }

    /// Has one relay that is not answered give way to those who wait for a service.
    pub(in crate::serve) fn make_room(&self, service: Service) {
        let mut ports = self.ports.iter().map(|ports| ports.get(service));
        ports.any(|port| port.make_room());
    }

    /// The links to each of a coordinator's ports: what of a poll's figures would be ours now.
    pub(in crate::serve) fn own_links(&self, coordinator: &Coordinator) -> PerService<OwnLinks> {
        let own = |service| self.port(coordinator, service).map(|port| port.own()).unwrap_or_default();
        PerService::new(own)
    }

    /// Takes in what a poll says of a coordinator's ports; `before` is what was ours when it began.
    pub(in crate::serve) fn note_ports(
        &self,
        coordinator: &Coordinator,
        figures: &Figures,
        before: PerService<OwnLinks>,
    ) {
        for (service, own) in before.iter() {
            if let Some(port) = self.port(coordinator, service) {
                port.note_polled(*figures.ports.get(service), *own);
            }
        }
    }

    /// What polls said of a coordinator's ports is known no more.
    pub(in crate::serve) fn forget_ports(&self, coordinator: &Coordinator) {
        for service in Service::ALL {
            if let Some(port) = self.port(coordinator, service) {
                port.forget_others();
            }
        }
    }

    pub(in crate::serve) fn watched(&self, coordinator: &Coordinator) -> Option<&Watched> {
        self.watched.get(usize::from(coordinator.id.0))
    }

    /// Something went wrong on a link to a coordinator's port: that is for a probe to judge, and it shall do so now.
    pub(in crate::serve) fn doubt(&self, coordinator: &Coordinator, service: Service) {
        if let Some(port) = self.port(coordinator, service) {
            port.watch.probe_now();
        }
    }

    /// A coordinator refused new work because it shuts down: its web port shall say whether that is so.
    pub(in crate::serve) fn note_shutting_down(&self, coordinator: &Coordinator) {
        coordinator.note_shutting_down(clock::now());
        if let Some(watched) = self.watched(coordinator) {
            watched.poll.notify_one();
        }
    }

    /// Has a coordinator's web port asked now, and waits for the answer as long as that may take; at once if it has none.
    pub(in crate::serve) async fn poll_now(&self, coordinator: &Coordinator) {
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
