//! A session moves: how it comes to another coordinator without a call noticing.
//!
//! The client keeps the handle that the first coordinator minted. The table knows which handle stands for it
//! on each coordinator that the session was on.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::end::OperationEnd;
use super::life::Arrival;
use super::mobile::{Cause, Done, Leftover, Mobile, Movable, Pinned};
use super::session::Session;
use super::store::Table;
use crate::ids::{CoordinatorId, Identity};
use crate::session::activity::{Activity, Hold};
use crate::session::statement::Effect;
use crate::wire::facts::{Guid, Handle};

/// What comes of wanting to hold a session for a call.
#[derive(Debug)]
pub enum Holding {
    /// The call may be made, and the session stays where it is meanwhile.
    Held(Hold),
    /// The session is on its way: try again when it has arrived.
    Moving,
    /// None that can move, or another's: the call is forwarded as it came.
    AsItCame,
}

/// A session on its way. It stays where it was if this is dropped.
#[must_use = "the session stays where it was when this is dropped"]
pub struct Departure {
    table: Arc<Table>,
    guid: Guid,
    activity: Arc<Activity>,
    /// Where it was.
    pub from: CoordinatorId,
    /// The request that opens it again, unframed.
    pub request: Box<[u8]>,
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Table {
    /// A session that was just taken in can move.
    pub fn note_movable(&self, guid: &Guid, movable: Movable) {
        if let Some(mut session) = self.sessions.get_mut(guid) {
            session.usage.life.note_movable(Mobile::new(movable));
        }
    }

    /// A call is to be made in a session under this identity by somebody who names it by this handle.
    pub fn hold(&self, handle: &Handle, identity: &Identity) -> Holding {
        let Some(session) = self.sessions.get(&handle.guid) else { return Holding::AsItCame };
        let Some(mobile) = session.mobile_of(handle, identity) else { return Holding::AsItCame };
        if session.usage.life.is_moving() {
            return Holding::Moving;
        }
        // Under the lock that a departure takes for itself alone.
        Holding::Held(session.usage.activity.hold(mobile.has_moved()))
    }

    /// The handle that stands for this one on a coordinator; none if it is to be sent as it came: because the
    /// session never moved, was not there, or because the handle's secret or the identity is not the session's.
    /// Guids are public: by its guid alone nobody comes into a session.
    pub fn handle_at(
        &self,
        handle: &Handle,
        identity: &Identity,
        coordinator: CoordinatorId,
    ) -> Option<Handle> {
        let session = self.sessions.get(&handle.guid)?;
        let mobile = session.mobile_of(handle, identity)?;
        if session.coordinator == coordinator {
            return mobile.known_as();
        }
        let there = mobile.leftovers().iter().rev().find(|leftover| leftover.coordinator == coordinator);
        there.map(|leftover| leftover.handle)
    }

    /// Where a session may be open besides its own coordinator.
    pub fn leftovers(&self, guid: &Guid) -> Vec<Leftover> {
        self.sessions.get(guid).map(|session| session.usage.life.leftovers().to_vec()).unwrap_or_default()
    }

    /// Whether the coordinator of a session was restarted since the session came to it; false for one that
    /// cannot move.
    pub fn is_of_former_incarnation(&self, guid: &Guid, incarnation: u32) -> bool {
        let session = self.sessions.get(guid);
        let mobile = session.as_ref().and_then(|session| session.usage.life.mobile());
        mobile.is_some_and(|mobile| mobile.incarnation() != incarnation)
    }

    /// Whether a session is on its way.
    pub fn is_moving(&self, guid: &Guid) -> bool {
        self.sessions.get(guid).is_some_and(|session| session.usage.life.is_moving())
    }

    /// Whether a session is on its way, or elsewhere than there.
    pub fn has_left(&self, guid: &Guid, from: CoordinatorId) -> bool {
        let session = self.sessions.get(guid);
        session.is_some_and(|session| session.coordinator != from || session.usage.life.is_moving())
    }

    /// Whether a session can move at all.
    pub fn can_move(&self, guid: &Guid) -> bool {
        self.sessions.get(guid).is_some_and(|session| session.usage.life.mobile().is_some())
    }

    /// A statement that does this succeeded on a coordinator, and minted an operation.
    pub fn note_effect(&self, guid: &Guid, done: &Done<'_>) {
        if *done.effect == Effect::Nothing {
            return;
        }
        let Some(mut session) = self.sessions.get_mut(guid) else { return };
        let owner = session.coordinator;
        let Some(live) = session.usage.life.live_mut() else { return };
        live.idle_timeout.apply(done.effect);
        if let Some(mobile) = session.usage.life.mobile_mut() {
            mobile.note_effect(done, owner);
        }
    }

    /// An operation is about to be closed: if it changed data, the session stays a while longer.
    pub fn note_closing(&self, operation: &Guid, now: Instant) {
        let session = self.operations.get(operation).and_then(|operation| operation.open.as_ref()?.session);
        let Some(mut session) = session.and_then(|guid| self.sessions.get_mut(&guid)) else { return };
        if let Some(mobile) = session.usage.life.mobile_mut() {
            mobile.note_closing(operation, now);
        }
    }

    /// Whether a session could leave.
    ///
    /// # Errors
    /// What pins it.
    pub fn may_leave(&self, guid: &Guid, cause: Cause) -> Result<(), Pinned> {
        let session = self.sessions.get(guid).ok_or(Pinned::Immovable)?;
        session.may_leave(cause).map(|_| ())
    }

    /// A session leaves the coordinator `from`, on a connection of this identity: no call enters it until the
    /// departure ends.
    ///
    /// # Errors
    /// What pins it.
    pub fn depart(
        self: &Arc<Self>,
        guid: &Guid,
        identity: &Identity,
        from: CoordinatorId,
        cause: Cause,
    ) -> Result<Departure, Pinned> {
        let mut session = self.sessions.get_mut(guid).ok_or(Pinned::Immovable)?;
        let request = session.depart(identity, from, cause)?;
        let activity = Arc::clone(&session.usage.activity);
        Ok(Departure { table: Arc::clone(self), guid: *guid, activity, from, request })
    }
}

impl Departure {
    /// False of another session that has its guid since.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        session.is(&self.activity)
    }

    /// The session is opened on its new coordinator: its calls go there from now on. What was open where it
    /// was is known as closed. Returns the leftovers that are forgotten, which nobody will close if not the
    /// caller; none if the session has ended on its way.
    pub fn arrive(self, arrival: Arrival) -> Option<Vec<Leftover>> {
        let (mut left_open, forgotten) = {
            let session = self.table.sessions.get_mut(&self.guid);
            let mut session = session.filter(|session| self.is_of(session))?;
            let forgotten = session.arrive(&self.guid, arrival).ok()?;
            (session.usage.operations.iter().copied().collect::<Vec<_>>(), forgotten)
        };
        left_open.sort_unstable();
        for operation in &left_open {
            self.table.close_operation(operation, OperationEnd::SessionMoved);
        }
        Some(forgotten)
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(mut session) = self.table.sessions.get_mut(&self.guid)
            && self.is_of(&session)
        {
            session.usage.life.settle();
        }
    }
}

#[cfg(test)]
mod tests;
