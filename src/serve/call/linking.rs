//! The link that a call is sent on: one that is idle, one that is dialed, or one that it waits for.

use std::sync::Arc;

use crate::cluster::Coordinator;
use crate::cluster::room::{Holder, Kind};
use crate::cluster::turns::Turn;
use crate::ids::Service;
use crate::net::stream::{Seen, Stream};
use crate::serve::call::braking;
use crate::serve::call::conn::Conn;
use crate::serve::link::Link;
use crate::serve::link::dial::Unreached;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::slot::Grant;
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::message::end::End;
use crate::serve::message::request::Request;
use crate::session::retry::wants_live_link;
use crate::wire::method::{Method, Retry};

/// The link to a coordinator's service; dialed if there is none. Waits if there is no room for it.
///
/// # Errors
/// The client left while it waited.
pub(in crate::serve) async fn link_to<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Arc<Coordinator>,
    service: Service,
    request: &Request,
) -> Result<Result<Box<Link<S>>, NoLink>, End> {
    if let Some(link) = conn.links.take(coordinator.id, service, see(request.method())) {
        return Ok(Ok(link));
    }
    let port = conn.fleet.port(coordinator, service);
    match port.and_then(|port| port.claim(holder_for(conn, request), request.purpose, Kind::Idle)) {
        Some(Grant::Link(link)) if see(request.method())(&link.stream) == Seen::Nothing => {
            return Ok(Ok(link));
        }
        // Boxed: few calls dial.
        Some(grant) => return Box::pin(link_of(conn, grant, request.method())).await,
        None => {}
    }
    Box::pin(new_link(conn, coordinator, service, request)).await
}

/// A link that is not there yet: one that is dialed, or was granted after a wait. What can go elsewhere does not wait where
/// nothing is answered any more.
async fn new_link<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Arc<Coordinator>,
    service: Service,
    request: &Request,
) -> Result<Result<Box<Link<S>>, NoLink>, End> {
    let Some(port) = conn.fleet.port(coordinator, service) else {
        return Ok(Err(Unreached::Removed.into()));
    };
    let turn = Turn::of(conn.links.identity(), conn.client.address);
    let identity = conn.links.identity().clone();
    let who = (Holder { identity: &identity, ..holder_for(conn, request) }, turn);
    let client = &conn.client;
    let gone = async {
        tokio::select! {
            biased;
            () = client.stream.closed() => {}
            never = conn.links.ends() => match never {},
        }
    };
    let granted = waiting::link(&port, who, request.purpose, gone);
    let granted = if request.method().retry == Retry::NextCandidate {
        let speaks = conn.framing.speaks();
        let waited = port.watch.answer(speaks, granted).await;
        waited.unwrap_or_else(|silent| Err(NotCalled::NoRoom(silent.into())))
    } else {
        granted.await
    };
    match granted {
        Ok(grant) => link_of(conn, grant, request.method()).await,
        Err(NotCalled::NoRoom(_)) if port.is_closed() => Ok(Err(Unreached::Removed.into())),
        Err(NotCalled::NoRoom(no_room)) => Ok(Err(no_room.into())),
        Err(NotCalled::ClientGone) => Err(End::client_gone()),
    }
}

/// Whose place the link of a request uses: its end may not be where its coordinator sees it, whoever sends it, and then
/// the link is held until that is sure.
fn holder_for<'a, S: Stream>(conn: &'a Conn<S>, request: &Request) -> Holder<'a> {
    let holder = conn.holder();
    if request.ends_for_sure() { holder } else { Holder { unproven: Some(conn.client.address), ..holder } }
}

/// The link that was granted, unless a look shows that it was closed: then, or if only a slot was granted, a new one, as
/// long as there is a client to dial for. For one that has only finished sending no login is begun or waited for.
pub(in crate::serve) async fn link_of<S: Stream>(
    conn: &mut Conn<S>,
    grant: Grant<S>,
    method: &Method,
) -> Result<Result<Box<Link<S>>, NoLink>, End> {
    let slot = match grant {
        Grant::Link(link) if see(method)(&link.stream) == Seen::Nothing => return Ok(Ok(link)),
        Grant::Link(link) => link.slot.renew(),
        Grant::Slot(slot) => slot,
    };
    let (logs_in, client) = (conn.links.logs_in(), &conn.client.stream);
    let gone = async { if logs_in { client.closed().await } else { client.gone().await } };
    let mut dialed = tokio::select! {
        biased;
        () = gone => return Err(End::client_gone()),
        dialed = conn.links.dial(slot, &conn.shared) => dialed,
    };
    if dialed.as_ref().is_err_and(NoLink::is_in_vain) {
        braking::note_in_vain(conn);
    }
    if let Ok(link) = dialed.as_mut()
        && link.service() == Service::Beeswax
    {
        let count = link.coordinator.count_session();
        conn.links.begin_beeswax(link, count, &conn.shared);
    }
    Ok(dialed)
}

/// How hard to look at a link before a call is sent on it.
fn see<S: Stream>(method: &Method) -> fn(&S) -> Seen {
    if wants_live_link(method.retry) { S::look } else { S::glance }
}
