//! Sessions come into the table, are looked up, used and forgotten.

use std::sync::Arc;
use std::time::Instant;

use dashmap::mapref::entry::Entry;

use super::admission::{Admission, NotAdmitted};
use super::end::SessionEnd;
use super::life::{Memory, NotLive};
use super::secret::same;
use super::session::{NewSession, Session};
use super::store::Table;
use crate::cluster::turns::Turn;
use crate::ids::{CoordinatorId, Identity, Service};
use crate::session::activity::Activity;
use crate::wire::facts::{Guid, Handle};

/// Why a session was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Its guid is that of another coordinator's session, or names a Beeswax session; the older one stays.
    #[error("its guid is that of another session")]
    Taken,
    /// The table is full.
    #[error("the session table is full")]
    Full,
}

impl Table {
    /// A place for a session that is about to be opened. Users are told apart as where they wait for room.
    ///
    /// # Errors
    /// The table is full, or this user has as many sessions as the table has places left.
    pub fn admit(&self, holder: &Turn) -> Result<Admission, NotAdmitted> {
        self.admissions.admit(holder, self.settings.capacity.saturating_sub(self.sessions()))
    }

    /// A session that is known has this place.
    pub fn note_admission(&self, guid: &Guid, admission: Admission) {
        if let Some(mut session) = self.sessions.get_mut(guid) {
            session.usage.admission = Some(admission);
        }
    }

    /// The owner of a session.
    pub fn session_owner(&self, guid: &Guid) -> Option<CoordinatorId> {
        self.sessions.get(guid).map(|session| session.coordinator)
    }

    /// Whether a session was opened under this identity.
    pub fn is_of(&self, session: &Guid, identity: &Identity) -> bool {
        self.sessions.get(session).is_some_and(|session| session.is_of(identity))
    }

    /// Takes a session in, with nothing attached to it.
    ///
    /// # Errors
    /// The table is full, or the guid is another session's: calls of that session will not be routed by its
    /// handle.
    pub fn insert_session(&self, new: NewSession) -> Result<(), NotKept> {
        if self.is_full() {
            return Err(NotKept::Full);
        }
        let guid = new.guid;
        let activity = Activity::new(new.now);
        let session = Session::new(new, activity);
        let older = match self.sessions.entry(guid) {
            Entry::Occupied(old) if !replaces(&session, old.get()) => return Err(NotKept::Taken),
            Entry::Occupied(mut old) => Some(old.insert(session)),
            Entry::Vacant(vacant) => {
                drop(vacant.insert(session));
                None
            }
        };
        // One coordinator minted the same guid twice: what was open in the older session went with it.
        if let Some(older) = older {
            self.forget_operations(&older.usage.operations, self.whose(&older).as_ref());
            self.tell_session(self.ending(&guid, &older, SessionEnd::Gone));
        }
        Ok(())
    }

    /// Takes a session in that was located, with nothing attached to it. If it is known by now, nothing
    /// changes.
    ///
    /// # Errors
    /// The table is full, or the guid is another coordinator's session.
    pub fn insert_located_session(&self, new: NewSession) -> Result<(), NotKept> {
        if self.is_full() {
            return Err(NotKept::Full);
        }
        match self.sessions.entry(new.guid) {
            Entry::Occupied(old) if old.get().coordinator != new.coordinator => Err(NotKept::Taken),
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(vacant) => {
                let activity = Activity::located(new.now);
                drop(vacant.insert(Session::new(new, activity)));
                Ok(())
            }
        }
    }

    /// Whether a session was located: what it was opened with and what was set in it is not known, so it
    /// could not be opened again elsewhere.
    pub fn was_located(&self, session: &Guid) -> bool {
        self.sessions.get(session).is_some_and(|session| session.usage.activity.was_located())
    }

    /// A connection uses the session from now on, until [`Self::detach`]: what it is to tell of its calls;
    /// none if the session is not known.
    pub fn attach(&self, guid: &Guid) -> Option<Arc<Activity>> {
        let mut session = self.sessions.get_mut(guid)?;
        session.usage.attachment.attach();
        Some(Arc::clone(&session.usage.activity))
    }

    /// A connection that was attached to the session has ended.
    pub fn detach(&self, guid: &Guid) {
        if let Some(mut session) = self.sessions.get_mut(guid) {
            session.usage.attachment.detach();
        }
    }

    /// The port of its coordinator that a session was opened on.
    pub fn session_port(&self, guid: &Guid) -> Option<Service> {
        self.sessions.get(guid).map(|session| session.usage.access.hs2())
    }

    /// What was done in a session.
    pub fn activity(&self, guid: &Guid) -> Option<Arc<Activity>> {
        self.sessions.get(guid).map(|session| Arc::clone(&session.usage.activity))
    }

    /// Whether this is the very session that is known by that guid: only then does what its coordinator says
    /// of the handle say something about the session. Guids are public; an answer to a guessed secret must
    /// not count.
    pub fn is_session(&self, handle: &Handle) -> bool {
        self.sessions.get(&handle.guid).is_some_and(|session| same(session.secret.as_ref(), &handle.secret))
    }

    /// Why no call is made any more in a session, for somebody who names it by its handle.
    pub fn not_live(&self, handle: &Handle) -> Option<NotLive> {
        let session = self.sessions.get(&handle.guid)?;
        session.usage.life.not_live().filter(|_| same(session.secret.as_ref(), &handle.secret))
    }

    /// A session has ended like this, and what was open in it. It is remembered if it may still be open where it was
    /// before it moved.
    pub fn remove_session(&self, guid: &Guid, end: SessionEnd) {
        let Entry::Occupied(mut session) = self.sessions.entry(*guid) else { return };
        let (whose, ended) = (self.whose(session.get()), self.ending(guid, session.get(), end));
        let operations = match session.get_mut().bury() {
            Memory::Keep => std::mem::take(&mut session.get_mut().usage.operations),
            Memory::Forget => session.remove().usage.operations,
        };
        self.forget_operations(&operations, whose.as_ref());
        self.tell_session(ended);
    }

    /// A session has ended with the link that opened it; those that used it are to be told so.
    pub fn end_with_link(&self, guid: &Guid) {
        if let Some(session) = self.sessions.get(guid) {
            session.usage.activity.note_lost(session.coordinator);
        }
        self.remove_session(guid, SessionEnd::Disconnected);
    }

    /// Forgets sessions that nothing has been attached to for so long that their coordinator has closed them,
    /// those that are not live and have been so for long, and operations that were located as long ago as the
    /// first. Looks at every session; meant for a few times a minute. Returns how many of the first were
    /// forgotten.
    pub fn forget_detached(&self, now: Instant) -> usize {
        let limit = self.settings.detached_for;
        let (mut sessions, mut operations, mut ended) = (0, Vec::new(), Vec::new());
        // Judged and removed under one lock, so that nobody can come back in between.
        self.sessions.retain(|guid, session| {
            let is_past = session.is_past(now);
            let since = session.usage.attachment.see_detached(now);
            let is_over = since.is_some_and(|since| now.saturating_duration_since(since) >= limit);
            if is_past || is_over {
                sessions += usize::from(!is_past);
                let whose = self.whose(session);
                operations.push((std::mem::take(&mut session.usage.operations), whose));
                ended.push(self.ending(guid, session, SessionEnd::Forgotten));
            }
            !is_past && !is_over
        });
        for (operations, whose) in &operations {
            self.forget_operations(operations, whose.as_ref());
        }
        for ended in ended {
            self.tell_session(ended);
        }
        self.forget_located(now);
        sessions
    }
}

/// Whether a coordinator may have minted a guid twice. The names of Beeswax sessions are ours, and never
/// given twice.
fn replaces(new: &Session, old: &Session) -> bool {
    new.coordinator == old.coordinator && new.secret.is_some() && old.secret.is_some()
}
