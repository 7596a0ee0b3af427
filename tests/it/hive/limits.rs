//! A `HiveServer2` with as many sessions as it may have, and what probes cost it.

use std::time::Duration;

use super::calls::{OFTEN, connect, has, router};
use crate::admin::ask_at;
use crate::support::clients::{self, Login};
use crate::support::fleet::refusal;
use crate::support::hive::{self, Hive, Setup};
use crate::support::router::{SELDOM, TestRouter};
use crate::support::tools::{self, Tool};

const PASSED: &str = "hs2router_probes_total{cluster=\"test\",coordinator=\"c1\",outcome=\"passed\"}";

#[test]
fn a_session_goes_elsewhere_when_a_hive_has_as_many_from_an_address_as_it_may() {
    let Some([other, _]) = hive::pair(Login::NoSasl) else { return };
    let limit = Setup::of(Login::NoSasl).set("hive.server2.limit.connections.per.ipaddress", "1");
    let limited = Hive::start(&limit);
    let both = router(&[limited.address(), other.address()], SELDOM);
    let mut client = connect(both.listener(0));
    let sessions: Vec<_> = (0..5).map(|_| client.open(&[]).unwrap()).collect();
    let there = sessions.iter().filter(|session| has(limited.address(), session)).count();
    assert_eq!(there, 1);
    assert!(
        both.metric("hs2router_sessions_total{cluster=\"test\",coordinator=\"c1\",outcome=\"full\"}") >= 1.0
    );

    let alone = router(&[limited.address()], SELDOM);
    let direct = refusal(connect(limited.address()).open(&[]));
    assert_eq!(direct, "Connection limit per ipaddress reached (ipaddress: 127.0.0.1 limit: 1)");
    assert_eq!(refusal(connect(alone.listener(0)).open(&[])), direct, "there is nobody else");
}

/// Waits until so many probes have passed.
fn await_probes(router: &TestRouter, passed: f64) {
    let deadline = hs2router::clock::now() + Duration::from_mins(1);
    while router.metric(PASSED) < passed {
        assert!(hs2router::clock::now() < deadline, "{} probes passed", router.metric(PASSED));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many sessions a server has that takes no more than `limit` from this address; it keeps none of those
/// that find that out.
fn sessions_of(server: &Hive, limit: usize) -> usize {
    let mut clients: Vec<_> = (0..=limit).map(|_| connect(server.address())).collect();
    let opened = clients.iter_mut().map_while(|client| client.open(&[]).ok()).count();
    limit - opened
}

#[test]
fn many_probes_of_a_hive_without_login_open_one_session() {
    if !tools::present(&[Tool::Java, Tool::Hive]) {
        return;
    }
    let limit = Setup::of(Login::NoSasl).set("hive.server2.limit.connections.per.ipaddress", "3");
    let server = Hive::start(&limit);
    let router = router(&[server.address()], OFTEN);
    let mut client = connect(router.listener(0));
    let session = client.open(&[]).unwrap();
    client.close_session(&session).unwrap();
    let first = router.metric(PASSED);
    await_probes(&router, first + 25.0);
    assert_eq!(sessions_of(&server, 3), 1);
}

#[test]
fn probes_of_a_hive_with_a_login_open_no_session() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive]) {
        return;
    }
    let server = Hive::start(&Setup::of(Login::Plain));
    let router = router(&[server.address()], OFTEN);
    assert_eq!(clients::pyhive(&router.target(), Login::Plain, &["SELECT 1"]).rows().len(), 1);
    let first = router.metric(PASSED);
    await_probes(&router, first + 20.0);
    let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
    assert!(shown.contains("\"links\":{\"open\":0,"), "a probe keeps a connection: {shown}");
}
