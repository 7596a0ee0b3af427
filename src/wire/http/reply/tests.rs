//! Answers without a message of Thrift.

use super::*;

fn coordinators(status: u16, fields: &[(&str, &str)]) -> Parts {
    let response = Response::builder().status(status);
    let response = fields.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    response.body(()).unwrap().into_parts().0
}

fn lines(head: &Parts) -> Vec<String> {
    let mut lines: Vec<_> =
        head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

const TEXT_LINE: &str = "content-type: text/plain; charset=utf-8";

#[test]
fn a_refused_login_ends_the_connection_and_says_which_are_there() {
    let passed = passed_on(&coordinators(
        401,
        &[
            ("www-authenticate", "Basic"),
            ("www-authenticate", "Negotiate"),
            ("www-authenticate", "bearer error=\"invalid_token\""),
            ("www-authenticate", "NTLM"),
            ("www-authenticate", "Basically"),
            ("set-cookie", "impala.auth=;HttpOnly;Max-Age=0"),
            ("location", "https://idp"),
            ("server", "Thrift/0.16"),
            ("access-control-allow-origin", "*"),
        ],
    ));
    assert_eq!(passed.status, StatusCode::UNAUTHORIZED);
    let expected = [
        "connection: close",
        TEXT_LINE,
        "www-authenticate: Basic",
        "www-authenticate: Negotiate",
        "www-authenticate: bearer error=\"invalid_token\"",
    ];
    assert_eq!(lines(&passed), expected);
}

#[test]
fn challenges_are_bounded() {
    let long = format!("Basic {}", "x".repeat(LONGEST_CHALLENGE));
    let fields: Vec<_> =
        [long.as_str()].into_iter().chain(["Basic"; 20]).map(|value| ("www-authenticate", value)).collect();
    let passed = passed_on(&coordinators(401, &fields));
    let passed: Vec<_> = passed.headers.get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(passed, ["Basic"; MOST_CHALLENGES]);
}

#[test]
fn a_time_to_come_again_is_a_number_of_seconds_above_zero() {
    let retry_after = |value| {
        let passed = passed_on(&coordinators(503, &[("retry-after", value)]));
        passed.headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(retry_after("7").as_deref(), Some("7"));
    for value in ["0", "-1", "", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999"] {
        assert_eq!(retry_after(value), None, "{value}");
    }
    let head = error_head(StatusCode::SERVICE_UNAVAILABLE, NonZeroU32::new(3));
    assert_eq!(lines(&head), [TEXT_LINE, "retry-after: 3"]);
}

#[test]
fn a_status_that_no_call_has_becomes_a_bad_gateway() {
    for (status, passed) in
        [(404, 404), (500, 500), (302, 502), (204, 502), (101, 502), (599, 599), (999, 502)]
    {
        assert_eq!(passed_on(&coordinators(status, &[])).status, passed, "{status}");
    }
}

#[test]
fn only_what_is_wrong_with_one_request_leaves_the_connection_open() {
    let closes = |status: u16| {
        let head = error_head(StatusCode::from_u16(status).unwrap(), None);
        head.headers.get(CONNECTION).is_some_and(|value| value == "close")
    };
    assert!([400, 401, 408, 413, 431, 501, 505].into_iter().all(closes));
    assert!(![403, 404, 405, 500, 502, 503].into_iter().any(closes));
}

#[test]
fn who_may_not_is_told_what_may_be() {
    let head = error_head(StatusCode::METHOD_NOT_ALLOWED, None);
    assert_eq!(lines(&head), ["allow: GET, HEAD, OPTIONS, POST", TEXT_LINE]);
    assert_eq!(lines(&options_head()), ["allow: GET, HEAD, OPTIONS, POST"]);
    assert_eq!(options_head().status, StatusCode::OK);
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!(text(b"short"), b"short");
    let long = "x".repeat(TEXT_LIMIT - 1);
    let cut = format!("{long}\u{20ac}");
    assert_eq!(text(cut.as_bytes()), long.as_bytes());
    assert_eq!(text(format!("{long}xyz").as_bytes()).len(), TEXT_LIMIT);
    assert_eq!(text(&vec![0x80; TEXT_LIMIT + 1]), b"", "no text at all");
}
