//! The calls of the benchmark as bytes: Thrift's binary protocol and SASL PLAIN, written by hand, so that neither side of
//! the measurement leans on the router's own parser. Every message of a kind has one length, so nobody needs to parse.

/// What stands before the messages of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Unframed messages from the first byte on.
    Nosasl,
    /// A PLAIN handshake, then every message in a frame.
    Plain,
}

/// Bytes of a guid and of a secret.
const PART: usize = 16;
/// How long the statement is that every session runs.
const STATEMENT: &[u8] = b"select id, name, amount from sales.orders where day = '2026-11-22' limit 10";

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

    fn columns(self, bytes: &mut Bytes) {
        match self {
            Self::Few => bytes.strings(Shape { columns: 3, rows: 10 }),
            Self::Numbers64K => bytes.numbers(Shape::of(8, 8, 64 << 10)),
            Self::Numbers16M => bytes.numbers(Shape::of(8, 8, 16 << 20)),
            Self::Strings64K => bytes.strings(Shape::of(4, 24, 64 << 10)),
            Self::Strings16M => bytes.strings(Shape::of(4, 24, 16 << 20)),
        }
    }
}

/// How large a result is.
#[derive(Clone, Copy)]
struct Shape {
    columns: usize,
    rows: usize,
}

impl Shape {
    /// As many rows as fit into `total` bytes; a value takes `each`.
    fn of(columns: usize, each: usize, total: usize) -> Self {
        Self { columns, rows: total / (each * columns) }
    }
}

const BOOL: u8 = 2;
const I64: u8 = 10;
const I32: u8 = 8;
const STRING: u8 = 11;
const STRUCT: u8 = 12;
const MAP: u8 = 13;
const LIST: u8 = 15;

struct Bytes(Vec<u8>);

impl Bytes {
    fn message(kind: u8, call: Call) -> Self {
        let mut bytes = Self(vec![0x80, 1, 0, kind]);
        bytes.string(call.name().as_bytes());
        bytes.i32(0);
        bytes
    }

    fn field(&mut self, kind: u8, id: i16) {
        self.0.push(kind);
        self.0.extend(id.to_be_bytes());
    }

    fn stop(&mut self) {
        self.0.push(0);
    }

    fn i32(&mut self, number: i32) {
        self.0.extend(number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).expect("the benchmark's messages are small enough"));
    }

    fn string(&mut self, text: &[u8]) {
        self.count(text.len());
        self.0.extend(text);
    }

    /// A handle's struct; an operation's has its type and whether it has rows besides.
    fn handle(&mut self, id: i16, handle: &Handle, of: Of) {
        self.field(STRUCT, id);
        self.field(STRUCT, 1);
        self.field(STRING, 1);
        self.string(&handle.guid);
        self.field(STRING, 2);
        self.string(&handle.secret);
        self.stop();
        if of == Of::Operation {
            self.field(I32, 2);
            self.i32(0);
            self.field(BOOL, 3);
            self.0.push(1);
        }
        self.stop();
    }

    fn success(&mut self) {
        self.field(STRUCT, 1);
        self.field(I32, 1);
        self.i32(0);
        self.stop();
    }

    fn options(&mut self, id: i16) {
        self.field(MAP, id);
        self.0.extend([STRING, STRING]);
        self.count(2);
        for text in ["use:database", "default", "set:mem_limit", "2g"] {
            self.string(text.as_bytes());
        }
    }

    fn numbers(&mut self, shape: Shape) {
        self.columns(shape, 5, I64, |bytes, row| bytes.0.extend((row as u64).to_be_bytes()));
    }

    fn strings(&mut self, shape: Shape) {
        self.columns(shape, 7, STRING, |bytes, row| {
            bytes.string(format!("string number {row:06}").as_bytes());
        });
    }

    /// `TRowSet.columns`: `id` is the field of `TColumn` for values of this kind.
    fn columns(&mut self, shape: Shape, id: i16, kind: u8, value: impl Fn(&mut Self, usize)) {
        self.field(LIST, 3);
        self.0.push(STRUCT);
        self.count(shape.columns);
        for _ in 0..shape.columns {
            self.field(STRUCT, id);
            self.field(LIST, 1);
            self.0.push(kind);
            self.count(shape.rows);
            for row in 0..shape.rows {
                value(self, row);
            }
            self.field(STRING, 2);
            self.string(&[]);
            self.stop();
            self.stop();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Session,
    Operation,
}

/// A request with sequence id 0, unframed.
pub(crate) fn request(call: Call, handle: &Handle, rows: Rows) -> Vec<u8> {
    let mut bytes = Bytes::message(1, call);
    bytes.field(STRUCT, 1);
    match call {
        Call::OpenSession => {
            bytes.field(I32, 1);
            bytes.i32(5);
            bytes.field(STRING, 2);
            bytes.string(b"bench");
            bytes.options(4);
        }
        Call::GetInfo => {
            bytes.handle(1, handle, Of::Session);
            // TGetInfoType: the name of the database product, which drivers ask for when they connect.
            bytes.field(I32, 2);
            bytes.i32(17);
        }
        Call::ExecuteStatement => {
            bytes.handle(1, handle, Of::Session);
            bytes.field(STRING, 2);
            bytes.string(STATEMENT);
            bytes.options(3);
            bytes.field(BOOL, 4);
            bytes.0.push(1);
        }
        Call::GetOperationStatus | Call::CloseOperation => bytes.handle(1, handle, Of::Operation),
        Call::FetchResults => {
            bytes.handle(1, handle, Of::Operation);
            bytes.field(I32, 2);
            bytes.i32(0);
            bytes.field(I64, 3);
            bytes.0.extend((rows as i64).to_be_bytes());
        }
        Call::CloseSession => bytes.handle(1, handle, Of::Session),
    }
    bytes.stop();
    bytes.stop();
    bytes.0
}

/// What a fetch asks for, read back from a request of [`request`]: the number is its last but the two stops.
pub(crate) fn rows_of(fetch: &[u8]) -> Option<Rows> {
    let place = *fetch.get(fetch.len().checked_sub(3)?)?;
    Rows::ALL.get(usize::from(place)).copied()
}

/// The reply to a request, with sequence id 0, unframed; `handle` is what it mints.
pub(crate) fn reply(call: Call, handle: &Handle, rows: Rows) -> Vec<u8> {
    let mut bytes = Bytes::message(2, call);
    bytes.field(STRUCT, 0);
    bytes.success();
    match call {
        Call::OpenSession => {
            bytes.field(I32, 2);
            bytes.i32(5);
            bytes.handle(3, handle, Of::Session);
            bytes.options(4);
        }
        Call::GetInfo => {
            bytes.field(STRUCT, 2);
            bytes.field(STRING, 1);
            bytes.string(b"Impala");
            bytes.stop();
        }
        Call::ExecuteStatement => bytes.handle(2, handle, Of::Operation),
        Call::GetOperationStatus => {
            // TOperationState: still running.
            bytes.field(I32, 2);
            bytes.i32(1);
            bytes.field(BOOL, 9);
            bytes.0.push(1);
        }
        Call::FetchResults => {
            bytes.field(BOOL, 2);
            bytes.0.push(u8::from(rows != Rows::Few));
            bytes.field(STRUCT, 3);
            bytes.field(I64, 1);
            bytes.0.extend(0i64.to_be_bytes());
            bytes.field(LIST, 2);
            bytes.0.push(STRUCT);
            bytes.count(0);
            rows.columns(&mut bytes);
            bytes.stop();
        }
        Call::CloseOperation | Call::CloseSession => {}
    }
    bytes.stop();
    bytes.stop();
    bytes.0
}

/// Where [`Handle::BLANK`] stands in a message; its secret follows seven bytes after the guid.
pub(crate) fn blank_at(message: &[u8]) -> Option<usize> {
    message.windows(PART).position(|window| window == Handle::BLANK.guid)
}

/// Distance from a guid's first byte to its secret's.
pub(crate) const SECRET_AFTER: usize = PART + 7;

/// What a client opens a PLAIN handshake with, in one write.
pub(crate) fn plain_opening() -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0, 5];
    bytes.extend(b"PLAIN");
    let response = b"\0bench\0secret";
    bytes.extend([2, 0, 0, 0, u8::try_from(response.len()).expect("it is short")]);
    bytes.extend(response);
    bytes
}

/// What a PLAIN handshake is answered with.
pub(crate) const PLAIN_ACCEPTED: [u8; 5] = [5, 0, 0, 0, 0];

/// The header of a frame with so many bytes.
pub(crate) fn frame_header(payload: usize) -> [u8; 4] {
    u32::try_from(payload).expect("the benchmark's frames are small enough").to_be_bytes()
}

/// Takes the headers of frames out of a byte stream. A proxy may cut frames anew, so their bounds mean nothing.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    header: [u8; 4],
    have: usize,
    left: usize,
}

impl Deframer {
    /// Hands on the payload in these bytes, piece by piece.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some((&first, after)) = bytes.split_first() {
            if self.left == 0 {
                self.header[self.have] = first;
                self.have += 1;
                bytes = after;
                if self.have == 4 {
                    self.have = 0;
                    self.left = u32::from_be_bytes(self.header) as usize;
                }
                continue;
            }
            let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
            take(now);
            self.left -= now.len();
            bytes = rest;
        }
    }
}
