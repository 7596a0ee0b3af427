//! The facts that a scanner finds, and where it finds the end of a message.

use super::*;

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
