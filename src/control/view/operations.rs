//! The open operations of all clusters.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::rows::{Ask, Filter, First, rank};
use super::user::User;
use crate::serve::fleet::Fleet;
use crate::session::table::{Progress, SeenOperation, SeenSession};
use crate::wire::facts::GuidText;

/// A snapshot of open operations.
#[derive(Debug, Serialize)]
pub struct Operations {
    /// All that are open.
    pub total: usize,
    /// Those that match the filter.
    pub matching: usize,
    /// The first of these; the oldest comes first.
    pub operations: Vec<OperationRow>,
}

/// One operation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OperationRow {
    operation: String,
    session: Option<String>,
    user: Option<String>,
    acts_as: Option<String>,
    client: Option<String>,
    cluster: String,
    coordinator: String,
    kind: &'static str,
    state: &'static str,
    /// In seconds.
    age: f64,
}

impl Operations {
    /// Looks at the operations of these clusters. It takes as long as there are operations.
    pub fn of(fleets: &[Arc<Fleet>], ask: &Ask, now: Instant) -> Self {
        let (mut total, filter, mut first) = (0, Filter::new(&ask.filter), First::new(ask.limit));
        for fleet in fleets {
            for seen in fleet.table.seen_operations() {
                total += 1;
                if filter.passes(|| OperationRow::new(fleet, &seen, now).text()) {
                    let age = now.saturating_duration_since(seen.since).as_nanos();
                    first.offer(rank(age), seen.guid, || OperationRow::new(fleet, &seen, now));
                }
            }
        }
        Self { total, matching: first.matching, operations: first.into_rows() }
    }
}

impl OperationRow {
    fn new(fleet: &Fleet, seen: &SeenOperation, now: Instant) -> Self {
        let row = Self {
            operation: GuidText(seen.guid).to_string(),
            session: seen.session.map(|session| GuidText(session).to_string()),
            cluster: fleet.cluster.name.to_string(),
            coordinator: fleet.name_of(seen.coordinator),
            kind: seen.kind.word(),
            state: match seen.progress {
                Progress::Running => "running",
                Progress::Ended => "ended",
                Progress::Lost => "lost",
            },
            age: now.saturating_duration_since(seen.since).as_secs_f64(),
            ..Self::default()
        };
        let of = |session: SeenSession<'_>| {
            let user = User::of(session.access);
            let client = session.origin.map(|origin| origin.client.to_canonical().to_string());
            let owned = |name: Option<&str>| name.map(str::to_owned);
            (owned(user.name), owned(user.acts_as), client)
        };
        let cause = fleet.cause_to_leave(now);
        let session = seen.session.and_then(|session| fleet.table.see_session(&session, cause, now, of));
        let Some((user, acts_as, client)) = session else { return row };
        Self { user, acts_as, client, ..row }
    }

    /// What a filter looks into.
    fn text(&self) -> String {
        let Self { operation, session, user, acts_as, client, cluster, coordinator, kind, state, age: _ } =
            self;
        let sure = [operation, cluster, coordinator, *kind, *state].map(str::to_owned);
        let perhaps = [session, user, acts_as, client].into_iter().flatten().cloned();
        sure.into_iter().chain(perhaps).collect::<Vec<_>>().join("\n")
    }
}
