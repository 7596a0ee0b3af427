//! Workers: the threads that serve connections. Each has its own runtime. A connection belongs to one worker
//! at a time, with its sockets, timers and links, so nothing that happens to it wakes another thread.
//!
//! Every connection has a worker that is its home; homes are spread evenly over all workers. Where fewer
//! threads are enough (see `width.rs`), a connection is served by one of those instead. It changes to another
//! worker, or back to its home, between two calls.

mod width;

use std::future::poll_fn;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock;
use crate::serve::threads::workers::width::{Look, Width, weighted_mean};

/// How often each serving thread measures its load: often enough that a crowded thread is noticed before
/// clients notice it.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often the other threads wake up. They have nothing to do; but a timer that runs out before all others
/// costs a system call (tokio wakes the driver, even if nothing sleeps on it), and without this timer every
/// connection's first one would be the earliest.
const TICK: Duration = Duration::from_secs(1);
/// How many turns a look measures, unless that takes longer than [`LONGEST_LOOK`].
const TURNS: usize = 8;
/// The longest that a look measures turns.
const LONGEST_LOOK: Duration = Duration::from_millis(10);
/// The share of time below which a busy thread's turns are not worth measuring.
const BUSY: f64 = 0.05;

/// The workers of a router: either threads, which end when the last clone of this is dropped, or one runtime
/// that the caller owns.
#[derive(Clone, Debug)]
pub struct Workers {
    crew: Arc<Crew>,
    _ends_threads: Arc<DropGuard>,
}

/// All workers, at least one: their runtimes and, in the same order, their loads.
#[derive(Debug)]
struct Crew {
    runtimes: Vec<Handle>,
    loads: Arc<Loads>,
}

#[derive(Debug)]
struct Loads {
    /// How many workers serve connections; they are the first ones in the list.
    width: AtomicUsize,
    of: Box<[Load]>,
}

/// The load of one worker.
#[derive(Debug)]
struct Load {
    look: Mutex<Look>,
    /// Whether its thread has ended.
    ended: AtomicBool,
    /// How many connections have this worker as their home.
    homes: AtomicUsize,
    /// One TLS handshake computes at a time.
    handshakes: Semaphore,
}

impl Load {
    fn new() -> Self {
        Self {
            look: Mutex::default(),
            ended: AtomicBool::new(false),
            homes: AtomicUsize::new(0),
            handshakes: Semaphore::new(1),
        }
    }
}

impl Loads {
    fn new(workers: usize) -> Arc<Self> {
        let of = (0..workers).map(|_| Load::new()).collect();
        Arc::new(Self { width: AtomicUsize::new(1), of })
    }

    fn looks(&self) -> Vec<Look> {
        self.of.iter().map(|load| *load.look.lock()).collect()
    }

    fn width(&self) -> usize {
        self.width.load(Ordering::Relaxed).max(1)
    }

    fn lives(&self, worker: usize) -> bool {
        self.of.get(worker).is_some_and(|load| !load.ended.load(Ordering::Relaxed))
    }

    /// The worker that serves connections of this home now.
    fn worker(&self, home: usize) -> usize {
        let stands_in = home % self.width();
        let living = [stands_in, home].into_iter().find(|worker| self.lives(*worker));
        living.unwrap_or_else(|| self.emptiest())
    }

    /// The worker that is home to the fewest connections.
    fn emptiest(&self) -> usize {
        let living = self.of.iter().enumerate().filter(|(worker, _)| self.lives(*worker));
        // At least one worker lives: the one that asks.
        living.min_by_key(|(_, load)| load.homes.load(Ordering::Relaxed)).map_or(0, |(worker, _)| worker)
    }
}

impl Workers {
    /// Uses the current runtime as the only worker.
    ///
    /// # Panics
    /// If called outside of a runtime.
    pub fn here() -> Self {
        Self::of(vec![Handle::current()], Loads::new(1), CancellationToken::new().drop_guard())
    }

    /// Starts `threads` worker threads. Must be called outside of a runtime.
    ///
    /// # Errors
    /// If the kernel cannot provide a thread or what its runtime needs.
    pub fn start(threads: NonZero<usize>) -> io::Result<Self> {
        let end = CancellationToken::new();
        let ends_threads = end.clone().drop_guard();
        let loads = Loads::new(threads.get());
        let start = |index| start(Worker { loads: Arc::clone(&loads), index }, end.clone());
        let runtimes = (0..threads.get()).map(start).collect::<io::Result<_>>()?;
        Ok(Self::of(runtimes, loads, ends_threads))
    }

    fn of(runtimes: Vec<Handle>, loads: Arc<Loads>, ends_threads: DropGuard) -> Self {
        Self { crew: Arc::new(Crew { runtimes, loads }), _ends_threads: Arc::new(ends_threads) }
    }

    /// The runtime in which listeners accept. It also serves all connections while there is little to do.
    pub fn first(&self) -> &Handle {
        self.crew.runtime(0)
    }

    /// Runs `accepting` in the runtime of the worker that will serve the connection, because a socket belongs
    /// to the runtime in which it is accepted. Returns what was accepted, with the connection's assignment.
    /// Lets other tasks go first: a call that has come is not to wait for a whole crowd of clients.
    ///
    /// Cancel-safe if `accepting` is.
    pub async fn accept<T>(&self, accepting: impl Future<Output = T>) -> (T, Assignment) {
        yield_now().await;
        let mut accepting = pin!(accepting);
        poll_fn(|cx| {
            let home = self.crew.loads.emptiest();
            let worker = self.crew.loads.worker(home);
            let _there = self.crew.runtime(worker).enter();
            accepting.as_mut().poll(cx).map(|accepted| (accepted, Assignment::new(&self.crew, home, worker)))
        })
        .await
    }
}

impl Crew {
    #[expect(clippy::expect_used, reason = "there is one at least, and nobody names another")]
    fn runtime(&self, worker: usize) -> &Handle {
        self.runtimes.get(worker).or_else(|| self.runtimes.first()).expect("a worker")
    }
}

fn start(worker: Worker, end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let name = format!("worker-{}", worker.index + 1);
    // The thread is not joined: it ends when it is told to.
    let _thread = thread::Builder::new().name(name).spawn(move || {
        // The measuring runs in a task so that it queues like a connection does: the future that a runtime
        // blocks on would go first.
        let _panicked = runtime.block_on(runtime.spawn(worker.look_around(end)));
        // Does not wait for a host name that is still being resolved.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}

/// A worker as seen from its own thread.
struct Worker {
    loads: Arc<Loads>,
    index: usize,
}

impl Worker {
    /// Measures the thread's load at intervals until `end` is cancelled. The first worker then also decides
    /// how many workers serve.
    async fn look_around(self, end: CancellationToken) {
        let metrics = Handle::current().metrics();
        let busy = || metrics.worker_total_busy_duration(0);
        let mut width = Width::of(1);
        let mut last = (clock::now(), busy());
        loop {
            let serves = self.index < self.loads.width();
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                () = sleep(if serves { LOOK_INTERVAL } else { TICK }) => {}
            }
            let now = (clock::now(), busy());
            let share = now.1.saturating_sub(last.1).as_secs_f64() / (now.0 - last.0).as_secs_f64();
            last = now;
            if !serves {
                continue;
            }
            let turn = if share < BUSY { Duration::ZERO } else { turn().await };
            if let Some(load) = self.loads.of.get(self.index) {
                *load.look.lock() = Look { turn, busy: share };
            }
            if self.index == 0 {
                width = width.next(&self.loads.looks());
                self.loads.width.store(width.threads, Ordering::Relaxed);
            }
        }
    }
}

/// Measures how long the turns of this thread are.
async fn turn() -> Duration {
    let mut turns = SmallVec::<[Duration; TURNS]>::new();
    let begun = clock::now();
    let mut before = begun;
    while turns.len() < TURNS && before - begun < LONGEST_LOOK {
        yield_now().await;
        let now = clock::now();
        turns.push(now - before);
        before = now;
    }
    weighted_mean(&turns)
}

impl Drop for Worker {
    // A panic in a connection ends only that connection, but a panic in the runtime ends the thread. Without
    // this, such a worker would seem idle and be given every new connection.
    fn drop(&mut self) {
        if let Some(load) = self.loads.of.get(self.index) {
            load.ended.store(true, Ordering::Relaxed);
            *load.look.lock() = Look::default();
        }
    }
}

/// A connection's assignment to a worker. Until this is dropped, the connection counts at its home.
#[derive(Debug)]
pub struct Assignment {
    crew: Arc<Crew>,
    home: usize,
    worker: usize,
}

impl Assignment {
    fn new(crew: &Arc<Crew>, home: usize, worker: usize) -> Self {
        if let Some(load) = crew.loads.of.get(home) {
            load.homes.fetch_add(1, Ordering::Relaxed);
        }
        Self { crew: Arc::clone(crew), home, worker }
    }

    /// The runtime of the worker that serves the connection.
    pub fn runtime(&self) -> &Handle {
        self.crew.runtime(self.worker)
    }

    /// The turns that TLS handshakes take on the worker. `None` if there is no such worker, which never is.
    pub(crate) fn handshakes(&self) -> Option<&Semaphore> {
        self.crew.loads.of.get(self.worker).map(|load| &load.handshakes)
    }

    /// Returns a new assignment if another worker must serve the connection from now on.
    pub(crate) fn next(&self) -> Option<Self> {
        let worker = self.crew.loads.worker(self.home);
        (worker != self.worker).then(|| Self::new(&self.crew, self.home, worker))
    }

    /// Returns a new assignment to the connection's home if it is elsewhere. For a connection that will be
    /// passed on unread: it cannot change workers later.
    pub(crate) fn at_home(&self) -> Option<Self> {
        let elsewhere = self.worker != self.home && self.crew.loads.lives(self.home);
        elsewhere.then(|| Self::new(&self.crew, self.home, self.home))
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        if let Some(load) = self.crew.loads.of.get(self.home) {
            load.homes.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
