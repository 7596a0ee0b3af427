//! Whether a coordinator's port has room for one more connection of ours, and what has to give way for it.
//!
//! A coordinator serves as many connections at once as it has service threads; the next one is accepted and
//! then hears nothing (Impala: `TAcceptQueueServer.cpp`, `fe_service_threads`). So connections are counted
//! before they are made, those of others are learnt from polls, and what does not fit waits here, where it
//! can be told so.
//!
//! `L` is a link. One in use is the caller's, who brings it back ([`Room::put`]) or says that it is gone
//! ([`Room::end`]).

mod figures;
mod shares;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use self::figures::{OwnLinks, PortFigures, RoomView};
use self::shares::Shares;
pub use self::shares::{AddressShare, Holder};
use crate::ids::{Access, ClientAddress};

/// A link that no call has used for this long is retired, because others may want its service thread; except
/// the last one of an identity that has a session there. That one goes this long after the last session was
/// closed: the coordinator would close it soon after (Impala: `--idle_client_poll_period_s`, 30 s).
const UNNEEDED_FOR: Duration = Duration::from_secs(20);

/// The least time between two looks for links that are not used any more.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// This many polls in a row must show a queue of others before it counts: every new connection is in it for a
/// moment.
const QUEUED_POLLS: u32 = 2;

/// How many connections a port has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once; `None`: no limit.
    pub threads: Option<u32>,
    /// How many of them are kept for [`Purpose::Relief`].
    pub reserve: u32,
    /// How much of the rest, as far as others leave it free, an address may use whose clients have proven
    /// nothing.
    pub address_share: AddressShare,
}

/// What a link is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Whatever it is.
    Work,
    /// To cancel or close something, after which there is more room than before.
    Relief,
}

/// Which link will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any of the identity.
    Any,
    /// One that is idle, because none can be made: there are no credentials.
    Idle,
    /// One yet to be made, because credentials are to be shown.
    New,
}

/// What a claim got. It counts as in use from then on.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<L> {
    /// An idle link.
    Link(L),
    /// The right to make one, after these were closed.
    Dial {
        /// Idle links of others that gave way.
        closed: Vec<L>,
    },
}

/// A session of an identity, counted for as long as this lives: its links are kept while there is one.
#[derive(Debug)]
pub struct Tenancy {
    sessions: Arc<AtomicU32>,
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The links to one port of a coordinator.
#[derive(Debug)]
pub struct Room<L> {
    limits: Limits,
    held: u32,
    /// Links in use for [`Purpose::Work`].
    working: u32,
    /// Those of them that are used by addresses which have proven nothing.
    shares: Shares,
    unanswered: u32,
    others: u32,
    /// Polls in a row that showed others in the queue.
    queued_polls: u32,
    idle: u32,
    /// Counts the times that a link was put back: the one that was put back longest ago gives way first.
    puts: u64,
    /// How often a link had been put back at earlier looks, a second apart or more, of the last
    /// [`UNNEEDED_FOR`].
    looks: VecDeque<(Instant, u64)>,
    /// In order: with few identities, as there are mostly, it takes less than a hash of one.
    kept: BTreeMap<Access, Kept<L>>,
}

#[derive(Debug)]
struct Kept<L> {
    /// The one used last is the last.
    idle: Vec<(u64, L)>,
    sessions: Arc<AtomicU32>,
    unneeded_since: Option<Instant>,
}

impl<L> Kept<L> {
    /// The link that was used last of those that are near, else of all.
    fn take(&mut self, near: impl Fn(&L) -> bool) -> Option<L> {
        let nearest = self.idle.iter().rposition(|(_, link)| near(link));
        Some(match nearest {
            Some(place) => self.idle.remove(place).1,
            None => self.idle.pop()?.1,
        })
    }
}

impl<L> Default for Kept<L> {
    fn default() -> Self {
        Self { idle: Vec::new(), sessions: Arc::default(), unneeded_since: None }
    }
}

impl<L> Room<L> {
    /// A port to which there is no link.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            held: 0,
            working: 0,
            shares: Shares::new(limits.address_share),
            unanswered: 0,
            others: 0,
            queued_polls: 0,
            idle: 0,
            puts: 0,
            looks: VecDeque::new(),
            kept: BTreeMap::new(),
        }
    }

    /// What it looks like.
    pub fn view(&self) -> RoomView {
        let Self { held, idle, others, .. } = *self;
        let limit = self.limits.threads.map(|threads| threads.saturating_sub(others));
        RoomView { links: held, idle, others, limit, crowded: self.is_crowded() }
    }

    /// What of a poll's figures would be ours now.
    pub fn own(&self) -> OwnLinks {
        OwnLinks { held: self.held, unanswered: self.unanswered }
    }

    /// Whether others wait in the coordinator's accept queue: a connection that we made, or gave up, would be
    /// theirs.
    fn is_crowded(&self) -> bool {
        self.queued_polls >= QUEUED_POLLS
    }

    /// How many links there may be.
    fn limit(&self) -> u32 {
        self.limits.threads.map_or(u32::MAX, |threads| threads.saturating_sub(self.others))
    }

    /// Whether one more may be in use.
    fn may_use(&self, purpose: Purpose, unproven: Option<ClientAddress>) -> bool {
        let places = self.limit().saturating_sub(self.limits.reserve);
        match purpose {
            Purpose::Work => {
                self.working < places
                    && unproven.is_none_or(|address| self.shares.allow(address, places - self.working))
            }
            Purpose::Relief => true,
        }
    }

    /// Whether one may be made, if need be in the place of idle ones.
    fn may_dial(&self) -> bool {
        !self.is_crowded() && self.held.saturating_sub(self.idle) < self.limit()
    }

    fn has_idle(&self, access: &Access) -> bool {
        self.kept.get(access).is_some_and(|kept| !kept.idle.is_empty())
    }

    /// Whether a claim would get something.
    pub fn has_room(&self, holder: Holder<'_>, purpose: Purpose, kind: Kind) -> bool {
        let (is_there, may_be_made) = (kind != Kind::New, kind != Kind::Idle);
        self.may_use(purpose, holder.unproven)
            && (is_there && self.has_idle(holder.access) || may_be_made && self.may_dial())
    }

    /// Whether a claim gets nothing, but would get a place that became free now. False if what it lacks is
    /// only a part in the share of its address.
    pub fn wants_place(&self, holder: Holder<'_>, purpose: Purpose) -> bool {
        let is_full = self.working >= self.limit().saturating_sub(self.limits.reserve) || !self.may_dial();
        is_full
            && (purpose == Purpose::Relief
                || holder.unproven.is_none_or(|address| self.shares.allow(address, 1)))
    }

    /// Takes a link into use, or the right to make one; `None` if there is no room. Of several idle links it
    /// is one that is `near`, if there is any.
    pub fn claim(
        &mut self,
        holder: Holder<'_>,
        purpose: Purpose,
        kind: Kind,
        near: impl Fn(&L) -> bool,
    ) -> Option<Claim<L>> {
        if !self.may_use(purpose, holder.unproven) {
            return None;
        }
        let kept = self.kept.get_mut(holder.access).filter(|_| kind != Kind::New);
        if let Some(link) = kept.and_then(|kept| kept.take(near)) {
            self.idle -= 1;
            self.begin_use(purpose, holder.unproven);
            return Some(Claim::Link(link));
        }
        if kind == Kind::Idle || !self.may_dial() {
            return None;
        }
        let closed = self.shrink_to(self.limit() - 1, Some(holder.access));
        self.held += 1;
        self.unanswered += 1;
        self.begin_use(purpose, holder.unproven);
        Some(Claim::Dial { closed })
    }

    /// A link that was claimed for relief is used for work from now on, if there is room for that.
    pub fn turn_to_work(&mut self, unproven: Option<ClientAddress>) -> bool {
        let may = self.may_use(Purpose::Work, unproven);
        if may {
            self.begin_use(Purpose::Work, unproven);
        }
        may
    }

    /// The client that uses a link for this has proven who it is: the link no longer belongs to the share of
    /// its address.
    pub fn prove(&mut self, purpose: Purpose, address: ClientAddress) {
        if purpose == Purpose::Work {
            self.shares.end(address);
        }
    }

    fn begin_use(&mut self, purpose: Purpose, unproven: Option<ClientAddress>) {
        if purpose == Purpose::Work {
            self.working += 1;
            unproven.inspect(|address| self.shares.begin(*address));
        }
    }

    fn end_use(&mut self, purpose: Purpose, unproven: Option<ClientAddress>) {
        if purpose == Purpose::Work {
            self.working = self.working.saturating_sub(1);
            unproven.inspect(|address| self.shares.end(*address));
        }
    }

    /// The first answer came on a link.
    pub fn note_answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// A link that was answered on is made anew.
    pub fn note_unanswered(&mut self) {
        self.unanswered += 1;
    }

    /// A link is used no more and may serve another call of its identity.
    pub fn put(&mut self, holder: Holder<'_>, purpose: Purpose, link: L) {
        self.end_use(purpose, holder.unproven);
        self.idle += 1;
        self.puts += 1;
        let put = (self.puts, link);
        match self.kept.get_mut(holder.access) {
            Some(kept) => {
                kept.unneeded_since = None;
                kept.idle.push(put);
            }
            None => self.kept.entry(holder.access.clone()).or_default().idle.push(put),
        }
    }

    /// A link in use is gone, or was not made after all.
    pub fn end(&mut self, purpose: Purpose, unproven: Option<ClientAddress>) {
        self.end_use(purpose, unproven);
        self.held = self.held.saturating_sub(1);
    }

    /// Counts a session of an identity.
    pub fn begin_session(&mut self, access: &Access) -> Tenancy {
        let kept = self.kept.entry(access.clone()).or_default();
        kept.sessions.fetch_add(1, Ordering::Relaxed);
        Tenancy { sessions: Arc::clone(&kept.sessions) }
    }

    /// Takes in what a poll says; `own` is what was ours while it was under way. Returns idle links that must
    /// make room for others.
    pub fn note_polled(&mut self, polled: PortFigures, own: OwnLinks) -> Vec<L> {
        self.others = polled.in_use.saturating_sub(own.held);
        let queue_of_others = polled.queued > own.unanswered;
        self.queued_polls = if queue_of_others { self.queued_polls.saturating_add(1) } else { 0 };
        self.shrink_to(self.limit(), None)
    }

    /// There are no figures any more, or they are those of a process that is gone.
    pub fn forget_others(&mut self) {
        self.others = 0;
        self.queued_polls = 0;
    }

    /// Takes out idle links that are of no use: those that `is_over`, and those of identities that have had
    /// no session and no call for a while.
    pub fn retire(&mut self, now: Instant, mut is_over: impl FnMut(&mut L) -> bool) -> Vec<L> {
        let unused = self.puts_before(now);
        let mut retired = Vec::new();
        self.kept.retain(|_, kept| {
            let unneeded = kept.sessions.load(Ordering::Relaxed) == 0 && {
                let since = *kept.unneeded_since.get_or_insert(now);
                now.saturating_duration_since(since) >= UNNEEDED_FOR
            };
            // One is kept as long as there is a session: with its last link a coordinator would think that
            // its client left.
            let newest = kept.idle.last().map(|(put, _)| *put);
            let is_spare = |put| put <= unused && Some(put) != newest;
            let retire = |(put, link): &mut (u64, L)| unneeded || is_spare(*put) || is_over(link);
            retired.extend(kept.idle.extract_if(.., retire));
            !(unneeded && kept.idle.is_empty())
        });
        self.forget_idle(retired.len());
        // Not in the order of the map, which is left to chance.
        retired.sort_unstable_by_key(|(put, _)| *put);
        retired.into_iter().map(|(_, link)| link).collect()
    }

    /// How often a link had been put back before [`UNNEEDED_FOR`], or at the first look after that.
    fn puts_before(&mut self, now: Instant) -> u64 {
        if self.looks.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= LOOK_INTERVAL) {
            self.looks.push_back((now, self.puts));
        }
        let is_old = |look: Option<&(Instant, u64)>| {
            look.is_some_and(|(at, _)| now.saturating_duration_since(*at) >= UNNEEDED_FOR)
        };
        while is_old(self.looks.get(1)) {
            self.looks.pop_front();
        }
        self.looks.front().filter(|look| is_old(Some(look))).map_or(0, |(_, puts)| *puts)
    }

    /// Takes out idle links, those used longest ago first and those of `last` after all others, until `most`
    /// are left in all or none of them is idle.
    fn shrink_to(&mut self, most: u32, last: Option<&Access>) -> Vec<L> {
        let mut closed = Vec::new();
        while self.held > most {
            let Some(link) = self.give_way(last) else { break };
            self.forget_idle(1);
            closed.push(link);
        }
        closed
    }

    fn give_way(&mut self, last: Option<&Access>) -> Option<L> {
        let oldest = |kept: &Kept<L>| kept.idle.first().map(|(put, _)| *put);
        let with_idle = self.kept.iter_mut().filter(|(_, kept)| !kept.idle.is_empty());
        let (_, kept) = with_idle.min_by_key(|(access, kept)| (Some(*access) == last, oldest(kept)))?;
        Some(kept.idle.remove(0).1)
    }

    fn forget_idle(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.idle = self.idle.saturating_sub(count);
        self.held = self.held.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests;
