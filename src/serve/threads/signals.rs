//! Signals that reach a connection while it waits for something else: to look for sessions that must leave
//! their coordinator, to end when nothing is under way, or to end at once.
//!
//! Each connection has its own [`Signals`] and registers its task there, which takes a few instructions in
//! each wake-up. A single value on which all connections waited would be a lock that all of them contend for.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

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

/// The signals of one connection.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    flags: AtomicU8,
    waker: AtomicWaker,
}

impl Signals {
    /// Sets the flags of these signals, and wakes the connection.
    pub(crate) fn set(&self, flags: u8) {
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
