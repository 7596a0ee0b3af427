//! Opens and logins that a coordinator answered with a failure, as load that fades.
//!
//! Such an answer may be the client's doing, a wrong password for example, so it says nothing against the coordinator. But one
//! that answers so to everybody has no sessions, and would be the least loaded for ever. No client can turn this against a
//! coordinator: it does not choose who answers it, and what it fails at next goes to one that has fewer failures. A login that
//! is refused now and then, among others that are accepted, counts for nothing at all.

use std::time::{Duration, Instant};

/// After this time a failure counts half.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// So many logins must be refused in a row, with none accepted in between, until refusals count: one wrong password would
/// keep new sessions away from whoever happened to judge it.
const IN_A_ROW: u32 = 3;

/// Less than this is nothing: a failure is forgotten after ten half-lives.
const LEAST: f64 = 1.0 / 1024.0;

/// The recent failures of one port; each counts from 1.0 down to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    /// At the time of the last one.
    count: f64,
    last: Option<Instant>,
    /// Logins that were refused since one was accepted.
    refused: u32,
}

impl Failures {
    pub(super) fn note(&mut self, now: Instant) {
        *self = Self { count: self.recent(now) + 1.0, last: Some(now), ..*self };
    }

    pub(super) fn note_login_refused(&mut self, now: Instant) {
        self.refused = self.refused.saturating_add(1);
        if self.refused >= IN_A_ROW {
            self.note(now);
        }
    }

    pub(super) fn note_logged_in(&mut self) {
        self.refused = 0;
    }

    /// How many there are, 0.0 or more.
    pub(super) fn recent(self, now: Instant) -> f64 {
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
        failures.note(now);
        failures.note(now);
        assert!((failures.recent(now) - 2.0).abs() < 1e-9);
        assert!((failures.recent(now + HALF_LIFE) - 1.0).abs() < 1e-9);
        failures.note(now + HALF_LIFE);
        assert!((failures.recent(now + 2 * HALF_LIFE) - 1.0).abs() < 1e-9);
        assert!(failures.recent(now + 8 * HALF_LIFE) > 0.0);
        assert!(failures.recent(now + 20 * HALF_LIFE) <= 0.0, "nothing is left of them, however little");
    }

    #[test]
    fn refused_logins_count_from_the_third_in_a_row_on() {
        let (mut failures, now) = (Failures::default(), clock::now());
        for _ in 0..100 {
            failures.note_login_refused(now);
            failures.note_login_refused(now);
            failures.note_logged_in();
        }
        assert!(failures.recent(now) <= 0.0, "others are let in meanwhile");
        for _ in 0..5 {
            failures.note_login_refused(now);
        }
        assert!((failures.recent(now) - 3.0).abs() < 1e-9);
        failures.note_logged_in();
        assert!((failures.recent(now) - 3.0).abs() < 1e-9, "what counts fades, and nothing else");
    }
}
