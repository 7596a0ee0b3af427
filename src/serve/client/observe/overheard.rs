//! Calls and replies that pass by, and what they teach: the same as on a connection whose calls the router
//! forwards, and by the same means.

use std::sync::Arc;

use crate::clock;
use crate::cluster::room::Holder;
use crate::cluster::turns::Turn;
use crate::cluster::{Coordinator, RunningCount, SessionCount};
use crate::ids::{Access, ClientAddress, CoordinatorId, Identity, Service, Transport};
use crate::metrics::SessionOutcome;
use crate::net::relay::Side;
use crate::net::stream::Stream;
use crate::serve::call::attached::Attached;
use crate::serve::call::counting::CallCount;
use crate::serve::call::outcome::outcome;
use crate::serve::fleet::Fleet;
use crate::serve::link::session::{LinkSession, beeswax_session};
use crate::serve::link::slot::Slot;
use crate::serve::shared::Shared;
use crate::session::activity::InUse;
use crate::session::decide::{Past, Plan, decide, operation_of, session_of};
use crate::session::idle::IdleTimeout;
use crate::session::learn::{Call, learn};
use crate::session::statement::Effect;

use crate::session::table::{NewSession, OpenOperations, Origin, SessionEnd};
use crate::wire::dialogue::{Asked, Dialogue, LostTrack};
use crate::wire::facts::{Facts, GuidText, Handle};
use crate::wire::method::{Method, Role};
use crate::wire::verdict::{Verdict, verdict};

/// Whose sessions these are: they can be used only on connections like this one, because the router has no
/// login for them. So it makes no calls of its own in them, and never moves them.
const ACCESS: Access = Access { identity: Identity::Unread, transport: Transport::Sasl };

/// Where a connection is: what is known of it besides its bytes.
pub(super) struct Place<S: Stream> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) fleet: Arc<Fleet<S>>,
    pub(super) coordinator: Arc<Coordinator>,
    /// Where the client comes from.
    pub(super) address: ClientAddress,
    /// The same, and by which listener, as operators are shown it.
    pub(super) origin: Origin,
}

/// What passes by on one connection, once its handshake is over.
pub(super) struct Overheard<S: Stream> {
    dialogue: Dialogue<UnderWay<S>>,
    listener: Listener<S>,
}

/// A call that has no reply yet.
struct UnderWay<S: Stream> {
    count: CallCount<S>,
    running: Option<RunningCount>,
    /// Counts the session that it may open.
    opens: Option<SessionCount>,
    in_use: Option<InUse>,
}

/// What the connection has done so far.
struct Listener<S: Stream> {
    place: Arc<Place<S>>,
    service: Service,
    attached: Attached,
    open: OpenOperations,
    /// The session that ends with the connection.
    session: Option<LinkSession>,
    /// Counts as a session until one is opened, or the client shows that it wants none.
    reserved: Option<SessionCount>,
    /// Whether the coordinator may have read other calls than these.
    in_doubt: bool,
    has_heard_call: bool,
    has_opened: bool,
}

impl<S: Stream> Overheard<S> {
    /// Creates the value for a connection on which no call was made; `reserved` counts it.
    pub(super) fn new(place: &Arc<Place<S>>, slot: &Slot<S>, reserved: SessionCount) -> Self {
        let listener = Listener {
            place: Arc::clone(place),
            service: slot.port.service,
            attached: Attached::new(&place.fleet.table, place.origin.clone()),
            open: OpenOperations::default(),
            session: None,
            reserved: Some(reserved),
            in_doubt: false,
            has_heard_call: false,
            has_opened: false,
        };
        Self { dialogue: Dialogue::default(), listener }
    }

    /// Hears what a side says next.
    ///
    /// # Errors
    /// [`LostTrack`], when that cannot be followed.
    pub(super) fn hear(&mut self, from: Side, bytes: &[u8]) -> Result<(), LostTrack> {
        let Self { dialogue, listener } = self;
        match from {
            Side::Client => dialogue.hear_client(bytes, |method, request| listener.asked(method, request)),
            Side::Coordinator => {
                dialogue.hear_coordinator(bytes, |asked, reply| listener.answered(asked, reply))
            }
        }
    }

    /// Whether a call was heard to its end.
    pub(super) fn has_heard_call(&self) -> bool {
        self.listener.has_heard_call
    }

    /// Whether no call is under way, and no operation is open that was opened here.
    pub(super) fn is_idle(&self) -> bool {
        self.dialogue.is_idle() && self.listener.open.is_empty()
    }

    /// Forgets the sessions of the connection, and what is open in them: how they go on will not be heard.
    /// Whoever uses one of their handles on another connection has it located.
    pub(super) fn forget(self) {
        let Listener { place, attached, .. } = self.listener;
        let table = &place.fleet.table;
        for session in attached.on(place.coordinator.id) {
            if table.is_of(&session, &ACCESS.identity) {
                table.remove_session(&session, SessionEnd::NotFollowed);
            }
        }
    }
}

impl<S: Stream> Listener<S> {
    /// A call was sent.
    fn asked(&mut self, method: &'static Method, request: &Facts) -> UnderWay<S> {
        self.has_heard_call = true;
        self.in_doubt |= !method.has_known_containers;
        let mut count = CallCount::new(Arc::clone(&self.place.shared));
        count.begin(method);
        let coordinator = Arc::clone(&self.place.coordinator);
        let reserved = self.reserved.take();
        let opens = if method.role == Role::OpenSession {
            Some(reserved.unwrap_or_else(|| coordinator.count_session()))
        } else {
            if self.service == Service::Beeswax && self.session.is_none() {
                self.begin_beeswax(reserved.unwrap_or_else(|| coordinator.count_session()));
            }
            None
        };
        let running = (method.role == Role::Statement).then(|| coordinator.count_running());
        UnderWay { count, running, opens, in_use: self.use_session(method, request) }
    }

    /// With Beeswax, the connection is the session.
    fn begin_beeswax(&mut self, count: SessionCount) {
        let Place { shared, fleet, .. } = &*self.place;
        let session = beeswax_session(ACCESS, count, &fleet.chance);
        let guid = GuidText(session.guid);
        match LinkSession::begin(&fleet.table, session) {
            Ok(session) => self.session = Some(session),
            Err(error) => shared.warn_unknown(&guid, error),
        }
    }

    /// Marks the session of a call as in use, if it is known, and known to be here.
    fn use_session(&mut self, method: &Method, request: &Facts) -> Option<InUse> {
        if self.owner_elsewhere(method, request).is_some() {
            return None;
        }
        let activity = match session_of(method, request) {
            Some(session) => self.attached.attach(&session),
            None => self.attached.attach_operation(&operation_of(method, request)?),
        };
        InUse::begin(activity?, clock::now)
    }

    /// The coordinator that owns what a call names, if that is another one: then this one can only say that it
    /// does not have it, which teaches nothing.
    fn owner_elsewhere(&self, method: &Method, request: &Facts) -> Option<CoordinatorId> {
        let past = Past {
            service: self.service,
            hs2: Service::Hs2,
            last: None,
            beeswax: None,
            has_beeswax: self.service == Service::Beeswax,
            locates: false,
        };
        match decide(method, request, &past, &self.place.fleet.table) {
            Plan::Owner { coordinator, .. } => {
                Some(coordinator).filter(|id| *id != self.place.coordinator.id)
            }
            Plan::Open | Plan::OpenBeeswax | Plan::Locate(_) | Plan::Any => None,
        }
    }

    /// A call was answered, and its client is about to hear that.
    fn answered(&mut self, asked: Asked<UnderWay<S>>, reply: &Facts) {
        let Asked { method, request, kept } = asked;
        let UnderWay { mut count, running, opens, mut in_use } = kept;
        let Place { fleet, coordinator, .. } = &*self.place;
        let verdict = verdict(method, reply, fleet.cluster.flavor.family());
        if verdict == Verdict::ShuttingDown {
            fleet.note_shutting_down(coordinator);
        }
        if let Some(in_use) = &mut in_use {
            in_use.succeeded = verdict == Verdict::Success;
        }
        match opens {
            Some(session) => self.opened(verdict, reply, session),
            None if self.owner_elsewhere(method, &request).is_none() => {
                let call = Call {
                    method,
                    request: &request,
                    verdict,
                    coordinator,
                    connection_session: self.session.as_ref().map(|session| session.guid),
                    open: &self.open,
                    in_doubt: self.in_doubt,
                    effect: &Effect::Nothing,
                    now: clock::now(),
                };
                learn(&call, reply, running, fleet.cluster.flavor, &fleet.table);
            }
            None => {}
        }
        count.end(outcome(verdict, reply));
    }

    /// A session was opened, or refused.
    fn opened(&mut self, verdict: Verdict, reply: &Facts, count: SessionCount) {
        let Place { fleet, coordinator, .. } = &*self.place;
        if let Some(counters) = fleet.counters(coordinator.id) {
            counters.sessions.count(match verdict {
                Verdict::Success => SessionOutcome::Opened,
                Verdict::ShuttingDown => SessionOutcome::ShuttingDown,
                Verdict::Full => SessionOutcome::Full,
                Verdict::Failed | Verdict::NoSuchSession | Verdict::NoSuchOperation => SessionOutcome::Error,
            });
        }
        let Some(handle) = reply.handle().filter(|_| verdict == Verdict::Success) else { return };
        coordinator.note_opened(self.service);
        let session = GuidText(handle.guid);
        if !std::mem::replace(&mut self.has_opened, true) {
            tracing::Span::current().record("session", tracing::field::display(session));
        }
        tracing::debug!(%session, coordinator = %coordinator.name, "session opened");
        self.take_in(&handle, count);
    }

    /// Takes a session into the table, if there is a place for it.
    fn take_in(&mut self, handle: &Handle, count: SessionCount) {
        let Place { shared, fleet, coordinator, address, .. } = &*self.place;
        let session = GuidText(handle.guid);
        let admission = match fleet.table.admit(&Turn::of(Holder::of(&ACCESS, *address))) {
            Ok(admission) => admission,
            Err(not_admitted) => return shared.warn_unknown(&session, not_admitted),
        };
        let new = NewSession {
            guid: handle.guid,
            secret: Some(handle.secret),
            coordinator: coordinator.id,
            access: ACCESS,
            count,
            tenancy: None,
            idle_timeout: IdleTimeout::default(),
            now: clock::now(),
        };
        if let Err(not_kept) = fleet.table.insert_session(new) {
            return shared.warn_unknown(&session, not_kept);
        }
        fleet.table.note_admission(&handle.guid, admission);
        drop(self.attached.attach(handle));
        if !fleet.cluster.outlive_connections(Service::Hs2) {
            LinkSession::follow(&mut self.session, &fleet.table, handle.guid);
        }
    }
}
