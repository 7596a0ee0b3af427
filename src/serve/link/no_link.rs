//! Why there is no link.

use crate::net::flow::WriteError;
use crate::serve::link::dial::Unreached;
use crate::serve::link::login::NoVerdict;
use crate::serve::link::waiting::NoRoom;
use crate::session::retry::Phase;
use crate::wire::sasl::Status;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLink {
    /// The coordinator could not be reached.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// There is no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It was lost before it had the credentials.
    #[error("lost during the SASL handshake: {0}")]
    HandshakeLost(WriteError),
    /// It gave no verdict on the credentials that it was shown: nobody else may be asked all the same.
    #[error(transparent)]
    NoVerdict(#[from] NoVerdict),
    /// It refused the credentials: nobody else may be asked (four wrong binds lock an account).
    #[error("it refused the credentials")]
    CredentialsRefused {
        /// BAD or ERROR.
        status: Status,
        /// Its words.
        text: Vec<u8>,
    },
}

impl NoLink {
    /// Whether a dial was made for nothing. A refusal is something: the coordinator's own word to this client.
    pub(crate) fn is_in_vain(&self) -> bool {
        match self {
            Self::Unreached(Unreached::Dial(_)) | Self::HandshakeLost(_) | Self::NoVerdict(_) => true,
            Self::Unreached(Unreached::NoPort(_) | Unreached::Removed)
            | Self::NoRoom(_)
            | Self::CredentialsRefused { .. } => false,
        }
    }

    /// Whether it is the coordinator's verdict on the credentials; with Impala, a close is one.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(self, Self::CredentialsRefused { .. } | Self::NoVerdict(NoVerdict::Closed(_)))
    }

    /// How far a call has come that waits for the link.
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Unreached(_) | Self::HandshakeLost(_) => Phase::NoLink,
            Self::NoRoom(_) => Phase::NoRoom,
            Self::NoVerdict(_) | Self::CredentialsRefused { .. } => Phase::CredentialsShown,
        }
    }
}
