//! Looks on while a handshake passes by between a client and a coordinator. Nothing of it is kept but the
//! choice of a layer.

use super::choice::{Choice, TOKEN_LIMIT};
use super::token::{TokenError, unsealed};
use crate::wire::sasl::message::{HEADER_LEN, MechanismName, SaslError, Status};

/// Messages of one side, at most. Four are usual.
const MESSAGE_LIMIT: u8 = 8;
/// Longer messages are not kept to be read; a wrap token with the longest authorization id is shorter.
const KEPT_LIMIT: usize = 1024;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The initiator.
    Client,
    /// The acceptor.
    Coordinator,
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// More messages are to come, the next from this side.
    UnderWay(Peer),
    /// This side has refused the other.
    Refused(Peer),
    /// Frames follow, from both sides.
    Complete,
}

/// A handshake that passes by, from the client's START on.
#[derive(Debug)]
pub struct Handshake {
    client: Side,
    coordinator: Side,
    stage: Stage,
    /// Whether the client's last message has come: what follows it is frames.
    client_is_done: bool,
    choice: Option<Choice>,
}

impl Default for Handshake {
    fn default() -> Self {
        Self {
            client: Side::default(),
            coordinator: Side::default(),
            stage: Stage::UnderWay(Peer::Client),
            client_is_done: false,
            choice: None,
        }
    }
}

impl Handshake {
    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What the client chose, if it has and that could be read. Valid once both sides agree, at
    /// [`Stage::Complete`].
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// Whether the client's first token has come whole, which a coordinator needs to say anything.
    pub fn has_first_token(&self) -> bool {
        self.client.messages >= 2
    }

    /// Looks at the next bytes of a side, in chunks cut anywhere. Returns how many of them belong to the
    /// handshake; after it come frames, or whatever a side sends that was refused.
    ///
    /// # Errors
    /// When the bytes are no handshake of GSSAPI that can be followed; then it is of no further use.
    pub fn push(&mut self, from: Peer, bytes: &[u8]) -> Result<usize, SaslError> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_over(from) {
            let side = match from {
                Peer::Client => &mut self.client,
                Peer::Coordinator => &mut self.coordinator,
            };
            let (used, message) = side.next(rest)?;
            rest = rest.get(used..).unwrap_or_default();
            match (message, from) {
                (None, _) => {}
                (Some(message), Peer::Client) => self.heard_client(&message)?,
                (Some(message), Peer::Coordinator) => self.heard_coordinator(&message)?,
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn is_over(&self, from: Peer) -> bool {
        !matches!(self.stage, Stage::UnderWay(_)) || (from == Peer::Client && self.client_is_done)
    }

    fn heard_client(&mut self, message: &Heard) -> Result<(), SaslError> {
        let is_first = self.client.messages == 1;
        match message.status {
            Status::Start if is_first => {
                return match MechanismName::parse(message.payload().unwrap_or_default())? {
                    MechanismName::Gssapi => Ok(()),
                    MechanismName::Plain | MechanismName::Other(_) => Err(SaslError::OtherMechanism),
                };
            }
            Status::Start => return Err(SaslError::OutOfPlace { seen: Status::Start }),
            seen if is_first => return Err(SaslError::OutOfPlace { seen }),
            Status::Bad | Status::Error => {
                self.stage = Stage::Refused(Peer::Client);
                return Ok(());
            }
            Status::Ok | Status::Complete => {}
        }
        self.stage = Stage::UnderWay(Peer::Coordinator);
        let unwrapped = message.payload().map(unsealed);
        let is_wrapped =
            !matches!(unwrapped, None | Some(Err(TokenError::NotWrapped | TokenError::Malformed)));
        self.client_is_done = is_wrapped || message.status == Status::Complete;
        if let Some(Ok(unwrapped)) = unwrapped {
            self.choice = Choice::read(&unwrapped).ok();
        }
        Ok(())
    }

    fn heard_coordinator(&mut self, message: &Heard) -> Result<(), SaslError> {
        self.stage = match message.status {
            // In the middle of a message the client cannot go on with frames.
            seen @ Status::Complete if !self.client.is_between() || !self.has_first_token() => {
                return Err(SaslError::OutOfPlace { seen });
            }
            Status::Complete => Stage::Complete,
            Status::Ok => Stage::UnderWay(Peer::Client),
            Status::Bad | Status::Error => Stage::Refused(Peer::Coordinator),
            seen @ Status::Start => return Err(SaslError::OutOfPlace { seen }),
        };
        Ok(())
    }
}

/// The messages of one side.
#[derive(Debug, Default)]
struct Side {
    messages: u8,
    header: [u8; HEADER_LEN],
    /// How many bytes of the header have come.
    have: usize,
    /// How many bytes of the payload are to come.
    left: usize,
    kept: Vec<u8>,
}

/// A whole message.
struct Heard {
    status: Status,
    len: usize,
    kept: Vec<u8>,
}

impl Heard {
    /// None if it was too long to be kept.
    fn payload(&self) -> Option<&[u8]> {
        (self.kept.len() == self.len).then_some(&*self.kept)
    }
}

impl Side {
    fn is_between(&self) -> bool {
        self.have == 0
    }

    /// Takes bytes of at most one message; returns how many, and the message once it is whole.
    fn next(&mut self, bytes: &[u8]) -> Result<(usize, Option<Heard>), SaslError> {
        let mut used = 0;
        if self.have < HEADER_LEN {
            let missing = self.header.get_mut(self.have..).unwrap_or_default();
            for (place, byte) in missing.iter_mut().zip(bytes) {
                *place = *byte;
                used += 1;
            }
            self.have += used;
            let [status, ..] = self.header;
            let _known = Status::try_from(status)?;
            if self.have < HEADER_LEN {
                return Ok((used, None));
            }
            self.left = self.length()?;
        }
        let payload = bytes.get(used..).unwrap_or_default();
        let payload = payload.get(..self.left).unwrap_or(payload);
        if self.length()? <= KEPT_LIMIT {
            self.kept.extend_from_slice(payload);
        }
        (used, self.left) = (used + payload.len(), self.left - payload.len());
        if self.left > 0 {
            return Ok((used, None));
        }
        if self.messages == MESSAGE_LIMIT {
            return Err(SaslError::TooManyMessages { limit: MESSAGE_LIMIT });
        }
        let [status, ..] = self.header;
        let (status, len) = (Status::try_from(status)?, self.length()?);
        (self.messages, self.have) = (self.messages + 1, 0);
        Ok((used, Some(Heard { status, len, kept: std::mem::take(&mut self.kept) })))
    }

    fn length(&self) -> Result<usize, SaslError> {
        let [_, len @ ..] = self.header;
        let len = u32::from_be_bytes(len) as usize;
        if len > TOKEN_LIMIT { Err(SaslError::TooLong { len, limit: TOKEN_LIMIT }) } else { Ok(len) }
    }
}
