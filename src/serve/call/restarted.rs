//! Finds out whether a coordinator was restarted. A coordinator that says that it has no such session has
//! either ended the session, and then nothing can be done; or it is another process than the one that had it,
//! and then the session can be opened again.

use crate::clock;
use crate::cluster::Coordinator;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::wire::facts::Guid;

/// Returns whether a coordinator that says that it has no such session is another process than the one that
/// had it. If its web port is polled, that is asked now; if the port does not tell when the process was
/// started, the state of the links decides.
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
    // Asked first: a poll that ends between the two questions tells both.
    let is_told = coordinator.told_start_since(asked);
    former() || !is_told && has_lost_links(conn, session, coordinator)
}

/// Returns whether every link to a session's port has broken since the session was last answered there. A
/// session that was without links for longer than its coordinator keeps such sessions was closed by the
/// coordinator, so it does not count.
fn has_lost_links<S: Stream>(conn: &Conn<S>, session: &Guid, coordinator: &Coordinator) -> bool {
    let (activity, service) = (conn.fleet.table.activity(session), conn.fleet.table.session_port(session));
    let port = service.and_then(|service| conn.fleet.port(coordinator, service));
    let (Some(activity), Some(port), Some(upkeep)) = (activity, port, conn.fleet.room.upkeep) else {
        return false;
    };
    let answered = activity.answered();
    let since = clock::now().saturating_duration_since(answered);
    since < upkeep.disconnected_session_timeout && port.all_broke_since(answered)
}
