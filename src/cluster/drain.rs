//! A coordinator that people want empty: it gets no new session, its operations may go on until a deadline,
//! and then they are left alone or cancelled.

use std::fmt;
use std::time::{Duration, Instant};

/// What becomes of the operations that are open at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainThen {
    /// They go on.
    Leave,
    /// They are cancelled.
    Cancel,
}

impl DrainThen {
    /// The word used in config, logs and the admin port.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for DrainThen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a cluster's coordinators are drained; `docs/CONFIG.md` explains each under `[[cluster]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// From the beginning of a drain to its deadline, unless it is begun with another; zero: none is waited
    /// for.
    pub deadline: Duration,
    /// What is done then.
    pub then: DrainThen,
}

/// The drain of one coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// When it was first asked for.
    pub since: Instant,
    /// Until when operations may go on.
    pub deadline: Instant,
    /// Whether the deadline has come and was acted upon.
    is_over: bool,
}

impl Drain {
    /// What holds after somebody has asked for a drain: a deadline that is asked for counts from now and
    /// takes the place of that of a drain under way, which otherwise stays as it is. `usual` is the deadline
    /// of those who ask for none.
    pub(super) fn asked(
        under_way: Option<Self>,
        deadline: Option<Duration>,
        usual: Duration,
        now: Instant,
    ) -> Self {
        let since = under_way.map_or(now, |drain| drain.since);
        match (under_way, deadline) {
            (Some(drain), None) => drain,
            (_, asked) => Self { since, deadline: now + asked.unwrap_or(usual), is_over: false },
        }
    }

    /// Whether the deadline has come since this was asked last.
    pub(super) fn ends(&mut self, now: Instant) -> bool {
        !self.is_over && {
            self.is_over = now >= self.deadline;
            self.is_over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const USUAL: Duration = Duration::from_hours(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_drain_ends_once_and_not_before_its_deadline() {
        let now = clock::now();
        let mut drain = Drain::asked(None, None, USUAL, now);
        assert_eq!((drain.since, drain.deadline), (now, now + USUAL));
        assert!(!drain.ends(now + USUAL.saturating_sub(SECOND)));
        assert!(drain.ends(now + USUAL));
        assert!(!drain.ends(now + USUAL), "it has ended already");
    }

    #[test]
    fn a_drain_without_time_ends_at_once() {
        let now = clock::now();
        assert!(Drain::asked(None, Some(Duration::ZERO), USUAL, now).ends(now));
    }

    #[test]
    fn only_another_deadline_changes_a_drain_that_is_under_way() {
        let begun = clock::now();
        let now = begun + SECOND;
        let mut first = Drain::asked(None, Some(10 * SECOND), USUAL, begun);
        assert_eq!(Drain::asked(Some(first), None, USUAL, now), first);
        let mut second = Drain::asked(Some(first), Some(30 * SECOND), USUAL, now);
        assert_eq!((second.since, second.deadline), (begun, now + 30 * SECOND));
        assert!(!second.ends(first.deadline) && second.ends(second.deadline));
        // One that was asked for again after its end ends again.
        assert!(first.ends(first.deadline));
        assert!(Drain::asked(Some(first), Some(Duration::ZERO), USUAL, now).ends(now));
    }
}
