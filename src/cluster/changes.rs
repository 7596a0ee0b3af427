//! Which coordinators have changed since a pick last looked, so that the next one looks at those and at no
//! others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::ids::CoordinatorId;

/// The coordinators of a cluster that have changed; each is in here once at most.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Vec<CoordinatorId>>);

impl Changes {
    /// Exchanges the list for an empty one, whose memory is used on.
    pub(super) fn take(&self, empty: &mut Vec<CoordinatorId>) {
        empty.clear();
        std::mem::swap(&mut *self.0.lock(), empty);
    }
}

/// One coordinator's way into the list.
#[derive(Debug)]
pub(super) struct Mark {
    id: CoordinatorId,
    listed: AtomicBool,
    all: Arc<Changes>,
}

impl Mark {
    pub(super) fn new(id: CoordinatorId, all: &Arc<Changes>) -> Self {
        Self { id, listed: AtomicBool::new(false), all: Arc::clone(all) }
    }

    /// Something was changed that a pick goes by. To be called after the change.
    pub(super) fn note_change(&self) {
        // Either the swap in `begin_look` comes later and sees what was changed before this one, or it came
        // earlier, and the coordinator is listed again.
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.list();
        }
    }

    /// By itself, so that what a call pays is the swap alone: it is rare, as picks are compared with calls.
    #[cold]
    fn list(&self) {
        self.all.0.lock().push(self.id);
    }

    /// It is off the list and will be looked at now: what changes from here on lists it again.
    pub(super) fn begin_look(&self) {
        self.listed.swap(false, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_is_listed_once_until_it_is_looked_at() {
        let (all, mut list) = (Arc::default(), Vec::new());
        let [first, second] = [7, 3].map(|id| Mark::new(CoordinatorId(id), &all));
        for mark in [&first, &second, &first] {
            mark.note_change();
        }
        all.take(&mut list);
        assert_eq!(list, [CoordinatorId(7), CoordinatorId(3)]);
        first.note_change();
        first.begin_look();
        first.note_change();
        second.note_change();
        all.take(&mut list);
        assert_eq!(list, [CoordinatorId(7)], "nobody has looked at the second yet");
    }
}
