//! A few threads for work that blocks.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use rustix::process::nice;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Too much waits for a thread, or the work ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many handshakes of Kerberos are under way; try again")]
pub struct Busy;

/// Threads that end when this is dropped, each after what it does then; or none, and whoever has work does it.
pub(super) struct Pool(Option<SyncSender<Job>>);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// Starts the threads, which let others go first by this niceness. At most `queue` pieces of work wait for one.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(name: &str, niceness: i32, threads: usize, queue: usize) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name(name.to_owned()).spawn(move || {
                // Linux counts it for this thread alone. Where it fails, the work is done all the same.
                let _stepped_back = nice(niceness);
                work(&waiting);
            })?;
        }
        Ok(Self(Some(jobs)))
    }

    /// One without threads.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Runs `work` on one of the threads. If nobody waits for the result any more when its turn comes, it is not
    /// begun; one that has begun is not interrupted.
    ///
    /// # Errors
    /// When the queue is full, or the work panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let Some(jobs) = &self.0 else { return Ok(work()) };
        let (done, result) = oneshot::channel();
        let job = move || {
            if !done.is_closed() {
                // Nobody waits any more.
                let _unwanted = done.send(work());
            }
        };
        jobs.try_send(Box::new(job)).map_err(|_full| Busy)?;
        result.await.map_err(|_ended| Busy)
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while this thread waits, and the others wait for the lock.
        let job = waiting.lock().recv();
        match job {
            // A panic must not end the thread: others wait for it. What the work held is dropped with it.
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(job))),
            Err(_dropped) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_the_pool() {
        let pool = Pool::start("mine", 0, 1, 1).unwrap();
        let name = pool.run(|| thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("mine".to_owned())));
    }

    #[test]
    fn without_threads_work_is_done_at_once() {
        let done = Pool::none().run(|| thread::current().id()).now_or_never();
        assert_eq!(done, Some(Ok(thread::current().id())));
    }

    #[tokio::test]
    async fn work_that_panics_takes_no_thread_with_it() {
        let pool = Pool::start("mine", 0, 1, 1).unwrap();
        assert_eq!(pool.run(|| panic!("on purpose")).await, Err::<(), _>(Busy));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn what_does_not_fit_into_the_queue_is_refused_and_what_nobody_waits_for_is_not_begun() {
        let pool = Pool::start("mine", 0, 1, 2).unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let first = pool.run(move || {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
        });
        let mut first = Box::pin(first);
        assert!((&mut first).now_or_never().is_none());
        has_begun.recv().unwrap();
        let (done, was_done) = mpsc::channel();
        let mut second = Box::pin(pool.run(move || done.send(()).unwrap()));
        let mut third = Box::pin(pool.run(|| ()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none(), "they wait");
        assert_eq!(pool.run(|| ()).await, Err(Busy));
        drop(second);
        go_on.send(()).unwrap();
        first.await.unwrap();
        third.await.unwrap();
        assert!(was_done.try_recv().is_err());
    }
}
