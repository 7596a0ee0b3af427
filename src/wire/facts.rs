//! The few facts that the scanner remembers of a message, and their positions in it.

use std::fmt;
use std::ops::Range;

use super::method::{self, Method, Owner};
use super::text::Text;
use super::thrift::MessageType;
use super::watch::{Slot, Strings};

/// Bytes of a guid and of a secret (Impala: `impala-server.inline.h`; Hive and Spark mint the same sizes).
pub const HANDLE_PART_BYTES: usize = 16;
/// The longest method name that is accepted; the longest known one has 25 bytes.
pub const NAME_BYTES: usize = 128;
/// Bytes of an error message that are remembered: enough for the name of an exception, `Query … failed:` and
/// the sentence after it.
pub const MESSAGE_BYTES: usize = 160;

/// The public half of a handle, by which calls are routed.
pub type Guid = [u8; HANDLE_PART_BYTES];

/// The method name in a message. Names in the tables take no memory of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Name {
    /// It has not been read yet.
    #[default]
    Unread,
    /// The name of a known method.
    Of(&'static Method),
    /// Any other name.
    Other(Box<[u8]>),
}

impl Name {
    /// The name with these bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self::known(method::lookup(bytes)).unwrap_or_else(|| Self::Other(bytes.into()))
    }

    /// The name with these bytes, in the reply to a call of `method`. It equals the call's name if the bytes
    /// are the same.
    pub(super) fn of_reply(bytes: &[u8], method: &'static Method) -> Self {
        let same = Self::known(method).filter(|name| name.as_bytes() == bytes);
        same.unwrap_or_else(|| Self::Other(bytes.into()))
    }

    fn known(method: &'static Method) -> Option<Self> {
        (method.service != Owner::Unknown).then_some(Self::Of(method))
    }

    /// As it stands in messages.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Unread => &[],
            Self::Of(method) => method.name.as_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}

/// The beginning of an error message.
pub(super) type Message = Text<MESSAGE_BYTES>;
/// A Beeswax query id: the guid of which it is the text; none for any other text.
pub type QueryId = Option<Guid>;

/// A `THandleIdentifier` with 16 bytes in both halves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    /// Identifies; printed in logs and pages (for an Impala operation it is the query id).
    pub guid: Guid,
    /// Authorises: never printed.
    pub secret: [u8; HANDLE_PART_BYTES],
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", GuidText(self.guid))
    }
}

/// Prints a guid the way Impala does: two little-endian 64-bit words in hexadecimal (Impala: `debug-util.cc`
/// `PrintId`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuidText(pub Guid);

impl fmt::Display for GuidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = self.0.split_at(8);
        for byte in high.iter().rev() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(":")?;
        for byte in low.iter().rev() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl GuidText {
    /// The guid that a text of this form names; none for any other text.
    pub fn read(text: &str) -> Option<Guid> {
        guid_of_query_id(text.as_bytes())
    }
}

/// The bytes of a message that are a value. Only for messages below 4 GiB, as all requests are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Bytes of the message before the value.
    pub start: u32,
    /// Bytes of the value.
    pub len: u32,
}

impl Span {
    /// A value of `len` bytes that begins after `start` bytes; none beyond 4 GiB.
    pub(super) fn of(start: u64, len: u64) -> Option<Self> {
        let (start, len) = (u32::try_from(start).ok()?, u32::try_from(len).ok()?);
        start.checked_add(len).map(|_| Self { start, len })
    }

    /// As a range of the message.
    pub fn range(self) -> Range<usize> {
        self.start as usize..(self.start as usize).saturating_add(self.len as usize)
    }
}

/// Where a handle's two halves begin, each [`HANDLE_PART_BYTES`] long. Only for messages below 4 GiB, as all
/// requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlePosition {
    /// The guid.
    pub guid: u32,
    /// The secret.
    pub secret: u32,
}

/// Half of a handle, and its offset in the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Half {
    bytes: [u8; HANDLE_PART_BYTES],
    at: u32,
}

impl Half {
    /// None if it does not have the right size.
    fn new(bytes: &[u8], end: u64) -> Option<Self> {
        let at = end.saturating_sub(HANDLE_PART_BYTES as u64);
        // Beyond 4 GiB the offset is not needed: nothing is replaced there.
        Some(Self { bytes: bytes.try_into().ok()?, at: at.try_into().unwrap_or(u32::MAX) })
    }
}

/// A handle, of which one or both halves may be missing: not read yet, or not of the right size.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Halves {
    pub(super) guid: Option<Half>,
    pub(super) secret: Option<Half>,
}

impl Halves {
    fn handle(&self) -> Option<Handle> {
        Some(Handle { guid: self.guid?.bytes, secret: self.secret?.bytes })
    }

    fn position(&self) -> Option<HandlePosition> {
        Some(HandlePosition { guid: self.guid?.at, secret: self.secret?.at })
    }
}

/// `TOperationType`, which is part of an operation's identity on Hive and Spark: they do not know the
/// operation under another type (Hive: `OperationHandle` `equals`). Impala does not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationType(u8);

impl OperationType {
    /// A statement's operation.
    pub const EXECUTE_STATEMENT: Self = Self(0);
    /// The operation of a `GetTypeInfo`.
    pub const GET_TYPE_INFO: Self = Self(1);

    /// As it is written in a handle.
    pub fn number(self) -> i32 {
        self.0.into()
    }
}

/// The facts found in a message so far. They are complete when the scanner says that the message has ended.
///
/// Every call in flight holds two of these, so facts that few messages have are boxed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub(super) message_type: Option<MessageType>,
    /// The method's name.
    pub name: Name,
    /// The sequence id; Python clients always send 0.
    pub seqid: i32,
    pub(super) first: Halves,
    pub(super) second: Option<Box<Halves>>,
    /// A Beeswax query id.
    pub query_id: Option<QueryId>,
    /// `TStatus.statusCode`.
    pub status: Option<i32>,
    pub(super) message: Option<Box<Message>>,
    /// Whether the method threw an exception that its IDL declares.
    pub thrown: bool,
    /// Whether rows remain.
    pub more: Option<bool>,
    /// The operation's state, in the numbers of its service.
    pub state: Option<i32>,
    /// The type of the operation that a request names; none in other requests.
    pub operation_type: Option<OperationType>,
    /// Whether the minted operation has rows.
    pub has_result_set: Option<bool>,
    /// Whether the statement goes on running after its reply; if not, the reply comes when it has ended
    /// (Impala ignores this).
    pub run_async: Option<bool>,
    /// Where the statement's text stands.
    pub statement: Option<Span>,
    /// A non-empty container of strings whose declared element type is another one. Its coordinator would
    /// read strings all the same, and so see the message end elsewhere.
    pub mistyped: Option<Strings>,
}

/// The guid of a Beeswax query id (`%016x:%016x`, Impala: `debug-util.cc` `PrintId`), so that a query has one
/// key in both services; none for any other text.
fn guid_of_query_id(id: &[u8]) -> QueryId {
    let text = std::str::from_utf8(id).ok()?;
    let (high, low) = text.split_once(':')?;
    let word = |hex: &str| {
        let digits = hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(hex, 16).ok()).flatten()
    };
    let mut guid = [0; HANDLE_PART_BYTES];
    let (first, second) = guid.split_at_mut(8);
    first.copy_from_slice(&word(high)?.to_le_bytes());
    second.copy_from_slice(&word(low)?.to_le_bytes());
    Some(guid)
}

impl Facts {
    /// The facts of a call of which only its name and sequence id are known.
    pub fn of_call(name: &[u8], seqid: i32) -> Self {
        Self { name: Name::new(name), seqid, ..Self::default() }
    }

    /// The guid by which the request names its operation or session: its first handle's, or that of its query
    /// id.
    pub fn key(&self) -> Option<Guid> {
        self.handle().map(|handle| handle.guid).or_else(|| self.query_id.flatten())
    }

    /// The request's first handle, or the handle that a reply mints; none if it is absent, empty or not 16+16
    /// bytes.
    pub fn handle(&self) -> Option<Handle> {
        self.first.handle()
    }

    /// The request's second handle.
    pub fn second_handle(&self) -> Option<Handle> {
        self.second.as_ref()?.handle()
    }

    /// Where the request's first handle stands; none if [`Self::handle`] is none.
    pub fn handle_position(&self) -> Option<HandlePosition> {
        self.first.position()
    }

    /// Where the request's second handle stands.
    pub fn second_handle_position(&self) -> Option<HandlePosition> {
        self.second.as_ref()?.position()
    }

    /// The beginning of the error message, for matching; it may quote the statement, so it is never logged.
    pub fn message(&self) -> &[u8] {
        self.message.as_ref().map(|message| message.as_bytes()).unwrap_or_default()
    }

    /// Whether the message is a `TApplicationException`.
    pub fn is_exception(&self) -> bool {
        self.message_type == Some(MessageType::Exception)
    }

    /// Stores a string that ends before byte `end` of the message.
    pub(super) fn store_bytes(&mut self, slot: Slot, bytes: &[u8], end: u64) {
        match slot {
            Slot::Guid => self.first.guid = Half::new(bytes, end),
            Slot::Secret => self.first.secret = Half::new(bytes, end),
            _ => self.store_seldom(slot, bytes, end),
        }
    }

    /// As [`Self::store_bytes`], for facts that few messages have.
    #[cold]
    fn store_seldom(&mut self, slot: Slot, bytes: &[u8], end: u64) {
        let half = || Half::new(bytes, end);
        let message = || Some(Box::new(bytes.into()));
        match slot {
            Slot::SecondGuid => self.second.get_or_insert_default().guid = half(),
            Slot::SecondSecret => self.second.get_or_insert_default().secret = half(),
            Slot::QueryId => self.query_id = Some(guid_of_query_id(bytes)),
            Slot::Thrown => (self.thrown, self.message) = (true, message()),
            Slot::Message => self.message = message(),
            Slot::Statement => {
                let len = bytes.len() as u64;
                self.statement = Span::of(end.saturating_sub(len), len);
            }
            // The usual ones are stored already, the others are not strings.
            Slot::Guid
            | Slot::Secret
            | Slot::Status
            | Slot::State
            | Slot::OperationType
            | Slot::More
            | Slot::HasResultSet
            | Slot::RunAsync
            | Slot::Strings(_) => {}
        }
    }

    pub(super) fn store_number(&mut self, slot: Slot, number: i32) {
        match slot {
            Slot::Status => self.status = Some(number),
            Slot::State => self.state = Some(number),
            Slot::OperationType => self.operation_type = u8::try_from(number).ok().map(OperationType),
            Slot::More => self.more = Some(number != 0),
            Slot::HasResultSet => self.has_result_set = Some(number != 0),
            Slot::RunAsync => self.run_async = Some(number != 0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_prints_as_impala_prints_it_and_its_text_reads_back() {
        let guid = *b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\x0c\x0d\x0e\x0f";
        let text = GuidText(guid).to_string();
        assert_eq!(text, "0807060504030201:0f0e0d0c00000000");
        assert_eq!(guid_of_query_id(text.as_bytes()), Some(guid));
    }

    #[test]
    fn other_texts_are_no_query_ids() {
        for text in
            ["", ":", "1:2", "+807060504030201:0f0e0d0c00000000", "0807060504030201:0f0e0d0c0000000", "x"]
        {
            assert_eq!(guid_of_query_id(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_handle_prints_without_its_secret() {
        let handle = Handle { guid: [1; 16], secret: *b"canary-canary-ca" };
        let printed = format!("{handle:?}");
        assert!(!printed.contains("canary") && !printed.contains("99, 97, 110"), "{printed}");
    }
}
