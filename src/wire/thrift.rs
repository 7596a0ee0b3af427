//! The vocabulary of Thrift's binary protocol: type bytes, message types, the version word of the strict
//! form.
//!
//! Source: the Thrift binary protocol specification. Impala speaks it through `TBinaryProtocolFactory` with
//! `strict_write` (Impala: `thrift-server.cc` `ThriftServer::Start`), and every client that was measured
//! writes the strict form.

/// The strict form's first two bytes of a message; the last byte of the word is the message type.
pub const VERSION_1: u32 = 0x8001_0000;
/// The bits of the first word that are the version.
pub const VERSION_MASK: u32 = 0xffff_0000;

/// The type byte of a struct's end.
pub const STOP: u8 = 0;

/// Levels of structs and containers that a message may have; Thrift's own libraries stop at 64.
pub const MAX_DEPTH: u8 = 64;

/// Bytes of a message before its arguments: the first word, the name with its length, the sequence id.
pub fn head_len(name: &[u8]) -> usize {
    12 + name.len()
}

/// What a message is, by its byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A request that expects a reply.
    Call = 1,
    /// A reply: the method's result struct.
    Reply = 2,
    /// A reply: a `TApplicationException`.
    Exception = 3,
    /// A request without a reply; no service here declares one, and none is accepted.
    Oneway = 4,
}

impl MessageType {
    /// The message type that this byte stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Call),
            2 => Some(Self::Reply),
            3 => Some(Self::Exception),
            4 => Some(Self::Oneway),
            _ => None,
        }
    }
}

/// The type of a value, by its byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// One byte, 0 or 1.
    Bool = 2,
    /// One byte.
    Byte = 3,
    /// Eight bytes.
    Double = 4,
    /// Two bytes.
    I16 = 6,
    /// Four bytes; enums too.
    I32 = 8,
    /// Eight bytes.
    I64 = 10,
    /// A four-byte length and that many bytes; `binary` too.
    String = 11,
    /// Fields up to a stop byte.
    Struct = 12,
    /// Two type bytes, a four-byte count, then keys and values in turn.
    Map = 13,
    /// As a list.
    Set = 14,
    /// A type byte, a four-byte count, then the elements.
    List = 15,
}

impl Type {
    /// The type that this byte stands for; the stop byte and unknown bytes are none.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            2 => Self::Bool,
            3 => Self::Byte,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::String,
            12 => Self::Struct,
            13 => Self::Map,
            14 => Self::Set,
            15 => Self::List,
            _ => return None,
        })
    }

    /// Bytes of a value, where every value of the type has the same number.
    pub fn fixed_bytes(self) -> Option<u8> {
        match self {
            Self::Bool | Self::Byte => Some(1),
            Self::I16 => Some(2),
            Self::I32 => Some(4),
            Self::I64 | Self::Double => Some(8),
            Self::String | Self::Struct | Self::Map | Self::Set | Self::List => None,
        }
    }

    /// The fewest bytes that a value can have; never 0, so that a declared count is a bound on the bytes to
    /// come.
    pub fn least_bytes(self) -> u8 {
        match self {
            Self::Bool | Self::Byte | Self::Struct => 1,
            Self::I16 => 2,
            Self::I32 | Self::String => 4,
            Self::List | Self::Set => 5,
            Self::Map => 6,
            Self::I64 | Self::Double => 8,
        }
    }
}
