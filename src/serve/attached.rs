//! Which sessions a connection is attached to: a session that no connection is attached to any more is on its way out.

use std::collections::HashSet;
use std::sync::Arc;

use crate::session::table::Table;
use crate::wire::facts::Guid;

/// Sessions are looked through for closed ones when there are this many, and each time their number has doubled.
const LOOK_AT: usize = 64;

/// The sessions that a connection is attached to: it has used them and is still there.
pub(super) struct Attached {
    table: Arc<Table>,
    sessions: HashSet<Guid>,
    look_at: usize,
}

impl Attached {
    /// To none yet.
    pub(super) fn new(table: &Arc<Table>) -> Self {
        Self { table: Arc::clone(table), sessions: HashSet::new(), look_at: LOOK_AT }
    }

    /// The connection uses a session, if there is such a session.
    pub(super) fn attach(&mut self, session: Guid) {
        if self.sessions.contains(&session) || !self.table.attach(&session) {
            return;
        }
        self.sessions.insert(session);
        if self.sessions.len() >= self.look_at {
            self.sessions.retain(|session| self.table.session_owner(session).is_some());
            self.look_at = LOOK_AT.max(self.sessions.len() * 2);
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        for session in &self.sessions {
            self.table.detach(session);
        }
    }
}
