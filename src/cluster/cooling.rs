//! Trying a coordinator last for a while after it showed that it takes no sessions.
//!
//! Only facts that a client cannot bring about by what it sends are noted here, and they only change the
//! order of candidates: an order is harmless when it is wrong, an exclusion is not.

use std::fmt;
use std::time::{Duration, Instant};

use crate::ids::{PerService, Service};

/// The first back-off.
const SHORTEST: Duration = Duration::from_secs(1);
/// Back-offs double up to this, so that a coordinator which returns is noticed within half a minute.
const LONGEST: Duration = Duration::from_secs(30);

/// Why a coordinator is tried last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The last dial was refused or timed out.
    DialFailed,
    /// The last login got no verdict: silence, or what is no answer.
    LoginUnanswered,
    /// It did not answer an open that another coordinator answered, or broke off a session that it said was
    /// open.
    OpenLost,
    /// It refused new work because it is shutting down.
    ShuttingDown,
}

impl Cause {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DialFailed => "last dial failed",
            Self::LoginUnanswered => "last login got no verdict",
            Self::OpenLost => "last open was lost",
            Self::ShuttingDown => "said that it is shutting down",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A coordinator's back-offs, one for each cause: a dial that succeeds says nothing about a shutdown, because
/// a coordinator that shuts down goes on accepting connections (Impala: impala-server.cc, quiescing), and
/// nothing about what comes of opens, because the kernel accepts for a process that hangs.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    ports: PerService<Port>,
    shutdown: Backoff,
}

/// What went wrong on one port: a Beeswax port that is closed, as it is by default, says nothing about HS2.
#[derive(Debug, Default)]
struct Port {
    dial: Backoff,
    login: Backoff,
    open: Backoff,
}

impl Cooling {
    fn port(&mut self, service: Service) -> &mut Port {
        self.ports.get_mut(service)
    }

    pub(super) fn note_dial_failed(&mut self, service: Service, now: Instant) {
        self.port(service).dial.lengthen(now);
    }

    pub(super) fn note_dialed(&mut self, service: Service) {
        self.port(service).dial = Backoff::default();
    }

    pub(super) fn note_login_unanswered(&mut self, service: Service, now: Instant) {
        self.port(service).login.lengthen(now);
    }

    pub(super) fn note_logged_in(&mut self, service: Service) {
        self.port(service).login = Backoff::default();
    }

    pub(super) fn note_open_lost(&mut self, service: Service, now: Instant) {
        self.port(service).open.lengthen(now);
    }

    pub(super) fn note_shutting_down(&mut self, now: Instant) {
        self.shutdown.lengthen(now);
    }

    pub(super) fn note_opened(&mut self, service: Service) {
        *self.port(service) = Port::default();
        self.shutdown = Backoff::default();
    }

    /// A shutdown that a web port no longer speaks of.
    pub(super) fn note_not_shutting_down(&mut self) {
        self.shutdown = Backoff::default();
    }

    pub(super) fn cause(&self, service: Service, now: Instant) -> Option<Cause> {
        let port = self.ports.get(service);
        let lasting = |backoff: &Backoff, cause| backoff.lasts(now).then_some(cause);
        lasting(&port.dial, Cause::DialFailed)
            .or_else(|| lasting(&port.login, Cause::LoginUnanswered))
            .or_else(|| lasting(&port.open, Cause::OpenLost))
            .or_else(|| lasting(&self.shutdown, Cause::ShuttingDown))
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
    /// Begins the next, longer pause. Within a pause nothing changes: fifty dials that fail together are one
    /// fact.
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
