//! What connections share of the sessions that move: which coordinators are left, who is to look for sessions there, and how
//! many sessions go at a time.

use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::cluster::rebalance::Shift;
use crate::cluster::{AdminState, Coordinator, Flavor};
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::settings::MoveSettings;
use crate::session::table::{Cause, Remaining};

/// Sessions that leave a coordinator ahead of time, at once. Each is one `OpenSession`; a burst of them shall not delay
/// those of clients.
const AT_ONCE: usize = 16;

/// One fleet's moves.
#[derive(Debug)]
pub(crate) struct Moves {
    pub(crate) settings: MoveSettings,
    /// A session has arrived, or stays after all.
    pub(crate) ended: Notify,
    pub(crate) going: Semaphore,
    /// Sessions that shall go from one coordinator to another now.
    shifts: Mutex<Vec<Shift>>,
}

impl<S: Stream> Fleet<S> {
    /// The sessions that are still on a coordinator, and why they stay, `most` of them; those with open operations first.
    pub fn waited_for(&self, coordinator: CoordinatorId, now: Instant, most: usize) -> Vec<Remaining> {
        let cause = Cause::Leaves { now, cooldown: self.moves.settings.cooldown };
        self.table.remaining(coordinator, cause, most)
    }

    /// Looks which coordinators are to be left; true if there is one that was not before.
    pub(crate) fn look_who_is_left(&self) -> bool {
        let stays = |one: &Coordinator| one.state() == AdminState::Active && one.quiescing_since().is_none();
        let members = self.members();
        // With nowhere to go, nobody leaves.
        let somewhere = self.moves.are_on() && members.iter().any(|member| stays(&member.coordinator));
        let mut news = false;
        for member in members.iter() {
            let is_left = somewhere && !stays(&member.coordinator);
            news |= !member.leave(is_left) && is_left;
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
            shifts: Mutex::default(),
        }
    }

    /// Whether sessions move at all.
    pub(crate) fn are_on(&self) -> bool {
        self.settings.idle_sessions
    }

    /// What has sessions go back where they are missed, in place of what was left of the last time.
    pub(crate) fn shift(&self, shifts: Vec<Shift>) {
        *self.shifts.lock() = shifts;
    }

    /// Whether a session shall go from a coordinator to another.
    pub(crate) fn shifts_from(&self, from: CoordinatorId) -> bool {
        self.shifts.lock().iter().any(|shift| shift.from == from)
    }

    /// Where one session shall go from a coordinator; it is then counted as gone.
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

    /// Tells the calls that wait for a session, when this is dropped, to look again.
    pub(crate) fn ending(&self) -> Ending<'_> {
        Ending(&self.ended)
    }
}

/// A move that is about to end.
pub(crate) struct Ending<'a>(&'a Notify);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}
