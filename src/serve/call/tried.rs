//! The coordinators that were tried for a new session, and what came of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::cluster::{Coordinator, Demand};
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::call::outcome::Answered;
use crate::serve::call::refuse::Reasons;
use crate::serve::link::lost::Lost;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::waiting::NoRoom;
use crate::session::retry::sql_state;
use crate::wire::hs2::reply::SqlState;

/// What came of the candidates so far.
pub(crate) struct Tried<S: Stream> {
    /// What was wanted of them, where that can be told.
    pub(crate) demand: Option<Demand>,
    /// When it is too late to wait for room.
    pub(crate) room_by: Instant,
    /// When it is too late to be opened; none before the first coordinator is tried.
    pub(crate) open_by: Option<Instant>,
    /// Why it was not waited for others any longer.
    pub(crate) no_room: Option<NoRoom>,
    pub(crate) coordinators: Vec<CoordinatorId>,
    /// What came of each, for the client.
    pub(crate) reasons: Reasons,
    /// What kind of failure the last one was.
    pub(crate) sql_state: Option<SqlState>,
    /// The last answer of one that turned it away: if nobody takes it, the client gets it as it came.
    pub(crate) answer: Option<(Arc<Coordinator>, Answered<S>)>,
    /// Those that lost the open. Whose fault that was, the next one's answer tells: a client can send what makes every
    /// coordinator hang up, but nothing that one answers and another does not.
    pub(crate) lost: Vec<Arc<Coordinator>>,
}

impl<S: Stream> Tried<S> {
    /// None was tried; until when it is worth waiting for room.
    pub(crate) fn new(room_by: Instant) -> Self {
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
    pub(crate) fn begin(&mut self, coordinator: CoordinatorId, open_timeout: Duration) -> Instant {
        self.coordinators.push(coordinator);
        *self.open_by.get_or_insert_with(|| clock::now() + open_timeout)
    }

    /// Whether the time for the open is over.
    pub(crate) fn is_over(&self) -> bool {
        self.open_by.is_some_and(|open_by| clock::now() >= open_by)
    }

    /// There was no link to this one.
    pub(crate) fn no_link(&mut self, coordinator: &Coordinator, no_link: &NoLink) {
        self.sql_state = Some(sql_state(no_link.phase()));
        self.reasons.push(coordinator, no_link);
    }

    /// This one lost the open.
    pub(crate) fn lost(&mut self, coordinator: Arc<Coordinator>, lost: &Lost) {
        self.sql_state = Some(sql_state(lost.phase));
        self.reasons.push(&coordinator, &lost.cause);
        if lost.cause.speaks_against_coordinator() {
            self.lost.push(coordinator);
        }
    }
}
