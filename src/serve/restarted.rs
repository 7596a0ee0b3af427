//! A coordinator says that it has no such session. Either it has ended the session, and then nothing is to be done about it; or
//! it is another process than the one that had it, and then the session can be opened again.

use super::calls::Calls;
use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::wire::facts::Guid;

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
