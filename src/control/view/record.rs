//! One record of the history: a session or an operation that has ended, or something that an operator had done.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;

use super::user::User;
use crate::control::log::recent::cut;
use crate::ids::{CoordinatorId, Service};
use crate::session::table::{EndedOperation, EndedSession, OperationKind, Whose};
use crate::wire::facts::GuidText;

/// What a record is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A session.
    #[default]
    Session,
    /// An operation.
    Operation,
    /// Something that an operator had done.
    Verb,
}

impl RecordKind {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Session, Self::Operation, Self::Verb];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Operation => "operation",
            Self::Verb => "verb",
        }
    }
}

/// A record. Its texts are short: of a longer one only the beginning is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Record {
    pub(super) kind: RecordKind,
    /// In UTC, as RFC 3339 has it.
    pub(super) start: Box<str>,
    /// As `start`.
    pub(super) end: Box<str>,
    /// In seconds.
    pub(super) lasted: f64,
    session: Option<Box<str>>,
    operation: Option<Box<str>>,
    operation_kind: Option<&'static str>,
    /// That an operator had cut.
    connection: Option<Box<str>>,
    verb: Option<Box<str>>,
    query: Option<Box<str>>,
    user: Option<Box<str>>,
    acts_as: Option<Box<str>>,
    client: Option<Box<str>>,
    listener: Option<Box<str>>,
    service: Option<&'static str>,
    cluster: Option<Box<str>>,
    coordinator: Option<Box<str>>,
    /// Of a session that moved.
    earlier_coordinators: Vec<String>,
    located: Option<bool>,
    outcome: Box<str>,
}

/// From when to when something was.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// When it began, by the time of day.
    pub start: SystemTime,
    /// How long it lasted.
    pub lasted: Duration,
}

/// Something that an operator had done, with the names that it was done to.
#[derive(Clone, Debug, Default)]
pub struct VerbDone {
    /// What.
    pub verb: String,
    /// The parameters.
    pub query: Option<String>,
    /// Where the request came from.
    pub client: Option<IpAddr>,
    /// A cluster.
    pub cluster: Option<String>,
    /// A coordinator; where nothing of that name was found, what was named.
    pub coordinator: Option<String>,
    /// A session.
    pub session: Option<String>,
    /// A connection.
    pub connection: Option<String>,
    /// An operation.
    pub operation: Option<String>,
    /// `done`, or why not.
    pub outcome: String,
}

impl Record {
    /// Of a session; `name` has the name of a coordinator.
    pub fn of_session(
        ended: &EndedSession,
        cluster: &str,
        period: Period,
        name: impl Fn(CoordinatorId) -> String,
    ) -> Self {
        let EndedSession { guid, coordinator, earlier, whose, is_beeswax, is_located, since: _, end } = ended;
        let service = if *is_beeswax { Service::Beeswax } else { whose.access.hs2() };
        Self {
            kind: RecordKind::Session,
            session: Some(GuidText(*guid).to_string().into()),
            service: Some(service.as_str()),
            cluster: Some(cluster.into()),
            coordinator: Some(name(*coordinator).into()),
            earlier_coordinators: earlier.iter().map(|one| name(*one)).collect(),
            located: Some(*is_located),
            outcome: end.word().into(),
            ..Self::whose(Some(whose), period)
        }
    }

    /// Of an operation; `name` has the name of a coordinator.
    pub fn of_operation(
        ended: &EndedOperation,
        cluster: &str,
        period: Period,
        name: impl Fn(CoordinatorId) -> String,
    ) -> Self {
        let EndedOperation { guid, coordinator, session, whose, kind, since: _, end } = ended;
        Self {
            kind: RecordKind::Operation,
            session: session.map(|session| GuidText(session).to_string().into()),
            operation: Some(GuidText(*guid).to_string().into()),
            operation_kind: Some(kind.word()),
            cluster: Some(cluster.into()),
            coordinator: Some(name(*coordinator).into()),
            located: Some(*kind == OperationKind::Located),
            outcome: end.word().into(),
            ..Self::whose(whose.as_ref(), period)
        }
    }

    /// Of something that an operator had done.
    pub fn of_verb(done: VerbDone, period: Period) -> Self {
        let VerbDone { verb, query, client, cluster, coordinator, session, connection, operation, outcome } =
            done;
        let short = |text: Option<String>| text.map(|text| cut(text).into());
        Self {
            kind: RecordKind::Verb,
            session: short(session),
            connection: short(connection),
            operation: short(operation),
            verb: Some(verb.into()),
            query: short(query),
            client: client.map(|client| client.to_canonical().to_string().into()),
            cluster: short(cluster),
            coordinator: short(coordinator),
            outcome: cut(outcome).into(),
            ..Self::whose(None, period)
        }
    }

    fn whose(whose: Option<&Whose>, period: Period) -> Self {
        let user = whose.map(|whose| User::of(&whose.access)).unwrap_or_default();
        let origin = whose.and_then(|whose| whose.origin.as_deref());
        let short = |text: Option<&str>| text.map(|text| cut(text.to_owned()).into());
        Self {
            start: moment(period.start).into(),
            end: moment(period.start + period.lasted).into(),
            lasted: period.lasted.as_secs_f64(),
            user: short(user.name),
            acts_as: short(user.acts_as),
            client: origin.map(|origin| origin.client.to_canonical().to_string().into()),
            listener: origin.map(|origin| (*origin.listener).into()),
            ..Self::default()
        }
    }

    /// What a filter looks into.
    pub(super) fn text(&self) -> String {
        let Self { session, connection, operation, verb, query, user, acts_as, client, listener, .. } = self;
        let Self { cluster, coordinator, earlier_coordinators, outcome, start, end, .. } = self;
        let names = [session, connection, operation, cluster, coordinator];
        let boxed = [verb, query, user, acts_as, client, listener].into_iter().chain(names);
        let boxed = boxed.flatten().chain([outcome, start, end]).map(|text| &**text);
        let words = [self.operation_kind, self.service, Some(self.kind.word())].into_iter().flatten();
        let earlier = earlier_coordinators.iter().map(String::as_str);
        boxed.chain(words).chain(earlier).collect::<Vec<_>>().join("\n")
    }
}

/// A moment in UTC, to the millisecond: RFC 3339.
fn moment(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_so_that_texts_sort_like_moments() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_792_926_000_007);
        assert_eq!(moment(at), "2026-10-25T11:00:00.007Z");
        assert!(moment(at) < moment(at + Duration::from_millis(1)));
    }

    #[test]
    fn a_record_is_small_whatever_was_asked() {
        let long = || Some("x".repeat(1 << 16));
        let done = VerbDone {
            query: long(),
            coordinator: long(),
            session: long(),
            connection: long(),
            operation: long(),
            cluster: long(),
            outcome: "y".repeat(1 << 16),
            ..VerbDone::default()
        };
        let period = Period { start: SystemTime::UNIX_EPOCH, lasted: Duration::ZERO };
        let line = serde_json::to_string(&Record::of_verb(done, period)).unwrap();
        assert!(line.len() < 4096, "{}", line.len());
        assert!(size_of::<Record>() <= 400, "{}", size_of::<Record>());
    }
}
