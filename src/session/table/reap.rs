//! Sessions that the router closes in a coordinator's place. Their links are shared, so their coordinator
//! does not see that nobody is there any more; and it sees the router's own calls, so it does not see that
//! their clients have been idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::mapref::entry::Entry;

use super::end::{OperationEnd, SessionEnd};
use super::life::{Memory, NotReaped};
use super::mobile::Leftover;
use super::session::{Session, Target};
use super::store::Table;
use crate::session::activity::Activity;
use crate::wire::facts::Guid;

/// A session that is about to be closed. Where it was not [`Self::closed`] when this is dropped, that is
/// tried again later.
#[derive(Debug)]
#[must_use = "the session may be closed a second time when this is dropped"]
pub struct Reaping {
    table: Arc<Table>,
    guid: Guid,
    activity: Arc<Activity>,
    end: SessionEnd,
    /// Where it may be open: where it is, and its leftovers.
    pub targets: Vec<Target>,
}

impl Reaping {
    /// False of another session that has its guid since.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        session.is(&self.activity)
    }

    /// The coordinator of one of its targets has it no more. One that was abandoned is forgotten when it is
    /// nowhere any more; one that expired is remembered as long as a connection is attached to it, and then
    /// for as long as other sessions without connections, but counts nowhere.
    pub fn closed(&self, target: &Target) {
        if !self.note_closed_where_it_is(target) {
            let leftover = Leftover { coordinator: target.coordinator, handle: target.handle };
            self.table.note_leftover_closed(&self.guid, &leftover);
        }
    }

    /// False if it is not there.
    fn note_closed_where_it_is(&self, target: &Target) -> bool {
        let (expired, ended) = {
            let session = self.table.sessions.get_mut(&self.guid);
            let Some(mut session) = session.filter(|session| self.is_of(session)) else { return false };
            if session.target(&self.guid).as_ref() != Some(target) {
                return false;
            }
            let ended = self.table.ending(&self.guid, &session, self.end);
            (session.close().is_ok(), ended)
        };
        if expired {
            self.table.close_operations_of(&self.guid);
            self.table.tell_session(ended);
        } else {
            self.table.remove_session(&self.guid, self.end);
        }
        true
    }
}

impl Drop for Reaping {
    fn drop(&mut self) {
        if let Some(mut session) = self.table.sessions.get_mut(&self.guid)
            && self.is_of(&session)
        {
            session.usage.life.give_up_reaping();
        }
    }
}

impl Table {
    /// A session whose links are shared and that has been idle for at least `idle`, but not for longer than
    /// it may be; none for others.
    pub fn to_touch(&self, guid: &Guid, now: Instant, idle: Duration) -> Option<Target> {
        let session = self.sessions.get(guid)?;
        let usage = &session.usage;
        let been = usage.activity.idle(now);
        let may =
            usage.life.not_live().is_none() && usage.life.idle_timeout().is_none_or(|timeout| been < timeout);
        (been >= idle && may).then(|| session.target(guid)).flatten()
    }

    /// The sessions whose links are shared and that are to be closed now: those to which nothing has been
    /// attached for `grace`, so that nobody will come back for them, those that have been idle for longer
    /// than they may be, and the leftovers of those that are not live. [`Self::forget_detached`] begins the
    /// time of the first. Looks at every session.
    #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
    pub fn to_reap(&self, now: Instant, grace: Duration) -> Vec<Guid> {
        let sessions = self.sessions.iter().filter(|session| session.is_to_reap(now, grace));
        let mut found: Vec<_> = sessions.map(|session| *session.key()).collect();
        found.sort_unstable();
        found
    }

    /// Begins to close one of [`Self::to_reap`]; none if that does not hold any more. No call is made any
    /// more in one that was idle for too long.
    pub fn reap(self: &Arc<Self>, guid: &Guid, now: Instant, grace: Duration) -> Option<Reaping> {
        let mut session = self.sessions.get_mut(guid)?;
        session.reap(now, grace).ok()?;
        Some(self.reaping(guid, &session, SessionEnd::Abandoned))
    }

    /// Begins to close a session because an operator wants that, whoever uses it.
    ///
    /// # Errors
    /// Why the router cannot close it.
    pub fn close_now(self: &Arc<Self>, guid: &Guid) -> Result<Reaping, NotReaped> {
        let mut session = self.sessions.get_mut(guid).ok_or(NotReaped::NothingToClose)?;
        session.usage.life.reap()?;
        Ok(self.reaping(guid, &session, SessionEnd::ClosedByOperator))
    }

    fn reaping(self: &Arc<Self>, guid: &Guid, session: &Session, end: SessionEnd) -> Reaping {
        let (activity, targets) = (Arc::clone(&session.usage.activity), session.targets(guid));
        Reaping { table: Arc::clone(self), guid: *guid, activity, end, targets }
    }

    /// A leftover of a session was closed. A session that is gone is forgotten when it is nowhere any more,
    /// and with it what a late reply said to be open in it.
    pub fn note_leftover_closed(&self, guid: &Guid, leftover: &Leftover) {
        let Entry::Occupied(mut session) = self.sessions.entry(*guid) else { return };
        match session.get_mut().usage.life.note_leftover_closed(leftover) {
            Memory::Keep => {}
            Memory::Forget => {
                let whose = self.whose(session.get());
                let operations = session.remove().usage.operations;
                self.forget_operations(&operations, whose.as_ref());
            }
        }
    }

    fn close_operations_of(&self, guid: &Guid) {
        let operations = self.sessions.get(guid).map(|session| session.usage.operations.clone());
        let mut operations: Vec<_> = operations.into_iter().flatten().collect();
        operations.sort_unstable();
        for operation in &operations {
            self.close_operation(operation, OperationEnd::SessionEnded);
        }
    }
}

#[cfg(test)]
mod tests;
