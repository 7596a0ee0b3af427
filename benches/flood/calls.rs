//! The clients that others' handshakes may disturb: each makes small calls at fixed times.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hs2router::clock;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::tls::{Dialer, OneClient};
use crate::wire::{Call, Rows};

/// How many clients there are.
pub(crate) const CLIENTS: usize = 16;
/// From one call of a client to its next: 2,000 a second of all.
const INTERVAL: Duration = Duration::from_millis(8);

/// A call: when it was due, and how long it took from then on.
type Timed = (Instant, Duration);

/// Clients that make calls until they are told to stop.
pub(crate) struct Calls {
    clients: JoinSet<anyhow::Result<Vec<Timed>>>,
    over: Arc<AtomicBool>,
}

impl Calls {
    /// Begins when all clients have their sessions.
    pub(crate) async fn begin(dialer: &Dialer, target: SocketAddr) -> anyhow::Result<Self> {
        let (over, ready) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (client, over, ready) = (dialer.of_one_client(), Arc::clone(&over), Arc::clone(&ready));
            // They are not all due at once.
            let first = INTERVAL * u32::try_from(number)? / u32::try_from(CLIENTS)?;
            clients.spawn(async move { calls(client, target, first, &over, &ready).await });
        }
        while ready.load(Ordering::Relaxed) < CLIENTS {
            if let Some(failed) = clients.try_join_next() {
                failed??;
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { clients, over })
    }

    /// Returns what was measured of all calls.
    pub(crate) async fn end(mut self) -> anyhow::Result<Vec<Timed>> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(calls) = self.clients.join_next().await {
            all.extend(calls??);
        }
        Ok(all)
    }
}

async fn calls(
    mut dialer: OneClient,
    target: SocketAddr,
    first: Duration,
    over: &AtomicBool,
    ready: &AtomicUsize,
) -> anyhow::Result<Vec<Timed>> {
    let mut client = dialer.connect(target).await.context("a client of calls")?;
    let session = client.open_session().await?;
    let operation = client.execute(&session).await?;
    let mut exchange = client.exchange_of(Call::GetOperationStatus, &operation, Rows::Few);
    ready.fetch_add(1, Ordering::Relaxed);
    let mut all = Vec::new();
    let mut due = clock::now() + first;
    while !over.load(Ordering::Relaxed) {
        // Counted from when the call was due, if the one before lasted that long; a timer that wakes too late
        // is not the proxy's.
        if clock::now() < due {
            sleep_until(due.into()).await;
            due = clock::now();
        }
        client.call(&mut exchange, |_| ()).await?;
        all.push((due, clock::now() - due));
        due += INTERVAL;
    }
    client.end().await?;
    Ok(all)
}

/// The times of calls in one window, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) calls: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Window {
    /// Of the calls that were due from `begin` to `end`.
    pub(crate) fn of(all: &[Timed], begin: Instant, end: Instant) -> Self {
        let within = all.iter().filter(|(due, _)| (begin..end).contains(due));
        let mut times: Vec<f64> = within.map(|(_, took)| took.as_secs_f64() * 1e6).collect();
        times.sort_by(f64::total_cmp);
        let percentile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(f64::NAN);
        Self { calls: times.len(), p50: percentile(50), p99: percentile(99) }
    }
}
