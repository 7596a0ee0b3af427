//! What the tasks that watch a coordinator and those who wait for its answers tell each other. A coordinator that takes long
//! may be slow, and is waited for, or hung, and is not: whoever has waited for long has its port asked for an answer that
//! only a process gives that runs, and is told if none comes.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::link::NoLink;
use super::login::NoVerdict;
use super::shared::{Fleet, of_service};
use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::host::Host;
use crate::net::probe::Speaks;
use crate::net::stream::Stream;

/// Whoever has waited for an answer for so long doubts that it comes, and again after as long. Most answers take
/// milliseconds, so that few coordinators are ever asked whether they are there.
const PATIENCE: Duration = Duration::from_secs(5);
/// A port that somebody doubts is probed no sooner than this after its last probe, unless probes come more often anyway.
const SOON: Duration = Duration::from_secs(1);
/// Any other probe or poll that is asked for comes no sooner after the last one than this part of the interval.
const LEAST_PART: u32 = 4;

/// Nothing answers on the port any more, so no answer is waited for there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its port answers nothing any more")]
pub(super) struct Silent;

/// One coordinator's watchers.
#[derive(Debug)]
pub(super) struct Watched {
    /// Where it is, for all who dial it.
    pub(super) host: Host,
    pub(super) poll: Notify,
    /// A poll has ended.
    pub(super) polled: Notify,
    ports: [Port; Service::ALL.len()],
}

/// One port.
#[derive(Debug, Default)]
pub(super) struct Port {
    /// Wakes the task that probes it before its time.
    probe: Notify,
    /// What an answer is to be had by, if somebody has waited for one for long.
    doubt: Mutex<Option<Speaks>>,
    /// Wakes those who wait for answers, because none will come.
    silent: Notify,
    /// How many wait for a verdict on credentials.
    logins: AtomicUsize,
}

impl Watched {
    /// A coordinator that nobody has dialed yet.
    pub(super) fn at(host: &str) -> Self {
        Self { host: host.into(), poll: Notify::new(), polled: Notify::new(), ports: Default::default() }
    }

    pub(super) fn port(&self, service: Service) -> &Port {
        of_service(&self.ports, service)
    }
}

impl Port {
    /// Has it probed now.
    pub(super) fn probe_now(&self) {
        self.probe.notify_one();
    }

    /// Has it asked now for what every server answers that understands this.
    pub(super) fn doubt(&self, speaks: Speaks) {
        *self.doubt.lock() = Some(speaks);
        self.probe_now();
    }

    /// What it is to be asked for, which is done now.
    pub(super) fn take_doubt(&self) -> Option<Speaks> {
        self.doubt.lock().take()
    }

    /// When somebody wants it probed; how long after the last probe that is done.
    pub(super) async fn wanted(&self, interval: Duration) -> Duration {
        self.probe.notified().await;
        let least = least(interval);
        if self.doubt.lock().is_some() { least.min(SOON) } else { least }
    }

    /// Nothing has answered for as many probes as eject it.
    pub(super) fn tell_silent(&self) {
        self.silent.notify_waiters();
    }

    /// How many wait for a verdict on credentials.
    pub(super) fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }

    /// Waits for an answer, unless it is found that none comes.
    async fn answer<T>(&self, speaks: Speaks, answer: impl Future<Output = T>) -> Result<T, Silent> {
        // Hears of everything that is told from here on, be it polled for or not.
        let (mut silent, mut answer) = (pin!(self.silent.notified()), pin!(answer));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = &mut silent => return Err(Silent),
                () = sleep(PATIENCE) => self.doubt(speaks),
            }
        }
    }
}

/// The least time from one probe or poll to the next that is asked for.
pub(super) fn least(interval: Duration) -> Duration {
    interval / LEAST_PART
}

/// Counts one who waits for a verdict.
struct LoggingIn<'a>(&'a Port);

impl Drop for LoggingIn<'_> {
    fn drop(&mut self) {
        self.0.logins.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: Stream> Fleet<S> {
    /// Waits for the answer of a coordinator's port for as long as it takes, unless the port falls silent.
    ///
    /// # Errors
    /// [`Silent`].
    pub(super) async fn answer<T>(
        &self,
        coordinator: &Coordinator,
        service: Service,
        speaks: Speaks,
        answer: impl Future<Output = T>,
    ) -> Result<T, Silent> {
        match self.watched(coordinator) {
            Some(watched) => watched.port(service).answer(speaks, answer).await,
            None => Ok(answer.await),
        }
    }

    /// Waits for the verdict on credentials that a coordinator's port has, perhaps: if it falls silent, no other may be shown
    /// them.
    ///
    /// # Errors
    /// [`NoLink`].
    pub(super) async fn verdict(
        &self,
        coordinator: &Coordinator,
        service: Service,
        verdict: impl Future<Output = Result<(), NoLink>>,
    ) -> Result<(), NoLink> {
        let _counted = self.watched(coordinator).map(|watched| {
            let port = watched.port(service);
            port.logins.fetch_add(1, Ordering::Relaxed);
            LoggingIn(port)
        });
        let answer = self.answer(coordinator, service, Speaks::Sasl, verdict).await;
        answer.unwrap_or_else(|silent| Err(NoVerdict::PortSilent(silent).into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_long_has_the_port_asked_again_and_again() {
        let port = Port::default();
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
        let port = Port::default();
        assert_eq!(port.answer(Speaks::Thrift, ready(1)).await, Ok(1));
        let quick = sleep(PATIENCE * 9 / 10);
        assert_eq!(port.answer(Speaks::Thrift, quick).await, Ok(()));
        assert_eq!(port.take_doubt(), None);
        assert!(timeout(PATIENCE, port.wanted(PATIENCE)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_are_told_of_silence_and_nobody_who_comes_later() {
        let port = Port::default();
        let waits = || port.answer(Speaks::Thrift, pending::<()>());
        let (first, second, told) = tokio::join!(waits(), waits(), async {
            sleep(PATIENCE / 2).await;
            port.tell_silent();
        });
        assert_eq!((first, second, told), (Err(Silent), Err(Silent), ()));
        assert!(timeout(PATIENCE * 3, waits()).await.is_err());
    }
}
