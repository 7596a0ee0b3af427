mod containers;
mod facts;
mod limits;
mod pieces;

use proptest::prelude::*;

use super::*;
use crate::wire::facts::{Facts, Handle, Name};
use crate::wire::thrift::MAX_DEPTH;
use crate::wire::thrift::MessageType;
use crate::wire::watch::Strings;

const LIMIT: u64 = 1 << 30;
const GUID: [u8; 16] = *b"0123456789abcdef";
const SECRET: [u8; 16] = *b"a secret 16 long";
/// As a query id prints [`GUID`].
const QUERY_TEXT: &str = "3736353433323130:6665646362613938";

/// Writes Thrift by hand, so that the tests do not lean on what they test.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn message(kind: u8, name: &str, seqid: i32) -> Self {
        let mut bytes = Self(vec![0x80, 1, 0, kind]);
        bytes.string(name.as_bytes());
        bytes.0.extend(seqid.to_be_bytes());
        bytes
    }

    fn field(&mut self, kind: u8, id: i16) -> &mut Self {
        self.0.push(kind);
        self.0.extend(id.to_be_bytes());
        self
    }

    fn i32(&mut self, number: i32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn string(&mut self, bytes: &[u8]) -> &mut Self {
        self.i32(i32::try_from(bytes.len()).unwrap());
        self.0.extend(bytes);
        self
    }

    fn stops(&mut self, count: usize) -> &mut Self {
        self.0.extend(vec![0; count]);
        self
    }

    /// A `TSessionHandle` or `TOperationHandle` as field `id`.
    fn handle(&mut self, id: i16, guid: &[u8], secret: &[u8]) -> &mut Self {
        self.field(12, id).field(12, 1).field(11, 1).string(guid).field(11, 2).string(secret).stops(2)
    }
}

fn call_with_handle(method: &str) -> Bytes {
    let mut bytes = Bytes::message(1, method, 7);
    bytes.field(12, 1).handle(1, &GUID, &SECRET).field(8, 9).i32(42).stops(2);
    bytes
}

fn open_session_reply(status: i32) -> Bytes {
    let mut bytes = Bytes::message(2, "OpenSession", 1);
    bytes.field(12, 0).field(12, 1).field(8, 1).i32(status);
    bytes.field(11, 5).string(b"Server is being shut down: soon").stops(1);
    bytes.field(8, 2).i32(5).handle(3, &GUID, &SECRET);
    bytes.field(13, 4).0.extend([11, 11, 0, 0, 0, 1]);
    bytes.string(b"key").string(b"value").stops(2);
    bytes
}

fn scan(mut scanner: Scanner, chunks: &[&[u8]]) -> Result<(Facts, usize, bool), ScanError> {
    let mut used = 0;
    let mut done = false;
    for chunk in chunks {
        assert!(!done || chunk.is_empty(), "bytes after the end");
        let step = scanner.push(chunk)?;
        used += step.used;
        done = step.done;
    }
    Ok((scanner.facts().clone(), used, done))
}

fn scan_request(bytes: &[u8]) -> Result<(Facts, usize, bool), ScanError> {
    scan(Scanner::request(LIMIT), &[bytes])
}

const HANDLE: Option<Handle> = Some(Handle { guid: GUID, secret: SECRET });

/// The body of a request that has nothing but a field 5 of type struct, left open for `rest`.
fn request_with(rest: impl FnOnce(&mut Bytes)) -> Bytes {
    let mut bytes = Bytes::message(1, "Whatever", 1);
    rest(&mut bytes);
    bytes
}
