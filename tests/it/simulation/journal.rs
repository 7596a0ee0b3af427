//! What happened, and what must never happen: every part of a simulated world tells this what it does and sees.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::fake::memory::MemoryCoordinator;
use hs2router::fake::{Id, ReceivedCall};

/// What goes before the number of a request's own text.
pub(crate) const TAG: &str = "tag-";
/// What goes before the number of a wrong password.
pub(crate) const WRONG: &str = "wrong-";
/// Digits of those numbers.
const DIGITS: usize = 6;

/// A request of which the text can be known again wherever it arrives: a statement, or the opening of a session.
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
}

/// A session or an operation that a coordinator minted.
#[derive(Clone, Debug)]
struct Minted {
    coordinator: usize,
    user: Option<String>,
}

/// A request as it came to a coordinator.
pub(crate) struct Arrival<'a> {
    /// Which coordinator.
    pub(crate) coordinator: usize,
    /// All bytes of it.
    pub(crate) raw: &'a [u8],
    /// The user of its connection.
    pub(crate) user: Option<&'a str>,
}

#[derive(Debug, Default)]
struct Notes {
    lines: Vec<String>,
    violations: Vec<String>,
    next: u64,
    tagged: BTreeMap<u64, Tagged>,
    wrong_passwords: BTreeMap<u64, usize>,
    minted: BTreeMap<[u8; 16], Minted>,
    /// Who asked for what is not theirs, on purpose.
    intruders: BTreeSet<([u8; 16], Option<String>)>,
    drained_since: BTreeMap<usize, Instant>,
}

/// The events of one run, and the breaches of the promise that were seen in it.
#[derive(Debug)]
pub(crate) struct Journal {
    begun: Instant,
    coordinators: Vec<Arc<MemoryCoordinator>>,
    notes: RefCell<Notes>,
}

impl Journal {
    /// Of a world that begins now.
    pub(crate) fn new(coordinators: Vec<Arc<MemoryCoordinator>>) -> Self {
        Self { begun: clock::now(), coordinators, notes: RefCell::default() }
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
        let tagged = Tagged { user, asked_at: clock::now(), arrivals: 0, refusals: 0, ran: 0 };
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
        }
    }

    /// Whether the coordinator that minted a handle still knows it.
    pub(crate) fn is_live(&self, id: [u8; 16]) -> bool {
        let minted = self.notes.borrow().minted.get(&id).map(|minted| minted.coordinator);
        minted.is_some_and(|coordinator| self.coordinators[coordinator].knows(Id(id)))
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
        self.check_owner(arrival);
        self.check_identity(arrival);
        let Some(number) = number_after(arrival.raw, TAG) else { return };
        let coordinator = arrival.coordinator;
        let mut notes = self.notes.borrow_mut();
        let drained_since = notes.drained_since.get(&coordinator).copied();
        let Some(tagged) = notes.tagged.get_mut(&number) else { return };
        tagged.arrivals += 1;
        let tagged = tagged.clone();
        drop(notes);
        if has(arrival.raw, "OpenSession") && drained_since.is_some_and(|since| tagged.asked_at > since) {
            self.violation(format_args!("c{coordinator} is drained and was asked for session {number}"));
        }
        if has(arrival.raw, "ExecuteStatement") && tagged.arrivals > 1 + tagged.refusals {
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
        let minted = match method.as_str() {
            "OpenSession" => call.session,
            "ExecuteStatement" => call.operation,
            _ => None,
        };
        let mut notes = self.notes.borrow_mut();
        if let Some(minted) = minted {
            let user = call.user.clone();
            notes.minted.insert(minted.0, Minted { coordinator, user });
        }
        let Some(tagged) = number.and_then(|number| notes.tagged.get_mut(&number)) else { return };
        tagged.refusals += usize::from(has(&reply[..reply.len().min(300)], "Server is being shut down:"));
        tagged.ran += usize::from(method == "ExecuteStatement" && minted.is_some());
        let ran = tagged.ran;
        drop(notes);
        if ran > 1 {
            self.violation(format_args!("statement{tag} ran {ran} times, the last time on c{coordinator}"));
        }
    }

    /// A call reaches only the coordinator that owns the handles in it.
    fn check_owner(&self, arrival: &Arrival<'_>) {
        for (id, minted) in self.named(arrival.raw) {
            let owner = minted.coordinator;
            if owner != arrival.coordinator && self.coordinators[owner].knows(Id(id)) {
                let (id, here) = (Id(id), arrival.coordinator);
                self.violation(format_args!("{id} belongs to c{owner} and was asked for on c{here}"));
            }
        }
    }

    /// A call travels under its asker's identity.
    fn check_identity(&self, arrival: &Arrival<'_>) {
        let Some(user) = arrival.user else { return };
        let is = |whose: &Option<String>| whose.as_deref() == Some(user);
        let tagged = number_after(arrival.raw, TAG)
            .and_then(|number| self.notes.borrow().tagged.get(&number).map(|tagged| is(&tagged.user)));
        let strangers = self.named(arrival.raw).into_iter().filter(|(id, minted)| {
            !is(&minted.user) && !self.notes.borrow().intruders.contains(&(*id, Some(user.to_owned())))
        });
        let strangers = strangers.count();
        if tagged == Some(false) || strangers > 0 {
            self.violation(format_args!("a call of somebody else came on a link of {user}"));
        }
    }

    /// The minted handles in a request, wherever they are: no parser is asked.
    fn named(&self, raw: &[u8]) -> Vec<([u8; 16], Minted)> {
        let notes = self.notes.borrow();
        let ids = raw.windows(16).filter_map(|window| <[u8; 16]>::try_from(window).ok());
        ids.filter_map(|id| notes.minted.get(&id).map(|minted| (id, minted.clone()))).collect()
    }
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
