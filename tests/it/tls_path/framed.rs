//! Framed Thrift inside of TLS.

use std::io::Read as _;

use hs2router::fake::sasl::Framing;

use super::coordinator::Sleeve;
use super::peers::{Secret, router};
use crate::support::message::{Message, Value, execute, of_handle, open_session};
use crate::support::script::{Act, Script};

/// Sends a call in a frame; its reply, which is the whole payload of one frame.
fn call(client: &mut Secret, message: &Message) -> Message {
    client.send(&Framing::Frames.wrap(&message.encode()));
    let mut length = [0; 4];
    client.tls.read_exact(&mut length).unwrap();
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    client.tls.read_exact(&mut payload).unwrap();
    let mut rest = payload.as_slice();
    let reply = Message::read(&mut rest).unwrap();
    assert_eq!((&reply.name, reply.seqid, rest.len()), (&message.name, message.seqid, 0));
    reply
}

#[test]
fn framed_thrift_inside_of_tls_is_served_as_in_the_clear() {
    let long = "x".repeat(300_000);
    let rows = long.clone();
    let script = Script::calls(move |call| {
        assert_eq!(call.framing, Framing::Frames, "links are framed as their clients are");
        match call.message.name.as_str() {
            "FetchResults" => {
                Act::Reply(call.message.done(vec![(2, Value::Bool(true)), (3, Value::text(&rows))]))
            }
            _ => Act::Ordinary,
        }
    });
    let sleeve = Sleeve::around(script.address());
    let router = router(sleeve.address, "");
    let mut client = Secret::connect(router.listener(0));
    let session = call(&mut client, &open_session()).handle(&[0, 3]);
    let executed = call(&mut client, &execute(&session, "select 1"));
    let fetched = call(&mut client, &of_handle("FetchResults", &executed.handle(&[0, 2])));
    assert!(fetched.text(&[0, 3]) == long, "{} bytes came", fetched.text(&[0, 3]).len());
    // Byte by byte, each in a record of its own.
    for byte in Framing::Frames.wrap(&execute(&session, "select 2").encode()) {
        client.send(&[byte]);
    }
    let mut length = [0; 4];
    client.tls.read_exact(&mut length).unwrap();
    assert_eq!(Message::read(&mut client.tls).unwrap().status(), Some(0));
}
