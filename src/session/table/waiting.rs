//! What a coordinator that is left still has.

use super::{Cause, Pinned, Table};
use crate::ids::CoordinatorId;
use crate::wire::facts::Guid;

/// A session that a drain waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What its client knows it by.
    pub session: Guid,
    /// Its operations that were not closed.
    pub open_operations: usize,
    /// What keeps it; none if it only has not been moved yet.
    pub pinned: Option<Pinned>,
}

impl Table {
    /// The sessions on a coordinator, `most` of them, those with open operations first.
    #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
    pub fn waiting(&self, coordinator: CoordinatorId, cause: Cause, most: usize) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for session in self.sessions.iter().filter(|session| session.coordinator == coordinator) {
            let open_operations = session.usage.operations.len();
            let pinned = session.may_leave(cause).err();
            waiting.push(Waiting { session: *session.key(), open_operations, pinned });
        }
        waiting.sort_unstable_by_key(|one| (std::cmp::Reverse(one.open_operations), one.session));
        waiting.truncate(most);
        waiting
    }
}
