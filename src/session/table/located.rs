//! Operations that were located. Their coordinator told that it has them; which session they are of, nobody
//! told.

use std::time::Instant;

use dashmap::mapref::entry::Entry;

use super::end::OperationEnd;
use super::operation::{LocatedOperation, Open, OpenLoad, Operation, OperationKind};
use super::secret::same;
use super::store::{OPERATIONS_PER_SESSION, Table};
use crate::wire::facts::{Guid, Handle};

impl Table {
    /// Whether an operation was located and is open, for somebody who names it by its handle.
    pub fn was_located_operation(&self, operation: &Handle) -> bool {
        let known = self.operations.get(&operation.guid);
        known.is_some_and(|known| {
            let found = known.open.as_ref().is_some_and(|open| open.session.is_none());
            found && same(known.secret.as_ref(), &operation.secret)
        })
    }

    /// An operation that was located is not there after all.
    pub fn forget_operation(&self, operation: &Handle) {
        let is_it = |_: &Guid, known: &Operation| same(known.secret.as_ref(), &operation.secret);
        let removed = self.operations.remove_if(&operation.guid, is_it);
        if let Some((guid, Operation { coordinator, open: Some(open), .. })) = removed {
            self.tell_operation(guid, (coordinator, &open), None, OperationEnd::Gone);
        }
    }

    /// Takes an operation in that was located, for as long as a session without connections is remembered,
    /// unless the table is full of open ones. If it is known by now, nothing changes.
    pub fn insert_located_operation(&self, new: LocatedOperation, now: Instant) {
        self.forget_located(now);
        if !self.make_room() {
            return;
        }
        let LocatedOperation { handle, coordinator, running, open, counted } = new;
        let Entry::Vacant(vacant) = self.operations.entry(handle.guid) else { return };
        // Rows that remain are work; better to count them in vain than to overlook them.
        let load = Some(OpenLoad { running, _open: counted });
        let open = Open {
            session: None,
            kind: OperationKind::Located,
            since: now,
            has_result_set: true,
            load,
            end: None,
            _in_use: open,
        };
        let open = Some(Box::new(open));
        drop(vacant.insert(Operation { coordinator, secret: Some(handle.secret), open }));
        self.located.lock().0.push_back((handle.guid, now));
    }

    /// Forgets operations that were located long ago.
    pub(super) fn forget_located(&self, now: Instant) {
        let most = self.settings.capacity.saturating_mul(OPERATIONS_PER_SESSION);
        let next = || self.located.lock().next_over(now, self.settings.detached_for, most);
        while let Some(guid) = next() {
            // What was closed meanwhile is remembered as long as every closed operation.
            let removed = self.operations.remove_if(&guid, |_, operation| operation.open.is_some());
            if let Some((guid, Operation { coordinator, open: Some(open), .. })) = removed {
                self.tell_operation(guid, (coordinator, &open), None, OperationEnd::Forgotten);
            }
        }
    }
}
