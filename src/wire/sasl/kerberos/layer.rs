//! The four bytes by which the two sides agree on a security layer, and the authorization id behind them
//! (RFC 4752, sections 3.1 and 3.3).

use thiserror::Error;

/// The bits of the first byte.
const NO_LAYER: u8 = 1;
const INTEGRITY: u8 = 2;
const CONFIDENTIALITY: u8 = 4;
const LAYERS: u8 = NO_LAYER | INTEGRITY | CONFIDENTIALITY;

/// No layer, and so no buffer for wrapped bytes: what the router offers, and what it chooses. Impala's library
/// refuses an offer of any other length (cyrus-sasl: `plugins/gssapi.c` `gssapi_client_mech_step`).
pub(super) const NONE: [u8; 4] = [NO_LAYER, 0, 0, 0];

/// The bytes before the authorization id.
const CHOICE_LEN: usize = NONE.len();

/// Why the two sides do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayerError {
    /// There are fewer than four bytes.
    #[error("the choice of a GSSAPI security layer has {len} bytes; it needs 4")]
    TooShort {
        /// Bytes.
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
    let Some((choice, authzid)) = chosen.split_at_checked(CHOICE_LEN) else {
        return Err(LayerError::TooShort { len: chosen.len() });
    };
    // Impala's library takes no bit at all for no layer, too (cyrus-sasl: `gssapi_server_mech_ssfreq`).
    if choice.first().is_none_or(|layers| layers & LAYERS & !NO_LAYER != 0) {
        return Err(LayerError::ClientDemandsLayer);
    }
    if authzid.is_empty() || authzid == principal.as_bytes() { Ok(()) } else { Err(LayerError::OtherAuthzid) }
}

/// Judges what a coordinator offers.
///
/// # Errors
/// When "no layer" is not among it.
pub(super) fn check_offer(offer: &[u8]) -> Result<(), LayerError> {
    match offer.first() {
        _ if offer.len() < CHOICE_LEN => Err(LayerError::TooShort { len: offer.len() }),
        Some(layers) if layers & NO_LAYER != 0 => Ok(()),
        _ => Err(LayerError::CoordinatorDemandsLayer),
    }
}
