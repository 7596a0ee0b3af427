//! Signals to connections while they wait for something else: to look for sessions that must leave, to end when nothing
//! is under way, to end at once.
//!
//! Each connection has signals of its own and registers its task there, which is a few instructions a wake-up; what all
//! connections wait on together would be a lock that they share.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::ids::ConnId;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Signal {
    /// To look for sessions of its own that must leave a coordinator. It lasts until it is cleared.
    Look = 1,
    /// To end as soon as nothing is under way. For good.
    Drain = 2,
    /// To end. For good.
    Cut = 4,
}

/// The signals to all connections.
#[derive(Debug, Default)]
pub(crate) struct AllSignals {
    registered: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    /// In their order: that in which connections are signalled is not left to chance.
    each: BTreeMap<ConnId, Arc<Signals>>,
    /// What was sent for good: to those that come later, too.
    lasting: u8,
}

/// The signals to one connection.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    flags: AtomicU8,
    waker: AtomicWaker,
}

/// Keeps a connection's signals among the others until it is dropped.
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

    /// Registers a connection.
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

    /// Whether this was sent, and not cleared since.
    pub(crate) fn is_set(&self, signal: Signal) -> bool {
        self.flags.load(Ordering::Acquire) & signal as u8 != 0
    }

    /// Nobody needs to act on this any more.
    pub(crate) fn clear(&self, signal: Signal) {
        self.flags.fetch_and(!(signal as u8), Ordering::AcqRel);
    }

    /// Resolves while this is set. Cancel-safe. It wakes one task, the one that waited last.
    pub(crate) fn received(&self, signal: Signal) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            // Registered before it looks: what is sent in between is not missed.
            self.waker.register(cx.waker());
            if self.is_set(signal) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// As [`Self::received`], for a task that polls that in every wake-up: it is registered already.
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
    async fn who_waits_is_woken_and_only_by_the_signal_it_waits_for() {
        let all_signals = Arc::new(AllSignals::default());
        let registration = all_signals.register(ConnId(1));
        let signals = Arc::clone(&registration.signals);
        let waiting = tokio::spawn(async move { signals.received(Signal::Look).await });
        // It waits now.
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
    async fn who_comes_later_is_told_of_what_lasts() {
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
