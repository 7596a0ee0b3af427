//! Signals that reach a connection while it waits for something else: to look for sessions that must leave
//! their coordinator, to end when nothing is under way, or to end at once.
//!
//! Each connection has its own [`Signals`] and registers its task there, which takes a few instructions in
//! each wake-up. A single value on which all connections waited would be a lock that all of them contend for.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::ids::ConnId;

/// A message to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Signal {
    /// Look for sessions of this connection that must leave their coordinator. Set until it is cleared.
    Look = 1,
    /// End as soon as nothing is under way. Cannot be taken back.
    Drain = 2,
    /// End at once. Cannot be taken back.
    Cut = 4,
}

/// The signals of all connections of a router.
#[derive(Debug, Default)]
pub(crate) struct AllSignals {
    registered: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    /// Sorted by connection, so that the order in which connections are signalled does not depend on chance.
    each: BTreeMap<ConnId, Arc<Signals>>,
    /// The flags of signals that cannot be taken back; connections that register later receive them, too.
    lasting: u8,
}

/// The signals of one connection.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    flags: AtomicU8,
    waker: AtomicWaker,
}

/// Keeps a connection registered in [`AllSignals`] until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    all_signals: Arc<AllSignals>,
    conn: ConnId,
    pub(crate) signals: Arc<Signals>,
}

impl AllSignals {
    /// Sends a signal to all connections.
    pub(crate) fn send(&self, signal: Signal) {
        let mut registered = self.registered.lock();
        if signal != Signal::Look {
            registered.lasting |= signal as u8;
        }
        for signals in registered.each.values() {
            signals.set(signal as u8);
        }
    }

    /// Registers a connection. Signals that cannot be taken back and were sent before are set at once.
    pub(crate) fn register(self: &Arc<Self>, conn: ConnId) -> Registration {
        let signals = Arc::new(Signals::default());
        let mut registered = self.registered.lock();
        signals.set(registered.lasting);
        registered.each.insert(conn, Arc::clone(&signals));
        Registration { all_signals: Arc::clone(self), conn, signals }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registered = self.all_signals.registered.lock();
        registered.each.remove(&self.conn);
    }
}

impl Signals {
    fn set(&self, flags: u8) {
        self.flags.fetch_or(flags, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Whether `signal` was sent and has not been cleared since.
    pub(crate) fn is_set(&self, signal: Signal) -> bool {
        self.flags.load(Ordering::Acquire) & signal as u8 != 0
    }

    /// Clears `signal`.
    pub(crate) fn clear(&self, signal: Signal) {
        self.flags.fetch_and(!(signal as u8), Ordering::AcqRel);
    }

    /// Resolves when `signal` is set. Cancel-safe. Only the task that waited last is woken.
    pub(crate) fn received(&self, signal: Signal) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            // The task is registered before the flag is read, so a signal that is sent in between is not
            // missed.
            self.waker.register(cx.waker());
            if self.is_set(signal) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// Like [`Self::received`], but for a task that polls `received` in every wake-up and is therefore
    /// registered already.
    pub(crate) fn received_besides(&self, signal: Signal) -> impl Future<Output = ()> {
        poll_fn(move |_| if self.is_set(signal) { Poll::Ready(()) } else { Poll::Pending })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_task_is_woken_only_by_the_signal_that_it_waits_for() {
        let all_signals = Arc::new(AllSignals::default());
        let registration = all_signals.register(ConnId(1));
        let signals = Arc::clone(&registration.signals);
        let waiting = tokio::spawn(async move { signals.received(Signal::Look).await });
        // The task is waiting now.
        tokio::task::yield_now().await;
        all_signals.send(Signal::Drain);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        all_signals.send(Signal::Look);
        timeout(DEADLINE, waiting).await.expect("it was woken").unwrap();
        registration.signals.clear(Signal::Look);
        assert!(!registration.signals.is_set(Signal::Look) && registration.signals.is_set(Signal::Drain));
    }

    #[tokio::test]
    async fn a_later_connection_receives_only_the_signals_that_last() {
        let all_signals = Arc::new(AllSignals::default());
        all_signals.send(Signal::Look);
        all_signals.send(Signal::Cut);
        let registration = all_signals.register(ConnId(1));
        timeout(DEADLINE, registration.signals.received(Signal::Cut)).await.expect("it is to end");
        assert!(!registration.signals.is_set(Signal::Look));
    }

    #[test]
    fn a_registration_ends_with_its_connection() {
        let all_signals = Arc::new(AllSignals::default());
        let (one, two) = (all_signals.register(ConnId(1)), all_signals.register(ConnId(2)));
        drop(one);
        assert_eq!(all_signals.registered.lock().each.len(), 1);
        drop(two);
        assert!(all_signals.registered.lock().each.is_empty());
    }
}
