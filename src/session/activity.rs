//! What happens in a session: calls under way, when the last one ended, when its coordinator last answered
//! for it.
//!
//! The table and the connections that use the session share this value, so that a call costs no look-up.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::ids::CoordinatorId;

/// What a session's clients do, and what they must know about the session at each call.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    /// Calls under way, and [`CLOSED`] from the moment on when no more may begin.
    calls: AtomicU32,
    /// Calls that keep the session where it is.
    holds: AtomicU32,
    /// When the last call ended, in nanoseconds after `since`.
    last: AtomicU64,
    /// When its coordinator last answered for it, in nanoseconds after `since`.
    answered: AtomicU64,
    /// Set once, when the session ends with its link to this coordinator.
    lost: OnceLock<CoordinatorId>,
    counted: AtomicBool,
    located: bool,
}

const CLOSED: u32 = 1 << 31;

impl Activity {
    /// Of a session that was just opened.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            calls: AtomicU32::new(0),
            holds: AtomicU32::new(0),
            last: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            lost: OnceLock::new(),
            counted: AtomicBool::new(true),
            located: false,
        }
    }

    /// Of a session that was just located: its coordinator said that it has it, and proved nothing.
    pub fn located(now: Instant) -> Self {
        Self { located: true, ..Self::new(now) }
    }

    /// When the session was opened, or located.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Whether the session was located, not opened here.
    pub fn was_located(&self) -> bool {
        self.located
    }

    /// From now on the session counts as load somewhere, or nowhere.
    pub fn note_counted(&self, counted: bool) {
        self.counted.store(counted, Ordering::Release);
    }

    /// Whether the session counts as load somewhere.
    pub fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Acquire)
    }

    /// The session has ended with its link to this coordinator: no call begins any more. The first such end
    /// counts.
    pub fn note_lost(&self, coordinator: CoordinatorId) {
        let _earlier = self.lost.set(coordinator);
        self.close();
    }

    /// The coordinator with the link to which the session ended, if it did.
    pub fn lost(&self) -> Option<CoordinatorId> {
        self.lost.get().copied()
    }

    /// False if no call may begin any more.
    fn begin(&self) -> bool {
        let more = |calls: u32| calls.checked_add(1).filter(|calls| *calls < CLOSED);
        self.calls.try_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    fn end(&self, now: Instant, succeeded: bool) {
        let after = self.after(now);
        if succeeded {
            self.answered.fetch_max(after, Ordering::AcqRel);
        }
        self.last.fetch_max(after, Ordering::AcqRel);
        self.calls.fetch_sub(1, Ordering::AcqRel);
    }

    fn after(&self, now: Instant) -> u64 {
        let after = now.saturating_duration_since(self.since).as_nanos();
        u64::try_from(after).unwrap_or(u64::MAX)
    }

    /// A call of the router's own in the session succeeded, or it was opened again: its coordinator has it.
    pub fn note_answered(&self, now: Instant) {
        self.answered.fetch_max(self.after(now), Ordering::AcqRel);
    }

    /// When its coordinator was last known to have it.
    pub fn answered(&self) -> Instant {
        self.since + Duration::from_nanos(self.answered.load(Ordering::Acquire))
    }

    /// When the last call ended.
    pub fn last(&self) -> Instant {
        self.since + Duration::from_nanos(self.last.load(Ordering::Acquire))
    }

    /// How long no call has been under way.
    pub fn idle(&self, now: Instant) -> Duration {
        match self.calls.load(Ordering::Acquire) & !CLOSED {
            0 => now.saturating_duration_since(self.last()),
            _ => Duration::ZERO,
        }
    }

    /// Closes the session to calls if none has been under way for as long as `timeout`. Returns whether it is
    /// closed.
    pub fn expire(&self, now: Instant, timeout: Duration) -> bool {
        self.idle(now) >= timeout
            && match self.calls.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(calls) => calls & CLOSED != 0,
            }
    }

    /// No call begins any more; those that are under way end.
    pub fn close(&self) {
        self.calls.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Counts a call that keeps the session where it is. Whoever decides whether it may leave keeps others
    /// from calling this meanwhile.
    pub(super) fn hold(self: &Arc<Self>, moved: bool) -> Hold {
        self.holds.fetch_add(1, Ordering::AcqRel);
        Hold { activity: Arc::clone(self), moved }
    }

    /// Whether a call keeps the session where it is.
    pub(super) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }
}

/// A call under way in a session, which is not idle as long as this lives (Impala: `impala-server.h`
/// `MarkSessionInactive`).
#[derive(Debug)]
#[must_use = "the session is idle when this is dropped"]
pub struct InUse<C: Fn() -> Instant = fn() -> Instant> {
    activity: Arc<Activity>,
    clock: C,
    /// Whether the call succeeded, and its coordinator therefore has the session.
    pub succeeded: bool,
}

impl<C: Fn() -> Instant> InUse<C> {
    /// A call begins; `clock` is read when it ends. None if no call may begin any more: see
    /// [`Activity::expire`] and [`Activity::close`].
    pub fn begin(activity: Arc<Activity>, clock: C) -> Option<Self> {
        activity.begin().then(|| Self { activity, clock, succeeded: false })
    }

    /// See [`Activity::lost`].
    pub fn lost(&self) -> Option<CoordinatorId> {
        self.activity.lost()
    }

    /// See [`Activity::is_counted`].
    pub fn is_counted(&self) -> bool {
        self.activity.is_counted()
    }

    /// See [`Activity::was_located`].
    pub fn was_located(&self) -> bool {
        self.activity.was_located()
    }
}

impl<C: Fn() -> Instant> Drop for InUse<C> {
    fn drop(&mut self) {
        self.activity.end((self.clock)(), self.succeeded);
    }
}

/// A call that keeps its session where it is: the session does not move while this lives, unless its
/// coordinator is lost.
#[derive(Debug)]
#[must_use = "the session may move when this is dropped"]
pub struct Hold {
    activity: Arc<Activity>,
    /// Whether another handle may have to stand in the call.
    pub moved: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.activity.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn begin(activity: &Arc<Activity>, ends: Instant) -> InUse<impl Fn() -> Instant> {
        InUse::begin(Arc::clone(activity), move || ends).unwrap()
    }

    #[test]
    fn a_session_is_idle_from_the_end_of_its_last_call() {
        let start = clock::now();
        let activity = Arc::new(Activity::new(start));
        let calls = (begin(&activity, start + SECOND), begin(&activity, start + 4 * SECOND));
        drop(calls.0);
        assert_eq!(activity.idle(start + 9 * SECOND), Duration::ZERO, "another call is under way");
        assert!(!activity.expire(start + 9 * SECOND, SECOND));
        drop(calls.1);
        assert_eq!(activity.idle(start + 9 * SECOND), 5 * SECOND);
        assert_eq!(activity.last(), start + 4 * SECOND);
    }

    #[test]
    fn only_a_call_that_succeeded_says_that_its_coordinator_has_the_session() {
        let start = clock::now();
        let activity = Arc::new(Activity::new(start));
        drop(begin(&activity, start + SECOND));
        assert_eq!(activity.answered(), start);
        let mut call = begin(&activity, start + 2 * SECOND);
        call.succeeded = true;
        drop(call);
        assert_eq!(activity.answered(), start + 2 * SECOND);
        activity.note_answered(start + SECOND);
        assert_eq!(activity.answered(), start + 2 * SECOND, "what is older says nothing");
    }

    #[test]
    fn a_session_that_ended_with_its_link_says_whose_link_that_was() {
        let activity = Arc::new(Activity::located(clock::now()));
        activity.note_counted(false);
        assert!(activity.lost().is_none());
        drop(begin(&activity, clock::now()));
        activity.note_lost(CoordinatorId(u32::MAX));
        activity.note_lost(CoordinatorId(0));
        assert_eq!(activity.lost(), Some(CoordinatorId(u32::MAX)));
        assert!(InUse::begin(Arc::clone(&activity), clock::now).is_none());
        assert!(activity.was_located() && !activity.is_counted());
        activity.note_counted(true);
        assert!(activity.is_counted() && activity.lost().is_some());
    }

    #[test]
    fn no_call_begins_in_a_session_that_was_idle_for_too_long() {
        let start = clock::now();
        let activity = Arc::new(Activity::new(start));
        assert!(!activity.expire(start + SECOND, 2 * SECOND));
        drop(begin(&activity, start + SECOND));
        assert!(activity.expire(start + 3 * SECOND, 2 * SECOND));
        for _ in 0..2 {
            assert!(InUse::begin(Arc::clone(&activity), clock::now).is_none());
            assert!(activity.expire(start + 3 * SECOND, 2 * SECOND), "it stays so");
        }
        assert_eq!(activity.last(), start + SECOND, "a call that does not begin does not end");
    }

    #[test]
    fn a_session_is_held_until_the_last_hold_ends() {
        let activity = Arc::new(Activity::new(clock::now()));
        let holds = [activity.hold(false), activity.hold(true)];
        let [first, second] = holds;
        drop(first);
        assert!(activity.is_held());
        drop(second);
        assert!(!activity.is_held());
    }
}
