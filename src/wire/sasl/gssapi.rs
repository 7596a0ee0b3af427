//! What can be read of GSSAPI (RFC 4752), whose messages travel as those of any SASL mechanism do: tokens of
//! Kerberos until both sides are proven, and then one from each side about the layer that protects what
//! follows.
//!
//! ```text
//! client       START "GSSAPI"
//! client       OK        AP-REQ, with the ticket: 680 bytes from MIT, up to 64 KiB from Windows
//! coordinator  OK        AP-REP; client  OK  nothing        (both absent without mutual authentication)
//! coordinator  OK        wrapped, not sealed: the layers that it offers, and its largest buffer
//! client       OK or COMPLETE   the same of the layer that it chooses, and perhaps an authorization id
//! coordinator  COMPLETE  nothing
//! ```
//!
//! Seen: beeline (Hive JDBC 2.3.9) ends with COMPLETE, impyla 0.24 and `PyHive` 0.7 with OK; impyla sends its
//! principal as the authorization id (pure-sasl: `GSSAPIMechanism`). impalad and Java's servers offer no layer
//! unless they are told to (Hive: `hive.server2.thrift.sasl.qop`).

mod choice;
mod handshake;
mod token;

pub use self::choice::{AUTHORIZATION_ID_LIMIT, Choice, ChoiceError, Layers, NO_LAYER_OFFERED, TOKEN_LIMIT};
pub use self::handshake::{Handshake, Peer, Stage};
pub use self::token::{TokenError, unsealed};

/// Whether the payload of a frame that begins with these bytes is a token, so that a layer protects what
/// follows. One that only protects its integrity is in the clear, but must not be changed, and counts as this
/// all the same. Where the choice of a layer could not be read, the client's first frame tells.
pub fn is_wrapped(first: [u8; 4]) -> bool {
    first.starts_with(token::WRAP) || first.starts_with(token::FRAMED)
}

#[cfg(test)]
mod tests;
