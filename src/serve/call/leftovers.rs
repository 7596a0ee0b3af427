//! Closes leftovers: what a session that moved leaves open on its former coordinators. The client's handle
//! still opens it there, so it is closed together with the session.

use tokio::time::timeout;

use crate::net::stream::Stream;
use crate::serve::call::conn::{Conn, SessionLeftover};
use crate::serve::call::links::{self, Unlinked};
use crate::serve::link::own_call::OwnCall;
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::serve::settings::MOVE_TIME;
use crate::wire::facts::Handle;
use crate::wire::method::Role;
use crate::wire::verdict::Verdict;

/// Returns the leftovers of the session that a request closes.
pub(crate) fn of_closed_session<S: Stream>(
    conn: &Conn<S>,
    request: &Request,
) -> Option<Box<[SessionLeftover]>> {
    let closes = request.method().role == Role::CloseSession;
    let moved = request.hold.as_ref().is_some_and(|hold| hold.moved);
    let session = request.facts().handle().filter(|_| closes && moved);
    let Handle { guid: session, .. } = session?;
    let leftovers = conn.fleet.table.leftovers(&session).into_iter();
    Some(leftovers.map(|leftover| SessionLeftover { session, leftover }).collect())
}

/// Closes the leftovers of sessions that were closed, or that came back to a coordinator where they had left
/// one. A leftover that cannot be reached ends with its links.
pub(crate) async fn close_leftovers<S: Stream>(conn: &mut Conn<S>) -> Result<(), End> {
    let leftovers = std::mem::take(&mut conn.leftovers);
    if leftovers.is_empty() {
        return Ok(());
    }
    let closing = async {
        for SessionLeftover { session, leftover } in leftovers {
            let Some(coordinator) = conn.fleet.cluster.coordinator(leftover.coordinator) else { continue };
            let close = OwnCall::Close(leftover.handle);
            let Some(request) = Request::own(&close.message()) else { continue };
            let link = match links::link_to(conn, &coordinator, conn.hs2(), &request).await {
                Ok(link) => link,
                Err(Unlinked::Client(end)) => return Err(end),
                Err(Unlinked::NoLink(_)) => continue,
            };
            let Some(answer) = conn.fleet.own_call(link, close).await else { continue };
            let verdict = answer.verdict(conn.fleet.cluster.flavor.family());
            if matches!(verdict, Verdict::Success | Verdict::NoSuchSession) {
                conn.fleet.table.note_leftover_closed(&session, &leftover);
            }
            answer.link.into_iter().for_each(|link| conn.links.put(link));
        }
        Ok(())
    };
    timeout(MOVE_TIME, closing).await.unwrap_or(Ok(()))
}
