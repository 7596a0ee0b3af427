//! What connections share about sessions that move: which coordinators sessions must leave, where they go,
//! and how many move at a time.

use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::cluster::rebalance::Shift;
use crate::cluster::{AdminState, Coordinator, Flavor};
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::wishes::Wishes;
use crate::serve::settings::MoveSettings;
use crate::session::table::{Cause, Remaining};

/// The most sessions that move at the same time without a call waiting for the move. Each move is an
/// `OpenSession`, and a burst of them must not delay those of clients.
const AT_ONCE: usize = 16;

/// The moves of a fleet's sessions.
#[derive(Debug)]
pub(crate) struct Moves {
    pub(crate) settings: MoveSettings,
    /// Notified when a session has moved, or stays after all.
    pub(crate) ended: Notify,
    /// A permit for each session that may move now without a call waiting for the move.
    pub(crate) going: Semaphore,
    /// The sessions that operators want elsewhere.
    pub(crate) wishes: Wishes,
    /// How many sessions must now go from one coordinator to another.
    shifts: Mutex<Vec<Shift>>,
}

impl<S: Stream> Fleet<S> {
    /// Up to `most` of the sessions that are still on a coordinator, and why each stays. Those with open
    /// operations come first.
    pub fn waited_for(&self, coordinator: CoordinatorId, now: Instant, most: usize) -> Vec<Remaining> {
        self.table.remaining(coordinator, self.cause_to_leave(now), most)
    }

    /// The cause for which sessions would leave a coordinator that is drained.
    pub fn cause_to_leave(&self, now: Instant) -> Cause {
        Cause::Leaves { now, cooldown: self.moves.settings.cooldown }
    }

    /// The name of a coordinator; empty if it is no longer one of the cluster's.
    pub fn name_of(&self, coordinator: CoordinatorId) -> String {
        self.cluster.coordinator(coordinator).map(|one| one.name.to_string()).unwrap_or_default()
    }

    /// Determines which coordinators sessions must leave. Returns true if there is one that they did not have
    /// to leave before.
    pub(crate) fn look_where_sessions_must_leave(&self) -> bool {
        let stays = |one: &Coordinator| one.state() == AdminState::Active && one.quiescing_since().is_none();
        let members = self.members();
        // If there is no coordinator to go to, sessions stay.
        let somewhere = self.moves.are_on()
            && members.iter().any(|member| stays(&member.coordinator) && member.coordinator.is_wanted());
        let mut news = false;
        for member in members.iter() {
            let must = somewhere && !stays(&member.coordinator);
            news |= !member.have_sessions_leave(must) && must;
        }
        news
    }
}

impl Moves {
    pub(crate) fn new(flavor: Flavor, settings: MoveSettings) -> Self {
        let idle_sessions = settings.idle_sessions && flavor.sessions_move();
        Self {
            settings: MoveSettings { idle_sessions, ..settings },
            ended: Notify::new(),
            going: Semaphore::new(AT_ONCE),
            wishes: Wishes::default(),
            shifts: Mutex::default(),
        }
    }

    /// Whether sessions of this cluster move at all.
    pub(crate) fn are_on(&self) -> bool {
        self.settings.idle_sessions
    }

    /// Sets how many sessions must go back to which coordinators, in place of what was left of the last time.
    pub(crate) fn shift(&self, shifts: Vec<Shift>) {
        *self.shifts.lock() = shifts;
    }

    /// Whether sessions must go from this coordinator to another.
    pub(crate) fn shifts_from(&self, from: CoordinatorId) -> bool {
        self.shifts.lock().iter().any(|shift| shift.from == from)
    }

    /// Returns where one session must go from this coordinator, and counts it as gone.
    pub(crate) fn take_shift(&self, from: CoordinatorId) -> Option<CoordinatorId> {
        let mut shifts = self.shifts.lock();
        let at = shifts.iter().position(|shift| shift.from == from)?;
        let shift = shifts.get_mut(at)?;
        let to = shift.to;
        shift.sessions -= 1;
        if shift.sessions == 0 {
            shifts.remove(at);
        }
        Some(to)
    }

    /// Returns a guard that, when it is dropped, tells the calls that wait for a session to check again.
    pub(crate) fn ending(&self) -> Ending<'_> {
        Ending(&self.ended)
    }
}

/// A move that is about to end. Dropping this wakes the calls that wait for it.
pub(crate) struct Ending<'a>(&'a Notify);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}
