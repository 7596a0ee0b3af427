//! Moves sessions of an idle connection ahead of time: off coordinators that they must leave, back to one that
//! has returned, and to where operators want them.

use std::sync::Arc;

use tokio::time::timeout;

use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::leftovers;
use crate::serve::call::moving::{NotMoved, cause_to_leave, move_session, take_away};
use crate::serve::message::end::End;
use crate::serve::settings::MOVE_TIME;
use crate::wire::facts::Guid;

/// Moves the sessions of this connection that are to be elsewhere, until the client sends something.
pub(crate) async fn leave_coordinators<S: Stream>(conn: &mut Conn<S>) -> Result<(), End> {
    let fleet = Arc::clone(&conn.fleet);
    if !fleet.moves.wishes.is_empty() {
        go_where_wanted(conn).await?;
    }
    for coordinator in fleet.cluster.coordinators().iter().map(|coordinator| coordinator.id) {
        let leaves = fleet.sessions_must_leave(coordinator);
        if !leaves && !fleet.moves.shifts_from(coordinator) {
            continue;
        }
        for session in conn.attached.on(coordinator) {
            if conn.client.has_sent() || fleet.forbids(conn.links.access(), coordinator) {
                return Ok(());
            }
            if leaves {
                take_away(conn, &session, coordinator).await?;
            } else if fleet.table.may_leave(&session, cause_to_leave(conn)).is_ok() {
                let Some(to) = fleet.moves.take_shift(coordinator) else { break };
                // Whatever comes of it: the next look decides anew.
                let _moved = moved_to(conn, &session, coordinator, Some(to)).await?;
            }
        }
    }
    leftovers::close_leftovers(conn).await
}

/// Moves those sessions of this connection that operators want elsewhere, and says what came of it.
async fn go_where_wanted<S: Stream>(conn: &mut Conn<S>) -> Result<(), End> {
    let fleet = Arc::clone(&conn.fleet);
    for session in conn.attached.sessions() {
        let Some(from) = fleet.table.session_owner(&session) else { continue };
        // Another connection may do it.
        let may = conn.links.may_move_sessions() && !fleet.forbids(conn.links.access(), from);
        if !may || !fleet.moves.wishes.is_waited_for(&session) {
            continue;
        }
        // No more than a few move at a time. The others are looked at again.
        let Ok(Ok(permit)) = timeout(MOVE_TIME, fleet.moves.going.acquire()).await else { return Ok(()) };
        if conn.client.has_sent() || conn.client.has_closed() {
            return Ok(());
        }
        let Some(wanted) = fleet.moves.wishes.begin(&session) else { continue };
        let moved = moved_to(conn, &session, from, wanted.to).await;
        drop(permit);
        let came = match &moved {
            Ok(moved) => moved.clone(),
            Err(_) => Err("its connection has ended".to_owned()),
        };
        fleet.moves.wishes.end(&session, wanted, came);
        moved?.ok();
    }
    Ok(())
}

/// Moves a session to one coordinator, or to the best; returns where it is, or why it stays.
async fn moved_to<S: Stream>(
    conn: &mut Conn<S>,
    session: &Guid,
    from: CoordinatorId,
    to: Option<CoordinatorId>,
) -> Result<Result<CoordinatorId, String>, End> {
    let all = conn.fleet.cluster.coordinators();
    let others = all.iter().map(|one| one.id).filter(|one| *one != from && to.is_some_and(|to| to != *one));
    let avoided = std::iter::once(from).chain(others).collect();
    match move_session(conn, session, avoided, cause_to_leave(conn)).await {
        Ok(coordinator) => Ok(Ok(coordinator.id)),
        Err(NotMoved::Client(end)) => Err(end),
        Err(why) => Ok(Err(why.to_string())),
    }
}
