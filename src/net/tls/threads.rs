//! The threads in which clients' handshakes are computed.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use rustix::process::nice;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How much lower than that of other threads their priority is (`nice`, 0 to 19). Where others want a
/// processor all the time, these get a tenth of it, so that clients still come in.
const NICENESS: i32 = 10;

/// Threads that compute clients' handshakes. A handshake takes as long as some ten calls, and a client that
/// only sends a hello over and over pays nothing for it. So others go first here: the threads have a low
/// priority, and after each computation they let whoever waits for their processor have it.
///
/// A thread is started when there is something to do, and ends when there was nothing for ten seconds.
pub struct HandshakeThreads {
    /// None only while this is dropped.
    runtime: Option<Runtime>,
}

impl HandshakeThreads {
    /// So many threads at most.
    ///
    /// # Errors
    /// When the kernel cannot provide what a runtime needs.
    pub fn new(most: NonZero<usize>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(most.get())
            .thread_name("handshakes")
            .on_thread_start(|| {
                // In Linux the priority is a thread's own. Where it cannot be lowered, it is as that of others.
                let _lowered = nice(NICENESS);
            })
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Has something computed; whatever came earlier is computed earlier. If this is dropped before the
    /// computation begins, it never does.
    ///
    /// # Errors
    /// When the threads end first.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        computation: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let Some(runtime) = &self.runtime else { return Err(io::ErrorKind::Interrupted.into()) };
        let computed = runtime.spawn_blocking(move || {
            let computed = computation();
            thread::yield_now();
            computed
        });
        AbortOnDropHandle::new(computed).await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => error.into(),
        })
    }
}

impl fmt::Debug for HandshakeThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeThreads").finish_non_exhaustive()
    }
}

impl Drop for HandshakeThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for no computation: this may be dropped by a thread that must not block.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn one() -> HandshakeThreads {
        HandshakeThreads::new(NonZero::<usize>::MIN).unwrap()
    }

    #[tokio::test]
    async fn what_is_computed_leaves_the_processor_to_others() {
        let (own, theirs) = (nice(0).unwrap(), one().compute(|| nice(0).unwrap()).await.unwrap());
        assert_eq!(theirs, (own + NICENESS).min(19));
    }

    #[tokio::test]
    async fn tasks_go_on_while_something_is_computed_and_one_thing_is_computed_at_a_time() {
        let (threads, (go_on, may_go_on)) = (one(), mpsc::channel());
        let (tell, told) = mpsc::channel();
        let told_too = tell.clone();
        let first = threads.compute(move || {
            may_go_on.recv().unwrap();
            tell.send(1).unwrap();
        });
        let second = threads.compute(move || told_too.send(2).unwrap());
        let others = async {
            for _ in 0..1_000 {
                yield_now().await;
            }
            assert!(told.try_recv().is_err(), "nothing is computed yet");
            go_on.send(()).unwrap();
        };
        let all = async { tokio::join!(first, second, others) };
        let (first, second, ()) = timeout(PATIENCE, all).await.unwrap();
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(told.iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_computed() {
        let (threads, (go_on, may_go_on)) = (one(), mpsc::channel::<()>());
        let (tell, told) = mpsc::channel();
        let mut first = Box::pin(threads.compute(move || may_go_on.recv()));
        let mut second = Box::pin(threads.compute(move || tell.send(()).unwrap()));
        tokio::select! {
            biased;
            _ = &mut first => unreachable!("it waits"),
            _ = &mut second => unreachable!("it comes after"),
            () = std::future::ready(()) => {}
        }
        drop(second);
        go_on.send(()).unwrap();
        timeout(PATIENCE, first).await.unwrap().unwrap().unwrap();
        timeout(PATIENCE, threads.compute(|| ())).await.unwrap().unwrap();
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
