//! Sessions that can move: what pins one to its coordinator, and how it comes to another without a call noticing.
//!
//! The client keeps the handle that the first coordinator minted. The table knows which handle stands for it on each
//! coordinator that the session was on.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Session, Table, same};
use crate::cluster::SessionCount;
use crate::cluster::room::Tenancy;
use crate::ids::CoordinatorId;
use crate::session::activity::Hold;
use crate::session::state::{State, Why};
use crate::session::statement::Effect;
use crate::wire::facts::{Guid, Handle};

/// How many coordinators' handles of one session are remembered, the latest: older ones serve for profiles only.
const MOST_HOMES: usize = 4;

/// What a session needs to move. Boxed in its entry: most sessions never do.
#[derive(Debug)]
pub(super) struct Mobile {
    state: State,
    /// Who opened it; none where nobody logs in.
    user: Option<Box<str>>,
    /// The handle that it had where it was, the latest last; empty until it moves.
    pub(super) homes: Vec<(CoordinatorId, Handle)>,
    /// Its coordinator's, when it came there.
    incarnation: u32,
    /// When it last changed data, or the operation that did was closed.
    changed: Option<Instant>,
    /// The operation that last changed data, until it is closed.
    changing: Option<Guid>,
    moving: bool,
}

impl Mobile {
    /// Whether it is on its way.
    pub(super) fn is_moving(&self) -> bool {
        self.moving
    }

    /// The handle that it has where it is; none until it moves.
    pub(super) fn home(&self) -> Option<Handle> {
        self.homes.last().map(|(_, handle)| *handle)
    }
}

/// What a session is noted with that can move.
#[derive(Debug)]
pub struct Movable<'a> {
    /// What it is made of.
    pub state: State,
    /// Who opened it; none where nobody logs in.
    pub user: Option<&'a str>,
    /// Its coordinator's.
    pub incarnation: u32,
}

/// What stands behind a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its coordinator goes, or has too much: what the session would lose keeps it there.
    Leaves {
        /// The present moment.
        now: Instant,
        /// How long a session stays where it changed data.
        cooldown: Duration,
    },
    /// Its coordinator is lost, and with it all that could be waited for.
    Lost,
}

/// Why a session must stay where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pinned {
    /// No session that can move: Beeswax, another flavor, or somebody else's.
    #[error("session is not movable")]
    Immovable,
    /// It cannot be opened again.
    #[error("{0}")]
    Unknown(Why),
    /// An operation was not closed.
    #[error("an operation is open")]
    OpenOperation,
    /// A call is under way.
    #[error("a call is in flight")]
    CallInFlight,
    /// It changed data a moment ago and may want to read that.
    #[error("it changed data within move_cooldown")]
    ChangedData,
    /// It is on its way already.
    #[error("it is being moved")]
    Moving,
    /// It has left already.
    #[error("it was moved")]
    Moved,
}

/// What comes of asking to make a call in a session.
#[derive(Debug)]
pub enum Holding {
    /// It may be made, and the session stays where it is meanwhile.
    Held(Hold),
    /// The session is on its way: ask again when it has arrived.
    Moving,
    /// None that can move, or another's: the call is forwarded as it came.
    AsItCame,
}

/// A session on its way. It stays where it was if this is dropped.
#[must_use = "the session stays where it was when this is dropped"]
pub struct Departure {
    table: Arc<Table>,
    guid: Guid,
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

/// Where a session has come to.
#[derive(Debug)]
pub struct Arrival {
    /// Its new owner.
    pub coordinator: CoordinatorId,
    /// What it is known by there.
    pub handle: Handle,
    /// The new owner's.
    pub incarnation: u32,
    /// Counts it as load there.
    pub count: SessionCount,
    /// As in [`super::NewSession`], there.
    pub tenancy: Option<Tenancy>,
    /// How long it may be idle there; none if for ever.
    pub idle_timeout: Option<Duration>,
    /// The present moment.
    pub now: Instant,
}

impl Table {
    /// A session that was just taken in can move.
    pub fn note_movable(&self, guid: &Guid, movable: Movable<'_>) {
        let Movable { state, user, incarnation } = movable;
        let user = user.map(Into::into);
        let mobile = Mobile {
            state,
            user,
            homes: Vec::new(),
            incarnation,
            changed: None,
            changing: None,
            moving: false,
        };
        if let Some(mut session) = self.sessions.get_mut(guid) {
            session.usage.mobile = Some(Box::new(mobile));
        }
    }

    /// A call is to be made in a session by this user, who names it by this handle.
    pub fn hold(&self, handle: &Handle, user: Option<&str>) -> Holding {
        let Some(session) = self.sessions.get(&handle.guid) else { return Holding::AsItCame };
        let Some(mobile) = session.mobile_of(handle, user) else { return Holding::AsItCame };
        if mobile.moving {
            return Holding::Moving;
        }
        // Under the lock that a departure takes for itself alone.
        Holding::Held(session.usage.activity.hold(!mobile.homes.is_empty()))
    }

    /// The handle that stands for this one on a coordinator; none if it is to be sent as it came: because the session never
    /// moved, was not there, or because the handle's secret or the user is not the session's. Guids are public: by its
    /// guid alone nobody shall come into a session.
    pub fn handle_at(
        &self,
        handle: &Handle,
        user: Option<&str>,
        coordinator: CoordinatorId,
    ) -> Option<Handle> {
        let session = self.sessions.get(&handle.guid)?;
        let homes = &session.mobile_of(handle, user)?.homes;
        homes.iter().rev().find(|(home, _)| *home == coordinator).map(|(_, handle)| *handle)
    }

    /// The handles that a session had on other coordinators than its own, which may still have it open.
    pub fn leftovers(&self, guid: &Guid) -> Vec<(CoordinatorId, Handle)> {
        self.sessions.get(guid).map(|session| session.former_homes().collect()).unwrap_or_default()
    }

    /// Whether the coordinator of a session was restarted since the session came to it; false for one that cannot move.
    pub fn is_of_former_incarnation(&self, guid: &Guid, incarnation: u32) -> bool {
        let session = self.sessions.get(guid);
        session
            .as_ref()
            .and_then(|session| session.usage.mobile.as_ref())
            .is_some_and(|it| it.incarnation != incarnation)
    }

    /// Whether a session is on its way.
    pub fn is_moving(&self, guid: &Guid) -> bool {
        let session = self.sessions.get(guid);
        session.is_some_and(|session| session.usage.mobile.as_ref().is_some_and(|mobile| mobile.moving))
    }

    /// Whether a session is on its way, or elsewhere than there.
    pub fn has_left(&self, guid: &Guid, from: CoordinatorId) -> bool {
        let session = self.sessions.get(guid);
        session
            .is_some_and(|it| it.coordinator != from || it.usage.mobile.as_ref().is_some_and(|it| it.moving))
    }

    /// Whether a session can move at all.
    pub fn can_move(&self, guid: &Guid) -> bool {
        self.sessions.get(guid).is_some_and(|session| session.usage.mobile.is_some())
    }

    /// A statement that does this succeeded on a coordinator, and minted an operation.
    pub fn note_effect(&self, guid: &Guid, done: &Done<'_>) {
        if *done.effect == Effect::Nothing {
            return;
        }
        let Some(mut session) = self.sessions.get_mut(guid) else { return };
        let owner = session.coordinator;
        session.usage.idle_timeout.apply(done.effect);
        let Some(mobile) = &mut session.usage.mobile else { return };
        match done.effect {
            Effect::Changes => (mobile.changed, mobile.changing) = (Some(done.now), done.operation),
            // It came through on a coordinator that was given up for lost: what holds now is not known.
            _ if owner != done.coordinator => mobile.state = State::Unknown(Why::Statement),
            effect => mobile.state.apply(effect),
        }
    }

    /// An operation is about to be closed: if it changed data, the session stays a while longer.
    pub fn note_closing(&self, operation: &Guid, now: Instant) {
        let session = self.operations.get(operation).and_then(|operation| operation.open.as_ref()?.session);
        let Some(mut session) = session.and_then(|guid| self.sessions.get_mut(&guid)) else { return };
        if let Some(mobile) = &mut session.usage.mobile
            && mobile.changing == Some(*operation)
        {
            (mobile.changed, mobile.changing) = (Some(now), None);
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

    /// A session leaves the coordinator `from`, on a connection of this user: no call enters it until the departure ends.
    ///
    /// # Errors
    /// What pins it.
    pub fn depart(
        self: &Arc<Self>,
        guid: &Guid,
        user: Option<&str>,
        from: CoordinatorId,
        cause: Cause,
    ) -> Result<Departure, Pinned> {
        let mut session = self.sessions.get_mut(guid).ok_or(Pinned::Immovable)?;
        if session.coordinator != from {
            return Err(Pinned::Moved);
        }
        let request: Box<[u8]> = session.may_leave(cause)?.into();
        let mobile = session.usage.mobile.as_mut().filter(|mobile| mobile.user.as_deref() == user);
        mobile.ok_or(Pinned::Immovable)?.moving = true;
        Ok(Departure { table: Arc::clone(self), guid: *guid, from, request })
    }
}

/// What a statement did.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// To its session.
    pub effect: &'a Effect,
    /// Where.
    pub coordinator: CoordinatorId,
    /// The operation that it minted.
    pub operation: Option<Guid>,
    /// The present moment.
    pub now: Instant,
}

impl Session {
    /// As [`Table::leftovers`].
    pub(super) fn former_homes(&self) -> impl Iterator<Item = (CoordinatorId, Handle)> {
        let homes = self.usage.mobile.iter().flat_map(|mobile| &mobile.homes);
        homes.filter(|(home, _)| *home != self.coordinator).copied()
    }

    /// What is needed to move it, for somebody who names it by its handle and is its user.
    fn mobile_of(&self, handle: &Handle, user: Option<&str>) -> Option<&Mobile> {
        let mobile = self.usage.mobile.as_deref()?;
        (same(self.secret.as_ref(), &handle.secret) && mobile.user.as_deref() == user).then_some(mobile)
    }

    /// The request that opens it again, if it may go.
    pub(super) fn may_leave(&self, cause: Cause) -> Result<&[u8], Pinned> {
        let lives = self.usage.over.is_none() && !self.usage.ending;
        let mobile = self.usage.mobile.as_deref().filter(|_| lives).ok_or(Pinned::Immovable)?;
        if mobile.moving {
            return Err(Pinned::Moving);
        }
        let request = match &mobile.state {
            State::Known(request) => request,
            State::Unknown(why) => return Err(Pinned::Unknown(*why)),
        };
        if let Cause::Leaves { now, cooldown } = cause {
            if !self.usage.operations.is_empty() {
                return Err(Pinned::OpenOperation);
            }
            if self.usage.activity.is_held() {
                return Err(Pinned::CallInFlight);
            }
            if mobile.changed.is_some_and(|at| now.saturating_duration_since(at) < cooldown) {
                return Err(Pinned::ChangedData);
            }
        }
        Ok(request)
    }
}

impl Departure {
    /// The session is opened on its new coordinator: its calls go there from now on. What was open where it was is known as
    /// closed. Returns the handles that are forgotten, of sessions that nobody will close if not the caller; none if the
    /// session has gone meanwhile.
    pub fn arrive(self, arrival: Arrival) -> Option<Vec<(CoordinatorId, Handle)>> {
        let Arrival { coordinator, handle, incarnation, count, tenancy, idle_timeout, now } = arrival;
        let (mut left, forgotten) = {
            let session = self.table.sessions.get_mut(&self.guid);
            let mut session = session.filter(|session| session.usage.over.is_none())?;
            let session = &mut *session;
            let (mobile, secret) = (session.usage.mobile.as_mut()?, session.secret?);
            if mobile.homes.is_empty() {
                mobile.homes.push((self.from, Handle { guid: self.guid, secret }));
            }
            let mut forgotten: Vec<_> =
                mobile.homes.extract_if(.., |(home, _)| *home == coordinator).collect();
            if mobile.homes.len() >= MOST_HOMES {
                forgotten.push(mobile.homes.remove(0));
            }
            mobile.homes.push((coordinator, handle));
            (mobile.incarnation, mobile.changed, mobile.changing) = (incarnation, None, None);
            session.coordinator = coordinator;
            (session.usage.count, session.usage.tenancy) = (Some(count), tenancy);
            session.usage.idle_timeout.moved(idle_timeout);
            session.usage.activity.note_answered(now);
            session.usage.activity.note_counted(true);
            (session.usage.operations.iter().copied().collect::<Vec<_>>(), forgotten)
        };
        left.sort_unstable();
        for operation in &left {
            self.table.close_operation(operation);
        }
        Some(forgotten)
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(mut session) = self.table.sessions.get_mut(&self.guid)
            && let Some(mobile) = &mut session.usage.mobile
        {
            mobile.moving = false;
        }
    }
}

#[cfg(test)]
mod tests;
