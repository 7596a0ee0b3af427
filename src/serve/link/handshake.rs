//! A handshake of SASL with a coordinator, from the router's side.

use zeroize::Zeroizing;

use crate::wire::sasl::mechanism::Plain;
use crate::wire::sasl::{Answer, Credentials, Initiator, SaslError};

/// A handshake from the router's side.
pub(crate) trait Handshake {
    /// The bytes that it begins with.
    fn opening(&self) -> Zeroizing<Vec<u8>>;

    /// Takes in bytes of the coordinator, and returns what comes of them.
    fn push(&mut self, chunk: &[u8]) -> impl Future<Output = Result<Answer, SaslError>> + Send;
}

/// PLAIN, whose steps take no time.
pub(crate) struct AtOnce<'a> {
    pub(super) credentials: &'a Credentials,
    initiator: Initiator<Plain<'a>>,
}

impl<'a> AtOnce<'a> {
    pub(super) fn new(credentials: &'a Credentials) -> Self {
        Self { credentials, initiator: Initiator::new(Plain::new(credentials)) }
    }
}

impl Handshake for AtOnce<'_> {
    fn opening(&self) -> Zeroizing<Vec<u8>> {
        self.credentials.opening()
    }

    async fn push(&mut self, chunk: &[u8]) -> Result<Answer, SaslError> {
        self.initiator.push(chunk).map(|taken| taken.step)
    }
}
