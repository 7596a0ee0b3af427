//! Both sides of the SASL handshake of Thrift's transports, as far as the router takes part in it: PLAIN, and
//! GSSAPI where the router has a keytab ([`kerberos`]).
//!
//! A negotiation message is a status byte, a 4-byte big-endian length and a payload (Impala:
//! transport/TSasl*.h; Python's `thrift_sasl` and Java's `TSaslTransport` send the same). The client sends
//! START with the name of a mechanism and, without waiting, its first response. PLAIN (RFC 4616) needs no
//! more: the answer is COMPLETE, or BAD or ERROR with a text, or, from impalad, a closed connection. After
//! COMPLETE both sides send frames ([`super::frame`]).
//!
//! impalad allocates whatever length the peer announces, before it checks who the peer is (Impala:
//! `TSaslTransport::receiveSaslMessage`). Here a length is compared with a limit as soon as it is known, and
//! memory grows with the bytes that came. Everything that may hold a password is zeroed when dropped.

mod credentials;
pub mod gssapi;
pub mod kerberos;
pub mod mechanism;
mod message;

use std::fmt;

use zeroize::Zeroizing;

pub use self::credentials::Credentials;
use self::kerberos::GssapiError;
use self::mechanism::Reaction;
pub use self::message::{
    HEADER_LEN, MECHANISM_LIMIT, MechanismName, Message, SaslError, Status, encode, parse,
};
use crate::ids::Family;

/// Longest response or answer that is read, in bytes. Only those of PLAIN are read: a token in place of a
/// password has a few thousand bytes, and clients that have not proven who they are must not cost much.
pub const RESPONSE_LIMIT: usize = 16 * 1024;

/// The result of pushing bytes into one side of a handshake.
#[derive(Debug)]
pub struct Taken<S> {
    /// How many of the pushed bytes belong to the handshake. The rest comes after it and is left to the
    /// caller.
    pub used: usize,
    /// Where the handshake stands now.
    pub step: S,
}

/// Where a client's handshake stands. All but [`Step::NeedMore`] end it.
#[derive(Debug)]
pub enum Step {
    /// All bytes were used, and more are needed.
    NeedMore,
    /// The credentials of PLAIN. The client now waits for COMPLETE, or for BAD or ERROR.
    Credentials(Credentials),
    /// A mechanism that the router takes no part in: [`Acceptor::into_consumed`] has the bytes to relay
    /// first.
    OtherMechanism(MechanismName),
    /// The client has to be told ([`SaslError::status`]) and the connection closed.
    Refuse(SaslError),
}

/// The router's side of a client's handshake, up to the credentials. It takes no byte beyond them.
pub struct Acceptor {
    inbox: Inbox,
    mechanism: Option<MechanismName>,
    family: Family,
}

impl Acceptor {
    /// An acceptor that has seen nothing yet. It accepts the forms of PLAIN that coordinators of this family
    /// accept.
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
    /// The coordinator refuses; the client has to get the same answer ([`encode`]).
    Refused {
        /// BAD or ERROR.
        status: Status,
        /// The coordinator's words: usually UTF-8, passed on as they are.
        text: Vec<u8>,
    },
    /// The router cannot go on with what the coordinator sent.
    GaveUp(GssapiError),
}

/// The router's side of a handshake with a coordinator, from [`mechanism::Mechanism::opening`] on: it reads
/// the answers.
pub struct Initiator<M> {
    inbox: Inbox,
    mechanism: M,
}

impl<M: mechanism::Mechanism> Initiator<M> {
    /// An initiator that has seen nothing.
    pub fn new(mechanism: M) -> Self {
        Self { inbox: Inbox::default(), mechanism }
    }

    /// Takes bytes from the coordinator, in chunks cut anywhere. Bytes left over after [`Answer::Accepted`]
    /// are an error of the coordinator, which only speaks when asked.
    ///
    /// # Errors
    /// When the bytes are not a SASL message, or the message is longer than [`RESPONSE_LIMIT`] or has no
    /// place in the mechanism.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Taken<Answer>, SaslError> {
        let used = self.inbox.take(bytes, RESPONSE_LIMIT)?;
        let Some(message) = parse(self.inbox.open(), RESPONSE_LIMIT)? else {
            return Ok(Taken { used, step: Answer::NeedMore });
        };
        let step = match self.mechanism.next(message)? {
            Reaction::Respond(response) => Answer::Respond(response),
            Reaction::Accepted => Answer::Accepted,
            Reaction::Refused { status, text } => Answer::Refused { status, text },
            Reaction::GaveUp(error) => Answer::GaveUp(error),
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

    /// How many bytes the open message, which is incomplete and within its limit, still needs: first for its
    /// header, then for its payload.
    fn missing(&self) -> usize {
        let open = self.open();
        let whole = match open.get(1..HEADER_LEN).and_then(<[u8]>::first_chunk::<4>) {
            None => HEADER_LEN,
            Some(len) => HEADER_LEN + u32::from_be_bytes(*len) as usize,
        };
        whole.saturating_sub(open.len())
    }

    /// Appends without leaving copies behind, as a growing vector would: the old buffer is zeroed.
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
