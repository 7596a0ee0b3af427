//! Where messages begin and end on a connection.

use bytes::BytesMut;

use crate::net::probe::Speaks;
use crate::wire::frame;

/// What stands around the messages of a connection; the same on the client's side and on its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing (NOSASL): a message ends where it ends.
    None,
    /// `TFramedTransport`: a frame holds one message.
    Framed,
    /// After a SASL handshake: frames hold a byte stream.
    Sasl,
}

impl Framing {
    /// What a coordinator understands whose links are of this kind.
    pub(in crate::serve) fn speaks(self) -> Speaks {
        if self == Self::Sasl { Speaks::Sasl } else { Speaks::Thrift }
    }

    /// Bytes that stand before a message.
    pub(in crate::serve) fn header_len(self) -> usize {
        if self == Self::None { 0 } else { frame::HEADER_LEN }
    }
}

/// A message as it goes over a connection.
pub(in crate::serve) fn framed(message: BytesMut, framing: Framing) -> BytesMut {
    if framing == Framing::None {
        return message;
    }
    let header = frame::header(message.len()).unwrap_or_default();
    let mut framed = BytesMut::with_capacity(frame::HEADER_LEN + message.len());
    framed.extend_from_slice(&header);
    framed.extend_from_slice(&message);
    framed
}
