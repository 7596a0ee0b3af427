//! Sessions and operations that were located. Their coordinator told that it has them; what they were made of,
//! and an operation's session, nobody told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dashmap::mapref::entry::Entry;

use super::{NewSession, NotKept, OPERATIONS_PER_SESSION, Open, OpenCount, Operation, Session, Table, same};
use crate::cluster::{OperationCount, RunningCount};
use crate::ids::CoordinatorId;
use crate::session::activity::Activity;
use crate::wire::facts::{Guid, Handle};

/// An operation that was just found.
#[derive(Debug)]
pub struct LocatedOperation {
    /// As its client has it.
    pub handle: Handle,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// Counts it as load until its end is seen; none if that was seen.
    pub running: Option<RunningCount>,
    /// Counts it as open on the connection that asked until it is closed.
    pub open: OpenCount,
    /// Counts it as open on its coordinator until it is closed.
    pub counted: OperationCount,
}

/// Operations that were found, oldest first. They end with no session that is known, so each is forgotten after a time: who
/// still uses it asks again.
#[derive(Debug, Default)]
pub(super) struct LocatedOperations(VecDeque<(Guid, Instant)>);

impl LocatedOperations {
    /// The oldest, if it is over, or if there are more than so many.
    fn next_over(&mut self, now: Instant, keep_for: Duration, most: usize) -> Option<Guid> {
        let (guid, since) = self.0.front()?;
        let over = now.saturating_duration_since(*since) >= keep_for || self.0.len() > most;
        let guid = over.then_some(*guid)?;
        self.0.pop_front();
        Some(guid)
    }
}

impl Table {
    /// Takes a session in that was located, with nothing attached to it. If it is known by now, nothing changes.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn insert_located_session(&self, new: NewSession) -> Result<(), NotKept> {
        if self.is_full() {
            return Err(NotKept::Full);
        }
        let coordinator = new.coordinator;
        match self.sessions.entry(new.guid) {
            Entry::Occupied(old) if old.get().coordinator != coordinator => Err(NotKept::Taken),
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(place) => {
                let activity = Activity::located(new.now);
                drop(place.insert(Session::new(new, activity)));
                Ok(())
            }
        }
    }

    /// Whether a session was located: what it was opened with and what was set in it is not known, so it could not
    /// be opened again elsewhere.
    pub fn was_located(&self, session: &Guid) -> bool {
        self.sessions.get(session).is_some_and(|session| session.usage.activity.was_located())
    }

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
        drop(self.operations.remove_if(&operation.guid, is_it));
    }

    /// Takes an operation in that was located, for as long as a session without connections is remembered, unless
    /// the table is full of open ones. If it is known by now, nothing changes.
    pub fn insert_located_operation(&self, new: LocatedOperation, now: Instant) {
        self.forget_located(now);
        if !self.make_room() {
            return;
        }
        let LocatedOperation { handle, coordinator, running, open, counted } = new;
        let Entry::Vacant(place) = self.operations.entry(handle.guid) else { return };
        // Rows that remain are work; better to count them in vain than to overlook them.
        let counted = Some(counted);
        let open = Open { session: None, has_result_set: true, running, counted, _in_use: open };
        let open = Some(Box::new(open));
        drop(place.insert(Operation { coordinator, secret: Some(handle.secret), open }));
        self.located.lock().0.push_back((handle.guid, now));
    }

    /// Forgets operations that were found long ago.
    pub(super) fn forget_located(&self, now: Instant) {
        let most = self.settings.capacity.saturating_mul(OPERATIONS_PER_SESSION);
        let next = || self.located.lock().next_over(now, self.settings.detached_for, most);
        while let Some(guid) = next() {
            // What was closed meanwhile is remembered as long as every closed operation.
            drop(self.operations.remove_if(&guid, |_, operation| operation.open.is_some()));
        }
    }
}

#[cfg(test)]
mod tests;
