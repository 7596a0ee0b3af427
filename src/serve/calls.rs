//! The loop over the calls of a client connection, strictly in order: read a request, decide where it goes, carry that out.

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::time::Duration;

use super::alarm::Alarm;
use super::asking::Decided;
use super::attached::{Attached, InUse};
use super::bell::{Bell, Ring};
use super::client::Client;
use super::end::{BadInput, End};
use super::exchange::Answered;
use super::framing::Framing;
use super::left::Left;
use super::link::Links;
use super::refuse::NoAnswer;
use super::request::{Inbox, Request};
use super::shared::{Entrance, Fleet, Shared};
use super::tend::look_interval;
use super::workers::Place;
use crate::clock;
use crate::cluster::{AdminState, Coordinator, Opening, SessionCount, Wanted};
use crate::ids::{ConnId, Service};
use crate::metrics::CallOutcome;
use crate::net::flow::Chunk;
use crate::net::stream::{Seen, Stream};
use crate::session::asking::Question;
use crate::session::decide::{Affinity, Past, Plan, decide, purpose, question, service, session_of};
use crate::session::table::OpenOperations;
use crate::wire::facts::Facts;
use crate::wire::method::Method;
use crate::wire::verdict::{Verdict, succeeded, verdict};

/// How often a connection looks, while the router drains, whether it can end.
pub(super) const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A client connection whose calls are read.
pub(super) struct Calls<S: Stream> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) fleet: Arc<Fleet<S>>,
    pub(super) conn: ConnId,
    pub(super) client: Client<S>,
    pub(super) framing: Framing,
    pub(super) inbox: Inbox,
    pub(super) links: Links<S>,
    pub(super) past: Past,
    /// The pick that checked the credentials, until the first session takes it or the client shows that it wants none. It
    /// weighs as a session: a client may log in and stay silent for hours, as impyla does without a cursor.
    pub(super) reserved: Option<SessionCount>,
    pub(super) open: OpenOperations,
    pub(super) attached: Attached,
    /// The session of the call that is under way.
    pub(super) in_use: Option<InUse>,
    /// When its sessions were looked at last, whether they are to be touched.
    pub(super) touched: std::time::Instant,
    /// Whether the connection's span has a session, or its coordinator.
    pub(super) span_named: bool,
    /// Whether the router drains.
    pub(super) leaving: bool,
    /// When links are looked at next. One timer for the connection's life: to make one for each call costs more.
    look: Alarm,
    /// Calls it while it waits.
    bell: Arc<Bell>,
    place: Place,
    /// Whether its credentials were refused when a session was to move: no more are shown unasked.
    pub(super) no_moves: bool,
    /// What sessions left behind, to be closed after the call.
    pub(super) forgotten: Vec<Left>,
    /// How long the client waits before it is told that its call was not carried out.
    pub(super) slowed: Duration,
}

impl<S: Stream> Calls<S> {
    /// A connection that was detected and, if it wants that, authenticated: `links` then has its credentials.
    pub(super) fn new(
        (shared, bell, place): (Arc<Shared<S>>, Arc<Bell>, Place),
        entrance: &Entrance<S>,
        client: Client<S>,
        framing: Framing,
        links: Links<S>,
    ) -> Self {
        let fleet = Arc::clone(&entrance.fleet);
        Self {
            leaving: false,
            span_named: false,
            look: Alarm::after(look_interval(&entrance.fleet)),
            touched: clock::now(),
            bell,
            place,
            no_moves: false,
            forgotten: Vec::new(),
            slowed: Duration::ZERO,
            shared,
            conn: links.conn(),
            client,
            framing,
            inbox: Inbox::new(framing),
            links,
            past: Past {
                service: entrance.service,
                last: None,
                beeswax: None,
                has_beeswax: fleet.cluster.serves(Service::Beeswax),
                asks: fleet.cluster.sessions_outlive_connections,
            },
            reserved: None,
            open: OpenOperations::default(),
            attached: Attached::new(&fleet.table),
            in_use: None,
            fleet,
        }
    }

    /// The pick that checked the credentials is the first session's.
    pub(super) fn reserved(mut self, opening: Opening) -> Self {
        self.reserved = Some(opening.into_session());
        self
    }

    /// Where the connection belongs.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Serves calls until the connection shall go on elsewhere; returns where.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn serve(&mut self) -> Result<Place, End> {
        loop {
            let first = self.next_bytes().await?;
            // Boxed: an idle connection must not hold what a call needs while it is under way.
            Box::pin(self.call(first)).await?;
            if let Some(place) = self.place.next() {
                return Ok(place);
            }
        }
    }

    /// Has everything that it waits for waited for in another place.
    ///
    /// # Errors
    /// [`End::ClientGone`].
    pub(super) fn settle(self, place: Place) -> Result<Self, End> {
        let runtime = place.runtime().clone();
        let _there = runtime.enter();
        let client = self.client.settle_here()?;
        let links = self.links.settle_here();
        let look = self.look.settle_here();
        Ok(Self { client, links, look, place, ..self })
    }

    /// Carries out the next call. What few calls wait for has a box of its own, so that the others have less to move and touch.
    async fn call(&mut self, first: Option<Chunk>) -> Result<(), End> {
        // Whatever came of its dials, the call before this one has waited for.
        self.slowed = Duration::ZERO;
        let mut request = Request::boxed(self.framing);
        self.inbox.begin(&mut self.client, &mut request, first)?;
        if !request.complete {
            Box::pin(self.inbox.fill(&mut self.client, &mut request, &self.shared)).await?;
        }
        let done = match request.mistyped() {
            None => self.carry_out(&mut request).await,
            Some(mistyped) => Box::pin(self.refuse_mistyped(&mut request, &mistyped)).await,
        };
        self.in_use = None;
        request.recycle();
        done
    }

    async fn carry_out(&mut self, request: &mut Request) -> Result<(), End> {
        let Some(plan) = self.plan(request).await? else { return Ok(()) };
        let (method, service) = (request.method(), self.past.service);
        tracing::trace!(method = method.name, ?plan, "call");
        let former = self.former_homes(request);
        let done = match plan {
            Plan::Open => Box::pin(self.open_session(request)).await,
            Plan::OpenBeeswax => Box::pin(self.open_beeswax(request)).await,
            // What there was to ask was asked.
            Plan::Any | Plan::Ask(_) => Box::pin(self.forward_anywhere(request, service)).await,
            Plan::Owner { coordinator, .. } => match self.fleet.cluster.coordinator(coordinator).cloned() {
                Some(coordinator) => self.forward(request, coordinator, service).await,
                None => Box::pin(self.forward_anywhere(request, service)).await,
            },
        };
        let outcome = done.as_ref().map_or(CallOutcome::Unanswered, |outcome| *outcome);
        self.shared.calls.count(method.place(), outcome);
        if done? == CallOutcome::Reply
            && let Some(former) = former
        {
            self.forgotten.extend(former);
        }
        if self.forgotten.is_empty() { Ok(()) } else { Box::pin(self.close_forgotten()).await }
    }

    /// Answers a request that would end elsewhere for its coordinator; not a byte of it is sent.
    async fn refuse_mistyped(&mut self, request: &mut Request, mistyped: &BadInput) -> Result<(), End> {
        let service = service(request.method(), request.facts(), &self.past);
        let answer = NoAnswer::bad_request(self.conn, mistyped);
        let outcome = self.refuse(request, service, &answer, CallOutcome::Refused).await?;
        self.shared.calls.count(request.method().place(), outcome);
        Ok(())
    }

    /// Where a call goes, and what for; its session stays there while it is under way. None if the client was told already what
    /// comes of it.
    async fn plan(&mut self, request: &mut Request) -> Result<Option<Plan>, End> {
        let method = request.method();
        self.forget_lost_beeswax();
        let decided = self.decided(method, request.facts()).await?;
        if let Err(ended) = self.use_session(request)
            && Box::pin(self.tell_over(request, &ended)).await?
        {
            return Ok(None);
        }
        if !self.sits(request) && !Box::pin(self.take_seat(request)).await? {
            return Ok(None);
        }
        let service = service(method, request.facts(), &self.past);
        let plan = match decided {
            Decided::Known(_) if session_of(method, request.facts()).is_some() => {
                // Again: the session may have moved while its call waited.
                let past = Past { asks: false, ..self.past };
                decide(method, request.facts(), &past, &self.fleet.table)
            }
            Decided::Asked(plan) | Decided::Known(plan) => plan,
        };
        // What is kept for cancels is not for a call whose coordinator may never answer it.
        if request.is_whole()
            && request.ends_for_sure()
            && matches!(plan, Plan::Owner { affinity: Affinity::Session | Affinity::Operation, .. })
        {
            request.purpose = purpose(method);
        }
        request.doubt = self.doubt(request, &plan);
        self.past.service = service;
        if !matches!(plan, Plan::Open | Plan::OpenBeeswax) {
            self.reserved = None;
        }
        Ok(Some(plan))
    }

    /// What may be asked again if the coordinator that a call goes to has not what it names: it said so only when it was
    /// asked.
    fn doubt(&self, request: &Request, plan: &Plan) -> Option<Question> {
        let Plan::Owner { affinity, .. } = plan else { return None };
        let was_found = *affinity == Affinity::Found;
        let may_be_found = self.in_use.as_ref().is_none_or(InUse::was_found);
        if !self.past.asks || !(was_found || may_be_found) {
            return None;
        }
        let question = question(request.method(), request.facts())?;
        let is_doubtful = match question {
            Question::Session(_) => was_found || self.in_use.is_some(),
            Question::Operation(handle, _) => was_found || self.fleet.table.was_found_operation(&handle),
        };
        is_doubtful.then_some(question)
    }

    /// A Beeswax session ends with its link. The next one shall not begin where no session may, because the one before it
    /// was there.
    fn forget_lost_beeswax(&mut self) {
        let Some(coordinator) = self.past.beeswax else { return };
        let owner = self.fleet.cluster.coordinator(coordinator);
        if owner.is_some_and(|owner| owner.state() == AdminState::Active) {
            return;
        }
        self.links.drop_closed();
        if !self.links.has(coordinator, Service::Beeswax) {
            self.past.beeswax = None;
        }
    }

    /// Waits for the next request's first bytes, or for the end; none if some are pending. What an idle connection waits for
    /// never interrupts a request that has begun: that has a deadline of its own.
    async fn next_bytes(&mut self) -> Result<Option<Chunk>, End> {
        while self.client.pending.is_empty() {
            // To close on unread bytes would be a reset, and a call lost that came before the end.
            let leave = self.leaving && self.open.is_empty() && self.client.stream.look() != Seen::Bytes;
            tokio::select! {
                biased;
                read = self.client.read() => {
                    let chunk = read?;
                    return if chunk.is_empty() { Err(End::ClientClosed) } else { Ok(Some(chunk)) };
                }
                () = ready(()), if leave => return Err(End::RouterShutdown),
                () = self.bell.rings_besides(Ring::Drain), if !self.leaving => {
                    self.leaving = true;
                    self.look_in(DRAIN_LOOK_INTERVAL);
                }
                () = self.bell.rings_besides(Ring::Look) => {
                    self.bell.answer(Ring::Look);
                    Box::pin(self.leave_coordinators()).await?;
                }
                // Links and alarm together: each branch costs something in every call.
                () = poll_fn(|cx| {
                    self.links.drop_ended(cx);
                    self.look.poll_rings(cx)
                }) => {
                    // Boxed: an idle connection must not hold what that takes.
                    Box::pin(self.look_after_sessions()).await;
                }
            }
        }
        Ok(None)
    }

    pub(super) fn look_in(&mut self, interval: Duration) {
        self.look.reset(interval);
    }

    /// What names nothing that is known goes to any coordinator, for its own words.
    async fn forward_anywhere(
        &mut self,
        request: &mut Request,
        service: Service,
    ) -> Result<CallOutcome, End> {
        if let Some(coordinator) = self.anybody(service) {
            return self.forward(request, coordinator, service).await;
        }
        let answer = NoAnswer::nowhere(self.conn, &self.fleet.cluster.name, "all of them are draining");
        self.refuse(request, service, &answer, CallOutcome::Refused).await
    }

    /// The best coordinator, if it can be with room for a call.
    fn anybody(&self, service: Service) -> Option<Arc<Coordinator>> {
        let has_room = |one: &Coordinator| self.links.has_room(one, service, self.client.address);
        let picked = self.fleet.pick(&Wanted { service, demand: None, tried: &[], has_room: &has_room });
        let picked = picked.or_else(|_| self.fleet.pick(&Wanted::anywhere_but(&[], service)));
        // Counted as an open only for the moment of the pick: no session comes of it.
        Some(Arc::clone(picked.ok()?.coordinator()))
    }

    /// Puts the link back and notes where the connection was last, and whether its coordinator takes work.
    pub(super) fn finish(
        &mut self,
        method: &Method,
        coordinator: &Coordinator,
        answered: Answered<S>,
    ) -> CallOutcome {
        self.past.last = Some(coordinator.id);
        if self.verdict(method, answered.reply.facts()) == Verdict::ShuttingDown {
            // Else the coordinator whose sessions leave it would look like the least loaded to the clients that come back.
            self.fleet.note_shutting_down(coordinator);
        }
        if let Some(link) = answered.link {
            self.links.put(link);
        }
        let outcome = outcome(method, answered.reply.facts());
        answered.reply.recycle();
        outcome
    }

    /// What a reply of one of the cluster's coordinators says.
    pub(super) fn verdict(&self, method: &Method, reply: &Facts) -> Verdict {
        verdict(method, reply, self.fleet.cluster.flavor.family())
    }

    /// Answers a call in a coordinator's place, once all of it has come; slowly, if the client dials in vain all the time.
    pub(super) async fn refuse(
        &mut self,
        request: &mut Request,
        service: Service,
        answer: &NoAnswer,
        outcome: CallOutcome,
    ) -> Result<CallOutcome, End> {
        self.take_rest(request).await?;
        tracing::debug!(method = request.method().name, message = answer.message, "call refused");
        let reply = answer.reply(service, request.facts(), self.framing);
        self.brake().await;
        self.client.send(&reply, self.shared.settings.stall_timeout).await?;
        Ok(outcome)
    }
}

/// What a reply counts as.
fn outcome(method: &Method, reply: &Facts) -> CallOutcome {
    match succeeded(method, reply) {
        true => CallOutcome::Reply,
        false if reply.is_exception() => CallOutcome::Exception,
        false => CallOutcome::ErrorStatus,
    }
}
