//! The coordinators that were tried for a new session, and what came of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::{Answered, Lost};
use super::link::NoLink;
use super::queue::NoRoom;
use super::refuse::Reasons;
use crate::clock;
use crate::cluster::{Coordinator, Demand};
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::session::retry::sql_state;
use crate::wire::hs2::reply::SqlState;

/// What came of the candidates so far.
pub(super) struct Tried<S: Stream> {
    /// What was wanted of them, where that can be told.
    pub(super) demand: Option<Demand>,
    /// When it is too late to wait for room.
    pub(super) room_by: Instant,
    /// When it is too late to be opened; none before the first coordinator is tried.
    pub(super) open_by: Option<Instant>,
    /// Why it was not waited for others any longer.
    pub(super) no_room: Option<NoRoom>,
    pub(super) coordinators: Vec<CoordinatorId>,
    /// What came of each, for the client.
    pub(super) reasons: Reasons,
    /// What kind of failure the last one was.
    pub(super) sql_state: Option<SqlState>,
    /// The last answer of one that turned it away: if nobody takes it, the client gets it as it came.
    pub(super) answer: Option<(Arc<Coordinator>, Answered<S>)>,
    /// Those that lost the open. Whose fault that was, the next one's answer tells: a client can send what makes every
    /// coordinator hang up, but nothing that one answers and another does not.
    pub(super) lost: Vec<Arc<Coordinator>>,
}

impl<S: Stream> Tried<S> {
    /// None was tried; until when it is worth waiting for room.
    pub(super) fn new(room_by: Instant) -> Self {
        Self {
            demand: None,
            room_by,
            open_by: None,
            no_room: None,
            coordinators: Vec::new(),
            reasons: Reasons::default(),
            sql_state: None,
            answer: None,
            lost: Vec::new(),
        }
    }

    /// One more coordinator is tried; until when the session may be opened, there or elsewhere.
    pub(super) fn begin(&mut self, coordinator: CoordinatorId, open_timeout: Duration) -> Instant {
        self.coordinators.push(coordinator);
        *self.open_by.get_or_insert_with(|| clock::now() + open_timeout)
    }

    /// Whether the time for the open is over.
    pub(super) fn is_over(&self) -> bool {
        self.open_by.is_some_and(|open_by| clock::now() >= open_by)
    }

    /// There was no link to this one.
    pub(super) fn no_link(&mut self, coordinator: &Coordinator, no_link: &NoLink) {
        self.sql_state = Some(sql_state(no_link.phase()));
        self.reasons.push(coordinator, no_link);
    }

    /// This one lost the open.
    pub(super) fn lost(&mut self, coordinator: Arc<Coordinator>, lost: &Lost) {
        self.sql_state = Some(sql_state(lost.phase));
        self.reasons.push(&coordinator, &lost.cause);
        if lost.cause.speaks_against_coordinator() {
            self.lost.push(coordinator);
        }
    }
}
