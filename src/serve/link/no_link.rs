//! The reasons why a call has no link.

use crate::ids::Service;
use crate::net::dial::DialFailure;
use crate::net::flow::WriteError;
use crate::serve::link::login::NoVerdict;
use crate::serve::link::waiting::NoRoom;
use crate::session::retry::Phase;
use crate::wire::sasl::Status;

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
}

impl NoLink {
    /// Whether a dial was wasted. A refusal is not: it is the coordinator's own answer to this client.
    pub(crate) fn is_in_vain(&self) -> bool {
        match self {
            Self::Unreached(Unreached::Dial(_)) | Self::HandshakeLost(_) | Self::NoVerdict(_) => true,
            Self::Unreached(Unreached::NoPort(_) | Unreached::Removed)
            | Self::NoRoom(_)
            | Self::CredentialsRefused { .. } => false,
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
            Self::Unreached(_) | Self::HandshakeLost(_) => Phase::NoLink,
            Self::NoRoom(_) => Phase::NoRoom,
            Self::NoVerdict(_) | Self::CredentialsRefused { .. } => Phase::CredentialsShown,
        }
    }
}
