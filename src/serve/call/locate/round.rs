//! One round of a lookup. Every coordinator is asked at once, under the client's own identity, until all have
//! answered or the time is over. Once a coordinator says that it has the handle, the others have only
//! [`GRACE`] left. If several say so, each is asked about a handle that no coordinator can have; a
//! coordinator that claims that one, too, is not believed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rand::Rng as _;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::CoordinatorId;
use crate::net::stream::Stream;
use crate::serve::call::links::Links;
use crate::serve::call::locate::logins::Logins;
use crate::serve::fleet::Fleet;
use crate::serve::link::Link;
use crate::serve::link::lost::LostCause;
use crate::serve::link::no_link::{NoLink, Unreached};
use crate::serve::link::own_call;
use crate::serve::link::port::Claimant;
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::http::answer::Refusal;
use crate::serve::message::link_end::Look;
use crate::serve::shared::Shared;
use crate::session::locate::{Answer, Answers, Question};
use crate::session::retry::Phase;
use crate::wire::facts::{Facts, Handle};

/// How long to wait for the other answers once a coordinator has said that it has the handle. Another one may
/// say so, too, and a link whose answer is missing is of no further use. Most answers come within a
/// millisecond of each other, so this costs time only where a coordinator is slow. If the wrong coordinator
/// was believed, the call itself finds that out.
const GRACE: Duration = Duration::from_millis(100);

/// What is needed for one round: the question, and the client that it is asked for.
pub(crate) struct Round<'a, S: Stream> {
    pub(crate) fleet: &'a Fleet<S>,
    pub(crate) shared: &'a Shared<S>,
    pub(crate) links: &'a Links<S>,
    pub(crate) client: &'a ClientEnd<S>,
    /// The client, as it claims links.
    pub(crate) claimant: Claimant<'a>,
    pub(crate) question: Question,
    /// The coordinator that is not asked, if any.
    pub(crate) except: Option<CoordinatorId>,
    pub(crate) deadline: Instant,
}

/// The result of a round.
pub(crate) struct Heard<S: Stream> {
    /// What the coordinators said.
    pub(crate) answers: Answers,
    /// The replies of the coordinators that say that they have the handle.
    pub(crate) replies: Vec<(CoordinatorId, Box<Facts>)>,
    /// The links that are fit for another call.
    pub(crate) links: Vec<Used<S>>,
    /// Whether a coordinator refused the credentials.
    pub(crate) refused: bool,
    /// The first refusal over HTTP, where the credentials come with each call.
    pub(crate) refusal: Option<Refused>,
    /// The coordinators that were asked and did not answer.
    pub(crate) silent: Vec<CoordinatorId>,
}

/// A coordinator's refusal of what the client has shown it over HTTP.
pub(crate) struct Refused {
    pub(crate) coordinator: CoordinatorId,
    pub(crate) refusal: Box<Refusal>,
}

/// A link on which a question was asked.
pub(crate) struct Used<S: Stream> {
    pub(crate) link: Box<Link<S>>,
    /// Whether the link was dialed for the question.
    pub(crate) dialed: bool,
}

/// One step with a coordinator: get a link to it, or ask on the link.
enum Step<S: Stream> {
    Reach(Arc<Coordinator>),
    Ask(Used<S>),
}

/// The result of a step.
enum Done<S: Stream> {
    Reached(Result<Used<S>, NoReach>),
    Asked { dialed: bool, replied: Result<Replied<S>, LostCause> },
}

/// Why a coordinator was not asked.
#[derive(Debug, thiserror::Error)]
enum NoReach {
    #[error(transparent)]
    NoLink(#[from] NoLink),
    /// The client has left or has finished sending: no link is made for it any more.
    #[error("the client has left")]
    ClientGone,
}

impl NoReach {
    fn has_shown_credentials(&self) -> bool {
        matches!(self, Self::NoLink(no_link) if no_link.phase() == Phase::CredentialsShown)
    }
}

struct Replied<S: Stream> {
    facts: Box<Facts>,
    /// The link, unless it is not fit for another call.
    link: Option<Box<Link<S>>>,
}

/// The state of a round.
struct Course<S: Stream> {
    heard: Heard<S>,
    /// The steps that have not begun.
    waiting: VecDeque<Step<S>>,
    logins: Logins,
}

impl<S: Stream> Course<S> {
    fn next_step(&mut self) -> Option<Step<S>> {
        if !self.logins.may_begin() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.logins.begin();
        Some(next)
    }
}

impl<S: Stream> Round<'_, S> {
    /// Asks all coordinators, those with one of the connection's own links first. If no coordinator has the
    /// handle, the `preferred` one is chosen to say so.
    pub(crate) async fn ask_all(&self, own: Vec<Box<Link<S>>>, preferred: Option<CoordinatorId>) -> Heard<S> {
        let flavor = self.fleet.cluster.flavor;
        let call = self.question.call(flavor);
        let mut course = self.course(&own, preferred);
        let mut deadline = self.deadline;
        let mut has_owner = false;
        let mut steps = FuturesUnordered::new();
        for link in own {
            let step = Step::Ask(Used { link, dialed: false });
            if self.links.shows_each_time() {
                course.waiting.push_front(step);
            } else {
                steps.push(self.step(step, &call));
            }
        }
        loop {
            while let Some(step) = course.next_step() {
                steps.push(self.step(step, &call));
            }
            let Ok(Some((coordinator, done))) = timeout_at(deadline, steps.next()).await else { break };
            if let Some(used) = self.note(coordinator, done, &mut course) {
                steps.push(self.step(Step::Ask(used), &call));
            }
            if !course.heard.replies.is_empty() && !std::mem::replace(&mut has_owner, true) {
                deadline = deadline.min(Instant::from_std(clock::now() + GRACE));
            }
        }
        drop(steps);
        let Course { mut heard, logins, .. } = course;
        heard.refused = logins == Logins::Over;
        if heard.answers.owners().len() > 1 {
            self.cross_examine(&mut heard).await;
        }
        heard
    }

    /// Asks each coordinator that claims the handle about a handle that no coordinator can have, and
    /// disbelieves those that claim that, too. A coordinator that does not answer in time is believed.
    async fn cross_examine(&self, heard: &mut Heard<S>) {
        let unknown = self.fleet.chance.draw(|rng| {
            let mut handle = Handle { guid: [0; 16], secret: [0; 16] };
            rng.fill_bytes(&mut handle.guid);
            rng.fill_bytes(&mut handle.secret);
            handle
        });
        let flavor = self.fleet.cluster.flavor;
        let call = self.question.about(unknown).call(flavor);
        let owners = heard.answers.owners().to_vec();
        let links = heard.links.extract_if(.., |used| owners.contains(&used.link.coordinator.id));
        let links: Vec<_> = links.collect();
        let mut steps: FuturesUnordered<_> =
            links.into_iter().map(|used| self.step(Step::Ask(used), &call)).collect();
        let deadline = Instant::from_std(clock::now() + GRACE);
        while let Ok(Some((coordinator, done))) = timeout_at(deadline, steps.next()).await {
            let Done::Asked { dialed, replied: Ok(Replied { facts, link }) } = done else { continue };
            heard.links.extend(link.map(|link| Used { link, dialed }));
            if self.question.answer(flavor, &facts) == Some(Answer::Has) {
                tracing::debug!(coordinator = %coordinator.name, "it claims a handle that no coordinator can have");
                heard.answers.disbelieve(coordinator.id);
            }
        }
    }

    fn course(&self, own: &[Box<Link<S>>], preferred: Option<CoordinatorId>) -> Course<S> {
        let coordinators = self.fleet.cluster.coordinators();
        let asked = coordinators.iter().filter(|one| self.can_ask(one)).map(|one| one.id);
        let silent: Vec<_> = asked.filter(|id| Some(*id) != self.except).collect();
        let heard = Heard {
            answers: Answers::of(silent.len(), preferred),
            replies: Vec::new(),
            links: Vec::new(),
            refused: false,
            refusal: None,
            silent,
        };
        let logins = match (self.links.may_lock_out(), self.links.was_refused()) {
            (false, _) => Logins::Free,
            (true, false) => Logins::One,
            (true, true) => Logins::Over,
        };
        Course { heard, waiting: self.to_reach(own).map(Step::Reach).collect(), logins }
    }

    /// Whether a coordinator has the port that the client's calls go to.
    fn can_ask(&self, coordinator: &Coordinator) -> bool {
        coordinator.ports.of(self.links.access().hs2()).is_some()
    }

    /// Takes the result of a step; returns a link that was reached and is to be asked on next.
    fn note(&self, coordinator: Arc<Coordinator>, done: Done<S>, course: &mut Course<S>) -> Option<Used<S>> {
        match done {
            Done::Reached(Ok(used)) => {
                // Over HTTP they are shown with the question.
                if !self.links.shows_each_time() {
                    course.logins.note(used.dialed.then_some(true));
                }
                return Some(used);
            }
            Done::Reached(Err(cause)) => {
                tracing::debug!(coordinator = %coordinator.name, %cause, "not asked for a handle");
                let is_refused = self.links.may_lock_out() && cause.has_shown_credentials();
                course.logins.note(is_refused.then_some(false));
            }
            Done::Asked { dialed, replied } => {
                if self.links.shows_each_time() {
                    let refused = |cause: &LostCause| cause.is_verdict().then_some(false);
                    course.logins.note(replied.as_ref().map_or_else(refused, |_| Some(true)));
                }
                match replied {
                    Ok(replied) => self.take(&coordinator, dialed, replied, &mut course.heard),
                    // The link may have been dead before the question was sent.
                    Err(cause) if !dialed && !cause.is_verdict() => {
                        course.waiting.push_back(Step::Reach(coordinator));
                    }
                    Err(cause) => {
                        tracing::debug!(coordinator = %coordinator.name, %cause, "lost while asked for a handle");
                        if let LostCause::Refused(refusal) = cause
                            && refusal.is_verdict()
                        {
                            let refused = Refused { coordinator: coordinator.id, refusal };
                            course.heard.refusal.get_or_insert(refused);
                        }
                    }
                }
            }
        }
        None
    }

    /// Returns the coordinators to which the connection has no link, the healthiest first: only one of them
    /// may get to see the credentials.
    fn to_reach(&self, own: &[Box<Link<S>>]) -> impl Iterator<Item = Arc<Coordinator>> + use<S> {
        let (now, service) = (clock::now(), self.claimant.holder.access.hs2());
        let mut to_reach: Vec<_> = self
            .fleet
            .cluster
            .coordinators()
            .iter()
            .filter(|coordinator| self.can_ask(coordinator))
            .filter(|coordinator| Some(coordinator.id) != self.except)
            .filter(|coordinator| own.iter().all(|link| link.coordinator.id != coordinator.id))
            .cloned()
            .collect();
        to_reach.sort_by_key(|coordinator| !coordinator.standing(service, now).is_fit());
        to_reach.into_iter()
    }

    async fn step(&self, step: Step<S>, call: &BytesMut) -> (Arc<Coordinator>, Done<S>) {
        match step {
            Step::Reach(coordinator) => {
                let reached = self.reach(&coordinator).await;
                (coordinator, Done::Reached(reached))
            }
            Step::Ask(Used { link, dialed }) => {
                let coordinator = Arc::clone(&link.coordinator);
                (coordinator, Done::Asked { dialed, replied: self.ask(link, call).await })
            }
        }
    }

    /// Gets a shared link or dials a new one; waits if there is no room for it.
    async fn reach(&self, coordinator: &Coordinator) -> Result<Used<S>, NoReach> {
        let port = self.fleet.port(coordinator, self.claimant.holder.access.hs2());
        let port = port.ok_or(NoLink::Unreached(Unreached::Removed))?;
        let granted = waiting::link(&port, self.claimant.clone(), self.client.closed()).await;
        let granted = match granted {
            Ok(granted) => granted.live(Look::Briefly),
            Err(NotCalled::NoRoom(no_room)) => return Err(NoLink::NoRoom(no_room).into()),
            Err(NotCalled::ClientGone) => return Err(NoReach::ClientGone),
        };
        let slot = match granted {
            Ok(link) => return Ok(Used { link, dialed: false }),
            Err(slot) => slot,
        };
        let dialed = tokio::select! {
            biased;
            () = self.client.closed() => return Err(NoReach::ClientGone),
            dialed = self.links.dial(slot, self.shared) => dialed,
        };
        Ok(Used { link: dialed?, dialed: true })
    }

    /// Asks on a link, and closes what the question opened there.
    async fn ask(&self, link: Box<Link<S>>, call: &BytesMut) -> Result<Replied<S>, LostCause> {
        let flavor = self.fleet.cluster.flavor;
        let mut replied = self.exchange(link, call).await?;
        if let Some(call) = self.question.clearance(flavor, &replied.facts)
            && let Some(link) = replied.link.take()
        {
            let cleared = self.exchange(link, &call).await;
            replied.link = cleared.ok().and_then(|cleared| cleared.link);
        }
        Ok(replied)
    }

    async fn exchange(&self, link: Box<Link<S>>, call: &BytesMut) -> Result<Replied<S>, LostCause> {
        let own_call::Answer { reply, link } =
            own_call::ask(link, call, self.shared.settings.stall_timeout).await?;
        Ok(Replied { facts: Box::new(reply.facts().clone()), link })
    }

    fn take(&self, coordinator: &Coordinator, dialed: bool, replied: Replied<S>, heard: &mut Heard<S>) {
        let Replied { facts, link } = replied;
        heard.silent.retain(|silent| *silent != coordinator.id);
        heard.links.extend(link.map(|link| Used { link, dialed }));
        let Some(answer) = self.question.answer(self.fleet.cluster.flavor, &facts) else { return };
        tracing::trace!(coordinator = %coordinator.name, ?answer, "asked for a handle");
        heard.answers.note(coordinator.id, answer);
        if answer == Answer::Has {
            heard.replies.push((coordinator.id, facts));
        }
    }
}
