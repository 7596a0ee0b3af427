//! A session that ends with its link.

use std::sync::Arc;

use crate::session::table::Table;
use crate::wire::facts::Guid;

/// A session that its coordinator ends when the link closes: a Beeswax session or, where sessions end with
/// their connections, the session that was opened last on the link (Hive: `ThriftBinaryCLIService`
/// `deleteContext`). Dropping this removes the session from the table.
#[derive(Debug)]
pub(crate) struct LinkSession {
    table: Arc<Table>,
    /// The session's key in the table.
    pub guid: Guid,
}

impl LinkSession {
    pub(crate) fn new(table: &Arc<Table>, guid: Guid) -> Self {
        Self { table: Arc::clone(table), guid }
    }

    /// Keeps the session in the table when the link ends.
    pub(crate) fn forget(mut self) {
        // No session has this guid, so dropping it removes nothing.
        self.guid = [0; 16];
    }
}

impl Drop for LinkSession {
    fn drop(&mut self) {
        self.table.end_with_link(&self.guid);
    }
}
