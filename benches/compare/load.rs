//! The load: clients on one thread, each a task. They know how long every reply is and count bytes; the first
//! reply of each kind on a connection is compared byte for byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hs2router::clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Client, Exchange};
use crate::tls::{Dialer, OneClient};
use crate::wire::{Call, Rows};
use crate::work::{Task, Work};

/// How many clients connect at once before the measurement: more than a backlog holds would wait for seconds.
const OPENERS: usize = 64;
/// How long any step before the measurement may take; past it the peer has hung.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    /// How long a proxy is left alone after the idle sessions were opened, before its memory is read.
    pub(crate) settle: Duration,
    pub(crate) measured: Duration,
}

/// A moment at which the caller looks at the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing but one session was served.
    Fresh,
    /// The idle sessions are open.
    Idle,
    /// The measurement begins.
    Begin,
    /// It has ended.
    End,
}

impl Timing {
    /// As long as it takes for every client to be served some times, where there are many.
    pub(crate) fn of(self, work: &Work) -> Self {
        let least = Duration::from_micros(300) * u32::try_from(work.clients).unwrap_or(u32::MAX);
        let measured = self.measured.max(least);
        Self { measured, warm_up: self.warm_up.max(least / 3), ..self }
    }
}

/// What was done between [`Moment::Begin`] and [`Moment::End`].
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) seconds: f64,
    pub(crate) calls: u64,
    /// Of replies, without frames' headers.
    pub(crate) bytes: u64,
    pub(crate) sessions: u64,
    /// Of calls, or of whole sessions; sorted.
    pub(crate) latencies: Vec<Duration>,
}

/// Phases of a run; it begins with warming up, as 0.
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// What the clients share.
#[derive(Debug)]
struct Meter {
    openers: Semaphore,
    /// Has a place for every client once all are ready: those that began would leave no time to the others.
    start: Semaphore,
    phase: AtomicU8,
    ready: AtomicUsize,
    calls: AtomicU64,
    bytes: AtomicU64,
    sessions: AtomicU64,
}

impl Meter {
    fn new() -> Self {
        Self {
            openers: Semaphore::new(OPENERS),
            start: Semaphore::new(0),
            phase: AtomicU8::default(),
            ready: AtomicUsize::default(),
            calls: AtomicU64::default(),
            bytes: AtomicU64::default(),
            sessions: AtomicU64::default(),
        }
    }

    fn is(&self, phase: u8) -> bool {
        self.phase.load(Ordering::Relaxed) == phase
    }

    /// One client is ready; waits until all are.
    async fn start_together(&self) -> anyhow::Result<()> {
        self.ready.fetch_add(1, Ordering::Relaxed);
        self.start.acquire().await?.forget();
        Ok(())
    }

    fn counts(&self) -> [u64; 3] {
        [&self.calls, &self.bytes, &self.sessions].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Does the work against these addresses, taken in turn.
///
/// # Errors
/// A reply that is not what it should be, a connection that ends, a peer that hangs.
pub(crate) async fn run(
    work: Work,
    dialer: &Dialer,
    targets: &[SocketAddr],
    timing: Timing,
    mut look: impl FnMut(Moment),
) -> anyhow::Result<Done> {
    let mut first = dialer.of_one_client().connect(targets[0]).await?;
    first.open_session().await?;
    look(Moment::Fresh);
    let idle =
        timeout(PATIENCE, open_idle(work, dialer, targets)).await.context("opening idle sessions")??;
    if work.idle > 0 {
        sleep(timing.settle).await;
        look(Moment::Idle);
    }
    let meter = Arc::new(Meter::new());
    let mut clients = JoinSet::new();
    for (target, _) in targets.iter().cycle().zip(0..work.clients) {
        clients.spawn(busy(work, dialer.of_one_client(), *target, Arc::clone(&meter)));
    }
    let begun = clock::now();
    while meter.ready.load(Ordering::Relaxed) < work.clients {
        if let Some(failed) = clients.try_join_next() {
            failed??;
        }
        anyhow::ensure!(clock::now() - begun < PATIENCE, "the clients cannot begin");
        sleep(Duration::from_millis(1)).await;
    }
    meter.start.add_permits(work.clients);
    sleep(timing.warm_up).await;

    look(Moment::Begin);
    let (start, before) = (clock::now(), meter.counts());
    meter.phase.store(MEASURING, Ordering::Relaxed);
    sleep(timing.measured).await;
    meter.phase.store(OVER, Ordering::Relaxed);
    let (end, after) = (clock::now(), meter.counts());
    look(Moment::End);

    let mut latencies = Vec::new();
    while let Some(client) = timeout(PATIENCE, clients.join_next()).await.context("a call never ends")? {
        latencies.extend(client??);
    }
    latencies.sort_unstable();
    drop((idle, first));
    let [calls, bytes, sessions] = std::array::from_fn(|at| after[at] - before[at]);
    Ok(Done { seconds: (end - start).as_secs_f64(), calls, bytes, sessions, latencies })
}

async fn open_idle(work: Work, dialer: &Dialer, targets: &[SocketAddr]) -> anyhow::Result<Vec<Client>> {
    let mut opening = JoinSet::new();
    let mut open = Vec::with_capacity(work.idle);
    let mut to_open = targets.iter().copied().cycle().take(work.idle);
    loop {
        while opening.len() < OPENERS
            && let Some(target) = to_open.next()
        {
            let mut dialer = dialer.of_one_client();
            opening.spawn(async move {
                let mut client = dialer.connect(target).await?;
                client.open_session().await?;
                anyhow::Ok(client)
            });
        }
        let Some(opened) = opening.join_next().await else { return Ok(open) };
        open.push(opened??);
    }
}

/// One busy client, until the end; returns how long its calls or sessions took.
async fn busy(
    work: Work,
    mut dialer: OneClient,
    target: SocketAddr,
    meter: Arc<Meter>,
) -> anyhow::Result<Vec<Duration>> {
    let (call, rows) = match work.task {
        Task::Poll | Task::PollAnew => (Call::GetOperationStatus, Rows::Few),
        Task::Fetch(rows) => (Call::FetchResults, rows),
        Task::Session => {
            let mut latencies = Vec::new();
            meter.start_together().await?;
            while !meter.is(OVER) {
                let start = clock::now();
                session(&mut dialer, target, &meter).await?;
                meter.sessions.fetch_add(1, Ordering::Relaxed);
                note(&mut latencies, start, &meter);
            }
            return Ok(latencies);
        }
    };
    let opener = meter.openers.acquire().await?;
    let mut client = dialer.connect(target).await?;
    let session = client.open_session().await?;
    let operation = client.execute(&session).await?;
    drop(opener);
    let exchange = client.exchange_of(call, &operation, rows);
    let anew = (work.task == Task::PollAnew).then_some(Redial { dialer, target });
    repeat(client, &meter, exchange, anew).await
}

/// Opens a connection for each call.
struct Redial {
    dialer: OneClient,
    target: SocketAddr,
}

/// One call over and over in one session.
async fn repeat(
    mut client: Client,
    meter: &Meter,
    mut exchange: Exchange,
    mut anew: Option<Redial>,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(4096);
    client.compared(&mut exchange).await?;
    meter.start_together().await?;
    while !meter.is(OVER) {
        let start = clock::now();
        let came = |bytes| {
            meter.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        };
        if let Some(Redial { dialer, target }) = &mut anew {
            client.go_on_over(dialer.dial(*target).await?);
        }
        client.call(&mut exchange, came).await?;
        meter.calls.fetch_add(1, Ordering::Relaxed);
        note(&mut latencies, start, meter);
    }
    Ok(latencies)
}

fn note(latencies: &mut Vec<Duration>, start: Instant, meter: &Meter) {
    if meter.is(MEASURING) {
        latencies.push(clock::now() - start);
    }
}

/// A whole session, from connecting to closing.
async fn session(dialer: &mut OneClient, target: SocketAddr, meter: &Meter) -> anyhow::Result<()> {
    let mut client = dialer.connect(target).await?;
    let session = client.open_session().await?;
    let operation = client.execute(&session).await?;
    let calls = [
        (Call::FetchResults, &operation),
        (Call::CloseOperation, &operation),
        (Call::CloseSession, &session),
    ];
    for (call, handle) in calls {
        let mut exchange = client.exchange_of(call, handle, Rows::Few);
        client.compared(&mut exchange).await?;
    }
    meter.calls.fetch_add(2 + calls.len() as u64, Ordering::Relaxed);
    client.end().await
}
