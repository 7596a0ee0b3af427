//! The link that a call is sent on: one that is idle, one that is dialed, or one that it waits for.

use std::sync::Arc;

use crate::cluster::Coordinator;
use crate::cluster::room::{Holder, Kind};
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::call::braking;
use crate::serve::call::conn::Conn;
use crate::serve::link::Link;
use crate::serve::link::dial::Unreached;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::slot::{Grant, Slot};
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::message::end::End;
use crate::serve::message::link_end::Look;
use crate::serve::message::request::Request;
use crate::session::retry::wants_live_link;
use crate::wire::method::{Method, Retry};

/// The link to a coordinator's service; dialed if there is none. Waits if there is no room for it.
///
/// # Errors
/// The client left while it waited.
pub(crate) async fn link_to<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Arc<Coordinator>,
    service: Service,
    request: &Request,
) -> Result<Result<Box<Link<S>>, NoLink>, End> {
    if let Some(link) = conn.links.take(coordinator.id, service, look(request.method())) {
        return Ok(Ok(link));
    }
    let port = conn.fleet.port(coordinator, service);
    let grant = port.and_then(|port| port.claim(holder_for(conn, request), request.purpose, Kind::Idle));
    // Boxed: few calls dial.
    if let Some(grant) = grant {
        return match grant.live(look(request.method())) {
            Ok(link) => Ok(Ok(link)),
            Err(slot) => Box::pin(dial(conn, slot)).await,
        };
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
    let turn = conn.turn();
    let access = conn.links.access().clone();
    let who = (Holder { access: &access, ..holder_for(conn, request) }, turn);
    let (client, speaks) = (&conn.client, conn.links.speaks());
    let gone = async {
        tokio::select! {
            biased;
            () = client.closed() => {}
            never = conn.links.ends() => match never {},
        }
    };
    let granted = waiting::link(&port, who, request.purpose, gone);
    let granted = if request.method().retry == Retry::NextCandidate {
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
    if request.ends_for_sure() { holder } else { Holder { unproven: Some(conn.client.address()), ..holder } }
}

/// The link that was granted, unless a look shows that it was closed: then, or if only a slot was granted, a new one.
pub(crate) async fn link_of<S: Stream>(
    conn: &mut Conn<S>,
    grant: Grant<S>,
    method: &Method,
) -> Result<Result<Box<Link<S>>, NoLink>, End> {
    match grant.live(look(method)) {
        Ok(link) => Ok(Ok(link)),
        Err(slot) => dial(conn, slot).await,
    }
}

/// A new link, as long as there is a client to dial for. For one that has only finished sending no login is begun or waited
/// for.
async fn dial<S: Stream>(conn: &mut Conn<S>, slot: Slot<S>) -> Result<Result<Box<Link<S>>, NoLink>, End> {
    let (logs_in, client) = (conn.links.logs_in(), &conn.client);
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
fn look(method: &Method) -> Look {
    if wants_live_link(method.retry) { Look::Closely } else { Look::Briefly }
}
