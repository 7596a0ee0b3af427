//! Notices that a coordinator runs as a new process, so that the sessions of its former process no longer
//! count.

use std::time::Instant;

use crate::cluster::Coordinator;
use crate::ids::{PerService, Service};
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;

impl<S: Stream> Fleet<S> {
    /// Records that a coordinator was restarted. `told` is when the last poll began that the former process
    /// answered. Sessions no longer count if their last answer certainly came from that process: it came at
    /// `told` or earlier, or before all links broke. Sessions that were answered between `told` and now may
    /// belong to either process, so they stay.
    pub(crate) fn note_restarted(&self, coordinator: &Coordinator, told: Option<Instant>) {
        let breaks = PerService::new(|service| {
            self.at_port(coordinator.id, service, |port| port.breaks()).unwrap_or_default()
        });
        self.note_process_ended(coordinator, |opened_on, answered| {
            told.is_some_and(|told| answered <= told) || breaks.get(opened_on).all_since(answered)
        });
    }

    /// Discounts the sessions of each coordinator's port to which all links have broken since their last
    /// answer. Looks only at breaks since the last call.
    pub(crate) fn note_breaks(&self) {
        for member in self.members().iter() {
            for (service, port) in member.ports.iter() {
                if let Some(breaks) = port.news_of_breaks() {
                    self.note_process_ended(&member.coordinator, |opened_on, answered| {
                        opened_on == service && breaks.all_since(answered)
                    });
                }
            }
        }
    }

    /// Discounts the sessions that ended with their coordinator's process. `is_gone` decides by the port that a
    /// session was opened on and the time of its last answer.
    pub(crate) fn note_process_ended(
        &self,
        coordinator: &Coordinator,
        is_gone: impl Fn(Service, Instant) -> bool,
    ) {
        let ended = self.table.note_process_ended(coordinator.id, is_gone);
        if ended > 0 {
            tracing::info!(cluster = %self.cluster.name, coordinator = %coordinator.name, ended, "sessions of a process that has ended no longer count");
        }
    }
}
