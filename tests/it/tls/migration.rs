//! While clients change to TLS one after another, both kinds come in by one port.

use std::io::Write as _;
use std::net::TcpStream;

use super::{Doors, await_line, fleet_behind_tls};
use crate::support::certificates::{Authority, HERE};
use crate::support::clients::{self, Cursors, Dialect, Login, Tls};
use crate::support::fleet::{Door, Fleet, Plan, USERS};
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
    for door in [Door::Hs2, Door::Beeswax] {
        for tls in ["clear", "terminated"] {
            let series = format!(
                "hs2router_connections_tls_total{{listener=\"{}\",tls=\"{tls}\"}}",
                fleet.address(door)
            );
            fleet.router().await_metric(&series, 1.0);
        }
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
fn real_clients_in_the_clear_show_that_the_port_requires_tls() {
    if !tools::present(&[Tool::Python, Tool::Java, Tool::Spark]) {
        return;
    }
    let authority = Authority::new();
    let fleet = fleet_behind_tls(&authority, &USERS);
    for login in [Login::NoSasl, Login::Plain] {
        let hs2 = fleet.target(Door::Hs2);
        let mut all = vec![
            clients::impala_shell(&hs2, Dialect::Hs2(login), "select 7"),
            clients::impyla(&hs2, login, Cursors::One, &["select 7"]),
            clients::pyhive(&hs2, login, &["select 7"]),
            clients::beeline(&hs2, login, &["select 7"]),
        ];
        // Without SASL it does not show what its first call is answered with.
        if login == Login::Plain {
            let beeswax = fleet.target(Door::Beeswax);
            all.push(clients::impala_shell(&beeswax, Dialect::Beeswax(login), "select 7"));
        }
        for shown in all {
            let mut lines = shown.complaints.iter().chain(&shown.output);
            let is_told = lines.any(|line| line.contains("this port requires TLS"));
            assert!(is_told && shown.code == Some(1), "{shown:?}");
        }
    }
    await_line(fleet.router(), &[" WARN ", "required = false"]);
    assert!(fleet.coordinators().all(|coordinator| coordinator.calls().is_empty()));
}

#[test]
fn the_header_of_a_balancer_that_is_not_named_is_told_as_that_also_where_tls_is_required() {
    let fleet = fleet_behind_tls(&Authority::new(), &[]);
    let mut balancer = TcpStream::connect(fleet.address(Door::Hs2)).unwrap();
    balancer.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 21050\r\n").unwrap();
    await_line(fleet.router(), &[" WARN ", "proxy_protocol_from"]);
}
