//! Messages of a negotiation, the mechanisms that they name, and what can be wrong with them.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::wire::detect::{hint, is_mechanism_byte};

/// Bytes before a negotiation message's payload: status and length.
pub const HEADER_LEN: usize = 5;

/// Longest name of a mechanism, in bytes (RFC 4422 §3.1).
pub const MECHANISM_LIMIT: usize = 20;

/// The first byte of a negotiation message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The client names its mechanism.
    Start = 1,
    /// A response or a challenge.
    Ok = 2,
    /// The credentials or the mechanism are refused; the payload says why.
    Bad = 3,
    /// The handshake went wrong; the payload says how.
    Error = 4,
    /// The sender is done. Java clients send their PLAIN response with it, Python clients with
    /// [`Status::Ok`].
    Complete = 5,
}

impl TryFrom<u8> for Status {
    type Error = SaslError;

    fn try_from(byte: u8) -> Result<Self, SaslError> {
        match byte {
            1 => Ok(Self::Start),
            2 => Ok(Self::Ok),
            3 => Ok(Self::Bad),
            4 => Ok(Self::Error),
            5 => Ok(Self::Complete),
            _ => Err(SaslError::UnknownStatus { byte }),
        }
    }
}

/// Why a handshake cannot go on. No error holds anything that the peer wants kept secret, so the text may be
/// sent to the client and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SaslError {
    /// The first byte is not a status: the peer does not speak SASL, or no longer does.
    #[error("SASL status {byte} does not exist{}", hint(&[*byte]))]
    UnknownStatus {
        /// The byte.
        byte: u8,
    },
    /// The status is not allowed at this point of the handshake.
    #[error("SASL status {seen:?} out of place")]
    OutOfPlace {
        /// The status that came.
        seen: Status,
    },
    /// The payload is longer than this side reads.
    #[error("SASL message of {len} bytes exceeds {limit}")]
    TooLong {
        /// Payload bytes, as announced.
        len: usize,
        /// Payload bytes allowed.
        limit: usize,
    },
    /// The handshake has no end.
    #[error("more than {limit} SASL messages in a handshake")]
    TooManyMessages {
        /// Messages of one side that are allowed.
        limit: u8,
    },
    /// The client asks for another mechanism than the one that is to be followed.
    #[error("another SASL mechanism than GSSAPI")]
    OtherMechanism,
    /// The mechanism's name is empty or has bytes that RFC 4422 does not allow.
    #[error("malformed name of a SASL mechanism")]
    MechanismName,
    /// The number of fields is not one that coordinators accept, or the user name is not UTF-8.
    #[error("malformed SASL PLAIN credentials")]
    Credentials,
    /// The credentials have no user name.
    #[error("SASL PLAIN credentials without a user name")]
    NoUser,
    /// The authorization id differs from the authentication id, for impalad. It would take the first for the
    /// user without asking whether the second may act for it (Impala: authentication.cc, the PLAIN
    /// callbacks).
    #[error("SASL PLAIN authorization id differs from the user name")]
    OtherAuthzid,
}

impl SaslError {
    /// The status for the answer to the client: BAD for what it asked or showed, ERROR for a breach of the
    /// protocol.
    pub fn status(self) -> Status {
        match self {
            Self::UnknownStatus { .. }
            | Self::OutOfPlace { .. }
            | Self::TooLong { .. }
            | Self::TooManyMessages { .. } => Status::Error,
            Self::MechanismName
            | Self::OtherMechanism
            | Self::Credentials
            | Self::NoUser
            | Self::OtherAuthzid => Status::Bad,
        }
    }
}

/// One negotiation message. `Debug` leaves the payload out: it may be credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the message is.
    pub status: Status,
    /// What it carries.
    pub payload: &'a [u8],
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, payload } = self;
        write!(f, "Message {{ status: {status:?}, payload: {} bytes }}", payload.len())
    }
}

/// Reads the message at the front of `buf`; it takes [`HEADER_LEN`] bytes and its payload. `None`: more bytes
/// are needed.
///
/// # Errors
///
/// When the status byte does not exist, and as soon as the length is there and above `limit`, whatever
/// follows.
pub fn parse(buf: &[u8], limit: usize) -> Result<Option<Message<'_>>, SaslError> {
    let Some((&status, rest)) = buf.split_first() else { return Ok(None) };
    let status = Status::try_from(status)?;
    let Some((len, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_be_bytes(*len) as usize;
    if len > limit {
        return Err(SaslError::TooLong { len, limit });
    }
    Ok(rest.get(..len).map(|payload| Message { status, payload }))
}

/// The bytes of a message. A payload is cut at `u32::MAX` bytes, which is above every limit here.
pub fn encode(status: Status, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let payload = payload.get(..len as usize).unwrap_or(payload);
    // With the exact capacity, because a growing vector would leave a copy of a password behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER_LEN + payload.len()));
    bytes.push(status as u8);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// How a client wants to prove who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MechanismName {
    /// Name and password (RFC 4616).
    Plain,
    /// Kerberos (RFC 4752).
    Gssapi,
    /// Any other, by its name.
    Other(Box<str>),
}

impl MechanismName {
    /// Classifies the payload of START. Names are case-sensitive (RFC 4422 §3.1).
    ///
    /// # Errors
    ///
    /// When the name is not 1 to 20 capitals, digits, `-` and `_`.
    pub fn parse(name: &[u8]) -> Result<Self, SaslError> {
        match name {
            b"PLAIN" => Ok(Self::Plain),
            b"GSSAPI" => Ok(Self::Gssapi),
            _ => {
                let sound = (1..=MECHANISM_LIMIT).contains(&name.len())
                    && name.iter().all(|&byte| is_mechanism_byte(byte));
                let name = std::str::from_utf8(name).ok().filter(|_| sound);
                name.map(|name| Self::Other(name.into())).ok_or(SaslError::MechanismName)
            }
        }
    }

    /// The name as it goes over the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain => "PLAIN",
            Self::Gssapi => "GSSAPI",
            Self::Other(name) => name,
        }
    }
}
