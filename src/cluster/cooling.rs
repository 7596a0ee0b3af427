//! Trying a coordinator last for a while after it showed that it takes no sessions.
//!
//! Only facts that no client can cause are noted here, and they only change the order of candidates: an order is
//! harmless when it is wrong, an exclusion is not.

use std::fmt;
use std::time::{Duration, Instant};

/// The first back-off.
const SHORTEST: Duration = Duration::from_secs(1);
/// Back-offs double up to this, so that a coordinator which returns is noticed within half a minute.
const LONGEST: Duration = Duration::from_secs(30);

/// Why a coordinator is tried last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The last dial was refused or timed out.
    DialFailed,
    /// It refused new work with "Server is being shut down:".
    ShuttingDown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DialFailed => "last dial failed",
            Self::ShuttingDown => "said that it is shutting down",
        })
    }
}

/// A coordinator's back-offs, one for each cause: a dial that succeeds says nothing about a shutdown, because a
/// coordinator that shuts down goes on accepting connections (Impala: impala-server.cc, quiescing).
#[derive(Debug, Default)]
pub(super) struct Cooling {
    dial: Backoff,
    shutdown: Backoff,
}

impl Cooling {
    pub(super) fn note_dial_failed(&mut self, now: Instant) {
        self.dial.lengthen(now);
    }

    pub(super) fn note_dialed(&mut self) {
        self.dial = Backoff::default();
    }

    pub(super) fn note_shutting_down(&mut self, now: Instant) {
        self.shutdown.lengthen(now);
    }

    pub(super) fn note_opened(&mut self) {
        *self = Self::default();
    }

    /// A shutdown that a web port no longer speaks of.
    pub(super) fn note_not_shutting_down(&mut self) {
        self.shutdown = Backoff::default();
    }

    pub(super) fn cause(&self, now: Instant) -> Option<Cause> {
        if self.dial.lasts(now) {
            Some(Cause::DialFailed)
        } else {
            self.shutdown.lasts(now).then_some(Cause::ShuttingDown)
        }
    }
}

/// A pause that doubles each time it was over and proved too short.
#[derive(Debug, Default)]
struct Backoff {
    /// The length of the last pause; zero before the first.
    length: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// Begins the next, longer pause. Within a pause nothing changes: fifty dials that fail together are one fact.
    fn lengthen(&mut self, now: Instant) {
        if self.lasts(now) {
            return;
        }
        self.length = self.length.saturating_mul(2).clamp(SHORTEST, LONGEST);
        self.until = now.checked_add(self.length);
    }

    fn lasts(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}
