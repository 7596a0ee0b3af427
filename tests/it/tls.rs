//! TLS on both sides of the router, with clients and servers that share no code with it.

mod clients;
mod migration;
mod modes;
mod openssl;
mod over_http;
mod proxies;
mod renewal;
mod resumption;
mod servers;
mod silence;
mod watching;

use std::net::SocketAddr;

use hs2router::fake::client::{BeeswaxClient, Hs2Client};

use crate::support::certificates::{Authority, HERE, Pair};
use crate::support::clients::{Target, Tls};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::relay::Relay;
use crate::support::router::{TestRouter, eventually};

/// The keys of a listener that shows this certificate.
fn listener(pair: &Pair) -> String {
    format!("tls = {{ {} }}", pair.keys())
}

/// A fleet whose listeners show a certificate of this authority for this machine.
fn fleet_behind_tls(authority: &Authority, users: &[(&str, &str)]) -> Fleet {
    let pair = authority.issue("router", &HERE);
    Fleet::with(Plan { users, listener: &listener(&pair), ..Plan::default() })
}

/// Where a client with TLS connects that verifies the router's certificate.
fn verified(fleet: &Fleet, door: Door, authority: &Authority) -> Target {
    fleet.target(door).with(Tls::Verified(authority.ca()))
}

/// Where clients in the clear get to the doors of a fleet.
struct Doors {
    hs2: SocketAddr,
    beeswax: SocketAddr,
    /// What adds the TLS for them.
    relays: Vec<Relay>,
}

impl Doors {
    /// Doors that are in the clear themselves.
    fn open(fleet: &Fleet) -> Self {
        Self { hs2: fleet.address(Door::Hs2), beeswax: fleet.address(Door::Beeswax), relays: Vec::new() }
    }

    /// Doors that have TLS, with a certificate of this authority.
    fn with_tls(fleet: &Fleet, authority: &Authority) -> Self {
        let relay = |door| Relay::beginning_tls(fleet.address(door), authority.client_config(), "localhost");
        let relays = vec![relay(Door::Hs2), relay(Door::Beeswax)];
        Self { hs2: relays[0].address(), beeswax: relays[1].address(), relays }
    }

    fn hs2(&self, fleet: &Fleet) -> Hs2Client {
        Hs2Client::connect(self.hs2, fleet.login()).unwrap()
    }

    fn beeswax(&self, fleet: &Fleet) -> BeeswaxClient {
        BeeswaxClient::connect(self.beeswax, fleet.login()).unwrap()
    }
}

/// Waits until the listener behind a door has loaded a certificate in whose log line this stands.
#[track_caller]
fn await_loaded(fleet: &Fleet, door: Door, words: &str) {
    let listener = format!("listener=\"{}\"", fleet.address(door));
    await_line(fleet.router(), &["certificate loaded for new connections", &listener, words]);
}

/// Waits for a line of the log that has all of these.
#[track_caller]
fn await_line(router: &TestRouter, words: &[&str]) {
    let is_one = |line: &str| words.iter().all(|words| line.contains(words));
    let found = eventually(|| router.logs().text().lines().any(is_one));
    assert!(found, "{words:?} is not in the log:\n{}", router.logs().shown());
}
