//! What happened last.

use std::time::Instant;

use serde::Serialize;

use super::rows::{Ask, Filter};
use crate::control::log::recent::{Recent, Said};

/// A snapshot of the events that are kept.
#[derive(Debug, Serialize)]
pub struct Events {
    /// All that are kept.
    pub total: usize,
    /// Those that match the filter.
    pub matching: usize,
    /// The first of these; the newest comes first.
    pub events: Vec<EventRow>,
}

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct EventRow {
    /// In seconds.
    age: f64,
    level: &'static str,
    event: String,
    fields: Vec<Field>,
    connection: Option<String>,
}

/// More about an event.
#[derive(Clone, Debug, Serialize)]
struct Field {
    name: &'static str,
    value: String,
}

impl Events {
    /// Looks at what is kept.
    pub fn of(recent: &Recent, ask: &Ask, now: Instant) -> Self {
        let (kept, filter) = (recent.all(), Filter::new(&ask.filter));
        let matching: Vec<_> = kept.iter().filter(|said| filter.passes(|| text(said))).collect();
        let rows = matching.iter().take(ask.limit).map(|said| EventRow::new(said, now));
        Self { total: kept.len(), matching: matching.len(), events: rows.collect() }
    }
}

impl EventRow {
    fn new(said: &Said, now: Instant) -> Self {
        let fields = said.fields.iter().map(|(name, text)| Field { name, value: text.clone() });
        Self {
            age: now.saturating_duration_since(said.at).as_secs_f64(),
            level: said.level_word(),
            event: said.event.clone(),
            fields: fields.collect(),
            connection: said.connection.clone(),
        }
    }
}

/// What a filter looks into.
fn text(said: &Said) -> String {
    let fields = said.fields.iter().map(|(name, value)| format!("{name}={value}"));
    let others = [said.level_word(), said.event.as_str(), said.connection.as_deref().unwrap_or_default()];
    others.into_iter().map(str::to_owned).chain(fields).collect::<Vec<_>>().join("\n")
}
