//! Why a message cannot be followed.

use crate::wire::detect::hint;
use crate::wire::facts::NAME_BYTES;
use crate::wire::thrift::{MAX_DEPTH, MessageType};

/// Why a message cannot be followed. The connection on which it came is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The first word is not that of the strict binary form.
    #[error("no strict Thrift message{}", hint(&word.to_be_bytes()))]
    NotStrict {
        /// The first four bytes. Only what they look like is printed: they may be anything, even the
        /// beginning of a client's password.
        word: u32,
    },
    /// Only CALL is accepted of a client, only REPLY and EXCEPTION of a coordinator.
    #[error("message type {byte} where a {} belongs", match .expected { MessageType::Call => "call", _ => "reply" })]
    WrongMessageType {
        /// The message type's byte.
        byte: u8,
        /// [`MessageType::Call`] or [`MessageType::Reply`].
        expected: MessageType,
    },
    /// The method's name is empty or absurdly long.
    #[error("a method name of {len} bytes (1 to {NAME_BYTES} are accepted)")]
    NameLength {
        /// The declared length.
        len: u32,
    },
    /// The type byte is not that of any type.
    #[error("unknown type byte {byte}")]
    UnknownType {
        /// The byte.
        byte: u8,
    },
    /// A length or count is negative.
    #[error("a negative length: {len}")]
    Negative {
        /// As declared.
        len: i32,
    },
    /// The message is longer, or declares something longer, than is accepted.
    #[error("a message of more than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: u64,
    },
    /// There are more levels than [`MAX_DEPTH`].
    #[error("more than {MAX_DEPTH} levels of nesting")]
    TooDeep,
    /// A field occurs twice in a struct in which handles are looked for, so it would be unclear which one
    /// counts.
    #[error("field {id} stands twice in one struct")]
    Repeated {
        /// The field's id.
        id: i16,
    },
}
