//! SASL GSSAPI with the router as one of the two sides (RFC 4752): as the acceptor of a client's ticket, and as
//! the initiator towards a coordinator. Kerberos itself is behind [`Context`].
//!
//! Tokens go back and forth until the context is established. Then the acceptor offers security layers and the
//! initiator chooses one, both in four bytes that are wrapped: a bit for each layer, and in the other three
//! bytes the size of the largest buffer. The router takes part without a layer only: with one, all later bytes
//! would be wrapped.

pub mod acceptor;
mod error;
pub mod initiator;
mod layer;

pub use self::error::{Cause, GssapiError, KerberosError};
pub use self::layer::LayerError;

/// The longest message of a handshake, in bytes. Windows makes tickets of 65,535 bytes at most
/// (`MaxTokenSize`); the rest of the token has a few hundred.
pub const TOKEN_LIMIT: usize = 66 * 1024;

/// One side of a security context. Its functions may block, on files or on the network.
pub trait Context: Send {
    /// Takes in the peer's token, which is empty only for the initiator's first step.
    ///
    /// # Errors
    /// When the token is not one that Kerberos accepts here.
    fn step(&mut self, token: &[u8]) -> Result<Stepped, KerberosError>;

    /// Signs bytes, without encrypting them.
    ///
    /// # Errors
    /// When the context is not established.
    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError>;

    /// Returns what the peer has signed.
    ///
    /// # Errors
    /// When the signature is wrong.
    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError>;

    /// Returns the initiator's principal, as Kerberos prints it.
    ///
    /// # Errors
    /// When the context is not established, or the name is no text.
    fn principal(&mut self) -> Result<String, KerberosError>;
}

/// The result of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stepped {
    /// What the peer gets. It may be empty.
    pub token: Vec<u8>,
    /// Whether the context is established on this side.
    pub is_established: bool,
}

#[cfg(test)]
mod tests;
