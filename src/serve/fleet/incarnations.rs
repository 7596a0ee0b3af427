//! Notices that a coordinator runs as a new process, so that the sessions of its former process no longer
//! count.

use std::time::Instant;

use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;

impl<S: Stream> Fleet<S> {
    /// Records that a coordinator was restarted. `told` is when the last poll began that the former process
    /// answered. Sessions no longer count if their last answer certainly came from that process: it came at
    /// `told` or earlier, or before all links broke. Sessions that were answered between `told` and now may
    /// belong to either process, so they stay.
    pub(crate) fn note_restarted(&self, coordinator: &Coordinator, told: Option<Instant>) {
        let port = self.port(coordinator, Service::Hs2);
        let breaks = port.map(|port| port.breaks()).unwrap_or_default();
        self.note_process_ended(coordinator, |answered| {
            told.is_some_and(|told| answered <= told) || breaks.all_since(answered)
        });
    }

    /// Discounts the sessions of each coordinator to which all links have broken since their last answer.
    /// Looks only at breaks since the last call.
    pub(crate) fn note_breaks(&self) {
        for member in self.members().iter() {
            if let Some(breaks) = member.ports.get(Service::Hs2).news_of_breaks() {
                self.note_process_ended(&member.coordinator, |answered| breaks.all_since(answered));
            }
        }
    }

    /// Discounts the sessions that ended with their coordinator's process. `is_gone` decides by the time of a
    /// session's last answer.
    pub(crate) fn note_process_ended(&self, coordinator: &Coordinator, is_gone: impl Fn(Instant) -> bool) {
        let ended = self.table.note_process_ended(coordinator.id, is_gone);
        if ended > 0 {
            tracing::info!(cluster = %self.cluster.name, coordinator = %coordinator.name, ended, "sessions of a process that has ended no longer count");
        }
    }
}
