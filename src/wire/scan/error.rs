//! Why a message cannot be followed.

use crate::wire::detect::hint;
use crate::wire::facts::NAME_BYTES;
use crate::wire::thrift::{MAX_DEPTH, MessageType};

/// Why a message is not one that can be followed. The connection it came on is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The first word is not that of the strict binary form.
    #[error("no strict Thrift message{}", hint(&word.to_be_bytes()))]
    NotStrict {
        /// The first four bytes. Not printed, except for what they look like: they may be anything of a
        /// client's, also the beginning of a password.
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
    /// A type byte that no type has.
    #[error("unknown type byte {byte}")]
    UnknownType {
        /// The byte.
        byte: u8,
    },
    /// A negative length or count.
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
    /// More levels than [`MAX_DEPTH`].
    #[error("more than {MAX_DEPTH} levels of nesting")]
    TooDeep,
    /// One field twice where handles stand: which one counts would be anybody's guess.
    #[error("field {id} stands twice in one struct")]
    Repeated {
        /// The field's id.
        id: i16,
    },
}
