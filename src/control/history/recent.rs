//! The last records, for whoever looks.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::control::view::Record;

/// How many records are kept in memory. A usual one takes less than a kilobyte, the largest some four.
pub(super) const MOST_RECORDS: usize = 10_000;

/// The last [`MOST_RECORDS`] records.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<Mutex<VecDeque<Arc<Record>>>>);

impl Recent {
    /// Keeps more, the newest last.
    pub(super) fn keep(&self, records: &[Arc<Record>]) {
        let mut kept = self.0.lock();
        for record in records {
            if kept.len() == MOST_RECORDS {
                kept.pop_front();
            }
            kept.push_back(Arc::clone(record));
        }
    }

    /// What is kept, the newest first.
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        self.0.lock().iter().rev().cloned().collect()
    }
}
