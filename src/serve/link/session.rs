//! A session whose life is that of a link.

use std::sync::Arc;

use crate::session::table::Table;
use crate::wire::facts::Guid;

/// A session that its coordinator ends when the link closes: a Beeswax session, or, where sessions end with their
/// connections, the last one that was opened on it (Hive: `ThriftBinaryCLIService` `deleteContext`).
#[derive(Debug)]
pub(crate) struct LinkSession {
    table: Arc<Table>,
    /// What it is known by in the table.
    pub guid: Guid,
}

impl LinkSession {
    pub(crate) fn new(table: &Arc<Table>, guid: Guid) -> Self {
        Self { table: Arc::clone(table), guid }
    }

    /// The session does not end with the link after all.
    pub(crate) fn forget(mut self) {
        // No session has this guid: dropping it removes nothing.
        self.guid = [0; 16];
    }
}

impl Drop for LinkSession {
    fn drop(&mut self) {
        self.table.end_with_link(&self.guid);
    }
}
