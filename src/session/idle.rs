//! How long a session may be idle.
//!
//! Impala ends a session whose client makes no call for longer than `IDLE_SESSION_TIMEOUT` says
//! (`impala-server.cc` `SessionMaintenance`). It counts from the last call of anybody, so the calls by which
//! the router keeps a session would keep it for ever: the router counts what the client does
//! ([`super::activity`]), and ends the session itself.

use std::num::NonZeroU32;
use std::time::Duration;

use super::state::sets;
use super::statement::Effect;

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
    /// Of a session whose `OpenSession` was answered with this value: that is the coordinator's own default,
    /// unless the request set one. None was given if the request was not held.
    pub fn opened(value: Option<Duration>, request: Option<&[u8]>) -> Self {
        let is_default = request.is_some_and(|request| !sets(request, OPTION));
        let now = value.and_then(whole_seconds);
        Self { now, default: now.filter(|_| is_default) }
    }

    /// A statement that does this has succeeded in the session. `UNSET ALL` forgets what was set and leaves
    /// the timeout as it is (Impala: `client-request-state.cc` `Exec`, where only a `SET` of the option calls
    /// `UpdateTimeout`).
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

#[cfg(test)]
mod tests {
    use super::*;
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
}
