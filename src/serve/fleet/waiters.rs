//! Who waits in a fleet, for operators to see.

use std::sync::Arc;

use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;
pub(crate) use crate::serve::link::session_queue::SeenWaiter;

/// What somebody waits for.
#[derive(Clone, Debug)]
pub(crate) enum WaitsFor {
    /// That an operator resumes the cluster.
    Resume,
    /// Room for a new session or connection on any coordinator.
    Anywhere,
    /// A link to the coordinator where the call belongs.
    Call(Arc<Coordinator>),
    /// The same, for a cancel or a close, which come before other calls.
    Relief(Arc<Coordinator>),
}

/// One line of waiters, in order.
#[derive(Clone, Debug)]
pub(crate) struct SeenLine {
    pub waits_for: WaitsFor,
    pub service: Service,
    pub waiters: Vec<SeenWaiter>,
}

impl<S: Stream> Fleet<S> {
    /// All lines in which somebody waits. No lock is held for longer than one line takes to be copied.
    pub(crate) fn seen_waiting(&self) -> Vec<SeenLine> {
        let mut lines = Vec::new();
        for service in Service::ALL {
            let waiters = self.pause.seen(service);
            lines.push(SeenLine { waits_for: WaitsFor::Resume, service, waiters });
            let waiters = self.session_queue(service).seen();
            lines.push(SeenLine { waits_for: WaitsFor::Anywhere, service, waiters });
            for member in self.members().iter() {
                let [relief, work] = member.ports.get(service).seen_waiting();
                let coordinator = || Arc::clone(&member.coordinator);
                lines.push(SeenLine { waits_for: WaitsFor::Relief(coordinator()), service, waiters: relief });
                lines.push(SeenLine { waits_for: WaitsFor::Call(coordinator()), service, waiters: work });
            }
        }
        lines.retain(|line| !line.waiters.is_empty());
        lines
    }
}
