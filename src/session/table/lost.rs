//! Sessions whose coordinator's process seems to have ended.

use std::sync::Arc;
use std::time::Instant;

use super::store::Table;
use crate::cluster::Coordinator;
use crate::ids::{CoordinatorId, Service};
use crate::wire::facts::Guid;

impl Table {
    /// What was last answered at one of these moments was answered by a process that is gone: sessions of
    /// that time count no more, nor does what was open in them. They stay in the table: whoever uses one may
    /// have it opened again, or is told by its coordinator that it is gone. If it is there after all, it
    /// counts again ([`Self::count_again`]), but its operations do not. `is_gone` is asked with the port that
    /// a session was opened on and the moment of its last answer. Looks at every session; returns how many
    /// count no more.
    #[expect(clippy::disallowed_methods, reason = "the order says nothing")]
    pub fn note_process_ended(
        &self,
        coordinator: CoordinatorId,
        is_gone: impl Fn(Service, Instant) -> bool,
    ) -> usize {
        let (mut ended, mut operations) = (0, Vec::new());
        for mut session in self.sessions.iter_mut() {
            if session.coordinator == coordinator && session.end_with_process(&is_gone) {
                operations.extend(session.usage.operations.iter().copied());
                ended += 1;
            }
        }
        for operation in &operations {
            if let Some(mut operation) = self.operations.get_mut(operation)
                && let Some(open) = &mut operation.open
            {
                open.load = None;
            }
        }
        ended
    }

    /// A session that counts nowhere was answered: it is there.
    pub fn count_again(&self, guid: &Guid, coordinator: &Arc<Coordinator>) {
        if let Some(mut session) = self.sessions.get_mut(guid) {
            session.count_again(coordinator);
        }
    }
}
