//! Coordinators that misbehave: what the client is told, and that its connection stays of use.

use hs2router::fake::sasl::frame;

use super::Scene;
use crate::support::message::{Message, Value, execute, of_handle};
use crate::support::script::{Act, Call, Script};
use crate::support::talk::Talk;

/// How clients come.
const WAYS: [fn(std::net::SocketAddr) -> Talk; 3] = [Talk::connect, Talk::connect_framed, Talk::connect_sasl];

/// Coordinators that do this about a statement "odd", and a scene with them.
fn odd(act: impl Fn(&Call) -> Act + Clone + Send + Sync + 'static) -> Scene {
    let scripts = [(), ()].map(|()| {
        let act = act.clone();
        Script::calls(move |call| match call.message.text(&[1, 2]).as_str() {
            "odd" => act(call),
            _ => Act::Ordinary,
        })
    });
    Scene::with("", scripts)
}

/// The client of such a coordinator gets a typed error with these words, and goes on, in the same session
/// too.
#[track_caller]
fn becomes_an_error(act: impl Fn(&Call) -> Act + Clone + Send + Sync + 'static, words: &str) {
    for way in WAYS {
        let mut scene = odd(act.clone());
        let mut client = way(scene.listener());
        let session = client.open();
        let reply = client.call(&execute(&session, "odd"));
        let (sql_state, said) = reply.error();
        assert_eq!((reply.status(), sql_state.as_str()), (Some(3), "08S01"), "{said}");
        assert!(said.starts_with("hs2router (") && said.contains(words), "{words:?} is not in {said:?}");
        assert_eq!(client.call(&execute(&session, "select 2")).status(), Some(0));
        client.open();
        let sent = scene.coordinators.iter().flat_map(Script::got);
        assert_eq!(sent.filter(|call| call.text(&[1, 2]) == "odd").count(), 1, "it was sent again");
        scene.others_are_unharmed();
    }
}

#[test]
fn garbage_in_place_of_a_reply_becomes_a_typed_error() {
    becomes_an_error(|call| Act::Bytes(call.wrap(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "what is no reply");
}

#[test]
fn the_name_or_the_sequence_id_of_another_call_becomes_a_typed_error() {
    becomes_an_error(
        |call| Act::Reply(Message { name: "GetInfo".into(), ..call.message.done(vec![]) }),
        "it answered another call",
    );
    becomes_an_error(|call| Act::Reply(call.message.done(vec![]).seqid(8)), "it answered another call");
}

#[test]
fn a_call_in_place_of_a_reply_becomes_a_typed_error() {
    becomes_an_error(|call| Act::Reply(call.message.clone()), "message type 1 where a reply belongs");
}

#[test]
fn a_close_before_or_within_the_head_of_a_reply_becomes_a_typed_error() {
    becomes_an_error(|_| Act::Close, "it closed the connection");
    becomes_an_error(
        |call| Act::Last(call.wrap(&call.message.done(vec![]).encode())[..18].to_vec()),
        "it closed the connection",
    );
}

#[test]
fn a_length_that_no_reply_has_becomes_a_typed_error() {
    becomes_an_error(
        |call| {
            let status = Value::Raw(11, vec![0xff; 4]);
            Act::Reply(call.message.reply(vec![(0, Value::Struct(vec![(1, status)]))]))
        },
        "a negative length: -1",
    );
}

#[test]
fn a_frame_of_zero_or_negative_length_becomes_a_typed_error() {
    for way in [Talk::connect_framed, Talk::connect_sasl] {
        for (header, words) in [([0; 4], "frame of zero length"), ([0xff; 4], "frame of negative length -1")]
        {
            let mut scene = odd(move |_| Act::Bytes(header.to_vec()));
            let mut client = way(scene.listener());
            let session = client.open();
            let (sql_state, said) = client.call(&execute(&session, "odd")).error();
            assert_eq!(sql_state, "08S01");
            assert!(said.contains(words), "{said}");
            client.open();
            scene.others_are_unharmed();
        }
    }
}

#[test]
fn a_frame_that_goes_on_after_its_reply_becomes_a_typed_error() {
    for way in [Talk::connect_framed, Talk::connect_sasl] {
        let two = |call: &Call| {
            let reply = call.message.done(vec![]).encode();
            Act::Bytes(frame(&[reply.as_slice(), b"more"].concat()))
        };
        let mut scene = odd(two);
        let mut client = way(scene.listener());
        let session = client.open();
        let (sql_state, said) = client.call(&execute(&session, "odd")).error();
        assert_eq!(sql_state, "08S01");
        assert!(said.contains("bytes after the reply"), "{said}");
        client.open();
        scene.others_are_unharmed();
    }
}

#[test]
fn a_link_is_not_used_again_after_bytes_that_nobody_asked_for() {
    for way in WAYS {
        let mut scene = odd(|call| {
            let reply = call.wrap(&call.message.done(vec![]).encode());
            Act::Bytes([reply.as_slice(), &reply].concat())
        });
        let mut client = way(scene.listener());
        let session = client.open();
        let accepted = |scene: &Scene| scene.coordinators.iter().map(Script::accepted).sum::<usize>();
        let before = accepted(&scene);
        assert_eq!(client.call(&execute(&session, "odd")).status(), Some(0));
        let next = client.call(&execute(&session, "select 2"));
        assert!(next.body.at(&[0, 2]).is_some(), "the second reply to the first call: {next:?}");
        assert_eq!(accepted(&scene), before + 1, "the link was used again");
        scene.others_are_unharmed();
    }
}

#[test]
fn half_a_reply_and_then_a_fin_ends_the_connection_once_some_of_it_was_passed_on() {
    let rows = |call: &Call| {
        let reply = call.message.done(vec![(3, Value::Bytes(vec![b'x'; 1 << 20]))]);
        let bytes = call.wrap(&reply.encode());
        Act::Last(bytes[..bytes.len() / 2].to_vec())
    };
    for way in WAYS {
        let mut scene = odd(rows);
        let mut client = way(scene.listener());
        let session = client.open();
        client.say(&execute(&session, "odd"));
        let address = client.address();
        let heard = client.rest();
        assert!(heard.len() > 1000 && !String::from_utf8_lossy(&heard).contains("hs2router"));
        let series = "hs2router_connections_closed_total{cause=\"coordinator_lost\"}";
        scene.router.await_metric(series, 1.0);
        assert!(scene.router.logs().text().contains(&format!("client={address} ")));
        scene.others_are_unharmed();
    }
}

#[test]
fn nonsense_within_a_reply_ends_the_connection_once_some_of_it_was_passed_on() {
    let rows = |call: &Call| {
        let rows = Value::Bytes(vec![b'x'; 1 << 20]);
        Act::Reply(call.message.done(vec![(3, rows), (4, Value::Raw(99, vec![0; 8]))]))
    };
    for way in WAYS {
        let mut scene = odd(rows);
        let mut client = way(scene.listener());
        let session = client.open();
        client.say(&execute(&session, "odd"));
        let heard = client.rest();
        assert!(heard.len() > 1000 && !String::from_utf8_lossy(&heard).contains("hs2router"));
        scene.router.await_metric("hs2router_connections_closed_total{cause=\"bad_reply\"}", 1.0);
        scene.others_are_unharmed();
    }
}

#[test]
fn an_endless_reply_to_an_open_is_given_up() {
    let endless = |call: &Call| match call.message.name.as_str() {
        "OpenSession" if call.place > 1 => {
            Act::Reply(call.message.done(vec![(9, Value::Bytes(vec![b'x'; 16 << 20]))]))
        }
        _ => Act::Ordinary,
    };
    let script = Script::calls(endless);
    let router = crate::support::router::TestRouter::of("impala", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    let mut other = Talk::connect(router.listener(0));
    let other_session = other.open();
    let reply = client.call(&crate::support::message::open_session());
    let (sql_state, words) = reply.error();
    assert_eq!((reply.status(), sql_state.as_str()), (Some(3), "08S01"), "{words}");
    assert!(words.contains("its reply to an open has more than"), "{words}");
    assert_eq!(client.call(&of_handle("PingImpalaHS2Service", &session)).status(), Some(0));
    assert_eq!(other.call(&of_handle("PingImpalaHS2Service", &other_session)).status(), Some(0));
    assert_eq!(script.count("OpenSession"), 3);
}
