//! Opens and logins that a coordinator answered with a failure, as load that fades.
//!
//! Such an answer may be the client's doing, a wrong password for example, so it says nothing against the coordinator. But one
//! that answers so to everybody has no sessions, and would be the least loaded for ever. No client can turn this against a
//! coordinator: it does not choose who answers it, and what it fails at next goes to one that has fewer failures.

use std::time::{Duration, Instant};

/// After this time a failure counts half.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// Less than this is nothing: a failure is forgotten after ten half-lives.
const LEAST: f64 = 1.0 / 1024.0;

/// The recent failures of one port; each counts from 1.0 down to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    /// At the time of the last one.
    count: f64,
    last: Option<Instant>,
}

impl Failures {
    pub(super) fn note(&mut self, now: Instant) {
        *self = Self { count: self.recent(now) + 1.0, last: Some(now) };
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
}
