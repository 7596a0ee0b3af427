//! Locating handles that the table lacks, because the router was restarted or another router opened their
//! session: every coordinator is asked. This module decides what is asked, what the answers mean together,
//! how long "no coordinator has it" is remembered, and how much one client may ask.

mod allowance;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::Rng;

pub use self::allowance::{Allowances, Limits, NotNow};
use crate::cluster::Flavor;
use crate::ids::{Access, CoordinatorId};
use crate::wire::facts::{Facts, Handle, OperationType};
use crate::wire::hs2::{self, request};
use crate::wire::method::{Method, Role};
use crate::wire::verdict::{Verdict, verdict};

/// The sequence id of the calls that ask. Any would do: one call at a time is under way on a link.
pub const SEQID: i32 = 0;

/// What every coordinator is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who has this session?
    Session(Handle),
    /// Who has this operation of this type?
    Operation(Handle, OperationType),
}

impl Question {
    /// The handle in question.
    pub fn handle(&self) -> Handle {
        match self {
            Self::Session(handle) | Self::Operation(handle, _) => *handle,
        }
    }

    /// The same about another handle.
    #[must_use]
    pub fn about(self, handle: Handle) -> Self {
        match self {
            Self::Session(_) => Self::Session(handle),
            Self::Operation(_, kind) => Self::Operation(handle, kind),
        }
    }

    /// The method that asks a coordinator of this flavor.
    pub fn method(&self, flavor: Flavor) -> &'static Method {
        match self {
            Self::Session(_) if flavor.pings_sessions() => hs2::PING,
            Self::Session(_) => hs2::GET_TYPE_INFO,
            Self::Operation(..) => hs2::GET_OPERATION_STATUS,
        }
    }

    /// The call that asks, unframed.
    pub fn call(&self, flavor: Flavor) -> BytesMut {
        match self {
            Self::Session(handle) if flavor.pings_sessions() => request::ping(handle, SEQID),
            Self::Session(handle) => request::type_info(handle, SEQID),
            Self::Operation(handle, kind) => request::operation_status(handle, *kind, SEQID),
        }
    }

    /// The call that closes the operation which the question opened on a coordinator that said yes. None if
    /// it opened none.
    pub fn clearance(&self, flavor: Flavor, reply: &Facts) -> Option<BytesMut> {
        let minted = reply.handle().filter(|_| self.method(flavor).role == Role::Metadata)?;
        let has = self.answer(flavor, reply) == Some(Answer::Has);
        has.then(|| request::close_operation(&minted, OperationType::GET_TYPE_INFO, SEQID))
    }

    /// What a coordinator's reply to the question says of the handle; none if it says nothing of it.
    pub fn answer(&self, flavor: Flavor, reply: &Facts) -> Option<Answer> {
        match verdict(self.method(flavor), reply, flavor.family()) {
            // It does not know the method: another kind of server than the flavor says.
            _ if reply.is_exception() => None,
            Verdict::Success => Some(Answer::Has),
            Verdict::NoSuchSession | Verdict::NoSuchOperation => Some(Answer::HasNot),
            Verdict::Failed | Verdict::ShuttingDown | Verdict::Full => Some(Answer::Refuses),
        }
    }
}

/// What a coordinator says of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it, and the asker may use it.
    Has,
    /// An error other than "no such handle". Only the owner of a session knows that it has expired, or whose
    /// it is, and only the owner of an operation knows that its secret is another one.
    Refuses,
    /// It does not have it. Of a session this may also mean that its secret is another one.
    HasNot,
}

/// What the answers say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A coordinator has it.
    Owner(CoordinatorId),
    /// A coordinator knows it, and will say what is wrong with it.
    Refused(CoordinatorId),
    /// Several say that they have it, and at most one of them is right: none is noted as the owner. The call
    /// goes to this one.
    Disputed(CoordinatorId),
    /// None that answered has it.
    Nowhere {
        /// One that says so; none if none answered.
        says: Option<CoordinatorId>,
        /// Whether all answered.
        all: bool,
    },
}

impl Finding {
    /// Whether a coordinator says that it has it.
    pub fn is_claimed(self) -> bool {
        matches!(self, Self::Owner(_) | Self::Disputed(_))
    }

    /// The coordinator that the call goes to.
    pub fn coordinator(self) -> Option<CoordinatorId> {
        match self {
            Self::Owner(coordinator) | Self::Refused(coordinator) | Self::Disputed(coordinator) => {
                Some(coordinator)
            }
            Self::Nowhere { says, .. } => says,
        }
    }
}

/// The answers to one question so far.
#[derive(Debug)]
pub struct Answers {
    missing: usize,
    preferred: Option<CoordinatorId>,
    has: Vec<CoordinatorId>,
    refuses: Vec<CoordinatorId>,
    has_not: Vec<CoordinatorId>,
}

impl Answers {
    /// No answers yet, of this many coordinators. If none has the handle, the `preferred` one is to say so.
    pub fn of(coordinators: usize, preferred: Option<CoordinatorId>) -> Self {
        let (has, refuses, has_not) = Default::default();
        Self { missing: coordinators, preferred, has, refuses, has_not }
    }

    /// A coordinator answered; each does once.
    pub fn note(&mut self, coordinator: CoordinatorId, answer: Answer) {
        self.missing = self.missing.saturating_sub(1);
        match answer {
            Answer::Has => self.has.push(coordinator),
            Answer::Refuses => self.refuses.push(coordinator),
            Answer::HasNot => self.has_not.push(coordinator),
        }
    }

    /// Those that say that they have it.
    pub fn owners(&self) -> &[CoordinatorId] {
        &self.has
    }

    /// A coordinator says yes to everything: its answer counts for nothing.
    pub fn disbelieve(&mut self, coordinator: CoordinatorId) {
        self.has.retain(|one| *one != coordinator);
        self.missing += 1;
    }

    /// What they say together.
    pub fn finding(&self) -> Finding {
        match (&*self.has, &*self.refuses) {
            ([owner], _) => Finding::Owner(*owner),
            ([first, ..], _) => Finding::Disputed(*first),
            ([], [knows]) => Finding::Refused(*knows),
            // What several refuse says nothing about the handle: the question is not known there.
            ([], refuses) => Finding::Nowhere {
                says: self.one_of(&self.has_not).or_else(|| self.one_of(refuses)),
                all: self.missing == 0 && refuses.is_empty(),
            },
        }
    }

    /// The preferred one of them, or the first.
    fn one_of(&self, coordinators: &[CoordinatorId]) -> Option<CoordinatorId> {
        let preferred = self.preferred.filter(|preferred| coordinators.contains(preferred));
        preferred.or_else(|| coordinators.first().copied())
    }
}

/// A question under one identity, without the handle: so that no table of these has a secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// Makes keys, with a key of its own that nobody can guess, so that nobody can make two questions with one
/// key.
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

    /// The key of a question of this identity. Guid, secret *and* type count: the answer to a question with a
    /// wrong one must not stand for the right one.
    pub fn key(&self, question: &Question, access: &Access) -> Key {
        let Handle { guid, secret } = question.handle();
        let kind = match question {
            Question::Session(_) => None,
            Question::Operation(_, kind) => Some(kind),
        };
        let mut hasher = DefaultHasher::new();
        (self.0, kind, guid, secret, access).hash(&mut hasher);
        Key(hasher.finish())
    }
}

/// Remembers for a while which handles no coordinator has, because clients ask again and again. Whatever may
/// make that untrue, above all the return of a coordinator, must call [`Self::forget`].
#[derive(Debug)]
pub struct Unknown {
    capacity: usize,
    keep_for: Duration,
    since: HashMap<Key, Instant>,
    /// Oldest first.
    order: VecDeque<Key>,
    age: u64,
}

/// A time between two calls of [`Unknown::forget`]: what was asked in an earlier one says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(u64);

impl Unknown {
    /// Empty. Remembers at most `capacity` handles, each for `keep_for`.
    pub fn new(capacity: usize, keep_for: Duration) -> Self {
        Self { capacity, keep_for, since: HashMap::new(), order: VecDeque::new(), age: 0 }
    }

    /// The present age, for [`Self::note`] when the answers are there.
    pub fn age(&self) -> Age {
        Age(self.age)
    }

    /// All coordinators answered that they do not have it; `asked` is the [`Self::age`] at which they were
    /// asked.
    pub fn note(&mut self, key: Key, asked: Age, now: Instant) {
        if asked != self.age() {
            return;
        }
        // What is over is at the front, so that a key that is noted again is either gone by now or still
        // true.
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

    /// Whether it is remembered that no coordinator has it.
    pub fn has(&self, key: Key, now: Instant) -> bool {
        self.since.get(&key).is_some_and(|since| !self.is_over(*since, now))
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// A coordinator may have any of them now.
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

#[cfg(test)]
mod tests;
