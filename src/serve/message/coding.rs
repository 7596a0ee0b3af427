//! What stands around the payload of messages, taken off and put on. Nobody but the two ends of a call uses this: whoever
//! reads requests and replies sees payload, or pieces that are passed on as they came.

use std::borrow::Cow;

use crate::ids::Transport;
use crate::net::probe::Speaks;
#[cfg(test)]
use crate::serve::message::lines::{self, Lines};
use crate::wire::frame::{self, Deframer, FrameError, HEADER_LEN, Piece};

/// In which form the pieces of a message go from one end to the other: a property of the pair of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With what stands around them where they came from: the other connection is of the same transport, so that they pass
    /// untouched.
    AsItCame,
    /// Payload alone.
    Payload,
}

impl Form {
    /// What goes from a connection of one transport to a connection of another.
    pub(crate) fn between(from: Transport, to: Transport) -> Self {
        match from {
            Transport::Unframed | Transport::Framed | Transport::Sasl if from == to => Self::AsItCame,
            _ => Self::Payload,
        }
    }
}

/// What a coordinator understands whose links are of this transport.
pub(crate) fn speaks(transport: Transport) -> Speaks {
    if transport == Transport::Sasl { Speaks::Sasl } else { Speaks::Thrift }
}

/// Takes off what stands around payload on a connection.
#[derive(Debug)]
pub(in crate::serve::message) enum Decoder {
    /// Nothing.
    Unframed,
    /// Frames.
    Frames(Deframer),
    /// Lines.
    #[cfg(test)]
    Lines(Lines),
}

impl Decoder {
    /// For a connection of which nothing was read. A frame may have `limit` bytes of payload.
    pub(in crate::serve::message) fn new(transport: Transport, limit: usize) -> Self {
        match transport {
            Transport::Unframed => Self::Unframed,
            Transport::Framed | Transport::Sasl => Self::Frames(Deframer::new(limit)),
            #[cfg(test)]
            Transport::Lines => Self::Lines(Lines::default()),
        }
    }

    /// Whether messages stand on the connection without anything around them.
    pub(in crate::serve::message) fn is_unframed(&self) -> bool {
        matches!(self, Self::Unframed)
    }

    /// Takes the next piece off the bytes that came, in place.
    ///
    /// # Errors
    /// [`FrameError`], when what came is no frame, or one that is too long.
    pub(in crate::serve::message) fn next(&mut self, bytes: &mut [u8]) -> Result<Piece, FrameError> {
        match self {
            Self::Unframed => Ok(Piece { used: bytes.len(), payload: 0..bytes.len(), frame_ended: false }),
            Self::Frames(deframer) => deframer.next(bytes),
            #[cfg(test)]
            Self::Lines(lines) => Ok(lines.next(bytes)),
        }
    }

    /// Whether nothing of a frame has come that has not ended.
    pub(in crate::serve::message) fn at_boundary(&self) -> bool {
        match self {
            Self::Unframed => true,
            Self::Frames(deframer) => deframer.at_boundary(),
            #[cfg(test)]
            Self::Lines(lines) => lines.at_boundary(),
        }
    }

    /// Whether a part of a frame's header has come, and the rest has not.
    pub(in crate::serve::message) fn is_inside_header(&self) -> bool {
        matches!(self, Self::Frames(deframer) if deframer.remaining() == 0 && !deframer.at_boundary())
    }

    /// Bytes that a frame which has begun still has to bring.
    pub(in crate::serve::message) fn remaining(&self) -> usize {
        if let Self::Frames(deframer) = self { deframer.remaining() } else { 0 }
    }

    /// Where payload begins in the first bytes of a frame.
    pub(in crate::serve::message) fn header_len(&self) -> usize {
        if matches!(self, Self::Frames(_)) { HEADER_LEN } else { 0 }
    }
}

/// Payload as it goes over a connection: a message, or a piece of one where messages may come in several frames.
pub(in crate::serve::message) fn encode(payload: &[u8], transport: Transport) -> Cow<'_, [u8]> {
    match transport {
        Transport::Unframed => Cow::Borrowed(payload),
        Transport::Framed | Transport::Sasl => {
            // What is sent is neither empty nor longer than a frame can say.
            let header = frame::header(payload.len()).unwrap_or_default();
            Cow::Owned([&header, payload].concat())
        }
        #[cfg(test)]
        Transport::Lines => Cow::Owned(lines::encode(payload)),
    }
}

/// As [`encode`], of payload before which there is [room](HEADER_LEN) for a frame's header; `to_come` bytes of the frame
/// follow later.
pub(in crate::serve::message) fn encode_in_place(
    bytes: &mut [u8],
    to_come: usize,
    transport: Transport,
) -> Cow<'_, [u8]> {
    if !matches!(transport, Transport::Framed | Transport::Sasl) {
        return encode(bytes.get(HEADER_LEN..).unwrap_or_default(), transport);
    }
    let len = bytes.len().saturating_sub(HEADER_LEN) + to_come;
    let header = frame::header(len).unwrap_or_default();
    bytes.get_mut(..HEADER_LEN).unwrap_or_default().copy_from_slice(&header);
    Cow::Borrowed(bytes)
}
