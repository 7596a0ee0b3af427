//! How long a session may be idle, and how long it has been.
//!
//! Impala ends a session whose client makes no call for longer than `IDLE_SESSION_TIMEOUT` says (`impala-server.cc`
//! `SessionMaintenance`). It counts from the last call of anybody, so the calls by which the router keeps a session would
//! keep it for ever: what its client does is counted here.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::state::sets;
use super::statement::Effect;
use crate::ids::CoordinatorId;

/// The option (Impala: `query-options.h`), in seconds; 0: for ever.
const OPTION: &str = "IDLE_SESSION_TIMEOUT";

/// A session's `IDLE_SESSION_TIMEOUT`; by default not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTimeout {
    /// None: it may be idle for ever, or for how long is not known.
    now: Option<Seconds>,
    /// What holds if nothing is set.
    default: Option<Seconds>,
}

impl IdleTimeout {
    /// Of a session whose `OpenSession` was answered with this value: that is the coordinator's own default, unless the
    /// request set one. None was given if the request was not held.
    pub fn opened(value: Option<Duration>, request: Option<&[u8]>) -> Self {
        let is_default = request.is_some_and(|request| !sets(request, OPTION));
        let now = value.and_then(whole_seconds);
        Self { now, default: now.filter(|_| is_default) }
    }

    /// A statement that does this has succeeded in the session. `UNSET ALL` forgets what was set and leaves the timeout as it
    /// is (Impala: `client-request-state.cc` `Exec`, where only a `SET` of the option calls `UpdateTimeout`).
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Set { option, value } if option.eq_ignore_ascii_case(OPTION) => {
                self.now = if value.is_empty() { self.default } else { seconds(value) };
            }
            // Perhaps it was set.
            Effect::Unclear => self.now = None,
            Effect::Nothing | Effect::Changes | Effect::Set { .. } | Effect::UnsetAll | Effect::Use(_) => {}
        }
    }

    /// The session was opened again elsewhere, and this is what that coordinator said.
    pub fn moved(&mut self, value: Option<Duration>) {
        self.now = value.and_then(whole_seconds);
    }

    /// How long the session may be idle; none if for ever, or if that is not known.
    pub fn get(self) -> Option<Duration> {
        self.now.map(|seconds| Duration::from_secs(seconds.get().into()))
    }
}

/// The option's unit; not 0, which is for ever.
type Seconds = NonZeroU32;

fn seconds(value: &str) -> Option<Seconds> {
    value.trim().parse().ok()
}

fn whole_seconds(value: Duration) -> Option<Seconds> {
    Seconds::new(u32::try_from(value.as_secs()).ok()?)
}

/// What a session's clients do. Shared by the table and the connections that use the session, so that a call costs no
/// look-up.
#[derive(Debug)]
pub struct Activity {
    since: Instant,
    /// Calls under way, and [`OVER`] from the moment on when no more may begin.
    calls: AtomicU32,
    /// When the last call ended, in nanoseconds after `since`.
    last: AtomicU64,
    /// When its coordinator last had it, likewise.
    answered: AtomicU64,
    /// [`FOUND`] and the like.
    marks: AtomicU32,
}

const OVER: u32 = 1 << 31;
/// The session was found by asking.
const FOUND: u32 = 1 << CoordinatorId::BITS;
/// It counts nowhere, because its coordinator's process seems to have ended.
const UNCOUNTED: u32 = FOUND << 1;
/// It ended with its link, to the coordinator whose id is in the lower bits.
const LOST: u32 = FOUND << 2;

impl Activity {
    /// Of a session that was just used.
    pub fn new(now: Instant) -> Self {
        let (calls, marks) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { since: now, calls, last: AtomicU64::new(0), answered: AtomicU64::new(0), marks }
    }

    /// The session was found by asking: that its coordinator has it was only said.
    pub fn note_found(&self) {
        self.marks.fetch_or(FOUND, Ordering::AcqRel);
    }

    /// The session was opened again, and counts where it is now.
    pub fn note_opened_again(&self, now: Instant) {
        self.note_answered(now);
        self.note_counted(true);
    }

    /// The session counts as load nowhere from now on, or does again.
    pub fn note_counted(&self, counted: bool) {
        if counted {
            self.marks.fetch_and(!UNCOUNTED, Ordering::AcqRel);
        } else {
            self.marks.fetch_or(UNCOUNTED, Ordering::AcqRel);
        }
    }

    /// Whether it counts as load somewhere.
    pub fn is_counted(&self) -> bool {
        self.marks.load(Ordering::Acquire) & UNCOUNTED == 0
    }

    /// The session has ended with its link to this coordinator: no call begins any more.
    pub fn note_lost(&self, coordinator: CoordinatorId) {
        self.marks.fetch_or(LOST | coordinator.0, Ordering::AcqRel);
        self.close();
    }

    /// The coordinator with the link to which it ended, if it did.
    pub fn lost(&self) -> Option<CoordinatorId> {
        let marks = self.marks.load(Ordering::Acquire);
        (marks & LOST != 0).then_some(CoordinatorId(marks & CoordinatorId::LAST.0))
    }

    /// Whether [`Self::note_found`] was.
    pub fn was_found(&self) -> bool {
        self.marks.load(Ordering::Acquire) & FOUND != 0
    }

    /// A call in the session begins, to be followed by [`Self::end`]; false if the session is over.
    pub fn begin(&self) -> bool {
        let more = |calls: u32| calls.checked_add(1).filter(|calls| *calls < OVER);
        self.calls.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// A call ends, from which the session is idle (Impala: `impala-server.h` `MarkSessionInactive`). If it succeeded, its
    /// coordinator has the session.
    pub fn end(&self, now: Instant, succeeded: bool) {
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

    /// A call of the router's own in the session succeeded: its coordinator has the session.
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
        match self.calls.load(Ordering::Acquire) & !OVER {
            0 => now.saturating_duration_since(self.last()),
            _ => Duration::ZERO,
        }
    }

    /// No call begins any more, if none has been under way for so long; whether that is so.
    pub fn expire(&self, now: Instant, timeout: Duration) -> bool {
        self.idle(now) >= timeout
            && match self.calls.compare_exchange(0, OVER, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(calls) => calls & OVER != 0,
            }
    }

    /// No call begins any more; those that are under way end.
    pub fn close(&self) {
        self.calls.fetch_or(OVER, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::session::statement::effect;
    use crate::wire::hs2::open::Open;

    const MINUTE: Option<Duration> = Some(Duration::from_mins(1));

    fn request(pairs: &[(&str, &str)]) -> Vec<u8> {
        let configuration = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Open { protocol: Some(5), username: None, configuration }.write().to_vec()
    }

    /// The timeout after these statements, in seconds; 0 if there is none.
    fn after(mut timeout: IdleTimeout, statements: &[&str]) -> u64 {
        for statement in statements {
            timeout.apply(&effect(statement.as_bytes(), true));
        }
        timeout.get().map_or(0, |timeout| timeout.as_secs())
    }

    #[test]
    fn a_later_set_counts_and_an_empty_one_gives_the_default_back() {
        let timeout = IdleTimeout::opened(MINUTE, Some(&request(&[("mem_limit", "1g")])));
        assert_eq!(after(timeout, &[]), 60);
        assert_eq!(after(timeout, &["set idle_session_timeout=5"]), 5);
        assert_eq!(after(timeout, &["set IDLE_SESSION_TIMEOUT='7'", "set mem_limit=3", "use demo"]), 7);
        assert_eq!(after(timeout, &["set idle_session_timeout=5", "set idle_session_timeout=''"]), 60);
        assert_eq!(after(timeout, &["set idle_session_timeout=0"]), 0);
    }

    #[test]
    fn unset_all_leaves_the_timeout_as_it_is() {
        let timeout = IdleTimeout::opened(MINUTE, Some(&request(&[])));
        assert_eq!(after(timeout, &["set idle_session_timeout=5", "unset all"]), 5);
        assert_eq!(
            after(timeout, &["set idle_session_timeout=5", "unset all", "set idle_session_timeout=''"]),
            60
        );
    }

    #[test]
    fn a_default_that_was_never_seen_is_not_made_up() {
        for request in [Some(request(&[("set:hiveconf:Idle_Session_Timeout", "60")])), None] {
            let timeout = IdleTimeout::opened(MINUTE, request.as_deref());
            assert_eq!(after(timeout, &[]), 60);
            assert_eq!(after(timeout, &["set idle_session_timeout=''"]), 0);
        }
    }

    #[test]
    fn what_is_not_understood_makes_the_timeout_unknown() {
        let timeout = IdleTimeout::opened(MINUTE, Some(&request(&[])));
        assert_eq!(after(timeout, &["set idle_session_timeout=x"]), 0);
        assert_eq!(after(timeout, &["set idle_session_timeout 5"]), 0);
    }

    #[test]
    fn a_session_is_idle_from_the_end_of_its_last_call() {
        let (start, second) = (clock::now(), Duration::from_secs(1));
        let activity = Activity::new(start);
        assert!(activity.begin() && activity.begin());
        activity.end(start + second, false);
        assert_eq!(activity.idle(start + 9 * second), Duration::ZERO, "another call is under way");
        assert!(!activity.expire(start + 9 * second, second));
        activity.end(start + 4 * second, false);
        assert_eq!(activity.idle(start + 9 * second), 5 * second);
        assert_eq!(activity.last(), start + 4 * second);
    }

    #[test]
    fn a_session_that_ended_with_its_link_says_whose_link_that_was() {
        let activity = Activity::new(clock::now());
        activity.note_found();
        activity.note_counted(false);
        assert!(activity.begin() && activity.lost().is_none());
        activity.note_lost(CoordinatorId::LAST);
        assert_eq!(activity.lost(), Some(CoordinatorId::LAST));
        assert!(!activity.begin() && activity.was_found() && !activity.is_counted());
        activity.note_counted(true);
        assert!(activity.is_counted() && activity.lost().is_some());
    }

    #[test]
    fn no_call_begins_in_a_session_that_was_idle_for_too_long() {
        let (start, second) = (clock::now(), Duration::from_secs(1));
        let activity = Activity::new(start);
        assert!(!activity.expire(start + second, 2 * second));
        assert!(activity.begin());
        activity.end(start + second, false);
        assert!(activity.expire(start + 3 * second, 2 * second));
        assert!(!activity.begin());
        assert!(activity.expire(start + 3 * second, 2 * second), "it stays so");
        assert_eq!(activity.last(), start + second);
    }
}
