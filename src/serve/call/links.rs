//! The links of one client connection, and how a call gets one: an idle one, a newly dialed one, or one that
//! the call waits for.

mod acting;
mod caller;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cluster::room::{Holder, Kind, Tenancy};
use crate::cluster::{Coordinator, SessionCount};
use crate::ids::{Access, ClientAddress, CoordinatorId, Service};
use crate::net::stream::Stream;
use crate::serve::call::braking;
use crate::serve::call::conn::Conn;
use crate::serve::connections::Listed;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::candidates::Candidate;
use crate::serve::fleet::keyring::Key;
use crate::serve::link::Link;
use crate::serve::link::login::Login;
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::link::port::{Claimant, Port};
use crate::serve::link::slot::{Grant, Slot};
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::message::end::End;
use crate::serve::message::link_end::Look;
use crate::serve::message::request::Request;
use crate::serve::shared::Shared;
use crate::session::delegation::Acting;
use crate::session::retry::wants_live_link;
use crate::wire::method::{Method, Retry};

/// The links of one client connection: its own ones, at most one for each coordinator and service, and its
/// access to those that it shares with others.
#[derive(Debug)]
pub(crate) struct Links<S: Stream> {
    fleet: Arc<Fleet<S>>,
    listed: Arc<Listed>,
    /// The identity that the links belong to, and the transport of their messages.
    access: Access,
    login: Login,
    /// The client, if the router speaks for it: then the links are the router's own.
    acting: Option<Acting>,
    /// Lets the router log in as the client while it is connected.
    key: Option<Key>,
    refused: bool,
    /// Whether the credentials were refused when a session was to move. If so, no session of theirs moves: the
    /// client did not ask for another login.
    no_moves: bool,
    idle: Vec<Box<Link<S>>>,
}

impl<S: Stream> Links<S> {
    /// Takes out the link to a coordinator's service, if there is one and it is still good. A FIN, or bytes
    /// that nobody asked for, make it bad.
    pub(crate) fn take(
        &mut self,
        coordinator: CoordinatorId,
        service: Service,
        look: Look,
    ) -> Option<Box<Link<S>>> {
        let found = self
            .idle
            .iter()
            .position(|link| link.coordinator.id == coordinator && link.service() == service)?;
        let mut link = self.idle.swap_remove(found);
        if link.slot.port.is_closed() {
            return None;
        }
        // A link that has a session is kept: the session lives where the link leads.
        if link.session.is_none() && link.life.is_left_behind(&link.coordinator) {
            return None;
        }
        if link.end.is_clean(look) {
            return Some(link);
        }
        link.slot.note_broken();
        None
    }

    /// Whether there is an own link to a coordinator's service. It may have gone bad.
    pub(crate) fn has(&self, coordinator: CoordinatorId, service: Service) -> bool {
        self.idle.iter().any(|link| link.coordinator.id == coordinator && link.service() == service)
    }

    /// Whether a call to a coordinator's service would get a link without waiting.
    pub(crate) fn has_room(
        &self,
        coordinator: &Coordinator,
        service: Service,
        client: ClientAddress,
    ) -> bool {
        self.has(coordinator.id, service)
            || self
                .fleet
                .port(coordinator, service)
                .is_some_and(|port| port.has_room(self.holder(client), Kind::Any))
    }

    /// Registers the connection's own links with the current runtime. Links that are no longer good are
    /// dropped, because this runtime has received none of their events.
    pub(crate) fn rehome_here(self) -> Self {
        let rehomed = self.idle.into_iter().filter_map(|link| link.rehome_here());
        let idle = rehomed.filter_map(|mut link| link.end.is_clean(Look::Closely).then_some(link)).collect();
        Self { idle, ..self }
    }

    /// Closes own links that their coordinator has closed, or whose coordinator was removed.
    pub(crate) fn drop_closed(&mut self) {
        self.idle.retain(|link| !link.slot.port.is_closed());
        let broken = self.idle.extract_if(.., |link| !link.end.is_clean(Look::Closely));
        broken.for_each(|mut link| link.slot.note_broken());
    }

    /// Closes each own link as soon as its coordinator closes it or sends something that nobody asked for, so
    /// that no dead link keeps a slot while its client waits for something else. Never resolves; cancel-safe.
    pub(crate) fn ends(&mut self) -> impl Future<Output = Infallible> {
        poll_fn(|cx| {
            self.drop_ended(cx);
            Poll::Pending
        })
    }

    /// Like [`Self::ends`], but for a task that polls this in every wake-up.
    pub(crate) fn drop_ended(&mut self, cx: &mut Context<'_>) {
        if !self.idle.is_empty() {
            self.idle.retain(|link| !link.slot.port.is_closed());
            let broken = self.idle.extract_if(.., |link| link.end.poll_unclean(cx).is_ready());
            broken.for_each(|mut link| link.slot.note_broken());
        }
    }

    /// Whether the connection has any idle link of its own.
    pub(crate) fn are_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Puts a link back, to the port if it is shared, else to the connection. No call may be under way on it.
    pub(crate) fn put(&mut self, mut link: Box<Link<S>>) {
        if link.slot.port.shares {
            let (coordinator, service, mut link) = (link.coordinator.id, link.service(), Some(link));
            self.fleet.at_port(coordinator, service, |port| link.take().map(|link| port.put(link)));
            // The coordinator was removed.
            return link.into_iter().for_each(Link::put_back);
        }
        link.slot.note_answered();
        if self.is_accepted() {
            link.slot.prove();
        }
        // A link that was made for a cancel must not keep the slot that the next cancel needs.
        if link.slot.turn_to_work() {
            self.idle.push(link);
        }
    }

    /// Dials the port that the slot belongs to, and logs in with the client's credentials.
    ///
    /// # Errors
    /// [`NoLink`] when the port was not reached or did not accept the login.
    pub(crate) async fn dial(&self, slot: Slot<S>, shared: &Shared<S>) -> Result<Box<Link<S>>, NoLink> {
        self.fleet.dial(slot, &self.login, shared).await
    }

    /// Counts a session that is about to be opened on a coordinator. Returns `None` if links are not shared
    /// there; else idle links are kept for the session while the value lives.
    pub(crate) fn begin_session(&self, coordinator: &Coordinator) -> Option<Tenancy> {
        let port = self.fleet.port(coordinator, self.access.hs2()).filter(|port| port.shares)?;
        Some(port.begin_session(&self.access))
    }
}

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
    let access = conn.links.access().clone();
    let holder = Holder { access: &access, ..holder_for(conn, request) };
    let (client, turn) = (Some(conn.client.address()), conn.turn());
    let claimant = Claimant { holder, client, turn, purpose: request.purpose };
    let (client, speaks) = (&conn.client, conn.links.speaks());
    let gone = async {
        tokio::select! {
            biased;
            () = client.closed() => {}
            never = conn.links.ends() => match never {},
        }
    };
    let granted = waiting::link(&port, claimant, gone);
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
        begin_beeswax(conn, &mut link, count);
    }
    Ok(link)
}

/// Makes a link of Beeswax the session of this connection.
pub(super) fn begin_beeswax<S: Stream>(conn: &Conn<S>, link: &mut Link<S>, count: SessionCount) {
    let table = &conn.fleet.table;
    link.begin_beeswax(count, table, &conn.fleet.chance, &conn.shared);
    if let Some(session) = &link.session {
        table.note_origin(&session.guid, conn.attached.origin());
    }
}

/// Returns how closely to look at a link before a call is sent on it.
fn look(method: &Method) -> Look {
    if wants_live_link(method.retry) { Look::Closely } else { Look::Briefly }
}
