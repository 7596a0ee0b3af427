//! A call goes to the coordinator that it belongs to: again if that is safe, elsewhere if its session can move, and if it
//! cannot be answered the client is told so.

use std::sync::Arc;

use super::attached::InUse;
use super::calls::Calls;
use super::end::End;
use super::exchange::{Answered, Lost, LostCause, Trouble};
use super::incoming::{Body, Deliver, HeldBack};
use super::link::NoLink;
use super::moving::MOVE_TIME;
use super::refuse::{self, NoAnswer};
use super::request::Request;
use crate::cluster::Coordinator;
use crate::ids::{CoordinatorId, Service};
use crate::metrics::CallOutcome;
use crate::net::stream::Stream;
use crate::session::decide::session_of;
use crate::session::retry::{Phase, Remedy, remedy};
use crate::wire::method::{Retry, Role};
use crate::wire::verdict::Verdict;

/// Why a call was not carried out where it was sent. The client knows nothing of it yet.
pub(super) enum Failed {
    /// There is no link.
    NoLink(NoLink),
    /// Its session went elsewhere while it waited for the link.
    Left,
    /// The link was lost.
    Lost(Lost),
    /// Its session has ended with the link, before it was sent.
    SessionLost(CoordinatorId),
    /// The coordinator did not run it: it takes no new work, or has no such session.
    Refused {
        /// Which of the two.
        verdict: Verdict,
        /// What the call counts as if the client gets this answer.
        outcome: CallOutcome,
        /// The coordinator's own words, framed.
        reply: Box<HeldBack>,
    },
}

/// What came of sending a call to one coordinator.
enum Attempt {
    /// The client has its reply.
    Answered(CallOutcome),
    Failed(Failed),
}

impl<S: Stream> Calls<S> {
    /// Sends a call to the coordinator that it belongs to, or to the one that its session moves to: that may be lost in the
    /// meantime, too. To none after as many moves as there are coordinators.
    pub(super) async fn forward(
        &mut self,
        request: &mut Request,
        mut coordinator: Arc<Coordinator>,
        service: Service,
    ) -> Result<CallOutcome, End> {
        let mut moves = self.fleet.cluster.coordinators.len();
        loop {
            let failed = match self.attempt(request, &coordinator, service).await? {
                Attempt::Answered(outcome) => return Ok(outcome),
                Attempt::Failed(failed) => failed,
            };
            let next = match failed {
                _ if moves == 0 => None,
                Failed::Left => Box::pin(self.follow(request, &coordinator)).await,
                _ if request.doubt.is_some() => {
                    Box::pin(self.find_elsewhere(request, &coordinator, &failed)).await?
                }
                _ => Box::pin(self.move_after(request, &coordinator, &failed)).await?,
            };
            let Some(next) = next else {
                return Box::pin(self.give_up(request, &coordinator, service, failed)).await;
            };
            (coordinator, moves) = (next, moves - 1);
        }
    }

    /// Sends a call to one coordinator, again if that is safe.
    async fn attempt(
        &mut self,
        request: &mut Request,
        coordinator: &Arc<Coordinator>,
        service: Service,
    ) -> Result<Attempt, End> {
        self.name_session(request, coordinator.id);
        let mut resends = 0;
        loop {
            let link = match self.link_to(coordinator, service, request).await? {
                Ok(link) if self.has_left(request, coordinator) => {
                    self.links.put(link);
                    return Ok(Attempt::Failed(Failed::Left));
                }
                Ok(link) => match self.in_use.as_ref().and_then(InUse::lost) {
                    // Nothing was sent on this one.
                    Some(lost) => {
                        self.links.put(link);
                        return Ok(Attempt::Failed(Failed::SessionLost(lost)));
                    }
                    None => link,
                },
                Err(no_link) => return Ok(Attempt::Failed(Failed::NoLink(no_link))),
            };
            let again = resends > 0 && request.method().retry == Retry::OnceGoneIsDone;
            let may_go_on = request.seat.is_some() || request.doubt.is_some();
            let deliver = if again {
                Deliver::WhenWhole
            } else if may_go_on && request.is_whole() {
                Deliver::WhileShort
            } else {
                Deliver::AsItComes
            };
            let is_new = !link.seat.is_settled();
            let exchanged = self.exchange(link, request, deliver).await;
            self.note_use(is_new, &exchanged);
            let lost = match exchanged {
                Ok(answered) if again => {
                    let finished = self.finish_again(request, coordinator, service, answered);
                    let outcome = Box::pin(finished).await?;
                    return Ok(Attempt::Answered(outcome));
                }
                Ok(answered) => {
                    let (bytes, outcome) = match self.judged(request, coordinator, answered) {
                        Ok(judged) => judged,
                        Err(failed) => return Ok(Attempt::Failed(failed)),
                    };
                    if !bytes.is_empty() {
                        self.client.send(&bytes, self.shared.settings.stall_timeout).await?;
                    }
                    return Ok(Attempt::Answered(outcome));
                }
                Err(Trouble::Client(end)) => return Err(end),
                Err(Trouble::Link(lost)) => lost,
            };
            let can_resend = (request.is_whole() || lost.phase.is_unwritten())
                && !lost.client_has_some
                && !self.client.has_closed();
            match remedy(request.method().retry, lost.phase, resends) {
                Remedy::Redial if can_resend => resends += 1,
                _ => return Ok(Attempt::Failed(Failed::Lost(lost))),
            }
        }
    }

    /// Whether the session of a call is not where the call is about to be sent, or is about to leave: a coordinator that is lost
    /// does not keep it for calls that wait for a link.
    fn has_left(&self, request: &Request, coordinator: &Coordinator) -> bool {
        let seated = request.seat.is_some() && request.method().role != Role::Profile;
        let session = session_of(request.method(), request.facts()).filter(|_| seated);
        session.is_some_and(|session| self.fleet.table.has_left(&session.guid, coordinator.id))
    }

    /// Where the session of such a call has gone; none if it does not arrive in time.
    async fn follow(
        &mut self,
        request: &mut Request,
        coordinator: &Arc<Coordinator>,
    ) -> Option<Arc<Coordinator>> {
        let session = session_of(request.method(), request.facts())?;
        request.seat = None;
        if !self.enter(request, &session).await {
            return None;
        }
        let owner = self.fleet.table.session_owner(&session.guid);
        let owner = owner.and_then(|owner| self.fleet.cluster.coordinator(owner));
        // If it was closed meanwhile, the one that had it has the words for that.
        Some(Arc::clone(owner.unwrap_or(coordinator)))
    }

    /// What the client is to have of its reply, and what the call counts as; unless that is a refusal, which may not be the last
    /// word.
    fn judged(
        &mut self,
        request: &Request,
        coordinator: &Coordinator,
        mut answered: Answered<S>,
    ) -> Result<(Body, CallOutcome), Failed> {
        let bytes = std::mem::replace(&mut answered.bytes, Body::Nothing);
        let verdict = self.verdict(request.method(), answered.reply.facts());
        if let Some(in_use) = &mut self.in_use {
            in_use.succeeded |= verdict == Verdict::Success;
            if in_use.succeeded && !in_use.is_counted() {
                self.count_again(request, coordinator);
            }
        }
        let outcome = self.finish(request.method(), coordinator, answered);
        // It was lost for others, and has answered after all.
        if !bytes.is_empty() && request.effect.is_of_session() && self.has_left(request, coordinator) {
            let (phase, cause) = (Phase::Waiting, LostCause::SessionMoved);
            return Err(Failed::Lost(Lost { phase, client_has_some: false, cause }));
        }
        let is_last_word = match verdict {
            Verdict::ShuttingDown | Verdict::NoSuchSession => bytes.is_empty(),
            Verdict::NoSuchOperation => bytes.is_empty() || request.doubt.is_none(),
            Verdict::Success | Verdict::Failed | Verdict::Full => true,
        };
        if !is_last_word {
            return Err(Failed::Refused { verdict, outcome, reply: bytes.into_held() });
        }
        Ok((bytes, outcome))
    }

    /// The session of a call that succeeded counts nowhere, but lives. That a session is named proves nothing where its
    /// coordinator does not look it up (Spark: `SparkSQLCLIService` `getInfo`).
    fn count_again(&self, request: &Request, coordinator: &Coordinator) {
        let looks = self.fleet.cluster.flavor.pings_sessions() || request.method().name != "GetInfo";
        let session = session_of(request.method(), request.facts()).filter(|_| looks);
        let coordinator = self.fleet.cluster.coordinator(coordinator.id);
        if let (Some(session), Some(coordinator)) = (session, coordinator) {
            self.fleet.table.count_again(&session.guid, coordinator);
        }
    }

    /// Tells the client why its call was not carried out.
    async fn give_up(
        &mut self,
        request: &mut Request,
        coordinator: &Arc<Coordinator>,
        service: Service,
        failed: Failed,
    ) -> Result<CallOutcome, End> {
        match failed {
            Failed::NoLink(no_link) => {
                if self.past.beeswax == Some(coordinator.id) && service == Service::Beeswax {
                    // Its session is lost: the next call begins another.
                    self.past.beeswax = None;
                }
                let answer = NoAnswer::no_link(self.conn, coordinator, &no_link);
                self.refuse(request, service, &answer, CallOutcome::Refused).await
            }
            Failed::Left => {
                let answer = NoAnswer::on_its_way(self.conn, MOVE_TIME);
                self.refuse(request, service, &answer, CallOutcome::Refused).await
            }
            Failed::Lost(lost) => self.refuse_lost(request, coordinator, service, lost).await,
            Failed::SessionLost(coordinator) => self.tell_lost(request, coordinator).await,
            Failed::Refused { verdict, outcome, reply } => {
                if verdict == Verdict::NoSuchSession {
                    self.forget_session(request, coordinator);
                }
                self.client.send(&reply.bytes, self.shared.settings.stall_timeout).await?;
                Ok(outcome)
            }
        }
    }

    /// Forgets a session that its coordinator has ended. What a former coordinator says of it means nothing.
    fn forget_session(&self, request: &Request, coordinator: &Coordinator) {
        let named = request.seat.as_ref().filter(|_| request.method().role != Role::Profile);
        if let Some(session) = named.and_then(|_| request.facts().handle())
            && self.fleet.table.session_owner(&session.guid) == Some(coordinator.id)
        {
            self.fleet.table.remove_session(&session.guid);
        }
    }

    /// The second try of a close or cancel: that there is no such handle any more means that the first one had its effect.
    async fn finish_again(
        &mut self,
        request: &Request,
        coordinator: &Coordinator,
        service: Service,
        mut answered: Answered<S>,
    ) -> Result<CallOutcome, End> {
        let gone = self.verdict(request.method(), answered.reply.facts());
        let bytes = std::mem::replace(&mut answered.bytes, Body::Nothing);
        let outcome = self.finish(request.method(), coordinator, answered);
        let stall = self.shared.settings.stall_timeout;
        if matches!(gone, Verdict::NoSuchSession | Verdict::NoSuchOperation) {
            if gone == Verdict::NoSuchSession {
                self.forget_session(request, coordinator);
            }
            self.client.send(&refuse::done(service, request.facts(), self.framing), stall).await?;
            return Ok(CallOutcome::Reply);
        }
        self.client.send(&bytes, stall).await?;
        Ok(outcome)
    }

    /// Tells the client that its call was lost with its link; if it has some of the reply, only the connection can end.
    async fn refuse_lost(
        &mut self,
        request: &mut Request,
        coordinator: &Coordinator,
        service: Service,
        lost: Lost,
    ) -> Result<CallOutcome, End> {
        if let Some(left_out) = self.shared.admit_line("link lost during a call", lost.cause.kind()) {
            let method = request.method().name;
            tracing::info!(coordinator = %coordinator.name, method, cause = %lost.cause, left_out, "link lost during a call");
        }
        self.fleet.doubt(coordinator, service);
        if lost.client_has_some {
            return Err(match lost.cause {
                LostCause::BadReply(error) => error.into(),
                cause => End::CoordinatorLost { cause: cause.to_string() },
            });
        }
        let answer = if lost.phase.is_unwritten() {
            NoAnswer::unreachable(self.conn, coordinator, lost.cause)
        } else {
            NoAnswer::lost(self.conn, coordinator, lost.cause)
        };
        self.refuse(request, service, &answer, CallOutcome::Lost).await
    }
}
