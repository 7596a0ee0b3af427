//! The reasons why a call has no link.

use std::time::Duration;

use crate::ids::Service;
use crate::metrics::DialOutcome;
use crate::net::dial::DialFailure;
use crate::net::flow::WriteError;
use crate::net::probe::NO_TLS;
use crate::net::tls::client::TlsFailure;
use crate::serve::link::no_verdict::NoVerdict;
use crate::serve::link::router_login::NotLoggedIn;
use crate::serve::link::waiting::NoRoom;
use crate::session::retry::Phase;
use crate::wire::sasl::Status;
use crate::wire::sasl::kerberos::one_line;

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
    #[error("{}{}", .0, .0.if_no_tls(NO_TLS))]
    Tls(#[from] TlsFailure),
    /// The TLS handshake did not end in time.
    #[error(
        "no answer to the TLS handshake within {0:?} (handshake_timeout): perhaps all its threads are in use, or it \
         does not speak TLS; then set tls = false for this coordinator"
    )]
    TlsTimedOut(Duration),
    /// During the TLS handshake the port was found to answer nothing. An impalad without TLS waits there for
    /// more.
    #[error(
        "its port does not answer, which was noticed during the TLS handshake; if it does not speak TLS, set \
         tls = false for this coordinator, or correct the port"
    )]
    TlsSilent,
}

impl Unreached {
    /// Whether the reason lies with the coordinator or the way to it.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::Dial(failure) => failure.is_remote(),
            Self::Tls(failure) => failure.is_remote(),
            Self::TlsTimedOut(_) | Self::TlsSilent => true,
            Self::NoPort(_) | Self::Removed => false,
        }
    }

    /// Whether a dial was wasted.
    fn is_in_vain(&self) -> bool {
        !matches!(self, Self::NoPort(_) | Self::Removed)
    }

    /// Returns the outcome that this counts as in the metrics.
    pub(crate) fn outcome(&self) -> DialOutcome {
        match self {
            Self::Dial(DialFailure::Resolve(_)) => DialOutcome::Unresolved,
            Self::Dial(DialFailure::Refused) => DialOutcome::Refused,
            Self::Dial(DialFailure::TimedOut { .. }) => DialOutcome::TimedOut,
            Self::Tls(_) | Self::TlsTimedOut(_) | Self::TlsSilent => DialOutcome::TlsFailed,
            Self::Dial(DialFailure::Unreachable(_) | DialFailure::Local(_))
            | Self::NoPort(_)
            | Self::Removed => DialOutcome::Unreachable,
        }
    }
}

/// Why a call has no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLink {
    /// The coordinator could not be reached.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// The port has no room for another link.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The connection was lost before the credentials were sent.
    #[error("lost during the SASL handshake: {0}")]
    HandshakeLost(WriteError),
    /// The coordinator was sent the credentials and gave no verdict on them. They must not be sent to another
    /// coordinator.
    #[error(transparent)]
    NoVerdict(#[from] NoVerdict),
    /// The coordinator refused the credentials. They must not be sent to another one, because four wrong
    /// binds lock an account.
    #[error("it refused the credentials")]
    CredentialsRefused {
        /// BAD or ERROR.
        status: Status,
        /// The text that came with it.
        text: Vec<u8>,
    },
    /// The router could not log in as itself. Its ticket is for this coordinator only, so another one may be
    /// tried.
    #[error(transparent)]
    NotLoggedIn(#[from] NotLoggedIn),
    /// Only a fresh ticket of Kerberos could prove the user there, over HTTP, and there is none.
    #[error("a fresh ticket is needed for it")]
    TicketNeeded,
}

impl NoLink {
    /// The same of a login of the router's own.
    pub(crate) fn of_router(self) -> Self {
        match self {
            Self::CredentialsRefused { text, .. } => {
                let text = one_line(&String::from_utf8_lossy(&text));
                Self::NotLoggedIn(NotLoggedIn::Refused { text })
            }
            Self::NoVerdict(no_verdict) => Self::NotLoggedIn(NotLoggedIn::NoVerdict(no_verdict)),
            other => other,
        }
    }

    /// Whether a dial was wasted. A refusal is not: it is the coordinator's own answer to this client.
    pub(crate) fn is_in_vain(&self) -> bool {
        match self {
            Self::Unreached(unreached) => unreached.is_in_vain(),
            Self::HandshakeLost(_) | Self::NoVerdict(_) | Self::NotLoggedIn(_) => true,
            Self::NoRoom(_) | Self::CredentialsRefused { .. } | Self::TicketNeeded => false,
        }
    }

    /// Whether this is the coordinator's verdict on the credentials. With Impala, closing the connection is
    /// one.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(self, Self::CredentialsRefused { .. } | Self::NoVerdict(NoVerdict::Closed(_)))
    }

    /// How far the call that wanted the link has come.
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Unreached(_) | Self::HandshakeLost(_) | Self::NotLoggedIn(_) | Self::TicketNeeded => {
                Phase::NoLink
            }
            Self::NoRoom(_) => Phase::NoRoom,
            Self::NoVerdict(_) | Self::CredentialsRefused { .. } => Phase::CredentialsShown,
        }
    }
}
