//! Who waits for room, or until a cluster is resumed, in all clusters.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::rows::{Ask, Filter};
use super::user::User;
use crate::ids::Identity;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::waiters::{SeenLine, SeenWaiter, WaitsFor};

/// A snapshot of those that wait.
#[derive(Debug, Serialize)]
pub struct Waiting {
    /// All that wait.
    pub total: usize,
    /// Those that match the filter.
    pub matching: usize,
    /// The first of these; whoever has waited longest comes first.
    pub waiting: Vec<WaitingRow>,
}

/// Somebody who waits.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingRow {
    waits_for: &'static str,
    /// In the line of all that wait for the same, from 1 on.
    place: usize,
    user: Option<String>,
    acts_as: Option<String>,
    client: Option<String>,
    cluster: String,
    /// Only where no other coordinator will do.
    coordinator: Option<String>,
    service: &'static str,
    /// In seconds.
    age: f64,
}

impl Waiting {
    /// Looks at the lines of these clusters.
    pub fn of(fleets: &[Arc<Fleet>], ask: &Ask, now: Instant) -> Self {
        let all: Vec<WaitingRow> = fleets.iter().flat_map(|fleet| rows(fleet, now)).collect();
        let (total, filter) = (all.len(), Filter::new(&ask.filter));
        let mut waiting: Vec<_> = all.into_iter().filter(|row| filter.passes(|| row.text())).collect();
        let matching = waiting.len();
        waiting.sort_by(|one, other| other.age.total_cmp(&one.age));
        waiting.truncate(ask.limit);
        Self { total, matching, waiting }
    }
}

fn rows(fleet: &Fleet, now: Instant) -> Vec<WaitingRow> {
    let lines = fleet.seen_waiting();
    let of_line = |line: &SeenLine| {
        let rows = line.waiters.iter().zip(1..);
        rows.map(|(waiter, place)| WaitingRow::new(fleet, line, waiter, place, now)).collect::<Vec<_>>()
    };
    lines.iter().flat_map(of_line).collect()
}

impl WaitingRow {
    fn new(fleet: &Fleet, line: &SeenLine, waiter: &SeenWaiter, place: usize, now: Instant) -> Self {
        let user = User::of(&waiter.access);
        let (waits_for, coordinator) = match &line.waits_for {
            WaitsFor::Resume => ("resume", None),
            WaitsFor::Anywhere if waiter.access.identity == Identity::Unread => ("connection", None),
            WaitsFor::Anywhere => ("session", None),
            WaitsFor::Call(coordinator) => ("call", Some(coordinator)),
            WaitsFor::Relief(coordinator) => ("cancel", Some(coordinator)),
        };
        Self {
            waits_for,
            place,
            user: user.name.map(str::to_owned),
            acts_as: user.acts_as.map(str::to_owned),
            client: waiter.client.map(|client| client.to_string()),
            cluster: fleet.cluster.name.to_string(),
            coordinator: coordinator.map(|coordinator| coordinator.name.to_string()),
            service: line.service.as_str(),
            age: now.saturating_duration_since(waiter.since).as_secs_f64(),
        }
    }

    /// What a filter looks into.
    fn text(&self) -> String {
        let sure = [self.waits_for, &self.cluster, self.service].map(str::to_owned);
        let perhaps =
            [&self.user, &self.acts_as, &self.client, &self.coordinator].into_iter().flatten().cloned();
        sure.into_iter().chain(perhaps).collect::<Vec<_>>().join("\n")
    }
}
