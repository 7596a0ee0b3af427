//! A client connection whose calls are read, as a value.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::cluster::room::Holder;
use crate::cluster::turns::Turn;
use crate::cluster::{Coordinator, Opening, SessionCount};
use crate::ids::{ConnId, CoordinatorId, Identity, Service};
use crate::metrics::DialOutcome;
use crate::net::stream::Stream;
use crate::serve::call::attached::Attached;
use crate::serve::call::counting::CallCount;
use crate::serve::call::links::Links;
use crate::serve::call::outcome::Trouble;
use crate::serve::connections::Listed;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::entrance::{Delegation, Entrance};
use crate::serve::link::login::log_own;
use crate::serve::link::lost::{Lost, LostCause};
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::coding::{Follows, Form};
use crate::serve::message::end::End;
use crate::serve::message::parcel::Parcel;
use crate::serve::shared::Shared;
use crate::serve::threads::alarm::Alarm;
use crate::serve::threads::workers::Assignment;
use crate::session::activity::InUse;
use crate::session::decide::Past;
use crate::session::table::{Leftover, OpenOperations, Origin};
use crate::wire::facts::{Facts, Guid, GuidText};
use crate::wire::method::Method;
use crate::wire::verdict::{Verdict, verdict};

/// The longest time after which an idle connection looks at its links and sessions again.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// A leftover that is to be closed.
pub(crate) struct SessionLeftover {
    /// The guid of its session, from the handle that the client has.
    pub(crate) session: Guid,
    pub(crate) leftover: Leftover,
}

/// A connection that was detected and, if the client wants that, authenticated; `links` then has the
/// credentials.
pub(crate) struct Introduced<'a, S: Stream> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) entrance: &'a Entrance<S>,
    pub(crate) client: ClientEnd<S>,
    pub(crate) links: Links<S>,
    pub(crate) listed: Arc<Listed>,
    pub(crate) assignment: Assignment,
}

/// A client connection whose calls are read.
pub(crate) struct Conn<S: Stream> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) fleet: Arc<Fleet<S>>,
    pub(crate) id: ConnId,
    /// The listener's address, as configured.
    pub(crate) listener: Arc<str>,
    pub(crate) client: ClientEnd<S>,
    pub(crate) links: Links<S>,
    /// How the router speaks for the user of a request over HTTP that brings a ticket, if it does so.
    pub(crate) delegation: Option<Arc<Delegation>>,
    pub(crate) past: Past,
    /// The pick that checked the credentials. It is kept until the first session takes it or the client shows
    /// that it wants none. It counts as a session: a client may log in and stay silent for hours, as impyla
    /// does without a cursor.
    pub(crate) reserved: Option<SessionCount>,
    pub(crate) open: OpenOperations,
    pub(crate) attached: Attached,
    /// Counts the connection's calls in the metrics.
    pub(crate) count: CallCount<S>,
    /// Marks the session of the call that is under way as in use.
    pub(crate) in_use: Option<InUse>,
    /// When the connection's sessions were last checked for a touch.
    pub(crate) touched: std::time::Instant,
    /// Whether the connection's log span already names its first session or coordinator.
    pub(crate) span_named: bool,
    /// Whether the router drains.
    pub(crate) leaving: bool,
    /// When links and sessions are looked after next. It is one timer for the connection's life, because a
    /// new one for each call costs more.
    pub(crate) look: Alarm,
    /// The connection as it is listed, with the signals that wake it while it waits.
    pub(crate) listed: Arc<Listed>,
    pub(crate) assignment: Assignment,
    /// The leftovers to be closed after the call.
    pub(crate) leftovers: Vec<SessionLeftover>,
    /// How long to wait before the client is told that its call was not carried out.
    pub(crate) slowed: Duration,
}

impl<S: Stream> Conn<S> {
    /// Returns the holder that the connection's slots are counted for.
    pub(crate) fn holder(&self) -> Holder<'_> {
        self.links.holder(self.client.address())
    }

    /// Returns the port of a coordinator that the connection's calls of HS2 go to.
    pub(crate) fn hs2(&self) -> Service {
        self.links.access().hs2()
    }

    /// Returns the queue in which this client waits for its turn.
    pub(crate) fn turn(&self) -> Turn {
        match self.links.identity() {
            delegated @ Identity::Delegated(_) => Turn::Identity(delegated.clone()),
            _ => Turn::of(self.holder()),
        }
    }

    /// Notes that calls are made for somebody else from now on, and perhaps go to another port.
    pub(crate) fn note_identity(&mut self) {
        self.past.hs2 = self.hs2();
        self.past.locates = locates(&self.fleet, &self.links);
    }

    /// Records it if an exchange shows that a coordinator does not accept the client's credential any more, or
    /// the router's own ticket.
    pub(crate) fn note_trouble(&mut self, trouble: &Trouble, coordinator: CoordinatorId) {
        match trouble {
            Trouble::Link(Lost { cause: LostCause::Refused(refusal), .. }) if refusal.is_unauthorized() => {
                self.links.note_unauthorized(coordinator);
            }
            Trouble::Link(Lost { cause: LostCause::NotLoggedIn(why), .. }) => {
                if let Some(coordinator) = self.fleet.cluster.coordinator(coordinator) {
                    log_own(&self.shared, &coordinator, why);
                }
                if let Some(counters) = self.fleet.counters(coordinator) {
                    counters.dials.count(DialOutcome::CredentialsRefused);
                }
            }
            _ => {}
        }
    }

    /// Records the connection's first session and its coordinator in the log span. Only the first, because a
    /// span keeps every value that is recorded, and a pooled connection opens any number of sessions.
    pub(crate) fn name_span(&mut self, coordinator: &Coordinator, session: Option<GuidText>) {
        if self.span_named {
            return;
        }
        self.span_named = true;
        let span = tracing::Span::current();
        span.record("coordinator", tracing::field::display(&coordinator.name));
        if let Some(session) = session {
            span.record("session", tracing::field::display(session));
        }
    }

    /// Creates the value for a connection on which no call has begun.
    pub(crate) fn new(introduced: Introduced<'_, S>) -> Self {
        let Introduced { shared, entrance, client, links, listed, assignment } = introduced;
        let fleet = Arc::clone(&entrance.fleet);
        let hs2 = links.access().hs2();
        let delegation = entrance.delegation().filter(|_| client.asks_each_time()).map(Arc::new);
        let origin = Origin { client: client.ip(), listener: Arc::clone(&entrance.name) };
        Self {
            leaving: false,
            span_named: false,
            look: Alarm::after(look_interval(&entrance.fleet)),
            touched: clock::now(),
            listed,
            assignment,
            leftovers: Vec::new(),
            slowed: Duration::ZERO,
            count: CallCount::new(Arc::clone(&shared)),
            shared,
            id: links.conn(),
            listener: Arc::clone(&entrance.name),
            client,
            delegation,
            past: Past {
                service: entrance.service,
                hs2,
                last: None,
                beeswax: None,
                has_beeswax: fleet.cluster.serves(Service::Beeswax),
                locates: locates(&fleet, &links),
            },
            links,
            reserved: None,
            open: OpenOperations::default(),
            attached: Attached::new(&fleet.table, origin),
            in_use: None,
            fleet,
        }
    }

    /// Reserves the pick that checked the credentials for the first session.
    pub(crate) fn reserved(mut self, opening: Opening) -> Self {
        self.reserved = Some(opening.into_session());
        self
    }

    /// Returns the worker that the connection belongs to.
    pub(crate) fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Moves the client's socket, the links and the timer to another worker's runtime.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the kernel refuses to register the client's socket there.
    pub(crate) fn rehome(self, assignment: Assignment) -> Result<Self, End> {
        let runtime = assignment.runtime().clone();
        let _there = runtime.enter();
        let client = self.client.rehome()?;
        let links = self.links.rehome_here();
        let look = self.look.rehome_here();
        Ok(Self { client, links, look, assignment, ..self })
    }

    /// Sends the client a whole reply, or the rest of it, which is in `form`.
    ///
    /// # Errors
    /// The same as [`Self::deliver_piece`].
    pub(crate) fn deliver<'a>(
        &'a mut self,
        reply: impl Into<Parcel<'a>>,
        form: Form,
    ) -> impl Future<Output = Result<(), End>> + 'a {
        self.deliver_piece(reply.into(), form, Follows::Nothing)
    }

    /// Sends the client a piece of a reply, which is in `form`.
    ///
    /// # Errors
    /// [`End::ClientStalled`], when the client takes no byte for `stall_timeout`; [`End::ClientGone`], when
    /// its connection is broken.
    pub(crate) fn deliver_piece(
        &mut self,
        piece: Parcel<'_>,
        form: Form,
        follows: Follows,
    ) -> impl Future<Output = Result<(), End>> {
        if self.client.asks_each_time() && self.shared.draining.is_cancelled() {
            self.client.say_last();
        }
        self.client.deliver(piece, form, follows, self.shared.settings.stall_timeout)
    }

    pub(crate) fn look_in(&mut self, interval: Duration) {
        self.look.reset(interval);
    }

    /// Judges a reply of one of the cluster's coordinators.
    pub(crate) fn verdict(&self, method: &Method, reply: &Facts) -> Verdict {
        verdict(method, reply, self.fleet.cluster.flavor.family())
    }
}

/// Whether a handle that the table lacks is located. If the router speaks for the user, coordinators cannot say
/// whose a handle is.
fn locates<S: Stream>(fleet: &Fleet<S>, links: &Links<S>) -> bool {
    fleet.cluster.outlive_connections(links.access().hs2()) && links.caller().is_none()
}

/// Returns how often an idle connection looks after its links and sessions: often enough to touch its
/// sessions in time.
pub(crate) fn look_interval<S: Stream>(fleet: &Fleet<S>) -> Duration {
    fleet.room.upkeep.map_or(LOOK_INTERVAL, |upkeep| LOOK_INTERVAL.min(upkeep.touch_after()))
}
