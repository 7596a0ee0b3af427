//! The sessions of all clusters.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::rows::{Ask, Filter, First, rank};
use super::user::User;
use crate::ids::Service;
use crate::serve::fleet::Fleet;
use crate::session::table::{NotLive, SeenSession};
use crate::wire::facts::GuidText;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The session that was opened first.
    Age,
    /// The one that was idle longest.
    Idle,
    /// The one with the most open operations.
    OpenOperations,
}

/// A snapshot of sessions.
#[derive(Debug, Serialize)]
pub struct Sessions {
    /// All that are known.
    pub total: usize,
    /// Those that match the filter.
    pub matching: usize,
    /// The first of these.
    pub sessions: Vec<SessionRow>,
}

/// One session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRow {
    session: String,
    user: Option<String>,
    acts_as: Option<String>,
    client: Option<String>,
    listener: Option<String>,
    service: &'static str,
    cluster: String,
    coordinator: String,
    state: &'static str,
    located: bool,
    /// In seconds.
    age: f64,
    /// In seconds.
    idle: f64,
    connections: u32,
    open_operations: usize,
    pinned: Option<String>,
}

impl Sessions {
    /// Looks at the sessions of these clusters. Each is looked at by itself, so it takes as long as there are
    /// sessions.
    pub fn of(fleets: &[Arc<Fleet>], ask: &Ask, order: Order, now: Instant) -> Self {
        let (mut total, filter, mut first) = (0, Filter::new(&ask.filter), First::new(ask.limit));
        for fleet in fleets {
            fleet.table.see_sessions(fleet.cause_to_leave(now), now, |seen| {
                if seen.not_live == Some(NotLive::Gone) {
                    return;
                }
                total += 1;
                if filter.passes(|| SessionRow::new(fleet, &seen, now).text()) {
                    let rank = rank(order.value(&seen, now));
                    first.offer(rank, seen.guid, || SessionRow::new(fleet, &seen, now));
                }
            });
        }
        Self { total, matching: first.matching, sessions: first.into_rows() }
    }
}

impl Order {
    /// The most comes first.
    fn value(self, seen: &SeenSession<'_>, now: Instant) -> u128 {
        match self {
            Self::Age => now.saturating_duration_since(seen.since).as_nanos(),
            Self::Idle => seen.idle.as_nanos(),
            Self::OpenOperations => seen.open_operations as u128,
        }
    }
}

impl SessionRow {
    fn new(fleet: &Fleet, seen: &SeenSession<'_>, now: Instant) -> Self {
        let user = User::of(seen.access);
        Self {
            session: GuidText(seen.guid).to_string(),
            user: user.name.map(str::to_owned),
            acts_as: user.acts_as.map(str::to_owned),
            client: seen.origin.map(|origin| origin.client.to_canonical().to_string()),
            listener: seen.origin.map(|origin| origin.listener.to_string()),
            service: if seen.is_beeswax { Service::Beeswax } else { seen.access.hs2() }.as_str(),
            cluster: fleet.cluster.name.to_string(),
            coordinator: fleet.name_of(seen.coordinator),
            state: if seen.not_live.is_some() { "expired" } else { "live" },
            located: seen.is_located,
            age: now.saturating_duration_since(seen.since).as_secs_f64(),
            idle: seen.idle.as_secs_f64(),
            connections: seen.connections,
            open_operations: seen.open_operations,
            pinned: seen.pinned.map(|pinned| pinned.to_string()),
        }
    }

    /// What a filter looks into.
    fn text(&self) -> String {
        let sure =
            [&self.session, &self.cluster, &self.coordinator, self.service, self.state].map(str::to_owned);
        let perhaps =
            [&self.user, &self.acts_as, &self.client, &self.listener].into_iter().flatten().cloned();
        sure.into_iter().chain(perhaps).collect::<Vec<_>>().join("\n")
    }
}
