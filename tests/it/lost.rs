//! Coordinators that cannot be reached, that die or that shut down: the client gets its answer all the same,
//! or a typed error at once; never a hang, and never a statement that runs twice.

mod beeswax;
mod drain;
mod failing;
mod opaque;
mod sasl;
mod sessions;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hs2router::cluster::Standing;
use hs2router::ids::Service;

use crate::support::message::{Message, Value, execute, of_handle, open_session};
use crate::support::ports::closed_port;
use crate::support::router::{SELDOM, TestRouter, eventually};
use crate::support::script::{Act, SHUTTING_DOWN, Script};
use crate::support::talk::Talk;

/// How clients come.
pub(crate) const WAYS: [fn(SocketAddr) -> Talk; 3] =
    [Talk::connect, Talk::connect_framed, Talk::connect_sasl];

fn router(coordinators: &[SocketAddr]) -> TestRouter {
    TestRouter::of("impala", coordinators)
}

/// The first bytes of a reply: its head, and not yet its status.
fn head(call: &Message) -> Vec<u8> {
    call.done(vec![]).encode()[..30].to_vec()
}

#[test]
fn an_open_whose_reply_broke_off_before_it_said_anything_goes_to_the_next_candidate_unnoticed() {
    let said: [fn(&Message) -> Vec<u8>; 2] = [head, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()];
    for said in said {
        let bad = Script::calls(move |call| match call.message.name.as_str() {
            "OpenSession" => Act::Last(said(&call.message)),
            _ => Act::Ordinary,
        });
        let good = Script::sound();
        let router = router(&[bad.address(), good.address()]);
        let mut client = Talk::connect(router.listener(0));
        // The one that took a session has more load than the other.
        for _ in 0..3 {
            assert!(good.minted(&client.open()));
        }
        assert!(bad.count("OpenSession") >= 1, "it was never asked");
        let lost = "hs2router_sessions_total{cluster=\"test\",coordinator=\"c1\",outcome=\"lost\"}";
        assert!(router.metric(lost) >= 1.0);
    }
}

/// A coordinator that does this about every `OpenSession` is asked once, although it has the least load, and
/// then left alone for a while.
#[track_caller]
fn is_tried_last(act: impl Fn(&Message) -> Act + Send + Sync + 'static, keys: &str) {
    let bad = Script::calls(move |call| act(&call.message));
    let good = [Script::sound(), Script::sound()];
    let router = TestRouter::with("impala", &[bad.address(), good[0].address(), good[1].address()], keys);
    let mut client = Talk::connect(router.listener(0));
    assert!(eventually(|| {
        client.call(&open_session());
        bad.count("OpenSession") == 1
    }));
    for _ in 0..4 {
        client.open();
    }
    assert_eq!(bad.count("OpenSession"), 1, "it is still among the first");
}

#[test]
fn a_coordinator_that_loses_opens_is_tried_last() {
    is_tried_last(|_| Act::Close, "");
    is_tried_last(|_| Act::Silence, "open_timeout = \"300ms\"");
    is_tried_last(|open| Act::Last(head(open)), "");
    is_tried_last(|_| Act::Last(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), "");
    // This one costs a client its session: it was open already.
    let long = |open: &Message| open.done(vec![(9, Value::Bytes(vec![b'x'; 100]))]).encode();
    is_tried_last(move |open| Act::Last(long(open)[..60].to_vec()), "");
}

#[test]
fn an_open_that_every_coordinator_hangs_up_on_speaks_against_none() {
    let scripts = [(), ()]
        .map(|()| Script::calls(|call| if call.message.seqid == 13 { Act::Close } else { Act::Ordinary }));
    let router = router(&[scripts[0].address(), scripts[1].address()]);
    let mut client = Talk::connect(router.listener(0));
    assert_eq!(client.call(&open_session().seqid(13)).error().0, "08S01");
    let now = hs2router::clock::now();
    for coordinator in router.router().fleets()[0].cluster.coordinators().iter() {
        assert_eq!(coordinator.standing(Service::Hs2, now), Standing::Ready);
    }
}

#[test]
fn an_open_that_is_answered_with_an_error_speaks_against_nobody() {
    let scripts = [(), ()].map(|()| Script::calls(|call| Act::Reply(call.message.failed("bad options"))));
    let router = router(&[scripts[0].address(), scripts[1].address()]);
    Talk::connect(router.listener(0)).call(&open_session());
    let now = hs2router::clock::now();
    for coordinator in router.router().fleets()[0].cluster.coordinators().iter() {
        assert_eq!(coordinator.standing(Service::Hs2, now), Standing::Ready);
    }
}

/// What a client is told whose open is answered with so many bytes.
fn opened_with(bytes: usize, keys: &str) -> (Option<i32>, String) {
    let script =
        Script::calls(move |call| Act::Reply(call.message.done(vec![(9, Value::Bytes(vec![b'x'; bytes]))])));
    let router = TestRouter::with("impala", &[script.address()], keys);
    let reply = Talk::connect(router.listener(0)).call(&open_session());
    let standing =
        router.router().fleets()[0].cluster.coordinators()[0].standing(Service::Hs2, hs2router::clock::now());
    assert_eq!(standing, Standing::Ready, "how long a reply is may be the client's doing");
    (reply.status(), reply.error().1)
}

#[test]
fn the_reply_to_an_open_is_held_within_bounds() {
    let narrow = "replay_limit = \"64KiB\"\nreplay_memory = \"64KiB\"";
    assert_eq!(opened_with(500_000, "").0, Some(0));
    assert_eq!(opened_with(15_000, narrow).0, Some(0));
    for (bytes, keys, cause) in
        [(1_100_000, "", "has more than 1048576 bytes"), (500_000, narrow, "does not fit into replay_memory")]
    {
        let (status, words) = opened_with(bytes, keys);
        assert_eq!(status, Some(3));
        assert!(words.contains(cause), "{words}");
    }
}

#[test]
fn when_all_shut_down_the_client_hears_a_coordinators_own_words() {
    let scripts = [(), ()].map(|()| Script::calls(|call| Act::Reply(call.message.failed(SHUTTING_DOWN))));
    let router = router(&[scripts[0].address(), scripts[1].address()]);
    for way in WAYS {
        let reply = way(router.listener(0)).call(&open_session());
        assert_eq!(reply, open_session().failed(SHUTTING_DOWN));
    }
    for script in &scripts {
        assert_eq!(script.count("OpenSession"), 3);
    }
}

#[test]
fn words_about_a_shutdown_inside_another_error_are_passed_on() {
    let words = "AnalysisException: Server is being shut down: is no table";
    let scripts = [(), ()].map(|()| Script::calls(move |call| Act::Reply(call.message.failed(words))));
    let router = router(&[scripts[0].address(), scripts[1].address()]);
    let reply = Talk::connect(router.listener(0)).call(&open_session());
    assert_eq!(reply.error(), ("HY000".into(), words.into()));
    assert_eq!(scripts.iter().map(|script| script.count("OpenSession")).sum::<usize>(), 1);
}

#[test]
fn when_none_can_be_reached_the_client_is_told_so_and_its_connection_stays_usable() {
    let router = router(&[closed_port(), closed_port()]);
    for way in [Talk::connect, Talk::connect_framed] {
        let mut client = way(router.listener(0));
        for _ in 0..3 {
            let reply = client.call(&open_session());
            let (sql_state, words) = reply.error();
            assert_eq!((reply.status(), sql_state.as_str()), (Some(3), "08001"));
            assert!(words.starts_with("hs2router (") && words.contains("connection refused"), "{words}");
            assert_eq!(reply.body.at(&[0, 2]), Some(&Value::I32(5)), "impala-shell wants V6");
        }
    }
    router.await_metric("hs2router_connections_refused_total{cause=\"unreachable\"}", 6.0);
}

#[test]
fn when_no_candidate_takes_a_session_the_client_is_told_what_came_of_each() {
    let hangs_up = Script::calls(|_| Act::Close);
    let router = router(&[closed_port(), hangs_up.address()]);
    let (_, words) = Talk::connect(router.listener(0)).call(&open_session()).error();
    assert!(words.contains("none of the 2 coordinators of cluster test took the session: "), "{words}");
    assert!(words.contains("c1: connection refused") && words.contains("c2: it closed the"), "{words}");
    router.await_metric("hs2router_connections_refused_total{cause=\"unreachable\"}", 1.0);
    let dead: Vec<_> = (0..11).map(|_| closed_port()).collect();
    let router = self::router(&dead);
    let (_, words) = Talk::connect(router.listener(0)).call(&open_session()).error();
    assert_eq!(words.matches("connection refused").count(), 8, "{words}");
    assert!(words.ends_with("; and 3 more"), "{words}");
}

#[test]
fn when_all_are_draining_the_client_is_told_so() {
    let script = Script::sound();
    let port = script.address().port();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\n{SELDOM}\ncoordinators = [{{ \
         host = \"127.0.0.1\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0, state = \"drain\" }}]\n"
    ));
    let (sql_state, words) = Talk::connect(router.listener(0)).call(&open_session()).error();
    assert_eq!(sql_state, "08004");
    assert!(words.contains("all of them are draining"), "{words}");
    assert_eq!(script.accepted(), 0);
    router.await_metric("hs2router_connections_refused_total{cause=\"no_coordinator\"}", 1.0);
}

/// A coordinator that closes instead of answering the first so many calls of a method.
fn closes_on(method: &'static str, times: usize) -> Script {
    let calls = AtomicUsize::new(0);
    Script::calls(move |call| {
        let closes = call.message.name == method && calls.fetch_add(1, Ordering::SeqCst) < times;
        if closes { Act::Close } else { Act::Ordinary }
    })
}

/// A call of a method with a session's handle, or that of an operation of the session; two where two belong.
fn call_of(method: &str, session: &Value, client: &mut Talk) -> Message {
    match method {
        "GetOperationStatus" | "GetLog" | "GetResultSetMetadata" | "CancelOperation" | "CloseOperation" => {
            let operation = client.call(&execute(session, "select 1")).handle(&[0, 2]);
            of_handle(method, &operation)
        }
        "GetRuntimeProfile" | "GetExecSummary" => {
            let request = vec![(1, session.clone()), (2, session.clone())];
            Message::call(method, vec![(1, Value::Struct(request))])
        }
        _ => of_handle(method, session),
    }
}

/// Methods that may be sent again, once.
const ASKS: [&str; 9] = [
    "GetOperationStatus",
    "GetLog",
    "GetResultSetMetadata",
    "PingImpalaHS2Service",
    "GetRuntimeProfile",
    "GetExecSummary",
    "CancelOperation",
    "CloseOperation",
    "CloseSession",
];

#[test]
fn what_is_lost_twice_is_told() {
    for method in ASKS {
        let script = closes_on(method, usize::MAX);
        let router = router(&[script.address()]);
        let mut client = Talk::connect(router.listener(0));
        let session = client.open();
        let call = call_of(method, &session, &mut client);
        let (sql_state, words) = client.call(&call).error();
        assert_eq!(sql_state, "08S01", "{method}: {words}");
        assert_eq!(script.count(method), 2, "{method}");
        client.open();
    }
}

#[test]
fn a_statement_after_its_link_was_closed_idle_is_sent_once_on_a_new_link() {
    for way in WAYS {
        let script = Script::calls(|call| match call.message.name.as_str() {
            "GetInfo" => Act::Last(call.wrap(&call.message.done(vec![]).encode())),
            _ => Act::Ordinary,
        });
        let router = router(&[script.address()]);
        let mut client = way(router.listener(0));
        let session = client.open();
        assert_eq!(client.call(&of_handle("GetInfo", &session)).status(), Some(0));
        assert!(eventually(|| script.open() == 0));
        assert_eq!(client.call(&execute(&session, "select 1")).status(), Some(0));
        assert_eq!((script.count("ExecuteStatement"), script.accepted()), (1, 2));
    }
}

#[test]
fn a_coordinator_that_is_gone_leaves_the_other_sessions_of_the_connection_alone() {
    for way in WAYS {
        let scripts = [Script::sound(), Script::sound()];
        let router = router(&[scripts[0].address(), scripts[1].address()]);
        let mut client = way(router.listener(0));
        let sessions = [client.open(), client.open()];
        let [dying, staying] = scripts;
        let [one, two] = &sessions;
        let (lost, kept) = if dying.minted(one) { (one, two) } else { (two, one) };
        assert!(dying.minted(lost) && staying.minted(kept), "two opens on two idle coordinators");
        drop(dying);
        let reply = client.call(&execute(lost, "select 1"));
        assert_eq!(reply.status(), Some(0), "it goes on elsewhere");
        assert!(staying.minted(&reply.handle(&[0, 2])));
        assert_eq!(client.call(&execute(kept, "select 1")).status(), Some(0));
        assert!(staying.minted(&client.open()));
    }
}
