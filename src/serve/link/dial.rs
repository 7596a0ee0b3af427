//! Dials a coordinator's port, and records what the result says about the coordinator.

use crate::clock;
use crate::ids::Service;
use crate::metrics::DialOutcome;
use crate::net::dial::{Destination, DialFailure, dial};
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::io::Io;
use crate::serve::link::port::Port;
use crate::serve::shared::Shared;

/// Why a coordinator's port was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    /// The coordinator does not offer the service.
    #[error("it has no {0} port")]
    NoPort(Service),
    /// The coordinator was removed from its cluster.
    #[error("it was removed from its cluster")]
    Removed,
    /// The dial failed.
    #[error(transparent)]
    Dial(#[from] DialFailure),
}

/// Dials a coordinator's port. If the dial fails for a reason that lies with the coordinator, the coordinator
/// is tried last for that service for a while. `dialed_there` records at which address the coordinator was
/// found, before anything else is recorded about it.
///
/// # Errors
/// When the coordinator has no such port or was removed from its cluster, before or during the dial; or when
/// the dial fails or exceeds `connect_timeout`.
pub(crate) async fn reach<S: Stream>(
    port: &Port<S>,
    shared: &Shared<S>,
    dialed_there: impl FnOnce(),
) -> Result<Io<LinkStream<S>>, Unreached> {
    let (coordinator, service) = (&port.coordinator, port.service);
    if port.is_closed() {
        return Err(Unreached::Removed);
    }
    let number = coordinator.ports.of(service).ok_or(Unreached::NoPort(service))?;
    coordinator.note_used(service);
    let destination = Destination { host: port.host.clone(), port: number };
    let dialed = dial(&shared.network, &destination, shared.settings.connect_timeout).await;
    dialed_there();
    let reached = dialed.as_ref().err().map_or(DialOutcome::Connected, |error| outcome(&error.failure));
    port.counters.dials.count(reached);
    match dialed {
        Ok(_) if port.is_closed() => Err(Unreached::Removed),
        Ok(stream) => {
            coordinator.note_dialed(service);
            Ok(stream.into())
        }
        Err(error) => {
            tracing::debug!(coordinator = %coordinator.name, %error, "dial failed");
            if error.failure.is_remote() {
                coordinator.note_dial_failed(service, clock::now());
                port.watch.probe_now();
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
