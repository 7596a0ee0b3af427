//! What came of reading the files of certificates, for operators.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;

use crate::metrics::Owner;

/// The last readings of all files that are watched, by whose they are.
#[derive(Debug, Default)]
pub struct Readings(Mutex<HashMap<Owner, Reading>>);

/// What came of reading the files of one listener or cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When that was read which is in use.
    pub loaded: Instant,
    /// Why the files as they are now cannot be used; `None` if they are in use.
    pub failure: Option<Failure>,
}

/// Files that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When they were read.
    pub at: Instant,
    /// What is wrong with them.
    pub reason: String,
}

impl Readings {
    /// What was read at `now` is in use.
    pub(super) fn note_loaded(&self, owner: &Owner, now: Instant) {
        self.0.lock().insert(owner.clone(), Reading { loaded: now, failure: None });
    }

    /// What was read at `now` cannot be used; what was in use before is used on.
    pub(super) fn note_failed(&self, owner: &Owner, reason: String, now: Instant) {
        if let Some(reading) = self.0.lock().get_mut(owner) {
            reading.failure = Some(Failure { at: now, reason });
        }
    }

    /// The last reading of these files; `None` if they are not watched.
    pub fn of(&self, owner: &Owner) -> Option<Reading> {
        self.0.lock().get(owner).cloned()
    }
}
