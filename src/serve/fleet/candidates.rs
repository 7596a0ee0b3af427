//! The coordinators that are tried for something new, one after the other, and why those before did not take it: a session, a
//! login, a connection that is passed on unread, a session that moves.

use std::fmt;
use std::sync::Arc;

use crate::cluster::{Cluster, Coordinator, Opening};
use crate::ids::{CoordinatorId, Service};
use crate::metrics::RefusalCause;
use crate::net::stream::Stream;
use crate::serve::fleet::seek::{NoneFound, Seeker};
use crate::serve::link::slot::Grant;
use crate::serve::link::waiting::{NoRoom, NotCalled};

/// Reasons that are kept of one search, so that the client's message stays short however large the cluster is.
const REASONS_KEPT: usize = 8;

/// A coordinator that is tried next.
#[derive(Debug)]
pub(crate) struct Candidate<S: Stream> {
    /// Which it is; counts the open there.
    pub opening: Opening,
    /// A link, or a slot to dial one; none for whoever has a link there that is its own.
    pub grant: Option<Grant<S>>,
}

impl<S: Stream> Candidate<S> {
    /// Which it is.
    pub(crate) fn coordinator(&self) -> &Arc<Coordinator> {
        self.opening.coordinator()
    }
}

/// Whoever looked is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientGone;

/// The candidates so far.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    tried: Vec<CoordinatorId>,
    /// Why they did not take it, in the order in which they were tried.
    reasons: Vec<String>,
    failed: usize,
    /// Why it was not waited for others any longer.
    no_room: Option<NoRoom>,
}

impl Candidates {
    /// A search that leaves these out.
    pub(crate) fn besides(avoided: Vec<CoordinatorId>) -> Self {
        Self { tried: avoided, ..Self::default() }
    }

    /// Whether none was tried.
    pub(crate) fn is_empty(&self) -> bool {
        self.tried.is_empty()
    }

    /// Those that were tried, and those that are left out.
    pub(crate) fn tried(&self) -> &[CoordinatorId] {
        &self.tried
    }

    /// This one is tried now.
    pub(crate) fn begin(&mut self, coordinator: &Coordinator) {
        self.tried.push(coordinator.id);
    }

    /// The best of those that were not tried, and there is room for it; waits for room if there is none anywhere. None if no
    /// other is left, or none got room in time.
    ///
    /// # Errors
    /// [`ClientGone`], when `gone` was ready while it waited.
    pub(crate) async fn next<S: Stream>(
        &mut self,
        seeker: &Seeker<'_, S>,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Candidate<S>>, ClientGone> {
        match seeker.find(&self.tried, gone).await {
            Ok(candidate) => {
                self.begin(candidate.coordinator());
                Ok(Some(candidate))
            }
            Err(NoneFound::Nobody) => Ok(None),
            Err(NoneFound::NotCalled(NotCalled::NoRoom(no_room))) => {
                self.no_room = Some(no_room);
                Ok(None)
            }
            Err(NoneFound::NotCalled(NotCalled::ClientGone)) => Err(ClientGone),
        }
    }

    /// A coordinator did not take it, for this reason.
    pub(crate) fn note_failed(&mut self, coordinator: &Coordinator, reason: impl fmt::Display) {
        self.failed += 1;
        if self.reasons.len() < REASONS_KEPT {
            self.reasons.push(format!("{}: {reason}", coordinator.name));
        }
    }

    /// What it counts as if none took it.
    pub(crate) fn refusal(&self) -> RefusalCause {
        match self.no_room {
            Some(_) => RefusalCause::NoRoom,
            None if self.tried.is_empty() => RefusalCause::NoCoordinator,
            None => RefusalCause::Unreachable,
        }
    }

    /// For people: how many were tried for a service, and what came of each.
    pub(crate) fn tell(&self, cluster: &Cluster, service: Service) -> String {
        let full = self.no_room.map(|no_room| no_room.to_string());
        let name = &cluster.name;
        let who = match self.failed {
            0 => {
                let cause = match full {
                    Some(full) => full,
                    None if cluster.serves(service) => "all of them are draining".to_owned(),
                    None => format!("none of them has a port for {service}"),
                };
                return format!("no coordinator of cluster {name} takes a session: {cause}");
            }
            1 => "no coordinator".to_owned(),
            many => format!("none of the {many} coordinators"),
        };
        let reasons = self.reasons.join("; ");
        let more = match self.failed - self.reasons.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let full = full.map(|full| format!("; of the others {full}")).unwrap_or_default();
        format!("{who} of cluster {name} took the session: {reasons}{more}{full}")
    }
}
