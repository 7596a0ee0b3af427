//! Connections whose two sides prove themselves to each other by Kerberos, which the router passes on byte for
//! byte and reads along.

mod bytes;
mod drains;
mod handshakes;
mod learnt;
mod stick;

use hs2router::fake::Settings;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::ids::Depth;

use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::router::TestRouter;

/// Coordinators that take tickets, and passwords too.
fn plan<'a>() -> Plan<'a> {
    let settings = Settings { tickets: true, ..Plan::default().settings };
    Plan { users: &USERS, settings, ..Plan::default() }
}

/// A client of this user's, by ticket.
fn by_ticket(fleet: &Fleet, user: &str) -> Hs2Client {
    Hs2Client::connect(fleet.address(Door::Hs2), &Login::kerberos(user)).unwrap()
}

/// Waits until so many connections of the first listener were understood so deep.
#[track_caller]
fn await_depth(router: &TestRouter, depth: Depth, connections: f64) {
    let (listener, depth) = (router.listener(0), depth.as_str());
    let series = format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"{depth}\"}}");
    router.await_metric(&series, connections);
}
