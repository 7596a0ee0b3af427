//! Operations come into the table, are looked up, end and are forgotten.

use dashmap::mapref::entry::Entry;

use super::end::OperationEnd;
use super::history::Whose;
use super::operation::{NewOperation, Open, OpenLoad, Operation, OperationKind};
use super::secret::same;
use super::store::{OPERATIONS_PER_SESSION, Table};
use crate::ids::CoordinatorId;
use crate::wire::facts::{Guid, Handle};

impl Table {
    /// The owner of an operation, open or closed.
    pub fn operation_owner(&self, guid: &Guid) -> Option<CoordinatorId> {
        self.operations.get(guid).map(|operation| operation.coordinator)
    }

    /// Takes an operation in, unless the table is full of open ones, or its session is not known, with which
    /// it would end: then its calls go where its connection's last call went.
    pub fn insert_operation(&self, new: NewOperation) {
        let NewOperation {
            guid,
            secret,
            coordinator,
            session,
            kind,
            has_result_set,
            running,
            open,
            counted,
            now,
        } = new;
        if !self.make_room() {
            return;
        }
        // A statement that does not run any more has ended with its reply.
        let end = (running.is_none() && kind == OperationKind::Statement).then_some(OperationEnd::Finished);
        let load = Some(OpenLoad { running, _open: counted });
        let open =
            Open { session: Some(session), kind, since: now, has_result_set, load, end, _in_use: open };
        let operation = Operation { coordinator, secret, open: Some(Box::new(open)) };
        let older = match self.operations.entry(guid) {
            Entry::Occupied(old) if old.get().coordinator != coordinator => return,
            Entry::Occupied(mut old) => Some(old.insert(operation)),
            Entry::Vacant(vacant) => {
                drop(vacant.insert(operation));
                None
            }
        };
        if let Some(open) = older.and_then(|older| older.open) {
            let whose = open.session.and_then(|session| self.unlist(&session, &guid));
            self.tell_operation(guid, (coordinator, &open), whose, OperationEnd::Gone);
        }
        // Inserted first, listed second: a session that closes in between finds either nothing or the
        // operation.
        match self.sessions.get_mut(&session).map(|mut session| session.usage.operations.insert(guid)) {
            Some(_listed) => {}
            None => drop(self.operations.remove(&guid)),
        }
    }

    /// Forgets closed operations, oldest first, until a further operation fits; false if the open ones alone
    /// fill it.
    pub(super) fn make_room(&self) -> bool {
        while self.operations.len() >= self.settings.capacity.saturating_mul(OPERATIONS_PER_SESSION) {
            let oldest = self.closed.lock().pop_front();
            let Some(oldest) = oldest else { return false };
            self.forget_closed(&oldest);
        }
        true
    }

    fn forget_closed(&self, guid: &Guid) {
        drop(self.operations.remove_if(guid, |_, operation| operation.open.is_none()));
    }

    /// What was open in a session goes with it, whatever ended that: nobody else would stop counting it.
    pub(super) fn forget_operations<'a>(
        &self,
        listed: impl IntoIterator<Item = &'a Guid>,
        whose: Option<&Whose>,
    ) {
        for guid in listed {
            if let Some((guid, Operation { coordinator, open: Some(open), .. })) =
                self.operations.remove(guid)
            {
                self.tell_operation(guid, (coordinator, &open), whose.cloned(), OperationEnd::SessionEnded);
            }
        }
    }

    /// Whose the session is, if anybody wants to know.
    fn unlist(&self, session: &Guid, operation: &Guid) -> Option<Whose> {
        let mut session = self.sessions.get_mut(session)?;
        session.usage.operations.remove(operation);
        self.whose(&session)
    }

    /// An operation's end was seen: it is open, but runs no more.
    pub fn end_running(&self, guid: &Guid, end: OperationEnd) {
        self.end_running_if(guid, end, |_| true);
    }

    /// An operation has finished; it goes on running while it has rows to fetch.
    pub fn finish(&self, guid: &Guid) {
        self.end_running_if(guid, OperationEnd::Finished, |open| !open.has_result_set);
    }

    fn end_running_if(&self, guid: &Guid, end: OperationEnd, runs_no_more: impl FnOnce(&Open) -> bool) {
        let Some(mut operation) = self.operations.get_mut(guid) else { return };
        let Some(open) = &mut operation.open else { return };
        let runs_no_more = runs_no_more(open);
        if let Some(load) = &mut open.load {
            // What is seen after its end says nothing of it.
            if load.running.is_some() || open.end.is_none() {
                open.end = Some(end);
            }
            if runs_no_more {
                load.running = None;
            }
        }
    }

    /// An operation was closed, or is as good as that: it stays known for its profile, until newer ones need the
    /// room.
    pub fn close_operation(&self, guid: &Guid, end: OperationEnd) {
        if !self.take_open(guid, end) {
            return;
        }
        let forgotten = {
            let mut closed = self.closed.lock();
            closed.push_back(*guid);
            if closed.len() > self.closed_capacity { closed.pop_front() } else { None }
        };
        if let Some(forgotten) = forgotten {
            self.forget_closed(&forgotten);
        }
    }

    /// It is not open any more; false if it was not.
    pub(super) fn take_open(&self, guid: &Guid, end: OperationEnd) -> bool {
        let open = self.operations.get_mut(guid).and_then(|mut operation| {
            let open = operation.open.take()?;
            Some((operation.coordinator, open))
        });
        let Some((coordinator, open)) = open else { return false };
        let whose = open.session.and_then(|session| self.unlist(&session, guid));
        self.tell_operation(*guid, (coordinator, &open), whose, end);
        true
    }

    /// As [`Self::is_session`], of an operation.
    pub fn is_operation(&self, handle: &Handle) -> bool {
        let operation = self.operations.get(&handle.guid);
        operation.is_some_and(|operation| same(operation.secret.as_ref(), &handle.secret))
    }

    /// The session of an open operation, if this is the very operation that is known by that guid.
    pub fn session_of(&self, operation: &Handle) -> Option<Guid> {
        let known = self.operations.get(&operation.guid)?;
        let open = known.open.as_ref().filter(|_| same(known.secret.as_ref(), &operation.secret))?;
        open.session
    }

    /// The session of an open Beeswax query; none for what is closed, not known, or an operation of HS2.
    pub fn query_session(&self, guid: &Guid) -> Option<Guid> {
        let operation = self.operations.get(guid)?;
        let open = operation.open.as_ref().filter(|_| operation.secret.is_none())?;
        open.session
    }
}
