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

#[test]
fn a_request_is_followed_to_its_end_and_no_further() {
    let bytes = call_with_handle("GetInfo");
    let mut longer = bytes.clone();
    longer.0.extend(b"the next message");
    let (facts, used, done) = scan_request(&longer.0).unwrap();
    assert!(done);
    assert_eq!(used, bytes.0.len());
    assert_eq!(facts.name.as_bytes(), b"GetInfo");
    assert_eq!(facts.seqid, 7);
    assert_eq!(facts.handle(), HANDLE);
}

#[test]
fn every_prefix_is_incomplete_and_every_split_finds_the_same() {
    for bytes in [call_with_handle("CloseSession"), call_with_handle("NoSuchMethod")] {
        for end in 0..bytes.0.len() {
            let (_, used, done) = scan_request(&bytes.0[..end]).unwrap();
            assert_eq!((used, done), (end, false), "prefix of {end}");
        }
        for at in 0..=bytes.0.len() {
            let (head, tail) = bytes.0.split_at(at);
            let (facts, used, done) = scan(Scanner::request(LIMIT), &[head, tail]).unwrap();
            assert_eq!((used, done, facts.handle()), (bytes.0.len(), true, HANDLE), "split at {at}");
        }
        let single: Vec<&[u8]> = bytes.0.chunks(1).collect();
        let (facts, used, done) = scan(Scanner::request(LIMIT), &single).unwrap();
        assert_eq!((used, done, facts.handle()), (bytes.0.len(), true, HANDLE));
    }
}

#[test]
fn a_handle_is_found_when_its_fields_come_in_another_order() {
    let mut bytes = Bytes::message(1, "FetchResults", 0);
    bytes.field(12, 1).field(10, 3).0.extend([0; 8]);
    bytes.field(12, 1).field(2, 3).0.push(1);
    bytes.field(12, 1).field(11, 2).string(&SECRET).field(11, 1).string(&GUID).stops(4);
    let (facts, _, done) = scan_request(&bytes.0).unwrap();
    assert!(done);
    assert_eq!(facts.handle(), HANDLE);
}

#[test]
fn profile_and_summary_have_two_handles_or_a_query_id() {
    let mut hs2 = Bytes::message(1, "GetRuntimeProfile", 0);
    hs2.field(12, 1).handle(1, &GUID, &SECRET).handle(2, &SECRET, &GUID).stops(2);
    let (facts, ..) = scan_request(&hs2.0).unwrap();
    assert_eq!(facts.handle(), HANDLE);
    assert_eq!(facts.second_handle(), Some(Handle { guid: SECRET, secret: GUID }));
    assert_eq!(facts.query_id, None);

    let mut beeswax = Bytes::message(1, "GetRuntimeProfile", 0);
    beeswax.field(12, 1).field(11, 1).string(QUERY_TEXT.as_bytes()).field(11, 2).string(b"1f:2e").stops(2);
    let (facts, ..) = scan_request(&beeswax.0).unwrap();
    assert_eq!(facts.handle(), None);
    assert_eq!(facts.query_id, Some(Some(GUID)));
}

#[test]
fn beeswax_query_ids_are_found_and_statements_are_not_taken_for_them() {
    let mut log = Bytes::message(1, "get_log", 0);
    log.field(11, 1).string(QUERY_TEXT.as_bytes()).stops(1);
    assert_eq!(scan_request(&log.0).unwrap().0.query_id, Some(Some(GUID)));

    let mut query = Bytes::message(1, "query", 0);
    query.field(12, 1).field(11, 1).string(b"select 1").stops(2);
    assert_eq!(scan_request(&query.0).unwrap().0.query_id, None);

    // It names nothing, but whoever sends it speaks Beeswax.
    for text in ["", "1f:2e", &QUERY_TEXT.repeat(10)] {
        let mut other = Bytes::message(1, "get_log", 0);
        other.field(11, 1).string(text.as_bytes()).stops(1);
        let single: Vec<&[u8]> = other.0.chunks(1).collect();
        let (facts, ..) = scan(Scanner::request(LIMIT), &single).unwrap();
        assert_eq!((facts.query_id, facts.key()), (Some(None), None), "{text}");
    }
}

#[test]
fn a_name_in_no_table_is_remembered_whole_and_one_that_is_takes_no_memory() {
    for (name, kept) in [("NoSuchMethod", true), ("unknown", true), ("GetInfo", false)] {
        let bytes = call_with_handle(name);
        for size in [1, 7, 1000] {
            let chunks: Vec<&[u8]> = bytes.0.chunks(size).collect();
            let (facts, ..) = scan(Scanner::request(LIMIT), &chunks).unwrap();
            assert_eq!(facts.name.as_bytes(), name.as_bytes());
            assert_eq!(matches!(facts.name, Name::Other(_)), kept, "{name}");
        }
    }
}

#[test]
fn facts_take_less_than_three_cache_lines_of_every_call_under_way() {
    assert!(size_of::<Facts>() <= 160, "{} bytes", size_of::<Facts>());
}

#[test]
fn a_handle_that_is_not_16_and_16_bytes_is_none() {
    for (guid, secret) in [(&b""[..], &b""[..]), (&GUID[..15], &SECRET[..]), (&GUID[..], &[0; 17][..])] {
        let mut bytes = Bytes::message(1, "GetOperationStatus", 0);
        bytes.field(12, 1).handle(1, guid, secret).stops(2);
        let (facts, _, done) = scan_request(&bytes.0).unwrap();
        assert!(done);
        assert_eq!(facts.handle(), None);
    }
}

#[test]
fn a_handle_of_another_shape_is_none() {
    let mut number = Bytes::message(1, "GetInfo", 0);
    number.field(12, 1).field(8, 1).i32(5).stops(2);
    assert_eq!(scan_request(&number.0).unwrap().0.handle(), None);

    // The same path, but inside a list: not the request's handle.
    let mut listed = Bytes::message(1, "GetInfo", 0);
    listed.field(15, 1).0.push(12);
    listed.i32(1).handle(1, &GUID, &SECRET).stops(2);
    let (facts, _, done) = scan_request(&listed.0).unwrap();
    assert!(done);
    assert_eq!(facts.handle(), None);
}

#[test]
fn the_facts_of_replies_are_found() {
    let open = method::lookup(b"OpenSession");
    let bytes = open_session_reply(3);
    let (facts, used, done) = scan(Scanner::reply(open, LIMIT), &[&bytes.0]).unwrap();
    assert_eq!((used, done), (bytes.0.len(), true));
    assert_eq!((facts.status, facts.handle()), (Some(3), HANDLE));
    assert!(facts.message().starts_with(b"Server is being shut down:"));

    let mut rows = Bytes::message(2, "FetchResults", 0);
    rows.field(12, 0).field(12, 1).field(8, 1).i32(0).stops(1).field(2, 2).0.push(1);
    rows.stops(2);
    let fetch = method::lookup(b"FetchResults");
    let (facts, ..) = scan(Scanner::reply(fetch, LIMIT), &[&rows.0]).unwrap();
    assert_eq!((facts.status, facts.more), (Some(0), Some(true)));

    let mut thrown = Bytes::message(2, "query", 0);
    thrown.field(12, 1).field(11, 1).string(b"no").stops(2);
    let (facts, ..) = scan(Scanner::reply(method::lookup(b"query"), LIMIT), &[&thrown.0]).unwrap();
    assert!(facts.thrown);

    let mut exception = Bytes::message(3, "OpenSession", 0);
    exception.field(11, 1).string(b"Invalid method name").field(8, 2).i32(1).stops(1);
    let (facts, ..) = scan(Scanner::reply(open, LIMIT), &[&exception.0]).unwrap();
    assert!(facts.is_exception());
    assert_eq!(facts.message(), b"Invalid method name");
    assert_eq!(facts.status, None);
}

#[test]
fn columns_of_every_type_are_passed_over() {
    let mut bytes = Bytes::message(2, "FetchResults", 0);
    bytes.field(12, 0).field(12, 3).field(15, 3).0.push(12);
    bytes.i32(2);
    // TColumn.i64Val {1: list<i64>, 2: nulls}
    bytes.field(12, 5).field(15, 1).0.push(10);
    bytes.i32(3).0.extend([9; 24]);
    bytes.field(11, 2).string(&[0]).stops(2);
    // TColumn.stringVal
    bytes.field(12, 7).field(15, 1).0.push(11);
    bytes.i32(4).string(b"").string(b"one").string(&[7; 300]).string(b"four");
    bytes.field(11, 2).string(&[0]).stops(2);
    bytes.stops(3);
    let method = method::lookup(b"FetchResults");
    for size in [1, 2, 3, 5, 7, 64, 10_000] {
        let chunks: Vec<&[u8]> = bytes.0.chunks(size).collect();
        let (_, used, done) = scan(Scanner::reply(method, LIMIT), &chunks).unwrap();
        assert_eq!((used, done), (bytes.0.len(), true), "in pieces of {size}");
    }
}

#[test]
fn negative_lengths_and_counts_are_refused() {
    let string = request_with(|bytes| {
        bytes.field(11, 1).i32(-1);
    });
    assert_eq!(scan_request(&string.0).err(), Some(ScanError::Negative { len: -1 }));
    let list = request_with(|bytes| {
        bytes.field(15, 1).0.push(8);
        bytes.i32(i32::MIN);
    });
    assert_eq!(scan_request(&list.0).err(), Some(ScanError::Negative { len: i32::MIN }));
    let map = request_with(|bytes| {
        bytes.field(13, 1).0.extend([11, 11]);
        bytes.i32(-7);
    });
    assert_eq!(scan_request(&map.0).err(), Some(ScanError::Negative { len: -7 }));
    let inner = request_with(|bytes| {
        bytes.field(15, 1).0.push(11);
        bytes.i32(2).i32(-2);
    });
    assert_eq!(scan_request(&inner.0).err(), Some(ScanError::Negative { len: -2 }));
}

#[test]
fn lengths_past_the_limit_are_refused_before_their_bytes_come() {
    let too_long = Some(ScanError::TooLong { limit: LIMIT });
    let string = request_with(|bytes| {
        bytes.field(11, 1).i32(i32::MAX);
    });
    assert_eq!(scan_request(&string.0).err(), too_long);
    let list = request_with(|bytes| {
        bytes.field(15, 1).0.push(12);
        bytes.i32(i32::MAX);
    });
    assert_eq!(scan_request(&list.0).err(), too_long);
    let map = request_with(|bytes| {
        bytes.field(13, 1).0.extend([10, 10]);
        bytes.i32(i32::MAX);
    });
    assert_eq!(scan_request(&map.0).err(), too_long);
}

#[test]
fn a_message_longer_than_the_limit_is_refused() {
    let mut bytes = Bytes::message(1, "GetInfo", 0);
    for id in 100..200 {
        bytes.field(11, id).string(&[0; 20]);
    }
    let error = bytes.0.chunks(10).try_fold(Scanner::request(1000), |mut scanner, chunk| {
        scanner.push(chunk)?;
        Ok::<_, ScanError>(scanner)
    });
    assert_eq!(error.err(), Some(ScanError::TooLong { limit: 1000 }));
}

#[test]
fn nesting_ten_thousand_deep_is_refused() {
    let structs = request_with(|bytes| {
        for _ in 0..10_000 {
            bytes.field(12, 1);
        }
    });
    assert_eq!(scan_request(&structs.0).err(), Some(ScanError::TooDeep));
    let lists = request_with(|bytes| {
        bytes.field(15, 1);
        for _ in 0..10_000 {
            bytes.0.push(15);
            bytes.i32(1);
        }
    });
    assert_eq!(scan_request(&lists.0).err(), Some(ScanError::TooDeep));
}

#[test]
fn structs_and_containers_nest_as_deep_as_is_promised_and_no_deeper() {
    // The arguments are the first level; a list and a struct in it are two more.
    let nested = |lists: usize| {
        let mut bytes = Bytes::message(1, "Whatever", 1);
        for _ in 0..lists {
            bytes.field(15, 1).0.push(12);
            bytes.i32(1);
        }
        bytes
    };
    let deepest = usize::from(MAX_DEPTH);
    assert!(scan_request(&nested((deepest - 1) / 2).0).is_ok());
    assert_eq!(scan_request(&nested(deepest / 2).0).err(), Some(ScanError::TooDeep));
    let mut structs = Bytes::message(1, "Whatever", 1);
    for _ in 1..deepest {
        structs.field(12, 1);
    }
    assert!(scan_request(&structs.clone().stops(deepest).0).unwrap().2);
    assert_eq!(scan_request(&structs.field(12, 1).0).err(), Some(ScanError::TooDeep));
    assert_eq!(scan_request(&structs_ended_by_list(deepest).0).err(), Some(ScanError::TooDeep));
    assert!(scan_request(&structs_ended_by_list(deepest - 1).0).is_ok());
}

/// So many structs, the arguments among them, and a list of strings inside.
fn structs_ended_by_list(structs: usize) -> Bytes {
    let mut bytes = Bytes::message(1, "Whatever", 1);
    for _ in 1..structs {
        bytes.field(12, 1);
    }
    bytes.field(15, 1).0.push(11);
    bytes.i32(1);
    bytes
}

#[test]
fn fields_after_deep_structs_and_containers_are_still_found() {
    let mut bytes = Bytes::message(1, "GetInfo", 0);
    bytes.field(12, 1);
    bytes.field(12, 2).field(12, 1).field(12, 1).field(12, 1).field(12, 1).field(12, 1).stops(6);
    bytes.field(15, 3).0.push(15);
    bytes.i32(1).0.push(12);
    bytes.i32(1).field(12, 1).field(11, 1).string(b"no guid").stops(2);
    bytes.handle(1, &GUID, &SECRET).stops(2);
    for size in [1, 3, 1000] {
        let chunks: Vec<&[u8]> = bytes.0.chunks(size).collect();
        let (facts, used, done) = scan(Scanner::request(LIMIT), &chunks).unwrap();
        assert_eq!((facts.handle(), used, done), (HANDLE, bytes.0.len(), true));
    }
}

#[test]
fn a_map_of_strings_to_others_is_passed_over() {
    let mut bytes = Bytes::message(1, "GetInfo", 0);
    bytes.field(13, 1).0.extend([11, 8, 0, 0, 0, 2]);
    bytes.string(b"one").i32(1).string(b"two").i32(2);
    bytes.field(13, 2).0.extend([8, 11, 0, 0, 0, 1]);
    bytes.i32(1).string(b"one");
    bytes.field(13, 3).0.extend([11, 11, 0, 0, 0, 2]);
    bytes.string(b"a").string(b"b").string(b"c").string(b"d").stops(1);
    for size in [1, 2, 5, 1000] {
        let chunks: Vec<&[u8]> = bytes.0.chunks(size).collect();
        let (facts, used, done) = scan(Scanner::request(LIMIT), &chunks).unwrap();
        assert_eq!((facts.mistyped, used, done), (None, bytes.0.len(), true), "in pieces of {size}");
    }
}

/// Each container of strings that a request can have: its method, its path, its type.
const CONTAINERS: [(&str, &[i16], u8); 9] = [
    ("OpenSession", &[1, 4], 13),
    ("SetClientInfo", &[1, 2], 13),
    ("ExecuteStatement", &[1, 3], 13),
    ("ExecutePlannedStatement", &[1, 1, 3], 13),
    ("DownloadData", &[1, 5], 13),
    ("GetTables", &[1, 5], 15),
    ("query", &[1, 3], 15),
    ("executeAndWait", &[1, 3], 15),
    ("explain", &[1, 3], 15),
];

/// A request with one field, at this path.
fn with_field(method: &str, path: &[i16], kind: u8, value: &[u8]) -> Bytes {
    let mut bytes = Bytes::message(1, method, 0);
    let (last, around) = path.split_last().unwrap();
    for id in around {
        bytes.field(12, *id);
    }
    bytes.field(kind, *last).0.extend(value);
    bytes.stops(path.len());
    bytes
}

fn mistyped(bytes: &Bytes) -> Option<&'static str> {
    let mut found = [1, 2, 7, 1000].map(|size| {
        let chunks: Vec<&[u8]> = bytes.0.chunks(size).collect();
        let (facts, used, done) = scan(Scanner::request(LIMIT), &chunks).unwrap();
        assert_eq!((used, done), (bytes.0.len(), true), "in pieces of {size}");
        facts.mistyped.map(Strings::name)
    });
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
    found[0].take()
}

#[test]
fn a_container_of_strings_that_says_that_it_holds_others_is_found() {
    let one = |kinds: &[u8], elements: &[u8]| [kinds, &[0, 0, 0, 1], elements].concat();
    for (method, path, kind) in CONTAINERS {
        let found = |value: &[u8]| mistyped(&with_field(method, path, kind, value));
        if kind == 13 {
            assert_eq!(found(&one(&[11, 11], &[0; 8])), None, "{method}");
            for (kinds, elements) in [([3, 3], 2), ([10, 10], 16), ([11, 3], 5), ([3, 11], 5), ([11, 12], 5)]
            {
                assert!(found(&one(&kinds, &vec![0; elements])).is_some(), "{method}: {kinds:?}");
            }
        } else {
            assert_eq!(found(&one(&[11], &[0; 4])), None, "{method}");
            for (kinds, elements) in [([3], 1), ([10], 8), ([12], 1), ([15], 5)] {
                assert!(found(&one(&kinds, &vec![0; elements])).is_some(), "{method}: {kinds:?}");
            }
        }
        // What an empty one says means nothing: no element is read.
        let empty = if kind == 13 { &[3, 3, 0, 0, 0, 0][..] } else { &[3, 0, 0, 0, 0] };
        assert_eq!(found(empty), None, "{method}");
    }
}

#[test]
fn what_a_generated_reader_passes_over_by_what_it_says_may_hold_anything() {
    for (method, path, kind) in CONTAINERS {
        // A field of a number that the IDL does not have, and one that is there as another type.
        let mut other = path.to_vec();
        *other.last_mut().unwrap() = 1281;
        for (path, kind) in [(other.as_slice(), kind), (path, if kind == 13 { 15 } else { 13 }), (path, 14)] {
            let kinds: &[u8] = if kind == 13 { &[3, 3] } else { &[6] };
            let value = [kinds, &[0, 0, 0, 1], &[0; 2]].concat();
            assert_eq!(mistyped(&with_field(method, path, kind, &value)), None, "{method}: {path:?}, {kind}");
        }
    }
}

#[test]
fn a_megabyte_method_name_is_refused() {
    let bytes = Bytes::message(1, &"x".repeat(1 << 20), 0);
    assert_eq!(scan_request(&bytes.0).err(), Some(ScanError::NameLength { len: 1 << 20 }));
    let empty = Bytes::message(1, "", 0);
    assert_eq!(scan_request(&empty.0).err(), Some(ScanError::NameLength { len: 0 }));
}

#[test]
fn two_session_handles_in_one_request_are_refused() {
    let mut bytes = Bytes::message(1, "ExecuteStatement", 0);
    bytes.field(12, 1).handle(1, &GUID, &SECRET).handle(1, &SECRET, &GUID).stops(2);
    assert_eq!(scan_request(&bytes.0).err(), Some(ScanError::Repeated { id: 1 }));
    let mut guids = Bytes::message(1, "ExecuteStatement", 0);
    guids.field(12, 1).field(12, 1).field(12, 1).field(11, 1).string(&GUID).field(11, 1);
    assert_eq!(scan_request(&guids.0).err(), Some(ScanError::Repeated { id: 1 }));
}

#[test]
fn only_calls_are_accepted_of_clients_and_only_replies_of_coordinators() {
    for kind in [0, 2, 3, 4, 9] {
        let bytes = Bytes::message(kind, "GetInfo", 0);
        let expected = MessageType::Call;
        assert_eq!(scan_request(&bytes.0).err(), Some(ScanError::WrongMessageType { byte: kind, expected }));
    }
    let call = Bytes::message(1, "GetInfo", 0);
    let expected = MessageType::Reply;
    let error = scan(Scanner::reply(&method::UNKNOWN, LIMIT), &[&call.0]).err();
    assert_eq!(error, Some(ScanError::WrongMessageType { byte: 1, expected }));
    let error = ScanError::NotStrict { word: 0x504f_5354 };
    assert_eq!(scan_request(b"POST / H").err(), Some(error));
    assert_eq!(error.to_string(), "no strict Thrift message, but what looks like an HTTP request");
    let error = scan_request(b"hunter2\0").err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("no strict Thrift message"), "what a client sent is not repeated");
}

#[test]
fn unknown_type_bytes_are_refused() {
    for byte in [1, 5, 7, 9, 16, 0x80, 0xff] {
        let field = request_with(|bytes| {
            bytes.field(byte, 1);
        });
        assert_eq!(scan_request(&field.0).err(), Some(ScanError::UnknownType { byte }));
        let list = request_with(|bytes| {
            bytes.field(15, 1).0.push(byte);
            bytes.i32(1);
        });
        assert_eq!(scan_request(&list.0).err(), Some(ScanError::UnknownType { byte }));
    }
}

/// A random value and its bytes.
fn value(kind: u8, depth: u32) -> BoxedStrategy<Vec<u8>> {
    let bytes = |n: usize| proptest::collection::vec(any::<u8>(), n).boxed();
    match kind {
        2 | 3 => bytes(1),
        6 => bytes(2),
        8 => bytes(4),
        4 | 10 => bytes(8),
        11 => proptest::collection::vec(any::<u8>(), 0..40)
            .prop_map(|text| Bytes::default().string(&text).0.clone())
            .boxed(),
        12 => fields(depth).boxed(),
        13 => (any_kind(depth), any_kind(depth), 0..4_usize)
            .prop_flat_map(move |(key, of, count)| {
                let pair = (value(key, depth - 1), value(of, depth - 1)).prop_map(|(k, v)| [k, v].concat());
                proptest::collection::vec(pair, count).prop_map(move |pairs| {
                    let mut bytes = vec![key, of];
                    bytes.extend(u32::try_from(pairs.len()).unwrap().to_be_bytes());
                    bytes.extend(pairs.concat());
                    bytes
                })
            })
            .boxed(),
        _ => (any_kind(depth), 0..5_usize)
            .prop_flat_map(move |(of, count)| {
                proptest::collection::vec(value(of, depth - 1), count).prop_map(move |values| {
                    let mut bytes = vec![of];
                    bytes.extend(u32::try_from(values.len()).unwrap().to_be_bytes());
                    bytes.extend(values.concat());
                    bytes
                })
            })
            .boxed(),
    }
}

fn any_kind(depth: u32) -> impl Strategy<Value = u8> {
    let kinds: &[u8] =
        if depth > 1 { &[2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15] } else { &[2, 3, 4, 6, 8, 10, 11] };
    proptest::sample::select(kinds)
}

fn fields(depth: u32) -> impl Strategy<Value = Vec<u8>> {
    let field =
        any_kind(depth).prop_flat_map(move |kind| value(kind, depth - 1).prop_map(move |v| (kind, v)));
    proptest::collection::vec(field, 0..5).prop_map(|fields| {
        let mut bytes = Vec::new();
        for (id, (kind, value)) in fields.into_iter().enumerate() {
            bytes.push(kind);
            bytes.extend(u16::try_from(id).unwrap().to_be_bytes());
            bytes.extend(value);
        }
        bytes.push(0);
        bytes
    })
}

fn pieces(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut out = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, after) = rest.split_at((*size).min(rest.len()));
        out.push(now.to_vec());
        rest = after;
    }
    out
}

proptest! {
    #[test]
    fn any_struct_in_any_pieces_ends_where_it_ends(
        body in fields(4),
        sizes in proptest::collection::vec(1..50_usize, 1..10),
    ) {
        let mut bytes = Bytes::message(1, "Whatever", 3);
        bytes.0.extend(body);
        let whole = scan_request(&bytes.0).unwrap();
        prop_assert_eq!((whole.1, whole.2), (bytes.0.len(), true));
        let cut = pieces(&bytes.0, &sizes);
        let chunks: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();
        let split = scan(Scanner::request(LIMIT), &chunks).unwrap();
        prop_assert_eq!((split.1, split.2), (bytes.0.len(), true));
        prop_assert_eq!(split.0.handle(), whole.0.handle());
    }

    #[test]
    fn a_scanner_that_is_used_again_finds_what_a_new_one_does(
        first in proptest::collection::vec(any::<u8>(), 0..60),
        end in 0..100_usize,
        body in fields(4),
    ) {
        let mut used = Scanner::request(LIMIT);
        let mut bytes = call_with_handle("GetRuntimeProfile");
        bytes.0.truncate(end);
        bytes.0.extend(first);
        // Wherever it ended, and whatever it refused.
        let _outcome = used.push(&bytes.0);
        used.restart_request();
        for name in ["CloseSession", "Whatever"] {
            let mut bytes = call_with_handle(name);
            bytes.0.pop();
            bytes.field(12, 2).0.extend(&body);
            bytes.0.push(0);
            let mut new = Scanner::request(LIMIT);
            for piece in bytes.0.chunks(7) {
                prop_assert_eq!(used.push(piece), new.push(piece));
            }
            prop_assert!(used.facts() == new.facts() && used.method() == new.method());
            used.restart_request();
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_pieces_make_no_difference(
        body in proptest::collection::vec(any::<u8>(), 0..400),
        sizes in proptest::collection::vec(1..20_usize, 1..10),
    ) {
        let mut bytes = Bytes::message(1, "FetchResults", 3);
        bytes.0.extend(body);
        let mut whole = Scanner::request(LIMIT);
        let expected = whole.push(&bytes.0);
        let mut split = Scanner::request(LIMIT);
        let mut used = 0;
        let mut outcome = Ok(Step { used: 0, done: false });
        for piece in pieces(&bytes.0, &sizes) {
            outcome = split.push(&piece).map(|step| {
                used += step.used;
                Step { used, done: step.done }
            });
            if !matches!(outcome, Ok(Step { done: false, .. })) {
                break;
            }
        }
        prop_assert_eq!(outcome, expected);
    }
}

#[test]
fn a_declared_length_is_held_against_the_limit_wherever_a_piece_begins() {
    let mut bytes = Bytes::message(1, "GetInfo", 0);
    bytes.field(11, 1).i32(50);
    let limit = bytes.0.len() as u64 + 49;
    let (first, second) = bytes.0.split_at(20);
    for pieces in [vec![bytes.0.as_slice()], vec![first, second]] {
        let refused = scan(Scanner::request(limit), &pieces).err();
        assert_eq!(refused, Some(ScanError::TooLong { limit }), "{} pieces", pieces.len());
        assert!(scan(Scanner::request(limit + 1), &pieces).is_ok());
    }
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_a_byte_more_is_refused() {
    let bytes = call_with_handle("GetInfo").0;
    let limit = bytes.len() as u64;
    let mut more = bytes.clone();
    more.push(0x80);
    assert_eq!(scan_limited(&more, limit).unwrap(), (bytes.len(), true), "what follows is another message's");
    assert_eq!(scan_limited(&bytes, limit - 1), Err(ScanError::TooLong { limit: limit - 1 }));
}

fn scan_limited(bytes: &[u8], limit: u64) -> Result<(usize, bool), ScanError> {
    scan(Scanner::request(limit), &[bytes]).map(|(_, used, done)| (used, done))
}

#[test]
fn a_scanner_takes_five_cache_lines_of_every_call_under_way() {
    assert!(size_of::<Scanner>() <= 320, "{} bytes", size_of::<Scanner>());
}
