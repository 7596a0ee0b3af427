//! The calls of the benchmark as bytes. Neither side of the measurement leans on the router's own parser, and
//! every message of a kind has one length, so nobody needs to parse.

#[expect(dead_code, reason = "the tests say and look at more")]
#[path = "../../tests/kit/message.rs"]
mod message;

use hs2router::fake::sasl::{self, Framing};

use self::message::{Message, Value};

/// What stands before the messages of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Unframed messages from the first byte on.
    Nosasl,
    /// A PLAIN handshake, then every message in a frame.
    Plain,
    /// HTTP: every message in a POST, with a name and a password (Basic).
    HttpBasic,
}

impl Auth {
    /// How messages lie on its connections, or in bodies.
    pub(crate) fn framing(self) -> Framing {
        if self == Self::Plain { Framing::Frames } else { Framing::None }
    }
}

/// Bytes of a guid and of a secret.
const PART: usize = 16;
/// How long the statement is that every session runs.
const STATEMENT: &str = "select id, name, amount from sales.orders where day = '2026-11-22' limit 10";

/// A session's or an operation's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) guid: [u8; PART],
    pub(crate) secret: [u8; PART],
}

impl Handle {
    /// A handle to be replaced; its guid is found again in an encoded message.
    pub(crate) const BLANK: Self = Self { guid: *b"guid-of-a-handle", secret: *b"secret-of-handle" };
}

/// A call of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    OpenSession,
    GetInfo,
    ExecuteStatement,
    GetOperationStatus,
    FetchResults,
    CloseOperation,
    CloseSession,
}

impl Call {
    pub(crate) const ALL: [Self; 7] = [
        Self::OpenSession,
        Self::GetInfo,
        Self::ExecuteStatement,
        Self::GetOperationStatus,
        Self::FetchResults,
        Self::CloseOperation,
        Self::CloseSession,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenSession => "OpenSession",
            Self::GetInfo => "GetInfo",
            Self::ExecuteStatement => "ExecuteStatement",
            Self::GetOperationStatus => "GetOperationStatus",
            Self::FetchResults => "FetchResults",
            Self::CloseOperation => "CloseOperation",
            Self::CloseSession => "CloseSession",
        }
    }

    /// Where in a message its sequence id stands.
    pub(crate) fn seqid_at(self) -> usize {
        8 + self.name().len()
    }
}

/// What a fetch returns. The number goes over the wire as the fetch's `maxRows`, which tells the responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Ten rows, and no more after them.
    Few,
    /// 64 KiB in eight columns of i64.
    Numbers64K,
    /// 64 KiB in four columns of 20-byte strings.
    Strings64K,
    /// As [`Self::Numbers64K`], 16 MiB.
    Numbers16M,
    /// As [`Self::Strings64K`], 16 MiB.
    Strings16M,
}

impl Rows {
    pub(crate) const ALL: [Self; 5] =
        [Self::Few, Self::Numbers64K, Self::Strings64K, Self::Numbers16M, Self::Strings16M];

    /// `TRowSet.columns`.
    fn columns(self) -> Value {
        match self {
            Self::Few => strings(3, 10),
            Self::Numbers64K => numbers(64 << 10),
            Self::Numbers16M => numbers(16 << 20),
            Self::Strings64K => strings(4, (64 << 10) / (4 * 24)),
            Self::Strings16M => strings(4, (16 << 20) / (4 * 24)),
        }
    }
}

/// So many bytes in eight columns.
fn numbers(bytes: usize) -> Value {
    let rows = i64::try_from(bytes / (8 * 8)).expect("the benchmark's messages are small enough");
    columns(8, 5, (0..rows).map(Value::I64).collect())
}

/// Strings of twenty bytes.
fn strings(columns: usize, rows: usize) -> Value {
    let text = |row| Value::text(&format!("string number {row:06}"));
    self::columns(columns, 7, (0..rows).map(text).collect())
}

/// So many times this column; `id` is the field of `TColumn` for values of their kind.
fn columns(count: usize, id: i16, values: Vec<Value>) -> Value {
    let column = Value::Struct(vec![(1, Value::List(values)), (2, Value::text(""))]);
    Value::List(vec![Value::Struct(vec![(id, column)]); count])
}

fn session(handle: &Handle) -> Value {
    message::handle(handle.guid, handle.secret)
}

/// A session's handle with an operation's type, and that it has rows.
fn operation(handle: &Handle) -> Value {
    let Value::Struct(mut fields) = session(handle) else { unreachable!("a handle is a struct") };
    fields.extend([(2, Value::I32(0)), (3, Value::Bool(true))]);
    Value::Struct(fields)
}

fn options() -> Value {
    let pairs = [("use:database", "default"), ("set:mem_limit", "2g")];
    Value::Map(pairs.map(|(key, value)| (Value::text(key), Value::text(value))).into())
}

fn call(call: Call, request: Vec<(i16, Value)>) -> Message {
    Message::call(call.name(), vec![(1, Value::Struct(request))]).seqid(0)
}

/// A request with sequence id 0, unframed.
pub(crate) fn request(of: Call, handle: &Handle, rows: Rows) -> Vec<u8> {
    let request = match of {
        // TGetInfoType: the name of the database product, which drivers ask for when they connect.
        Call::GetInfo => vec![(1, session(handle)), (2, Value::I32(17))],
        Call::OpenSession => vec![(1, Value::I32(5)), (2, Value::text("bench")), (4, options())],
        Call::ExecuteStatement => {
            let (statement, is_async) = (Value::text(STATEMENT), Value::Bool(true));
            vec![(1, session(handle)), (2, statement), (3, options()), (4, is_async)]
        }
        Call::GetOperationStatus | Call::CloseOperation => vec![(1, operation(handle))],
        Call::FetchResults => vec![(1, operation(handle)), (2, Value::I32(0)), (3, Value::I64(rows as i64))],
        Call::CloseSession => vec![(1, session(handle))],
    };
    call(of, request).encode()
}

/// What a fetch asks for, read back from a request of [`request`]: the number is its last but the two stops.
pub(crate) fn rows_of(fetch: &[u8]) -> Option<Rows> {
    let place = *fetch.get(fetch.len().checked_sub(3)?)?;
    Rows::ALL.get(usize::from(place)).copied()
}

/// The reply to a request, with sequence id 0, unframed; `handle` is what it mints.
pub(crate) fn reply(to: Call, handle: &Handle, rows: Rows) -> Vec<u8> {
    let fields = match to {
        Call::OpenSession => vec![(2, Value::I32(5)), (3, session(handle)), (4, options())],
        Call::GetInfo => vec![(2, Value::Struct(vec![(1, Value::text("Impala"))]))],
        Call::ExecuteStatement => vec![(2, operation(handle))],
        // TOperationState: still running.
        Call::GetOperationStatus => vec![(2, Value::I32(1)), (9, Value::Bool(true))],
        Call::FetchResults => {
            let set = vec![(1, Value::I64(0)), (2, Value::List(Vec::new())), (3, rows.columns())];
            vec![(2, Value::Bool(rows != Rows::Few)), (3, Value::Struct(set))]
        }
        Call::CloseOperation | Call::CloseSession => Vec::new(),
    };
    call(to, Vec::new()).done(fields).encode()
}

/// Where [`Handle::BLANK`] stands in a message; its secret follows seven bytes after the guid.
pub(crate) fn blank_at(message: &[u8]) -> Option<usize> {
    message.windows(PART).position(|window| window == Handle::BLANK.guid)
}

/// Distance from a guid's first byte to its secret's.
pub(crate) const SECRET_AFTER: usize = PART + 7;

/// What a client opens a PLAIN handshake with, in one write.
pub(crate) fn plain_opening() -> Vec<u8> {
    sasl::plain("bench", b"secret")
}

/// What a PLAIN handshake is answered with.
pub(crate) fn plain_accepted() -> Vec<u8> {
    sasl::negotiation(sasl::COMPLETE, b"")
}
