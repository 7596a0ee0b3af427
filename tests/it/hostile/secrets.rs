//! What nobody may read elsewhere: passwords, the secrets of handles, the text of statements.

use std::fs;

use hs2router::fake::sasl::{BAD, COMPLETE, OK, START, frame, negotiation};

use crate::admin::ask_at;
use crate::support::message::{Message, STRING, Value, execute, handle, of_handle, of_query, query};
use crate::support::router::TestRouter;
use crate::support::script::{Act, Script, WRONG};
use crate::support::talk::Talk;

const PASSWORD: &str = "canary-password";
const STATEMENT: &str = "canary-statement";
/// Those of the coordinators; a handle that a client made up has another.
const SECRET: &str = "secret-of-a-sess";
const MADE_UP: &str = "canary-handle-se";

/// Fails if bytes hold one of the canaries, as text or as the numbers that `Debug` makes of bytes.
fn hold_no_secret(name: &str, bytes: &[u8]) {
    for canary in [PASSWORD, STATEMENT, SECRET, MADE_UP, WRONG] {
        // A length that was none, or a first word, is shown: four bytes. More of anything is not.
        let numbers = format!("{:?}", &canary.as_bytes()[..5]);
        let numbers = numbers.trim_matches(['[', ']']).as_bytes();
        let hexadecimal: Vec<String> = canary.bytes().take(5).map(|byte| format!("{byte:02x}")).collect();
        let hexadecimal = hexadecimal.concat();
        for shape in [canary.as_bytes(), numbers, hexadecimal.as_bytes()] {
            let found = bytes.windows(shape.len()).any(|window| window == shape);
            assert!(!found, "{canary} is in {name}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

/// Where the admin port says something, and a word that shows that it does.
const ADMIN: [(&str, &str); 9] = [
    ("/metrics", "hs2router_calls_total{method=\"ExecuteStatement\""),
    ("/api/v1/sessions", "\"service\":\""),
    ("/api/v1/connections", "\"depth\":\""),
    ("/api/v1/operations", "\"kind\":\"statement\""),
    ("/api/v1/events", "\"event\":\""),
    ("/api/v1/history", "\"history\":["),
    ("/api/v1/coordinators", "\"state\":\"active\""),
    ("/api/v1/listeners", "\"address\""),
    ("/api/v1/clusters", "\"test\""),
];

/// What the admin port says of a router, in which a session and a statement are open.
pub(crate) fn shown(router: &TestRouter) -> impl Iterator<Item = (&'static str, String)> {
    let admin = router.router().admin();
    ADMIN.into_iter().map(move |(path, word)| {
        let (status, body) = ask_at(admin, &format!("GET {path}"), "");
        assert!(status == 200 && body.contains(word), "{path}: {body}");
        (path, body)
    })
}

/// A coordinator on which every kind of thing goes wrong.
fn troubled() -> Script {
    Script::calls(|call| match call.message.text(&[1, 2]).as_str() {
        "canary-statement close" => Act::Close,
        "canary-statement other" => Act::Reply(call.message.done(vec![]).seqid(99)),
        "canary-statement garbage" => Act::Bytes(call.wrap(b"canary-statement, and no reply at all")),
        "canary-statement failed" => {
            Act::Reply(call.message.failed("ParseException: Syntax error in: canary-statement"))
        }
        _ => Act::Ordinary,
    })
}

/// Says statements of every kind; returns what the router itself answered.
fn talk_of_secrets(client: &mut Talk) -> Vec<Message> {
    let session = client.open();
    let mut words = Vec::new();
    for what in ["good", "failed", "close", "other", "garbage"] {
        let reply = client.call(&execute(&session, &format!("{STATEMENT} {what}")));
        if reply.error().1.starts_with("hs2router") {
            words.push(reply);
        }
    }
    let made_up = handle([1; 16], MADE_UP.as_bytes().try_into().unwrap());
    client.call(&of_handle("CloseSession", &made_up));
    client.call(&of_handle("GetLog", &made_up));
    client.call(&Message::call(STATEMENT, vec![]));
    client.call(&query(STATEMENT));
    client.call(&of_query("get_state", STATEMENT));
    client.call(&of_handle("CloseSession", &session));
    words
}

#[test]
fn no_secret_is_in_a_log_on_the_admin_port_or_in_an_error() {
    let script = troubled();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.jsonl");
    let keys = format!("stall_timeout = \"300ms\"\n[admin.history]\nfile = \"{}\"", file.display());
    let router = TestRouter::with("impala", &[script.address()], &keys);
    let listener = router.listener(0);
    let mut answers = Vec::new();
    for mut client in [Talk::connect(listener), Talk::connect_framed(listener)] {
        answers.extend(talk_of_secrets(&mut client));
    }
    let (mut client, status, _) = Talk::log_in(listener, "u1", PASSWORD);
    assert_eq!(status, COMPLETE);
    answers.extend(talk_of_secrets(&mut client));
    assert_eq!(answers.len(), 9, "{answers:?}");
    for answer in &answers {
        hold_no_secret("an error reply", &answer.encode());
    }
    let (_, status, text) = Talk::log_in(listener, "u1", WRONG);
    assert_eq!(status, BAD);
    assert!(text.contains("no such user"), "{text}");
    for response in
        [format!("{PASSWORD}\0u1\0{PASSWORD}"), format!("\0u1\0{PASSWORD}\0x"), PASSWORD.to_owned()]
    {
        let mut client = Talk::connect(listener);
        client.send(&[negotiation(START, b"PLAIN"), negotiation(OK, response.as_bytes())].concat());
        hold_no_secret("a refused handshake", &client.rest());
    }
    let session = handle([1; 16], MADE_UP.as_bytes().try_into().unwrap());
    let cut = execute(&session, STATEMENT).encode();
    let bad =
        Value::Struct(vec![(1, session), (2, Value::text(STATEMENT)), (3, Value::Raw(STRING, vec![255; 4]))]);
    let bad = Message::call("ExecuteStatement", vec![(1, bad)]).encode();
    for said in [&cut[..cut.len() - 1], &bad, &frame(&[bad.as_slice(), STATEMENT.as_bytes()].concat())] {
        let mut client = Talk::connect(listener);
        client.send(said);
        hold_no_secret("the end of a bad connection", &client.rest());
    }
    router.await_metric("hs2router_connections_closed_total{cause=\"client_stalled\"}", 1.0);
    let logs = router.logs().text();
    assert!(logs.contains(" TRACE ") && logs.contains("connection ended"), "{logs}");
    hold_no_secret("the log", logs.as_bytes());
    let (mut client, ..) = Talk::log_in(listener, "u1", PASSWORD);
    let session = client.open();
    client.call(&execute(&session, STATEMENT));
    for (path, body) in shown(&router) {
        hold_no_secret(path, body.as_bytes());
    }
    drop(client);
    router.drain();
    let history = fs::read_to_string(file).unwrap();
    for kind in ["session", "operation"] {
        assert!(history.contains(&format!("\"kind\":\"{kind}\"")), "{history}");
    }
    hold_no_secret("the history", history.as_bytes());
}
