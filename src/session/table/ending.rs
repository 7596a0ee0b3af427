//! Sessions that the router ends in a coordinator's place. Their links are shared, so their coordinator does not see that
//! nobody is there any more; and it sees the router's own calls, so it does not see that their clients have been idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Session, Table, same};
use crate::ids::{CoordinatorId, Identity};
use crate::wire::facts::{Guid, Handle};

/// How long after its last call a session that has expired is remembered at most, also if a connection is still attached:
/// long enough for a client that comes back the next day.
const EXPIRED_KEPT: Duration = Duration::from_hours(36);

/// A session that shares its links, for calls of the router's own about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tended {
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

/// A session that is about to be closed. It is tried again later if this is dropped before [`Self::done`].
#[derive(Debug)]
#[must_use = "the session may be closed a second time when this is dropped"]
pub struct Ending {
    table: Arc<Table>,
    guid: Guid,
    /// How it is closed.
    pub session: Tended,
    /// What is left of it where it was before it moved.
    pub former: Vec<Tended>,
}

impl Ending {
    /// Its coordinator has it no more. One that was abandoned is forgotten; one that expired is remembered as long as a
    /// connection is attached to it, and then for as long as other sessions without connections, but counts nowhere.
    pub fn done(self) {
        let is_expired = {
            let Some(mut session) = self.table.sessions.get_mut(&self.guid) else { return };
            let usage = &mut session.usage;
            if usage.expired.is_some() {
                (usage.count, usage.tenancy, usage.mobile) = (None, None, None);
            }
            usage.expired.is_some()
        };
        if is_expired {
            self.table.close_operations_of(&self.guid);
        } else {
            self.table.remove_session(&self.guid);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(mut session) = self.table.sessions.get_mut(&self.guid) {
            session.usage.ending = false;
        }
    }
}

impl Table {
    /// A session whose links are shared and that has been idle for at least `idle`, but not for longer than it may be; none
    /// for others.
    pub fn to_touch(&self, guid: &Guid, now: Instant, idle: Duration) -> Option<Tended> {
        let session = self.sessions.get(guid)?;
        let been = session.usage.activity.idle(now);
        let may = session.usage.idle_timeout.get().is_none_or(|timeout| been < timeout);
        (been >= idle && may).then(|| session.tended(guid)).flatten()
    }

    /// The sessions whose links are shared and that are to be closed now: those to which nothing has been attached for
    /// `grace`, so that nobody will come back for them, and those that have been idle for longer than they may be.
    /// [`Self::forget_detached`] begins the time of the former. Looks at every session.
    #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
    pub fn to_end(&self, now: Instant, grace: Duration) -> Vec<Guid> {
        let sessions = self.sessions.iter().filter(|session| session.is_to_end(now, grace));
        let mut ending: Vec<_> = sessions.map(|session| *session.key()).collect();
        ending.sort_unstable();
        ending
    }

    /// Begins to close one of [`Self::to_end`]; none if that does not hold any more. No call is made any more in one that was
    /// idle for too long.
    pub fn end(self: &Arc<Self>, guid: &Guid, now: Instant, grace: Duration) -> Option<Ending> {
        let mut session = self.sessions.get_mut(guid)?;
        let tended = session.tended(guid).filter(|_| session.may_end())?;
        let is_abandoned = session.is_abandoned(now, grace);
        let usage = &mut session.usage;
        let timeout = usage.idle_timeout.get().filter(|timeout| usage.activity.expire(now, *timeout));
        if let Some(timeout) = timeout {
            let last = usage.activity.last();
            usage.expired = Some(Box::new(Expired { timeout, last, closed: false }));
        } else if !is_abandoned {
            return None;
        }
        usage.ending = true;
        let former = session.former_homes();
        let former =
            former.map(|(coordinator, handle)| Tended { handle, coordinator, ..tended.clone() }).collect();
        Some(Ending { table: Arc::clone(self), guid: *guid, session: tended, former })
    }

    /// What is known of a session that was idle for too long, for somebody who names it by its handle.
    pub fn expired(&self, handle: &Handle) -> Option<Expired> {
        let session = self.sessions.get(&handle.guid)?;
        let expired = session
            .usage
            .expired
            .as_deref()
            .copied()
            .filter(|_| same(session.secret.as_ref(), &handle.secret))?;
        Some(Expired { closed: session.usage.tenancy.is_none(), ..expired })
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
    fn tended(&self, guid: &Guid) -> Option<Tended> {
        // What it is known by where it is now.
        let home = self.usage.mobile.as_ref().and_then(|mobile| mobile.home());
        let handle = home.unwrap_or(Handle { guid: *guid, secret: self.secret? });
        self.usage.tenancy.as_ref()?;
        Some(Tended { handle, coordinator: self.coordinator, identity: self.usage.identity.clone() })
    }

    fn is_to_end(&self, now: Instant, grace: Duration) -> bool {
        let is_over = |timeout| self.usage.activity.idle(now) >= timeout;
        self.may_end()
            && (self.is_abandoned(now, grace) || self.usage.idle_timeout.get().is_some_and(is_over))
    }

    /// Whether nothing stands against closing it.
    fn may_end(&self) -> bool {
        let moves = self.usage.mobile.as_ref().is_some_and(|mobile| mobile.is_moving());
        self.usage.tenancy.is_some() && !self.usage.ending && !moves
    }

    fn is_abandoned(&self, now: Instant, grace: Duration) -> bool {
        let since = self.usage.detached_since.filter(|_| self.usage.attached == 0);
        since.is_some_and(|since| now.saturating_duration_since(since) >= grace)
    }

    /// Whether its client has had the time to hear that it has expired.
    pub(super) fn is_past(&self, now: Instant) -> bool {
        let last = self.usage.expired.as_ref().map(|expired| expired.last);
        last.is_some_and(|last| now.saturating_duration_since(last) >= EXPIRED_KEPT)
    }
}

#[cfg(test)]
mod tests;
