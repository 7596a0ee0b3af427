//! What happened, and what must never happen: every part of a simulated world tells this what it does and
//! sees.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::memory::MemoryCoordinator;
use hs2router::fake::{Id, ReceivedCall};

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

    /// A request came to a coordinator; it may be executed or not.
    pub(crate) fn arrived(&self, arrival: &Arrival<'_>) {
        self.sent(arrival.coordinator, "call", arrival.chosen_at);
        let named = self.named(arrival.raw);
        self.check_owner(arrival, &named);
        self.check_identity(arrival, &named);
        let Some(number) = number_after(arrival.raw, TAG) else { return };
        let coordinator = arrival.coordinator;
        let mut notes = self.notes.borrow_mut();
        let drained_since = notes.drained_since.get(&coordinator).copied();
        let Some(tagged) = notes.tagged.get_mut(&number) else { return };
        tagged.arrivals += 1;
        let tagged = tagged.clone();
        drop(notes);
        let opens = has(arrival.raw, "OpenSession");
        let begins = opens || (arrival.is_first && has(arrival.raw, "\0\0\0\u{5}query"));
        // A moving session was asked for long ago: then the moment counts at which its request went where it
        // went.
        let latest = tagged.asked_at.max(arrival.chosen_at);
        if begins && drained_since.is_some_and(|since| latest > since) {
            self.violation(format_args!("c{coordinator} is drained and was asked for session {number}"));
        }
        if !opens && tagged.arrivals > 1 + tagged.refusals {
            self.violation(format_args!("statement {number} was sent again, to c{coordinator}"));
        }
    }

    /// What a coordinator executed, and what came of it.
    pub(crate) fn executed(&self, arrival: &Arrival<'_>, call: &ReceivedCall, reply: &[u8]) {
        let coordinator = arrival.coordinator;
        let number = number_after(arrival.raw, TAG);
        let user = call.user.as_deref().unwrap_or("-");
        let tag = number.map(|number| format!(" {TAG}{number}")).unwrap_or_default();
        let ids: Vec<String> =
            [call.session, call.operation].iter().flatten().map(ToString::to_string).collect();
        let (connection, method) = (call.connection, &call.method);
        self.say(format_args!("c{coordinator} #{connection} {user}: {method}{tag} {}", ids.join(" ")));
        if !OF_FORMER_PLACES.contains(&method.as_str()) {
            self.check_place(arrival);
        }
        let (opens, runs) = (method == "OpenSession", method == "ExecuteStatement" || method == "query");
        let minted = if opens { call.session } else { call.operation.filter(|_| runs) };
        let mut notes = self.notes.borrow_mut();
        let tagged = number.and_then(|number| notes.tagged.get_mut(&number));
        let mut ran = 0;
        if let Some(tagged) = tagged {
            let refused = ["Server is being shut down:", "Invalid session id"];
            let head = &reply[..reply.len().min(300)];
            tagged.refusals += usize::from(refused.iter().any(|words| has(head, words)));
            tagged.ran += usize::from(runs && minted.is_some());
            ran = tagged.ran;
        }
        if let Some(Id(id)) = minted {
            let (user, secret) = (call.user.clone(), secret_of(reply, &id));
            let link = arrival.link;
            notes
                .minted
                .insert(id, Minted { coordinator, user, secret, link, opened_by: None, was_removed: false });
            notes.untold.extend(number.filter(|_| opens).map(|number| (id, number)));
        }
        drop(notes);
        if ran > 1 {
            self.violation(format_args!("statement{tag} ran {ran} times, the last time on c{coordinator}"));
        }
    }

    /// The reply to the open of a session has come to whoever asked for it. One that is lost leaves a session
    /// that nobody has a handle of: no call is meant for it.
    pub(crate) fn opened(&self, Id(id): Id) {
        let mut notes = self.notes.borrow_mut();
        let Notes { untold, tagged, minted, .. } = &mut *notes;
        let Some(number) = untold.remove(&id) else { return };
        if let (Some(session), Some(tagged)) = (minted.get_mut(&id), tagged.get_mut(&number)) {
            session.opened_by = Some((number, tagged.sessions.len()));
            tagged.sessions.push(id);
        }
    }

    /// A call reaches only the coordinator that owns the handles in it, under the names that they have there.
    fn check_owner(&self, arrival: &Arrival<'_>, named: &[Named]) {
        let here = arrival.coordinator;
        for Named { id, minted, rightly } in named {
            let owner = minted.coordinator;
            if owner == here || !rightly || minted.user.as_deref() != arrival.user {
                continue;
            }
            // A Beeswax query ends with its link, of whose end its coordinator may not have heard yet.
            let has_ended = minted.secret.is_none() && self.network.is_left(minted.link);
            if !has_ended && !minted.was_removed && self.knows(owner, *id) {
                self.violation(format_args!("{} belongs to c{owner} and was asked for on c{here}", Id(*id)));
            }
            let moved = self.places(*id).into_iter().find(|(id, at)| *at == here && self.knows(here, *id));
            if let Some((here_it_is, _)) = moved {
                let (id, is) = (Id(*id), Id(here_it_is));
                self.violation(format_args!("{id} is {is} on c{here} and was not asked for by that name"));
            }
        }
    }

    /// Once a call has come to the place that a session moved to, and as long as it lives there, none comes
    /// to where it was.
    fn check_place(&self, arrival: &Arrival<'_>) {
        for Named { id, minted, rightly } in self.named(arrival.raw) {
            let is_its_users = rightly && minted.user.as_deref() == arrival.user;
            let Some((number, place)) = minted.opened_by.filter(|_| is_its_users) else { continue };
            let mut notes = self.notes.borrow_mut();
            let Some(tagged) = notes.tagged.get_mut(&number) else { continue };
            match tagged.place {
                Some((now, since)) if now > place => {
                    let there = tagged.sessions.get(now).copied();
                    drop(notes);
                    if arrival.sent_at > since && there.is_some_and(|there| self.is_open(there)) {
                        let here = arrival.coordinator;
                        self.violation(format_args!("{} has moved and was asked for on c{here}", Id(id)));
                    }
                }
                Some((now, _)) if now == place => {}
                _ => tagged.place = Some((place, arrival.sent_at)),
            }
        }
    }

    /// A call travels under its asker's identity.
    fn check_identity(&self, arrival: &Arrival<'_>, named: &[Named]) {
        let Some(user) = arrival.user else { return };
        let is = |whose: &Option<String>| whose.as_deref() == Some(user);
        let tagged = number_after(arrival.raw, TAG)
            .and_then(|number| self.notes.borrow().tagged.get(&number).map(|tagged| is(&tagged.user)));
        let strangers = named.iter().filter(|Named { id, minted, .. }| {
            !is(&minted.user) && !self.notes.borrow().intruders.contains(&(*id, Some(user.to_owned())))
        });
        if tagged == Some(false) || strangers.count() > 0 {
            self.violation(format_args!("a call of somebody else came on a link of {user}"));
        }
    }

    /// The minted handles in a request, wherever they are: no parser is asked.
    fn named(&self, raw: &[u8]) -> Vec<Named> {
        let notes = self.notes.borrow();
        let lengths = raw.windows(4).enumerate().filter_map(|(at, window)| match window {
            [0, 0, 0, length] => Some((at + 4, usize::from(*length))),
            _ => None,
        });
        let named = lengths.filter_map(|(at, length)| {
            let bytes = raw.get(at..at + length)?;
            let id = match length {
                PART => bytes.try_into().ok()?,
                PRINTED => Id::from_text(std::str::from_utf8(bytes).ok()?).0,
                _ => return None,
            };
            let minted = notes.minted.get(&id)?.clone();
            let rightly = length == PRINTED || secret_of(&raw[at..], &id) == minted.secret;
            Some(Named { id, minted, rightly })
        });
        named.collect()
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
