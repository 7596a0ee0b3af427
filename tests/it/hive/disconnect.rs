//! How long sessions live when the connection that opened them ends: as they do without the router.

use std::net::SocketAddr;

use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::TSessionHandle;

use super::calls::{at_last, await_idle, connect, has, home, router, rows};
use crate::support::clients::Login;
use crate::support::fleet::refusal;
use crate::support::hive::{self, Hive, Setup};
use crate::support::router::{SELDOM, TestRouter};
use crate::support::tools::{self, Tool};

/// The server's key, and the same as JDBC's URLs set it for a session.
const KEY: &str = "hive.server2.close.session.on.disconnect";
const SET_KEY: &str = "set:hiveconf:hive.server2.close.session.on.disconnect";
/// The router's.
const OUTLIVE: &str = "sessions_outlive_connections = true";

/// What a client does on one connection before that ends.
#[derive(Clone, Copy, Debug)]
enum Story {
    /// Opens a session.
    One,
    /// Opens one, and says so in the request that it shall, or shall not, end with the connection.
    Opened(&'static str),
    /// The same by a statement.
    Set(&'static str),
    /// Opens two.
    Two,
    /// Opens two and closes the first.
    FirstClosed,
}

/// Lives the story on a connection of its own: the sessions that were opened.
fn live(door: SocketAddr, story: Story) -> Vec<TSessionHandle> {
    let mut client = connect(door);
    let open = |client: &mut Hs2Client| client.open(&[]).unwrap();
    match story {
        Story::One => vec![open(&mut client)],
        Story::Opened(value) => vec![client.open(&[(SET_KEY, value)]).unwrap()],
        Story::Set(value) => {
            let session = open(&mut client);
            rows(&mut client, &session, &format!("set {KEY}={value}")).unwrap();
            vec![session]
        }
        Story::Two => vec![open(&mut client), open(&mut client)],
        Story::FirstClosed => {
            let both = vec![open(&mut client), open(&mut client)];
            client.close_session(&both[0]).unwrap();
            both
        }
    }
}

/// Lives it directly and through the router, and expects that the same sessions are there afterwards.
fn expect(server: &Hive, router: &TestRouter, story: Story, expected: &[bool]) {
    for door in [server.address(), router.listener(0)] {
        let sessions = live(door, story);
        let found = || sessions.iter().map(|one| has(server.address(), one)).collect::<Vec<_>>();
        assert!(at_last(|| found() == expected), "{story:?} by {door}: {:?}", found());
        // The server has had time to notice: it has noticed the end of a connection that came later.
        let [later] = &live(door, Story::Opened("true"))[..] else { panic!("it opens one") };
        assert!(at_last(|| !has(server.address(), later)), "a session that should end lives");
        assert_eq!(found(), expected, "{story:?} by {door}");
        for left in sessions.iter().filter(|one| has(server.address(), one)) {
            connect(door).close_session(left).unwrap();
        }
    }
}

#[test]
fn a_session_ends_with_its_connection_if_and_only_if_it_does_without_the_router() {
    let Some([server, _]) = hive::pair(Login::NoSasl) else { return };
    let router = router(&[server.address()], SELDOM);
    for (story, expected) in [
        (Story::One, &[false][..]),
        (Story::Opened("false"), &[true]),
        (Story::Set("false"), &[true]),
        // The server remembers only the last one of a connection, and none once any was closed there.
        (Story::Two, &[true, false]),
        (Story::FirstClosed, &[false, true]),
    ] {
        expect(server, &router, story, expected);
    }
    await_idle(&router);
}

#[test]
fn where_hive_keeps_sessions_they_outlive_their_connections_unless_they_say_otherwise() {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive]) {
        return;
    }
    let server = Hive::start(&Setup::of(Login::NoSasl).set(KEY, "false"));
    server.warm_up(Login::NoSasl);
    let router = router(&[server.address()], &format!("{SELDOM}\n{OUTLIVE}"));
    for (story, expected) in [
        (Story::One, &[true][..]),
        (Story::Opened("true"), &[false]),
        (Story::Set("true"), &[false]),
        (Story::Two, &[true, true]),
        (Story::FirstClosed, &[false, true]),
    ] {
        expect(&server, &router, story, expected);
    }
}

#[test]
fn sessions_that_set_themselves_to_outlive_are_used_by_other_connections_where_the_config_says_so() {
    let Some(pair) = hive::pair(Login::NoSasl) else { return };
    let addresses = pair.each_ref().map(Hive::address);
    let keys = format!("{SELDOM}\n{OUTLIVE}");
    let first = router(&addresses, &keys);
    let mut clients = [0, 1].map(|_| connect(first.listener(0)));
    let sessions = clients.each_mut().map(|client| client.open(&[(SET_KEY, "false")]).unwrap());
    let homes = [0, 1].map(|place| home(&mut clients[place], &sessions[place]).unwrap());
    assert_ne!(homes[0], homes[1], "one on each server");
    drop(clients);
    let by_others = |router: &TestRouter| {
        sessions.each_ref().map(|session| home(&mut connect(router.listener(0)), session).unwrap())
    };
    assert_eq!(by_others(&first), homes);
    drop(first);
    let second = router(&addresses, &keys);
    assert_eq!(by_others(&second), homes, "a router that is new finds them");
    for session in &sessions {
        connect(second.listener(0)).close_session(session).unwrap();
    }
    await_idle(&second);
}

#[test]
fn a_session_that_ends_with_its_connection_although_the_config_says_otherwise_is_told_so_by_hive() {
    let Some(pair) = hive::pair(Login::NoSasl) else { return };
    let addresses = pair.each_ref().map(Hive::address);
    let router = router(&addresses, &format!("{SELDOM}\n{OUTLIVE}"));
    let [session] = &live(router.listener(0), Story::One)[..] else { panic!("it opens one") };
    assert!(at_last(|| addresses.iter().all(|server| !has(*server, session))));
    let direct = refusal(connect(addresses[0]).execute(session, "select 1"));
    assert_eq!(refusal(connect(router.listener(0)).execute(session, "select 1")), direct);
    assert!(direct.starts_with("Invalid SessionHandle: "), "{direct}");
    await_idle(&router);
}
