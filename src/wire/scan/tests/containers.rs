//! Containers that a scanner passes over.

use super::*;

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
