//! Each kind of client by its first bytes, and what is nearly one.

use proptest::prelude::*;

use super::*;

/// One beginning of each kind, as clients send it.
fn known() -> Vec<(Detection, Vec<u8>)> {
    let open_session = b"\x80\x01\x00\x01\x00\x00\x00\x0bOpenSession\x00\x00\x00\x00\x0c\x00\x01";
    let mut frame = vec![0x00, 0x00, 0x00, 0x37];
    frame.extend_from_slice(open_session);
    let mut big_frame = vec![0x01, 0x00, 0x00, 0x06];
    big_frame.extend_from_slice(open_session);
    vec![
        (Detection::Proxy, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
        (Detection::Proxy, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec()),
        (Detection::Tls, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        (Detection::Tls, b"\x16\x03\x03\x00".to_vec()),
        (Detection::Http, b"POST /cliservice HTTP/1.1\r\n".to_vec()),
        (Detection::Http, b"GET / HTTP/1.1\r\n".to_vec()),
        (Detection::Http, b"OPTIONS * HTTP/1.1\r\n".to_vec()),
        (Detection::Sasl, b"\x01\x00\x00\x00\x05PLAIN\x02\x00\x00\x00\x06\0u1\0p1".to_vec()),
        (Detection::Sasl, b"\x01\x00\x00\x00\x06GSSAPI\x02\x00\x00\x02\xa8".to_vec()),
        (Detection::Sasl, b"\x01\x00\x00\x00\x12SCRAM-SHA-256-PLUS".to_vec()),
        (Detection::Sasl, b"\x01\x00\x00\x00\x01X".to_vec()),
        (Detection::Thrift, open_session.to_vec()),
        (Detection::Framed, frame),
        (Detection::Framed, big_frame),
    ]
}

#[test]
fn each_kind_of_client_is_known_by_its_first_bytes() {
    for (detection, bytes) in known() {
        assert_eq!(detect(&bytes), detection, "{bytes:x?}");
    }
}

#[test]
fn every_prefix_of_a_known_kind_waits_or_agrees_and_sixteen_bytes_suffice() {
    for (detection, bytes) in known() {
        for end in 0..=bytes.len() {
            let seen = detect(&bytes[..end]);
            assert!(
                seen == detection || seen == Detection::NeedMore && end < DETECT_BYTES,
                "{end}: {bytes:x?}"
            );
        }
    }
}

#[test]
fn each_kind_is_decided_at_the_first_byte_that_allows_it() {
    let decided = |bytes: &[u8]| (0..=bytes.len()).find(|&end| detect(&bytes[..end]) != Detection::NeedMore);
    let at: Vec<_> = known().iter().map(|(_, bytes)| decided(bytes)).collect();
    let expected = [6, 12, 3, 3, 5, 4, 8, 10, 11, 16, 6, 8, 12, 12];
    assert_eq!(at, expected.map(Some));
}

#[test]
fn what_is_not_ours_is_unknown_as_soon_as_it_shows() {
    let unknown: [&[u8]; 22] = [
        b"a",
        b"abc",
        b"\x40\x00\x00\x01",
        b"\x7f\xff\xff\xff\x80\x01\x00\x01\x00\x00\x00\x0b",
        b"\x00\x00\x00\x0bOpenSession",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x0d\x80\x01\x00\x01",
        b"\x00\x00\x00\x0e\x80\x01\x00\x01\x00\x00\x00\x02",
        b"\x00\x00\x00\x40\x80\x01\x00\x05",
        b"\x80\x01\x00\x00",
        b"\x80\x01\x00\x01\x00\x00\x00\x00",
        b"\x80\x01\x00\x01\xff",
        b"\x80\x01\x01",
        b"\xff\xff\xff\xff",
        b"\x16\x03\x05\x00\x00",
        b"\x16\x04\x00\x00\x00",
        b"\x01\x00\x00\x00\x05plain",
        b"\x01\x00\x00\x00\x00",
        b"\x01\x00\x00\x00\x15ABCDEFGHIJKLMNOPQRSTU",
        b"\x02\x00\x00\x00\x05PLAIN",
        b"post / HTTP/1.1",
        b"SSH-2.0-OpenSSH",
    ];
    for bytes in unknown {
        assert_eq!(detect(bytes), Detection::Unknown, "{bytes:x?}");
    }
}

#[test]
fn the_shortest_and_the_longest_that_are_sound_are_known() {
    let longest_name = b"\x01\x00\x00\x00\x14ABCDEFGHIJKLMNOPQRST";
    assert_eq!(detect(longest_name), Detection::Sasl);
    let shortest_frame = b"\x00\x00\x00\x0e\x80\x01\x00\x04\x00\x00\x00\x01";
    assert_eq!(detect(shortest_frame), Detection::Framed);
    assert_eq!(detect(b"\x80\x01\x00\x04\x00\x00\x00\x01"), Detection::Thrift);
    assert_eq!(detect(b"\x16\x03\x04"), Detection::Tls);
}

#[test]
fn a_frame_of_sixteen_megabytes_is_not_taken_for_a_negotiation() {
    assert_eq!(detect(b"\x01\x00\x00\x06"), Detection::NeedMore);
    assert_eq!(detect(b"\x01\x00\x00\x06\x80\x01\x00\x01\x00\x00\x00\x0b"), Detection::Framed);
    assert_eq!(detect(b"\x01\x23\x45\x67\x80\x01\x00\x01\x00\x00\x00\x0b"), Detection::Framed);
}

#[test]
fn names_of_two_gigabytes_and_frames_of_one_are_thrift_for_the_parser_to_refuse() {
    assert_eq!(detect(b"\x80\x01\x00\x01\x7f\xff\xff\xff"), Detection::Thrift);
    assert_eq!(detect(b"\x40\x00\x00\x00\x80\x01\x00\x01\x3f\xff\xff\xf3"), Detection::Framed);
}

/// Arbitrary bytes are nearly always unknown at once, so half of the inputs are known ones with one byte
/// changed.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let changed = (prop::sample::select(known()), 0..DETECT_BYTES, any::<u8>()).prop_map(
        |((_, mut bytes), at, byte)| {
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            bytes
        },
    );
    prop_oneof![prop::collection::vec(any::<u8>(), 0..40), changed]
}

#[test]
fn what_has_no_place_where_it_came_is_told_by_what_there_is_of_it() {
    let known: [(Speech, &[u8]); 7] = [
        (Speech::TlsAlert, b"\x15\x03\x03\x00\x02\x02\x0a"),
        (Speech::Tls, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (Speech::HttpResponse, b"HTTP/1.1 400 Bad Request\r\n"),
        (Speech::HttpRequest, b"GET / HTTP/1.1\r\n"),
        (Speech::Thrift, b"\x80\x01\x00\x02\x00\x00\x00\x0bOpenSession"),
        (Speech::Sasl, b"\x04\x00\x00\x00\x13Invalid status -128"),
        (Speech::Framed, b"\x00\x00\x00\x37\x80\x01\x00\x02\x00\x00\x00\x0bOpenSession"),
    ];
    for (speech, bytes) in known {
        for end in 1..=bytes.len() {
            assert_eq!(Speech::guess(&bytes[..end]), Some(speech), "{end} of {bytes:x?}");
        }
    }
    for bytes in [&b""[..], b"\xff\xff\xff\xfe", b"SSH-2.0-x", b"hunt", b"\x15\x03\x03\x01\x00"] {
        assert_eq!(Speech::guess(bytes), None, "{bytes:x?}");
    }
}

proptest! {
    #[test]
    fn a_guess_is_what_is_detected(bytes in inputs()) {
        let guessed = match detect(&bytes) {
            Detection::Tls => Speech::Tls,
            Detection::Http => Speech::HttpRequest,
            Detection::Sasl => Speech::Sasl,
            Detection::Thrift => Speech::Thrift,
            // A frame of 16 MiB and more may be taken for something else; a client's first is never so large.
            Detection::Framed if bytes[0] == 0 => Speech::Framed,
            _ => return Ok(()),
        };
        prop_assert_eq!(Speech::guess(&bytes), Some(guessed));
    }

    #[test]
    fn more_bytes_never_change_an_answer(bytes in inputs()) {
        let whole = detect(&bytes);
        for end in 0..bytes.len() {
            let seen = detect(&bytes[..end]);
            prop_assert!(seen == Detection::NeedMore || seen == whole, "{} of {:x?}", end, bytes);
        }
    }

    #[test]
    fn sixteen_bytes_always_decide(bytes in prop::collection::vec(any::<u8>(), DETECT_BYTES..40)) {
        prop_assert_ne!(detect(&bytes), Detection::NeedMore);
    }

    #[test]
    fn waiting_is_worth_it(bytes in inputs()) {
        // If more bytes are asked for, some continuation is one of ours. Each step offers the bytes that
        // occur in the known kinds at that place; one of them must lead on.
        for end in 0..bytes.len().min(DETECT_BYTES) {
            if detect(&bytes[..end]) == Detection::NeedMore {
                prop_assert!(completes(&bytes[..end]), "{:x?}", &bytes[..end]);
            }
        }
    }
}

fn completes(prefix: &[u8]) -> bool {
    match detect(prefix) {
        Detection::Unknown => false,
        Detection::NeedMore => b"\x00\x80\x01\x03\x05\r\nACDEGHILNOPQRSTUXY "
            .iter()
            .any(|&next| completes(&[prefix, &[next]].concat())),
        _ => true,
    }
}
