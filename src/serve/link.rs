//! Links: the authenticated connections from the router to coordinators. Each carries the credentials of one identity, so
//! a coordinator judges a call as if the client had made it.

mod session;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use rand::Rng;

use self::session::LinkSession;
use super::dialing::{Unreached, reach};
use super::framing::Framing;
use super::keyring::Key;
use super::login::{self, NoVerdict, log_in};
use super::pool::{Made, Seat};
use super::queue::NoRoom;
use super::shared::{Fleet, Shared};
use crate::clock;
use crate::cluster::room::{Holder, Kind, Tenancy};
use crate::cluster::{Coordinator, Demand, SessionCount};
use crate::ids::{ClientAddress, ConnId, CoordinatorId, Identity, Service};
use crate::net::flow::WriteError;
use crate::net::stream::{Seen, Stream};
use crate::session::idle::IdleTimeout;
use crate::session::retry::Phase;
use crate::session::table::NewSession;
use crate::wire::facts::{Guid, GuidText};
use crate::wire::sasl::{Credentials, Status};

/// A connection to a coordinator on which nothing is under way. Passed around in a box: it goes through all stages of a
/// call, and in place it would make the state of each larger.
#[derive(Debug)]
pub(super) struct Link<S: Stream> {
    /// Where it leads.
    pub coordinator: Arc<Coordinator>,
    /// The connection.
    pub stream: S,
    /// The session that ends with it.
    pub session: Option<LinkSession>,
    /// Counts it.
    pub seat: Seat<S>,
    /// What it has been through.
    pub made: Made,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLink {
    /// The coordinator could not be reached.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// There is no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It was lost before it had the credentials.
    #[error("lost during the SASL handshake: {0}")]
    HandshakeLost(WriteError),
    /// It gave no verdict on the credentials that it was shown: nobody else may be asked all the same.
    #[error(transparent)]
    NoVerdict(#[from] NoVerdict),
    /// It refused the credentials: nobody else may be asked (four wrong binds lock an account).
    #[error("it refused the credentials")]
    CredentialsRefused {
        /// BAD or ERROR.
        status: Status,
        /// Its words.
        text: Vec<u8>,
    },
}

impl NoLink {
    /// Whether a dial was made for nothing. A refusal is something: the coordinator's own word to this client.
    pub(super) fn is_in_vain(&self) -> bool {
        match self {
            Self::Unreached(Unreached::Dial(_)) | Self::HandshakeLost(_) | Self::NoVerdict(_) => true,
            Self::Unreached(Unreached::NoPort(_)) | Self::NoRoom(_) | Self::CredentialsRefused { .. } => {
                false
            }
        }
    }

    /// How far a call has come that waits for the link.
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Unreached(_) | Self::HandshakeLost(_) => Phase::NoLink,
            Self::NoRoom(_) => Phase::NoRoom,
            Self::NoVerdict(_) | Self::CredentialsRefused { .. } => Phase::CredentialsShown,
        }
    }
}

/// The links of one client connection: at most one for each coordinator and service; and its way to those that it shares
/// with others.
#[derive(Debug)]
pub(super) struct Links<S: Stream> {
    fleet: Arc<Fleet<S>>,
    conn: ConnId,
    identity: Identity,
    credentials: Option<Arc<Credentials>>,
    /// Lets the router log in as the client while it is there.
    key: Option<Key>,
    refused: bool,
    idle: Vec<Box<Link<S>>>,
}

impl<S: Stream> Links<S> {
    /// No link yet; of somebody who needs no login.
    pub(super) fn anonymous(fleet: Arc<Fleet<S>>, conn: ConnId, framing: Framing) -> Self {
        let identity = Identity::Anonymous { framed: framing == Framing::Framed };
        Self { fleet, conn, identity, credentials: None, key: None, refused: false, idle: Vec::new() }
    }

    /// No link yet; of somebody who logs in.
    pub(super) fn of(fleet: Arc<Fleet<S>>, conn: ConnId, credentials: Credentials) -> Self {
        let identity = Identity::Plain(credentials.user().into());
        let credentials = Some(Arc::new(credentials));
        Self { fleet, conn, identity, credentials, key: None, refused: false, idle: Vec::new() }
    }

    /// Whom they speak for.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who the client is, if it said so and was believed.
    pub(super) fn user(&self) -> Option<&str> {
        self.credentials.as_ref().map(|credentials| credentials.user())
    }

    /// The client connection that they belong to.
    pub(super) fn conn(&self) -> ConnId {
        self.conn
    }

    /// Whether credentials are shown where one is dialed.
    pub(super) fn logs_in(&self) -> bool {
        self.credentials.is_some()
    }

    /// What a client that logs in wants first of a coordinator.
    pub(super) fn login(&self, service: Service) -> Option<Demand> {
        let credentials = self.credentials.as_deref()?;
        Some(login::demand(&self.fleet.cluster, service, credentials))
    }

    /// A coordinator has accepted the credentials.
    pub(super) fn note_accepted(&mut self) {
        if let (Identity::Plain(user), Some(credentials)) = (&self.identity, &self.credentials) {
            self.key = Some(self.fleet.keyring.add(user, self.conn, credentials));
        }
    }

    /// The credentials, which were right once, were shown in vain: they are not shown around any more.
    pub(super) fn note_refused(&mut self) {
        self.refused = true;
        self.key = None;
    }

    /// Whether [`Self::note_refused`] was.
    pub(super) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Takes the link to a coordinator's service out, if there is one that is still good: a FIN, or bytes that nobody asked
    /// for, end it. `see` is how hard to look.
    pub(super) fn take(
        &mut self,
        coordinator: CoordinatorId,
        service: Service,
        see: impl FnOnce(&S) -> Seen,
    ) -> Option<Box<Link<S>>> {
        let found = self
            .idle
            .iter()
            .position(|link| link.coordinator.id == coordinator && link.service() == service)?;
        let mut link = self.idle.swap_remove(found);
        // Its session lives where it leads.
        if link.session.is_none() && link.made.is_left_behind(&link.coordinator) {
            return None;
        }
        if see(&link.stream) == Seen::Nothing {
            return Some(link);
        }
        link.seat.note_broken();
        None
    }

    /// Whether there is a link to a coordinator's service; it need not be good any more.
    pub(super) fn has(&self, coordinator: CoordinatorId, service: Service) -> bool {
        self.idle.iter().any(|link| link.coordinator.id == coordinator && link.service() == service)
    }

    /// Whether a call to a coordinator's service would not have to wait for a link.
    pub(super) fn has_room(
        &self,
        coordinator: &Coordinator,
        service: Service,
        client: ClientAddress,
    ) -> bool {
        self.has(coordinator.id, service)
            || self
                .fleet
                .pool(coordinator, service)
                .is_some_and(|pool| pool.has_room(Holder::of(&self.identity, client), Kind::Any))
    }

    /// Has the runtime in which this is called, which knows nothing of them yet, wait for those that are its own and good.
    pub(super) fn settle_here(self) -> Self {
        let settled = self.idle.into_iter().filter_map(|link| link.settle_here());
        let idle = settled.filter(|link| link.stream.look() == Seen::Nothing).collect();
        Self { idle, ..self }
    }

    /// Closes links that their coordinator has closed.
    pub(super) fn drop_closed(&mut self) {
        let broken = self.idle.extract_if(.., |link| link.stream.look() != Seen::Nothing);
        broken.for_each(|mut link| link.seat.note_broken());
    }

    /// Closes links as soon as their coordinator closes them, or says what nobody asked for, so that none keeps a place behind
    /// a client that waits for something else. Never resolves; cancel-safe.
    pub(super) fn ends(&mut self) -> impl Future<Output = Infallible> {
        poll_fn(|cx| {
            self.drop_ended(cx);
            Poll::Pending
        })
    }

    /// As [`Self::ends`], for a task that polls this in every wake-up.
    pub(super) fn drop_ended(&mut self, cx: &mut Context<'_>) {
        if !self.idle.is_empty() {
            let broken = self.idle.extract_if(.., |link| link.stream.poll_seen(cx).is_ready());
            broken.for_each(|mut link| link.seat.note_broken());
        }
    }

    /// Whether any waits for a call.
    pub(super) fn are_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Puts a link back on which nothing is under way.
    pub(super) fn put(&mut self, mut link: Box<Link<S>>) {
        if link.seat.pool.shares {
            // By way of the fleet: to count a reference to the pool would be a write that all threads share.
            return match self.fleet.pool(&link.coordinator, link.service()) {
                Some(pool) => pool.put(link),
                None => link.put_back(),
            };
        }
        link.seat.settle();
        // One that was made for a cancel must not keep the place of the next.
        if link.seat.turn_to_work() {
            self.idle.push(link);
        }
    }

    /// Dials the port that the seat is for and authenticates with the client's credentials.
    ///
    /// # Errors
    /// [`NoLink`].
    pub(super) async fn dial(&self, seat: Seat<S>, shared: &Shared<S>) -> Result<Box<Link<S>>, NoLink> {
        dial(seat, self.credentials.as_deref(), &self.fleet, shared).await
    }

    /// Notes the session that a Beeswax link is; `count` counts it as load.
    pub(super) fn begin_beeswax(&mut self, link: &mut Link<S>, count: SessionCount, shared: &Shared<S>) {
        let guid = self.fleet.chance.draw(beeswax_guid);
        let coordinator = link.coordinator.id;
        let session = NewSession {
            guid,
            secret: None,
            coordinator,
            identity: self.identity.clone(),
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
    pub(super) fn note_opened(&self, link: &mut Link<S>, guid: Guid) {
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
    pub(super) fn begin_session(&self, coordinator: &Coordinator) -> Option<Tenancy> {
        let pool = self.fleet.pool(coordinator, Service::Hs2).filter(|pool| pool.shares)?;
        Some(pool.begin_session(&self.identity))
    }
}

/// Dials the port that a seat is for and, with credentials, authenticates.
///
/// # Errors
/// [`NoLink`].
pub(super) async fn dial<S: Stream>(
    mut seat: Seat<S>,
    credentials: Option<&Credentials>,
    fleet: &Fleet<S>,
    shared: &Shared<S>,
) -> Result<Box<Link<S>>, NoLink> {
    let (coordinator, service) = (Arc::clone(&seat.pool.coordinator), seat.pool.service);
    let moves = coordinator.moves();
    let mut stream = reach(&coordinator, service, fleet, shared).await?;
    if let Some(credentials) = credentials {
        log_in(&mut stream, credentials, &seat, fleet, shared).await?;
    }
    let made = seat.made(moves);
    Ok(Box::new(Link { coordinator, stream, session: None, seat, made }))
}

impl<S: Stream> Link<S> {
    /// Puts a link that is shared back, on which nothing is under way.
    pub(super) fn put_back(self: Box<Self>) {
        let pool = Arc::clone(&self.seat.pool);
        pool.put(self);
    }

    /// Which of the coordinator's ports it leads to.
    pub(super) fn service(&self) -> Service {
        self.seat.pool.service
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
