//! What happened, and what must never happen: every part of a simulated world tells this what it does and
//! sees.

mod checks;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::Id;
use hs2router::fake::memory::MemoryCoordinator;

use super::network::SimNetwork;

/// What goes before the number of a request's own text.
pub(crate) const TAG: &str = "tag-";
/// What goes before the number of a wrong password.
pub(crate) const WRONG: &str = "wrong-";
/// Digits of those numbers.
const DIGITS: usize = 6;
/// Bytes of a handle's guid and of its secret, and characters of a printed one.
const PART: usize = 16;
const PRINTED: usize = 33;
/// What lies between guid and secret: the head of the next field, and its length.
const BETWEEN: [u8; 7] = [11, 0, 2, 0, 0, 0, 16];
/// Calls that may name a session where it was: what is left of it is closed, and operations are asked for
/// with it.
const OF_FORMER_PLACES: [&str; 3] = ["CloseSession", "GetRuntimeProfile", "GetExecSummary"];

/// A request of which the text can be known again wherever it arrives: a statement, or the opening of a
/// session.
#[derive(Clone, Debug)]
struct Tagged {
    user: Option<String>,
    asked_at: Instant,
    /// Where it arrived.
    arrivals: usize,
    /// How often it was refused because the coordinator shuts down.
    refusals: usize,
    /// The operations that came of it.
    ran: usize,
    /// The sessions that came of it and were told of, one after the other: it moves.
    sessions: Vec<[u8; PART]>,
    /// Which of them a client's call has come to, and when the first of those was sent.
    place: Option<(usize, Instant)>,
    /// A client wanted the session closed.
    closed: bool,
}

/// A session or an operation that a coordinator minted.
#[derive(Clone, Debug)]
struct Minted {
    coordinator: usize,
    user: Option<String>,
    /// None where it is not in the reply: Beeswax has none.
    secret: Option<[u8; PART]>,
    /// The connection on which that was.
    link: u64,
    /// Of a session that was told of: what it was opened by, and the how manyth it is.
    opened_by: Option<(u64, usize)>,
    /// Whether its coordinator was removed since: the router forgets it then, and may locate it.
    was_removed: bool,
}

/// A handle in a request.
struct Named {
    id: [u8; PART],
    minted: Minted,
    /// Whether it comes with its secret.
    rightly: bool,
}

/// A request as it came to a coordinator.
pub(crate) struct Arrival<'a> {
    /// Which coordinator.
    pub(crate) coordinator: usize,
    /// All bytes of it.
    pub(crate) raw: &'a [u8],
    /// The user of its connection.
    pub(crate) user: Option<&'a str>,
    /// When the last of it was sent.
    pub(crate) sent_at: Instant,
    /// No choice of where it goes was made later.
    pub(crate) chosen_at: Instant,
    /// Its connection.
    pub(crate) link: u64,
    /// Whether it is the first on that.
    pub(crate) is_first: bool,
}

#[derive(Debug, Default)]
struct Notes {
    lines: Vec<String>,
    violations: Vec<String>,
    next: u64,
    tagged: BTreeMap<u64, Tagged>,
    wrong_passwords: BTreeMap<u64, usize>,
    minted: BTreeMap<[u8; PART], Minted>,
    /// Sessions that nobody was told of, yet or ever, because the reply was lost; by what they were opened.
    untold: BTreeMap<[u8; PART], u64>,
    /// Who asked for what is not theirs, on purpose.
    intruders: BTreeSet<([u8; PART], Option<String>)>,
    drained_since: BTreeMap<usize, Instant>,
    removed_since: BTreeMap<usize, Instant>,
    resumed_at: Option<Instant>,
}

/// The events of one run, and the breaches of the promise that were seen in it.
#[derive(Debug)]
pub(crate) struct Journal {
    begun: Instant,
    network: SimNetwork,
    coordinators: Vec<Arc<MemoryCoordinator>>,
    notes: RefCell<Notes>,
}

impl Journal {
    /// Of a world that begins now.
    pub(crate) fn new(network: &SimNetwork, coordinators: Vec<Arc<MemoryCoordinator>>) -> Self {
        Self { begun: clock::now(), network: network.clone(), coordinators, notes: RefCell::default() }
    }

    /// Notes an event.
    pub(crate) fn say(&self, line: impl fmt::Display) {
        let at = clock::now().saturating_duration_since(self.begun).as_millis();
        self.notes.borrow_mut().lines.push(format!("{at:>8} {line}"));
    }

    /// Notes a breach.
    pub(crate) fn violation(&self, what: impl fmt::Display) {
        self.say(format_args!("VIOLATION: {what}"));
        self.notes.borrow_mut().violations.push(what.to_string());
    }

    /// The events, one a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.notes.borrow().lines.clone()
    }

    /// The breaches.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.notes.borrow().violations.clone()
    }

    /// A text for a request that a user makes now, found again by its number.
    pub(crate) fn tag(&self, user: Option<&str>) -> String {
        let mut notes = self.notes.borrow_mut();
        notes.next += 1;
        let number = notes.next;
        let user = user.map(str::to_owned);
        let (asked_at, sessions) = (clock::now(), Vec::new());
        let (arrivals, refusals, ran, place, closed) = Default::default();
        let tagged = Tagged { user, asked_at, arrivals, refusals, ran, sessions, place, closed };
        notes.tagged.insert(number, tagged);
        format!("{TAG}{number:0DIGITS$}")
    }

    /// A password that is nobody's, found again by its number.
    pub(crate) fn wrong_password(&self) -> String {
        let mut notes = self.notes.borrow_mut();
        notes.next += 1;
        format!("{WRONG}{:0DIGITS$}", notes.next)
    }

    /// A user is about to use a handle that is not theirs.
    pub(crate) fn intrudes(&self, id: [u8; 16], user: Option<&str>) {
        self.notes.borrow_mut().intruders.insert((id, user.map(str::to_owned)));
    }

    /// People have drained a coordinator, or resumed it.
    pub(crate) fn drained(&self, coordinator: usize, drained: bool) {
        let mut notes = self.notes.borrow_mut();
        if drained {
            notes.drained_since.insert(coordinator, clock::now());
        } else {
            notes.drained_since.remove(&coordinator);
            notes.resumed_at = Some(clock::now());
        }
    }

    /// A coordinator is of the router's fleet no more, or is again.
    pub(crate) fn removed(&self, coordinator: usize, removed: bool) {
        let mut notes = self.notes.borrow_mut();
        if removed {
            notes.removed_since.insert(coordinator, clock::now());
            let minted = notes.minted.values_mut().filter(|minted| minted.coordinator == coordinator);
            minted.for_each(|minted| minted.was_removed = true);
        } else {
            notes.removed_since.remove(&coordinator);
        }
    }

    /// Something was sent to a coordinator, where that was decided at this moment.
    pub(crate) fn sent(&self, coordinator: usize, what: &str, decided: Instant) {
        let removed = self.notes.borrow().removed_since.get(&coordinator).copied();
        if removed.is_some_and(|since| decided > since) {
            self.violation(format_args!("c{coordinator} was removed, and was sent a {what}"));
        }
    }

    /// Whether people have resumed a coordinator no longer ago than this.
    pub(crate) fn resumed_within(&self, time: Duration) -> bool {
        let at = self.notes.borrow().resumed_at;
        at.is_some_and(|at| clock::now().saturating_duration_since(at) <= time)
    }

    /// Whether a handle is known where it was minted or, for a session that moves, in every place that it was
    /// in: then its client must not hear that it is gone.
    pub(crate) fn is_live(&self, id: [u8; PART]) -> bool {
        let places = self.places(id);
        !places.is_empty() && places.iter().all(|(id, _)| self.is_open(*id))
    }

    /// Whether a handle is known nowhere any more.
    pub(crate) fn is_gone(&self, id: [u8; PART]) -> bool {
        !self.places(id).iter().any(|(id, coordinator)| self.knows(*coordinator, *id))
    }

    /// A client is about to close a session.
    pub(crate) fn closes(&self, id: [u8; PART]) {
        let mut notes = self.notes.borrow_mut();
        let opened_by = notes.minted.get(&id).and_then(|minted| minted.opened_by);
        if let Some(tagged) = opened_by.and_then(|(number, _)| notes.tagged.get_mut(&number)) {
            tagged.closed = true;
        }
    }

    /// Whether a client wanted a session closed.
    pub(crate) fn was_closed(&self, id: [u8; PART]) -> bool {
        let notes = self.notes.borrow();
        let opened_by = notes.minted.get(&id).and_then(|minted| minted.opened_by);
        opened_by.is_some_and(|(number, _)| notes.tagged.get(&number).is_some_and(|tagged| tagged.closed))
    }

    /// Sessions that are open where nobody will use them any more: those that the router does not know, by
    /// whatever name, and of several that one session is or was on a coordinator all but the latest.
    pub(crate) fn left_over(&self, is_known: impl Fn(&[u8; PART]) -> bool) -> Vec<(usize, Id)> {
        let sessions: Vec<_> =
            self.notes.borrow().tagged.values().map(|tagged| tagged.sessions.clone()).collect();
        let mut left = Vec::new();
        for session in sessions.iter().filter_map(|names| names.first()) {
            let places = self.places(*session);
            let is_known = places.iter().any(|(id, _)| is_known(id));
            for (at, (id, coordinator)) in places.iter().enumerate() {
                let came_back = places.iter().skip(at + 1).any(|(_, later)| later == coordinator);
                if (came_back || !is_known) && self.knows(*coordinator, *id) {
                    left.push((*coordinator, Id(*id)));
                }
            }
        }
        left
    }

    /// Whether the coordinator that minted a handle knows it.
    fn is_open(&self, id: [u8; PART]) -> bool {
        let minted = self.notes.borrow().minted.get(&id).cloned().filter(|minted| !minted.was_removed);
        minted.is_some_and(|minted| self.knows(minted.coordinator, id))
    }

    fn knows(&self, coordinator: usize, id: [u8; PART]) -> bool {
        self.coordinators[coordinator].knows(Id(id))
    }

    /// Under which handles, and where, a session was opened; for an operation the only one.
    fn places(&self, id: [u8; PART]) -> Vec<([u8; PART], usize)> {
        let notes = self.notes.borrow();
        let Some(minted) = notes.minted.get(&id) else { return Vec::new() };
        let all = minted.opened_by.and_then(|(number, _)| notes.tagged.get(&number));
        let all = all.map_or_else(|| vec![id], |tagged| tagged.sessions.clone());
        all.into_iter().filter_map(|id| Some((id, notes.minted.get(&id)?.coordinator))).collect()
    }

    /// A login came to a coordinator.
    pub(crate) fn login(&self, coordinator: usize, raw: &[u8]) {
        let Some(number) = number_after(raw, WRONG) else { return };
        let mut notes = self.notes.borrow_mut();
        let shown = notes.wrong_passwords.entry(number).or_default();
        *shown += 1;
        let shown = *shown;
        drop(notes);
        if shown > 1 {
            self.violation(format_args!(
                "password {number} was shown {shown} times, the last time to c{coordinator}"
            ));
        }
    }
}

/// The secret that comes after a guid.
fn secret_of(bytes: &[u8], guid: &[u8; PART]) -> Option<[u8; PART]> {
    let at = bytes.windows(PART).position(|window| window == guid)? + PART;
    let secret = bytes.get(at..)?.strip_prefix(&BETWEEN)?;
    secret.first_chunk().copied()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn number_after(bytes: &[u8], text: &str) -> Option<u64> {
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes())? + text.len();
    std::str::from_utf8(bytes.get(at..at + DIGITS)?).ok()?.parse().ok()
}

/// How long something lasts, at random but for the seed.
pub(crate) fn between(rng: &mut impl rand::RngExt, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}
