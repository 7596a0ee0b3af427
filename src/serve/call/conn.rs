//! A client connection whose calls are read, as a value.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::cluster::room::Holder;
use crate::cluster::turns::Turn;
use crate::cluster::{Coordinator, Opening, SessionCount};
use crate::ids::{ConnId, Service, Transport};
use crate::net::stream::Stream;
use crate::serve::call::attached::Attached;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::entrance::Entrance;
use crate::serve::fleet::links::Links;
use crate::serve::message::client::Client;
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::coding::Form;
use crate::serve::message::end::End;
use crate::serve::shared::Shared;
use crate::serve::threads::alarm::Alarm;
use crate::serve::threads::signals::Signals;
use crate::serve::threads::workers::Assignment;
use crate::session::activity::InUse;
use crate::session::decide::Past;
use crate::session::table::{Leftover, OpenOperations};
use crate::wire::facts::{Facts, Guid, GuidText};
use crate::wire::method::Method;
use crate::wire::verdict::{Verdict, verdict};

/// How often an idle connection looks at what it has, or more often.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// A leftover that is to be closed.
pub(crate) struct SessionLeftover {
    /// Its session, by its client's handle.
    pub(crate) session: Guid,
    pub(crate) leftover: Leftover,
}

/// A client connection whose calls are read.
pub(crate) struct Conn<S: Stream> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) fleet: Arc<Fleet<S>>,
    pub(crate) id: ConnId,
    pub(crate) client: ClientEnd<S>,
    pub(crate) links: Links<S>,
    pub(crate) past: Past,
    /// The pick that checked the credentials, until the first session takes it or the client shows that it wants none. It
    /// weighs as a session: a client may log in and stay silent for hours, as impyla does without a cursor.
    pub(crate) reserved: Option<SessionCount>,
    pub(crate) open: OpenOperations,
    pub(crate) attached: Attached,
    /// The session of the call that is under way.
    pub(crate) in_use: Option<InUse>,
    /// When its sessions were looked at last, whether they are to be touched.
    pub(crate) touched: std::time::Instant,
    /// Whether the connection's span has a session, or its coordinator.
    pub(crate) span_named: bool,
    /// Whether the router drains.
    pub(crate) leaving: bool,
    /// When links are looked at next. One timer for the connection's life: to make one for each call costs more.
    pub(crate) look: Alarm,
    /// Calls it while it waits.
    pub(crate) signals: Arc<Signals>,
    pub(crate) assignment: Assignment,
    /// Whether its credentials were refused when a session was to move: no more are shown unasked.
    pub(crate) no_moves: bool,
    /// What sessions left behind, to be closed after the call.
    pub(crate) leftovers: Vec<SessionLeftover>,
    /// How long the client waits before it is told that its call was not carried out.
    pub(crate) slowed: Duration,
}

impl<S: Stream> Conn<S> {
    /// Whose places its links use.
    pub(crate) fn holder(&self) -> Holder<'_> {
        Holder::of(self.links.access(), self.client.address())
    }

    /// Whose turn it is where this client waits.
    pub(crate) fn turn(&self) -> Turn {
        Turn::of(self.links.identity(), self.client.address())
    }

    /// Puts the connection's first session, and where it is, into the connection's span. Only the first: what is recorded
    /// again is kept beside what was there, and a pooled connection opens sessions without end.
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

    /// A connection that was detected and, if it wants that, authenticated: `links` then has its credentials.
    pub(crate) fn new(
        (shared, signals, assignment): (Arc<Shared<S>>, Arc<Signals>, Assignment),
        entrance: &Entrance<S>,
        client: Client<S>,
        transport: Transport,
        links: Links<S>,
    ) -> Self {
        let fleet = Arc::clone(&entrance.fleet);
        Self {
            leaving: false,
            span_named: false,
            look: Alarm::after(look_interval(&entrance.fleet)),
            touched: clock::now(),
            signals,
            assignment,
            no_moves: false,
            leftovers: Vec::new(),
            slowed: Duration::ZERO,
            shared,
            id: links.conn(),
            client: ClientEnd::new(client, transport),
            links,
            past: Past {
                service: entrance.service,
                last: None,
                beeswax: None,
                has_beeswax: fleet.cluster.serves(Service::Beeswax),
                locates: fleet.cluster.sessions_outlive_connections,
            },
            reserved: None,
            open: OpenOperations::default(),
            attached: Attached::new(&fleet.table),
            in_use: None,
            fleet,
        }
    }

    /// The pick that checked the credentials is the first session's.
    pub(crate) fn reserved(mut self, opening: Opening) -> Self {
        self.reserved = Some(opening.into_session());
        self
    }

    /// Where the connection belongs.
    pub(crate) fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Moves the client, the links and the timer to the runtime of another worker.
    ///
    /// # Errors
    /// [`End::ClientGone`].
    pub(crate) fn rehome(self, assignment: Assignment) -> Result<Self, End> {
        let runtime = assignment.runtime().clone();
        let _there = runtime.enter();
        let client = self.client.rehome()?;
        let links = self.links.rehome_here();
        let look = self.look.rehome_here();
        Ok(Self { client, links, look, assignment, ..self })
    }

    /// Sends the client bytes of a reply, which are in this form.
    ///
    /// # Errors
    /// [`End::ClientStalled`], when it takes none for `stall_timeout`; [`End::ClientGone`], when its connection is broken.
    pub(crate) fn deliver(&mut self, bytes: &[u8], form: Form) -> impl Future<Output = Result<(), End>> {
        self.client.deliver(bytes, form, self.shared.settings.stall_timeout)
    }

    pub(crate) fn look_in(&mut self, interval: Duration) {
        self.look.reset(interval);
    }

    /// What a reply of one of the cluster's coordinators says.
    pub(crate) fn verdict(&self, method: &Method, reply: &Facts) -> Verdict {
        verdict(method, reply, self.fleet.cluster.flavor.family())
    }
}

/// How often an idle connection looks at what it has: often enough for sessions that are to be touched.
pub(crate) fn look_interval<S: Stream>(fleet: &Fleet<S>) -> Duration {
    fleet.room.upkeep.map_or(LOOK_INTERVAL, |upkeep| LOOK_INTERVAL.min(upkeep.touch_after()))
}
