//! Clients whose tickets are all refused.

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
