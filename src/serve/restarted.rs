//! A coordinator is another process than before. Sessions of the former one count no more. If it says that it has no such
//! session, either it has ended the session, and then nothing is to be done about it; or it is another process than the one
//! that had it, and then the session can be opened again.

use std::time::Instant;

use super::calls::Calls;
use super::shared::Fleet;
use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::wire::facts::Guid;

impl<S: Stream> Fleet<S> {
    /// Another process answers than the one that last told at a moment when it was started: what was answered until then was
    /// answered by the former one, and so was what was answered before all links broke. Who was answered between that moment
    /// and now may have been answered by either.
    pub(super) fn note_restarted(&self, coordinator: &Coordinator, told: Option<Instant>) {
        let pool = self.pool(coordinator, Service::Hs2);
        let breaks = pool.map(|pool| pool.breaks()).unwrap_or_default();
        self.note_process_ended(coordinator, |answered| {
            told.is_some_and(|told| answered <= told) || breaks.all_since(answered)
        });
    }

    /// Sessions count no more at coordinators to which all links of their time have broken since this was done last.
    pub(super) fn note_breaks(&self) {
        for coordinator in &self.cluster.coordinators {
            let news = self.pool(coordinator, Service::Hs2).and_then(|pool| pool.news_of_breaks());
            if let Some(breaks) = news {
                self.note_process_ended(coordinator, |answered| breaks.all_since(answered));
            }
        }
    }

    /// Sessions that are gone with the process that had them, by when they were answered last, count no more.
    pub(super) fn note_process_ended(&self, coordinator: &Coordinator, is_gone: impl Fn(Instant) -> bool) {
        let ended = self.table.note_process_ended(coordinator.id, is_gone);
        if ended > 0 {
            tracing::info!(cluster = %self.cluster.name, coordinator = %coordinator.name, ended, "sessions of a process that has ended count no more");
        }
    }
}

impl<S: Stream> Calls<S> {
    /// Whether the coordinator that says that it has no such session is another process than the one that had it. If its
    /// web port is polled, it is asked now; if that does not tell when it was started, the links to it have the word.
    pub(super) async fn was_restarted(&self, session: &Guid, coordinator: &Coordinator) -> bool {
        let former = || self.fleet.table.is_of_former_incarnation(session, coordinator.incarnation());
        if former() {
            return true;
        }
        let asked = clock::now();
        self.fleet.poll_now(coordinator).await;
        former() || !coordinator.told_start_since(asked) && self.has_lost_links(session, coordinator)
    }

    /// Whether every link to a coordinator has broken since the session was last answered there. One that has been without
    /// links for longer than its coordinator keeps it was closed by that.
    fn has_lost_links(&self, session: &Guid, coordinator: &Coordinator) -> bool {
        let activity = self.fleet.table.activity(session);
        let pool = self.fleet.pool(coordinator, Service::Hs2);
        let (Some(activity), Some(pool), Some(upkeep)) = (activity, pool, self.fleet.room.upkeep) else {
            return false;
        };
        let answered = activity.answered();
        let since = clock::now().saturating_duration_since(answered);
        since < upkeep.disconnected_session_timeout && pool.all_broke_since(answered)
    }
}
