//! Kerberos over HTTP that the router ends itself: what a client is told, whose it is by ticket and by cookie, and
//! what reaches coordinators.

mod attack;
mod own_ticket;

use std::net::SocketAddr;

use data_encoding::BASE64;
use hs2router::fake::{Coordinator, Settings};
use hs2router::idl::t_c_l_i_service::{THandleIdentifier, TSessionHandle};

use super::front::token;
use super::{Fleet, KerberosRouter, SERVICE, log_in};
use crate::http_input::{Answer, Raw};
use crate::support::kdc::REALM;
use crate::support::message::{Message, Value, execute, handle, of_handle, open_session};
use crate::support::router::eventually;
use crate::support::tools::{self, Tool};

/// Simulated Impalas that have HTTP alone and ask for tickets, into which they do not look, and a router.
struct HttpFleet {
    router: KerberosRouter,
    coordinators: Vec<Coordinator>,
}

impl HttpFleet {
    /// So many coordinators, with more keys for `[listener.kerberos]`. `None`: the tools are missing.
    fn of(coordinators: usize, listener: &str) -> Option<Self> {
        Self::with(coordinators, listener, &Settings::default())
    }

    fn with(coordinators: usize, listener: &str, settings: &Settings) -> Option<Self> {
        if !tools::present(&[Tool::Kdc]) {
            return None;
        }
        let start = |number| {
            let name = format!("c{number}");
            Coordinator::start(Settings { name, tickets: true, ..settings.clone() }).unwrap()
        };
        let coordinators: Vec<_> = (1..=coordinators).map(start).collect();
        let ports: Vec<u16> = coordinators.iter().map(|one| one.hs2_http().port()).collect();
        let router = KerberosRouter::over_http("impala", &format!("HTTP/_HOST@{REALM}"), &ports, listener);
        Some(Self { router, coordinators })
    }
}

/// The field with this token.
pub(super) fn negotiate(token: &[u8]) -> String {
    format!("Authorization: Negotiate {}\r\n", BASE64.encode(token))
}

/// The field with a fresh ticket of this user's.
pub(super) fn ticket(user: &str) -> String {
    negotiate(&token(user, SERVICE))
}

/// What is answered to one call, on a connection of its own.
pub(super) fn post(to: SocketAddr, target: &str, fields: &str, message: &Message) -> Answer {
    let mut raw = Raw::connect(to);
    raw.send(&request(target, fields, message));
    raw.hear()
}

/// A call with these fields.
pub(super) fn request(target: &str, fields: &str, message: &Message) -> Vec<u8> {
    let body = message.encode();
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

/// The one cookie that an answer gives, as the field in which a client sends it back.
fn cookie_of(answer: &Answer) -> String {
    let [cookie] = answer.cookies.as_slice() else { panic!("{answer:?}") };
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, "HttpOnly;Max-Age=3600");
    format!("Cookie: {pair}\r\n")
}

/// A user that has logged in by a ticket, and its cookie.
pub(super) struct LoggedIn {
    at: SocketAddr,
    pub(super) cookie: String,
    pub(super) session: Value,
}

impl LoggedIn {
    pub(super) fn new(at: SocketAddr, user: &str) -> Self {
        let answer = post(at, "/cliservice", &ticket(user), &open_session());
        let session = answer.message().handle(&[0, 3]);
        Self { at, cookie: cookie_of(&answer), session }
    }

    pub(super) fn call(&self, message: &Message) -> Message {
        let answer = post(self.at, "/cliservice", &self.cookie, message);
        assert!(answer.cookies.is_empty(), "{answer:?}");
        answer.message()
    }
}

/// An `OpenSession` with this configuration.
fn open_with(pairs: &[(&str, &str)]) -> Message {
    let pairs = pairs.iter().map(|(key, value)| (Value::text(key), Value::text(value))).collect();
    let request = vec![(1, Value::I32(5)), (4, Value::Map(pairs))];
    Message::call("OpenSession", vec![(1, Value::Struct(request))])
}

/// A token of SPNEGO with this one of Kerberos in it (RFC 4178, section 4.2.1).
pub(super) fn in_spnego(token: &[u8]) -> Vec<u8> {
    const SPNEGO: &[u8] = b"\x06\x06\x2b\x06\x01\x05\x05\x02";
    const KERBEROS: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
    let tagged = |tag: u8, inside: &[u8]| {
        let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
        [&[tag, 0x83], &length[1..], inside].concat()
    };
    let mechanisms = tagged(0xa0, &tagged(0x30, KERBEROS));
    let init = tagged(0xa0, &tagged(0x30, &[mechanisms, tagged(0xa2, &tagged(0x04, token))].concat()));
    tagged(0x60, &[SPNEGO, &init].concat())
}

/// The same handle as a value.
pub(super) fn untyped(session: &TSessionHandle) -> Value {
    let TSessionHandle { session_id: THandleIdentifier { guid, secret } } = session.clone();
    let [guid, secret] = [guid, secret].map(|part| part.try_into().expect("sixteen bytes"));
    handle(guid, secret)
}

/// A session's handle as the generated client has it.
fn typed(session: &Value) -> TSessionHandle {
    let part = |id| match session.at(&[1, id]) {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        other => panic!("{other:?}"),
    };
    TSessionHandle::new(THandleIdentifier::new(part(1), part(2)))
}

/// The values of a field, in small letters.
fn values<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let of_name = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    answer.head.lines().filter_map(of_name).collect()
}

#[test]
fn a_request_without_a_login_is_asked_for_one_and_no_coordinator_hears_of_it() {
    let Some(by_sasl) = Fleet::of(1, "") else { return };
    let by_http = HttpFleet::of(1, "").unwrap();
    let of_none = "Cookie: impala.auth=x\r\n";
    for (at, challenges) in [
        // Nobody could judge a password that comes over HTTP.
        (by_sasl.router.listener, &["negotiate"][..]),
        (by_http.router.listener, &["negotiate", "basic realm=\"hs2router\""]),
    ] {
        for (target, fields) in [("/cliservice", ""), ("/", of_none), ("/?doAs=ann", "")] {
            let (mut raw, message) = (Raw::connect(at), open_session());
            let body = message.encode();
            let length = body.len();
            let head =
                format!("POST {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n");
            raw.send(&[head.as_bytes(), &body].concat());
            let answer = raw.last();
            assert_eq!((answer.status, values(&answer, "www-authenticate")), (401, challenges.to_vec()));
            let text = answer.text();
            assert!(text.starts_with("hs2router (c") && text.contains("log in by Kerberos"), "{text}");
            assert!(answer.cookies.is_empty());
        }
    }
    assert_eq!(by_sasl.received("OpenSession") + by_http.coordinators[0].calls().len(), 0);
}

#[test]
fn a_ticket_is_taken_as_it_is_and_in_spnego_and_the_router_proves_itself_in_return() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let at = fleet.router.listener;
    let fresh = || token("ann", SERVICE);
    let with_colon = negotiate(&fresh()).replace("Negotiate ", "Negotiate : ");
    for (fields, begins) in [
        (negotiate(&fresh()), 0x60),
        // As Hive's JDBC driver writes it.
        (with_colon, 0x60),
        (negotiate(&in_spnego(&fresh())), 0xa1),
    ] {
        let answer = post(at, "/any/path", &fields, &open_session());
        assert_eq!(answer.message().status(), Some(0));
        let [proof] = values(&answer, "www-authenticate")[..] else { panic!("{answer:?}") };
        // In small letters it can no longer be decoded, but for how it begins.
        let base64 = proof.strip_prefix("negotiate ").unwrap();
        let first = if begins == 0x60 { "yi" } else { "o" };
        assert!(base64.starts_with(first) && base64.len() > 100, "{proof}");
        let cookie = cookie_of(&answer);
        let session = answer.message().handle(&[0, 3]);
        let answer = post(at, "/", &cookie, &execute(&session, "select 1"));
        assert_eq!(answer.message().status(), Some(0));
        assert!(values(&answer, "www-authenticate").is_empty() && answer.cookies.is_empty(), "{answer:?}");
    }
}

#[test]
fn what_is_wrong_with_a_ticket_is_told_in_the_words_that_sasl_has_for_it() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let at = fleet.router.listener;
    let good = token("ann", SERVICE);
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let foreign = token("ann", "keyless");
    assert_eq!(post(at, "/", &negotiate(&good), &open_session()).status, 200);
    for (fields, words) in [
        (negotiate(&good), "Request is a replay; make a new token for each connection"),
        (negotiate(&flipped), "impala/localhost@TEST kvno 1"),
        (negotiate(&foreign), "compare the name that the client asks for (klist)"),
        (negotiate(&in_spnego(&foreign)), "keyless/localhost@TEST"),
        (negotiate(b"not a token"), "must send a ticket of Kerberos 5"),
        (negotiate(&in_spnego(b"not a token")), "must send a ticket of Kerberos 5"),
        // What Windows sends where it has no ticket: the first message of NTLM.
        (negotiate(b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2"), "must send a ticket of Kerberos 5"),
        ("Authorization: Negotiate ???\r\n".to_owned(), "has no token"),
        ("Authorization: Negotiate\r\n".to_owned(), "has no token"),
    ] {
        let answer = post(at, "/", &fields, &open_session());
        let text = answer.text();
        assert!(text.starts_with("hs2router (c") && text.contains(words), "{words}: {text}");
        assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
        assert_eq!((answer.status, values(&answer, "www-authenticate")), (401, vec!["negotiate"]));
        assert!(answer.cookies.is_empty());
    }
    assert_eq!(fleet.received("OpenSession"), 1);
    assert!(eventually(|| fleet.router.has_logged("the ticket was refused")));
    let strict = Fleet::of(1, "realms = [\"OTHER.ORG\"]").unwrap();
    let answer = post(strict.router.listener, "/", &ticket("ann"), &open_session());
    assert!(answer.status == 401 && answer.cookies.is_empty(), "{answer:?}");
    assert!(answer.text().contains("\"ann@TEST\" is not accepted: its realm is not among"));
}

#[test]
fn a_session_is_its_users_over_http_and_sasl_and_nobody_elses() {
    let Some(by_sasl) = Fleet::of(2, "") else { return };
    let by_http = HttpFleet::of(2, "").unwrap();
    for at in [by_sasl.router.listener, by_http.router.listener] {
        let over_http = LoggedIn::new(at, "ann");
        let operation = over_http.call(&execute(&over_http.session, "select 1")).handle(&[0, 2]);
        let mut over_sasl = log_in(at, "ann").unwrap();
        let session = over_sasl.open(&[]).unwrap();
        let held = typed(&over_http.session);
        over_sasl.execute(&held, "select 1").unwrap();
        let there = untyped(&session);
        assert_eq!(over_http.call(&execute(&there, "select 1")).status(), Some(0));
        let bob = LoggedIn::new(at, "bob");
        for handle in [&over_http.session, &there] {
            let refused = bob.call(&execute(handle, "select 1")).error().1;
            assert!(refused.contains("is not known as one of this user's"), "{refused}");
        }
        let mut by_sasl = log_in(at, "bob").unwrap();
        let refused = by_sasl.execute(&held, "select 1").unwrap_err().to_string();
        assert!(refused.contains("is not known as one of this user's"), "{refused}");
        let status = of_handle("GetOperationStatus", &operation);
        assert_eq!(over_http.call(&status).status(), Some(0));
        assert!(bob.call(&status).error().1.contains("is not known as one of this user's"));
    }
}

#[test]
fn the_user_of_the_query_is_judged_as_the_one_of_the_session_is() {
    let Some(fleet) = HttpFleet::of(1, "proxy_users = { bob = [\"ann\", \"eve\"] }") else { return };
    let at = fleet.router.listener;
    let refused = |target: &str, user: &str, message: &Message| {
        post(at, target, &ticket(user), message).message().error().1
    };
    for words in [
        refused("/?doAs=bob", "ann", &open_session()),
        refused("/", "ann", &open_with(&[("impala.doas.user", "bob")])),
    ] {
        assert!(words.contains("user \"ann\" must not act for user \"bob\""), "{words}");
    }
    let two = refused("/?doAs=ann", "bob", &open_with(&[("hive.server2.proxy.user", "eve")]));
    assert!(two.contains("different users"), "{two}");
    let opened = post(at, "/?doAs=ann", &ticket("bob"), &open_session());
    let (for_ann, session) = (cookie_of(&opened), opened.message().handle(&[0, 3]));
    let who = execute(&session, "select user(), effective_user()");
    assert_eq!(post(at, "/?doAs=ann", &for_ann, &who).message().status(), Some(0));
    // It is bob's who acts for ann, and so not hers, nor that of bob who acts for another.
    assert!(refused("/", "ann", &who).contains("is not known as one of this user's"));
    assert!(refused("/?doAs=eve", "bob", &who).contains("is not known as one of this user's"));
    assert!(refused("/?doAs=ann", "ann", &who).contains("is not known as one of this user's"));
    // The cookie is for that user, too.
    for target in ["/", "/?doAs=eve"] {
        assert_eq!(post(at, target, &for_ann, &who).status, 401);
    }
    assert_eq!(post(at, "/", &ticket("bob"), &who).message().status(), Some(0));
    for call in fleet.coordinators[0].calls() {
        assert_eq!(call.do_as, None, "coordinators learn of it in the session");
        assert_eq!(call.head.unwrap().target, "/cliservice");
    }
}
