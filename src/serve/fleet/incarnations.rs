//! A coordinator is another process than before: sessions of the former one count no more.

use std::time::Instant;

use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;

impl<S: Stream> Fleet<S> {
    /// Another process answers than the one that last told at a moment when it was started: what was answered until then was
    /// answered by the former one, and so was what was answered before all links broke. Who was answered between that moment
    /// and now may have been answered by either.
    pub(crate) fn note_restarted(&self, coordinator: &Coordinator, told: Option<Instant>) {
        let port = self.port(coordinator, Service::Hs2);
        let breaks = port.map(|port| port.breaks()).unwrap_or_default();
        self.note_process_ended(coordinator, |answered| {
            told.is_some_and(|told| answered <= told) || breaks.all_since(answered)
        });
    }

    /// Sessions count no more at coordinators to which all links of their time have broken since this was done last.
    pub(crate) fn note_breaks(&self) {
        for member in self.members().iter() {
            if let Some(breaks) = member.ports.get(Service::Hs2).news_of_breaks() {
                self.note_process_ended(&member.coordinator, |answered| breaks.all_since(answered));
            }
        }
    }

    /// Sessions that are gone with the process that had them, by when they were answered last, count no more.
    pub(crate) fn note_process_ended(&self, coordinator: &Coordinator, is_gone: impl Fn(Instant) -> bool) {
        let ended = self.table.note_process_ended(coordinator.id, is_gone);
        if ended > 0 {
            tracing::info!(cluster = %self.cluster.name, coordinator = %coordinator.name, ended, "sessions of a process that has ended count no more");
        }
    }
}
