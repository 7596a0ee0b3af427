//! A request that its coordinator finds too large: its client hears why, in the coordinator's own words.

use std::io::{self, Cursor, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use hs2router::fake::sasl::{Framing, START, frame};

use super::support::clients::Login;
use super::support::message::{EXCEPTION, Message, STRING, Value, execute, handle, open_session};
use super::support::router::TestRouter;
use super::support::script::{Act, Script};
use super::support::spark;
use super::support::talk::Talk;

/// The longest string that the coordinators here accept.
const LIMIT: usize = 1 << 20;

/// What a coordinator got.
#[derive(Default)]
struct Got {
    /// The lengths of the frames of SASL clients.
    frames: Vec<usize>,
    statements: Vec<Message>,
}

/// A coordinator that reads as Spark does (libthrift 0.12: `TSaslTransport.readFrame` takes a whole frame,
/// `TBinaryProtocol.checkStringReadLength` refuses a string by its length, `ProcessFunction.process` answers
/// that with a `TApplicationException`; the bytes behind it are no message then, and the connection is
/// closed).
fn spark_like() -> (Script, Arc<Mutex<Got>>) {
    let got = Arc::new(Mutex::new(Got::default()));
    let shared = Arc::clone(&got);
    // How the connection ended is for the other side to see.
    (Script::raw(move |stream, _| drop(serve(stream, &shared))), got)
}

fn serve(stream: TcpStream, got: &Mutex<Got>) -> io::Result<()> {
    let mut first = [0];
    stream.set_read_timeout(None)?;
    stream.peek(&mut first)?;
    let mut talk = Talk::over(stream, Framing::None);
    talk.stream.set_read_timeout(None)?;
    if first == [START] {
        talk.response()?;
        talk.judge(true);
    }
    loop {
        let head = head(&mut talk, got)?;
        if let Some(length) = too_long(&head) {
            let name_length = usize::from(head[7]);
            let call = Message::call(std::str::from_utf8(&head[8..8 + name_length]).unwrap(), Vec::new());
            let words = Value::text(&format!("Length exceeded max allowed: {length}"));
            talk.say(&Message { kind: EXCEPTION, ..call.reply(vec![(1, words), (2, Value::I32(7))]) });
            if talk.framing() == Framing::None {
                // Nothing comes of the bytes that it has not read.
                talk.reset();
            }
            return Ok(());
        }
        let call = Message::read(&mut Cursor::new(head).chain(&mut talk))?;
        if call.name == "ExecuteStatement" {
            got.lock().unwrap().statements.push(call.clone());
        }
        let handle = handle(*b"guid-of-a-handle", *b"secret-of-a-hand");
        talk.say(&match call.name.as_str() {
            "OpenSession" => call.done(vec![(2, Value::I32(5)), (3, handle)]),
            _ => call.done(vec![]),
        });
    }
}

/// What is read at once: a frame, or what has come.
fn head(talk: &mut Talk, got: &Mutex<Got>) -> io::Result<Vec<u8>> {
    let mut head = vec![0; 4];
    if talk.framing() == Framing::None {
        head.resize(1024, 0);
        let len = talk.stream.read(&mut head)?;
        head.truncate(len);
    } else {
        talk.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes(head[..].try_into().unwrap()) as usize;
        got.lock().unwrap().frames.push(len);
        head.resize(len, 0);
        talk.stream.read_exact(&mut head)?;
    }
    if head.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(head) }
}

/// The length of the statement, or of the user's name, if it is more than is accepted.
fn too_long(head: &[u8]) -> Option<u32> {
    let lengths = head.windows(7).filter(|bytes| bytes.starts_with(&[STRING, 0, 2]));
    let mut lengths = lengths.map(|bytes| u32::from_be_bytes(bytes[3..].try_into().unwrap()));
    lengths.find(|length| *length as usize > LIMIT)
}

/// What a client hears of a statement of so many bytes: the kind of the reply and its words.
fn hears(talk: &mut Talk, session: &Value, bytes: usize) -> (u8, String) {
    let reply = talk.call(&execute(session, &"x".repeat(bytes)));
    (reply.kind, reply.text(&[1]))
}

fn too_long_for(bytes: usize) -> (u8, String) {
    (EXCEPTION, format!("Length exceeded max allowed: {bytes}"))
}

#[test]
fn a_statement_of_a_sasl_client_goes_on_in_the_frame_that_it_came_in() {
    let (coordinator, got) = spark_like();
    let router = TestRouter::with("spark", &[coordinator.address()], "replay_limit = \"64KiB\"");
    let mut client = Talk::connect_sasl(router.listener(0));
    let session = client.open();
    let call = execute(&session, &"x".repeat(LIMIT / 2));
    assert_eq!(client.call(&call).status(), Some(0));
    let opened = open_session().encode().len();
    assert_eq!(got.lock().unwrap().frames, [opened, call.encode().len()]);
}

#[test]
fn a_statement_that_came_in_several_frames_arrives_as_it_was_sent() {
    for first in [70_000, 70_001, 100_000] {
        let (coordinator, got) = spark_like();
        let router = TestRouter::with("spark", &[coordinator.address()], "replay_limit = \"64KiB\"");
        let mut client = Talk::connect_sasl(router.listener(0));
        let session = client.open();
        let call = execute(&session, &"x".repeat(LIMIT / 2));
        let bytes = call.encode();
        let (front, back) = bytes.split_at(first);
        let (middle, end) = back.split_at(1);
        for part in [front, middle, end] {
            client.send(&frame(part));
        }
        assert_eq!(client.hear().unwrap().status(), Some(0));
        assert!(got.lock().unwrap().statements == [call], "it is not what was sent");
    }
}

#[test]
fn a_client_hears_why_its_coordinator_refused_a_large_request_and_nobody_gets_it_again() {
    for connect in [Talk::connect_sasl as fn(SocketAddr) -> Talk, Talk::connect] {
        let (coordinator, got) = spark_like();
        let router = TestRouter::with("spark", &[coordinator.address()], "replay_limit = \"64KiB\"");
        let mut client = connect(router.listener(0));
        let session = client.open();
        assert_eq!(hears(&mut client, &session, 8 * LIMIT), too_long_for(8 * LIMIT));
        assert_eq!(got.lock().unwrap().statements, []);
        // The connection goes on, with another link.
        client.open();
        let open = Message::call(
            "OpenSession",
            vec![(1, Value::Struct(vec![(1, Value::I32(5)), (2, Value::text(&"x".repeat(8 * LIMIT)))]))],
        );
        let reply = client.call(&open);
        assert_eq!((reply.kind, reply.text(&[1])), too_long_for(8 * LIMIT));
    }
}

#[test]
fn what_is_no_answer_to_a_request_that_was_cut_short_is_not_passed_on() {
    let coordinator = Script::raw(|stream, _| {
        let mut talk = Talk::over(stream, Framing::None);
        talk.stream.read_exact(&mut [0; 1024]).unwrap();
        let other = Message::call("FetchResults", Vec::new());
        talk.say(&other.done(vec![]));
    });
    let router = TestRouter::with("spark", &[coordinator.address()], "replay_limit = \"64KiB\"");
    let mut client = Talk::connect(router.listener(0));
    let session = handle(*b"guid-of-a-handle", *b"secret-of-a-hand");
    let reply = client.call(&execute(&session, &"x".repeat(8 * LIMIT)));
    assert_eq!(reply.status(), Some(3), "{reply:?}");
    assert!(reply.error().1.contains("not known"), "{reply:?}");
    assert_eq!(coordinator.accepted(), 1, "a statement is sent once");
}

#[test]
fn spark_refuses_a_statement_that_is_too_large_in_the_same_words_as_without_the_router() {
    // Hive's and Spark's `hive.server2.thrift.max.message.size` is 104,857,600.
    const LARGE: usize = 110_000_000;
    let Some([first, _]) = spark::pair(Login::Plain) else { return };
    let router = TestRouter::of("spark", &[first.address()]);
    for address in [first.address(), router.listener(0)] {
        let mut client = Talk::connect_sasl(address);
        let session = client.open();
        assert_eq!(hears(&mut client, &session, LARGE), too_long_for(LARGE));
    }
}

/// As impalad writes them when its buffer fills: what the router holds of a reply, it passes on in the frames
/// that it came in.
#[test]
fn a_reply_to_an_open_arrives_in_the_frames_that_it_came_in() {
    for connect in [Talk::connect_sasl as fn(SocketAddr) -> Talk, Talk::connect_framed] {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let writes = Arc::clone(&sent);
        let coordinator = Script::calls(move |call| {
            let handle = handle([7; 16], [8; 16]);
            let reply = call.message.done(vec![(2, Value::I32(5)), (3, handle)]).encode();
            let (front, back) = reply.split_at(20);
            let frames = [frame(front), frame(back)].concat();
            writes.lock().unwrap().clone_from(&frames);
            Act::Bytes(frames)
        });
        let router = TestRouter::of("spark", &[coordinator.address()]);
        let mut client = connect(router.listener(0));
        client.say(&open_session());
        let wanted = loop {
            let wanted = sent.lock().unwrap().clone();
            if !wanted.is_empty() {
                break wanted;
            }
            std::thread::yield_now();
        };
        let mut got = vec![0; wanted.len()];
        let read = client.stream.set_read_timeout(Some(std::time::Duration::from_secs(2)));
        read.unwrap();
        client.stream.read_exact(&mut got).expect("all frames of the reply");
        assert_eq!(got, wanted);
    }
}

/// The reply's last bytes make it too large to be held, and others follow: whoever closes its session must
/// not take those for the answer, so the link is closed instead.
#[test]
fn a_link_with_bytes_behind_a_reply_that_was_too_large_carries_no_close() {
    let coordinator = Script::calls(|call| {
        if call.message.name != "OpenSession" || call.place > 0 {
            return Act::Ordinary;
        }
        let mut fields = vec![(2, Value::I32(5)), (3, handle([7; 16], [8; 16]))];
        let bare = call.message.done(fields.clone()).encode().len();
        // A byte too much, with the string's header of 7 bytes.
        fields.push((9, Value::text(&"x".repeat((1 << 20) + 1 - bare - 7))));
        Act::Bytes([call.message.done(fields).encode(), b"junk".to_vec()].concat())
    });
    let router = TestRouter::of("impala", &[coordinator.address()]);
    let mut client = Talk::connect(router.listener(0));
    assert_ne!(client.call(&open_session()).status(), Some(0));
    // The link that is not used again ends.
    assert!(super::support::router::eventually(|| coordinator.open() == 0), "its link is still open");
    assert_eq!(coordinator.count("CloseSession"), 0);
}
