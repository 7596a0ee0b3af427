//! What the task that watches a coordinator's port and those who wait for its answers tell each other. A coordinator that takes
//! long may be slow, and is waited for, or hung, and is not: whoever has waited for long has its port asked for an answer that
//! only a process gives that runs, and is told if none comes.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::net::probe::Speaks;

/// Whoever has waited for an answer for so long doubts that it comes, and again after as long. Most answers take
/// milliseconds, so that few coordinators are ever asked whether they are there.
const PATIENCE: Duration = Duration::from_secs(5);
/// A port that somebody doubts is probed no sooner than this after its last probe, unless probes come more often anyway.
const SOON: Duration = Duration::from_secs(1);
/// Any other probe or poll that is asked for comes no sooner after the last one than this part of the interval.
const LEAST_PART: u32 = 4;

/// Why no answer is waited for any more on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Silent {
    /// Nothing answers there.
    #[error("its port answers nothing any more")]
    Port,
    /// The coordinator does not belong to its cluster any more.
    #[error("it was removed from its cluster")]
    Removed,
}

/// The watch over one port.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Wakes the task that probes it before its time.
    probe: Notify,
    /// What an answer is to be had by, if somebody has waited for one for long.
    doubt: Mutex<Option<Speaks>>,
    /// Wakes those who wait for answers, because none will come.
    silent: Notify,
    is_removed: AtomicBool,
    /// How many wait for a verdict on credentials.
    logins: AtomicUsize,
}

impl Watch {
    /// Has it probed now.
    pub(crate) fn probe_now(&self) {
        self.probe.notify_one();
    }

    /// Has it asked now for what every server answers that understands this.
    pub(crate) fn doubt(&self, speaks: Speaks) {
        *self.doubt.lock() = Some(speaks);
        self.probe_now();
    }

    /// What it is to be asked for, which is done now.
    pub(crate) fn take_doubt(&self) -> Option<Speaks> {
        self.doubt.lock().take()
    }

    /// When somebody wants it probed; how long after the last probe that is done.
    pub(crate) async fn wanted(&self, interval: Duration) -> Duration {
        self.probe.notified().await;
        let least = least(interval);
        if self.doubt.lock().is_some() { least.min(SOON) } else { least }
    }

    /// Nothing has answered for as many probes as eject it.
    pub(crate) fn tell_silent(&self) {
        self.silent.notify_waiters();
    }

    /// Its coordinator is removed, and no answer is waited for there.
    pub(crate) fn tell_removed(&self) {
        self.is_removed.store(true, Ordering::SeqCst);
        self.tell_silent();
    }

    fn cause(&self) -> Silent {
        if self.is_removed.load(Ordering::SeqCst) { Silent::Removed } else { Silent::Port }
    }

    /// How many wait for a verdict on credentials.
    pub(crate) fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }

    /// Counts one who waits for a verdict on credentials, as long as it lives.
    pub(crate) fn logging_in(&self) -> LoggingIn<'_> {
        self.logins.fetch_add(1, Ordering::Relaxed);
        LoggingIn(self)
    }

    /// Waits for an answer for as long as it takes, unless it is found that none comes.
    ///
    /// # Errors
    /// [`Silent`].
    pub(crate) async fn answer<T>(
        &self,
        speaks: Speaks,
        answer: impl Future<Output = T>,
    ) -> Result<T, Silent> {
        // Hears of everything that is told from here on, be it polled for or not.
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

/// The least time from one probe or poll to the next that is asked for.
pub(crate) fn least(interval: Duration) -> Duration {
    interval / LEAST_PART
}

/// Counts one who waits for a verdict.
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
    async fn whoever_waits_for_long_has_the_port_asked_again_and_again() {
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
    async fn whoever_is_answered_soon_has_nobody_asked() {
        let port = Watch::default();
        assert_eq!(port.answer(Speaks::Thrift, ready(1)).await, Ok(1));
        let quick = sleep(PATIENCE * 9 / 10);
        assert_eq!(port.answer(Speaks::Thrift, quick).await, Ok(()));
        assert_eq!(port.take_doubt(), None);
        assert!(timeout(PATIENCE, port.wanted(PATIENCE)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_are_told_of_silence_and_nobody_who_comes_later() {
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
