//! Sessions that the router ends in a coordinator's place. Their links are shared, so their coordinator does not see that
//! nobody is there any more; and it sees the router's own calls, so it does not see that their clients have been idle.
//!
//! What a session that moved has left where it was is still open there, by the handle that its client has. So a session
//! that ends is remembered until that is closed too: else its client would come upon it, by asking, as it was then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::mapref::entry::Entry;

use super::{Session, Table, same};
use crate::ids::{CoordinatorId, Identity};
use crate::wire::facts::{Guid, Handle};

/// How long after its last call a session that is over is remembered at most, also if a connection is still attached:
/// long enough for a client that comes back the next day.
const OVER_KEPT: Duration = Duration::from_hours(36);

/// A session that shares its links, for calls of the router's own about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its handle where it is.
    pub handle: Handle,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// Whose it is.
    pub identity: Identity,
}

/// A session that was idle for longer than it may be. It is not used any more, and is remembered so that its client can be
/// told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// How long it might have been idle.
    pub timeout: Duration,
    /// When its last call ended.
    pub last: Instant,
    /// Whether its coordinator has closed it by now.
    pub closed: bool,
}

/// Why no call is made any more in a session that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLive {
    /// It was idle for longer than it may be.
    Expired(Expired),
    /// It is gone where it was last, and perhaps not where it was before.
    Gone,
}

/// A session that is about to be closed. Where it was not [`Self::closed`] when this is dropped, that is tried again later.
#[derive(Debug)]
#[must_use = "the session may be closed a second time when this is dropped"]
pub struct Reaping {
    table: Arc<Table>,
    guid: Guid,
    /// Where it may be open: where it is, and where it was before it moved.
    pub targets: Vec<Target>,
}

impl Reaping {
    /// The coordinator of one of its places has it no more. One that was abandoned is forgotten when it is nowhere any more;
    /// one that expired is remembered as long as a connection is attached to it, and then for as long as other sessions
    /// without connections, but counts nowhere.
    pub fn closed(&self, place: &Target) {
        if !self.table.discount_expired(&self.guid, place.coordinator)
            && self.table.session_owner(&self.guid) == Some(place.coordinator)
        {
            self.table.remove_session(&self.guid);
        }
        self.table.note_leftover_closed(&self.guid, place.coordinator, &place.handle);
    }
}

impl Drop for Reaping {
    fn drop(&mut self) {
        if let Some(mut session) = self.table.sessions.get_mut(&self.guid) {
            session.usage.ending = false;
        }
    }
}

impl Table {
    /// A session whose links are shared and that has been idle for at least `idle`, but not for longer than it may be; none
    /// for others.
    pub fn to_touch(&self, guid: &Guid, now: Instant, idle: Duration) -> Option<Target> {
        let session = self.sessions.get(guid)?;
        let been = session.usage.activity.idle(now);
        let may = session.usage.idle_timeout.get().is_none_or(|timeout| been < timeout);
        (been >= idle && may).then(|| session.target(guid)).flatten()
    }

    /// The sessions whose links are shared and that are to be closed now: those to which nothing has been attached for
    /// `grace`, so that nobody will come back for them, those that have been idle for longer than they may be, and what those
    /// left that are over. [`Self::forget_detached`] begins the time of the first. Looks at every session.
    #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
    pub fn to_reap(&self, now: Instant, grace: Duration) -> Vec<Guid> {
        let sessions = self.sessions.iter().filter(|session| session.is_to_end(now, grace));
        let mut ending: Vec<_> = sessions.map(|session| *session.key()).collect();
        ending.sort_unstable();
        ending
    }

    /// Begins to close one of [`Self::to_reap`]; none if that does not hold any more. No call is made any more in one that was
    /// idle for too long.
    pub fn reap(self: &Arc<Self>, guid: &Guid, now: Instant, grace: Duration) -> Option<Reaping> {
        let mut session = self.sessions.get_mut(guid).filter(|session| session.may_end())?;
        let home = session.target(guid);
        if home.is_some() && !session.expire(now) && !session.is_abandoned(now, grace) {
            return None;
        }
        session.usage.ending = true;
        let identity = &session.usage.identity;
        let former = session.former_homes();
        let former =
            former.map(|(coordinator, handle)| Target { handle, coordinator, identity: identity.clone() });
        let targets = home.into_iter().chain(former).collect();
        Some(Reaping { table: Arc::clone(self), guid: *guid, targets })
    }

    /// Why no call is made any more in a session, for somebody who names it by its handle.
    pub fn not_live(&self, handle: &Handle) -> Option<NotLive> {
        let session = self.sessions.get(&handle.guid)?;
        let over = session
            .usage
            .over
            .as_deref()
            .copied()
            .filter(|_| same(session.secret.as_ref(), &handle.secret))?;
        let closed = session.usage.tenancy.is_none();
        Some(match over {
            NotLive::Expired(expired) => NotLive::Expired(Expired { closed, ..expired }),
            NotLive::Gone => NotLive::Gone,
        })
    }

    /// A session is gone, and what was open in it. It is remembered if it may still be open where it was before it moved.
    pub fn remove_session(&self, guid: &Guid) {
        let operations = match self.sessions.entry(*guid) {
            Entry::Vacant(_) => return,
            Entry::Occupied(mut session) if session.get().has_former_homes() => session.get_mut().bury(),
            Entry::Occupied(session) => session.remove().usage.operations,
        };
        self.forget_operations(&operations);
    }

    /// A session is not open any more on a coordinator where it had this handle. One that is gone is forgotten when it is
    /// nowhere any more, and with it what a late reply said to be open in it.
    pub fn note_leftover_closed(&self, guid: &Guid, home: CoordinatorId, handle: &Handle) {
        let Entry::Occupied(mut session) = self.sessions.entry(*guid) else { return };
        let usage = &mut session.get_mut().usage;
        let Some(mobile) = &mut usage.mobile else { return };
        mobile.homes.retain(|known| *known != (home, *handle));
        let over = usage.over.as_deref().copied();
        if session.get().has_former_homes() {
            return;
        }
        match over {
            Some(NotLive::Gone) => {
                let listed = session.remove().usage.operations;
                self.forget_operations(&listed);
            }
            Some(NotLive::Expired(_)) => session.get_mut().usage.mobile = None,
            None => {}
        }
    }

    /// A session that has expired counts no more on its coordinator, if this is it; whether that is so.
    fn discount_expired(&self, guid: &Guid, coordinator: CoordinatorId) -> bool {
        {
            let Some(mut session) = self.sessions.get_mut(guid) else { return false };
            let is_there = session.coordinator == coordinator;
            let usage = &mut session.usage;
            if !is_there || !matches!(usage.over.as_deref(), Some(NotLive::Expired(_))) {
                return false;
            }
            (usage.count, usage.tenancy) = (None, None);
        }
        self.close_operations_of(guid);
        true
    }

    fn close_operations_of(&self, guid: &Guid) {
        let operations = self.sessions.get(guid).map(|session| session.usage.operations.clone());
        let mut operations: Vec<_> = operations.into_iter().flatten().collect();
        operations.sort_unstable();
        for operation in &operations {
            self.close_operation(operation);
        }
    }
}

impl Session {
    fn target(&self, guid: &Guid) -> Option<Target> {
        // What it is known by where it is now.
        let home = self.usage.mobile.as_ref().and_then(|mobile| mobile.home());
        let handle = home.unwrap_or(Handle { guid: *guid, secret: self.secret? });
        self.usage.tenancy.as_ref()?;
        Some(Target { handle, coordinator: self.coordinator, identity: self.usage.identity.clone() })
    }

    fn is_to_end(&self, now: Instant, grace: Duration) -> bool {
        let is_over = |timeout| self.usage.activity.idle(now) >= timeout;
        let ends = || self.is_abandoned(now, grace) || self.usage.idle_timeout.get().is_some_and(is_over);
        self.may_end() && (self.usage.tenancy.is_none() || ends())
    }

    /// Whether there is something to close, and nothing stands against it.
    fn may_end(&self) -> bool {
        let moves = self.usage.mobile.as_ref().is_some_and(|mobile| mobile.is_moving());
        let is_left = self.usage.over.is_some() && self.has_former_homes();
        (self.usage.tenancy.is_some() || is_left) && !self.usage.ending && !moves
    }

    fn has_former_homes(&self) -> bool {
        self.former_homes().next().is_some()
    }

    /// No call begins in it any more if it was idle for too long; whether it was.
    fn expire(&mut self, now: Instant) -> bool {
        let usage = &mut self.usage;
        let timeout = usage.idle_timeout.get().filter(|timeout| usage.activity.expire(now, *timeout));
        let Some(timeout) = timeout else { return false };
        let last = usage.activity.last();
        usage.over = Some(Box::new(NotLive::Expired(Expired { timeout, last, closed: false })));
        true
    }

    /// It is over and counts no more; the operations that it had.
    fn bury(&mut self) -> HashSet<Guid> {
        let usage = &mut self.usage;
        usage.over = Some(Box::new(NotLive::Gone));
        usage.activity.close();
        (usage.count, usage.tenancy) = (None, None);
        std::mem::take(&mut usage.operations)
    }

    fn is_abandoned(&self, now: Instant, grace: Duration) -> bool {
        let since = self.usage.detached_since.filter(|_| self.usage.attached == 0);
        since.is_some_and(|since| now.saturating_duration_since(since) >= grace)
    }

    /// Whether its client has had the time to hear that it is over.
    pub(super) fn is_past(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.usage.activity.last());
        self.usage.over.is_some() && since >= OVER_KEPT
    }
}

#[cfg(test)]
mod tests;
