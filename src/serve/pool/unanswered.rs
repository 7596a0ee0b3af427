//! Connections that are relayed unread and on which the coordinator has not said a word yet. Such a client holds a service
//! thread that somebody else may be waiting for, and nobody can tell whether it will ever do anything with it: so it gives way.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use super::Pool;
use crate::clock;
use crate::net::stream::Stream;

/// A coordinator that serves a connection answers a greeting that it understands within this, so nobody gives way before.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Those of one port, the oldest first.
#[derive(Debug, Default)]
pub(super) struct UnansweredRelays(VecDeque<(Instant, Arc<Notify>)>);

impl UnansweredRelays {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What tells the oldest one to give way; none if all are too young.
    pub(super) fn give_way(&mut self, now: Instant) -> Option<Arc<Notify>> {
        let is_due = |(since, _): &mut (Instant, _)| now.saturating_duration_since(*since) >= ANSWERS_WITHIN;
        self.0.pop_front_if(is_due).map(|(_, gives_way)| gives_way)
    }

    fn remove(&mut self, which: &Arc<Notify>) {
        self.0.retain(|(_, other)| !Arc::ptr_eq(other, which));
    }
}

/// Why a relay that was not answered is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum BrokenOff {
    /// Somebody waited for its place.
    GaveWay,
    /// It had waited for long enough.
    TooLong,
}

/// A relay that is not answered yet; it gives way to nobody once this is dropped.
pub(in crate::serve) struct Unanswered<S: Stream> {
    pool: Arc<Pool<S>>,
    gives_way: Arc<Notify>,
    is_answered: AtomicBool,
    answered: Notify,
}

impl<S: Stream> Unanswered<S> {
    /// A connection to this port begins.
    pub(in crate::serve) fn begin(pool: &Arc<Pool<S>>) -> Self {
        let gives_way = Arc::new(Notify::new());
        pool.state.lock().unanswered.0.push_back((clock::now(), Arc::clone(&gives_way)));
        let (is_answered, answered) = (AtomicBool::new(false), Notify::new());
        Self { pool: Arc::clone(pool), gives_way, is_answered, answered }
    }

    /// The coordinator has said something; whether that was its first word.
    pub(in crate::serve) fn note_answer(&self) -> bool {
        if self.is_answered.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.pool.state.lock().unanswered.remove(&self.gives_way);
        self.answered.notify_one();
        true
    }

    /// Resolves when the relay is to be broken off: after `patience`, or when it has to give way. Never once it is answered.
    pub(in crate::serve) async fn broken_off(&self, patience: Duration) -> BrokenOff {
        tokio::select! {
            biased;
            () = self.answered.notified() => pending().await,
            () = self.gives_way.notified() => BrokenOff::GaveWay,
            () = sleep(patience) => BrokenOff::TooLong,
        }
    }
}

impl<S: Stream> Drop for Unanswered<S> {
    fn drop(&mut self) {
        if !self.is_answered.load(Ordering::Relaxed) {
            self.pool.state.lock().unanswered.remove(&self.gives_way);
        }
    }
}
