//! Handles that the table lacks, because the router was restarted or another router opened their session: every
//! coordinator is asked. What is asked, what the answers say together, how long "nobody has it" is remembered, and how much
//! one client may ask.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::Rng;

use crate::ids::{ClientAddress, CoordinatorId, Family, Identity};
use crate::wire::facts::{Facts, Handle};
use crate::wire::hs2::request;
use crate::wire::method::{Method, lookup};
use crate::wire::verdict::{Verdict, verdict};

/// The sequence id of the calls that ask. Any would do: one call at a time is under way on a link.
pub const SEQID: i32 = 0;

/// What every coordinator is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who has this session?
    Session(Handle),
    /// Who has this operation?
    Operation(Handle),
}

impl Question {
    /// The handle in question.
    pub fn handle(&self) -> Handle {
        match self {
            Self::Session(handle) | Self::Operation(handle) => *handle,
        }
    }

    /// The method that asks.
    pub fn method(&self) -> &'static Method {
        lookup(match self {
            Self::Session(_) => b"PingImpalaHS2Service",
            Self::Operation(_) => b"GetOperationStatus",
        })
    }

    /// The call that asks, unframed.
    pub fn call(&self) -> BytesMut {
        match self {
            Self::Session(handle) => request::ping(handle, SEQID),
            Self::Operation(handle) => request::operation_status(handle, SEQID),
        }
    }

    /// What a coordinator's reply to that says; none if it does not concern the handle. Only Impala's are asked.
    pub fn answer(&self, reply: &Facts) -> Option<Answer> {
        match verdict(self.method(), reply, Family::Impala) {
            // It does not know the method: no Impala.
            _ if reply.is_exception() => None,
            Verdict::Success => Some(Answer::Has),
            Verdict::NoSuchSession | Verdict::NoSuchOperation => Some(Answer::HasNot),
            Verdict::Failed | Verdict::ShuttingDown => Some(Answer::Refuses),
        }
    }
}

/// What a coordinator says of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it, and the asker may use it.
    Has,
    /// An error, and not that there is no such handle: only who has a session knows that it expired or whose it is, and
    /// only who has an operation that its secret is another.
    Refuses,
    /// It has it not; or, of a session, its secret is another.
    HasNot,
}

/// What the answers say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A coordinator has it.
    Owner(CoordinatorId),
    /// A coordinator knows it, and will say what is wrong with it.
    Refused(CoordinatorId),
    /// Nobody who answered has it.
    Nowhere {
        /// One who says so; none if nobody answered.
        says: Option<CoordinatorId>,
        /// Whether all answered.
        all: bool,
    },
}

impl Finding {
    /// The coordinator that the call goes to.
    pub fn coordinator(self) -> Option<CoordinatorId> {
        match self {
            Self::Owner(coordinator) | Self::Refused(coordinator) => Some(coordinator),
            Self::Nowhere { says, .. } => says,
        }
    }
}

/// The answers to one question so far.
#[derive(Debug)]
pub struct Answers {
    missing: usize,
    preferred: Option<CoordinatorId>,
    owner: Option<CoordinatorId>,
    refuses: Option<CoordinatorId>,
    has_not: Option<CoordinatorId>,
}

impl Answers {
    /// None yet, from so many coordinators. If nobody has the handle, the `preferred` one shall say so.
    pub fn of(coordinators: usize, preferred: Option<CoordinatorId>) -> Self {
        Self { missing: coordinators, preferred, owner: None, refuses: None, has_not: None }
    }

    /// A coordinator answered; each does once.
    pub fn note(&mut self, coordinator: CoordinatorId, answer: Answer) {
        self.missing = self.missing.saturating_sub(1);
        let of_its_kind = match answer {
            Answer::Has => &mut self.owner,
            Answer::Refuses => &mut self.refuses,
            Answer::HasNot => &mut self.has_not,
        };
        if of_its_kind.is_none() || self.preferred == Some(coordinator) {
            *of_its_kind = Some(coordinator);
        }
    }

    /// What they say together.
    pub fn finding(&self) -> Finding {
        match (self.owner, self.refuses) {
            (Some(owner), _) => Finding::Owner(owner),
            (None, Some(knows)) => Finding::Refused(knows),
            (None, None) => Finding::Nowhere { says: self.has_not, all: self.missing == 0 },
        }
    }
}

/// A question under one identity, without the handle: so that no table of these has a secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// Makes keys, with a key of its own that nobody can guess, so that nobody can make two questions with one key.
pub struct Keys([u8; 16]);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Keys that only the same draw makes again.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let mut key = [0; 16];
        rng.fill_bytes(&mut key);
        Self(key)
    }

    /// The key of a question of this identity. Guid *and* secret count: who asks with a wrong secret must not spoil the
    /// right one.
    pub fn key(&self, question: &Question, identity: &Identity) -> Key {
        let Handle { guid, secret } = question.handle();
        let is_session = matches!(question, Question::Session(_));
        let mut hasher = DefaultHasher::new();
        (self.0, is_session, guid, secret, identity).hash(&mut hasher);
        Key(hasher.finish())
    }
}

/// Questions whose answer was that nobody has it, for a while: clients ask again and again. Whatever may make it untrue,
/// above all a coordinator that returns, must [`Self::forget`] them.
#[derive(Debug)]
pub struct Unknown {
    capacity: usize,
    keep_for: Duration,
    since: HashMap<Key, Instant>,
    /// Oldest first.
    order: VecDeque<Key>,
    age: u64,
}

/// A moment between two times of forgetting: what was found out before the latest is worth nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(u64);

impl Unknown {
    /// Nothing yet; later so many at most, for so long each.
    pub fn new(capacity: usize, keep_for: Duration) -> Self {
        Self { capacity, keep_for, since: HashMap::new(), order: VecDeque::new(), age: 0 }
    }

    /// Now; to be handed to [`Self::note`] when the answers are there.
    pub fn age(&self) -> Age {
        Age(self.age)
    }

    /// All coordinators answered that they have it not; they were asked since `asked`.
    pub fn note(&mut self, key: Key, asked: Age, now: Instant) {
        if asked != self.age() {
            return;
        }
        // What is over is at the front, so that a key that is noted again is either gone by now or still true.
        while self.oldest().is_some_and(|since| self.is_over(since, now)) {
            self.drop_oldest();
        }
        if let Entry::Vacant(place) = self.since.entry(key) {
            place.insert(now);
            self.order.push_back(key);
        }
        while self.order.len() > self.capacity {
            self.drop_oldest();
        }
    }

    /// Whether nobody had it a moment ago.
    pub fn has(&self, key: Key, now: Instant) -> bool {
        self.since.get(&key).is_some_and(|since| !self.is_over(*since, now))
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Any of them may be somewhere now.
    pub fn forget(&mut self) {
        self.since.clear();
        self.order.clear();
        self.age += 1;
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.since.remove(&oldest);
        }
    }

    fn oldest(&self) -> Option<Instant> {
        self.since.get(self.order.front()?).copied()
    }

    fn is_over(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) >= self.keep_for
    }
}

/// How much may be asked: a question costs every coordinator a call, and up to one dial.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Questions under way at a time, of all clients together.
    pub at_once: usize,
    /// The same of one client.
    pub at_once_each: usize,
    /// Questions that a client may ask one after the other after a pause.
    pub burst: u32,
    /// How many more each second.
    pub per_second: u32,
    /// Clients that are told apart; when there are more, those that come last may not ask.
    pub clients: usize,
}

/// Why a question has to wait, or may not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Others are under way; when one of them ends there may be room.
    #[error("other questions are under way")]
    Busy,
    /// It asks too often, or too many different clients ask.
    #[error("too many questions")]
    TooMany,
}

/// Who is asking at the moment, and how much everybody asked lately.
#[derive(Debug)]
pub struct Turns {
    limits: Limits,
    under_way: usize,
    clients: HashMap<ClientAddress, Account>,
}

#[derive(Debug)]
struct Account {
    under_way: usize,
    /// Questions that it may ask at `as_of`; up to `burst`.
    allowance: f64,
    as_of: Instant,
}

impl Account {
    fn refill(&mut self, limits: &Limits, now: Instant) {
        let gained = now.saturating_duration_since(self.as_of).as_secs_f64() * f64::from(limits.per_second);
        self.allowance = (self.allowance + gained).min(f64::from(limits.burst));
        self.as_of = now;
    }

    /// Whether it is as good as new, so that nothing is lost when it is forgotten.
    fn is_settled(&self, limits: &Limits) -> bool {
        self.under_way == 0 && self.allowance >= f64::from(limits.burst)
    }
}

impl Turns {
    /// Nobody asks.
    pub fn new(limits: Limits) -> Self {
        Self { limits, under_way: 0, clients: HashMap::new() }
    }

    /// A client begins to ask; [`Self::end`] must follow.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn begin(&mut self, client: ClientAddress, now: Instant) -> Result<(), NotNow> {
        let limits = self.limits;
        if !self.clients.contains_key(&client) && self.clients.len() >= limits.clients {
            self.clients.retain(|_, account| {
                account.refill(&limits, now);
                !account.is_settled(&limits)
            });
            if self.clients.len() >= limits.clients {
                return Err(NotNow::TooMany);
            }
        }
        let new = || Account { under_way: 0, allowance: f64::from(limits.burst), as_of: now };
        let account = self.clients.entry(client).or_insert_with(new);
        account.refill(&limits, now);
        if account.allowance < 1.0 {
            return Err(NotNow::TooMany);
        }
        if account.under_way >= limits.at_once_each || self.under_way >= limits.at_once {
            return Err(NotNow::Busy);
        }
        account.allowance -= 1.0;
        account.under_way += 1;
        self.under_way += 1;
        Ok(())
    }

    /// A client's question is answered, or given up.
    pub fn end(&mut self, client: ClientAddress) {
        if let Some(account) = self.clients.get_mut(&client) {
            account.under_way = account.under_way.saturating_sub(1);
            self.under_way = self.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
