//! What is said of a failure is what was seen, and what is likely to be wrong: a port that speaks another
//! protocol is not told as a password that was refused.

use std::io::Read as _;

use hs2router::fake::sasl::{BAD, ERROR, Framing, START, frame, negotiation};

use crate::support::message::open_session;
use crate::support::ports::closed_port;
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

/// What a TLS server says to who does not speak TLS (seen: Spark with `hive.server2.use.SSL`).
const TLS_ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x0a";
/// What Jetty says to who does not speak HTTP.
const HTTP_ERROR: &[u8] = b"HTTP/1.1 400 Illegal character CNTL=0x1\r\nContent-Length: 0\r\n\r\n";

/// A port that says this to whoever says something, and then waits for the other side to leave.
fn says(answer: &'static [u8]) -> Script {
    Script::raw(move |mut stream, _| {
        let _heard = stream.read(&mut [0; 4096]);
        let mut talk = Talk::over(stream, Framing::None);
        talk.send(answer);
        let _left = talk.stream.read(&mut [0]);
    })
}

/// Who logs in is told these words, which are also in the log, and not that the credentials were refused.
#[track_caller]
fn login_is_told(router: &TestRouter, words: &[&str]) {
    let (_, status, told) = Talk::log_in(router.listener(0), "u1", "p1");
    assert_eq!(status, BAD);
    assert!(eventually(|| router.logs().text().contains("connection ended")), "{}", router.logs().text());
    let log = || router.logs().shown();
    for words in words {
        assert!(told.contains(words), "the client is told {told:?}, and not {words:?}");
        assert!(log().contains(words), "{words:?} is not in the log:\n{}", log());
    }
    assert!(!log().contains("refused the credentials") && !told.contains("SASL status"), "{told}\n{}", log());
}

fn router(flavor: &str, coordinator: &Script) -> TestRouter {
    TestRouter::of(flavor, &[coordinator.address()])
}

#[test]
fn a_login_at_a_tls_port_is_told_so() {
    let port = says(TLS_ALERT);
    login_is_told(&router("spark", &port), &["a TLS alert", "the coordinator's port expects TLS"]);
}

#[test]
fn a_login_at_an_http_port_is_told_so() {
    let port = says(HTTP_ERROR);
    login_is_told(&router("spark", &port), &["an HTTP response", "this is an HTTP port", "hs2_http"]);
}

#[test]
fn a_login_at_a_port_that_talks_nonsense_is_told_that_it_seems_not_to_use_sasl() {
    let port = says(b"\xff\xfe\xfd\xfc");
    login_is_told(&router("impala", &port), &["no SASL message", "seems not to use SASL", "auth=noSasl"]);
}

#[test]
fn a_close_during_the_login_is_told_with_what_each_kind_of_coordinator_means_by_it() {
    let port = Script::both(|_| Act::Close, |_| Act::Close);
    let closed = "closed the connection without a verdict";
    login_is_told(&router("impala", &port), &[closed, "impalad does so when credentials are wrong"]);
    for flavor in ["hive", "spark"] {
        login_is_told(&router(flavor, &port), &[closed, "perhaps it has just ended", "auth=noSasl"]);
    }
}

#[test]
fn a_close_during_the_login_at_a_coordinator_that_needs_none_is_told_so() {
    let port = Script::logins(|_| Act::Close);
    let router = router("impala", &port);
    Talk::connect(router.listener(0)).open();
    login_is_told(&router, &["without a login, so it does not use SASL", "auth=noSasl"]);
}

/// What the error of an open says to this client.
#[track_caller]
fn open_is_told(mut client: Talk, words: &[&str]) {
    let (_, told) = client.call(&open_session()).error();
    for words in words {
        assert!(told.contains(words), "{told:?} lacks {words:?}");
    }
}

#[test]
fn a_call_at_a_port_of_another_protocol_is_told_so() {
    for (answer, words) in [
        (TLS_ALERT, ["a TLS alert", "expects TLS"]),
        (HTTP_ERROR, ["an HTTP response", "this is an HTTP port"]),
        (b"\x04\0\0\0\x13Invalid status -128", ["a SASL message", "expects a login"]),
    ] {
        let port = says(answer);
        let router = router("spark", &port);
        open_is_told(Talk::connect(router.listener(0)), &words);
        // Read as a length, such an answer would be waited for in vain.
        open_is_told(Talk::connect_framed(router.listener(0)), &words);
    }
}

#[test]
fn an_answer_in_another_framing_is_told_so() {
    let bare = Script::calls(|call| Act::Bytes(call.message.done(vec![]).encode()));
    let router = router("spark", &bare);
    open_is_told(Talk::connect_framed(router.listener(0)), &["a Thrift message without a frame"]);
    let in_frames = Script::calls(|call| Act::Bytes(frame(&call.message.done(vec![]).encode())));
    let router = TestRouter::of("spark", &[in_frames.address()]);
    open_is_told(Talk::connect(router.listener(0)), &["a frame", "messages in frames"]);
}

#[test]
fn tls_that_no_coordinator_can_be_reached_for_is_a_line_in_the_log() {
    let router = TestRouter::of("impala", &[closed_port(), closed_port()]);
    let mut client = Talk::connect(router.listener(0));
    let address = client.address();
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(client.rest(), b"");
    let line = || {
        let log = router.logs().shown();
        let found = log.lines().find(|line| line.contains("an opaque connection was refused"));
        found.map(str::to_owned)
    };
    assert!(eventually(|| line().is_some()), "nothing tells");
    let (line, client) = (line().unwrap(), format!("client={address}"));
    for said in [" INFO ", &client, "a TLS handshake", "c1: connection refused", "c2: connection refused"] {
        assert!(line.contains(said), "{said}: {line}");
    }
}

#[test]
fn what_a_coordinator_says_of_a_wrong_password_is_still_a_refusal() {
    let coordinator = Script::sound();
    let router = router("spark", &coordinator);
    let (_, status, told) = Talk::log_in(router.listener(0), "u1", crate::support::script::WRONG);
    assert_eq!((status, told.as_str()), (BAD, "no such user, or another password"));
    let refused = || router.logs().shown().contains("login refused");
    assert!(eventually(refused), "{}", router.logs().text());
    // A mechanism that it does not know is between client and coordinator.
    let mut other = Talk::connect(router.listener(0));
    other.send(&negotiation(START, b"SCRAM-SHA-1"));
    assert_eq!(other.sasl_message().unwrap().0, ERROR);
}
