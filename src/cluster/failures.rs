//! Opens and logins at which one coordinator failed and another succeeded ([`super::demands`]). They count as
//! load that fades: a coordinator that fails at all of them has no sessions, and would otherwise be the least
//! loaded for ever.

use std::time::{Duration, Instant};

use super::demands::Step;

/// After this time a failure counts half.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// What is less than this counts as nothing: a failure is forgotten after ten half-lives.
const LEAST: f64 = 1.0 / 1024.0;

/// What became of the opens and logins on one port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    logins: Recent,
    opens: Recent,
}

impl Failures {
    fn of(&mut self, step: Step) -> &mut Recent {
        match step {
            Step::Login => &mut self.logins,
            Step::Open => &mut self.opens,
        }
    }

    pub(super) fn note(&mut self, step: Step, now: Instant) {
        let recent = self.of(step);
        recent.count = recent.at(now) + 1.0;
        recent.last = Some(now);
    }

    /// One was done, so that not all of them fail.
    pub(super) fn note_done(&mut self, step: Step) {
        let recent = self.of(step);
        *recent = Recent { done: recent.done.wrapping_add(1), ..Recent::default() };
    }

    /// How many were done.
    pub(super) fn done(&mut self, step: Step) -> u64 {
        self.of(step).done
    }

    /// How many failures there are, 0.0 or more.
    pub(super) fn recent(self, now: Instant) -> f64 {
        self.logins.at(now) + self.opens.at(now)
    }
}

/// The recent failures of one kind; each counts from 1.0 down to nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    /// At the time of the last one.
    count: f64,
    last: Option<Instant>,
    done: u64,
}

impl Recent {
    fn at(self, now: Instant) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        let half_lives = now.saturating_duration_since(last).as_secs_f64() / HALF_LIFE.as_secs_f64();
        let count = self.count * (-half_lives).exp2();
        if count < LEAST { 0.0 } else { count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn failures_add_up_and_fade() {
        let (mut failures, now) = (Failures::default(), clock::now());
        assert!(failures.recent(now).abs() < 1e-9);
        failures.note(Step::Open, now);
        failures.note(Step::Login, now);
        assert!((failures.recent(now) - 2.0).abs() < 1e-9);
        assert!((failures.recent(now + HALF_LIFE) - 1.0).abs() < 1e-9);
        failures.note(Step::Open, now + HALF_LIFE);
        assert!((failures.recent(now + HALF_LIFE) - 2.0).abs() < 1e-9);
        assert!((failures.recent(now + 2 * HALF_LIFE) - 1.0).abs() < 1e-9);
        assert!(failures.recent(now + 8 * HALF_LIFE) > 0.0);
        assert!(failures.recent(now + 20 * HALF_LIFE) <= 0.0, "nothing is left of them, however little");
    }

    #[test]
    fn one_that_was_done_ends_the_failures_of_its_kind() {
        let (mut failures, now) = (Failures::default(), clock::now());
        failures.note(Step::Open, now);
        failures.note_done(Step::Login);
        assert!((failures.recent(now) - 1.0).abs() < 1e-9, "whoever is let in may be refused a session");
        failures.note_done(Step::Open);
        assert!(failures.recent(now) <= 0.0);
        assert_eq!((failures.done(Step::Login), failures.done(Step::Open)), (1, 1));
    }
}
