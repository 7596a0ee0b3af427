//! Dials a coordinator's port, and records what the result says about the coordinator.

use std::time::Duration;

use tokio::time::timeout;

use crate::clock;
use crate::ids::Service;
use crate::metrics::DialOutcome;
use crate::net::dial::{DialFailure, dial};
use crate::net::probe::Speaks;
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::client::{CoordinatorTls, TlsFailure};
use crate::net::tls::handshake::secure;
use crate::net::tls::io::Io;
use crate::serve::link::port::Port;
use crate::serve::link::watch::Silent;
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
    /// The port can be connected to, but not with TLS.
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    /// The TLS handshake did not end in time.
    #[error(
        "no answer to the TLS handshake within {0:?} (handshake_timeout): perhaps all its threads are in use"
    )]
    TlsTimedOut(Duration),
    /// During the TLS handshake the port was found to answer nothing.
    #[error("{0}, which was noticed during the TLS handshake")]
    TlsSilent(Silent),
}

/// Dials a coordinator's port, and begins TLS there as `tls` says. If that fails for a reason that lies with the
/// coordinator, the coordinator is tried last for that service for a while. `dialed_there` records at which
/// address the coordinator was found, before anything else is recorded about it.
///
/// # Errors
/// When the coordinator has no such port or was removed from its cluster, before or during the dial; when
/// the dial fails or exceeds `connect_timeout`; or when the TLS handshake fails or exceeds
/// `handshake_timeout`.
pub(crate) async fn reach<S: Stream>(
    port: &Port<S>,
    shared: &Shared<S>,
    tls: Option<&CoordinatorTls>,
    dialed_there: impl FnOnce(),
) -> Result<Io<LinkStream<S>>, Unreached> {
    let (coordinator, service) = (&port.coordinator, port.service);
    if port.is_closed() {
        return Err(Unreached::Removed);
    }
    let destination = port.destination().ok_or(Unreached::NoPort(service))?;
    coordinator.note_used(service);
    let dialed = dial(&shared.network, &destination, shared.settings.connect_timeout).await;
    dialed_there();
    let reached = match dialed {
        Ok(stream) if tls.is_none() => Ok(stream.into()),
        // Boxed: a handshake needs much room, which no other dial needs.
        Ok(stream) => Box::pin(encrypt(port, stream, tls, shared.settings.handshake_timeout)).await,
        Err(error) => Err(error.failure.into()),
    };
    port.counters.dials.count(reached.as_ref().err().map_or(DialOutcome::Connected, Unreached::outcome));
    match &reached {
        Ok(_) if port.is_closed() => return Err(Unreached::Removed),
        Ok(_) => coordinator.note_dialed(service),
        Err(unreached) => {
            tracing::debug!(coordinator = %coordinator.name, %destination, error = %unreached, "dial failed");
            if unreached.is_remote() {
                coordinator.note_dial_failed(service, clock::now());
                port.watch.probe_now();
            }
        }
    }
    reached
}

/// Begins TLS on a connection that was just dialed.
async fn encrypt<S: Stream>(
    port: &Port<S>,
    stream: LinkStream<S>,
    tls: Option<&CoordinatorTls>,
    allowed: Duration,
) -> Result<Io<LinkStream<S>>, Unreached> {
    let secured = timeout(allowed, secure(stream, tls));
    let secured = port.watch.answer(Speaks::Thrift, secured).await.map_err(Unreached::TlsSilent)?;
    Ok(secured.map_err(|_elapsed| Unreached::TlsTimedOut(allowed))??)
}

impl Unreached {
    /// Whether the reason lies with the coordinator or the way to it.
    fn is_remote(&self) -> bool {
        match self {
            Self::Dial(failure) => failure.is_remote(),
            Self::Tls(failure) => failure.is_coordinators_fault(),
            Self::TlsTimedOut(_) | Self::TlsSilent(_) => true,
            Self::NoPort(_) | Self::Removed => false,
        }
    }

    fn outcome(&self) -> DialOutcome {
        match self {
            Self::Dial(DialFailure::Resolve(_)) => DialOutcome::Unresolved,
            Self::Dial(DialFailure::Refused) => DialOutcome::Refused,
            Self::Dial(DialFailure::TimedOut { .. }) => DialOutcome::TimedOut,
            Self::Tls(_) | Self::TlsTimedOut(_) | Self::TlsSilent(_) => DialOutcome::TlsFailed,
            Self::Dial(DialFailure::Unreachable(_) | DialFailure::Local(_))
            | Self::NoPort(_)
            | Self::Removed => DialOutcome::Unreachable,
        }
    }
}
