//! Gets the link for a call: an idle one, a newly dialed one, or one that the call waits for.

use std::sync::Arc;

use crate::cluster::Coordinator;
use crate::cluster::room::{Holder, Kind};
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::call::braking;
use crate::serve::call::conn::Conn;
use crate::serve::fleet::candidates::Candidate;
use crate::serve::link::Link;
use crate::serve::link::dial::Unreached;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::port::Port;
use crate::serve::link::slot::{Grant, Slot};
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::message::end::End;
use crate::serve::message::link_end::Look;
use crate::serve::message::request::Request;
use crate::session::retry::wants_live_link;
use crate::wire::method::{Method, Retry};

/// Why a call has no link.
#[derive(Debug)]
pub(crate) enum Unlinked {
    /// The client's connection ends.
    Client(End),
    /// There is no link to the coordinator.
    NoLink(NoLink),
}

impl From<End> for Unlinked {
    fn from(end: End) -> Self {
        Self::Client(end)
    }
}

impl From<NoLink> for Unlinked {
    fn from(no_link: NoLink) -> Self {
        Self::NoLink(no_link)
    }
}

/// Returns the link to a candidate: the granted one, or one of the connection's own.
///
/// # Errors
/// The same as [`link_to`].
pub(crate) async fn link_for<S: Stream>(
    conn: &mut Conn<S>,
    candidate: &mut Candidate<S>,
    service: Service,
    request: &Request,
) -> Result<Box<Link<S>>, Unlinked> {
    match candidate.grant.take() {
        Some(grant) => link_of(conn, grant, request.method()).await,
        None => link_to(conn, &Arc::clone(candidate.coordinator()), service, request).await,
    }
}

/// Returns a link to a coordinator's service; dials one if there is none, and waits if there is no room for
/// it.
///
/// # Errors
/// [`Unlinked::Client`], when the client leaves meanwhile; [`Unlinked::NoLink`], when the coordinator cannot
/// be reached, has no room within `queue_timeout`, or does not accept the login.
pub(crate) async fn link_to<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Arc<Coordinator>,
    service: Service,
    request: &Request,
) -> Result<Box<Link<S>>, Unlinked> {
    if let Some(link) = conn.links.take(coordinator.id, service, look(request.method())) {
        return Ok(link);
    }
    let claim = |port: &Arc<Port<S>>| port.claim(holder_for(conn, request), request.purpose, Kind::Idle);
    let grant = conn.fleet.at_port(coordinator.id, service, claim).flatten();
    // Boxed: few calls dial.
    if let Some(grant) = grant {
        return match grant.live(look(request.method())) {
            Ok(link) => Ok(link),
            Err(slot) => Box::pin(dial(conn, slot)).await,
        };
    }
    Box::pin(new_link(conn, coordinator, service, request)).await
}

/// Gets a link that does not exist yet or is busy: dials it, or waits for it. A call that can go elsewhere
/// stops waiting when nothing on the port is answered any more.
async fn new_link<S: Stream>(
    conn: &mut Conn<S>,
    coordinator: &Arc<Coordinator>,
    service: Service,
    request: &Request,
) -> Result<Box<Link<S>>, Unlinked> {
    let Some(port) = conn.fleet.port(coordinator, service) else {
        return Err(NoLink::from(Unreached::Removed).into());
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
        Err(NotCalled::NoRoom(_)) if port.is_closed() => Err(NoLink::from(Unreached::Removed).into()),
        Err(NotCalled::NoRoom(no_room)) => Err(NoLink::from(no_room).into()),
        Err(NotCalled::ClientGone) => Err(End::client_gone().into()),
    }
}

/// Returns the holder that a request's slot is counted for. If the coordinator may see the request end
/// elsewhere, the slot is counted for the client's address, because the link is then held until that is sure.
fn holder_for<'a, S: Stream>(conn: &'a Conn<S>, request: &Request) -> Holder<'a> {
    let holder = conn.holder();
    if request.ends_for_sure() { holder } else { Holder { unproven: Some(conn.client.address()), ..holder } }
}

/// Returns the granted link; dials a new one if a look shows that it was closed, or if only a slot was
/// granted.
pub(crate) async fn link_of<S: Stream>(
    conn: &mut Conn<S>,
    grant: Grant<S>,
    method: &Method,
) -> Result<Box<Link<S>>, Unlinked> {
    match grant.live(look(method)) {
        Ok(link) => Ok(link),
        Err(slot) => dial(conn, slot).await,
    }
}

/// Dials a new link for as long as the client is there. If the link needs a login, the dial also ends when
/// the client has finished sending.
async fn dial<S: Stream>(conn: &mut Conn<S>, slot: Slot<S>) -> Result<Box<Link<S>>, Unlinked> {
    let (logs_in, client) = (conn.links.logs_in(), &conn.client);
    let gone = async { if logs_in { client.closed().await } else { client.gone().await } };
    let dialed = tokio::select! {
        biased;
        () = gone => return Err(End::client_gone().into()),
        dialed = conn.links.dial(slot, &conn.shared) => dialed,
    };
    if dialed.as_ref().is_err_and(NoLink::is_in_vain) {
        braking::note_in_vain(conn);
    }
    let mut link = dialed?;
    if link.service() == Service::Beeswax {
        let count = link.coordinator.count_session();
        conn.links.begin_beeswax(&mut link, count, &conn.shared);
    }
    Ok(link)
}

/// Returns how closely to look at a link before a call is sent on it.
fn look(method: &Method) -> Look {
    if wants_live_link(method.retry) { Look::Closely } else { Look::Briefly }
}
