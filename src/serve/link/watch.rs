//! Connects the task that watches a coordinator's port with the calls that wait for answers there. A
//! coordinator that takes long may be slow, and is worth waiting for, or hung, and is not. A call that has
//! waited long makes the watcher ask the port for an answer that only a running process gives. If none comes,
//! the call is told.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::net::probe::Speaks;

/// How long a call waits for an answer before it doubts that one will come. While it goes on waiting, it
/// doubts again after each further interval of this length. Most answers take milliseconds, so few
/// coordinators are ever asked whether they are there.
const PATIENCE: Duration = Duration::from_secs(5);
/// The least time between two probes of a port that a call doubts, unless probes are more frequent anyway.
const SOON: Duration = Duration::from_secs(1);
/// The least time between two probes or polls in all other cases is the interval divided by this.
const LEAST_PART: u32 = 4;

/// Why no call waits for an answer on a port any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Silent {
    /// The port no longer answers.
    #[error("its port no longer answers")]
    Port,
    /// The coordinator was removed from its cluster.
    #[error("it was removed from its cluster")]
    Removed,
}

/// What the watcher of a port and those that wait for its answers tell each other.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Wakes the task that probes the port, before its time.
    probe: Notify,
    /// Set if a call has waited long: the protocol in which the port is asked for an answer.
    doubt: Mutex<Option<Speaks>>,
    /// Wakes those that wait for answers, because none will come.
    silent: Notify,
    is_removed: AtomicBool,
    /// How many logins wait for a verdict.
    logins: AtomicUsize,
}

impl Watch {
    /// Makes the watcher probe the port now.
    pub(crate) fn probe_now(&self) {
        self.probe.notify_one();
    }

    /// Makes the watcher ask the port now for what every server of this protocol answers.
    pub(crate) fn doubt(&self, speaks: Speaks) {
        *self.doubt.lock() = Some(speaks);
        self.probe_now();
    }

    /// Takes the protocol in which the port must be asked, if a call doubts it.
    pub(crate) fn take_doubt(&self) -> Option<Speaks> {
        self.doubt.lock().take()
    }

    /// Resolves when a probe is wanted. Returns how long after the last probe it may be made.
    pub(crate) async fn wanted(&self, interval: Duration) -> Duration {
        self.probe.notified().await;
        let least = least(interval);
        if self.doubt.lock().is_some() { least.min(SOON) } else { least }
    }

    /// Tells all that wait for an answer that none will come. Called when as many probes have failed as eject
    /// the coordinator.
    pub(crate) fn tell_silent(&self) {
        self.silent.notify_waiters();
    }

    /// The coordinator is removed: no call waits for an answer there any longer.
    pub(crate) fn tell_removed(&self) {
        self.is_removed.store(true, Ordering::SeqCst);
        self.tell_silent();
    }

    fn cause(&self) -> Silent {
        if self.is_removed.load(Ordering::SeqCst) { Silent::Removed } else { Silent::Port }
    }

    /// How many logins wait for a verdict.
    pub(crate) fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }

    /// Counts a login that waits for a verdict, until the value is dropped.
    pub(crate) fn logging_in(&self) -> LoggingIn<'_> {
        self.logins.fetch_add(1, Ordering::Relaxed);
        LoggingIn(self)
    }

    /// Waits for `answer` for as long as it takes, unless the port is found to answer nothing.
    ///
    /// # Errors
    /// [`Silent`] when as many probes have failed as eject the coordinator, or when it is removed.
    pub(crate) async fn answer<T>(
        &self,
        speaks: Speaks,
        answer: impl Future<Output = T>,
    ) -> Result<T, Silent> {
        // This is told of every silence from here on, whether it is polled or not.
        let (mut silent, mut answer) = (pin!(self.silent.notified()), pin!(answer));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = &mut silent => return Err(self.cause()),
                () = sleep(PATIENCE) => self.doubt(speaks),
            }
        }
    }
}

/// The least time between two probes or polls if one is asked for before its time.
pub(crate) fn least(interval: Duration) -> Duration {
    interval / LEAST_PART
}

/// Counts a login that waits for a verdict.
pub(crate) struct LoggingIn<'a>(&'a Watch);

impl Drop for LoggingIn<'_> {
    fn drop(&mut self) {
        self.0.logins.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_has_the_port_asked_again_and_again() {
        let port = Watch::default();
        let asked = async {
            for _ in 0..3 {
                assert_eq!(port.wanted(Duration::from_hours(1)).await, SOON);
                assert_eq!(port.take_doubt(), Some(Speaks::Sasl));
            }
        };
        tokio::select! {
            biased;
            () = asked => {}
            _ = port.answer(Speaks::Sasl, pending::<()>()) => panic!("nothing answered"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_answer_has_no_port_asked() {
        let port = Watch::default();
        assert_eq!(port.answer(Speaks::Thrift, ready(1)).await, Ok(1));
        let quick = sleep(PATIENCE * 9 / 10);
        assert_eq!(port.answer(Speaks::Thrift, quick).await, Ok(()));
        assert_eq!(port.take_doubt(), None);
        assert!(timeout(PATIENCE, port.wanted(PATIENCE)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_waits_that_have_begun_and_no_later_ones() {
        let port = Watch::default();
        let waits = || port.answer(Speaks::Thrift, pending::<()>());
        let (first, second, told) = tokio::join!(waits(), waits(), async {
            sleep(PATIENCE / 2).await;
            port.tell_silent();
        });
        assert_eq!((first, second, told), (Err(Silent::Port), Err(Silent::Port), ()));
        assert!(timeout(PATIENCE * 3, waits()).await.is_err());
    }
}
