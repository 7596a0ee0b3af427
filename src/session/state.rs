//! What a session is made of: all that its coordinator was told when it was opened, and the later changes,
//! kept as the one request that would open the same session again.
//!
//! Impala takes options, the database and the delegated user in `OpenSession.configuration`
//! (impala-hs2-server.cc), as `SET` and `USE` would set them, so no statement has to be run again. Options
//! that go back to their defaults leave the request: defaults are the coordinator's
//! (`--default_query_options`), not those of the moment of the open.

use std::borrow::Cow;
use std::fmt;

use super::statement::Effect;
use crate::wire::hs2::open::Open;

/// The most bytes that are kept of one session. What impala-shell, impyla and JDBC drivers send has some
/// hundred.
const MOST_BYTES: usize = 8 << 10;
/// The key of the database (impala-hs2-server.cc `OpenSession`).
const DATABASE: &str = "use:database";
/// The key of the delegated user.
const DELEGATED_USER: &str = "impala.doas.user";
/// What Hive's JDBC driver puts before an option's name, and Impala takes off (IMPALA-11992).
const HIVE_PREFIX: &str = "set:hiveconf:";

/// What a session is made of.
#[derive(Clone, PartialEq, Eq)]
pub enum State {
    /// The request that would open it again, unframed, without a password.
    Known(Box<[u8]>),
    /// It cannot be opened again.
    Unknown(Why),
}

/// Why a session cannot be opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its `OpenSession` was not held, or was not understood.
    #[error("how it was opened is not known")]
    Opened,
    /// A statement may have changed it in a way that is not understood.
    #[error("it ran a statement that is not understood")]
    Statement,
    /// It has more options than are kept.
    #[error("it has more than {MOST_BYTES} bytes of options")]
    TooLarge,
}

impl fmt::Debug for State {
    /// Options may name people and places: none is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(request) => write!(f, "Known({} bytes)", request.len()),
            Self::Unknown(why) => write!(f, "Unknown({why:?})"),
        }
    }
}

impl State {
    /// Of a session that was opened by this request; none if it was not held.
    pub fn opened(request: Option<&[u8]>) -> Self {
        match request.map(Open::read) {
            Some(Some(open)) => Self::keep(&open),
            Some(None) | None => Self::Unknown(Why::Opened),
        }
    }

    /// A statement that does this has succeeded in the session.
    pub fn apply(&mut self, effect: &Effect) {
        let Self::Known(request) = self else { return };
        let (option, value) = match effect {
            Effect::Nothing | Effect::Changes => return,
            Effect::Set { option, value } => (option.as_str(), value.as_str()),
            Effect::Use(database) => (DATABASE, database.as_str()),
            Effect::UnsetAll => ("", ""),
            Effect::Unclear => {
                *self = Self::Unknown(Why::Statement);
                return;
            }
        };
        *self = match Open::read(request) {
            Some(mut open) => {
                open.configuration.retain(|(key, _)| match effect {
                    Effect::UnsetAll => is(key, DATABASE) || is(key, DELEGATED_USER),
                    _ => !is(bare(key), option),
                });
                if !value.is_empty() {
                    open.configuration.push((Cow::Borrowed(option), Cow::Borrowed(value)));
                }
                Self::keep(&open)
            }
            None => Self::Unknown(Why::Opened),
        };
    }

    fn keep(open: &Open<'_>) -> Self {
        let request = open.write();
        if request.len() > MOST_BYTES {
            return Self::Unknown(Why::TooLarge);
        }
        Self::Known(request.as_ref().into())
    }
}

/// Whether an `OpenSession` sets an option; also if that cannot be read.
pub(super) fn sets(request: &[u8], option: &str) -> bool {
    Open::read(request).is_none_or(|open| open.configuration.iter().any(|(key, _)| is(bare(key), option)))
}

/// Names are the same in any case (query-options.cc).
fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// An option's name without Hive's prefix.
fn bare(key: &str) -> &str {
    match key.split_at_checked(HIVE_PREFIX.len()) {
        Some((prefix, name)) if is(prefix, HIVE_PREFIX) => name,
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::statement::effect;

    fn opened(pairs: &[(&str, &str)]) -> State {
        let configuration = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let open = Open { protocol: Some(5), username: Some("ann"), configuration };
        State::opened(Some(&open.write()))
    }

    /// The state after these statements.
    fn after(pairs: &[(&str, &str)], statements: &[&str]) -> State {
        let mut state = opened(pairs);
        for statement in statements {
            state.apply(&effect(statement.as_bytes(), true));
        }
        state
    }

    #[test]
    fn a_session_keeps_what_it_was_opened_with() {
        let State::Known(request) = opened(&[("a", "1")]) else { panic!() };
        let open = Open::read(&request).unwrap();
        assert_eq!((open.protocol, open.username), (Some(5), Some("ann")));
        assert_eq!(open.configuration, [("a".into(), "1".into())]);
    }

    #[test]
    fn later_options_count_as_if_they_had_been_there_from_the_start() {
        assert_eq!(after(&[("a", "1")], &["set b=2"]), opened(&[("a", "1"), ("b", "2")]));
        assert_eq!(after(&[("a", "1")], &["set A=2"]), opened(&[("A", "2")]));
        assert_eq!(after(&[("Set:HiveConf:a", "1")], &["set a=2"]), opened(&[("a", "2")]));
        assert_eq!(
            after(&[], &["set a=1", "select 1", "set a=2", "set b=3"]),
            opened(&[("a", "2"), ("b", "3")])
        );
    }

    #[test]
    fn an_option_that_is_reset_is_gone_wherever_it_came_from() {
        assert_eq!(after(&[("a", "1"), ("b", "2")], &["set A=''"]), opened(&[("b", "2")]));
        assert_eq!(after(&[("set:hiveconf:a", "1")], &["set a=''"]), opened(&[]));
    }

    #[test]
    fn unset_all_leaves_the_database_and_the_user() {
        let pairs = [("a", "1"), ("impala.doas.user", "bob"), ("USE:database", "demo")];
        assert_eq!(after(&pairs, &["set b=2", "unset all"]), opened(&pairs[1..]));
    }

    #[test]
    fn the_last_database_counts() {
        let moved = after(&[("use:database", "demo"), ("a", "1")], &["use functional"]);
        assert_eq!(moved, opened(&[("a", "1"), ("use:database", "functional")]));
    }

    #[test]
    fn what_is_not_understood_makes_a_session_unknown_for_good() {
        let unknown = after(&[], &["frobnicate", "set a=1"]);
        assert_eq!(unknown, State::Unknown(Why::Statement));
        assert_eq!(State::opened(None), State::Unknown(Why::Opened));
        assert_eq!(State::opened(Some(b"x")), State::Unknown(Why::Opened));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "x".repeat(MOST_BYTES);
        assert_eq!(opened(&[("a", &long)]), State::Unknown(Why::TooLarge));
        assert_eq!(after(&[], &[&format!("set a='{long}'")]), State::Unknown(Why::TooLarge));
        let State::Known(plain) = opened(&[]) else { panic!() };
        assert!(plain.len() < 60, "{} bytes for a plain session", plain.len());
    }

    #[test]
    fn options_are_not_printed() {
        assert!(!format!("{:?}", opened(&[("a", "canary")])).contains("canary"));
    }
}
