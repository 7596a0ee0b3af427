//! How TLS connections fail after their handshakes.

use std::io;

use rustls::Error;

use super::client::TlsFailure;

/// Why a TLS connection failed after its handshake.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The peer closed the connection without saying that this is the end, so bytes may be missing.
    #[error("the connection was closed without a close_notify of TLS")]
    Truncated,
    /// The peer broke the protocol, or sent an alert.
    #[error("TLS: {0}")]
    Protocol(#[from] Error),
    /// The keys have encrypted as many records as they may, and TLS 1.2 has no others for them. (In TLS 1.3
    /// they are renewed.)
    #[error(
        "the keys of this TLS 1.2 connection are used up: they encrypt some 16 million records (RFC 8446, 5.5), \
         and only TLS 1.3 renews keys; use TLS 1.3, or connect again"
    )]
    KeysUsedUp,
    /// The coordinator does not accept what the router showed of itself. In TLS 1.3 it says so only after the
    /// handshake (RFC 8446, 4.4.2.4), in place of its first answer.
    #[error(transparent)]
    Unwelcome(TlsFailure),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Truncated => Self::new(io::ErrorKind::UnexpectedEof, failure),
            Failure::Protocol(error) => Self::new(io::ErrorKind::InvalidData, error),
            Failure::Unwelcome(_) => Self::new(io::ErrorKind::InvalidData, failure),
            Failure::KeysUsedUp => Self::other(failure),
        }
    }
}

impl Failure {
    /// Why a coordinator does not accept the router, if that is what the error of a read or write says.
    pub fn unwelcome(error: &io::Error) -> Option<TlsFailure> {
        match error.get_ref()?.downcast_ref()? {
            Self::Unwelcome(failure) => Some(failure.clone()),
            Self::Truncated | Self::Protocol(_) | Self::KeysUsedUp => None,
        }
    }

    /// Whether the error of a write says that the keys are used up, which is nobody's fault.
    pub fn is_keys_used_up(error: &io::Error) -> bool {
        matches!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(Self::KeysUsedUp))
    }
}
