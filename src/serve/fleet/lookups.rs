//! What the connections of a fleet share when they locate handles: the lookups under way, how much each
//! client may ask, and which handles no coordinator has.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::chance::Chance;
use crate::clock;
use crate::ids::{Access, ClientAddress};
use crate::session::locate::{Age, Allowances, Finding, Key, Keys, Limits, NotNow, Question, Unknown};

/// The limits on lookups. After a restart of the router, all sessions of an application may be asked for from
/// one address within a second; a lookup takes a few milliseconds.
const LIMITS: Limits = Limits { at_once: 32, at_once_each: 8, burst: 1_000, per_second: 100, clients: 4_096 };
/// How many handles that no coordinator has are remembered.
const UNKNOWN_HANDLES: usize = 16_384;
/// How long they are remembered. A client that polls asks many times in that time; a coordinator that returns
/// ends it early.
const UNKNOWN_FOR: Duration = Duration::from_mins(1);

/// The lookups of a fleet's unknown handles.
#[derive(Debug)]
pub(crate) struct Lookups {
    keys: Keys,
    state: Mutex<State>,
    /// Notified when a turn ends.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    unknown: Unknown,
    allowances: Allowances,
    /// The lookups under way; the same question is asked only once at a time.
    under_way: HashMap<Key, watch::Receiver<Option<Finding>>>,
}

impl Lookups {
    /// Creates the state without lookups.
    pub(crate) fn new(chance: &Chance) -> Self {
        let unknown = Unknown::new(UNKNOWN_HANDLES, UNKNOWN_FOR);
        let state = State { unknown, allowances: Allowances::new(LIMITS), under_way: HashMap::new() };
        Self { keys: chance.draw(Keys::draw), state: Mutex::new(state), ended: Notify::new() }
    }

    /// See [`Keys::key`].
    pub(crate) fn key(&self, question: &Question, access: &Access) -> Key {
        self.keys.key(question, access)
    }

    /// Joins the lookup for a question, or begins one.
    pub(crate) fn join(&self, key: Key, now: Instant) -> Lookup<'_> {
        let mut state = self.state.lock();
        if state.unknown.has(key, now) {
            return Lookup::Nowhere;
        }
        if let Some(answer) = state.under_way.get(&key) {
            return Lookup::Joins(Answer(answer.clone()));
        }
        let (tell, answer) = watch::channel(None);
        state.under_way.insert(key, answer);
        Lookup::First(First { lookups: self, key, since: state.unknown.age(), tell })
    }

    /// Waits until a client may ask. Returns `None` if it asks too often. Cancel-safe.
    pub(crate) async fn turn(&self, client: ClientAddress) -> Option<Turn<'_>> {
        loop {
            let mut ended = pin!(self.ended.notified());
            // Registered before the check, so that no end of a turn is missed.
            ended.as_mut().enable();
            let begun = self.state.lock().allowances.begin(client, clock::now());
            match begun {
                Ok(()) => return Some(Turn { lookups: self, client }),
                Err(NotNow::TooMany) => return None,
                Err(NotNow::Busy) => ended.await,
            }
        }
    }

    /// Forgets which handles no coordinator had. Called when a coordinator returns or was restarted, because
    /// it may have them.
    pub(crate) fn forget_unknown(&self) {
        self.state.lock().unknown.forget();
    }
}

/// What a connection with a question has to do.
pub(crate) enum Lookup<'a> {
    /// Nothing: all coordinators said a moment ago that they do not have the handle.
    Nowhere,
    /// Wait for the answer, because another connection is asking the same question.
    Joins(Answer),
    /// Ask the coordinators.
    First(First<'a>),
}

/// The answer to a question that another connection is asking.
pub(crate) struct Answer(watch::Receiver<Option<Finding>>);

impl Answer {
    /// Waits for the answer. `None` if the connection that was asking gave up.
    pub(crate) async fn told(mut self) -> Option<Finding> {
        *self.0.wait_for(Option::is_some).await.ok()?
    }
}

/// The lookup of a handle by the first connection that wanted it. When this is dropped, another connection
/// may ask.
#[must_use = "others wait for the answer"]
pub(crate) struct First<'a> {
    lookups: &'a Lookups,
    key: Key,
    since: Age,
    tell: watch::Sender<Option<Finding>>,
}

impl First<'_> {
    /// Gives the answer to those that wait for it. If all coordinators said that they do not have the handle,
    /// remembers that.
    pub(crate) fn tell(self, finding: Finding, now: Instant) {
        if matches!(finding, Finding::Nowhere { all: true, .. }) {
            self.lookups.state.lock().unknown.note(self.key, self.since, now);
        }
        self.tell.send_replace(Some(finding));
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.lookups.state.lock().under_way.remove(&self.key);
    }
}

/// A client's turn to ask, until this is dropped.
#[must_use = "others wait for their turn"]
pub(crate) struct Turn<'a> {
    lookups: &'a Lookups,
    client: ClientAddress,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lookups.state.lock().allowances.end(self.client);
        self.lookups.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::timeout;

    use super::*;
    use crate::ids::CoordinatorId;
    use crate::wire::facts::Handle;

    const QUESTION: Question = Question::Session(Handle { guid: [1; 16], secret: [2; 16] });
    const NOWHERE: Finding = Finding::Nowhere { says: None, all: true };

    fn client() -> ClientAddress {
        std::net::IpAddr::from(Ipv4Addr::LOCALHOST).into()
    }

    fn first(lookups: &Lookups) -> First<'_> {
        match lookups.join(lookups.key(&QUESTION, &Access::UNREAD), clock::now()) {
            Lookup::First(first) => first,
            Lookup::Nowhere | Lookup::Joins(_) => panic!("somebody else asks, or has asked"),
        }
    }

    fn joins(lookups: &Lookups) -> Answer {
        match lookups.join(lookups.key(&QUESTION, &Access::UNREAD), clock::now()) {
            Lookup::Joins(answer) => answer,
            Lookup::Nowhere | Lookup::First(_) => panic!("nobody else asks"),
        }
    }

    #[tokio::test]
    async fn two_connections_with_the_same_question_get_one_answer() {
        let lookups = Lookups::new(&Chance::from_seed(1));
        let first = first(&lookups);
        let (second, third) = (joins(&lookups), joins(&lookups));
        let finding = Finding::Owner(CoordinatorId(3));
        first.tell(finding, clock::now());
        assert_eq!((second.told().await, third.told().await), (Some(finding), Some(finding)));
    }

    #[tokio::test]
    async fn a_connection_asks_itself_when_the_one_that_it_waited_for_gave_up() {
        let lookups = Lookups::new(&Chance::from_seed(1));
        let gave_up = first(&lookups);
        let second = joins(&lookups);
        drop(gave_up);
        assert_eq!(second.told().await, None);
        drop(first(&lookups));
    }

    #[tokio::test]
    async fn a_handle_that_no_coordinator_has_is_not_looked_up_again_until_one_returns() {
        let lookups = Lookups::new(&Chance::from_seed(1));
        first(&lookups).tell(NOWHERE, clock::now());
        let lookup = lookups.join(lookups.key(&QUESTION, &Access::UNREAD), clock::now());
        assert!(matches!(lookup, Lookup::Nowhere));
        lookups.forget_unknown();
        let asks = first(&lookups);
        lookups.forget_unknown();
        asks.tell(NOWHERE, clock::now());
        first(&lookups).tell(Finding::Nowhere { says: None, all: false }, clock::now());
        drop(first(&lookups));
    }

    #[tokio::test]
    async fn a_turn_begins_when_another_ends() {
        let lookups = Lookups::new(&Chance::from_seed(1));
        let mut turns = Vec::new();
        for _ in 0..LIMITS.at_once_each {
            turns.push(lookups.turn(client()).await.unwrap());
        }
        let mut next = pin!(lookups.turn(client()));
        assert!(timeout(Duration::from_millis(1), &mut next).await.is_err());
        drop(turns.pop());
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn a_client_that_asks_too_often_gets_no_turn() {
        let lookups = Lookups::new(&Chance::from_seed(1));
        let mut asked = 0;
        while let Some(turn) = lookups.turn(client()).await {
            drop(turn);
            asked += 1;
        }
        assert!(asked >= LIMITS.burst, "{asked}");
    }
}
