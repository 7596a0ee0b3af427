//! A real `HAProxy` in front of the router, with TLS of its own on either side.

use std::net::SocketAddr;

use hs2router::fake::client::Hs2Client;

use super::{await_line, listener};
use crate::support::certificates::{Authority, HERE};
use crate::support::clients::{self, Cursors, Dialect, Login, Target, Tls};
use crate::support::elsewhere::ELSEWHERE;
use crate::support::fleet::{Door, Fleet, Plan, USERS};
use crate::support::haproxy::Haproxy;
use crate::support::tools::{self, Tool};

/// A fleet whose listeners believe `HAProxy`, with more of their keys.
fn fleet(keys: &str) -> Fleet {
    let listener = format!("proxy_protocol_from = [\"{ELSEWHERE}\"]\n{keys}");
    Fleet::with(Plan { users: &USERS, listener: &listener, ..Plan::default() })
}

/// impala-shell and impyla come in by this address, and the log tells their own addresses.
fn assert_served(fleet: &Fleet, hs2: SocketAddr, beeswax: SocketAddr, tls: &Tls) {
    let target = |at| Target::of(at).with(tls.clone());
    let shell = clients::impala_shell(&target(hs2), Dialect::Hs2(Login::Plain), "select 7");
    assert_eq!(shell.rows(), ["7"]);
    let shell = clients::impala_shell(&target(beeswax), Dialect::Beeswax(Login::Plain), "select 7");
    assert_eq!(shell.rows(), ["7"]);
    fleet.await_idle();
    let impyla = clients::impyla(&target(hs2), Login::Plain, Cursors::Each, &["select coordinator()"; 9]);
    for coordinator in ["c1", "c2", "c3"] {
        let its = impyla.rows().iter().filter(|row| row.contains(coordinator)).count();
        assert_eq!(its, 3, "{impyla:?}");
    }
    await_line(fleet.router(), &["session opened", "client=127.0.0.1:", &format!("via={ELSEWHERE}:")]);
    let shown = fleet.router().logs().shown();
    assert!(!shown.contains(" WARN "), "{shown}");
}

#[test]
fn haproxy_ends_tls_and_passes_the_client_on_in_the_clear() {
    if !tools::present(&[Tool::Haproxy, Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    let bind = format!("ssl crt {}", authority.issue("haproxy", &HERE).in_one_file().display());
    let fleet = fleet("");
    let start = |door| Haproxy::with(fleet.address(door), "send-proxy-v2", &bind);
    let (hs2, beeswax) = (start(Door::Hs2), start(Door::Beeswax));
    assert_served(&fleet, hs2.address(), beeswax.address(), &Tls::Verified(authority.ca()));
}

#[test]
fn haproxy_passes_clear_clients_on_with_tls() {
    if !tools::present(&[Tool::Haproxy, Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet(&listener(&authority.issue("router", &HERE)));
    for words in ["ssl verify none send-proxy-v2", "ssl verify none send-proxy"] {
        let start = |door| Haproxy::start(fleet.address(door), words);
        let (hs2, beeswax) = (start(Door::Hs2), start(Door::Beeswax));
        assert_served(&fleet, hs2.address(), beeswax.address(), &Tls::Off);
        let mut client = Hs2Client::connect(hs2.address(), fleet.login()).unwrap();
        let session = client.open(&[]).unwrap();
        let rows = client.query(&session, "select * from rows(20, 'string(300000), int')").unwrap();
        assert!(rows.len() == 20 && rows.iter().all(|row| row[0].len() == 300_000));
        client.close_session(&session).unwrap();
    }
}

#[test]
fn haproxy_passes_tls_on_unread_and_says_whose_it_is() {
    if !tools::present(&[Tool::Haproxy, Tool::Python]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet(&listener(&authority.issue("router", &HERE)));
    let start = |door| Haproxy::start(fleet.address(door), "send-proxy-v2");
    let (hs2, beeswax) = (start(Door::Hs2), start(Door::Beeswax));
    assert_served(&fleet, hs2.address(), beeswax.address(), &Tls::Verified(authority.ca()));
}
