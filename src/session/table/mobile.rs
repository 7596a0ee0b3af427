//! What a session needs to move, and what pins it to its coordinator.

use std::time::{Duration, Instant};

use crate::ids::CoordinatorId;
use crate::session::state::{State, Why};
use crate::session::statement::Effect;
use crate::wire::facts::{Guid, Handle};

/// How many leftovers of one session are remembered, the latest: older ones serve for profiles only.
pub(super) const MOST_LEFTOVERS: usize = 3;

/// What a session needs to move. Boxed in its entry: most sessions never do.
#[derive(Debug)]
pub(super) struct Mobile {
    state: State,
    /// Its coordinator's, when it came there.
    incarnation: u32,
    changed: Option<Change>,
    /// None until it moves.
    moved: Option<Box<Moved>>,
}

/// A change of data in a session.
#[derive(Debug)]
struct Change {
    /// When it was made, or the operation that made it was closed.
    at: Instant,
    /// The operation that made it, until it is closed.
    by: Option<Guid>,
}

/// What a session is that has moved.
#[derive(Debug)]
struct Moved {
    /// The handle that it has where it is.
    known_as: Handle,
    /// The latest last.
    leftovers: Vec<Leftover>,
    /// Where it was before, each once.
    earlier: Vec<CoordinatorId>,
}

/// A session that is still open on a coordinator from which it has moved away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Where that is.
    pub coordinator: CoordinatorId,
    /// What it is known by there.
    pub handle: Handle,
}

/// What a session is noted with that can move.
#[derive(Debug)]
pub struct Movable {
    /// What it is made of.
    pub state: State,
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
    /// It can never move (Beeswax, another flavor, located), is over, is being closed, or is another user's.
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

impl Mobile {
    /// Of a session that has never moved.
    pub(super) fn new(movable: Movable) -> Self {
        let Movable { state, incarnation } = movable;
        Self { state, incarnation, changed: None, moved: None }
    }

    /// Its coordinator's, when it came there.
    pub(super) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Whether it has ever moved.
    pub(super) fn has_moved(&self) -> bool {
        self.moved.is_some()
    }

    /// The handle that it has where it is. None if it has never moved: then it has its client's.
    pub(super) fn known_as(&self) -> Option<Handle> {
        self.moved.as_ref().map(|moved| moved.known_as)
    }

    /// Where it is still open besides, the latest last.
    pub(super) fn leftovers(&self) -> &[Leftover] {
        self.moved.as_ref().map_or(&[], |moved| &moved.leftovers)
    }

    /// Where it was before it moved, each once, in the order of its first stay.
    pub(super) fn earlier(&self) -> &[CoordinatorId] {
        self.moved.as_ref().map_or(&[], |moved| &moved.earlier)
    }

    /// What remains to be closed when it is gone where it is.
    pub(super) fn into_leftovers(self) -> Vec<Leftover> {
        self.moved.map(|moved| moved.leftovers).unwrap_or_default()
    }

    /// A leftover was closed.
    pub(super) fn note_closed(&mut self, leftover: &Leftover) {
        if let Some(moved) = &mut self.moved {
            moved.leftovers.retain(|known| known != leftover);
        }
    }

    /// The request that opens it again.
    ///
    /// # Errors
    /// It cannot be opened again.
    pub(super) fn request(&self) -> Result<&[u8], Pinned> {
        match &self.state {
            State::Known(request) => Ok(request),
            State::Unknown(why) => Err(Pinned::Unknown(*why)),
        }
    }

    /// Whether it changed data within `cooldown`.
    pub(super) fn has_changed_data(&self, now: Instant, cooldown: Duration) -> bool {
        let changed = self.changed.as_ref();
        changed.is_some_and(|change| now.saturating_duration_since(change.at) < cooldown)
    }

    /// A statement succeeded in it; `owner` is its coordinator now.
    pub(super) fn note_effect(&mut self, done: &Done<'_>, owner: CoordinatorId) {
        match done.effect {
            Effect::Changes => self.changed = Some(Change { at: done.now, by: done.operation }),
            // It came through on a coordinator that was given up for lost: what holds now is not known.
            _ if owner != done.coordinator => self.state = State::Unknown(Why::Statement),
            effect => self.state.apply(effect),
        }
    }

    /// An operation of it is about to be closed.
    pub(super) fn note_closing(&mut self, operation: &Guid, now: Instant) {
        if self.changed.as_ref().is_some_and(|change| change.by.as_ref() == Some(operation)) {
            self.changed = Some(Change { at: now, by: None });
        }
    }

    /// It is opened on another coordinator and stays open where it was. Returns the leftovers that are
    /// forgotten: any on the new coordinator, and the oldest if there are too many.
    pub(super) fn arrive(&mut self, from: Leftover, to: Leftover, incarnation: u32) -> Vec<Leftover> {
        let moved = self.moved.take().map(|moved| (moved.leftovers, moved.earlier));
        let (mut leftovers, mut earlier) = moved.unwrap_or_default();
        if !earlier.contains(&from.coordinator) {
            earlier.push(from.coordinator);
        }
        leftovers.push(from);
        let on_it = |known: &mut Leftover| known.coordinator == to.coordinator;
        let mut forgotten: Vec<_> = leftovers.extract_if(.., on_it).collect();
        if leftovers.len() > MOST_LEFTOVERS {
            forgotten.push(leftovers.remove(0));
        }
        self.moved = Some(Box::new(Moved { known_as: to.handle, leftovers, earlier }));
        (self.incarnation, self.changed) = (incarnation, None);
        forgotten
    }
}
