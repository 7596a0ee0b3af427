//! SASL GSSAPI with the router as one of the two sides (RFC 4752): as the acceptor of a client's ticket, and as
//! the initiator towards a coordinator. Kerberos itself is behind [`Context`].
//!
//! [`super::gssapi`] tells which messages there are. The router takes part without a layer only: with one, all
//! later bytes would be wrapped. It then offers, and chooses, what Cyrus SASL has for that, which refuses an offer
//! of another length (`plugins/gssapi.c` `gssapi_client_mech_step`).

pub mod acceptor;
mod error;
pub mod initiator;
mod layer;

pub use self::error::{Cause, GssapiError, KerberosError, one_line};
pub use self::layer::LayerError;

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
