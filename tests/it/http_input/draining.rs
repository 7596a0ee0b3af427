//! A router that is told to end while an answer is on its way.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread::spawn;

use super::stalling::fetch;
use super::{ANN, Scene, call, chunked_call};
use crate::support::fleet::Door;
use crate::support::message::of_handle;
use crate::support::router::eventually;

#[test]
fn a_client_is_told_with_the_next_answer_if_the_head_of_one_has_gone_already() {
    for chunked in [false, true] {
        let scene = Scene::new("");
        let session = scene.session();
        let mut client = scene.client();
        let fetch = fetch(&mut client, &session);
        client.send(&if chunked { chunked_call(ANN, &fetch, 9) } else { call(ANN, &fetch) });
        let answer = client.head();
        assert_eq!((answer.status, answer.field("connection")), (200, None));
        let listener = scene.fleet.address(Door::Http);
        let drained = spawn(move || scene.fleet.drain());
        let refused =
            || TcpStream::connect(listener).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        assert!(eventually(refused), "the listener still accepts");
        // That connection goes on, as the answer's head has said.
        client.send(&call(ANN, &of_handle("PingImpalaHS2Service", &session)));
        assert_eq!(client.body_of(answer).message().status(), Some(0));
        assert_eq!(client.last().message().status(), Some(0));
        assert_eq!(drained.join().unwrap().0, 0, "it had to be cut");
    }
}
