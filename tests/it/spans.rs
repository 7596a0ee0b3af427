//! A log line about a connection names its first session and coordinator, once, however many sessions it
//! opens.

use std::io::Write as _;
use std::net::TcpStream;

use hs2router::control::config::LogLevel;
use hs2router::fake::client::{BeeswaxClient, Hs2Client, Login};
use hs2router::fake::{Coordinator, Settings};

use crate::support::fleet::Fleet;
use crate::support::router::{SELDOM, TestRouter, eventually};

/// No call that anybody knows how to follow.
const NONSENSE: &[u8] = &[0x80, 1, 0, 9, 0, 0, 0, 1, b'x', 0, 0, 0, 0];

#[test]
fn a_warning_names_its_client_and_listener_where_only_warnings_are_logged() {
    let coordinator = Coordinator::start(Settings::default()).unwrap();
    let port = coordinator.hs2().port();
    let config = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\n{SELDOM}\n\
         coordinators = [{{ host = \"127.0.0.1\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}]\n"
    );
    let router = TestRouter::logging(&config, LogLevel::Warn);
    let mut client = Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap();
    client.open(&[]).unwrap();
    client.stream().write_all(NONSENSE).unwrap();
    let client = client.stream().local_addr().unwrap();
    assert!(eventually(|| router.logs().text().contains("connection ended")));
    let lines = router.logs().warnings(client);
    assert!(lines.len() == 1 && lines[0].contains("listener=127.0.0.1:"), "{}", router.logs().text());
}

/// The one warning about how the connection from this address ended.
fn warning(fleet: &Fleet, stream: &mut TcpStream) -> String {
    let client = stream.local_addr().unwrap();
    stream.write_all(NONSENSE).unwrap();
    let logs = fleet.router().logs();
    assert!(eventually(|| logs.warnings(client).len() == 1), "{}", logs.text());
    logs.warnings(client).remove(0)
}

#[test]
fn a_connection_that_opens_many_sessions_keeps_one_in_its_span() {
    let fleet = Fleet::of(2);
    let mut client: Hs2Client = fleet.hs2();
    for _ in 0..20 {
        let session = client.open(&[]).unwrap();
        client.close_session(&session).unwrap();
    }
    let line = warning(&fleet, &mut client.stream().try_clone().unwrap());
    for field in ["session=", "coordinator=", "depth=\"route\""] {
        assert_eq!(line.matches(field).count(), 1, "{field}: {line}");
    }
}

#[test]
fn a_beeswax_connection_names_its_coordinator() {
    let fleet = Fleet::of(1);
    let mut client: BeeswaxClient = fleet.beeswax();
    client.query("select 1").unwrap();
    let line = warning(&fleet, &mut client.stream().try_clone().unwrap());
    assert!(line.contains("coordinator=c1"), "{line}");
}
