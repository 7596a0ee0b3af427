//! A certificate is renewed while the router runs: new connections get the new one, old ones go on.

use std::fs;

use hs2router::fake::client::Hs2Client;

use super::{Doors, await_line, await_loaded, fleet_behind_tls};
use crate::support::certificates::{Authority, HERE};
use crate::support::fleet::Door;
use crate::support::openssl::s_client;
use crate::support::relay::Relay;
use crate::support::tools::{self, Tool};

const RELOADS: &str = "hs2router_certificate_reloads_total";

#[test]
fn new_connections_get_a_renewed_certificate_and_old_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let fleet = fleet_behind_tls(&old, &[]);
    let doors = Doors::with_tls(&fleet, &old);
    let mut before = doors.hs2(&fleet);
    let session = before.open(&[]).unwrap();
    let operation = before.execute(&session, "select * from rows(30000, 3)").unwrap();
    assert!(before.fetch(&operation, 1000).unwrap().1, "there are more rows");
    let pair = new.issue("renewed", &HERE);
    fs::copy(&pair.key, old.path("router.key")).unwrap();
    fs::copy(&pair.certificate, old.path("router.crt")).unwrap();
    await_loaded(&fleet, Door::Hs2, "localhost");
    // Whoever trusts only the former authority is not served by the new certificate.
    let other = Doors::with_tls(&fleet, &old);
    assert!(Hs2Client::connect(other.hs2, fleet.login()).unwrap().open(&[]).is_err());
    assert!(other.relays[0].handshakes().iter().all(Result::is_err));
    let trusting = Relay::beginning_tls(fleet.address(Door::Hs2), new.client_config(), "localhost");
    let mut after = Hs2Client::connect(trusting.address(), fleet.login()).unwrap();
    assert_eq!(after.query(&session, "select 7").unwrap(), [["7"]]);
    let mut rows = 1000;
    while before.fetch(&operation, 1000).unwrap().1 {
        rows += 1000;
    }
    assert_eq!(rows, 29_000, "the old connection reads on to the last thousand");
    before.close(&operation).unwrap();
    before.close_session(&session).unwrap();
}

#[test]
fn files_that_do_not_fit_leave_the_last_good_pair_in_use() {
    if !tools::present(&[Tool::Openssl]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet_behind_tls(&authority, &[]);
    let at = fleet.address(Door::Hs2);
    let other = authority.issue("other", &["other.test"]);
    fs::rename(&other.certificate, authority.path("router.crt")).unwrap();
    let here = format!("listener=\"{at}\"");
    await_line(fleet.router(), &[" ERROR ", "changed certificates cannot be used", "router.crt", &here]);
    assert!(s_client(at, &[]).contains("CN = localhost"));
    let failed = |listener| format!("{RELOADS}{{listener=\"{listener}\",outcome=\"failed\"}}");
    fleet.router().await_metric(&failed(at), 1.0);
    fs::rename(&other.key, authority.path("router.key")).unwrap();
    await_loaded(&fleet, Door::Hs2, "other.test");
    assert!(s_client(at, &[]).contains("CN = other.test"));
}
