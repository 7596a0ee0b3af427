//! Opens the session of a Beeswax connection.

use std::sync::Arc;

use crate::ids::Service;
use crate::metrics::{CallOutcome, SessionOutcome};
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::forward;
use crate::serve::call::links::{self, Unlinked};
use crate::serve::call::open::{count_open, next, refuse_open, room_by};
use crate::serve::call::tried::Tried;
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::retry::{Remedy, remedy};
use crate::wire::method::Retry;

/// Opens the session of a Beeswax connection, which begins with its first call.
pub(crate) async fn open_beeswax<S: Stream>(
    conn: &mut Conn<S>,
    request: &mut Request,
) -> Result<CallOutcome, End> {
    let mut tried = Tried::new(room_by(conn));
    while let Some(mut candidate) = next(conn, Service::Beeswax, &mut tried).await? {
        let coordinator = Arc::clone(candidate.coordinator());
        tried.open_by(conn.shared.settings.open_timeout);
        match links::link_for(conn, &mut candidate, Service::Beeswax, request).await {
            Ok(mut link) => {
                // A link that was only logged in becomes a session now; a link that was dialed for this call
                // already is one.
                if link.session.is_none() {
                    let count = candidate.opening.into_session();
                    links::begin_beeswax(conn, &mut link, count);
                }
                conn.past.beeswax = Some(coordinator.id);
                conn.name_span(&coordinator, None);
                conn.links.put(link);
                count_open(conn, &coordinator, SessionOutcome::Opened);
                return forward::forward(conn, request, coordinator, Service::Beeswax).await;
            }
            Err(Unlinked::Client(end)) => return Err(end),
            Err(Unlinked::NoLink(no_link)) => {
                tried.no_link(&coordinator, &no_link);
                if remedy(Retry::NextCandidate, no_link.phase(), 0) != Remedy::NextCandidate {
                    break;
                }
            }
        }
    }
    refuse_open(conn, request, Service::Beeswax, &tried).await
}
