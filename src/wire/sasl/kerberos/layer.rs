//! On which security layer, and on which user, the two sides of a handshake agree: none, and the one of the
//! ticket.

use thiserror::Error;

use crate::wire::sasl::gssapi::{Choice, ChoiceError, NO_LAYER_OFFERED};

/// Why the two sides do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayerError {
    /// What the client chose cannot be read.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// What the coordinator offers is shorter than its fixed part.
    #[error("the offer of layers has {len} bytes, and not at least 4")]
    ShortOffer {
        /// Its bytes.
        len: usize,
    },
    /// The client wants the bytes after the handshake signed or encrypted.
    #[error(
        "the client demands a security layer of SASL (auth-int or auth-conf), which the router does not have; set \
         saslQop=auth in the client, and use TLS to encrypt the connection"
    )]
    ClientDemandsLayer,
    /// The coordinator wants the bytes after the handshake signed or encrypted.
    #[error(
        "the coordinator demands a security layer of SASL (auth-int or auth-conf), which the router does not have; set \
         hive.server2.thrift.sasl.qop=auth there, and use TLS to encrypt the connection"
    )]
    CoordinatorDemandsLayer,
    /// The client wants to be somebody else than its ticket says.
    #[error(
        "the SASL authorization id differs from the principal of the ticket; leave it out, and name another user in \
         the session's configuration instead, if the router's proxy_users allow that"
    )]
    OtherAuthzid,
}

/// Judges what a client chose and as whom it wants to act. Python's pure-sasl names its own principal
/// (`puresasl/mechanisms.py`), cyrus-sasl and Java name nobody.
///
/// # Errors
/// When the choice is not "no layer", or the authorization id is not `principal`.
pub(super) fn check_choice(chosen: &[u8], principal: &str) -> Result<(), LayerError> {
    let Choice { layers, authorization_id } = Choice::read(chosen)?;
    if !layers.are_none() {
        return Err(LayerError::ClientDemandsLayer);
    }
    match authorization_id {
        Some(other) if *other != *principal => Err(LayerError::OtherAuthzid),
        _ => Ok(()),
    }
}

/// Judges what a coordinator offers.
///
/// # Errors
/// When "no layer" is not among it.
pub(super) fn check_offer(offer: &[u8]) -> Result<(), LayerError> {
    let [no_layer, ..] = NO_LAYER_OFFERED;
    match offer.first() {
        _ if offer.len() < NO_LAYER_OFFERED.len() => Err(LayerError::ShortOffer { len: offer.len() }),
        Some(layers) if layers & no_layer != 0 => Ok(()),
        _ => Err(LayerError::CoordinatorDemandsLayer),
    }
}
