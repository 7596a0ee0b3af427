//! Connections of one client address that stay together.

use hs2router::fake::sasl::gssapi::{NO_LAYER, ticket, wrapped};
use hs2router::fake::sasl::{COMPLETE, OK, START, negotiation};

use super::plan;
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::talk::Talk;

/// Addresses that a balancer speaks for.
const CLIENTS: usize = 30;

/// A client behind a balancer, which says that it comes from an address with this number, and has logged in.
fn from(fleet: &Fleet, number: usize) -> Talk {
    let mut talk = Talk::connect(fleet.address(Door::Hs2));
    talk.send(format!("PROXY TCP4 10.0.0.{number} 10.1.0.1 50000 21050\r\n").as_bytes());
    talk.send(&negotiation(START, b"GSSAPI"));
    for response in [ticket("ann"), Vec::new(), wrapped(&[NO_LAYER, 0, 0, 0], 0)] {
        talk.send(&negotiation(OK, &response));
        let (status, _) = talk.sasl_message().unwrap();
        assert!([OK, COMPLETE].contains(&status));
    }
    talk.frames();
    talk
}

/// Opens two sessions for each address, each on a connection of its own; returns how many addresses have both
/// on one coordinator, and how many sessions the fullest coordinator ever had above its bound.
fn together(cluster: &str) -> (usize, usize) {
    let listener = "proxy_protocol_from = [\"127.0.0.0/8\"]";
    let fleet = Fleet::with(Plan { listener, cluster, ..plan() });
    let (mut talks, mut homes, mut above) = (Vec::new(), Vec::new(), 0);
    for number in (0..CLIENTS).chain(0..CLIENTS) {
        let before = fleet.spread();
        let mut talk = from(&fleet, number);
        talk.open();
        talks.push(talk);
        let spread = fleet.spread();
        homes.push((0..spread.len()).find(|place| spread[*place] > before[*place]).unwrap());
        // 1.25 times the average, rounded up.
        let most = (5 * talks.len()).div_ceil(4 * spread.len());
        above = above.max(spread.iter().max().unwrap().saturating_sub(most));
    }
    let same = (0..CLIENTS).filter(|number| homes[*number] == homes[number + CLIENTS]).count();
    (same, above)
}

#[test]
fn connections_of_one_address_go_to_one_coordinator_within_the_bound_of_its_load() {
    let (same, above) = together("stick = \"source\"");
    assert!(same >= CLIENTS * 3 / 4 && above == 0, "{same} of {CLIENTS}, {above} above the bound");
    let (same, _) = together("");
    assert!(same <= CLIENTS * 2 / 3, "{same} of {CLIENTS} by chance");
}
