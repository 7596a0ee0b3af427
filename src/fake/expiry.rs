//! Sessions that expire because their clients are idle (Impala: `impala-server.cc` `SessionMaintenance`).
//! Impala looks for them once a second; here they expire when they are next looked at.

use std::time::{Duration, Instant};

use super::ids::Id;
use super::refusal::Refusal;
use super::state::{Session, Tables};
use super::web;
use crate::clock;

/// The query option (Impala: `query-options.h`), in seconds.
const OPTION: &str = "IDLE_SESSION_TIMEOUT";

/// How long a session may be idle, and since when it is idle (Impala: `impala-server.h` `SessionState`).
#[derive(Debug)]
pub(super) struct Idleness {
    /// Zero: for ever.
    timeout: Duration,
    last_accessed: Instant,
    expired: bool,
}

impl Idleness {
    /// A session that may be idle for ever.
    pub(super) fn new() -> Self {
        Self { timeout: Duration::ZERO, last_accessed: clock::now(), expired: false }
    }

    /// Whether the session has expired.
    pub(super) fn is_over(&self) -> bool {
        self.expired
    }

    /// Expires the session as if its time were over.
    pub(super) fn expire(&mut self) {
        self.expired = true;
    }

    fn look(&mut self) {
        let idle = clock::now().saturating_duration_since(self.last_accessed);
        self.expired |= !self.timeout.is_zero() && idle > self.timeout;
    }
}

impl Session {
    /// Notes that an option was set, by `SET` or at the open. If it is the timeout, it takes effect, and the
    /// session counts as used (Impala: `client-request-state.cc` `Exec`, `impala-server.cc` `UpdateTimeout`).
    /// `UNSET ALL` does not do that.
    pub(super) fn note_set(&mut self, option: &str) {
        if option.eq_ignore_ascii_case(OPTION) {
            let seconds = self.options.get(OPTION).and_then(|value| value.parse().ok());
            self.idleness.timeout = Duration::from_secs(seconds.unwrap_or_default());
            self.idleness.last_accessed = clock::now();
        }
    }

    /// Notes that the session is used, if it has not expired (Impala: `impala-server.cc` `GetSessionState`).
    pub(super) fn access(&mut self) -> Result<(), Refusal> {
        let Idleness { timeout, last_accessed, expired } = &mut self.idleness;
        if *expired {
            let ago = clock::now().saturating_duration_since(*last_accessed);
            let last = web::timestamp(clock::time_of_day() - ago);
            // In milliseconds (Impala: `ToStringFromUnixMillis`).
            let last = last.get(..last.len() - 3).unwrap_or_default().to_owned();
            return Err(Refusal::SessionExpired { timeout: timeout.as_secs(), last });
        }
        *last_accessed = clock::now();
        Ok(())
    }
}

impl Tables {
    /// Checks whether a session has expired; if so, closes its operations.
    pub(super) fn look(&mut self, id: Id) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.idleness.expired) else {
            return;
        };
        session.idleness.look();
        if session.idleness.expired {
            self.close_operations(id);
        }
    }
}
