//! SIGTERM to a `HiveServer2`: it takes no new work, and ends when its last operation is closed (Hive:
//! HiveServer2.java `graceful_stop`; open sessions do not keep it).

use hs2router::idl::t_c_l_i_service::TOperationState;

use super::calls::{OFTEN, at_last, close, connect, ended, fetched, has, home, router, session_on, sleep};
use crate::admin::ask_at;
use crate::support::clients::Login;
use crate::support::fleet::{is_valid, refusal_and_state};
use crate::support::hive::{self, Hive, Setup};
use crate::support::ports::KeptPort;
use crate::support::router::TestRouter;
use crate::support::tools::{self, Tool};

/// Opens a session on a connection of its own: the place of its server.
fn opened_at(router: &TestRouter, servers: [&Hive; 2]) -> usize {
    let mut client = connect(router.listener(0));
    let session = client.open(&[]).unwrap();
    let place = servers.iter().position(|server| has(server.address(), &session)).unwrap();
    client.close_session(&session).unwrap();
    place
}

#[test]
fn a_hive_that_stops_gracefully_finishes_what_runs_gets_nothing_new_and_is_used_again_after_its_restart() {
    let Some([other, _]) = hive::pair(Login::NoSasl) else { return };
    let port = KeptPort::take(0).unwrap();
    let setup = Setup::of(Login::NoSasl).on(port.number());
    let stopping = Hive::start(&setup);
    stopping.warm_up(Login::NoSasl);
    let router = router(&[stopping.address(), other.address()], OFTEN);
    let (mut client, session) = session_on(&router, &stopping);
    let running = client.execute(&session, &sleep(5000)).unwrap();
    let done = client.execute(&session, "select 'done'").unwrap();
    stopping.signal("TERM");
    let refuses = || connect(stopping.address()).open(&[]).is_err();
    assert!(at_last(refuses), "it takes no session");
    let direct = refusal_and_state(connect(stopping.address()).open(&[]));
    assert!(direct.0.starts_with("Cannot open sessions on an inactive HS2 instance, or"), "{direct:?}");

    // New sessions, on new connections and on the old one.
    for _ in 0..6 {
        assert_eq!(opened_at(&router, [&stopping, other]), 1);
    }
    let next = client.open(&[]).unwrap();
    assert!(has(other.address(), &next));

    // The session that it has: no statement, but all that was begun.
    let through = refusal_and_state(client.execute(&session, "select 1"));
    assert_eq!(through, refusal_and_state(connect(stopping.address()).execute(&session, "select 1")));
    let words = "Unable to run new queries as HiveServer2 is decommissioned or inactive, state: ";
    assert!(through.0.starts_with(words), "{through:?}");
    let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
    assert!(shown.contains("said that it is shutting down"), "{shown}");
    is_valid(&mut client, &session).unwrap();
    assert_eq!(ended(&mut client, &running).unwrap(), TOperationState::FINISHED_STATE);
    assert_eq!(fetched(&mut client, &running).unwrap(), [["slept", "null"]]);
    assert_eq!(fetched(&mut connect(router.listener(0)), &done).unwrap(), [["done"]]);
    assert!(!stopping.has_ended(), "its operations are open");
    close(&mut client, &running).unwrap();
    close(&mut client, &done).unwrap();
    assert!(at_last(|| stopping.has_ended()), "its session is open, its operations are closed");

    // The client's connection is as good as before, and the session is gone.
    let (told, state) = refusal_and_state(client.execute(&session, "select 1"));
    assert!(state.starts_with("08"), "{state}: {told}");
    assert!(home(&mut client, &next).is_ok());
    let again = Hive::start(&setup);
    again.warm_up(Login::NoSasl);
    assert!(at_last(|| opened_at(&router, [&again, other]) == 0), "it gets no session after its restart");
}

#[test]
fn a_hive_without_operations_ends_whatever_sessions_it_and_the_routers_probes_have() {
    if !tools::present(&[Tool::Java, Tool::Hive]) {
        return;
    }
    let server = Hive::start(&Setup::of(Login::NoSasl));
    let router = router(&[server.address()], OFTEN);
    let mut client = connect(router.listener(0));
    let session = client.open(&[]).unwrap();
    is_valid(&mut client, &session).unwrap();
    let has_links = |links: usize| {
        let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
        shown.contains(&format!("\"links\":{{\"open\":{links},"))
    };
    assert!(at_last(|| has_links(2)), "the probes have no session of their own");
    server.signal("TERM");
    assert!(at_last(|| server.has_ended()), "something keeps it");
}
