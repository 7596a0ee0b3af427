//! The links of one client connection, and its way to those that it shares with others.

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

/// The links of one client connection: at most one for each coordinator and service; and its way to those that it shares
/// with others.
#[derive(Debug)]
pub(crate) struct Links<S: Stream> {
    fleet: Arc<Fleet<S>>,
    conn: ConnId,
    /// For whom they speak, and how messages travel on them.
    access: Access,
    login: Login,
    /// Lets the router log in as the client while it is there.
    key: Option<Key>,
    refused: bool,
    idle: Vec<Box<Link<S>>>,
}

impl<S: Stream> Links<S> {
    /// No link yet; of somebody who needs no login.
    pub(crate) fn anonymous(fleet: Arc<Fleet<S>>, conn: ConnId, transport: Transport) -> Self {
        let access = Access { identity: Identity::Anonymous, transport };
        Self { fleet, conn, access, login: Login::Nobody, key: None, refused: false, idle: Vec::new() }
    }

    /// No link yet; of somebody who logs in.
    pub(crate) fn of(fleet: Arc<Fleet<S>>, conn: ConnId, credentials: Credentials) -> Self {
        let identity = Identity::Plain(credentials.user().into());
        let access = Access { identity, transport: Transport::Sasl };
        let login = Login::Plain(Arc::new(credentials));
        Self { fleet, conn, access, login, key: None, refused: false, idle: Vec::new() }
    }

    /// Whom they speak for.
    pub(crate) fn identity(&self) -> &Identity {
        &self.access.identity
    }

    /// The same, and how messages travel on them.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Who the client is, if it said so and was believed.
    pub(crate) fn user(&self) -> Option<&str> {
        self.login.user()
    }

    /// The client connection that they belong to.
    pub(crate) fn conn(&self) -> ConnId {
        self.conn
    }

    /// Whether credentials are shown where one is dialed.
    pub(crate) fn logs_in(&self) -> bool {
        self.login.is_shown()
    }

    /// What coordinators understand to which they lead.
    pub(crate) fn speaks(&self) -> Speaks {
        coding::speaks(self.access.transport)
    }

    /// Whether a probe can do what their client does: without frames or a login.
    pub(crate) fn are_plain(&self) -> bool {
        self.access.transport == Transport::Unframed && !self.logs_in()
    }

    /// What a client that logs in wants first of a coordinator.
    pub(crate) fn login(&self, service: Service) -> Option<Demand> {
        dialing::demand(&self.fleet.cluster, service, &self.login)
    }

    /// A coordinator has accepted the credentials.
    pub(crate) fn note_accepted(&mut self) {
        if let (Identity::Plain(user), Login::Plain(credentials)) = (&self.access.identity, &self.login) {
            self.key = Some(self.fleet.keyring.add(user, self.conn, credentials));
        }
    }

    /// The credentials, which were right once, were shown in vain: they are not shown around any more.
    pub(crate) fn note_refused(&mut self) {
        self.refused = true;
        self.key = None;
    }

    /// Whether [`Self::note_refused`] was.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Takes the link to a coordinator's service out, if there is one that is still good: a FIN, or bytes that nobody asked
    /// for, end it.
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
        // Its session lives where it leads.
        if link.session.is_none() && link.made.is_left_behind(&link.coordinator) {
            return None;
        }
        if link.end.is_clean(look) {
            return Some(link);
        }
        link.slot.note_broken();
        None
    }

    /// Whether there is a link to a coordinator's service; it need not be good any more.
    pub(crate) fn has(&self, coordinator: CoordinatorId, service: Service) -> bool {
        self.idle.iter().any(|link| link.coordinator.id == coordinator && link.service() == service)
    }

    /// Whether a call to a coordinator's service would not have to wait for a link.
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

    /// Has the runtime in which this is called, which knows nothing of them yet, wait for those that are its own and good.
    pub(crate) fn rehome_here(self) -> Self {
        let rehomed = self.idle.into_iter().filter_map(|link| link.rehome_here());
        let idle = rehomed.filter_map(|mut link| link.end.is_clean(Look::Closely).then_some(link)).collect();
        Self { idle, ..self }
    }

    /// Closes links that their coordinator has closed, or that lead to one that is gone.
    pub(crate) fn drop_closed(&mut self) {
        self.idle.retain(|link| !link.slot.port.is_closed());
        let broken = self.idle.extract_if(.., |link| !link.end.is_clean(Look::Closely));
        broken.for_each(|mut link| link.slot.note_broken());
    }

    /// Closes links as soon as their coordinator closes them, or says what nobody asked for, so that none keeps a place behind
    /// a client that waits for something else. Never resolves; cancel-safe.
    pub(crate) fn ends(&mut self) -> impl Future<Output = Infallible> {
        poll_fn(|cx| {
            self.drop_ended(cx);
            Poll::Pending
        })
    }

    /// As [`Self::ends`], for a task that polls this in every wake-up.
    pub(crate) fn drop_ended(&mut self, cx: &mut Context<'_>) {
        if !self.idle.is_empty() {
            self.idle.retain(|link| !link.slot.port.is_closed());
            let broken = self.idle.extract_if(.., |link| link.end.poll_unclean(cx).is_ready());
            broken.for_each(|mut link| link.slot.note_broken());
        }
    }

    /// Whether any waits for a call.
    pub(crate) fn are_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Puts a link back on which nothing is under way.
    pub(crate) fn put(&mut self, mut link: Box<Link<S>>) {
        if link.slot.port.shares {
            return link.put_back();
        }
        link.slot.note_answered();
        // One that was made for a cancel must not keep the place of the next.
        if link.slot.turn_to_work() {
            self.idle.push(link);
        }
    }

    /// Dials the port that the slot is for and authenticates with the client's credentials.
    ///
    /// # Errors
    /// [`NoLink`].
    pub(crate) async fn dial(&self, slot: Slot<S>, shared: &Shared<S>) -> Result<Box<Link<S>>, NoLink> {
        self.fleet.dial(slot, &self.login, self.access.transport, shared).await
    }

    /// Notes the session that a Beeswax link is; `count` counts it as load.
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

    /// Notes a session that was just opened on the link, where it will end with the link.
    pub(crate) fn note_opened(&self, link: &mut Link<S>, guid: Guid) {
        if !self.fleet.cluster.sessions_outlive_connections {
            // The one before it stays open on its coordinator: that remembers only the last.
            if let Some(former) = link.session.take() {
                former.forget();
            }
            link.session = Some(LinkSession::new(&self.fleet.table, guid));
        }
        link.made.note_session();
    }

    /// Counts a session that is about to be opened there, if the links that serve it are shared: they are kept for it.
    pub(crate) fn begin_session(&self, coordinator: &Coordinator) -> Option<Tenancy> {
        let port = self.fleet.port(coordinator, Service::Hs2).filter(|port| port.shares)?;
        Some(port.begin_session(&self.access))
    }
}

/// A name for a Beeswax session, which has none of its own. By chance, so that no coordinator can mint an HS2 session of
/// that name and no client can send it.
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
    fn a_beeswax_session_has_another_name_with_other_luck() {
        let name = |seed| beeswax_guid(&mut StdRng::seed_from_u64(seed));
        assert_ne!(name(1), name(2));
        let mut rng = StdRng::seed_from_u64(1);
        let (one, next) = (beeswax_guid(&mut rng), beeswax_guid(&mut rng));
        assert!(one.iter().zip(next).filter(|(a, b)| **a != *b).count() > 8, "{one:?} tells {next:?}");
    }
}
