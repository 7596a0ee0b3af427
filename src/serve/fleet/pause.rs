//! A pause of a cluster: new work waits until an operator resumes the cluster, and what is open goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use crate::clock;
use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::Turn;
use crate::ids::{ClientAddress, PerService, Service};
use crate::metrics::QueueMetrics;
use crate::serve::link::session_queue::{SeenWaiter, SessionQueue, Waiter};
use crate::serve::link::waiting::{NoRoom, NotCalled, Waiting};
use crate::serve::settings::RoomSettings;

/// Whether a cluster is paused, and who waits for its end.
#[derive(Debug)]
pub(crate) struct Pause {
    since: Mutex<Option<Instant>>,
    /// Whether there is a time in `since`, readable without the lock.
    is_on: AtomicBool,
    queues: PerService<SessionQueue<()>>,
    shown: Gauge,
}

/// A client that begins something new.
pub(crate) struct Newcomer<'a> {
    pub service: Service,
    pub holder: Holder<'a>,
    /// Where the client is.
    pub client: ClientAddress,
    /// The turn in which it waits.
    pub turn: Turn,
    /// The moment when it gives up.
    pub deadline: Instant,
}

impl Pause {
    /// Nothing is paused.
    pub(crate) fn new(room: &RoomSettings, queue: &QueueMetrics, shown: Gauge) -> Self {
        let queues = PerService::new(|_| SessionQueue::new(room, queue.clone()));
        Self { since: Mutex::default(), is_on: AtomicBool::new(false), queues, shown }
    }

    /// Has new work wait from now on. Nothing changes if it waits already.
    pub(crate) fn begin(&self, now: Instant) {
        let mut since = self.since.lock();
        since.get_or_insert(now);
        self.is_on.store(true, Ordering::SeqCst);
        self.shown.set(1);
    }

    /// Has new work go on, which waiters do in turn. Nothing changes if it does already.
    pub(crate) fn end(&self) {
        let mut since = self.since.lock();
        *since = None;
        self.is_on.store(false, Ordering::SeqCst);
        self.shown.set(0);
        drop(since);
        self.let_go();
    }

    /// Since when new work waits; `None`: it does not.
    pub(crate) fn since(&self) -> Option<Instant> {
        *self.since.lock()
    }

    /// Whether new work waits. Does not take the lock.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    /// How many wait for the end of the pause.
    pub(crate) fn waiting(&self) -> usize {
        self.queues.iter().map(|(_, queue)| queue.len()).sum()
    }

    /// Those that wait with something new for a service, in order.
    pub(crate) fn seen(&self, service: Service) -> Vec<SeenWaiter> {
        self.queues.get(service).seen()
    }

    /// Waits while the cluster is paused, until `gone` is ready.
    ///
    /// # Errors
    /// [`NotCalled::NoRoom`] when too many wait already, or the cluster is still paused at the deadline;
    /// [`NotCalled::ClientGone`] when `gone` is ready first.
    pub(crate) async fn pass(
        &self,
        newcomer: Newcomer<'_>,
        gone: impl Future<Output = ()>,
    ) -> Result<(), NotCalled> {
        if !self.is_on() {
            return Ok(());
        }
        let Newcomer { service, holder, client, turn, deadline } = newcomer;
        let queue = self.queues.get(service);
        let (called, call) = oneshot::channel();
        let waiter = Waiter {
            access: holder.access.clone(),
            unproven: holder.unproven,
            client: Some(client),
            since: clock::now(),
            kind: Kind::Any,
            tried: Vec::new(),
            called,
        };
        let joined = queue.join(&turn, waiter).inspect_err(|_| queue.note_full());
        let ticket = joined.map_err(|full| NotCalled::NoRoom(NoRoom::PausedFull(full)))?;
        let waiting = Waiting::new(queue, call, queue, turn, ticket);
        // The pause may have ended just before the client joined.
        if !self.is_on() {
            self.let_go();
        }
        waiting.called(deadline, gone).await.map_err(NotCalled::while_paused)
    }

    /// Lets all go on that wait.
    fn let_go(&self) {
        for (_, queue) in self.queues.iter() {
            while let Some(waiter) = queue.next(|_| true) {
                // If it has gone, nobody has to be told.
                let _is_there = waiter.called.send(());
            }
        }
    }
}
