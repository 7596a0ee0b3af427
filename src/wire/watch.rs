//! What the scanner looks for in a message, and where.

use super::thrift::Type;

/// Field ids that a watched path may have (`ExecutePlannedStatement` has its handle this deep).
pub const WATCH_DEPTH: usize = 5;

/// A fact that the scanner remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The guid of the request's first handle, or of the handle that a reply mints.
    Guid,
    /// The secret that belongs to [`Slot::Guid`].
    Secret,
    /// The guid of a request's second handle (profile and summary: the session's).
    SecondGuid,
    /// The secret that belongs to [`Slot::SecondGuid`].
    SecondSecret,
    /// A Beeswax query id.
    QueryId,
    /// `TStatus.statusCode`.
    Status,
    /// The beginning of an error message.
    Message,
    /// The beginning of a declared exception's message (Beeswax). If it is there, the call has failed.
    Thrown,
    /// `hasMoreRows`, `has_more`.
    More,
    /// `operationState`, Beeswax's `QueryState`.
    State,
    /// `TOperationHandle.operationType` of a request.
    OperationType,
    /// `TOperationHandle.hasResultSet`.
    HasResultSet,
    /// `TExecuteStatementReq.runAsync`.
    RunAsync,
    /// A statement's text, of which only the place is remembered.
    Statement,
    /// A container of strings; remembered only if its declared element type is another one.
    Strings(Strings),
}

/// A request field that is a container of strings by its IDL. Generated readers read strings in it, whatever
/// type its elements are declared to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// `TOpenSessionReq.configuration`, `TSetClientInfoReq.configuration`: a map.
    Configuration,
    /// `TExecuteStatementReq.confOverlay`: a map.
    ConfOverlay,
    /// `TDownloadDataReq.downloadOptions`: a map.
    DownloadOptions,
    /// `TGetTablesReq.tableTypes`: a list.
    TableTypes,
    /// Beeswax's `Query.configuration`: a list.
    QueryConfiguration,
}

impl Strings {
    /// The field's name in its IDL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration | Self::QueryConfiguration => "configuration",
            Self::ConfOverlay => "confOverlay",
            Self::DownloadOptions => "downloadOptions",
            Self::TableTypes => "tableTypes",
        }
    }

    /// The container's type.
    const fn wire_type(self) -> Type {
        match self {
            Self::Configuration | Self::ConfOverlay | Self::DownloadOptions => Type::Map,
            Self::TableTypes | Self::QueryConfiguration => Type::List,
        }
    }
}

impl Slot {
    /// The type that a value must have to be remembered; a generated reader skips values of any other type.
    pub const fn wire_type(self) -> Type {
        match self {
            Self::Guid
            | Self::Secret
            | Self::SecondGuid
            | Self::SecondSecret
            | Self::QueryId
            | Self::Message
            | Self::Statement
            | Self::Thrown => Type::String,
            Self::Status | Self::State | Self::OperationType => Type::I32,
            Self::More | Self::HasResultSet | Self::RunAsync => Type::Bool,
            Self::Strings(field) => field.wire_type(),
        }
    }
}

/// A field id below 64, as all that are looked for are.
#[derive(Clone, Copy)]
pub(super) struct SmallId(u8);

impl SmallId {
    /// None for others.
    pub(super) const fn new(id: i16) -> Option<Self> {
        if 0 <= id && id < 64 { Some(Self(id.to_be_bytes()[1])) } else { None }
    }

    /// Its bit among those of all small ids.
    pub(super) const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// A place in a message: the ids of the fields that lead there, one byte for each, so that two places are
/// compared as two numbers. All ids that are looked for are small; all others share one number, which is
/// never looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldPath(u64);

impl FieldPath {
    /// Inside the struct that stands here, before its first field.
    pub(super) const fn inward(self) -> Self {
        Self(self.0 << 8)
    }

    /// The struct around this field.
    pub(super) const fn outward(self) -> Self {
        Self(self.0 >> 8)
    }

    /// Another field of the same struct.
    pub(super) const fn beside(self, id: SmallId) -> Self {
        // 0 stands for no field.
        Self(self.0 & !0xff | (id.0 as u64 + 1))
    }

    /// Another field of the same struct, with an id that is never looked for.
    pub(super) const fn beside_any(self) -> Self {
        Self(self.0 | 0xff)
    }
}

/// A value that the scanner remembers.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    pub(super) path: FieldPath,
    /// [`Slot::wire_type`], kept here because every field at this place is compared with it.
    pub(super) kind: Type,
    /// What stands there.
    pub slot: Slot,
}

impl Watch {
    /// The value at this path: field ids from the outermost struct inwards, at most [`WATCH_DEPTH`] of them.
    pub(super) const fn at(path: &[i16], slot: Slot) -> Self {
        assert!(path.len() <= WATCH_DEPTH);
        let (mut field_path, mut rest) = (FieldPath(0), path);
        while let [id, inner @ ..] = rest {
            let Some(id) = SmallId::new(*id) else { panic!("ids that are looked for are small") };
            field_path = field_path.inward().beside(id);
            rest = inner;
        }
        Self { path: field_path, kind: slot.wire_type(), slot }
    }
}
