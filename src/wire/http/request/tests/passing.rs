//! What of a client's head goes on to a coordinator.

use http::HeaderName;
use http::header::{AUTHORIZATION, HOST};

use super::*;

const HOST_VALUE: HeaderValue = HeaderValue::from_static("coordinator-1:28000");

/// What a coordinator is sent, as lines that are sorted.
fn lines(head: &Parts) -> Vec<String> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    let mut lines: Vec<_> = head.headers.iter().map(line).collect();
    lines.sort();
    lines
}

fn judged(fields: &[(&str, &str)], peer: Peer<'_>) -> Result<Vec<String>, BadRequest> {
    CallHead::read(&head("POST", "/", fields), peer)
        .map(|call| lines(&call.for_coordinator(&HOST_VALUE, None)))
}

/// The line of X-Forwarded-For; there is one.
fn forwarded(fields: &[(&str, &str)], peer: Peer<'_>) -> Result<String, BadRequest> {
    let lines = judged(fields, peer)?;
    let mut found = lines.iter().filter_map(|line| line.strip_prefix("x-forwarded-for: "));
    let (Some(found), None) = (found.next(), found.next()) else { panic!("{lines:?}") };
    Ok(found.into())
}

#[test]
fn a_coordinator_is_sent_what_it_needs_and_nothing_else() {
    let call = call(
        "/cliservice?doAs=bob&x=%2F",
        &[
            ("host", "router:28000"),
            ("accept-encoding", "gzip,deflate"),
            ("content-type", "application/x-thrift; v=1"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("connection", "keep-alive, upgrade"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("accept", "*/*"),
            ("user-agent", "Python/ImpalaHttpClient (impala-shell)"),
            ("authorization", "Basic YWxpY2U6c2VjcmV0"),
            ("cookie", "impala.auth=stolen; session=1"),
            ("x-request-id", "r-1"),
            ("x-impala-session-id", "s-1"),
            ("x-xsrf-header", "true"),
            ("x-hive-client-identifier", "c-1"),
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
            ("x-real-ip", "203.0.113.9"),
            ("x-trusted-user", "admin"),
            ("x-impala", "not under its prefix"),
            ("proxy-authorization", "Basic x"),
        ],
    );
    let sent = call.for_coordinator(&HOST_VALUE, None);
    let expected = [
        "authorization: Basic YWxpY2U6c2VjcmV0",
        "content-type: application/x-thrift; v=1",
        "host: coordinator-1:28000",
        "user-agent: Python/ImpalaHttpClient (impala-shell)",
        "x-forwarded-for: 192.0.2.7",
        "x-hive-client-identifier: c-1",
        "x-impala-session-id: s-1",
        "x-request-id: r-1",
        "x-xsrf-header: true",
    ];
    assert_eq!(lines(&sent), expected);
    assert_eq!(sent.method, Method::POST);
    assert_eq!(sent.uri, "/cliservice?doAs=bob&x=%2F");
    assert_eq!(sent.version, Version::HTTP_11);
}

fn encoded(call: &CallHead, cookie: Option<&HeaderValue>, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    call.each_part(&HOST_VALUE, cookie, length, |part| bytes.extend_from_slice(part));
    bytes
}

#[test]
fn the_head_that_is_sent_is_the_head_for_a_library_and_a_length() {
    let cookie = HeaderValue::from_static("impala.auth=x");
    let fields =
        [("authorization", "Negotiate YII="), ("x-hive-delegation-token", "t"), ("x-request-id", "r-1")];
    for (fields, cookie) in
        [(&fields[..], None), (&fields[..], Some(&cookie)), (&fields[..1], Some(&cookie)), (&[], None)]
    {
        let call = call("/cliservice?doAs=bob", fields);
        let sent = encoded(&call, cookie, 1234);
        let mut places = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut places);
        assert_eq!(parsed.parse(&sent), Ok(httparse::Status::Complete(sent.len())));
        assert_eq!((parsed.method, parsed.path), (Some("POST"), Some("/cliservice?doAs=bob")));
        let line = |field: &httparse::Header<'_>| {
            format!("{}: {}", field.name, String::from_utf8_lossy(field.value))
        };
        let mut found: Vec<_> = parsed.headers.iter().map(line).collect();
        found.sort();
        let mut expected = lines(&call.for_coordinator(&HOST_VALUE, cookie));
        expected.push("content-length: 1234".into());
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn only_an_ordinary_request_is_read_as_one() {
    let read = |head: &str| ordinary(head.as_bytes());
    let head = read("\r\nPOST /a?b HTTP/1.1\r\nHost: router\r\nX-Request-Id:  r-1 \r\n\r\n").unwrap();
    assert_eq!((&head.method, head.version), (&Method::POST, Version::HTTP_11));
    assert_eq!(head.uri, "/a?b");
    assert_eq!(
        (&head.headers["host"], &head.headers["x-request-id"]),
        (&"router".parse().unwrap(), &"r-1".parse().unwrap())
    );
    for other in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n\r\nmore",
    ] {
        assert!(read(other).is_none(), "{other}");
    }
}

#[test]
fn a_cookie_goes_along_with_the_credential_but_stands_for_a_ticket() {
    let basic = call("/", &[("authorization", "Basic YWxpY2U6c2VjcmV0"), ("x-hive-delegation-token", "t")]);
    let cookie = HeaderValue::from_static("impala.auth=\"x\"");
    let with_both = lines(&basic.for_coordinator(&HOST_VALUE, Some(&cookie)));
    for field in ["x-hive-delegation-token: t", "cookie: impala.auth=\"x\""] {
        assert!(with_both.contains(&field.to_owned()), "{with_both:?}");
    }
    let ticket = call("/", &[("authorization", "Negotiate YII=")]);
    let sent = ticket.for_coordinator(&HOST_VALUE, Some(&cookie));
    let expected = [
        "content-type: application/x-thrift",
        "cookie: impala.auth=\"x\"",
        "host: coordinator-1:28000",
        "x-forwarded-for: 192.0.2.7",
    ];
    assert_eq!(lines(&sent), expected);
}

#[test]
fn the_target_loses_what_names_the_router() {
    for (asked, sent) in [
        ("http://router:28000/cliservice?a=b", "/cliservice?a=b"),
        ("http://router:28000", "/"),
        ("http://router:28000?a=b", "/?a=b"),
        ("/cliservice/;p?", "/cliservice/;p?"),
        ("*", "*"),
    ] {
        let call = call(asked, &[]);
        assert_eq!(call.for_coordinator(&HOST_VALUE, None).uri, sent, "{asked}");
        let first = format!("POST {sent} HTTP/1.1\r\n");
        assert!(encoded(&call, None, 0).starts_with(first.as_bytes()), "{asked}");
    }
}

#[test]
fn a_content_type_of_thrift_is_the_clients_own() {
    for (own, sent) in [
        ("application/X-Thrift", "application/X-Thrift"),
        ("application/vnd.apache.thrift.binary", "application/vnd.apache.thrift.binary"),
        ("text/html", "application/x-thrift"),
        ("application/x-th", "application/x-thrift"),
    ] {
        let lines = judged(&[("content-type", own)], PEER).unwrap();
        assert!(lines.contains(&format!("content-type: {sent}")), "{lines:?}");
    }
}

#[test]
fn what_must_be_there_once_is_sent_once() {
    let fields = [
        ("x-request-id", "first"),
        ("x-request-id", "last"),
        ("user-agent", "first"),
        ("user-agent", "last"),
        ("x-hive-a", "1"),
        ("x-hive-a", "2"),
        ("content-type", "application/x-thrift"),
        ("content-type", "text/html"),
    ];
    let expected = [
        "content-type: application/x-thrift",
        "host: coordinator-1:28000",
        "user-agent: last",
        "x-forwarded-for: 192.0.2.7",
        "x-hive-a: 1",
        "x-hive-a: 2",
        "x-request-id: last",
    ];
    assert_eq!(judged(&fields, PEER).unwrap(), expected);
}

#[test]
fn headers_that_coordinators_trust_never_pass() {
    let forbidden = ["x-impala-trusted", "x-request-id", "x-hive-delegation-token"]
        .map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap());
    let peer = Peer { forbidden: &forbidden, is_trusted_proxy: true, ..PEER };
    let fields = [
        ("X-Impala-Trusted", "admin"),
        ("x-request-id", "1"),
        ("x-hive-delegation-token", "t"),
        ("x-impala-query-id", "q"),
    ];
    let expected = [
        "content-type: application/x-thrift",
        "host: coordinator-1:28000",
        "x-forwarded-for: 192.0.2.7",
        "x-impala-query-id: q",
    ];
    assert_eq!(judged(&fields, peer).unwrap(), expected);
}

#[test]
fn only_a_trusted_proxy_says_where_a_client_is() {
    let said = [("x-forwarded-for", "203.0.113.9, 198.51.100.1"), ("x-forwarded-for", " 198.51.100.2 ")];
    let trusted = Peer { is_trusted_proxy: true, ..PEER };
    assert_eq!(forwarded(&said, PEER).unwrap(), "192.0.2.7");
    let all = "203.0.113.9, 198.51.100.1, 198.51.100.2, 192.0.2.7";
    assert_eq!(forwarded(&said, trusted).unwrap(), all);
    assert_eq!(forwarded(&[("x-forwarded-for", " ")], trusted).unwrap(), "192.0.2.7");
    let mapped = Peer { address: "::ffff:192.0.2.8".parse().unwrap(), ..PEER };
    assert_eq!(forwarded(&[], mapped).unwrap(), "192.0.2.8");
    let six = Peer { address: "2001:db8::7".parse().unwrap(), ..PEER };
    assert_eq!(forwarded(&[], six).unwrap(), "2001:db8::7");
}

#[test]
fn no_hop_is_left_out_for_want_of_room() {
    let trusted = Peer { is_trusted_proxy: true, ..PEER };
    let longest = "x".repeat(LONGEST_FORWARDED - ", 192.0.2.7".len());
    assert_eq!(forwarded(&[("x-forwarded-for", &longest)], trusted).unwrap().len(), LONGEST_FORWARDED);
    let longer = format!("{longest}x");
    let fields = [("x-forwarded-for", longer.as_str())];
    assert_eq!(forwarded(&fields, trusted), Err(BadRequest::LongForwarded));
    assert_eq!(BadRequest::LongForwarded.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(forwarded(&fields, PEER).is_ok(), "what is not believed is not counted");
}

#[test]
fn the_routers_own_calls_have_the_same_credential_and_the_routers_name() {
    let call = call(
        "/cliservice?doAs=bob",
        &[
            ("authorization", "Basic YWxpY2U6c2VjcmV0"),
            ("cookie", "impala.auth=x"),
            ("x-request-id", "r-1"),
            ("x-impala-query-id", "q-1"),
            ("x-hive-token-response-port", "1234"),
            ("x-hive-client-identifier", "c-1"),
            ("x-xsrf-header", "true"),
            ("user-agent", "beeline"),
            ("connection", "close"),
        ],
    );
    let own = call.for_own_calls();
    let sent = own.for_coordinator(&HOST_VALUE, None);
    let expected = [
        "authorization: Basic YWxpY2U6c2VjcmV0",
        "content-type: application/x-thrift",
        "host: coordinator-1:28000",
        "user-agent: hs2router",
        "x-forwarded-for: 192.0.2.7",
        "x-hive-client-identifier: c-1",
        "x-xsrf-header: true",
    ];
    assert_eq!(lines(&sent), expected);
    assert_eq!(sent.uri, "/cliservice?doAs=bob");
    assert_eq!((own.do_as(), own.request_id()), (Some("bob"), None));
    assert_eq!(own.credential(&key(1)), call.credential(&key(1)));
}

#[test]
fn the_credential_goes_on_byte_for_byte() {
    let call = call("/", &[("authorization", "Negotiate : YIIC/+==")]);
    let sent = call.for_coordinator(&HOST_VALUE, None);
    assert_eq!(sent.headers.get(AUTHORIZATION).unwrap(), "Negotiate : YIIC/+==");
    assert!(sent.headers.get(AUTHORIZATION).unwrap().is_sensitive());
    assert_eq!(sent.headers.get_all(HOST).iter().count(), 1);
}

#[test]
fn a_call_in_the_routers_own_name_has_its_ticket_and_of_the_client_the_names_alone() {
    let own = CallHead::of_router(b"a ticket").unwrap();
    let client = call(
        "/any?doAs=bob",
        &[
            ("authorization", "Negotiate b2Y="),
            ("cookie", "impala.auth=own"),
            ("user-agent", "beeline"),
            ("x-request-id", "r-1"),
            ("x-impala-query-id", "q-1"),
            ("x-hive-client-identifier", "c-1"),
            ("x-hive-delegation-token", ""),
        ],
    );
    let head = own.on_behalf_of(&client);
    let with_ticket = head.for_coordinator(&HOST_VALUE, None);
    assert_eq!(with_ticket.uri.path_and_query().unwrap(), "/cliservice");
    let of_client =
        ["user-agent: beeline", "x-impala-query-id: q-1", "x-request-id: r-1", "x-xsrf-header: true"];
    let sent = |proof: &str, more: &[&str]| {
        let always = [proof, "content-type: application/x-thrift", "host: coordinator-1:28000"];
        let mut lines: Vec<_> = always.iter().chain(more).map(|line| (*line).to_owned()).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&with_ticket), sent("authorization: Negotiate YSB0aWNrZXQ=", &of_client));
    let cookie = HeaderValue::from_static("impala.auth=theirs");
    let by_cookie = head.for_coordinator(&HOST_VALUE, Some(&cookie));
    assert_eq!(lines(&by_cookie), sent("cookie: impala.auth=theirs", &of_client));
    for cookie in [None, Some(&cookie)] {
        let text = String::from_utf8(encoded(&head, cookie, 7)).unwrap();
        let fields =
            text.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with("content-length"));
        let mut fields: Vec<_> = fields.map(str::to_owned).collect();
        fields.sort();
        assert_eq!(fields, lines(&head.for_coordinator(&HOST_VALUE, cookie)));
    }
    // It is one ticket, whoever's call shows it.
    assert!(head.spend_ticket() && !own.spend_ticket() && !own.on_behalf_of(&client).spend_ticket());
    let alone = lines(&own.for_coordinator(&HOST_VALUE, Some(&cookie)));
    assert_eq!(alone, sent("cookie: impala.auth=theirs", &["user-agent: hs2router", "x-xsrf-header: true"]));
}
