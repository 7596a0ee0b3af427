//! What sessions that moved leave behind. It is open by a handle that their clients have, so it is closed when they are.

use tokio::time::timeout;

use super::calls::Calls;
use super::end::End;
use super::exchange::Trouble;
use super::incoming::Deliver;
use super::moving::MOVE_TIME;
use super::request::Request;
use crate::ids::{CoordinatorId, Service};
use crate::net::stream::Stream;
use crate::wire::facts::{Guid, Handle};
use crate::wire::hs2::request::close_session;
use crate::wire::method::Role;
use crate::wire::verdict::Verdict;

/// What a session left behind.
pub(super) struct Left {
    /// By its client's handle.
    pub(super) session: Guid,
    /// Where, and under which handle there.
    pub(super) home: (CoordinatorId, Handle),
}

impl<S: Stream> Calls<S> {
    /// Where the session was before that a request closes.
    pub(super) fn former_homes(&self, request: &Request) -> Option<Box<[Left]>> {
        let closes = request.method().role == Role::CloseSession;
        let moved = request.seat.as_ref().is_some_and(|seat| seat.moved);
        let session = request.facts().handle().filter(|_| closes && moved);
        let Handle { guid: session, .. } = session?;
        let homes = self.fleet.table.former_homes(&session).into_iter();
        Some(homes.map(|home| Left { session, home }).collect())
    }

    /// Closes sessions where they are of no more use: what is left of one that its client has closed where it is now, whose
    /// handle would still open it there, or that came back to a coordinator. What cannot be reached ends with its links.
    pub(super) async fn close_forgotten(&mut self) -> Result<(), End> {
        let forgotten = std::mem::take(&mut self.forgotten);
        if forgotten.is_empty() {
            return Ok(());
        }
        let closing = async {
            for Left { session, home: (home, handle) } in forgotten {
                let Some(coordinator) = self.fleet.cluster.coordinator(home).cloned() else { continue };
                let message = close_session(&handle, 1);
                let Some(mut request) = Request::own(&message, self.framing) else {
                    continue;
                };
                let Ok(link) = self.link_to(&coordinator, Service::Hs2, &request).await? else {
                    continue;
                };
                match self.exchange(link, &mut request, Deliver::WhenWhole).await {
                    Ok(answered) => {
                        let judged = self.verdict(request.method(), answered.reply.facts());
                        if matches!(judged, Verdict::Success | Verdict::NoSuchSession) {
                            self.fleet.table.note_left(&session, home, &handle);
                        }
                        answered.link.into_iter().for_each(|link| self.links.put(link));
                    }
                    Err(Trouble::Client(end)) => return Err(end),
                    Err(Trouble::Link(_)) => {}
                }
            }
            Ok(())
        };
        timeout(MOVE_TIME, closing).await.unwrap_or(Ok(()))
    }
}
