//! What a scanner refuses, and what it may take.

use super::*;

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
fn a_megabyte_method_name_is_refused() {
    let bytes = Bytes::message(1, &"x".repeat(1 << 20), 0);
    assert_eq!(scan_request(&bytes.0).err(), Some(ScanError::NameLength { len: 1 << 20 }));
    let empty = Bytes::message(1, "", 0);
    assert_eq!(scan_request(&empty.0).err(), Some(ScanError::NameLength { len: 0 }));
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
