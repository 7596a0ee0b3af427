//! Captured calls over HTTP, played again one by one: a coordinator gets each message as its client wrote it, and
//! the client what the server answered, although heads are written anew on the way.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::fixtures::{Call, Capture, Connection, Transport, captures};
use crate::support::router::TestRouter;

/// What each message is answered with, equal ones in their order, and the coordinators that got them.
#[derive(Default)]
struct Script {
    answers: Mutex<HashMap<Vec<u8>, VecDeque<Vec<u8>>>>,
    got: Mutex<Vec<(usize, Vec<u8>)>>,
}

/// The message and its answer, without what HTTP puts around them.
fn payloads<'a>(connection: &'a Connection, call: &Call) -> Option<(&'a [u8], &'a [u8])> {
    let (asked, answered) = (call.request_at?.range(), call.answer_at?.range());
    Some((&connection.c2s[asked], &connection.s2c[answered]))
}

/// The request as the client sent it, from its first line on.
fn request<'a>(connection: &'a Connection, call: &Call) -> &'a [u8] {
    let body = call.request_at.unwrap().range();
    let before = &connection.c2s[..body.start];
    let head = before.windows(5).rposition(|part| part == b"POST ").unwrap();
    &connection.c2s[head..body.end]
}

/// Reads a message of HTTP; returns its body. `None`: there is none.
fn read_body(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut line, mut length) = (String::new(), None);
    loop {
        line.clear();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let field = line.trim_end().to_ascii_lowercase();
        if let Some(value) = field.strip_prefix("content-length: ") {
            length = Some(value.parse().unwrap());
        }
        if field.is_empty() {
            break;
        }
    }
    if let Some(length) = length {
        return Some(exactly(from, length));
    }
    let mut body = Vec::new();
    loop {
        line.clear();
        from.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        body.extend(exactly(from, size));
        exactly(from, 2);
        if size == 0 {
            return Some(body);
        }
    }
}

fn exactly(from: &mut BufReader<TcpStream>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// Answers as the captured server did.
fn coordinator(place: usize, script: &Arc<Script>) -> SocketAddr {
    let (listener, script) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::clone(script));
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let script = Arc::clone(&script);
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Some(message) = read_body(&mut reader) {
                    // The router's own questions were not captured.
                    let answer =
                        script.answers.lock().unwrap().get_mut(&message).and_then(VecDeque::pop_front);
                    let Some(answer) = answer else { return };
                    script.got.lock().unwrap().push((place, message));
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                    reader.get_mut().write_all(&[head.as_bytes(), &answer].concat()).unwrap();
                }
            });
        }
    });
    address
}

fn play(capture: &Capture) -> usize {
    let calls = || capture.connections.iter().flat_map(|one| one.calls.iter().map(move |call| (one, call)));
    let script = Arc::new(Script::default());
    for (message, answer) in calls().filter_map(|(one, call)| payloads(one, call)) {
        script.answers.lock().unwrap().entry(message.to_vec()).or_default().push_back(answer.to_vec());
    }
    let flavor = if capture.server.contains("Spark") { "spark" } else { "impala" };
    let coordinators = [0, 1].map(|place| coordinator(place, &script));
    let router = TestRouter::http(flavor, &coordinators);
    let (mut owners, mut played) = (HashMap::new(), 0);
    for (connection, call) in calls() {
        let Some((message, answer)) = payloads(connection, call) else { continue };
        let mut client = TcpStream::connect(router.listener(0)).unwrap();
        client.write_all(request(connection, call)).unwrap();
        let heard = read_body(&mut BufReader::new(client)).expect("an answer");
        assert!(heard == answer, "{}: {}", capture.name, call.method);
        let (place, got) = script.got.lock().unwrap().pop().expect("it came to a coordinator");
        assert!(got == message, "{}: {}", capture.name, call.method);
        if let Some(session) = &call.minted_session {
            owners.insert(session.0.clone(), place);
        }
        let owner = call.session.as_ref().and_then(|session| owners.get(&session.0));
        assert!(owner.is_none_or(|owner| *owner == place), "{}: {}", capture.name, call.method);
        played += 1;
    }
    played
}

#[test]
fn every_call_over_http_arrives_and_is_answered_as_it_was() {
    let over_http = captures().into_iter().filter(|one| one.transport == Transport::Http);
    let played: usize = over_http.map(|capture| play(&capture)).sum();
    assert!(played > 50, "only {played} calls were played");
}
