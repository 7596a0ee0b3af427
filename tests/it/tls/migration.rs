//! While clients change to TLS one after another, both kinds come in by one port.

use hs2router::fake::client::Hs2Client;

use super::{Doors, await_line, listener};
use crate::support::certificates::{Authority, HERE};
use crate::support::clients::{self, Cursors, Dialect, Login, Tls};
use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::message::open_session;
use crate::support::talk::Talk;
use crate::support::tools::{self, Tool};

/// A fleet whose listeners take both kinds of clients.
fn fleet_for_both(authority: &Authority) -> Fleet {
    let pair = authority.issue("router", &HERE);
    let listener = format!("tls = {{ {}, required = false }}", pair.keys());
    Fleet::with(Plan { users: &USERS, listener: &listener, ..Plan::default() })
}

#[test]
fn clients_with_and_without_tls_share_a_port_and_their_sessions() {
    let authority = Authority::new();
    let fleet = fleet_for_both(&authority);
    let (clear, tls) = (Doors::open(&fleet), Doors::with_tls(&fleet, &authority));
    let (mut before, mut after) = (clear.hs2(&fleet), tls.hs2(&fleet));
    let session = before.open(&[]).unwrap();
    before.query(&session, "use demo").unwrap();
    assert_eq!(after.query(&session, "select current_database()").unwrap(), [["demo"]]);
    let sleeps = after.execute(&session, "select sleep(600000)").unwrap();
    before.cancel(&sleeps).unwrap();
    after.close_session(&session).unwrap();
    for doors in [&clear, &tls] {
        assert_eq!(doors.beeswax(&fleet).query("select 7").unwrap(), ["7"]);
    }
}

#[test]
fn real_clients_with_and_without_tls_share_a_port() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet_for_both(&authority);
    for tls in [Tls::Off, Tls::Unverified, Tls::Verified(authority.ca())] {
        let target = fleet.target(Door::Hs2).with(tls.clone());
        let shell = clients::impala_shell(&target, Dialect::Hs2(Login::Plain), "select 7");
        assert_eq!(shell.rows(), ["7"], "{tls:?}");
        let impyla = clients::impyla(&target, Login::Plain, Cursors::One, &["select 7 as a"]);
        assert_eq!(impyla.rows(), [r#"{"columns": ["a"], "rows": [[7]]}"#], "{tls:?}");
        let target = fleet.target(Door::Beeswax).with(tls.clone());
        let shell = clients::impala_shell(&target, Dialect::Beeswax(Login::Plain), "select 7");
        assert_eq!(shell.rows(), ["7"], "{tls:?}");
    }
    assert!(!fleet.router().logs().shown().contains(" WARN "), "{}", fleet.router().logs().shown());
}

#[test]
fn where_tls_is_required_a_client_in_the_clear_is_hung_up_on_and_the_log_says_what_to_do() {
    let authority = Authority::new();
    let pair = authority.issue("router", &HERE);
    let fleet = Fleet::with(Plan { listener: &listener(&pair), ..Plan::default() });
    let mut talk = Talk::connect(fleet.address(Door::Hs2));
    talk.send(&open_session().encode());
    assert_eq!(talk.rest(), b"");
    let client = format!("client={} ", talk.address());
    await_line(fleet.router(), &[" WARN ", &client, "required = false"]);
    assert!(Hs2Client::connect(fleet.address(Door::Hs2), fleet.login()).unwrap().open(&[]).is_err());
    let closed = "hs2router_connections_closed_total{cause=\"bad_tls\"}";
    fleet.router().await_metric(closed, 2.0);
    assert!(fleet.coordinators().all(|coordinator| coordinator.calls().is_empty()));
}
