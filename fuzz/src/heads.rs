//! Heads of HTTP requests: however they come, they are judged alike, another parser finds the same end, and
//! what goes on to a coordinator names the user that each kind of server would find in the head as it came, and
//! is the same whether it is sent with a length or left to a library.
//! The same bytes are an answer's head, too.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hs2router::wire::http::answer::{Beginning, KnownAnswer};
use hs2router::wire::http::head::{BODY_LIMIT, BadHead, FIELD_LIMIT, Framing, HEAD_LIMIT, HeadScan};
use hs2router::wire::http::request::{
    Asked, CallHead, LONGEST_FORWARDED, LONGEST_USER, Peer, judge, ordinary,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request};

use super::Recipe;

/// How many bytes the body has behind heads that are sent.
const LENGTH: u64 = 1_234_567;
/// The fields of a head that is sent which are the router's own: host, type, X-Forwarded-For, cookie, length.
const OWN_FIELDS: usize = 5;

/// Of the recipe's kind, the lowest bit says whether the peer is a trusted proxy.
pub fn http_head(input: &[u8]) {
    let recipe = Recipe::read(input);
    let mut scan = HeadScan::new();
    let whole = scan.look(recipe.stream);
    for pieces in recipe.pieces() {
        in_pieces(&pieces, recipe.stream, whole);
        as_answer(&pieces, recipe.stream);
    }
    let Ok(Some(len)) = whole else { return };
    assert!(len <= HEAD_LIMIT);
    let head = recipe.stream.get(..len).unwrap_or_default();
    assert_eq!(HeadScan::new().look(head), whole, "it takes nothing behind its end");
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT as usize];
    let mut request = httparse::Request::new(&mut fields);
    // It may refuse more, for example characters of a target.
    let Ok(parsed) = request.parse(recipe.stream) else { return };
    assert_eq!(parsed, httparse::Status::Complete(len));
    assert_eq!(scan.framing(), framing(request.headers));
    let is_trusted_proxy = recipe.kind & 1 == 1;
    if let Some(call) = call(parts(&request), is_trusted_proxy) {
        goes_on(&call, request.path.unwrap_or_default());
        if let Some(head) = ordinary(head) {
            let same = self::call(Some(head), is_trusted_proxy);
            assert_eq!(format!("{same:?}"), format!("{:?}", Some(call)), "another reader finds the same");
        }
    }
}

/// Looks after each piece; the pieces are those of the stream.
fn in_pieces(pieces: &[&[u8]], stream: &[u8], whole: Result<Option<usize>, BadHead>) {
    let (mut scan, mut came, mut seen) = (HeadScan::new(), 0, Ok(None));
    for piece in pieces {
        came += piece.len();
        seen = scan.look(stream.get(..came).unwrap_or_default());
        assert!(seen == Ok(None) || seen == whole, "{seen:?} at {came}, then {whole:?}");
    }
    assert_eq!(seen, whole);
}

/// Looks at the stream as an answer after each piece: it is of one kind, and its head has one end, whether or not
/// that head is known from before.
fn as_answer(pieces: &[&[u8]], stream: &[u8]) {
    let (mut came, mut known) = (0, KnownAnswer::default());
    let last = known.begins(stream);
    for piece in pieces {
        came += piece.len();
        match (known.begins(stream.get(..came).unwrap_or_default()), &last) {
            (Beginning::Partial, _) | (Beginning::Other, Beginning::Other) => {}
            (Beginning::Ordinary(first), Beginning::Ordinary(last)) => {
                assert!(first.head_len <= came);
                assert_eq!((first.head_len, first.body_len), (last.head_len, last.body_len));
                assert_eq!(
                    (first.keeps_open, first.cookie.is_some()),
                    (last.keeps_open, last.cookie.is_some())
                );
            }
            (first, last) => panic!("{first:?} at {came}, then {last:?}"),
        }
    }
}

/// Where the body ends; nothing says so twice.
fn framing(fields: &[httparse::Header<'_>]) -> Framing {
    let mut found = None;
    for field in fields {
        let value = str::from_utf8(field.value).unwrap_or_default();
        let says = match field.name.to_ascii_lowercase().as_str() {
            "content-length" => Framing::Length(value.parse().unwrap_or(u64::MAX)),
            "transfer-encoding" => {
                assert_eq!(value.to_ascii_lowercase(), "chunked");
                Framing::Chunked
            }
            _ => continue,
        };
        assert!(found.replace(says).is_none(), "two lengths");
        assert!(!matches!(says, Framing::Length(length) if length > BODY_LIMIT));
    }
    found.unwrap_or(Framing::Length(0))
}

fn parts(request: &httparse::Request<'_, '_>) -> Option<Parts> {
    let built = Request::builder().method(request.method?).uri(request.path?);
    let built = request.headers.iter().fold(built, |built, field| built.header(field.name, field.value));
    Some(built.body(()).ok()?.into_parts().0)
}

/// The call that a parsed request is; none if it is something else, or refused.
fn call(head: Option<Parts>, is_trusted_proxy: bool) -> Option<Arc<CallHead>> {
    let head = head?;
    let forbidden = [HeaderName::from_static("x-hive-trusted")];
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match judge(&head, Peer { address, is_trusted_proxy, forbidden: &forbidden }) {
        Ok(Asked::Call(call)) => Some(call),
        Ok(_) => None,
        Err(why) => {
            assert!(why.status().is_client_error() && !why.kind().is_empty());
            None
        }
    }
}

/// What must hold of the head for a coordinator, and of the user that the query names.
fn goes_on(call: &CallHead, target: &str) {
    let host = HeaderValue::from_static("coordinator");
    for (call, cookie) in [(call.clone(), None), (call.for_own_calls(), Some(&host))] {
        let head = call.for_coordinator(&host, cookie);
        let mut sent = Vec::new();
        call.each_part(&host, cookie, LENGTH, |part| sent.extend_from_slice(part));
        is_sent_as(&head, &sent);
        let count = |name: &str| head.headers.get_all(name).iter().count();
        for once in ["host", "content-type", "x-forwarded-for"] {
            assert_eq!(count(once), 1, "{once}");
        }
        assert_eq!(count("cookie"), usize::from(cookie.is_some()));
        for most in ["authorization", "x-hive-delegation-token", "user-agent", "x-request-id"] {
            // The second head is of a call of the router's own, which has no name.
            assert!(count(most) <= usize::from(cookie.is_none() || most != "x-request-id"), "{most}");
        }
        for never in ["content-length", "transfer-encoding", "connection", "expect", "x-hive-trusted"] {
            assert_eq!(count(never), 0, "{never}");
        }
        let hops = head.headers.get("x-forwarded-for").map(HeaderValue::as_bytes).unwrap_or_default();
        assert!(hops.len() <= LONGEST_FORWARDED && hops.ends_with(b"127.0.0.1"));
        let query = target.split_once('?').map_or("", |(_, query)| query);
        assert_eq!(head.uri.query().unwrap_or_default(), query, "it passes as it came");
        let user = call.do_as();
        assert!(user.is_none_or(|user| !user.is_empty() && user.len() <= LONGEST_USER));
        for found in [impalas_user(query), hives_user(query)].into_iter().flatten() {
            assert_eq!(Some(found.as_slice()), user.map(str::as_bytes));
        }
    }
}

/// That the bytes of a head say what the head says, and that a body of [`LENGTH`] bytes follows.
fn is_sent_as(head: &Parts, sent: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT as usize + OWN_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(sent), Ok(httparse::Status::Complete(sent.len())));
    assert_eq!((request.method, request.version), (Some(head.method.as_str()), Some(1)));
    assert_eq!(request.path, head.uri.path_and_query().map(PathAndQuery::as_str));
    let length = LENGTH.to_string();
    let said = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut said: Vec<_> = said.chain([("content-length", length.as_bytes())]).collect();
    let mut read: Vec<_> = request.headers.iter().map(|field| (field.name, field.value)).collect();
    // Fields of one name stay in their order.
    said.sort_by_key(|(name, _)| *name);
    read.sort_by_key(|(name, _)| *name);
    assert_eq!(read, said);
}

/// The user whom Impala finds: the last `doAs` with a value.
fn impalas_user(query: &str) -> Option<Vec<u8>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.rfind(|(name, _)| *name == "doAs").map(|(_, value)| decoded(value))
}

/// The user whom Hive finds: the first `doAs` in any case, escaped or not.
fn hives_user(query: &str) -> Option<Vec<u8>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| decoded(name).eq_ignore_ascii_case(b"doas")).map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut decoded) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                let digits = str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).unwrap_or_default()
            }
            other => other,
        });
    }
    decoded
}
