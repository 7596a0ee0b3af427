//! Heads of real clients, whole and in part, and each way in which a head is refused.

mod smuggled;

use proptest::prelude::*;

use super::*;

/// What impala-shell, Hive's JDBC driver and others send, with where the body ends.
pub(super) fn known() -> Vec<(String, Framing)> {
    let head = |lines: &[&str]| format!("{}\r\n\r\n", lines.join("\r\n"));
    vec![
        (
            head(&[
                "POST /cliservice HTTP/1.1",
                "Host: router:28000",
                "Accept-Encoding: identity",
                "Content-Type: application/x-thrift",
                "Content-Length: 1205",
                "User-Agent: Python/ImpalaHttpClient (impala-shell)",
                "Authorization: Basic YWxpY2U6c2VjcmV0",
                "X-Request-Id: 0e6b5d5e-cf1f-11f0-8d3e-0242ac110002-7",
                "Expect: 100-continue",
            ]),
            Framing::Length(1205),
        ),
        (
            head(&[
                "POST /cliservice?doAs=bob HTTP/1.1",
                "Content-Type: application/x-thrift",
                "X-XSRF-HEADER: true",
                "Authorization: Negotiate : YIICWwYJKoZIhvcSAQIC",
                "Transfer-Encoding: chunked",
                "Host: router:10001",
                "Connection: Keep-Alive",
                "Accept-Encoding: gzip,deflate",
            ]),
            Framing::Chunked,
        ),
        (head(&["POST / HTTP/1.0", "content-LENGTH:7", "Empty:"]), Framing::Length(7)),
        (
            head(&["GET /healthz HTTP/1.1", "Host: [::1]:28000", "User-Agent: J\u{fc}rgen"]),
            Framing::Length(0),
        ),
        (head(&["OPTIONS * HTTP/1.1", "A: tab\tinside"]), Framing::Length(0)),
        (head(&["POST http://router/x HTTP/1.1", "TRANSFER-encoding:  CHUNKED "]), Framing::Chunked),
        (head(&["", "POST / HTTP/1.1", "Content-Length: 0000000000000000007"]), Framing::Length(7)),
        (head(&["HEAD / HTTP/1.0"]), Framing::Length(0)),
    ]
}

/// The outcome of looking at all of it at once.
pub(super) fn outcome(head: impl AsRef<[u8]>) -> Result<Option<usize>, BadHead> {
    HeadScan::new().look(head.as_ref())
}

/// What a head is refused for that has this request line or field, and else nothing wrong.
fn refused(line: &str) -> BadHead {
    let head = if line.contains("HTTP/") {
        format!("{line}\r\nHost: a\r\n\r\n")
    } else {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
    };
    outcome(&head).expect_err(line)
}

#[test]
fn heads_of_clients_end_where_they_end() {
    for (head, framing) in known() {
        let mut scan = HeadScan::new();
        for end in 0..head.len() {
            assert_eq!(scan.look(&head.as_bytes()[..end]), Ok(None), "{head:?} at {end}");
            assert_eq!(outcome(&head.as_bytes()[..end]), Ok(None), "{head:?} at {end}");
        }
        assert_eq!(scan.look(head.as_bytes()), Ok(Some(head.len())));
        assert_eq!(scan.framing(), framing, "{head:?}");
        let with_body = format!("{head}{head}");
        assert_eq!(outcome(with_body), Ok(Some(head.len())));
        assert_eq!(scan.look(head.as_bytes()), Ok(Some(head.len())), "asking again changes nothing");
    }
}

#[test]
fn a_request_line_has_a_method_a_target_and_a_version() {
    for line in [
        "POST  / HTTP/1.1",
        "POST /\t HTTP/1.1",
        "POST / HTTP/1.1 ",
        " POST / HTTP/1.1",
        "POST  HTTP/1.1",
        " / HTTP/1.1",
        "P(ST / HTTP/1.1",
        "POST /a b HTTP/1.1",
        "POST /\u{e4} HTTP/1.1",
        "POST /#doAs HTTP/1.1",
        "POST / http/1.1 HTTP/",
        "POST / HTTP/1.1x",
        "POST / HTTP/11",
        "POST / XHTTP/1.1",
        "HTTP/1.1 200 OK",
    ] {
        assert_eq!(refused(line), BadHead::RequestLine, "{line:?}");
    }
    assert_eq!(outcome("POST\r\n"), Err(BadHead::RequestLine));
    assert_eq!(outcome("POST / http/1.1\r\n"), Err(BadHead::RequestLine));
}

#[test]
fn other_versions_are_named_as_what_is_wrong() {
    for line in ["POST / HTTP/2.0", "POST / HTTP/1.2", "POST / HTTP/0.9", "POST / HTTP/3.0"] {
        assert_eq!(refused(line), BadHead::Version, "{line:?}");
    }
    assert_eq!(outcome("GET /\r\n"), Err(BadHead::Version), "HTTP/0.9");
    assert_eq!(outcome("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(BadHead::Http2));
    assert_eq!(BadHead::Http2.status(), StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    assert!(BadHead::Http2.to_string().contains("use HTTP/1.1"));
}

#[test]
fn one_empty_line_may_come_first() {
    assert_eq!(outcome("\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some(20)));
    assert_eq!(outcome("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Err(BadHead::EmptyLines));
    assert_eq!(outcome("\nGET / HTTP/1.1\r\n\r\n"), Err(BadHead::BareLf));
}

#[test]
fn a_field_has_a_name_a_colon_and_no_more_than_one_line() {
    for (line, why) in [
        (" folded", BadHead::Folded),
        ("\tContent-Length: 5", BadHead::Folded),
        (" ", BadHead::Folded),
        ("Host", BadHead::NoColon),
        ("no colon here", BadHead::NoColon),
        (": 5", BadHead::FieldName),
        ("Content-Length : 5", BadHead::FieldName),
        ("Content Length: 5", BadHead::FieldName),
        ("Content\tLength: 5", BadHead::FieldName),
        ("H\u{f6}st: 5", BadHead::FieldName),
        ("(Host): 5", BadHead::FieldName),
    ] {
        assert_eq!(refused(line), why, "{line:?}");
    }
}

#[test]
fn lines_end_with_cr_lf_and_have_no_other_control_characters() {
    for (line, why) in [
        ("A: 1\nB: 2", BadHead::BareLf),
        ("A: 1\rB: 2", BadHead::BareCr),
        ("A: 1\r\r\nB: 2", BadHead::BareCr),
        ("A: 1\r\0\nB: 2", BadHead::BareCr),
        ("A: 1\0", BadHead::Control(0)),
        ("A\0: 1", BadHead::Control(0)),
        ("A: \x0b1", BadHead::Control(0x0b)),
        ("A: \x7f", BadHead::Control(0x7f)),
        ("A: \x1b[2J", BadHead::Control(0x1b)),
    ] {
        assert_eq!(refused(line), why, "{line:?}");
    }
    assert_eq!(outcome("PO\0ST"), Err(BadHead::Control(0)), "before its line has ended");
    assert_eq!(outcome("POST / HTTP/1.1\nHost: a\n\n"), Err(BadHead::BareLf));
}

#[test]
fn a_length_is_a_plain_number_and_not_too_large() {
    for value in
        ["", " ", "-1", "+5", "5, 5", "5,5", "5 5", "0x10", "1e3", "5;", "5.0", "\t5", "\u{665}", "5\u{a0}"]
    {
        assert_eq!(refused(&format!("Content-Length: {value}")), BadHead::Length, "{value:?}");
    }
    for value in ["18446744073709551621", "99999999999999999999", "00000000000000000005"] {
        assert_eq!(refused(&format!("Content-Length: {value}")), BadHead::Length, "{value:?}");
    }
    for value in ["1073741825", "9223372036854775808", "9999999999999999999"] {
        let why = refused(&format!("Content-Length: {value}"));
        assert_eq!(why, BadHead::LongBody, "{value:?}");
        assert_eq!(why.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(outcome(format!("POST / HTTP/1.1\r\nContent-Length: {BODY_LIMIT}\r\n\r\n")).unwrap().is_some());
}

#[test]
fn limits_hold_to_the_byte() {
    let with = |line: &str| format!("POST / HTTP/1.1\r\n{line}\r\n\r\n");
    let line = format!("A:{}", "x".repeat(LINE_LIMIT - 2));
    assert!(outcome(with(&line)).unwrap().is_some());
    assert_eq!(outcome(with(&format!("{line}x"))), Err(BadHead::LongLine));
    assert_eq!(outcome("x".repeat(LINE_LIMIT)), Ok(None));
    assert_eq!(outcome("x".repeat(LINE_LIMIT + 1)), Err(BadHead::LongLine), "before it has ended");

    let head = |fields: usize| with(&vec!["A: 1"; fields].join("\r\n"));
    assert!(outcome(head(usize::from(FIELD_LIMIT))).unwrap().is_some());
    assert_eq!(outcome(head(usize::from(FIELD_LIMIT) + 1)), Err(BadHead::ManyFields));

    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        let login = format!("{name}:{}", "x".repeat(LOGIN_LIMIT - name.len() - 1));
        assert!(outcome(with(&login)).unwrap().is_some());
        assert_eq!(outcome(with(&format!("{login}x"))), Err(BadHead::LongLogin));
    }
    for other in ["Authorization", "Authorizations:", "Proxy-Authorization:", "X: Authorization:"] {
        assert_eq!(outcome(with(&format!("{other}{}", "x".repeat(LINE_LIMIT)))), Err(BadHead::LongLine));
    }
    assert_eq!(outcome(format!("Authorization:{}", "x".repeat(LINE_LIMIT))), Err(BadHead::LongLine));

    let fields = format!("A: {}\r\n", "x".repeat(8000)).repeat(12);
    let rest = HEAD_LIMIT - with(&fields).len();
    let longest = |more: usize| with(&format!("{fields}B:{}", "x".repeat(rest - 2 + more)));
    assert_eq!(outcome(longest(0)), Ok(Some(HEAD_LIMIT)));
    for more in 1..4 {
        assert_eq!(outcome(longest(more)), Err(BadHead::LongHead), "{more} more");
    }
    assert_eq!(outcome("A: 1\r\n".repeat(1 << 20)), Err(BadHead::RequestLine), "no more is read than needed");
    let long_login = format!("{fields}Authorization: {}", "x".repeat(LOGIN_LIMIT));
    assert_eq!(outcome(with(&long_login)), Err(BadHead::LongHead), "together they are too long");
    for why in [BadHead::LongLine, BadHead::LongLogin, BadHead::LongHead, BadHead::ManyFields] {
        assert_eq!(why.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}

#[test]
fn whoever_is_refused_is_refused_again() {
    let mut scan = HeadScan::new();
    let mut head = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n".to_vec();
    for more in ["", "A: 1\r\n", "\r\n"] {
        head.extend_from_slice(more.as_bytes());
        assert_eq!(scan.look(&head), Err(BadHead::TwoLengths));
    }
}

/// What heads are made of, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fragments = [
        "POST / HTTP/1.1\r\n",
        "GET /?doAs=a HTTP/1.0\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: a\r\n",
        "\r\n",
        "\r",
        "\n",
        " ",
        ":",
        "A",
        "\0",
        "\t",
    ];
    let fragment = prop::sample::select(fragments.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let filler = (1..9000_usize).prop_map(|len| vec![b'x'; len]);
    prop_oneof![12 => fragment, 1 => filler, 1 => prop::collection::vec(any::<u8>(), 1..4)]
}

proptest! {
    #[test]
    fn the_first_control_character_is_found_wherever_it_is(
        bytes in prop::collection::vec(prop_oneof![9 => Just(b'x'), 1 => any::<u8>()], 0..64),
    ) {
        let plain = bytes.iter().position(|byte| byte.is_ascii_control() && *byte != b'\t');
        prop_assert_eq!(first_control(&bytes), plain);
    }

    #[test]
    fn however_heads_are_split_the_outcome_is_the_same(
        begins in any::<bool>(),
        pieces in prop::collection::vec(piece(), 0..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut head = if begins { b"POST / HTTP/1.1\r\n".to_vec() } else { Vec::new() };
        head.extend(pieces.concat());
        let whole = outcome(&head);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(head.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(head.len());
        let mut scan = HeadScan::new();
        for end in ends {
            let seen = scan.look(&head[..end]);
            prop_assert!(seen == Ok(None) || seen == whole, "{:?} at {}, then {:?}", seen, end, whole);
            if end == head.len() {
                prop_assert_eq!(seen, whole);
            }
        }
    }

    #[test]
    fn another_parser_finds_the_same_end_and_as_many_fields(
        pieces in prop::collection::vec(piece(), 0..12),
    ) {
        let head = [b"POST / HTTP/1.1\r\n", pieces.concat().as_slice(), b"\r\n\r\n"].concat();
        let mut scan = HeadScan::new();
        if let Ok(Some(len)) = scan.look(&head) {
            let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT as usize];
            let mut request = httparse::Request::new(&mut fields);
            prop_assert_eq!(request.parse(&head), Ok(httparse::Status::Complete(len)));
            prop_assert_eq!(request.headers.len(), usize::from(scan.fields));
        }
    }
}
