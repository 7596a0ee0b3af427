//! What does Kerberos.

use std::fmt;
use std::time::Duration;

use crate::wire::sasl::kerberos::{Context, KerberosError};

/// In what tickets of clients may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// In tokens of Kerberos, as in SASL (RFC 4752).
    Kerberos,
    /// In those, or in tokens of SPNEGO, as over HTTP (RFC 4559): clients send both.
    Negotiated,
}

/// What does the cryptography and has the keys.
pub trait Provider: Send + Sync + fmt::Debug {
    /// The acceptor's side of a context, with the key of this principal, or with any key.
    ///
    /// # Errors
    /// When the keytab cannot be read, or lacks the principal.
    fn accept(&self, principal: Option<&str>, tokens: Tokens) -> Result<Box<dyn Context>, KerberosError>;

    /// The initiator's side of a context with `target`, as `principal`. Fetches or renews the ticket, if need
    /// be.
    ///
    /// # Errors
    /// When there is no ticket and none can be fetched.
    fn initiate(&self, principal: &str, target: &str) -> Result<Box<dyn Context>, KerberosError>;

    /// How long the ticket of this principal is still good, after it was fetched or renewed if need be.
    ///
    /// # Errors
    /// When there is no ticket and none can be fetched.
    fn lifetime(&self, principal: &str) -> Result<Duration, KerberosError>;
}
