//! Requests that are no calls, refused credentials, and old versions.

use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::{Arc, Mutex};

use super::{ANN, Answer, Raw, Scene, call, request};
use crate::support::message::{Message, Value, execute, handle, of_handle, open_session};
use crate::support::router::TestRouter;
use crate::support::script::Script;

fn line(scene: &mut Raw, line: &str) -> Answer {
    scene.send(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    if line.starts_with("HEAD") { scene.head() } else { scene.hear() }
}

#[test]
fn load_balancers_are_answered_that_ask_for_the_root_or_for_healthz() {
    let scene = Scene::new("");
    let mut client = scene.client();
    for path in ["/", "/healthz", "/?x=y"] {
        let answer = line(&mut client, &format!("GET {path}"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok\n"[..]), "{path}");
        let answer = line(&mut client, &format!("HEAD {path}"));
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("3")), "{path}");
    }
    // All on one connection, which goes on.
    assert_eq!(client.call(ANN, &open_session()).status(), Some(0));
    scene.stays_sound();
}

#[test]
fn other_methods_and_paths_are_not_allowed() {
    let scene = Scene::new("");
    let mut client = scene.client();
    for asked in ["PUT /", "GET /cliservice", "DELETE /", "PATCH /x", "TRACE /", "HEAD /x", "GET http://x/y"]
    {
        let answer = line(&mut client, asked);
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, Some("get, head, options, post")),
            "{asked}"
        );
    }
    let answer = line(&mut scene.client(), "CONNECT x:80");
    assert_eq!(answer.status, 405);
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn a_call_comes_to_any_path() {
    let scene = Scene::new("");
    let mut client = scene.client();
    for path in ["/", "/cliservice", "/a/b;c?d=e&f", "http://x:1/y", "*"] {
        let bytes = call(ANN, &open_session());
        let bytes = [b"POST ", path.as_bytes(), &bytes["POST /".len()..]].concat();
        client.send(&bytes);
        assert_eq!(client.hear().message().status(), Some(0), "{path}");
    }
    scene.stays_sound();
}

#[test]
fn two_names_to_act_for_are_refused() {
    let scene = Scene::new("");
    for query in
        ["doAs=bob&doAs=ann", "doAs=bob&doas=ann", "doAs=bob&do%41s=ann", "doAs=", "doAs=%", "doAs=a%00"]
    {
        let bytes = call(ANN, &open_session());
        let bytes = [format!("POST /?{query}").as_bytes(), &bytes["POST /".len()..]].concat();
        assert_eq!(scene.told(&bytes).status, 400, "{query}");
    }
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn who_proves_nothing_is_told_how_to_and_has_to_come_again() {
    let scene = Scene::new("");
    let wrong = "Authorization: Basic YW5uOndyb25n\r\n";
    for fields in ["", wrong, "Authorization:\r\n", "Authorization: Basic\r\n", "Cookie: impala.auth=x\r\n"] {
        for message in [open_session(), of_handle("GetInfo", &handle([1; 16], [2; 16]))] {
            let answer = scene.told(&call(fields, &message));
            assert_eq!(answer.status, 401, "{answer:?}");
            assert!(
                answer.field("www-authenticate").is_some_and(|said| said.contains("basic")),
                "{answer:?}"
            );
            assert_eq!(answer.field("set-cookie"), None);
        }
    }
    assert_eq!(scene.calls(), []);
    scene.stays_sound();
}

#[test]
fn a_401_is_no_loss_of_a_link() {
    let scene = Scene::new("");
    let session = scene.session();
    for message in [open_session(), of_handle("PingImpalaHS2Service", &session)] {
        assert_eq!(scene.told(&call("", &message)).status, 401);
    }
    let shown = scene.fleet.router().logs().shown();
    assert!(!shown.contains("lost"), "{shown}");
}

#[test]
fn no_request_for_options_reaches_a_coordinator() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let script = Script::raw({
        let asked = Arc::clone(&asked);
        move |mut stream, _| {
            let mut line = String::new();
            let _read = BufReader::new(&stream).read_line(&mut line);
            asked.lock().unwrap().push(line);
            let _said = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        }
    });
    let router = TestRouter::http("impala", &[script.address()]);
    let mut client = Raw::connect(router.listener(0));
    for path in ["*", "/canary", "/canary?x"] {
        let answer = line(&mut client, &format!("OPTIONS {path}"));
        assert_eq!((answer.status, answer.field("allow")), (200, Some("get, head, options, post")), "{path}");
        assert_eq!(answer.body, b"");
    }
    // With a call in it, it is no call either.
    let bytes = call(ANN, &open_session());
    client.send(&[b"OPTIONS /canary", &bytes["POST /".len()..]].concat());
    assert_eq!(client.last().status, 200);
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|line| line.starts_with("OPTIONS / ")), "{asked:?}");
}

#[test]
fn a_request_to_upgrade_is_a_request_like_any_other() {
    let scene = Scene::new("");
    let mut client = scene.client();
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for _ in 0..2 {
        assert_eq!(client.call(&format!("{ANN}{upgrade}"), &open_session()).status(), Some(0));
    }
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.hear().status, 200);
    assert_eq!(client.call(ANN, &open_session()).status(), Some(0));
    scene.stays_sound();
}

/// The same request in HTTP/1.0.
pub(super) fn old(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(&bytes[..64]).into_owned();
    let at = text.find("HTTP/1.1").unwrap() + 7;
    [&bytes[..at], b"0", &bytes[at + 1..]].concat()
}

#[test]
fn an_old_client_gets_its_connection_closed_unless_it_asks_to_keep_it() {
    let scene = Scene::new("");
    let mut client = scene.client();
    let kept = format!("{ANN}Connection: keep-alive\r\n");
    let mut session = None;
    for _ in 0..2 {
        client.send(&old(&call(&kept, &open_session())));
        let answer = client.hear();
        assert_eq!(answer.field("connection"), Some("keep-alive"), "{answer:?}");
        session = Some(answer.message().handle(&[0, 3]));
    }
    client.send(&old(&call(ANN, &open_session())));
    assert_eq!(client.last().message().status(), Some(0));
    assert_eq!(scene.told(&old(&request("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"))).status, 400);
    // One that asks for it is told of the end in one word, too.
    assert_eq!(scene.told(&old(&call("Connection: keep-alive\r\n", &open_session()))).status, 401);

    // A reply whose length is not known ends with the connection: there are no chunks.
    let session = session.unwrap();
    let mut client = scene.client();
    let operation = client.call(ANN, &execute(&session, "select * from rows(20000, 20)")).handle(&[0, 2]);
    let asked = vec![(1, operation), (2, Value::I32(0)), (3, Value::I64(20_000))];
    let fetch = Message::call("FetchResults", vec![(1, Value::Struct(asked))]);
    client.send(&old(&call(&kept, &fetch)));
    let answer = client.hear();
    assert_eq!(answer.field("transfer-encoding"), None, "{:?}", answer.head);
    assert_eq!(answer.message().status(), Some(0));
    assert!(answer.body.len() > 1 << 20, "{} bytes", answer.body.len());
    scene.stays_sound();
}
