//! Sessions and operations as people see them. Looking stops nobody: a lock is held while the guids of one
//! shard are noted, and then for one entry at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::life::NotLive;
use super::mobile::{Cause, Pinned};
use super::operation::{Operation, OperationKind};
use super::session::{Attachment, Origin, Session};
use super::store::Table;
use crate::ids::{Access, CoordinatorId};
use crate::session::hashing::GuidMap;
use crate::wire::facts::Guid;

/// A session, as it is at the moment.
#[derive(Clone, Debug)]
pub struct SeenSession<'a> {
    /// What its client knows it by.
    pub guid: Guid,
    /// Where it is.
    pub coordinator: CoordinatorId,
    /// Whose it is.
    pub access: &'a Access,
    /// Whether it is a session of Beeswax.
    pub is_beeswax: bool,
    /// Of the connection that began to use it last; none if no connection ever did.
    pub origin: Option<&'a Origin>,
    /// When it was opened, or located.
    pub since: Instant,
    /// Whether it was located, not opened here.
    pub is_located: bool,
    /// How long no call has been under way in it.
    pub idle: Duration,
    /// Connections that used it and are still there.
    pub connections: u32,
    /// Its operations that were not closed.
    pub open_operations: usize,
    /// Why no call is made in it any more, if that is so.
    pub not_live: Option<NotLive>,
    /// Why it would not leave its coordinator.
    pub pinned: Option<Pinned>,
}

/// An operation that is open, as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenOperation {
    /// What identifies it.
    pub guid: Guid,
    /// Where it is.
    pub coordinator: CoordinatorId,
    /// None for one that was located.
    pub session: Option<Guid>,
    /// What minted it.
    pub kind: OperationKind,
    /// When it was minted, or located.
    pub since: Instant,
    /// How far it has come.
    pub progress: Progress,
}

/// How far an open operation has come, as far as replies told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It runs, or has rows to fetch.
    Running,
    /// Its end was seen.
    Ended,
    /// Its coordinator's process seems to have ended.
    Lost,
}

impl Table {
    /// The session came to be used by a connection from there.
    pub fn note_origin(&self, session: &Guid, origin: &Arc<Origin>) {
        if let Some(mut session) = self.sessions.get_mut(session) {
            session.usage.origin = Some(Arc::clone(origin));
        }
    }

    /// Shows each session once that is there all the time, in no order. What `see` does is done while one
    /// entry is locked.
    pub fn see_sessions(&self, cause: Cause, now: Instant, mut see: impl FnMut(SeenSession<'_>)) {
        for guid in guids(&self.sessions) {
            if let Some(session) = self.sessions.get(&guid) {
                see(session.seen(guid, cause, now));
            }
        }
    }

    /// Shows one session; none if it is not known.
    pub fn see_session<T>(
        &self,
        guid: &Guid,
        cause: Cause,
        now: Instant,
        see: impl FnOnce(SeenSession<'_>) -> T,
    ) -> Option<T> {
        self.sessions.get(guid).map(|session| see(session.seen(*guid, cause, now)))
    }

    /// The open operations, in no order.
    pub fn seen_operations(&self) -> Vec<SeenOperation> {
        let seen = |guid: &Guid| self.operations.get(guid)?.seen(*guid);
        guids(&self.operations).iter().filter_map(seen).collect()
    }
}

/// All keys of a map.
#[expect(clippy::disallowed_methods, reason = "whoever shows them sorts them")]
fn guids<V>(map: &GuidMap<V>) -> Vec<Guid> {
    map.iter().map(|entry| *entry.key()).collect()
}

impl Session {
    fn seen(&self, guid: Guid, cause: Cause, now: Instant) -> SeenSession<'_> {
        let usage = &*self.usage;
        SeenSession {
            guid,
            coordinator: self.coordinator,
            access: &usage.access,
            is_beeswax: self.secret.is_none(),
            origin: usage.origin.as_deref(),
            since: usage.activity.since(),
            is_located: usage.activity.was_located(),
            idle: usage.activity.idle(now),
            connections: match usage.attachment {
                Attachment::Attached(connections) => connections.get(),
                Attachment::Detached(_) => 0,
            },
            open_operations: usage.operations.len(),
            not_live: usage.life.not_live(),
            pinned: self.may_leave(cause).err(),
        }
    }
}

impl Operation {
    /// None if it is closed.
    fn seen(&self, guid: Guid) -> Option<SeenOperation> {
        let open = self.open.as_ref()?;
        let progress = match &open.load {
            None => Progress::Lost,
            Some(load) if load.running.is_some() => Progress::Running,
            Some(_) => Progress::Ended,
        };
        let (session, kind, since) = (open.session, open.kind, open.since);
        Some(SeenOperation { guid, coordinator: self.coordinator, session, kind, since, progress })
    }
}
