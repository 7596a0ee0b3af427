//! A `HiveServer2` that dies or stands still under sessions and statements.

use std::time::Duration;

use hs2router::clock;
use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};

use super::calls::{OFTEN, at_last, has, home, router, rows, session_on, sleep};
use crate::admin::ask_at;
use crate::support::clients::Login;
use crate::support::fleet::refusal_and_state;
use crate::support::hive::{self, Hive, Setup};
use crate::support::ports::KeptPort;
use crate::support::router::TestRouter;

/// Longer than it takes to find that a port is silent, with probes every second, and to go on elsewhere.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// A client with a session on a server.
struct Client {
    connection: Hs2Client,
    session: TSessionHandle,
}

impl Client {
    /// Opens sessions until one is on this server.
    fn on(router: &TestRouter, server: &Hive) -> Self {
        let (connection, session) = session_on(router, server);
        Self { connection, session }
    }

    fn runs(&mut self) -> TOperationHandle {
        self.connection.execute(&self.session, &sleep(600_000)).unwrap()
    }
}

fn health(router: &TestRouter) -> String {
    let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown[0]["ports"][0]["health"].as_str().unwrap().to_owned()
}

#[test]
fn a_hive_that_is_killed_costs_its_sessions_alone_and_gets_new_ones_after_its_restart() {
    let Some([other, _]) = hive::pair(Login::NoSasl) else { return };
    let port = KeptPort::take(0).unwrap();
    let setup = Setup::of(Login::NoSasl).on(port.number());
    let killed = Hive::start(&setup);
    killed.warm_up(Login::NoSasl);
    let router = router(&[killed.address(), other.address()], OFTEN);
    let mut idle = Client::on(&router, &killed);
    let mut busy = Client::on(&router, &killed);
    let operation = busy.runs();
    let mut bystander = Client::on(&router, other);
    killed.signal("KILL");
    assert!(at_last(|| killed.has_ended()));

    for told in [
        refusal_and_state(idle.connection.execute(&idle.session, "select 1")),
        refusal_and_state(busy.connection.status(&operation)),
        refusal_and_state(busy.connection.execute(&busy.session, "select 1")),
    ] {
        let (text, state) = told;
        assert!(["08S01", "08001"].contains(&state.as_str()), "{state}: {text}");
        assert!(text.contains("coordinator c1"), "{text}");
    }
    assert!(home(&mut bystander.connection, &bystander.session).is_ok());
    for client in [&mut idle, &mut busy] {
        client.connection.close_session(&client.session).unwrap();
        let next = client.connection.open(&[]).unwrap();
        assert!(has(other.address(), &next), "it is opened on the other");
    }
    assert!(at_last(|| health(&router) == "ejected"), "{}", health(&router));

    let again = Hive::start(&setup);
    assert!(at_last(|| health(&router) == "healthy"), "{}", health(&router));
    let mut client = Client::on(&router, &again);
    assert_eq!(rows(&mut client.connection, &client.session, "select 'on'").unwrap(), [["on"]]);
    stands_still(&again, other, &router, &mut client);
}

/// The server stops as by SIGSTOP: nobody who is not its client waits, and it is used again when it goes on.
fn stands_still(server: &Hive, other: &Hive, router: &TestRouter, its: &mut Client) {
    server.signal("STOP");
    let mut slowest = Duration::ZERO;
    let ejected = at_last(|| {
        let begun = clock::now();
        let mut client = Client::on(router, other);
        home(&mut client.connection, &client.session).unwrap();
        slowest = slowest.max(clock::now().saturating_duration_since(begun));
        health(router) == "ejected"
    });
    assert!(ejected, "{}", health(router));
    // An open that had begun there is given up when its port is found to be silent.
    assert!(slowest < SILENT_FOR, "somebody waited for {slowest:?}");
    server.signal("CONT");
    assert!(at_last(|| health(router) == "healthy"), "{}", health(router));
    let on = rows(&mut its.connection, &its.session, "select 'on'").unwrap();
    assert_eq!(on, [["on"]], "its session was not lost");
}
