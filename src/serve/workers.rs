//! The threads that serve connections. Each has a runtime of its own, and a connection stays on one for its life, with its
//! sockets, timers and links: nothing that happens to it wakes another thread.

use std::future::poll_fn;
use std::io;
use std::iter::once;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::time::interval;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A worker always has a timer that runs out within this time. A timer that runs out before all others costs a system call
/// (tokio wakes the driver, though nobody sleeps), and without this every connection's first timer would be that one.
const TICK: Duration = Duration::from_secs(1);

/// What serves connections: threads, which end when the last clone of this is dropped, or one runtime that is somebody
/// else's.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Team>);

#[derive(Debug)]
struct Team {
    first: Worker,
    others: Vec<Worker>,
    _ends_threads: DropGuard,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// How many it serves.
    connections: Arc<AtomicUsize>,
    /// None if it is somebody else's.
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// The runtime in which this is called, alone.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn here() -> Self {
        let first = Worker { runtime: Handle::current(), connections: Arc::default(), thread: None };
        let team = Team { first, others: Vec::new(), _ends_threads: CancellationToken::new().drop_guard() };
        Self(Arc::new(team))
    }

    /// So many threads. Must be called outside of a runtime.
    ///
    /// # Errors
    /// The kernel's, where it has no room for a thread or its runtime.
    pub fn start(threads: NonZero<usize>) -> io::Result<Self> {
        let end = CancellationToken::new();
        let ends_threads = end.clone().drop_guard();
        let first = Worker::start(1, end.clone())?;
        let others = (2..=threads.get()).map(|number| Worker::start(number, end.clone()));
        let others = others.collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(Team { first, others, _ends_threads: ends_threads })))
    }

    /// The runtime in which the listener with this number accepts. They take turns, so that accepting is spread, and what
    /// one accepts has often no other thread to go to.
    pub fn home(&self, listener: usize) -> &Handle {
        let Team { first, others, .. } = &*self.0;
        let turn = listener % (others.len() + 1);
        &turn.checked_sub(1).and_then(|other| others.get(other)).unwrap_or(first).runtime
    }

    /// Has a connection accepted where the fewest are: a socket belongs to the runtime in which it is accepted. Returns what
    /// was accepted, with its place there.
    ///
    /// Cancel-safe if `accepting` is.
    pub async fn place<T>(&self, accepting: impl Future<Output = T>) -> (T, Seat) {
        let mut accepting = pin!(accepting);
        poll_fn(|cx| {
            let worker = self.least_busy();
            let _there = worker.runtime.enter();
            accepting.as_mut().poll(cx).map(|accepted| (accepted, worker.seat()))
        })
        .await
    }

    fn least_busy(&self) -> &Worker {
        let Team { first, others, .. } = &*self.0;
        let living = once(first).chain(others).filter(|worker| worker.lives());
        // One at the least lives: that which asks.
        living.min_by_key(|worker| worker.connections.load(Ordering::Relaxed)).unwrap_or(first)
    }
}

impl Worker {
    fn start(number: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            runtime.block_on(run(end));
            // A name that is still being resolved is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), thread: Some(thread) })
    }

    fn seat(&self) -> Seat {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Seat { runtime: self.runtime.clone(), connections: Arc::clone(&self.connections) }
    }

    /// A panic of a connection ends that connection; one of the runtime itself ends the thread, and with it, without this,
    /// everything that would be given to it because it has so little to do.
    fn lives(&self) -> bool {
        self.thread.as_ref().is_none_or(|thread| !thread.is_finished())
    }
}

async fn run(end: CancellationToken) {
    let mut ticks = interval(TICK);
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
    }
}

/// A connection's place with a worker, until it is dropped.
#[derive(Debug)]
#[must_use = "the connection stops counting when this is dropped"]
pub struct Seat {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Seat {
    /// Where the connection belongs.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn two() -> Workers {
        Workers::start(NonZero::new(2).unwrap()).unwrap()
    }

    /// The thread that a connection with this seat is served by.
    async fn thread_of(seat: &Seat) -> String {
        let (tell, told) = oneshot::channel();
        let name = || thread::current().name().unwrap_or_default().to_owned();
        drop(seat.runtime().spawn(async move { tell.send(name()).unwrap() }));
        timeout(DEADLINE, told).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_accepted_where_the_fewest_are() {
        let workers = two();
        let place = || async { workers.place(async { Handle::current().id() }).await };
        let (first, first_seat) = place().await;
        let (second, second_seat) = place().await;
        assert_eq!([first, second], [first_seat.runtime().id(), second_seat.runtime().id()]);
        assert_ne!(first, second);
        drop(second_seat);
        assert_eq!(place().await.0, second);
        drop(first_seat);
        let (one, other) = (place().await, place().await);
        assert_ne!(thread_of(&one.1).await, thread_of(&other.1).await);
    }

    #[tokio::test]
    async fn here_is_the_runtime_of_the_caller() {
        let (id, _seat) = Workers::here().place(async { Handle::current().id() }).await;
        assert_eq!(id, Handle::current().id());
    }

    #[test]
    fn listeners_take_turns() {
        let workers = two();
        let homes = [0, 1, 2].map(|listener| workers.home(listener).id());
        assert_ne!(homes[0], homes[1]);
        assert_eq!(homes[0], homes[2]);
    }

    #[tokio::test]
    async fn a_thread_that_has_ended_gets_no_connection() {
        let runtime = Handle::current();
        let ended = thread::spawn(|| ());
        while !ended.is_finished() {
            thread::yield_now();
        }
        let connections = Arc::new(AtomicUsize::new(9));
        let alive = Worker { runtime: runtime.clone(), connections, thread: None };
        let dead = Worker { runtime, connections: Arc::default(), thread: Some(ended) };
        let ends_threads = CancellationToken::new().drop_guard();
        let workers =
            Workers(Arc::new(Team { first: dead, others: vec![alive], _ends_threads: ends_threads }));
        let ((), seat) = workers.place(async {}).await;
        assert_eq!(seat.connections.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn threads_end_with_the_value() {
        let workers = two();
        let (dropped, seen) = std::sync::mpsc::channel::<()>();
        drop(workers.home(1).spawn(async move {
            let _held = dropped;
            std::future::pending::<()>().await;
        }));
        drop(workers);
        let end = seen.recv_timeout(DEADLINE).unwrap_err();
        assert_eq!(end, std::sync::mpsc::RecvTimeoutError::Disconnected);
    }
}
