//! A coordinator is another process than before. Sessions of the former one count no more. If it says that it has no such
//! session, either it has ended the session, and then nothing is to be done about it; or it is another process than the one
//! that had it, and then the session can be opened again.

use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::wire::facts::Guid;

/// Whether the coordinator that says that it has no such session is another process than the one that had it. If its
/// web port is polled, it is asked now; if that does not tell when it was started, the links to it have the word.
pub(crate) async fn was_restarted<S: Stream>(
    conn: &Conn<S>,
    session: &Guid,
    coordinator: &Coordinator,
) -> bool {
    let former = || conn.fleet.table.is_of_former_incarnation(session, coordinator.incarnation());
    if former() {
        return true;
    }
    let asked = clock::now();
    conn.fleet.poll_now(coordinator).await;
    former() || !coordinator.told_start_since(asked) && has_lost_links(conn, session, coordinator)
}

/// Whether every link to a coordinator has broken since the session was last answered there. One that has been without
/// links for longer than its coordinator keeps it was closed by that.
fn has_lost_links<S: Stream>(conn: &Conn<S>, session: &Guid, coordinator: &Coordinator) -> bool {
    let activity = conn.fleet.table.activity(session);
    let port = conn.fleet.port(coordinator, Service::Hs2);
    let (Some(activity), Some(port), Some(upkeep)) = (activity, port, conn.fleet.room.upkeep) else {
        return false;
    };
    let answered = activity.answered();
    let since = clock::now().saturating_duration_since(answered);
    since < upkeep.disconnected_session_timeout && port.all_broke_since(answered)
}
