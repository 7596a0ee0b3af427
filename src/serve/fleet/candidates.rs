//! The coordinators that are tried, one after the other, for something new: a session, a login, a connection
//! that is passed on unread, or a session that moves. Also why the earlier ones did not take it.

use std::fmt;
use std::sync::Arc;

use crate::cluster::{Cluster, Coordinator, Opening};
use crate::ids::{CoordinatorId, Service};
use crate::metrics::RefusalCause;
use crate::net::stream::Stream;
use crate::serve::fleet::seek::{NoneFound, Seeker};
use crate::serve::link::slot::Grant;
use crate::serve::link::waiting::{NoRoom, NotCalled};

/// The most reasons that are kept of one search, so that the message to the client stays short in a large
/// cluster.
const REASONS_KEPT: usize = 8;

/// The coordinator that is tried next.
#[derive(Debug)]
pub(crate) struct Candidate<S: Stream> {
    /// Names the coordinator and counts the open there.
    pub opening: Opening,
    /// A link, or a slot to dial one in. `None` if the connection has its own link to the coordinator.
    pub grant: Option<Grant<S>>,
}

impl<S: Stream> Candidate<S> {
    /// The coordinator that is tried.
    pub(crate) fn coordinator(&self) -> &Arc<Coordinator> {
        self.opening.coordinator()
    }
}

/// The client left during the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientGone;

/// The state of one search: which coordinators were tried, and with what result.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    tried: Vec<CoordinatorId>,
    /// Why they failed, in the order in which they were tried; at most [`REASONS_KEPT`].
    reasons: Vec<String>,
    failed: usize,
    /// Why the search did not wait for the others any longer.
    no_room: Option<NoRoom>,
}

impl Candidates {
    /// Begins a search that skips the `avoided` coordinators.
    pub(crate) fn besides(avoided: Vec<CoordinatorId>) -> Self {
        Self { tried: avoided, ..Self::default() }
    }

    /// Whether no coordinator was tried or skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.tried.is_empty()
    }

    /// The coordinators that were tried, and those that are skipped.
    pub(crate) fn tried(&self) -> &[CoordinatorId] {
        &self.tried
    }

    /// Records that this coordinator is tried now.
    pub(crate) fn begin(&mut self, coordinator: &Coordinator) {
        self.tried.push(coordinator.id);
    }

    /// The best coordinator that was not tried yet and has room. Waits if none has room. Returns `None` if no
    /// other coordinator is left, or none had room in time.
    ///
    /// # Errors
    /// [`ClientGone`] when `gone` is ready during the wait.
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

    /// Records why a coordinator did not take it.
    pub(crate) fn note_failed(&mut self, coordinator: &Coordinator, reason: impl fmt::Display) {
        self.failed += 1;
        if self.reasons.len() < REASONS_KEPT {
            self.reasons.push(format!("{}: {reason}", coordinator.name));
        }
    }

    /// The cause under which it counts if no coordinator took it.
    pub(crate) fn refusal(&self) -> RefusalCause {
        match self.no_room {
            Some(_) => RefusalCause::NoRoom,
            None if self.tried.is_empty() => RefusalCause::NoCoordinator,
            None => RefusalCause::Unreachable,
        }
    }

    /// Describes, for a person to read, how many coordinators were tried for a service and what came of each.
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
        let full = full.map(|full| format!("; at the others, {full}")).unwrap_or_default();
        format!("{who} of cluster {name} took the session: {reasons}{more}{full}")
    }
}
