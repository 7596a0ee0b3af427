//! The sessions and operations that are known, and which coordinator owns each: affinity is a look-up here.
//!
//! One table a cluster. Look-ups happen on every call, so both maps are sharded; no lock is ever held across two of them.
//! In place an entry has only what a look-up reads, owner and secret: the less memory a large table walks over, the
//! fewer misses of the processor's caches a look-up costs. The rest is behind a box.
//! Guards of [`crate::cluster`] live in the entries: what leaves the table stops counting as load.

mod ending;
mod found;
mod lost;
mod moves;
mod places;
mod waiting;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;

pub use self::ending::{Ending, Expired, Over, Tended};
pub use self::found::FoundOperation;
pub use self::moves::{Arrival, Cause, Departure, Done, Entered, InCall, Movable, Pinned};
pub use self::places::{NoPlace, Place};
pub use self::waiting::{Named, OpenOf, Waiting};
use crate::cluster::room::Tenancy;
use crate::cluster::{OperationCount, RunningCount, SessionCount};
use crate::ids::{CoordinatorId, Identity};
use crate::session::hashing::GuidMap;
use crate::session::idle::{Activity, IdleTimeout};
use crate::wire::facts::{Guid, HANDLE_PART_BYTES, Handle};

/// Operations are remembered up to this many times the number of sessions that fit.
const OPERATIONS_PER_SESSION: usize = 4;
/// How many closed operations are remembered, oldest forgotten first; Impala remembers 200 a coordinator.
const CLOSED_OPERATIONS: usize = 20_000;

/// How much a table holds, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Sessions at most.
    pub capacity: usize,
    /// How long a session that no connection is attached to is remembered: what its coordinator gives it, and a little more.
    pub detached_for: Duration,
}

/// The sessions and operations of one cluster.
#[derive(Debug)]
pub struct Table {
    settings: Settings,
    sessions: GuidMap<Session>,
    operations: GuidMap<Operation>,
    /// Closed operations, oldest first.
    closed: Mutex<VecDeque<Guid>>,
    closed_capacity: usize,
    found: Mutex<found::FoundOperations>,
    places: places::Places,
}

#[derive(Debug)]
struct Session {
    coordinator: CoordinatorId,
    /// None for a Beeswax session, which has no handle.
    secret: Option<[u8; HANDLE_PART_BYTES]>,
    usage: Box<Usage>,
}

/// What a session is used for.
#[derive(Debug)]
struct Usage {
    /// Connections that used it and are still there.
    attached: u32,
    /// When the last of them was found gone.
    detached_since: Option<Instant>,
    /// Open ones. A set: a session may have tens of thousands, and each is looked up when it is closed.
    operations: HashSet<Guid>,
    identity: Identity,
    /// None once its coordinator has closed it because it was idle for too long.
    tenancy: Option<Tenancy>,
    idle_timeout: IdleTimeout,
    activity: Arc<Activity>,
    /// Why no call is made in it any more, although it is remembered.
    over: Option<Box<Over>>,
    /// Whether the router is closing it.
    ending: bool,
    /// As `tenancy`.
    count: Option<SessionCount>,
    /// Calls that keep it where it is.
    in_flight: AtomicU32,
    /// None for a session that cannot move.
    mobile: Option<Box<moves::Mobile>>,
    /// None for one that was not opened by its handle's first client here.
    place: Option<Place>,
}

impl Session {
    /// One that was just opened, with nothing attached to it.
    fn new(new: NewSession) -> Self {
        let NewSession { guid: _, secret, coordinator, identity, count, tenancy, idle_timeout, now } = new;
        let usage = Usage {
            attached: 0,
            detached_since: None,
            operations: HashSet::new(),
            identity,
            tenancy,
            idle_timeout,
            activity: Arc::new(Activity::new(now)),
            over: None,
            ending: false,
            count: Some(count),
            in_flight: AtomicU32::new(0),
            mobile: None,
            place: None,
        };
        Self { coordinator, secret, usage: Box::new(usage) }
    }
}

#[derive(Debug)]
struct Operation {
    coordinator: CoordinatorId,
    secret: Option<[u8; HANDLE_PART_BYTES]>,
    /// None once it is closed.
    open: Option<Box<Open>>,
}

/// What an operation is as long as it is open.
#[derive(Debug)]
struct Open {
    /// None for one that was found by asking.
    session: Option<Guid>,
    has_result_set: bool,
    running: Option<RunningCount>,
    counted: Option<OperationCount>, // None once its coordinator's process seems to have ended.
    _in_use: OpenCount,
}

/// A session that was just opened.
#[derive(Debug)]
pub struct NewSession {
    /// What identifies it.
    pub guid: Guid,
    /// None for a Beeswax session.
    pub secret: Option<[u8; HANDLE_PART_BYTES]>,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// Whose it is.
    pub identity: Identity,
    /// Counts it as load until it leaves the table.
    pub count: SessionCount,
    /// Whose session it is, if its calls share links: those are kept until it leaves the table.
    pub tenancy: Option<Tenancy>,
    /// How long it may be idle.
    pub idle_timeout: IdleTimeout,
    /// The present moment.
    pub now: Instant,
}

/// An operation that was just minted.
#[derive(Debug)]
pub struct NewOperation {
    /// What identifies it: the guid of its handle, or the one that its Beeswax query id prints.
    pub guid: Guid,
    /// None for a Beeswax query.
    pub secret: Option<[u8; HANDLE_PART_BYTES]>,
    /// Its owner.
    pub coordinator: CoordinatorId,
    /// The session that it ends with.
    pub session: Guid,
    /// Whether rows remain when its state says that it has finished.
    pub has_result_set: bool,
    /// Counts it as load until its end is seen; none for metadata calls and what ended with its reply.
    pub running: Option<RunningCount>,
    /// Counts it as open on its connection until it is closed.
    pub open: OpenCount,
    /// Counts it as open on its coordinator until it is closed.
    pub counted: OperationCount,
}

/// How many operations that a connection opened are still open; a drain waits for them.
#[derive(Clone, Debug, Default)]
pub struct OpenOperations(Arc<AtomicUsize>);

impl OpenOperations {
    /// Counts one more, until the guard ends.
    pub fn count(&self) -> OpenCount {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenCount(Arc::clone(&self.0))
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// An open operation, counted until this is dropped.
#[derive(Debug)]
#[must_use = "the operation stops counting as open when this is dropped"]
pub struct OpenCount(Arc<AtomicUsize>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a session was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Its guid is that of another coordinator's session, or names a Beeswax session; the older one stays.
    #[error("its guid is that of another session")]
    Taken,
    /// The table is full.
    #[error("the session table is full")]
    Full,
}

impl Table {
    /// An empty table.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            sessions: GuidMap::default(),
            operations: GuidMap::default(),
            closed: Mutex::default(),
            closed_capacity: CLOSED_OPERATIONS.min(settings.capacity.saturating_mul(OPERATIONS_PER_SESSION)),
            found: Mutex::default(),
            places: places::Places::default(),
        }
    }

    /// Whether no further session fits.
    pub fn is_full(&self) -> bool {
        self.sessions.len() >= self.settings.capacity
    }

    /// Sessions in it.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Operations in it, closed ones too.
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// The owner of a session.
    pub fn session_owner(&self, guid: &Guid) -> Option<CoordinatorId> {
        self.sessions.get(guid).map(|session| session.coordinator)
    }

    /// The owner of an operation, open or closed.
    pub fn operation_owner(&self, guid: &Guid) -> Option<CoordinatorId> {
        self.operations.get(guid).map(|operation| operation.coordinator)
    }

    /// Takes a session in, with nothing attached to it.
    ///
    /// # Errors
    /// [`NotKept`]; calls of that session will not be routed by its handle.
    pub fn insert_session(&self, new: NewSession) -> Result<(), NotKept> {
        if self.is_full() {
            return Err(NotKept::Full);
        }
        let (guid, session) = (new.guid, Session::new(new));
        let older = match self.sessions.entry(guid) {
            Entry::Occupied(old) if !replaces(&session, old.get()) => return Err(NotKept::Taken),
            Entry::Occupied(mut old) => Some(old.insert(session)),
            Entry::Vacant(place) => {
                drop(place.insert(session));
                None
            }
        };
        // One coordinator minted the same guid twice: what was open in the older session went with it.
        self.forget_operations(older.iter().flat_map(|older| &older.usage.operations));
        Ok(())
    }

    /// A connection uses the session from now on, until [`Self::detach`]: what it is to tell of its calls; none if the session
    /// is not known.
    pub fn attach(&self, guid: &Guid) -> Option<Arc<Activity>> {
        let mut session = self.sessions.get_mut(guid)?;
        session.usage.attached += 1;
        session.usage.detached_since = None;
        Some(Arc::clone(&session.usage.activity))
    }

    /// What was done in a session.
    pub fn activity(&self, guid: &Guid) -> Option<Arc<Activity>> {
        self.sessions.get(guid).map(|session| Arc::clone(&session.usage.activity))
    }

    /// A connection that was attached to the session has ended.
    pub fn detach(&self, guid: &Guid) {
        if let Some(mut session) = self.sessions.get_mut(guid) {
            session.usage.attached = session.usage.attached.saturating_sub(1);
        }
    }

    /// Takes an operation in, unless the table is full of open ones, or its session is not known, with which it would
    /// end: then its calls go where its connection's last call went.
    pub fn insert_operation(&self, new: NewOperation) {
        let NewOperation { guid, secret, coordinator, session, has_result_set, running, open, counted } = new;
        if !self.make_room() {
            return;
        }
        let counted = Some(counted);
        let open = Open { session: Some(session), has_result_set, running, counted, _in_use: open };
        let operation = Operation { coordinator, secret, open: Some(Box::new(open)) };
        let older = match self.operations.entry(guid) {
            Entry::Occupied(old) if old.get().coordinator != coordinator => return,
            Entry::Occupied(mut old) => Some(old.insert(operation)),
            Entry::Vacant(place) => {
                drop(place.insert(operation));
                None
            }
        };
        if let Some(older) = older.and_then(|older| older.open?.session) {
            self.unlist(&older, &guid);
        }
        // Inserted first, listed second: a session that closes in between finds either nothing or the operation.
        match self.sessions.get_mut(&session).map(|mut session| session.usage.operations.insert(guid)) {
            Some(_listed) => {}
            None => drop(self.operations.remove(&guid)),
        }
    }

    /// Forgets closed operations, oldest first, until a further operation fits; false if the open ones alone fill it.
    fn make_room(&self) -> bool {
        while self.operations.len() >= self.settings.capacity.saturating_mul(OPERATIONS_PER_SESSION) {
            let oldest = self.closed.lock().pop_front();
            let Some(oldest) = oldest else { return false };
            self.forget_closed(&oldest);
        }
        true
    }

    fn forget_closed(&self, guid: &Guid) {
        drop(self.operations.remove_if(guid, |_, operation| operation.open.is_none()));
    }

    /// What was open in a session goes with it, whatever ended that: nobody else would stop counting it.
    fn forget_operations<'a>(&self, listed: impl IntoIterator<Item = &'a Guid>) {
        for operation in listed {
            drop(self.operations.remove(operation));
        }
    }

    fn unlist(&self, session: &Guid, operation: &Guid) {
        if let Some(mut session) = self.sessions.get_mut(session) {
            session.usage.operations.remove(operation);
        }
    }

    /// An operation's end was seen: it is open, but runs no more.
    pub fn end_running(&self, guid: &Guid) {
        self.end_running_if(guid, |_| true);
    }

    /// An operation has finished; it goes on running while it has rows to fetch.
    pub fn finish(&self, guid: &Guid) {
        self.end_running_if(guid, |open| !open.has_result_set);
    }

    fn end_running_if(&self, guid: &Guid, condition: impl FnOnce(&Open) -> bool) {
        if let Some(mut operation) = self.operations.get_mut(guid)
            && let Some(open) = &mut operation.open
            && condition(open)
        {
            drop(open.running.take());
        }
    }

    /// An operation was closed: it stays known for its profile, until newer ones need the room.
    pub fn close_operation(&self, guid: &Guid) {
        let open = self.operations.get_mut(guid).and_then(|mut operation| operation.open.take());
        let Some(open) = open else { return };
        if let Some(session) = &open.session {
            self.unlist(session, guid);
        }
        let forgotten = {
            let mut closed = self.closed.lock();
            closed.push_back(*guid);
            if closed.len() > self.closed_capacity { closed.pop_front() } else { None }
        };
        if let Some(forgotten) = forgotten {
            self.forget_closed(&forgotten);
        }
    }

    /// Whether this is the very session that is known by that guid: only then does what its coordinator says of the
    /// handle say something about the session. Guids are public; an answer to a guessed secret must not count.
    pub fn is_session(&self, handle: &Handle) -> bool {
        self.sessions.get(&handle.guid).is_some_and(|session| same(session.secret.as_ref(), &handle.secret))
    }

    /// As [`Self::is_session`], of an operation.
    pub fn is_operation(&self, handle: &Handle) -> bool {
        let operation = self.operations.get(&handle.guid);
        operation.is_some_and(|operation| same(operation.secret.as_ref(), &handle.secret))
    }

    /// The session of an open operation, if this is the very operation that is known by that guid.
    pub fn session_of(&self, operation: &Handle) -> Option<Guid> {
        let known = self.operations.get(&operation.guid)?;
        let open = known.open.as_ref().filter(|_| same(known.secret.as_ref(), &operation.secret))?;
        open.session
    }

    /// The session of an open Beeswax query; none for what is closed, not known, or an operation of HS2.
    pub fn query_session(&self, guid: &Guid) -> Option<Guid> {
        let operation = self.operations.get(guid)?;
        let open = operation.open.as_ref().filter(|_| operation.secret.is_none())?;
        open.session
    }

    /// Forgets sessions that nothing has been attached to for so long that their coordinator has closed them, and operations
    /// that were found by asking as long ago. Looks at every session; meant for a few times a minute. Returns how many
    /// sessions were forgotten.
    pub fn forget_detached(&self, now: Instant) -> usize {
        let limit = self.settings.detached_for;
        let (mut sessions, mut operations) = (0, Vec::new());
        // Judged and removed under one lock, so that nobody can come back in between.
        self.sessions.retain(|_, session| {
            if session.is_past(now) {
                operations.extend(session.usage.operations.drain());
                return false;
            }
            let usage = &mut session.usage;
            if usage.attached > 0 {
                return true;
            }
            let since = *usage.detached_since.get_or_insert(now);
            let over = now.saturating_duration_since(since) >= limit;
            if over {
                sessions += 1;
                operations.extend(usage.operations.drain());
            }
            !over
        });
        self.forget_operations(&operations);
        self.forget_found(now);
        sessions
    }
}

/// Whether a coordinator may have minted a guid twice. The names of Beeswax sessions are ours, and never given twice.
fn replaces(new: &Session, old: &Session) -> bool {
    new.coordinator == old.coordinator && new.secret.is_some() && old.secret.is_some()
}

/// Compares in a time that does not depend on where the secrets differ.
fn same(known: Option<&[u8; HANDLE_PART_BYTES]>, given: &[u8; HANDLE_PART_BYTES]) -> bool {
    known.is_some_and(|known| known.iter().zip(given).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0)
}

#[cfg(test)]
mod tests;
