//! The published classes of request smuggling: each is a head of which two readers find two ends of the body,
//! and none is let in.

use super::*;

/// Refused as a head with these lines behind the request line, for one of the reasons that make its body's
/// end doubtful.
fn is_refused(lines: &str) -> BadHead {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\nPOST /next HTTP/1.1\r\n\r\n");
    let Err(why) = outcome(&head) else { panic!("let in: {lines:?}") };
    why
}

#[test]
fn a_length_and_chunks_exclude_each_other() {
    // CL.TE and TE.CL.
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "transfer-encoding:chunked\r\nA: b\r\nCONTENT-LENGTH:6",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(is_refused(lines), BadHead::TwoLengths, "{lines:?}");
    }
}

#[test]
fn a_body_has_one_length_even_if_they_agree() {
    for lines in [
        "Content-Length: 6\r\nContent-Length: 7",
        "Content-Length: 6\r\nContent-Length: 6",
        "Content-Length: 6\r\nA: b\r\ncontent-length: 6",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: CHUNKED",
    ] {
        assert_eq!(is_refused(lines), BadHead::TwoLengths, "{lines:?}");
    }
    assert_eq!(is_refused("Content-Length: 6, 6"), BadHead::Length);
}

#[test]
fn chunked_is_the_only_coding_and_has_one_spelling() {
    // TE.TE: one of two readers overlooks the coding.
    for value in [
        "xchunked",
        "chunkedx",
        "chunk",
        "x",
        "",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "chunked; foo=bar",
        "\"chunked\"",
        "'chunked'",
        "\tchunked",
        "chunked\t",
        " \tchunked",
        "chun\tked",
        "\u{a0}chunked",
        "\u{85}chunked",
        "chunKed\u{212a}",
        "\\chunked",
    ] {
        let why = is_refused(&format!("Transfer-Encoding: {value}"));
        assert_eq!(why, BadHead::Coding, "{value:?}");
        assert_eq!(why.status(), StatusCode::NOT_IMPLEMENTED);
    }
}

#[test]
fn a_field_cannot_hide_how_the_body_ends() {
    for (lines, why) in [
        ("Transfer-Encoding : chunked", BadHead::FieldName),
        ("Transfer-Encoding\t: chunked", BadHead::FieldName),
        ("Transfer-Encoding:\x0bchunked", BadHead::Control(0x0b)),
        ("Transfer-Encoding:\x0cchunked", BadHead::Control(0x0c)),
        ("Transfer-Encoding: chunked\x0b", BadHead::Control(0x0b)),
        ("Transfer-Encoding:\0chunked", BadHead::Control(0)),
        ("\x0bTransfer-Encoding: chunked", BadHead::Control(0x0b)),
        ("\0Transfer-Encoding: chunked", BadHead::Control(0)),
        ("Transfer-Encoding\0: chunked", BadHead::Control(0)),
        (" Transfer-Encoding: chunked", BadHead::Folded),
        ("\tTransfer-Encoding: chunked", BadHead::Folded),
        ("A: b\r\n Transfer-Encoding: chunked", BadHead::Folded),
        ("Transfer-Encoding:\r\n chunked", BadHead::Coding),
        ("Transfer-Encoding: chunked\r\n , identity", BadHead::Folded),
        ("Content-Length: 6\r\n 7", BadHead::Folded),
        ("A: b\rTransfer-Encoding: chunked", BadHead::BareCr),
        ("A: b\nTransfer-Encoding: chunked", BadHead::BareLf),
        ("A: b\n\rTransfer-Encoding: chunked", BadHead::BareLf),
        ("Transfer-Encoding: chunked\r\r", BadHead::BareCr),
        ("Content-Length\n : 6", BadHead::BareLf),
        ("Transfer-Encoding\r\n: chunked", BadHead::NoColon),
        ("Transfer-Encoding chunked", BadHead::NoColon),
        (": chunked", BadHead::FieldName),
        ("Transfer\u{2010}Encoding: chunked", BadHead::FieldName),
    ] {
        assert_eq!(is_refused(lines), why, "{lines:?}");
    }
}

#[test]
fn an_old_client_has_no_chunks() {
    let head = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(outcome(head), Err(BadHead::CodingInOld));
    assert_eq!(BadHead::CodingInOld.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_body_without_a_length_is_none() {
    // CL.0: the bytes behind such a head are the next request, for every reader.
    for lines in ["A: b", "Transfer_Encoding: chunked", "Content_Length: 6", "Connection: Content-Length"] {
        let head = format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n");
        let mut scan = HeadScan::new();
        assert_eq!(scan.look(format!("{head}GET").as_bytes()), Ok(Some(head.len())));
        assert_eq!(scan.framing(), Framing::Length(0), "{lines:?}");
    }
}

#[test]
fn an_upgrade_is_no_reason_to_refuse() {
    let head = "POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(outcome(head), Ok(Some(head.len())));
}
