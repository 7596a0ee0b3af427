//! The SASL handshake of Thrift's transports, both sides of it, as far as the router takes part: PLAIN.
//!
//! A negotiation message is a status byte, a 4-byte big-endian length and a payload (Impala: transport/TSasl*.h; seen
//! from Python's `thrift_sasl` and Java's `TSaslTransport`). The client sends START with a mechanism's name and, without
//! waiting, its first response. PLAIN (RFC 4616) needs no more: the answer is COMPLETE, or BAD or ERROR with a text,
//! or, from impalad, a closed connection. After COMPLETE both sides send frames ([`super::frame`]).
//!
//! impalad allocates whatever length the peer announces, before any check of who that is (Impala:
//! `TSaslTransport::receiveSaslMessage`). Here a length is held against a limit as soon as it is known and memory grows
//! with the bytes that came. Everything that may hold a password is zeroed when dropped.

mod credentials;
pub mod mechanism;

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

pub use credentials::Credentials;

use self::mechanism::Reaction;
use super::detect::hint;
use crate::ids::Family;

/// Bytes before a negotiation message's payload: status and length.
pub const HEADER_LEN: usize = 5;

/// Longest name of a mechanism, in bytes (RFC 4422 §3.1).
pub const MECHANISM_LIMIT: usize = 20;

/// Longest response or answer that is read, in bytes. Only PLAIN's are: a token in place of a password has a few
/// thousand, and whoever has not shown who they are must not cost much.
pub const RESPONSE_LIMIT: usize = 16 * 1024;

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
    /// The sender is done. Java clients send their PLAIN response with it, Python clients with [`Status::Ok`].
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

/// Why a handshake cannot go on. None of these holds anything that the peer wanted kept secret, so the text may be sent
/// to the client and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SaslError {
    /// A first byte that is no status: the peer does not speak SASL, or stopped to.
    #[error("SASL status {byte} does not exist{}", hint(&[*byte]))]
    UnknownStatus {
        /// The byte.
        byte: u8,
    },
    /// A status that exists but has no place at this point of the handshake.
    #[error("SASL status {seen:?} out of place")]
    OutOfPlace {
        /// The status that came.
        seen: Status,
    },
    /// A payload longer than this side reads.
    #[error("SASL message of {len} bytes exceeds {limit}")]
    TooLong {
        /// Payload bytes, as announced.
        len: usize,
        /// Payload bytes allowed.
        limit: usize,
    },
    /// A mechanism's name that is empty or has bytes which RFC 4422 does not allow.
    #[error("malformed name of a SASL mechanism")]
    MechanismName,
    /// Another number of fields than the coordinators take, or a user name that is not UTF-8.
    #[error("malformed SASL PLAIN credentials")]
    Credentials,
    /// Credentials without a user name.
    #[error("SASL PLAIN credentials without a user name")]
    NoUser,
    /// An authorization id other than the authentication id, for impalad. It would take the first for the user without
    /// asking whether the second may act for it (Impala: authentication.cc, the PLAIN callbacks).
    #[error("SASL PLAIN authorization id differs from the user name")]
    OtherAuthzid,
}

impl SaslError {
    /// The status that tells a client of this: BAD for what it asked or showed, ERROR for how it spoke.
    pub fn status(self) -> Status {
        match self {
            Self::UnknownStatus { .. } | Self::OutOfPlace { .. } | Self::TooLong { .. } => Status::Error,
            Self::MechanismName | Self::Credentials | Self::NoUser | Self::OtherAuthzid => Status::Bad,
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

/// Reads the message at the front of `buf`; it takes [`HEADER_LEN`] bytes and its payload. `None`: more bytes are needed.
///
/// # Errors
///
/// A status byte that does not exist, and a length above `limit` as soon as it is there, whatever follows.
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

/// The bytes of a message. A payload is cut at `u32::MAX` bytes, which no limit here lets through.
pub fn encode(status: Status, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let payload = payload.get(..len as usize).unwrap_or(payload);
    // The exact capacity: a vector that grows would leave a copy of a password behind.
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
    /// A name that is not 1 to 20 capitals, digits, `-` and `_`.
    pub fn parse(name: &[u8]) -> Result<Self, SaslError> {
        match name {
            b"PLAIN" => Ok(Self::Plain),
            b"GSSAPI" => Ok(Self::Gssapi),
            _ => {
                let sound = (1..=MECHANISM_LIMIT).contains(&name.len())
                    && name.iter().all(|&byte| super::detect::is_mechanism_byte(byte));
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

/// What pushing bytes into one side of a handshake led to.
#[derive(Debug)]
pub struct Taken<S> {
    /// How many of the pushed bytes belong to the handshake. The rest comes after it and is the caller's.
    pub used: usize,
    /// Where the handshake stands now.
    pub step: S,
}

/// Where a client's handshake stands. All but [`Step::NeedMore`] end it.
#[derive(Debug)]
pub enum Step {
    /// All bytes were used, and more are to come.
    NeedMore,
    /// PLAIN, with these. The client now waits for COMPLETE, or for BAD or ERROR.
    Credentials(Credentials),
    /// A mechanism that the router takes no part in: [`Acceptor::into_consumed`] has what is to be relayed first.
    OtherMechanism(MechanismName),
    /// The client is to be told ([`SaslError::status`]) and the connection closed.
    Refuse(SaslError),
}

/// The router's side of a client's handshake, up to the credentials. Takes not one byte more than it must.
pub struct Acceptor {
    inbox: Inbox,
    mechanism: Option<MechanismName>,
    family: Family,
}

impl Acceptor {
    /// An acceptor that has seen nothing, and takes the forms of PLAIN that such coordinators take.
    pub fn new(family: Family) -> Self {
        Self { inbox: Inbox::default(), mechanism: None, family }
    }

    /// Takes bytes from the client, in chunks cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) -> Taken<Step> {
        let mut used = 0;
        let step = self.advance(bytes, &mut used).unwrap_or_else(Step::Refuse);
        Taken { used, step }
    }

    /// All bytes taken so far, as they came. Holds the password if the mechanism was PLAIN.
    pub fn into_consumed(self) -> Zeroizing<Vec<u8>> {
        self.inbox.taken
    }

    fn advance(&mut self, bytes: &[u8], used: &mut usize) -> Result<Step, SaslError> {
        if self.mechanism.is_none() {
            *used += self.inbox.take(bytes, MECHANISM_LIMIT)?;
            let Some(start) = parse(self.inbox.open(), MECHANISM_LIMIT)? else { return Ok(Step::NeedMore) };
            if start.status != Status::Start {
                return Err(SaslError::OutOfPlace { seen: start.status });
            }
            self.mechanism = Some(MechanismName::parse(start.payload)?);
            self.inbox.finish_message();
        }
        match &self.mechanism {
            None | Some(MechanismName::Plain) => {}
            Some(mechanism) => return Ok(Step::OtherMechanism(mechanism.clone())),
        }
        *used += self.inbox.take(bytes.get(*used..).unwrap_or_default(), RESPONSE_LIMIT)?;
        let Some(response) = parse(self.inbox.open(), RESPONSE_LIMIT)? else { return Ok(Step::NeedMore) };
        match response.status {
            Status::Ok | Status::Complete => Credentials::parse(response, self.family).map(Step::Credentials),
            seen => Err(SaslError::OutOfPlace { seen }),
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// Where a handshake with a coordinator stands. [`Answer::NeedMore`] and [`Answer::Respond`] do not end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All bytes were used, and more are to come.
    NeedMore,
    /// These bytes are to be sent, and more are to come.
    Respond(Zeroizing<Vec<u8>>),
    /// COMPLETE: frames follow.
    Accepted,
    /// The coordinator says no; the client is to hear the same ([`encode`]).
    Refused {
        /// BAD or ERROR.
        status: Status,
        /// The coordinator's words: usually UTF-8, passed on as they are.
        text: Vec<u8>,
    },
}

/// The router's side of a handshake with a coordinator, from [`mechanism::Mechanism::opening`] on: it reads the answers.
pub struct Initiator<M> {
    inbox: Inbox,
    mechanism: M,
}

impl<M: mechanism::Mechanism> Initiator<M> {
    /// An initiator that has seen nothing.
    pub fn new(mechanism: M) -> Self {
        Self { inbox: Inbox::default(), mechanism }
    }

    /// Takes bytes from the coordinator, in chunks cut anywhere. Bytes left over after [`Answer::Accepted`] have no
    /// good reason: a coordinator speaks when asked.
    ///
    /// # Errors
    /// What is no SASL message, or is longer than [`RESPONSE_LIMIT`], or has no place in the mechanism.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Taken<Answer>, SaslError> {
        let used = self.inbox.take(bytes, RESPONSE_LIMIT)?;
        let Some(message) = parse(self.inbox.open(), RESPONSE_LIMIT)? else {
            return Ok(Taken { used, step: Answer::NeedMore });
        };
        let step = match self.mechanism.next(message)? {
            Reaction::Respond(response) => Answer::Respond(response),
            Reaction::Accepted => Answer::Accepted,
            Reaction::Refused { status, text } => Answer::Refused { status, text },
        };
        self.inbox.finish_message();
        Ok(Taken { used, step })
    }
}

impl<M> fmt::Debug for Initiator<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").finish_non_exhaustive()
    }
}

/// The bytes of a handshake that were taken so far, and where the message that is being read begins in them.
#[derive(Default)]
struct Inbox {
    taken: Zeroizing<Vec<u8>>,
    start: usize,
}

impl Inbox {
    /// The message that is being read, as far as it is there.
    fn open(&self) -> &[u8] {
        self.taken.get(self.start..).unwrap_or_default()
    }

    /// Takes bytes up to the end of the open message and not beyond. Returns how many.
    fn take(&mut self, bytes: &[u8], limit: usize) -> Result<usize, SaslError> {
        let mut rest = bytes;
        while parse(self.open(), limit)?.is_none() && !rest.is_empty() {
            let (part, later) = rest.split_at(self.missing().min(rest.len()));
            self.keep(part);
            rest = later;
        }
        Ok(bytes.len() - rest.len())
    }

    /// How many bytes the open message, found incomplete and within its limit, is short of: of its header first, then
    /// of its payload.
    fn missing(&self) -> usize {
        let open = self.open();
        let whole = match open.get(1..HEADER_LEN).and_then(<[u8]>::first_chunk::<4>) {
            None => HEADER_LEN,
            Some(len) => HEADER_LEN + u32::from_be_bytes(*len) as usize,
        };
        whole.saturating_sub(open.len())
    }

    /// Appends, without the copies that a growing vector leaves behind: the old one is zeroed.
    fn keep(&mut self, part: &[u8]) {
        let len = self.taken.len() + part.len();
        if len > self.taken.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(len.max(2 * self.taken.capacity())));
            larger.extend_from_slice(&self.taken);
            self.taken = larger;
        }
        self.taken.extend_from_slice(part);
    }

    fn finish_message(&mut self) {
        self.start = self.taken.len();
    }
}

#[cfg(test)]
mod tests;
