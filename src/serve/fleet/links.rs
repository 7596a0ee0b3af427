//! The links of one client connection, and its access to the links that it shares with others.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use rand::Rng;

use crate::clock;
use crate::cluster::room::{Holder, Kind, Tenancy};
use crate::cluster::{Coordinator, Demand, SessionCount};
use crate::ids::{Access, ClientAddress, ConnId, CoordinatorId, Identity, Service, Transport};
use crate::net::probe::Speaks;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::dialing;
use crate::serve::fleet::keyring::Key;
use crate::serve::link::Link;
use crate::serve::link::login::Login;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::session::LinkSession;
use crate::serve::link::slot::Slot;
use crate::serve::message::coding;
use crate::serve::message::link_end::Look;
use crate::serve::shared::Shared;
use crate::session::idle::IdleTimeout;
use crate::session::table::NewSession;
use crate::wire::facts::{Guid, GuidText};
use crate::wire::sasl::Credentials;

/// The links of one client connection: its own ones, at most one for each coordinator and service, and its
/// access to those that it shares with others.
#[derive(Debug)]
pub(crate) struct Links<S: Stream> {
    fleet: Arc<Fleet<S>>,
    conn: ConnId,
    /// The identity that the links belong to, and the transport of their messages.
    access: Access,
    login: Login,
    /// Lets the router log in as the client while it is connected.
    key: Option<Key>,
    refused: bool,
    idle: Vec<Box<Link<S>>>,
}

impl<S: Stream> Links<S> {
    /// Creates the links of a client without a login; none is dialed yet.
    pub(crate) fn anonymous(fleet: Arc<Fleet<S>>, conn: ConnId, transport: Transport) -> Self {
        let access = Access { identity: Identity::Anonymous, transport };
        Self { fleet, conn, access, login: Login::Nobody, key: None, refused: false, idle: Vec::new() }
    }

    /// Creates the links of a client that logs in; none is dialed yet.
    pub(crate) fn of(fleet: Arc<Fleet<S>>, conn: ConnId, credentials: Credentials) -> Self {
        let identity = Identity::Plain(credentials.user().into());
        let access = Access { identity, transport: Transport::Sasl };
        let login = Login::Plain(Arc::new(credentials));
        Self { fleet, conn, access, login, key: None, refused: false, idle: Vec::new() }
    }

    /// The identity that the links belong to.
    pub(crate) fn identity(&self) -> &Identity {
        &self.access.identity
    }

    /// The identity that the links belong to, and the transport of their messages.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The client's user name, if it logged in and a coordinator accepted that.
    pub(crate) fn user(&self) -> Option<&str> {
        self.login.user()
    }

    /// The client connection that the links belong to.
    pub(crate) fn conn(&self) -> ConnId {
        self.conn
    }

    /// Whether credentials are sent on each new link.
    pub(crate) fn logs_in(&self) -> bool {
        self.login.is_shown()
    }

    /// The protocol that the coordinators at the other ends understand.
    pub(crate) fn speaks(&self) -> Speaks {
        coding::speaks(self.access.transport)
    }

    /// Whether a probe can do what the client does: the client uses neither frames nor a login.
    pub(crate) fn are_plain(&self) -> bool {
        self.access.transport == Transport::Unframed && !self.logs_in()
    }

    /// The client's login as a demand. `None` if it sends no credentials.
    pub(crate) fn login(&self, service: Service) -> Option<Demand> {
        dialing::demand(&self.fleet.cluster, service, &self.login)
    }

    /// Records that a coordinator has accepted the credentials.
    pub(crate) fn note_accepted(&mut self) {
        if let (Identity::Plain(user), Login::Plain(credentials)) = (&self.access.identity, &self.login) {
            self.key = Some(self.fleet.keyring.add(user, self.conn, credentials));
        }
    }

    /// Records that a coordinator has refused the credentials, although one accepted them before: they are
    /// not sent to further coordinators any more.
    pub(crate) fn note_refused(&mut self) {
        self.refused = true;
        self.key = None;
    }

    /// Whether [`Self::note_refused`] was called.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

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
        if link.session.is_none() && link.made.is_left_behind(&link.coordinator) {
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
                .is_some_and(|port| port.has_room(Holder::of(&self.access, client), Kind::Any))
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
        self.fleet.dial(slot, &self.login, self.access.transport, shared).await
    }

    /// Adds the session of a Beeswax link to the table; with Beeswax, the connection is the session. `count`
    /// counts it as load.
    pub(crate) fn begin_beeswax(&mut self, link: &mut Link<S>, count: SessionCount, shared: &Shared<S>) {
        let guid = self.fleet.chance.draw(beeswax_guid);
        let coordinator = link.coordinator.id;
        let session = NewSession {
            guid,
            secret: None,
            coordinator,
            access: self.access.clone(),
            count,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        };
        match self.fleet.table.insert_session(session) {
            Ok(()) => {
                drop(self.fleet.table.attach(&guid));
                link.session = Some(LinkSession::new(&self.fleet.table, guid));
            }
            Err(error) => shared.warn_unknown(&GuidText(guid), error),
        }
    }

    /// Records a session that was just opened on the link, which ends with the link where sessions do not
    /// outlive connections.
    pub(crate) fn note_opened(&self, link: &mut Link<S>, guid: Guid) {
        if !self.fleet.cluster.sessions_outlive_connections {
            // The session before it stays open when the link closes: its coordinator remembers only the last
            // one.
            if let Some(former) = link.session.take() {
                former.forget();
            }
            link.session = Some(LinkSession::new(&self.fleet.table, guid));
        }
        link.made.note_session();
    }

    /// Counts a session that is about to be opened on a coordinator. Returns `None` if links are not shared
    /// there; else idle links are kept for the session while the value lives.
    pub(crate) fn begin_session(&self, coordinator: &Coordinator) -> Option<Tenancy> {
        let port = self.fleet.port(coordinator, Service::Hs2).filter(|port| port.shares)?;
        Some(port.begin_session(&self.access))
    }
}

/// Draws a guid for a Beeswax session, which has none of its own. It is random, so that no coordinator mints
/// the same guid for an HS2 session and no client can guess it.
fn beeswax_guid(rng: &mut impl Rng) -> Guid {
    let mut guid = Guid::default();
    rng.fill_bytes(&mut guid);
    guid
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn guids_of_beeswax_sessions_differ_and_do_not_foretell_each_other() {
        let name = |seed| beeswax_guid(&mut StdRng::seed_from_u64(seed));
        assert_ne!(name(1), name(2));
        let mut rng = StdRng::seed_from_u64(1);
        let (one, next) = (beeswax_guid(&mut rng), beeswax_guid(&mut rng));
        assert!(one.iter().zip(next).filter(|(a, b)| **a != *b).count() > 8, "{one:?} tells {next:?}");
    }
}
