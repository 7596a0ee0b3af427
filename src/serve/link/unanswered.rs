//! Connections on which the coordinator has not sent a byte yet and perhaps never will: those that are
//! relayed unread, and abandoned opens. Each occupies a service thread that another client may be waiting
//! for, so it can be made to give way.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock;

/// The unanswered connections to one port.
#[derive(Debug, Default)]
pub(crate) struct AllUnanswered(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Ordered by the moment from which each must give way if asked; the number distinguishes connections of
    /// the same moment.
    waiting: BTreeMap<Key, Arc<Notify>>,
    next: u64,
    /// How many were told to give way and have not ended yet.
    ending: usize,
}

type Key = (Instant, u64);

impl AllUnanswered {
    /// Whether one could be told to give way, and fewer than `most` have been told but not ended.
    pub(super) fn could_give_way(&self, most: usize) -> bool {
        let state = self.0.lock();
        !state.waiting.is_empty() && state.ending < most
    }

    /// Takes out the connection that must give way first, and returns what tells it so. `None` if none must
    /// give way yet.
    pub(super) fn give_way(&self, now: Instant) -> Option<Arc<Notify>> {
        self.0.lock().give_way(now)
    }
}

impl AllUnanswered {
    /// Tells all of them to give way, even those that need not yet.
    pub(super) fn all_give_way(&self) {
        let mut state = self.0.lock();
        let all = std::mem::take(&mut state.waiting);
        state.ending += all.len();
        for gives_way in all.into_values() {
            gives_way.notify_one();
        }
    }
}

impl State {
    fn give_way(&mut self, now: Instant) -> Option<Arc<Notify>> {
        let ((due, _), _) = self.waiting.first_key_value()?;
        if *due > now {
            return None;
        }
        self.ending += 1;
        self.waiting.pop_first().map(|(_, gives_way)| gives_way)
    }

    fn join(&mut self, due: Instant, gives_way: Arc<Notify>) -> Key {
        let key = (due, self.next);
        self.next += 1;
        self.waiting.insert(key, gives_way);
        key
    }

    /// Removes a connection that was answered or has ended.
    fn leave(&mut self, key: &Key) {
        if self.waiting.remove(key).is_none() {
            self.ending = self.ending.saturating_sub(1);
        }
    }
}

/// Why an unanswered connection is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokenOff {
    /// Another client was waiting for its slot.
    GaveWay,
    /// It had waited for [`Patience::longest`].
    TooLong,
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long the connection keeps its slot while other clients wait for one.
    pub contested: Duration,
    /// How long it keeps its slot in any case.
    pub longest: Duration,
}

/// A connection that the coordinator has not answered yet. It is no longer asked to give way once this is
/// dropped.
pub(crate) struct Unanswered {
    all: Arc<AllUnanswered>,
    key: Key,
    patience: Patience,
    gives_way: Arc<Notify>,
    is_answered: AtomicBool,
    answered: Notify,
}

impl Unanswered {
    /// Registers a new connection to the port.
    pub(crate) fn begin(all: &Arc<AllUnanswered>, patience: Patience) -> Self {
        let gives_way = Arc::new(Notify::new());
        let due = clock::now() + patience.contested;
        let key = all.0.lock().join(due, Arc::clone(&gives_way));
        let (is_answered, answered) = (AtomicBool::new(false), Notify::new());
        Self { all: Arc::clone(all), key, patience, gives_way, is_answered, answered }
    }

    /// Records that the coordinator has sent something. Returns whether that was the first time.
    pub(crate) fn note_answer(&self) -> bool {
        if self.is_answered.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.all.0.lock().leave(&self.key);
        self.answered.notify_one();
        true
    }

    /// Resolves when the connection must be broken off. Never resolves once it is answered.
    pub(crate) async fn broken_off(&self) -> BrokenOff {
        tokio::select! {
            biased;
            () = self.answered.notified() => pending().await,
            () = self.gives_way.notified() => BrokenOff::GaveWay,
            () = sleep(self.patience.longest) => BrokenOff::TooLong,
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered.load(Ordering::Relaxed) {
            self.all.0.lock().leave(&self.key);
        }
    }
}
