//! The framing of each transport: takes it off what was read and puts it on what is sent. Only the two ends
//! of a call use this; all other code sees payload, or pieces that pass through unchanged.

use std::borrow::Cow;

use crate::ids::Transport;
use crate::net::probe::Speaks;
#[cfg(test)]
use crate::serve::message::lines::{self, Lines};
use crate::wire::frame::{self, Deframer, FrameError, HEADER_LEN, Piece};

/// The form in which pieces of a message pass from one end to the other. It depends on the transports of both
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Pieces pass untouched, with their framing: both connections have the same transport.
    AsItCame,
    /// Pieces are payload without framing.
    Payload,
}

impl Form {
    /// Returns the form of what passes from a connection of one transport to a connection of another.
    pub(crate) fn between(from: Transport, to: Transport) -> Self {
        match from {
            Transport::Unframed | Transport::Framed | Transport::Sasl if from == to => Self::AsItCame,
            _ => Self::Payload,
        }
    }
}

/// What comes after a piece of a message. A transport may have to mark where a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// More of the message: so many bytes of payload, if that is known.
    More(Option<u64>),
    /// Nothing: the message ends with this piece.
    Nothing,
}

impl Follows {
    /// How many bytes of payload follow, if that is known.
    pub(in crate::serve::message) fn left(self) -> Option<u64> {
        match self {
            Self::More(left) => left,
            Self::Nothing => Some(0),
        }
    }

    /// What follows a piece behind which `next` bytes come first.
    pub(crate) fn behind(self, next: usize) -> Self {
        Self::More(self.left().map(|left| left + next as u64))
    }
}

/// Returns what a coordinator understands whose links have this transport.
pub(crate) fn speaks(transport: Transport) -> Speaks {
    match transport {
        Transport::Unframed | Transport::Framed => Speaks::Thrift,
        Transport::Sasl => Speaks::Sasl,
        Transport::Http => Speaks::Http,
        #[cfg(test)]
        Transport::Lines => Speaks::Thrift,
    }
}

/// Returns whether messages travel as they are, with nothing around them.
pub(crate) fn is_plain(transport: Transport) -> bool {
    transport == Transport::Unframed
}

/// Takes the framing off what was read from a connection.
#[derive(Debug)]
pub(in crate::serve::message) enum Decoder {
    /// There is no framing.
    Unframed,
    /// A four-byte length precedes each frame.
    Frames(Deframer),
    /// The transport of the tests ([`lines`]).
    #[cfg(test)]
    Lines(Lines),
}

impl Decoder {
    /// Creates a decoder for a connection from which nothing was read. A frame may have at most `limit` bytes
    /// of payload.
    pub(in crate::serve::message) fn new(transport: Transport, limit: usize) -> Self {
        match transport {
            Transport::Unframed | Transport::Http => Self::Unframed,
            Transport::Framed | Transport::Sasl => Self::Frames(Deframer::new(limit)),
            #[cfg(test)]
            Transport::Lines => Self::Lines(Lines::default()),
        }
    }

    /// Returns whether the transport has no framing.
    pub(in crate::serve::message) fn is_unframed(&self) -> bool {
        matches!(self, Self::Unframed)
    }

    /// Takes the next piece off the front of `bytes`. The payload stays in place.
    ///
    /// # Errors
    /// [`FrameError`], when the bytes are not a frame, or the frame is longer than the limit.
    pub(in crate::serve::message) fn next(&mut self, bytes: &mut [u8]) -> Result<Piece, FrameError> {
        match self {
            Self::Unframed => Ok(Piece { used: bytes.len(), payload: 0..bytes.len(), frame_ended: false }),
            Self::Frames(deframer) => deframer.next(bytes),
            #[cfg(test)]
            Self::Lines(lines) => Ok(lines.next(bytes)),
        }
    }

    /// Returns whether a message may end after the bytes so far: they end where a frame does, and the
    /// transport's mark of the end, if it has one, has come.
    pub(in crate::serve::message) fn at_boundary(&self) -> bool {
        match self {
            Self::Unframed => true,
            Self::Frames(deframer) => deframer.at_boundary(),
            #[cfg(test)]
            Self::Lines(lines) => lines.at_boundary(),
        }
    }

    /// Returns whether only a part of a frame's header has come.
    pub(in crate::serve::message) fn is_inside_header(&self) -> bool {
        matches!(self, Self::Frames(deframer) if deframer.remaining() == 0 && !deframer.at_boundary())
    }

    /// Returns how many bytes of the current frame are still to come.
    pub(in crate::serve::message) fn remaining(&self) -> usize {
        if let Self::Frames(deframer) = self { deframer.remaining() } else { 0 }
    }

    /// Returns the offset of the payload in the first bytes of a frame.
    pub(in crate::serve::message) fn header_len(&self) -> usize {
        if matches!(self, Self::Frames(_)) { HEADER_LEN } else { 0 }
    }
}

/// Puts the framing on a piece of payload: a whole message, or a part of one if the transport allows several
/// frames for a message.
pub(in crate::serve::message) fn encode(
    payload: &[u8],
    transport: Transport,
    follows: Follows,
) -> Cow<'_, [u8]> {
    match (transport, follows) {
        (Transport::Unframed | Transport::Http, _) => Cow::Borrowed(payload),
        // No frame is empty.
        (Transport::Framed | Transport::Sasl, _) if payload.is_empty() => Cow::Borrowed(payload),
        (Transport::Framed | Transport::Sasl, _) => {
            // A piece is never longer than a frame's header can say.
            let header = frame::header(payload.len()).unwrap_or_default();
            Cow::Owned([&header, payload].concat())
        }
        #[cfg(test)]
        (Transport::Lines, follows) => Cow::Owned(lines::encode(payload, follows)),
    }
}

/// Does what [`encode`] does, without a copy. `bytes` begins with [`HEADER_LEN`] bytes of room for a frame's
/// header, and `to_come` more bytes of the frame follow later.
pub(in crate::serve::message) fn encode_in_place(
    bytes: &mut [u8],
    to_come: usize,
    transport: Transport,
    follows: Follows,
) -> Cow<'_, [u8]> {
    if !matches!(transport, Transport::Framed | Transport::Sasl) || bytes.len() <= HEADER_LEN {
        return encode(bytes.get(HEADER_LEN..).unwrap_or_default(), transport, follows);
    }
    let len = bytes.len().saturating_sub(HEADER_LEN) + to_come;
    let header = frame::header(len).unwrap_or_default();
    bytes.get_mut(..HEADER_LEN).unwrap_or_default().copy_from_slice(&header);
    Cow::Borrowed(bytes)
}
