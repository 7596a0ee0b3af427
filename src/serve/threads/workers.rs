//! The threads that serve connections. Each has a runtime of its own, and a connection is with one at a time, with its
//! sockets, timers and links: nothing that happens to it wakes another thread.
//!
//! Every connection has a thread that is its home, and all are home to as many. But where fewer threads do (see `width.rs`), a
//! connection is with one of those: it goes there, or home, between two calls.

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
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock;
use crate::serve::threads::workers::width::{Look, Width, felt};

/// How often each thread that serves looks how it fares: soon enough that nobody notices a crowd for long.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often the others do something. They need not: but a timer that runs out before all others costs a system call (tokio
/// wakes the driver, though nobody sleeps), and without one here every connection's first timer would be that.
const TICK: Duration = Duration::from_secs(1);
/// A look measures so many turns, unless that takes long.
const TURNS: usize = 8;
/// A look measures for so long.
const LONGEST_LOOK: Duration = Duration::from_millis(10);
/// A thread that is busy for less than this share of the time has no turns worth measuring.
const BUSY: f64 = 0.05;

/// What serves connections: threads, which end when the last clone of this is dropped, or one runtime that is somebody
/// else's.
#[derive(Clone, Debug)]
pub struct Workers {
    crew: Arc<Crew>,
    _ends_threads: Arc<DropGuard>,
}

/// All workers, one at least: the runtimes, and in the same order what they have to do.
#[derive(Debug)]
struct Crew {
    runtimes: Vec<Handle>,
    loads: Arc<Loads>,
}

#[derive(Debug)]
struct Loads {
    /// How many workers serve: the first ones.
    width: AtomicUsize,
    of: Box<[Load]>,
}

/// What a worker has to do.
#[derive(Debug, Default)]
struct Load {
    look: Mutex<Look>,
    /// Whether its thread has ended.
    ended: AtomicBool,
    /// To how many connections it is home.
    homes: AtomicUsize,
}

impl Loads {
    fn new(workers: usize) -> Arc<Self> {
        let of = (0..workers).map(|_| Load::default()).collect();
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

    /// Which worker a connection with this home is with now.
    fn worker(&self, home: usize) -> usize {
        let stands_in = home % self.width();
        let living = [stands_in, home].into_iter().find(|worker| self.lives(*worker));
        living.unwrap_or_else(|| self.emptiest())
    }

    /// The worker that is home to the fewest.
    fn emptiest(&self) -> usize {
        let living = self.of.iter().enumerate().filter(|(worker, _)| self.lives(*worker));
        // One at the least lives: that which asks.
        living.min_by_key(|(_, load)| load.homes.load(Ordering::Relaxed)).map_or(0, |(worker, _)| worker)
    }
}

impl Workers {
    /// The runtime in which this is called, alone.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn here() -> Self {
        Self::of(vec![Handle::current()], Loads::new(1), CancellationToken::new().drop_guard())
    }

    /// So many threads. Must be called outside of a runtime.
    ///
    /// # Errors
    /// The kernel's, where it has no room for a thread or its runtime.
    pub fn start(threads: NonZero<usize>) -> io::Result<Self> {
        let end = CancellationToken::new();
        let ends_threads = end.clone().drop_guard();
        let loads = Loads::new(threads.get());
        let start = |own| start(Own { loads: Arc::clone(&loads), own }, end.clone());
        let runtimes = (0..threads.get()).map(start).collect::<io::Result<_>>()?;
        Ok(Self::of(runtimes, loads, ends_threads))
    }

    fn of(runtimes: Vec<Handle>, loads: Arc<Loads>, ends_threads: DropGuard) -> Self {
        Self { crew: Arc::new(Crew { runtimes, loads }), _ends_threads: Arc::new(ends_threads) }
    }

    /// The runtime in which listeners accept: where there is little to do, that of all connections.
    pub fn first(&self) -> &Handle {
        self.crew.runtime(0)
    }

    /// Has a connection accepted by the worker that it will be with: a socket belongs to the runtime in which it is accepted.
    /// Returns what was accepted, with its assignment.
    ///
    /// Cancel-safe if `accepting` is.
    pub async fn accept<T>(&self, accepting: impl Future<Output = T>) -> (T, Assignment) {
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

fn start(own: Own, end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let name = format!("worker-{}", own.own + 1);
    // Nobody waits for it: it ends when it is told to.
    let _thread = thread::Builder::new().name(name).spawn(move || {
        // In a task, which has its turn like a connection's: what a runtime blocks on goes first.
        let _panicked = runtime.block_on(runtime.spawn(own.look_around(end)));
        // A name that is still being resolved is not waited for.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}

/// A worker as it sees itself.
struct Own {
    loads: Arc<Loads>,
    own: usize,
}

impl Own {
    /// Looks from time to time how the thread fares, until the end; the first one then says how many serve.
    async fn look_around(self, end: CancellationToken) {
        let metrics = Handle::current().metrics();
        let busy = || metrics.worker_total_busy_duration(0);
        let mut width = Width::of(1);
        let mut last = (clock::now(), busy());
        loop {
            let serves = self.own < self.loads.width();
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
            if let Some(load) = self.loads.of.get(self.own) {
                *load.look.lock() = Look { turn, busy: share };
            }
            if self.own == 0 {
                width = width.next(&self.loads.looks());
                self.loads.width.store(width.threads, Ordering::Relaxed);
            }
        }
    }
}

/// How long the turns of this thread are.
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
    felt(&turns)
}

impl Drop for Own {
    // A panic of a connection ends that connection; one of the runtime itself ends the thread, and with it, without this,
    // everything that would be given to it because it has so little to do.
    fn drop(&mut self) {
        if let Some(load) = self.loads.of.get(self.own) {
            load.ended.store(true, Ordering::Relaxed);
            *load.look.lock() = Look::default();
        }
    }
}

/// A connection's assignment to a worker, which counts at its home until this is dropped.
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

    /// Where the connection belongs.
    pub fn runtime(&self) -> &Handle {
        self.crew.runtime(self.worker)
    }

    /// Another assignment of the connection, if it is to go on with another worker.
    pub(crate) fn next(&self) -> Option<Self> {
        let worker = self.crew.loads.worker(self.home);
        (worker != self.worker).then(|| Self::new(&self.crew, self.home, worker))
    }

    /// The assignment of a connection that will be passed on unread, if that is another: to its home, because it cannot go
    /// there later.
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
