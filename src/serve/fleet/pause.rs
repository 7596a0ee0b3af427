//! A pause of a cluster: whatever would begin something waits until the cluster is resumed, and what is open
//! goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use crate::clock;
use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::{QueueFull, Turn};
use crate::ids::{ClientAddress, PerService, Service};
use crate::metrics::QueueMetrics;
use crate::serve::link::session_queue::{SeenWaiter, SessionQueue, Waiter};
use crate::serve::link::waiting::{NoRoom, NotCalled, Waiting};
use crate::serve::settings::RoomSettings;

/// Why a cluster takes nothing new from a client that has waited for the end of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StillPaused {
    #[error("an operator has paused the cluster, and did not resume it within {0:?}")]
    TimedOut(Duration),
    /// The client did not get into the queue, or had to leave it for another.
    #[error("an operator has paused the cluster, and {0}")]
    Full(QueueFull),
}

/// Why a wait for the end of a pause was in vain.
#[derive(Debug)]
pub(crate) enum NotPassed {
    StillPaused(StillPaused),
    ClientGone,
}

/// A client that would begin something.
pub(crate) struct Newcomer<'a> {
    pub service: Service,
    pub holder: Holder<'a>,
    /// Where the client is.
    pub client: ClientAddress,
    /// The turn in which it waits.
    pub turn: Turn,
}

/// Something that was begun and has not been answered. It is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The moments of a pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    pub since: Instant,
    /// When it ends by itself; `None`: an operator has to end it.
    pub until: Option<Instant>,
}

/// Whether a cluster is paused, and the clients that wait for the end of the pause.
#[derive(Debug)]
pub(crate) struct Pause {
    cluster: Box<str>,
    period: Mutex<Option<Period>>,
    /// Whether there is a `period`, readable without the lock.
    is_on: AtomicBool,
    under_way: Arc<AtomicUsize>,
    queues: PerService<SessionQueue<()>>,
    /// The longest that a client waits in a pause without an end (`queue_timeout`).
    timeout: Duration,
    shown: Gauge,
}

impl Pause {
    /// Nothing is paused.
    pub(crate) fn new(cluster: &str, room: &RoomSettings, queue: &QueueMetrics, shown: Gauge) -> Self {
        Self {
            cluster: cluster.into(),
            period: Mutex::default(),
            is_on: AtomicBool::new(false),
            under_way: Arc::default(),
            queues: PerService::new(|_| SessionQueue::new(room, queue.clone())),
            timeout: room.queue_timeout,
            shown,
        }
    }

    /// Pauses the cluster until it is resumed, or for as long as it is to last. A pause that is on goes on, and
    /// ends as is said now.
    pub(crate) fn begin(&self, now: Instant, lasts: Option<Duration>) {
        let mut period = self.period.lock();
        let since = period.map_or(now, |period| period.since);
        *period = Some(Period { since, until: lasts.and_then(|lasts| now.checked_add(lasts)) });
        self.is_on.store(true, Ordering::SeqCst);
        self.shown.set(1);
    }

    /// Resumes the cluster: all that wait go on. Does nothing if the cluster is not paused.
    pub(crate) fn end(&self) {
        self.end_if(|_| true);
    }

    /// Does the same if the pause has lasted long enough.
    pub(crate) fn end_if_due(&self, now: Instant) {
        if self.is_on() && self.end_if(|period| period.until.is_some_and(|until| until <= now)) {
            tracing::info!(cluster = %self.cluster, "a pause has lasted long enough: the cluster is resumed");
        }
    }

    fn end_if(&self, is_over: impl FnOnce(&Period) -> bool) -> bool {
        let mut period = self.period.lock();
        if period.take_if(|period| is_over(period)).is_none() {
            return false;
        }
        self.is_on.store(false, Ordering::SeqCst);
        self.shown.set(0);
        // Under the lock, so that no client of the next pause is let go.
        self.let_go();
        true
    }

    /// The pause, if the cluster is paused.
    pub(crate) fn period(&self) -> Option<Period> {
        *self.period.lock()
    }

    /// Whether the cluster is paused. Does not take the lock.
    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    /// How many wait for the end of the pause.
    pub(crate) fn waiting(&self) -> usize {
        self.queues.iter().map(|(_, queue)| queue.len()).sum()
    }

    /// How much was begun and has not been answered.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Those that wait with something for a service, in order.
    pub(crate) fn seen(&self, service: Service) -> Vec<SeenWaiter> {
        self.queues.get(service).seen()
    }

    /// Lets something begin, unless the cluster is paused.
    pub(crate) fn enter(&self) -> Option<UnderWay> {
        // Counted before it is looked: whoever has paused the cluster sees all that went by.
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let entered = UnderWay(Arc::clone(&self.under_way));
        (!self.is_on()).then_some(entered)
    }

    /// Lets something begin once the cluster is not paused, unless `gone` is ready first.
    ///
    /// # Errors
    /// [`NotPassed::StillPaused`] when too many wait already, or the cluster is paused for longer than a client
    /// waits; [`NotPassed::ClientGone`] when `gone` is ready first.
    pub(crate) async fn pass(
        &self,
        newcomer: Newcomer<'_>,
        gone: impl Future<Output = ()>,
    ) -> Result<UnderWay, NotPassed> {
        tokio::pin!(gone);
        let begun = clock::now();
        loop {
            if let Some(entered) = self.enter() {
                return Ok(entered);
            }
            self.wait(&newcomer, begun, gone.as_mut()).await?;
        }
    }

    async fn wait(
        &self,
        newcomer: &Newcomer<'_>,
        begun: Instant,
        gone: impl Future<Output = ()>,
    ) -> Result<(), NotPassed> {
        let Newcomer { service, holder, client, ref turn } = *newcomer;
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
        let joined = queue.join(turn, waiter).inspect_err(|_| queue.note_full());
        let ticket = joined.map_err(|full| NotPassed::StillPaused(StillPaused::Full(full)))?;
        let in_line = Waiting::new(queue, call, queue, turn.clone(), ticket);
        let until = self.let_go_unless_paused().and_then(|period| period.until);
        let deadline = until.unwrap_or(begun).max(begun + self.timeout);
        match in_line.called(deadline, gone).await {
            Ok(()) => Ok(()),
            Err(NotCalled::ClientGone) => Err(NotPassed::ClientGone),
            Err(NotCalled::NoRoom(NoRoom::Full(full))) => {
                Err(NotPassed::StillPaused(StillPaused::Full(full)))
            }
            Err(NotCalled::NoRoom(_)) => {
                let now = clock::now();
                self.end_if_due(now);
                let time = now.saturating_duration_since(begun);
                if self.is_on() { Err(NotPassed::StillPaused(StillPaused::TimedOut(time))) } else { Ok(()) }
            }
        }
    }

    /// The pause may have ended just before a client joined the queue, and then nobody else lets it go.
    fn let_go_unless_paused(&self) -> Option<Period> {
        let period = self.period.lock();
        if period.is_none() {
            self.let_go();
        }
        *period
    }

    fn let_go(&self) {
        for (_, queue) in self.queues.iter() {
            while let Some(waiter) = queue.next(|_| true) {
                // If it has gone, nobody has to be told.
                let _is_there = waiter.called.send(());
            }
        }
    }
}
