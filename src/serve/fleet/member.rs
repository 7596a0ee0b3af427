//! What the router keeps for one coordinator of a fleet, for as long as that coordinator belongs to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::room::OwnLinks;
use crate::cluster::roster::Known;
use crate::cluster::{Coordinator, Figures, Flavor};
use crate::ids::{CoordinatorId, PerService};
use crate::metrics::CoordinatorMetrics;
use crate::net::dial::Destination;
use crate::net::host::Host;
use crate::net::stream::Stream;
use crate::net::tls::client::CoordinatorTls;
use crate::serve::fleet::sessions_page::SessionsPage;
use crate::serve::link::port::{Port, PortPlan};
use crate::serve::link::session_queue::SessionQueue;
use crate::serve::link::slot::Grant;
use crate::serve::settings::{RoomSettings, TlsPlan};

/// One coordinator with its ports, and the signals between the tasks that use it and those that watch it.
#[derive(Debug)]
pub(crate) struct Member<S: Stream> {
    /// The coordinator's state as the picks see it.
    pub(crate) coordinator: Arc<Coordinator>,
    /// The coordinator's metrics.
    pub(crate) counters: Arc<CoordinatorMetrics>,
    /// The coordinator's address, shared by everything that dials it.
    pub(crate) host: Host,
    /// TLS on the web port; `None` if that is polled in the clear.
    web_tls: Option<Arc<CoordinatorTls>>,
    /// The coordinator's ports, with the links to them.
    pub(crate) ports: PerService<Arc<Port<S>>>,
    /// The web port's page of sessions.
    pub(crate) sessions_page: SessionsPage,
    /// Wakes the task that polls the web port, before its time.
    pub(crate) poll: Notify,
    /// When the last poll that has ended began.
    pub(crate) polled: watch::Sender<Option<Instant>>,
    /// Whether sessions must leave the coordinator.
    sessions_must_leave: AtomicBool,
    /// Ends the connections that are passed on to the coordinator. On those nothing can be cancelled first.
    passages: Mutex<CancellationToken>,
    /// The tasks that watch the coordinator.
    pub(crate) watchers: TaskTracker,
    /// Ends the tasks that watch the coordinator.
    end: OnceLock<CancellationToken>,
    has_ended: AtomicBool,
}

/// What all members of a fleet share.
#[derive(Debug)]
pub(crate) struct Common<S: Stream> {
    pub(crate) flavor: Flavor,
    pub(crate) room: RoomSettings,
    pub(crate) tls: Option<TlsPlan>,
    /// The queues of new sessions that wait for a slot on any coordinator.
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
    /// Creates what is kept for a coordinator that was not dialed yet.
    pub(crate) fn new(
        coordinator: Arc<Coordinator>,
        counters: Arc<CoordinatorMetrics>,
        common: &Common<S>,
    ) -> Self {
        let host: Host = coordinator.host.as_str().into();
        let Common { flavor, room, tls, session_queues } = common;
        let web_tls = tls.as_ref().filter(|tls| tls.web).zip(coordinator.tls.as_ref());
        let web_tls = web_tls.map(|(tls, name)| tls.towards(name));
        let plan = PortPlan {
            coordinator: &coordinator,
            flavor: *flavor,
            host: &host,
            tls: tls.as_ref(),
            counters: &counters,
            room,
        };
        let ports =
            PerService::new(|service| Arc::new(Port::new(plan, service, session_queues.get(service))));
        Self {
            coordinator,
            counters,
            host,
            web_tls,
            ports,
            sessions_page: SessionsPage::default(),
            poll: Notify::new(),
            polled: watch::Sender::new(None),
            sessions_must_leave: AtomicBool::new(false),
            passages: Mutex::default(),
            watchers: TaskTracker::new(),
            end: OnceLock::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Where the web port is, if the coordinator has one.
    pub(crate) fn web(&self) -> Option<Destination> {
        let port = self.coordinator.ports.web?;
        Some(Destination { host: self.host.clone(), port, tls: self.web_tls.clone() })
    }

    /// Sets the token that [`Self::end`] cancels to end the watchers. Only the first call has an effect.
    pub(crate) fn end_with(&self, end: CancellationToken) {
        let end = self.end.get_or_init(|| end);
        if self.has_ended.load(Ordering::SeqCst) {
            end.cancel();
        }
    }

    /// Ends the watchers, the links that no call uses, and the connections that are passed on, because
    /// the coordinator was removed. A link in use ends with its call.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.end.get().inspect(|end| end.cancel());
        self.ports.values().for_each(|port| port.close());
        self.end_passages();
    }

    /// The links of this router, for each port, that the coordinator would report if it were polled now.
    pub(crate) fn own_links(&self) -> PerService<OwnLinks> {
        PerService::new(|service| self.ports.get(service).own())
    }

    /// Records the figures of a poll. `before` are this router's links when the poll began.
    pub(crate) fn note_ports(&self, figures: &Figures, before: &PerService<OwnLinks>) {
        for (service, port) in self.ports.iter() {
            port.note_polled(*figures.ports.get(service), *before.get(service));
        }
    }

    /// Forgets what earlier polls said about the ports.
    pub(crate) fn forget_ports(&self) {
        self.ports.values().for_each(Port::forget_others);
    }

    /// Whether sessions must leave the coordinator.
    pub(crate) fn sessions_must_leave(&self) -> bool {
        self.sessions_must_leave.load(Ordering::Relaxed)
    }

    /// Sets whether sessions must leave the coordinator. Returns whether they had to before.
    pub(crate) fn have_sessions_leave(&self, must: bool) -> bool {
        self.sessions_must_leave.swap(must, Ordering::Relaxed)
    }

    /// The token that ends a connection which begins now and is passed on.
    pub(crate) fn passage_end(&self) -> CancellationToken {
        self.passages.lock().clone()
    }

    /// Ends the connections that are passed on now; later ones are not affected.
    pub(crate) fn end_passages(&self) {
        std::mem::take(&mut *self.passages.lock()).cancel();
    }
}
