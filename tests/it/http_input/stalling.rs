//! Clients and coordinators that stop in the middle of something, or go on byte by byte.

use std::io::Read as _;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use hs2router::fake::Fault;

use super::{ANN, Raw, Scene, call, chunked_call};
use crate::support::message::{Message, Value, execute, of_handle, open_session};
use crate::support::router::{SELDOM, TestRouter};
use crate::support::script::Script;

#[test]
fn a_client_whose_head_does_not_end_is_told_just_that() {
    let scene = Scene::new("stall_timeout = \"300ms\"");
    let answer = scene.told(b"POST / HTTP/1.1\r\nHost: x\r\n");
    assert_eq!(answer.status, 408);
    let said = answer.text();
    assert!(
        said.contains("the head of its request did not end within 300ms") && !said.contains("byte"),
        "{said}"
    );
    scene.stays_sound();
}

/// A call for all rows of an operation that has many.
pub(super) fn fetch(client: &mut Raw, session: &Value) -> Message {
    let operation = client.call(ANN, &execute(session, "select * from rows(50000, 20)")).handle(&[0, 2]);
    let asked = vec![(1, operation), (2, Value::I32(0)), (3, Value::I64(50_000))];
    Message::call("FetchResults", vec![(1, Value::Struct(asked))])
}

/// Whether an answer has all the bytes that it announces, or the end of its chunks.
fn looks_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|piece| piece == b"\r\n\r\n").unwrap() + 4;
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    if let Some(length) = text.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        return answer.len() - head >= length.parse().unwrap();
    }
    assert!(text.contains("transfer-encoding: chunked"), "nobody knows where it ends: {text}");
    answer.ends_with(b"\r\n0\r\n\r\n")
}

#[test]
fn a_client_that_takes_nothing_of_its_reply_is_cut_off_and_nobody_waits_for_it() {
    let scene = Scene::new("stall_timeout = \"300ms\"");
    let session = scene.session();
    let mut other = scene.client();
    for chunked in [false, true] {
        let mut client = scene.client();
        let fetch = fetch(&mut client, &session);
        client.send(&if chunked { chunked_call(ANN, &fetch, 9) } else { call(ANN, &fetch) });
        assert_eq!(other.call(ANN, &of_handle("PingImpalaHS2Service", &session)).status(), Some(0));
        let cut = 1.0 + f64::from(u8::from(chunked));
        scene
            .fleet
            .router()
            .await_metric("hs2router_connections_closed_total{cause=\"client_stalled\"}", cut);
        let mut came = Vec::new();
        let _cut = client.stream.read_to_end(&mut came);
        assert!(came.starts_with(b"HTTP/1.1 200") && !looks_whole(&came), "after {} bytes", came.len());
    }
    scene.stays_sound();
}

#[test]
fn a_connection_on_which_only_an_empty_line_came_is_idle() {
    let scene = Scene::new("stall_timeout = \"300ms\"");
    let pieces: [&[&[u8]]; 3] = [&[b"\r\n"], &[b"\r", b"\n"], &[]];
    for pieces in pieces {
        let mut client = scene.client();
        // Old clients send one behind a body; its length does not count it.
        let mut request = call(ANN, &open_session());
        request.extend(if pieces.is_empty() { &b"\r\n"[..] } else { b"" });
        client.send(&request);
        assert_eq!(client.hear().message().status(), Some(0));
        for piece in pieces {
            client.send(piece);
        }
        // Whoever begins a head after that is told that it stalls.
        assert_eq!(scene.told(b"POST / HTTP/1.1\r\n").status, 408);
        assert_eq!(client.call(ANN, &open_session()).status(), Some(0));
        client.send(b"\r\n");
        client.finish();
        assert_eq!(client.rest(), b"", "it ends as an idle one does");
    }
    // One is enough.
    assert_eq!(scene.told(b"\r\n\r\n").status, 400);
    scene.stays_sound();
}

#[test]
fn an_empty_line_behind_each_of_several_equal_requests_is_no_request() {
    let scene = Scene::new("");
    let mut client = scene.client();
    for _ in 0..4 {
        client.send(&[&call(ANN, &open_session())[..], b"\r\n"].concat());
        assert_eq!(client.hear().message().status(), Some(0));
    }
    scene.stays_sound();
}

#[test]
fn a_coordinator_that_takes_nothing_of_a_request_is_given_up() {
    let (until, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let script = Script::raw(move |mut stream, _| {
        // No head has fewer bytes than that.
        let mut few = [0; 16];
        if stream.read_exact(&mut few).is_ok() && few.starts_with(b"POST") {
            let _told = ended.lock().unwrap().recv();
        }
    });
    // Dropped before the script, which waits for that.
    let _until = until;
    let port = script.address().port();
    let router = TestRouter::start(&format!(
        "[router]\nstall_timeout = \"300ms\"\nreplay_limit = \"16MiB\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         service = \"hs2-http\"\n[[cluster]]\nname = \"test\"\nflavor = \"impala\"\n{SELDOM}\ncoordinators = [{{ host = \
         \"127.0.0.1\", hs2 = 0, beeswax = 0, hs2_http = {port}, web = 0 }}]\n"
    ));
    let configuration = vec![(Value::text("x"), Value::text(&"x".repeat(12 << 20)))];
    let open = Message::call(
        "OpenSession",
        vec![(1, Value::Struct(vec![(1, Value::I32(5)), (4, Value::Map(configuration))]))],
    );
    let mut client = Raw::connect(router.listener(0));
    client.send(&call(ANN, &open));
    let answer = client.hear();
    assert!(answer.status == 503 || answer.message().status() == Some(3), "{answer:?}");
}

#[test]
fn whoever_goes_on_byte_by_byte_is_understood() {
    let scene = Scene::new("");
    let mut client = scene.client();
    for coordinator in scene.fleet.coordinators() {
        coordinator.faults().always("OpenSession", Fault::SlowReply(1, Duration::from_micros(1)));
    }
    for bytes in [call(ANN, &open_session()), chunked_call(ANN, &open_session(), 3)] {
        for byte in bytes.repeat(2) {
            client.send(&[byte]);
        }
        for _ in 0..2 {
            assert_eq!(client.hear().message().status(), Some(0));
        }
    }
    for coordinator in scene.fleet.coordinators() {
        coordinator.faults().clear();
        coordinator.faults().read_slowly(Some(Duration::from_micros(1)));
    }
    for size in [7, 1000] {
        client.send(&chunked_call(ANN, &open_session(), size));
        assert_eq!(client.hear().message().status(), Some(0));
    }
    scene.stays_sound();
}
