//! Sessions whose coordinator's process seems to have ended, or that ended with their link.

use std::time::Instant;

use super::{NotLive, Session, Table};
use crate::cluster::Coordinator;
use crate::ids::CoordinatorId;
use crate::wire::facts::Guid;

impl Table {
    /// What was last answered at one of these moments was answered by a process that is gone: sessions of that time count no
    /// more, nor does what was open in them. They stay in the table, because who uses one may have it opened again, or is
    /// told by its coordinator that it is gone; and if it is there after all, it counts again ([`Self::count_again`]), but for
    /// its operations. Looks at every session; returns how many count no more.
    #[expect(clippy::disallowed_methods, reason = "the order says nothing")]
    pub fn note_process_ended(&self, coordinator: CoordinatorId, is_gone: impl Fn(Instant) -> bool) -> usize {
        let (mut ended, mut operations) = (0, Vec::new());
        for mut session in self.sessions.iter_mut() {
            if session.coordinator == coordinator && session.ended_with_process(&is_gone) {
                session.usage.activity.note_counted(false);
                session.usage.count = None;
                operations.extend(session.usage.operations.iter().copied());
                ended += 1;
            }
        }
        for operation in &operations {
            if let Some(mut operation) = self.operations.get_mut(operation)
                && let Some(open) = &mut operation.open
            {
                (open.running, open.counted) = (None, None);
            }
        }
        ended
    }

    /// A session was answered that counts nowhere: it is there.
    pub fn count_again(&self, guid: &Guid, coordinator: &std::sync::Arc<Coordinator>) {
        let Some(mut session) = self.sessions.get_mut(guid) else { return };
        if session.coordinator == coordinator.id && session.usage.over.is_none() {
            session.usage.count.get_or_insert_with(|| coordinator.count_session());
            session.usage.activity.note_counted(true);
        }
    }

    /// A session has ended with the link that opened it; those that used it are to be told so.
    pub fn end_with_link(&self, guid: &Guid) {
        if let Some(session) = self.sessions.get(guid) {
            session.usage.activity.note_lost(session.coordinator);
        }
        self.remove_session(guid);
    }
}

impl Session {
    /// Beeswax sessions end with their links, and what is closing is counted until it is closed.
    fn ended_with_process(&self, is_gone: impl Fn(Instant) -> bool) -> bool {
        let usage = &self.usage;
        let lives = usage.count.is_some() && !matches!(usage.over.as_deref(), Some(NotLive::Gone));
        lives && self.secret.is_some() && is_gone(usage.activity.answered())
    }
}
