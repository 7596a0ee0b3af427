//! A timer that a connection keeps for its life.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::clock;

/// A timer that one task waits for again and again, besides other things. It registers the task once and
/// afterwards only compares times, because registering for every wait would cost as much as a read.
#[derive(Debug)]
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    registered: bool,
}

impl Alarm {
    /// Creates a timer that goes off after `interval`.
    pub(crate) fn after(interval: Duration) -> Self {
        Self { sleep: Box::pin(sleep(interval)), registered: false }
    }

    /// Returns a timer that goes off at the same moment, but belongs to the current runtime and may be polled
    /// by another task.
    pub(crate) fn rehome_here(&self) -> Self {
        Self { sleep: Box::pin(sleep_until(self.sleep.deadline())), registered: false }
    }

    /// Restarts the timer, so that it goes off `interval` from now and not before.
    pub(crate) fn reset(&mut self, interval: Duration) {
        self.sleep.as_mut().reset(Instant::from_std(clock::now() + interval));
        self.registered = false;
    }

    /// Is ready when the timer has gone off. It must always be polled by the same task.
    pub(crate) fn poll_rings(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.registered && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // The timer does not register a task that has used up its cooperative budget.
        self.registered = has_budget_remaining();
        self.sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::task::coop::consume_budget;
    use tokio::time::timeout;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_secs(3);

    impl Alarm {
        fn rings(&mut self) -> impl Future<Output = ()> {
            poll_fn(|cx| self.poll_rings(cx))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_for_a_task_that_waits_again_and_again() {
        let begun = clock::now();
        let mut alarm = Alarm::after(INTERVAL);
        let waits = async {
            let mut waits = 0;
            while timeout(SHORT, alarm.rings()).await.is_err() {
                waits += 1;
            }
            waits
        };
        assert_eq!(waits.await, 3);
        assert_eq!(clock::now() - begun, INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_a_task_that_waited_for_it_before() {
        let begun = clock::now();
        let mut alarm = Alarm::after(INTERVAL);
        assert!(timeout(SHORT, alarm.rings()).await.is_err());
        // Nothing but the alarm wakes the task now.
        alarm.rings().await;
        assert_eq!(clock::now() - begun, INTERVAL);
        alarm.reset(SHORT);
        alarm.rings().await;
        assert_eq!(clock::now() - begun, INTERVAL + SHORT);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_for_a_task_that_had_no_budget_left_when_it_began_to_wait() {
        let begun = clock::now();
        let mut alarm = Alarm::after(INTERVAL);
        poll_fn(|cx| {
            while has_budget_remaining() {
                assert!(pin!(consume_budget()).poll(cx).is_ready());
            }
            assert!(pin!(alarm.rings()).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        alarm.rings().await;
        assert_eq!(clock::now() - begun, INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_in_another_task_at_the_same_time() {
        let begun = clock::now();
        let mut alarm = Alarm::after(INTERVAL);
        assert!(timeout(SHORT, alarm.rings()).await.is_err());
        let mut alarm = alarm.rehome_here();
        tokio::spawn(async move { alarm.rings().await }).await.unwrap();
        assert_eq!(clock::now() - begun, INTERVAL);
    }
}
