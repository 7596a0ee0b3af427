//! What has ended, and what operators had done.

use std::sync::Arc;

use serde::Serialize;

use super::record::{Record, RecordKind};
use super::rows::{Ask, Filter};

/// What comes first in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryOrder {
    /// What ended last.
    #[default]
    End,
    /// What lasted longest.
    Lasted,
}

/// A snapshot of the records that are kept.
#[derive(Debug, Serialize)]
pub struct History {
    /// All that are kept.
    pub total: usize,
    /// Those that match the filter.
    pub matching: usize,
    /// The first of these.
    pub history: Vec<Record>,
}

impl History {
    /// Looks at what is kept; the newest comes first in `kept`. `kind` leaves out records of other kinds.
    pub fn of(kept: &[Arc<Record>], ask: &Ask, kind: Option<RecordKind>, order: HistoryOrder) -> Self {
        let filter = Filter::new(&ask.filter);
        let is_asked =
            |one: &&Arc<Record>| kind.is_none_or(|kind| kind == one.kind) && filter.passes(|| one.text());
        let mut matching: Vec<_> = kept.iter().filter(is_asked).collect();
        match order {
            HistoryOrder::End => matching.sort_by(|one, other| other.end.cmp(&one.end)),
            HistoryOrder::Lasted => matching.sort_by(|one, other| other.lasted.total_cmp(&one.lasted)),
        }
        let first = matching.iter().take(ask.limit).map(|one| Record::clone(one)).collect();
        Self { total: kept.len(), matching: matching.len(), history: first }
    }
}
