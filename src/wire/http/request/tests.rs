//! What requests ask for, and what of them goes on.

mod passing;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::StatusCode;

use super::*;

pub(super) const PEER: Peer<'static> =
    Peer { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), is_trusted_proxy: false, forbidden: &[] };

/// A parsed head.
pub(super) fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let request = Request::builder().method(method).uri(target);
    let add = |request: http::request::Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    fields.iter().fold(request, add).body(()).unwrap().into_parts().0
}

pub(super) fn try_call(target: &str, fields: &[(&str, &str)]) -> Result<Arc<CallHead>, BadRequest> {
    match judge(&head("POST", target, fields), PEER)? {
        Asked::Call(call) => Ok(call),
        other => panic!("{other:?}"),
    }
}

pub(super) fn call(target: &str, fields: &[(&str, &str)]) -> Arc<CallHead> {
    try_call(target, fields).unwrap()
}

fn do_as(query: &str) -> Result<Option<String>, BadRequest> {
    try_call(&format!("/cliservice?{query}"), &[]).map(|call| call.do_as().map(Into::into))
}

fn key(chance: u8) -> CredentialKey {
    CredentialKey::new(&[chance; 32])
}

#[test]
fn calls_are_told_from_checks_and_from_what_is_not_allowed() {
    let asked = |method, target| judge(&head(method, target, &[]), PEER).unwrap();
    for target in ["/", "/cliservice", "/healthz", "/any/path?with=query", "http://router:28000/cliservice"] {
        assert!(matches!(asked("POST", target), Asked::Call(_)), "{target}");
    }
    for target in ["/", "/healthz", "/?from=balancer", "http://router/"] {
        assert!(matches!(asked("GET", target), Asked::Health), "{target}");
        assert!(matches!(asked("HEAD", target), Asked::Health), "{target}");
    }
    for (method, target) in [
        ("GET", "/cliservice"),
        ("HEAD", "/healthz/"),
        ("PUT", "/"),
        ("DELETE", "/"),
        ("TRACE", "/"),
        ("CONNECT", "router:28000"),
        ("post", "/"),
        ("X", "/"),
    ] {
        assert!(matches!(asked(method, target), Asked::NotAllowed), "{method} {target}");
    }
    assert!(matches!(asked("OPTIONS", "*"), Asked::Options));
    assert!(matches!(asked("OPTIONS", "/cliservice"), Asked::Options));
}

#[test]
fn a_query_names_a_user_once_and_plainly() {
    for (query, user) in [
        ("doAs=alice", "alice"),
        ("doas=alice", "alice"),
        ("a=b&DOAS=al%69ce&c", "alice"),
        ("do%41s=a+b", "a b"),
        ("doAs=a%2Bb=c", "a+b=c"),
        ("doAs=J%C3%BCrgen", "Jürgen"),
        ("&&doAs=alice/host@REALM", "alice/host@REALM"),
        ("doAs=a?b", "a?b"),
    ] {
        assert_eq!(do_as(query), Ok(Some(user.into())), "{query}");
    }
    for query in ["", "a=b", "doA=x", "xdoAs=x", "doAsx=x", "a=doAs", "a;doAs=x", "do%00As=x", "%FFdoAs=x"] {
        assert_eq!(do_as(query), Ok(None), "{query}");
    }
    let longest = "x".repeat(LONGEST_USER);
    assert_eq!(do_as(&format!("doAs={longest}")), Ok(Some(longest.clone())));
    assert_eq!(do_as(&format!("doAs={longest}x")), Err(BadRequest::LongDoAs));
}

#[test]
fn a_query_that_servers_could_read_in_two_ways_is_refused() {
    for (query, why) in [
        ("doAs=a&doAs=a", BadRequest::TwoDoAs),
        ("doAs=a&doas=b", BadRequest::TwoDoAs),
        ("doAs=a&x=y&%64oAs=b", BadRequest::TwoDoAs),
        // A long s, which Java's equalsIgnoreCase takes for an s.
        ("doAs=a&doA%C5%BF=b", BadRequest::TwoDoAs),
        ("doAs=", BadRequest::EmptyDoAs),
        ("doAs", BadRequest::EmptyDoAs),
        ("doAs=a&doAs", BadRequest::TwoDoAs),
        ("doAs=%00", BadRequest::DoAsCharacters),
        ("doAs=a%0d%0ab", BadRequest::DoAsCharacters),
        ("doAs=a%7F", BadRequest::DoAsCharacters),
        ("doAs=%C2%85", BadRequest::DoAsCharacters),
        ("doAs=%FF", BadRequest::DoAsCharacters),
        ("doAs=%", BadRequest::Escape),
        ("doAs=%4", BadRequest::Escape),
        ("doAs=%+9", BadRequest::Escape),
        ("doAs=%zz", BadRequest::Escape),
        // Jetty reads it as an A.
        ("do%u0041s=a", BadRequest::Escape),
        ("other=%u0041", BadRequest::Escape),
    ] {
        assert_eq!(do_as(query), Err(why), "{query}");
        assert_eq!(why.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn the_scheme_of_a_credential_is_known() {
    for (value, scheme) in [
        ("Basic YWxpY2U6c2VjcmV0", Scheme::Basic),
        ("basic  YWxpY2U6", Scheme::Basic),
        ("Basic", Scheme::Basic),
        ("Bearer a.b.c", Scheme::Bearer),
        ("Negotiate YIIC", Scheme::Negotiate),
        ("Negotiate : YIIC", Scheme::Negotiate),
        ("Digest a=b", Scheme::Other),
        ("Basically YWxpY2U6", Scheme::Other),
    ] {
        assert_eq!(
            call("/", &[("authorization", value)]).authorization().unwrap().scheme(),
            scheme,
            "{value}"
        );
    }
    assert!(call("/", &[]).authorization().is_none());
    assert!(call("/", &[("authorization", " ")]).authorization().is_none());
}

#[test]
fn equal_credentials_have_equal_hashes_and_no_others() {
    let credential = |fields: &[(&str, &str)], chance| call("/", fields).credential(&key(chance));
    let alice = &[("authorization", "Basic YWxpY2U6c2VjcmV0")];
    assert_eq!(credential(alice, 1), credential(alice, 1));
    assert_ne!(credential(alice, 1), credential(alice, 2), "another process");
    let all = [
        credential(alice, 1),
        credential(&[("authorization", "Basic YWxpY2U6c2VjcmV1")], 1),
        credential(&[("x-hive-delegation-token", "Basic YWxpY2U6c2VjcmV0")], 1),
        credential(&[("authorization", "Basic YWxpY2U6c2VjcmV0"), ("x-hive-delegation-token", "a")], 1),
        credential(&[("authorization", "Basic YWxpY2U6c2VjcmV0a")], 1),
        call("/?doAs=bob", alice).credential(&key(1)),
        call("/?doAs=bob", &[]).credential(&key(1)),
        call("/?doAs=Bob", &[]).credential(&key(1)),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(one.is_some() && !all[..at].contains(one), "{at}");
    }
    assert_eq!(call("/", &[("cookie", "impala.auth=x")]).credential(&key(1)), None);
    let (one, same) = (call("/", alice), call("/x", alice));
    assert!(one.authorization() == same.authorization());
    assert!(one.authorization() != call("/", &[("authorization", "Basic x")]).authorization());
}

#[test]
fn a_ticket_is_spent_once_and_nothing_else_is_a_ticket() {
    let ticket = call("/", &[("authorization", "negotiate YII=")]);
    let Some(Credential { proof: Proof::Ticket(hash), do_as: None }) = ticket.credential(&key(1)) else {
        panic!("no ticket");
    };
    assert_eq!(ticket.ticket(&key(1)), Some(hash));
    let copy = CallHead::clone(&ticket);
    assert!(ticket.for_own_calls().authorization().is_none());
    assert!(copy.spend_ticket() && !copy.spend_ticket() && !ticket.spend_ticket());
    for fields in
        [&[][..], &[("authorization", "Basic YWxpY2U6c2VjcmV0")], &[("x-hive-delegation-token", "a")]]
    {
        let head = call("/?doAs=bob", fields);
        assert!(!head.spend_ticket() && head.ticket(&key(1)).is_none());
        assert!(matches!(head.credential(&key(1)), Some(Credential { proof: Proof::Lasting(_), .. })));
    }
}

#[test]
fn the_token_of_a_ticket_is_its_last_word() {
    let token = |value: &str| call("/", &[("authorization", value)]).authorization().unwrap().token();
    for value in ["Negotiate YWJj", "negotiate : YWJj", "Negotiate  YWJj", "Negotiate: x YWJj"] {
        let expected: &[u8] = if value.starts_with("Negotiate:") { b"" } else { b"abc" };
        assert_eq!(token(value), expected, "{value}");
    }
    for nothing in ["Negotiate", "Negotiate YWJ", "Negotiate ?", "Basic YWJj", "YWJj"] {
        assert_eq!(token(nothing), b"", "{nothing}");
    }
}

#[test]
fn cookies_are_looked_at_only_where_one_may_stand_for_a_ticket() {
    let cookies = |fields: &[(&str, &str)]| call("/", fields).cookies().map(<[u8]>::to_vec);
    let two = [("cookie", "a=1; b=2"), ("cookie", "c=3")];
    assert_eq!(cookies(&two).as_deref(), Some(&b"a=1; b=2; c=3"[..]));
    let [one, other] = two;
    assert!(cookies(&[one, other, ("authorization", "Negotiate YII=")]).is_some());
    assert_eq!(cookies(&[one, other, ("authorization", "Basic YWxpY2U6c2VjcmV0")]), None);
    assert_eq!(cookies(&[("user-agent", "x")]), None);
    let head = call("/", &two);
    assert!(!format!("{head:?}").contains("a=1") && head.for_own_calls().cookies().is_none());
}

#[test]
fn a_user_is_proven_once() {
    let basic = ("authorization", "Basic YWxpY2U6c2VjcmV0");
    let token = ("x-hive-delegation-token", "abc");
    for fields in [[basic, basic], [basic, ("authorization", "Bearer x")], [token, token]] {
        assert_eq!(try_call("/", &fields).unwrap_err(), BadRequest::TwoAuthorizations);
    }
    let both = call("/", &[basic, token]);
    assert_eq!(both.authorization().unwrap().scheme(), Scheme::DelegationToken);
}

#[test]
fn nothing_that_lasts_goes_along_with_a_ticket() {
    let ticket = ("authorization", "Negotiate YII=");
    let both = call("/", &[ticket, ("x-hive-delegation-token", "abc")]);
    assert_eq!(both.authorization().unwrap().scheme(), Scheme::Negotiate);
    assert_eq!(both.ticket(&key(7)), call("/", &[ticket]).ticket(&key(7)));
    let sent = both.for_coordinator(&HeaderValue::from_static("c1"), None).headers;
    assert!(!sent.contains_key("x-hive-delegation-token"), "{sent:?}");
}

#[test]
fn a_request_id_is_known_as_far_as_logs_may_show_it() {
    let id = |value: &str| call("/", &[("x-request-id", value)]).request_id().map(str::to_owned);
    assert_eq!(id("0e6b5d5e-7").as_deref(), Some("0e6b5d5e-7"));
    assert_eq!(id(&"x".repeat(500)).map(|id| id.len()), Some(LOGGED_ID));
    assert_eq!(id("two words"), None);
    assert_eq!(id("J\u{fc}rgen"), None);
    assert_eq!(id(""), None);
    assert_eq!(call("/", &[]).request_id(), None);
}

#[test]
fn a_client_says_whether_its_connection_goes_on() {
    let ends = |version, fields: &[(&str, &str)]| {
        let mut head = head("POST", "/", fields);
        head.version = version;
        closes(&head)
    };
    let says = |value| [("connection", value)];
    assert!(!ends(Version::HTTP_11, &[]));
    assert!(!ends(Version::HTTP_11, &says("keep-alive")));
    assert!(ends(Version::HTTP_11, &says("TE, Close")));
    assert!(ends(Version::HTTP_11, &[("connection", "TE"), ("connection", "close")]));
    assert!(ends(Version::HTTP_10, &[]));
    assert!(!ends(Version::HTTP_10, &says("Keep-Alive")));
    assert!(ends(Version::HTTP_10, &says("keep-alive, close")));
}

#[test]
fn secrets_are_not_shown() {
    let call = call(
        "/?doAs=bob&token=hidden",
        &[
            ("authorization", "Basic YWxpY2U6c2VjcmV0"),
            ("cookie", "impala.auth=hidden"),
            ("x-hive-delegation-token", "hidden"),
            ("x-request-id", "shown"),
        ],
    );
    let text = format!("{call:?} {:?}", call.for_coordinator(&HeaderValue::from_static("c1"), None).headers);
    assert!(text.contains("bob") && text.contains("shown"), "{text}");
    assert!(!text.contains("hidden") && !text.contains("YWxp"), "{text}");
    assert!(!format!("{:?}", key(7)).contains('7'));
}
