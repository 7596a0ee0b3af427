//! Clients whose tickets are all refused.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use hs2router::clock;

use super::Fleet;
use super::input::refusal;
use super::negotiate::{negotiate, post};
use crate::support::message::open_session;

#[test]
fn a_client_whose_tickets_are_all_refused_waits_a_little_longer_each_time() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let (router, begin) = (fleet.router.listener, clock::now());
    // Ten cost no wait, so neither way would alone.
    for _ in 0..8 {
        assert!(refusal(router, b"not a token").1.contains("must send a ticket of Kerberos 5"));
    }
    for _ in 0..7 {
        assert_eq!(post(router, "/", &negotiate(b"not a token"), &open_session()).status, 401);
    }
    // 10, 20, 40, 80 and 160 ms.
    assert!(clock::now() - begin >= Duration::from_millis(310));
}

#[test]
fn whoever_sends_a_bad_ticket_and_no_call_waits_as_well() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let (router, begin) = (fleet.router.listener, clock::now());
    for _ in 0..15 {
        let mut stream = TcpStream::connect(router).unwrap();
        let authorization = negotiate(b"not a token");
        write!(stream, "POST / HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: 1\r\n\r\nx").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(clock::now() - begin >= Duration::from_millis(310));
}
