//! What does Kerberos.

use std::fmt;
use std::time::Duration;

use crate::wire::sasl::kerberos::{Context, KerberosError};

/// What does the cryptography and has the keys.
pub trait Provider: Send + Sync + fmt::Debug {
    /// The acceptor's side of a context, with the key of this principal, or with any key.
    ///
    /// # Errors
    /// When the keytab cannot be read, or lacks the principal.
    fn accept(&self, principal: Option<&str>) -> Result<Box<dyn Context>, KerberosError>;

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
