//! What the router keeps for one coordinator of a fleet, as one value with the life of that coordinator.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::room::OwnLinks;
use crate::cluster::roster::Known;
use crate::cluster::{Coordinator, Figures, Flavor};
use crate::ids::{CoordinatorId, PerService};
use crate::metrics::CoordinatorMetrics;
use crate::net::host::Host;
use crate::net::stream::Stream;
use crate::serve::link::port::{Port, PortPlan};
use crate::serve::link::session_queue::SessionQueue;
use crate::serve::link::slot::Grant;
use crate::serve::settings::RoomSettings;

/// One coordinator with its ports, and with what those tell each other who use and watch it.
#[derive(Debug)]
pub(crate) struct Member<S: Stream> {
    /// What is decided about it.
    pub(crate) coordinator: Arc<Coordinator>,
    /// What is counted for it.
    pub(crate) counters: Arc<CoordinatorMetrics>,
    /// Where it is, for all who dial it.
    pub(crate) host: Host,
    /// The links to its ports.
    pub(crate) ports: PerService<Arc<Port<S>>>,
    /// Wakes the task that polls its web port before its time.
    pub(crate) poll: Notify,
    /// A poll has ended.
    pub(crate) polled: Notify,
    /// Whether sessions shall leave it.
    is_left: AtomicBool,
    /// Ends the connections to it that are passed on unread: nobody knows what is under way on them, so there
    /// is nothing that could be cancelled.
    opaque: Mutex<CancellationToken>,
    /// The tasks that watch it.
    pub(crate) watchers: TaskTracker,
    /// Ends those.
    end: OnceLock<CancellationToken>,
    has_ended: AtomicBool,
}

/// What all members of a fleet have in common.
#[derive(Debug)]
pub(crate) struct Common<S: Stream> {
    pub(crate) flavor: Flavor,
    pub(crate) room: RoomSettings,
    /// New sessions that wait for room on any of them.
    pub(crate) session_queues: PerService<Arc<SessionQueue<Grant<S>>>>,
}

impl<S: Stream> Known for Member<S> {
    fn id(&self) -> CoordinatorId {
        self.coordinator.id
    }
}

impl<S: Stream> Drop for Member<S> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<S: Stream> Member<S> {
    /// A coordinator that nobody has dialed yet.
    pub(crate) fn new(
        coordinator: Arc<Coordinator>,
        counters: CoordinatorMetrics,
        common: &Common<S>,
    ) -> Self {
        let host: Host = coordinator.host.as_str().into();
        let Common { flavor, room, session_queues } = common;
        let plan =
            PortPlan { coordinator: &coordinator, flavor: *flavor, host: &host, counters: &counters, room };
        let ports =
            PerService::new(|service| Arc::new(Port::new(plan, service, session_queues.get(service))));
        Self {
            coordinator,
            counters: Arc::new(counters),
            host,
            ports,
            poll: Notify::new(),
            polled: Notify::new(),
            is_left: AtomicBool::new(false),
            opaque: Mutex::default(),
            watchers: TaskTracker::new(),
            end: OnceLock::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Its watchers end with this token, and it ends with the coordinator. Only the first one does.
    pub(crate) fn end_with(&self, end: CancellationToken) {
        let end = self.end.get_or_init(|| end);
        if self.has_ended.load(Ordering::SeqCst) {
            end.cancel();
        }
    }

    /// The coordinator is gone. Ends its watchers, the links to it that no call uses, and the connections to
    /// it that are passed on unread. A link in use ends with its call.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.end.get().inspect(|end| end.cancel());
        self.ports.values().for_each(|port| port.close());
        self.end_opaque();
    }

    /// The links to each of its ports: what of a poll's figures would be ours now.
    pub(crate) fn own_links(&self) -> PerService<OwnLinks> {
        PerService::new(|service| self.ports.get(service).own())
    }

    /// Takes in what a poll says of its ports; `before` is what was ours when it began.
    pub(crate) fn note_ports(&self, figures: &Figures, before: &PerService<OwnLinks>) {
        for (service, port) in self.ports.iter() {
            port.note_polled(*figures.ports.get(service), *before.get(service));
        }
    }

    /// What polls said of its ports is known no more.
    pub(crate) fn forget_ports(&self) {
        self.ports.values().for_each(Port::forget_others);
    }

    /// Whether sessions shall leave it.
    pub(crate) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    /// Whether sessions shall leave it from now on; whether they did before.
    pub(crate) fn leave(&self, is_left: bool) -> bool {
        self.is_left.swap(is_left, Ordering::Relaxed)
    }

    /// What ends a connection that begins now and is passed on unread.
    pub(crate) fn opaque_end(&self) -> CancellationToken {
        self.opaque.lock().clone()
    }

    /// Ends the connections that there are and that are passed on unread; later ones live.
    pub(crate) fn end_opaque(&self) {
        std::mem::take(&mut *self.opaque.lock()).cancel();
    }
}
