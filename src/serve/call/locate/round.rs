//! One round of questions: every coordinator is asked at once, under the asker's own identity, until all have answered or the
//! time is over, which is soon once one says that it has the handle. If several say so, each is asked about a handle that
//! nobody has: a coordinator that has that one, too, is not believed.

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
use crate::cluster::room::{Holder, Purpose};
use crate::cluster::turns::Turn;
use crate::ids::{CoordinatorId, Service};
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::links::Links;
use crate::serve::link::Link;
use crate::serve::link::dial::Unreached;
use crate::serve::link::lost::LostCause;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::own_call;
use crate::serve::link::waiting::{self, NotCalled};
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::link_end::Look;
use crate::serve::shared::Shared;
use crate::session::locate::{Answer, Answers, Question};
use crate::session::retry::Phase;
use crate::wire::facts::{Facts, Handle};

/// How long the answers of the others are waited for once a coordinator has said that it has the handle: one of them may say
/// so, too, and a link that owes an answer is of no further use. Most answer within a millisecond of each other, so that
/// this costs something only where one is slow. Who was believed wrongly is found out by the call itself.
const GRACE: Duration = Duration::from_millis(100);

/// Who asks, and what.
pub(crate) struct Round<'a, S: Stream> {
    pub(crate) fleet: &'a Fleet<S>,
    pub(crate) shared: &'a Shared<S>,
    pub(crate) links: &'a Links<S>,
    pub(crate) client: &'a ClientEnd<S>,
    /// Whose places its links use.
    pub(crate) holder: Holder<'a>,
    /// Whose turn its links wait for.
    pub(crate) turn: Turn,
    pub(crate) purpose: Purpose,
    pub(crate) question: Question,
    /// The coordinator that is not asked, if there is one.
    pub(crate) except: Option<CoordinatorId>,
    pub(crate) deadline: Instant,
}

/// What came of it.
pub(crate) struct Heard<S: Stream> {
    /// What coordinators say.
    pub(crate) answers: Answers,
    /// The replies of those who say that they have it.
    pub(crate) replies: Vec<(CoordinatorId, Box<Facts>)>,
    /// Links that are fit for another call.
    pub(crate) links: Vec<Used<S>>,
    /// Whether the credentials were shown in vain.
    pub(crate) refused: bool,
    /// Who was asked and did not answer.
    pub(crate) silent: Vec<CoordinatorId>,
}

/// A link on which a question was answered.
pub(crate) struct Used<S: Stream> {
    pub(crate) link: Box<Link<S>>,
    /// Whether it was dialed to ask.
    pub(crate) dialed: bool,
}

/// What is done with a coordinator.
enum Step<S: Stream> {
    Reach(Arc<Coordinator>),
    Ask(Used<S>),
}

/// What came of it.
enum Done<S: Stream> {
    Reached(Result<Used<S>, NoReach>),
    Asked { dialed: bool, replied: Result<Replied<S>, LostCause> },
}

/// Why a coordinator is not asked.
#[derive(Debug, thiserror::Error)]
enum NoReach {
    #[error(transparent)]
    NoLink(#[from] NoLink),
    /// The client has left, or at least finished sending: no link is made for it any more.
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
    /// None if it is not fit for another call.
    link: Option<Box<Link<S>>>,
}

/// Whether credentials may be shown to further coordinators. Four wrong binds lock an account, and a password that was right
/// once may have changed, or be good for one use: so one coordinator sees them first, and the others if it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logins {
    /// To all.
    Free,
    /// To one.
    One,
    /// One sees them now.
    Waiting,
    /// They were refused.
    Over,
}

impl Logins {
    fn may_begin(self) -> bool {
        matches!(self, Self::Free | Self::One)
    }

    fn begin(&mut self) {
        if *self == Self::One {
            *self = Self::Waiting;
        }
    }

    /// A coordinator accepted them, or refused them, or never saw them.
    fn note(&mut self, verdict: Option<bool>) {
        *self = match verdict {
            _ if *self == Self::Over => Self::Over,
            Some(true) => Self::Free,
            Some(false) => Self::Over,
            None if *self == Self::Waiting => Self::One,
            None => *self,
        };
    }
}

/// How far a round has come.
struct Course<S: Stream> {
    heard: Heard<S>,
    /// Who is yet to be reached.
    to_reach: VecDeque<Arc<Coordinator>>,
    logins: Logins,
}

impl<S: Stream> Course<S> {
    fn next_to_reach(&mut self) -> Option<Arc<Coordinator>> {
        if !self.logins.may_begin() {
            return None;
        }
        let next = self.to_reach.pop_front()?;
        self.logins.begin();
        Some(next)
    }
}

impl<S: Stream> Round<'_, S> {
    /// Asks, first on the connection's own links. If nobody has the handle, the `preferred` coordinator shall say so.
    pub(crate) async fn ask_all(&self, own: Vec<Box<Link<S>>>, preferred: Option<CoordinatorId>) -> Heard<S> {
        let flavor = self.fleet.cluster.flavor;
        let call = self.question.call(flavor);
        let mut course = self.course(&own, preferred);
        let mut deadline = self.deadline;
        let mut has_owner = false;
        let mut steps = FuturesUnordered::new();
        for link in own {
            steps.push(self.step(Step::Ask(Used { link, dialed: false }), &call));
        }
        loop {
            while let Some(coordinator) = course.next_to_reach() {
                steps.push(self.step(Step::Reach(coordinator), &call));
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

    /// Asks those that say that they have the handle for one that nobody has. A coordinator that does not answer in time is believed.
    async fn cross_examine(&self, heard: &mut Heard<S>) {
        let nobodys = self.fleet.chance.draw(|rng| {
            let mut handle = Handle { guid: [0; 16], secret: [0; 16] };
            rng.fill_bytes(&mut handle.guid);
            rng.fill_bytes(&mut handle.secret);
            handle
        });
        let flavor = self.fleet.cluster.flavor;
        let call = self.question.about(nobodys).call(flavor);
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
                tracing::debug!(coordinator = %coordinator.name, "it says that it has whatever handle it is asked for");
                heard.answers.disbelieve(coordinator.id);
            }
        }
    }

    fn course(&self, own: &[Box<Link<S>>], preferred: Option<CoordinatorId>) -> Course<S> {
        let coordinators = self.fleet.cluster.coordinators();
        let asked = coordinators.iter().filter(|one| one.ports.hs2.is_some()).map(|one| one.id);
        let silent: Vec<_> = asked.filter(|id| Some(*id) != self.except).collect();
        let heard = Heard {
            answers: Answers::of(silent.len(), preferred),
            replies: Vec::new(),
            links: Vec::new(),
            refused: false,
            silent,
        };
        let logins = match (self.links.logs_in(), self.links.was_refused()) {
            (false, _) => Logins::Free,
            (true, false) => Logins::One,
            (true, true) => Logins::Over,
        };
        Course { heard, to_reach: self.to_reach(own), logins }
    }

    /// Takes in what came of a step; a link that was reached is to be asked on.
    fn note(&self, coordinator: Arc<Coordinator>, done: Done<S>, course: &mut Course<S>) -> Option<Used<S>> {
        match done {
            Done::Reached(Ok(used)) => {
                course.logins.note(used.dialed.then_some(true));
                return Some(used);
            }
            Done::Reached(Err(cause)) => {
                tracing::debug!(coordinator = %coordinator.name, %cause, "not asked for a handle");
                course.logins.note(cause.has_shown_credentials().then_some(false));
            }
            Done::Asked { dialed, replied } => {
                match replied {
                    Ok(replied) => self.take(&coordinator, dialed, replied, &mut course.heard),
                    // A link may have been dead before it was asked on.
                    Err(_) if !dialed => course.to_reach.push_back(coordinator),
                    Err(cause) => {
                        tracing::debug!(coordinator = %coordinator.name, %cause, "lost while asked for a handle");
                    }
                }
            }
        }
        None
    }

    /// Those to whom the connection has no link, the soundest first: one may be the only one that sees the credentials.
    fn to_reach(&self, own: &[Box<Link<S>>]) -> VecDeque<Arc<Coordinator>> {
        let now = clock::now();
        let mut to_reach: Vec<_> = self
            .fleet
            .cluster
            .coordinators()
            .iter()
            .filter(|coordinator| coordinator.ports.hs2.is_some())
            .filter(|coordinator| Some(coordinator.id) != self.except)
            .filter(|coordinator| own.iter().all(|link| link.coordinator.id != coordinator.id))
            .cloned()
            .collect();
        to_reach.sort_by_key(|coordinator| !coordinator.standing(Service::Hs2, now).is_fit());
        to_reach.into()
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

    /// A link that is shared, or a new one; waits if there is no room for it.
    async fn reach(&self, coordinator: &Coordinator) -> Result<Used<S>, NoReach> {
        let port = self.fleet.port(coordinator, Service::Hs2);
        let port = port.ok_or(NoLink::Unreached(Unreached::Removed))?;
        let (who, gone) = ((self.holder, self.turn.clone()), self.client.closed());
        let granted = waiting::link(&port, who, self.purpose, gone).await;
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

    /// Asks on a link, and has what the question left there cleared away.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_shown_to_one_and_then_to_the_others_until_one_refuses() {
        let mut logins = Logins::One;
        assert!(logins.may_begin());
        logins.begin();
        assert!(!logins.may_begin(), "one at a time");
        logins.note(None);
        assert!(logins.may_begin(), "it never saw them");
        logins.begin();
        logins.note(Some(true));
        assert!(logins.may_begin());
        logins.begin();
        assert!(logins.may_begin(), "all at once");
        logins.note(Some(false));
        assert!(!logins.may_begin());
        logins.note(Some(true));
        assert!(!logins.may_begin(), "a refusal ends it");
    }
}
