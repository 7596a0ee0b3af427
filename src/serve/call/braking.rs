//! Slows down clients whose dials, or tickets, are all in vain ([`crate::cluster::brake`]).

use std::time::Duration;

use tokio::time::sleep;

use crate::clock;
use crate::cluster::brake::Who;
use crate::net::stream::Stream;
use crate::serve::call::conn::Conn;
use crate::serve::call::outcome::Trouble;

/// Notes whether the dial of a new link was of use, from the first exchange on it.
pub(crate) fn note_use<S: Stream, T>(conn: &mut Conn<S>, is_new: bool, exchanged: &Result<T, Trouble>) {
    match exchanged {
        _ if !is_new => {}
        Ok(_) => note_of_use(conn),
        Err(Trouble::Link(lost)) if lost.cause.is_hang_up() => note_in_vain(conn),
        Err(_) => {}
    }
}

/// Notes that a link which was dialed for the client was never there, or was lost before the coordinator
/// answered anything on it.
pub(crate) fn note_in_vain<S: Stream>(conn: &mut Conn<S>) {
    let who = Who::of(conn.links.access(), conn.client.address());
    conn.slowed = conn.fleet.brake.lock().note_in_vain(who, clock::now());
}

/// Notes that a coordinator answered on a link which was dialed for the client.
pub(crate) fn note_of_use<S: Stream>(conn: &mut Conn<S>) {
    let who = Who::of(conn.links.access(), conn.client.address());
    conn.fleet.brake.lock().note_of_use(who);
    conn.slowed = Duration::ZERO;
}

/// Notes that the router has refused the client's ticket.
pub(crate) fn note_ticket_refused<S: Stream>(conn: &mut Conn<S>) {
    let who = Who::by_ticket(conn.client.address());
    conn.slowed = conn.fleet.brake.lock().note_in_vain(who, clock::now());
}

/// Notes that the router has accepted the client's ticket.
pub(crate) fn note_ticket_accepted<S: Stream>(conn: &Conn<S>) {
    conn.fleet.brake.lock().note_of_use(Who::by_ticket(conn.client.address()));
}

/// Waits before the client is told of a dial in vain; nothing of a coordinator's is held meanwhile. It waits
/// even if the client has left, which could otherwise come again at once.
pub(crate) async fn brake<S: Stream>(conn: &mut Conn<S>) {
    if !conn.slowed.is_zero() {
        sleep(std::mem::take(&mut conn.slowed)).await;
    }
}
