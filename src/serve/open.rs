//! New sessions: each is a pick of its own, and goes on to the next candidate when one cannot be reached or is about to shut
//! down, without the client noticing.

use std::sync::Arc;
use std::time::Instant;

use super::calls::Calls;
use super::end::End;
use super::exchange::{Answered, Lost, Trouble};
use super::framing::Framing;
use super::incoming::Body;
use super::pool::Grant;
use super::queue::{self, NotCalled, Seeker};
use super::refuse::NoAnswer;
use super::request::Request;
use super::tried::Tried;
use crate::clock;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::Turn;
use crate::cluster::{AdminState, Coordinator, Demand, Opening, Step};
use crate::ids::Service;
use crate::metrics::{CallOutcome, Label as _, RefusalCause, SessionOutcome};
use crate::net::stream::Stream;
use crate::session::idle::IdleTimeout;
use crate::session::retry::{Phase, Remedy, remedy};
use crate::session::state::State;
use crate::session::table::{Movable, NewSession, NoPlace, Place};
use crate::wire::facts::{Guid, GuidText};
use crate::wire::hs2::reply::{SqlState, idle_session_timeout};
use crate::wire::method::Retry;
use crate::wire::verdict::{Verdict, succeeded};

impl<S: Stream> Calls<S> {
    /// Opens a session on the best coordinator that takes it.
    pub(super) async fn open_session(&mut self, request: &mut Request) -> Result<CallOutcome, End> {
        let place = match self.fleet.table.claim_place(&self.turn()) {
            Ok(place) => place,
            Err(no_place) => return self.refuse_place(request, no_place).await,
        };
        let demand = self.demand(request);
        let mut tried = Tried { demand, ..Tried::new(self.room_by()) };
        while let Some((opening, grant)) = self.candidate(Service::Hs2, &mut tried).await? {
            let coordinator = Arc::clone(opening.coordinator());
            let open_by = tried.begin(coordinator.id, self.shared.settings.open_timeout);
            let link = match grant {
                Some(grant) => self.link_of(grant, request.method()).await?,
                None => self.link_to(&coordinator, Service::Hs2, request).await?,
            };
            let phase = match link {
                Err(no_link) => {
                    tried.no_link(&coordinator, &no_link);
                    no_link.phase()
                }
                Ok(link) => match self.ask(link, request, open_by).await {
                    Ok(mut answered) if self.turns_away(request, &coordinator, &answered) => {
                        // Where sessions end with their connections, the link may carry one.
                        if let Some(link) = answered.link.take() {
                            self.links.put(link);
                        }
                        tried.answer = Some((coordinator, answered));
                        Phase::TurnedAway
                    }
                    Ok(answered) => {
                        for loser in &tried.lost {
                            loser.note_open_lost(Service::Hs2, clock::now());
                        }
                        return self.opened(request, (opening, place), answered).await;
                    }
                    Err(Trouble::Client(end)) => return Err(end),
                    Err(Trouble::Link(lost)) => {
                        self.note_lost(request, &coordinator, &lost);
                        tried.lost(coordinator, &lost);
                        lost.phase
                    }
                },
            };
            // Of one that is sent piece by piece only its last piece is left, which is nothing to send elsewhere.
            let can_resend = request.is_whole() || phase.is_unwritten();
            if !can_resend || remedy(request.method().retry, phase, 0) != Remedy::NextCandidate {
                break;
            }
        }
        self.nobody_opened(request, tried).await
    }

    async fn refuse_place(&mut self, request: &mut Request, no_place: NoPlace) -> Result<CallOutcome, End> {
        self.shared.metrics.connections_refused.count(match no_place {
            NoPlace::Full => RefusalCause::SessionTableFull,
            NoPlace::HoldsMost { .. } => RefusalCause::TooManySessions,
        });
        let answer = NoAnswer::nowhere(self.conn, &self.fleet.cluster.name, no_place);
        self.refuse(request, Service::Hs2, &answer, CallOutcome::Refused).await
    }

    /// Whose places its links use.
    pub(super) fn holder(&self) -> Holder<'_> {
        Holder::of(self.links.identity(), self.client.address)
    }

    /// Whose turn it is where this client waits.
    fn turn(&self) -> Turn {
        Turn::of(self.links.identity(), self.client.address)
    }

    /// A coordinator lost an open: a probe shall judge it, and a session that it said was open and then broke off speaks
    /// against it at once. One that took too long has failed at it.
    fn note_lost(&self, request: &Request, coordinator: &Coordinator, lost: &Lost) {
        self.count_open(coordinator, SessionOutcome::Lost);
        if lost.phase == Phase::OutOfTime {
            self.note_answered(request, coordinator, false);
        }
        if lost.cause.speaks_against_coordinator() {
            self.fleet.doubt(coordinator, Service::Hs2);
            if lost.phase == Phase::ReplySucceeds {
                coordinator.note_open_lost(Service::Hs2, clock::now());
            }
        }
        if let Some(left_out) = self.shared.admit_line("open lost", lost.cause.kind()) {
            tracing::info!(coordinator = %coordinator.name, cause = %lost.cause, left_out, "open lost");
        }
    }

    /// Begins a Beeswax connection's session, which is made by its first call.
    pub(super) async fn open_beeswax(&mut self, request: &mut Request) -> Result<CallOutcome, End> {
        let mut tried = Tried::new(self.room_by());
        while let Some((opening, grant)) = self.candidate(Service::Beeswax, &mut tried).await? {
            let coordinator = Arc::clone(opening.coordinator());
            tried.begin(coordinator.id, self.shared.settings.open_timeout);
            let link = match grant {
                Some(grant) => self.link_of(grant, request.method()).await?,
                None => self.link_to(&coordinator, Service::Beeswax, request).await?,
            };
            match link {
                Ok(mut link) => {
                    // The link of a login is a session only from now on; one that was dialed is already.
                    if link.session.is_none() {
                        self.links.begin_beeswax(&mut link, opening.into_session(), &self.shared);
                    }
                    self.past.beeswax = Some(coordinator.id);
                    self.name_span(&coordinator, None);
                    self.links.put(link);
                    self.count_open(&coordinator, SessionOutcome::Opened);
                    return self.forward(request, coordinator, Service::Beeswax).await;
                }
                Err(no_link) => {
                    tried.no_link(&coordinator, &no_link);
                    if remedy(Retry::NextCandidate, no_link.phase(), 0) != Remedy::NextCandidate {
                        break;
                    }
                }
            }
        }
        self.refuse_open(request, Service::Beeswax, &tried).await
    }

    /// When a new session has waited for room for long enough.
    fn room_by(&self) -> Instant {
        clock::now() + self.fleet.room.queue_timeout
    }

    /// The next candidate, with the open counted on it, and what it takes to get a link there, unless the connection has
    /// one: first the one that checked the credentials, if it may still be used. Waits for room if there is none anywhere. A
    /// client that has only finished sending gets the reply that is on its way, but no second coordinator is tried for it:
    /// mostly it has given up and left.
    async fn candidate(
        &mut self,
        service: Service,
        tried: &mut Tried<S>,
    ) -> Result<Option<(Opening, Option<Grant<S>>)>, End> {
        if tried.is_over() || (!tried.coordinators.is_empty() && self.client.has_closed()) {
            return Ok(None);
        }
        if let Some(reserved) = self.reserved.take().filter(|_| tried.coordinators.is_empty())
            && !self.has_failed(tried.demand, reserved.coordinator())
            && let Some(place) = self.reserved_place(service, reserved.coordinator())
        {
            return Ok(Some(place));
        }
        let seeker = Seeker {
            fleet: &self.fleet,
            service,
            holder: self.holder(),
            turn: self.turn(),
            kind: Kind::Any,
            has_own: &|one: &Coordinator| self.links.has(one.id, service),
            demand: tried.demand,
            deadline: tried.room_by,
        };
        match seeker.place(&tried.coordinators, &self.client.stream).await {
            Ok(place) => Ok(Some(place)),
            Err(queue::NoPlace::Nobody) => Ok(None),
            Err(queue::NoPlace::NotCalled(NotCalled::NoRoom(no_room))) => {
                tried.no_room = Some(no_room);
                Ok(None)
            }
            Err(queue::NoPlace::NotCalled(NotCalled::ClientGone)) => Err(End::client_gone()),
        }
    }

    /// The place that was reserved when the credentials were checked, if it is still good.
    fn reserved_place(
        &self,
        service: Service,
        coordinator: &Arc<Coordinator>,
    ) -> Option<(Opening, Option<Grant<S>>)> {
        let takes_sessions =
            coordinator.state() == AdminState::Active && coordinator.standing(service, clock::now()).is_fit();
        if !takes_sessions {
            return None;
        }
        if self.links.has(coordinator.id, service) {
            return Some((coordinator.begin_open(), None));
        }
        let pool = self.fleet.pool(coordinator, service).filter(|pool| pool.shares)?;
        let grant = pool.claim(self.holder(), Purpose::Work, Kind::Any)?;
        Some((coordinator.begin_open(), Some(grant)))
    }

    /// Whether a coordinator answered that it takes no such session: another may.
    fn turns_away(&self, request: &Request, coordinator: &Coordinator, answered: &Answered<S>) -> bool {
        match self.verdict(request.method(), answered.reply.facts()) {
            Verdict::ShuttingDown => {
                self.fleet.note_shutting_down(coordinator);
                self.count_open(coordinator, SessionOutcome::ShuttingDown);
                true
            }
            // For other users there may be room: what speaks against it is for those who want the same.
            Verdict::Full => {
                self.note_answered(request, coordinator, false);
                self.count_open(coordinator, SessionOutcome::Full);
                true
            }
            Verdict::Success | Verdict::Failed | Verdict::NoSuchSession | Verdict::NoSuchOperation => false,
        }
    }

    /// A coordinator answered, and did not turn the session away: the client gets the answer, and if a session came to be,
    /// it is known before the client has its handle.
    async fn opened(
        &mut self,
        request: &Request,
        (opening, place): (Opening, Place),
        mut answered: Answered<S>,
    ) -> Result<CallOutcome, End> {
        let coordinator = Arc::clone(opening.coordinator());
        let method = request.method();
        // Status first: Impala's failed opens carry a handle that looks alive (impala-hs2-server.cc OpenSession).
        let success = succeeded(method, answered.reply.facts());
        self.count_open(&coordinator, if success { SessionOutcome::Opened } else { SessionOutcome::Error });
        self.note_answered(request, &coordinator, success);
        if let Some(handle) = answered.reply.facts().handle().filter(|_| success) {
            if self.framing == Framing::None {
                coordinator.note_opened_without_login();
            }
            let session = GuidText(handle.guid);
            self.name_span(&coordinator, Some(session));
            tracing::debug!(%session, coordinator = %coordinator.name, "session opened");
            let (guid, secret) = (handle.guid, Some(handle.secret));
            let tenancy = self.links.begin_session(&coordinator);
            let (owner, count) = (coordinator.id, opening.into_session());
            let idle_timeout = IdleTimeout::opened(idle_session_timeout(&answered.bytes), request.message());
            let (identity, now) = (self.links.identity().clone(), clock::now());
            let new =
                NewSession { guid, secret, coordinator: owner, identity, count, tenancy, idle_timeout, now };
            let incarnation = coordinator.incarnation();
            match self.fleet.table.insert_session(new) {
                Ok(()) => {
                    self.fleet.table.note_place(&guid, place);
                    self.note_movable(&guid, request, incarnation);
                    drop(self.attached.attach(&handle));
                    if let Some(link) = &mut answered.link {
                        self.links.note_opened(link, guid);
                    }
                }
                Err(error) => self.shared.warn_unknown(&session, error),
            }
        }
        let bytes = std::mem::replace(&mut answered.bytes, Body::Nothing);
        let outcome = self.finish(method, &coordinator, answered);
        self.client.send(&bytes, self.shared.settings.stall_timeout).await?;
        Ok(outcome)
    }

    /// What an open wants: the same of the same identity is the same. Not known of one that is not held.
    fn demand(&self, request: &Request) -> Option<Demand> {
        let what = (self.links.identity(), request.arguments()?);
        Some(self.fleet.cluster.demand(Service::Hs2, Step::Open, what))
    }

    fn has_failed(&self, demand: Option<Demand>, coordinator: &Coordinator) -> bool {
        demand.is_some_and(|demand| self.fleet.cluster.has_failed_at(demand, coordinator))
    }

    fn note_answered(&self, request: &Request, coordinator: &Coordinator, success: bool) {
        let (demand, now) = (self.demand(request), clock::now());
        if success {
            coordinator.note_opened(Service::Hs2);
        }
        match demand {
            Some(demand) if success => self.fleet.cluster.note_done(demand, coordinator, now),
            Some(demand) => self.fleet.cluster.note_failed(demand, coordinator, now),
            None => {}
        }
    }

    /// Notes what a session needs to move, where sessions move.
    fn note_movable(&self, guid: &Guid, request: &Request, incarnation: u32) {
        if self.fleet.moves.are_on() {
            let state = State::opened(request.message());
            let movable = Movable { state, user: self.links.user(), incarnation };
            self.fleet.table.note_movable(guid, movable);
        }
    }

    /// Puts the connection's first session, and where it is, into the connection's span. Only the first: what is recorded
    /// again is kept beside what was there, and a pooled connection opens sessions without end.
    pub(super) fn name_span(&mut self, coordinator: &Coordinator, session: Option<GuidText>) {
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

    async fn nobody_opened(&mut self, request: &mut Request, tried: Tried<S>) -> Result<CallOutcome, End> {
        let Some((coordinator, mut answered)) = tried.answer else {
            return self.refuse_open(request, Service::Hs2, &tried).await;
        };
        let bytes = std::mem::replace(&mut answered.bytes, Body::Nothing);
        let outcome = self.finish(request.method(), &coordinator, answered);
        self.client.send(&bytes, self.shared.settings.stall_timeout).await?;
        Ok(outcome)
    }

    async fn refuse_open(
        &mut self,
        request: &mut Request,
        service: Service,
        tried: &Tried<S>,
    ) -> Result<CallOutcome, End> {
        let (refusal, sql_state) = match (tried.no_room, tried.sql_state) {
            (Some(_), _) => (RefusalCause::NoRoom, SqlState::Refused),
            (None, Some(sql_state)) => (RefusalCause::Unreachable, sql_state),
            (None, None) => (RefusalCause::NoCoordinator, SqlState::Refused),
        };
        self.shared.metrics.connections_refused.count(refusal);
        let text = tried.reasons.tell(&self.fleet.cluster, service, tried.no_room);
        if let Some(left_out) = self.shared.admit_line("a session was refused", refusal.word()) {
            tracing::warn!(cluster = %self.fleet.cluster.name, cause = text, left_out, "a session was refused");
        }
        let answer = NoAnswer::none_took(self.conn, sql_state, &text);
        self.refuse(request, service, &answer, CallOutcome::Refused).await
    }

    fn count_open(&self, coordinator: &Coordinator, outcome: SessionOutcome) {
        if let Some(counters) = self.fleet.counters(coordinator.id) {
            counters.sessions.count(outcome);
        }
    }
}
