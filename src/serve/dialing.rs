//! Reaching a coordinator's port, with what that says about it counted and noted.

use super::shared::{Fleet, Shared};
use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::metrics::DialOutcome;
use crate::net::dial::{DialFailure, dial};
use crate::net::stream::Stream;

/// Why a coordinator's port was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreached {
    /// The coordinator does not offer the service.
    #[error("it has no {0} port")]
    NoPort(Service),
    /// The dial failed.
    #[error(transparent)]
    Dial(#[from] DialFailure),
}

/// Dials a coordinator's service. A failure that is a fact about the coordinator makes it the last to be tried for
/// that service for a while.
///
/// # Errors
/// [`Unreached`].
pub(super) async fn reach<S: Stream>(
    coordinator: &Coordinator,
    service: Service,
    fleet: &Fleet<S>,
    shared: &Shared<S>,
) -> Result<S, Unreached> {
    let port = coordinator.ports.of(service).ok_or(Unreached::NoPort(service))?;
    coordinator.note_used(service);
    let place = fleet.place(coordinator, port);
    let dialed = dial(&shared.network, &place, shared.settings.connect_timeout).await;
    fleet.note_whereabouts(coordinator);
    if let Some(counters) = fleet.counters(coordinator.id) {
        counters
            .dials
            .count(dialed.as_ref().err().map_or(DialOutcome::Connected, |error| outcome(&error.failure)));
    }
    match dialed {
        Ok(stream) => {
            coordinator.note_dialed(service);
            Ok(stream)
        }
        Err(error) => {
            tracing::debug!(coordinator = %coordinator.name, %error, "dial failed");
            if error.failure.is_remote() {
                coordinator.note_dial_failed(service, clock::now());
                fleet.doubt(coordinator, service);
            }
            Err(error.failure.into())
        }
    }
}

fn outcome(failure: &DialFailure) -> DialOutcome {
    match failure {
        DialFailure::Resolve(_) => DialOutcome::Unresolved,
        DialFailure::Refused => DialOutcome::Refused,
        DialFailure::TimedOut { .. } => DialOutcome::TimedOut,
        DialFailure::Unreachable(_) | DialFailure::Local(_) => DialOutcome::Unreachable,
    }
}
