//! What became of the coordinators that were tried for a new session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::cluster::{Coordinator, Demand};
use crate::net::stream::Stream;
use crate::serve::call::outcome::Answered;
use crate::serve::fleet::candidates::Candidates;
use crate::serve::link::lost::Lost;
use crate::serve::link::no_link::NoLink;
use crate::session::retry::sql_state;
use crate::wire::hs2::reply::SqlState;

/// The results of the candidates so far.
pub(super) struct Tried<S: Stream> {
    /// What was demanded of them, if that is known.
    pub(super) demand: Option<Demand>,
    /// When to stop waiting for room.
    pub(super) room_by: Instant,
    /// When to give up the open; none before the first coordinator is tried.
    open_by: Option<Instant>,
    /// The coordinators that were tried, and how each failed.
    pub(super) candidates: Candidates,
    /// The SQL state of the last failure.
    pub(super) sql_state: Option<SqlState>,
    /// The last coordinator that turned the session away, and its answer. If no coordinator takes the
    /// session, the client gets this answer unchanged.
    pub(super) answer: Option<(Arc<Coordinator>, Answered<S>)>,
    /// Whether the last one needs a fresh ticket of Kerberos, and the client has none left.
    pub(super) needs_ticket: bool,
    /// The coordinators that lost the open. The next answer shows whose fault that was: a request can make
    /// every coordinator hang up, but if one answers it, the others should have, too.
    pub(super) lost: Vec<Arc<Coordinator>>,
}

impl<S: Stream> Tried<S> {
    /// Creates the state for an open that waits for room until `room_by`.
    pub(super) fn new(room_by: Instant) -> Self {
        Self {
            demand: None,
            room_by,
            open_by: None,
            candidates: Candidates::default(),
            sql_state: None,
            answer: None,
            needs_ticket: false,
            lost: Vec::new(),
        }
    }

    /// Starts the time for the open with its first coordinator; returns when it is over.
    pub(super) fn open_by(&mut self, open_timeout: Duration) -> Instant {
        *self.open_by.get_or_insert_with(|| clock::now() + open_timeout)
    }

    /// Returns whether no other coordinator is to be tried: the time for the open is over, or there is nothing
    /// left to prove the user with.
    pub(super) fn is_over(&self) -> bool {
        self.needs_ticket || self.open_by.is_some_and(|open_by| clock::now() >= open_by)
    }

    /// Notes that there was no link to a coordinator.
    pub(super) fn no_link(&mut self, coordinator: &Coordinator, no_link: &NoLink) {
        self.sql_state = Some(sql_state(no_link.phase()));
        self.candidates.note_failed(coordinator, no_link);
        self.needs_ticket = matches!(no_link, NoLink::TicketNeeded);
    }

    /// Notes that a coordinator lost the open.
    pub(super) fn lost(&mut self, coordinator: Arc<Coordinator>, lost: &Lost) {
        self.sql_state = Some(sql_state(lost.phase));
        self.candidates.note_failed(&coordinator, &lost.cause);
        if lost.cause.speaks_against_coordinator() {
            self.lost.push(coordinator);
        }
    }
}
