//! Sessions that end because their clients do nothing, or are gone: the router does what a coordinator
//! cannot, because shared links hide the clients from it.

use std::time::Duration;

use hs2router::cluster::AdminState;
use hs2router::fake::Settings;
use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::TSessionHandle;

use crate::support::fleet::{Fleet, Plan, USERS, id, refusal_and_state};
use crate::support::router::eventually;

/// One coordinator that closes sessions without links after two seconds, and a router that therefore touches
/// idle ones twice a second.
fn touched(users: &[(&str, &str)]) -> Fleet {
    let settings = Settings { disconnected_session_timeout: Duration::from_secs(2), ..Settings::default() };
    let cluster = "disconnected_session_timeout = \"1500ms\"";
    Fleet::with(Plan { coordinators: 1, users, cluster, settings, ..Plan::default() })
}

/// Waits until the coordinator does not have the session any more. The router looks for such sessions every
/// 15 s.
fn await_closed(fleet: &Fleet, session: &TSessionHandle, mut meanwhile: impl FnMut()) {
    let mut closed = || {
        eventually(|| {
            meanwhile();
            !fleet.coordinator(0).open_sessions().contains(&id(&session.session_id))
        })
    };
    assert!((0..4).any(|_| closed()), "it was not closed");
}

/// Sessions that are used, and not by the connection that opened them.
fn use_from_elsewhere(client: &mut Hs2Client, session: &TSessionHandle) {
    client.ping(session).unwrap();
}

#[test]
fn a_session_that_was_idle_for_too_long_is_closed_and_its_client_told_in_impalas_words() {
    for users in [&[][..], &USERS] {
        let fleet = touched(users);
        let (mut client, mut other) = (fleet.hs2(), fleet.hs2());
        let timeout = |seconds| [("idle_session_timeout", seconds)];
        let (idle, set) = (client.open(&timeout("2")).unwrap(), client.open(&timeout("1000")).unwrap());
        let (unset, used) = (client.open(&timeout("1")).unwrap(), client.open(&timeout("1")).unwrap());
        client.query(&set, "set idle_session_timeout=3").unwrap();
        client.query(&unset, "set IDLE_SESSION_TIMEOUT = 0").unwrap();
        let operation = client.execute(&idle, "select sleep(600000)").unwrap();
        for session in [&idle, &set] {
            await_closed(&fleet, session, || use_from_elsewhere(&mut other, &used));
        }
        for (session, seconds) in [(&idle, 2), (&set, 3)] {
            let (message, state) = refusal_and_state(client.execute(session, "select 1"));
            let words = format!(
                "Client session expired due to more than {seconds}s of inactivity (last activity was at: 20"
            );
            assert!(message.starts_with(&words) && message.ends_with(").\n"), "{message}");
            assert_eq!(state, "HY000");
        }
        let (message, _) = refusal_and_state(other.ping(&idle));
        assert!(message.starts_with("Client session expired"), "on every connection: {message}");
        assert!(client.fetch(&operation, 1).is_err());
        client.close_session(&idle).unwrap();
        let (message, _) = refusal_and_state(client.close_session(&idle));
        assert!(message.starts_with("Invalid session id"), "{message}");
        for session in [&unset, &used] {
            client.ping(session).unwrap();
        }
        assert_eq!(fleet.coordinator(0).open_operations(), 0, "what ran in it was cancelled");
        assert_eq!(fleet.loads()[0].open_sessions, 2);
    }
}

#[test]
fn an_expired_session_is_not_opened_again_elsewhere() {
    let settings = Settings { disconnected_session_timeout: Duration::from_secs(2), ..Settings::default() };
    let cluster = "disconnected_session_timeout = \"1500ms\"";
    let mut fleet = Fleet::with(Plan { coordinators: 2, cluster, settings, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[("idle_session_timeout", "1")]).unwrap();
    let owner = fleet.owner(&session);
    let closed = || eventually(|| fleet.coordinator(owner).open_sessions().is_empty());
    assert!((0..4).any(|_| closed()), "it was not closed");
    fleet.lose(owner);
    let (message, _) = refusal_and_state(client.execute(&session, "select 1"));
    assert!(message.starts_with("Client session expired"), "{message}");
    assert!(fleet.coordinator(1 - owner).open_sessions().is_empty());
}

/// A session with a statement under way, whose client and links are gone.
fn abandoned(fleet: &Fleet) -> TSessionHandle {
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    client.execute(&session, "select sleep(600000)").unwrap();
    fleet.coordinator(0).cut_connections();
    drop(client);
    session
}

#[test]
fn an_abandoned_session_is_closed_also_when_its_links_are_gone() {
    let fleet =
        Fleet::with(Plan { coordinators: 1, router: "client_lost_grace = \"0s\"", ..Plan::default() });
    let session = abandoned(&fleet);
    await_closed(&fleet, &session, || {});
    assert_eq!(fleet.coordinator(0).open_operations(), 0);
    assert!(eventually(|| fleet.known().table.sessions() == 0));
}

#[test]
fn an_abandoned_session_is_closed_also_where_it_was_before_it_moved() {
    for users in [&[][..], &USERS] {
        let router = "client_lost_grace = \"0s\"";
        let fleet = Fleet::with(Plan { coordinators: 2, users, router, ..Plan::default() });
        // Keeps the links of its name, and with them what others of that name left.
        let mut client = fleet.hs2();
        let kept = fleet.session_on_each(&mut client);
        let mut leaving = fleet.hs2();
        let session = leaving.open(&[]).unwrap();
        let owner = fleet.owner(&session);
        fleet.set_state(owner, AdminState::Drain);
        assert!(eventually(|| fleet.spread()[1 - owner] == 3), "both have left: {:?}", fleet.spread());
        fleet.set_state(owner, AdminState::Active);
        drop(leaving);
        let closed = || eventually(|| fleet.spread()[1 - owner] == 2);
        assert!((0..4).any(|_| closed()), "it was not closed where it is");
        assert!(eventually(|| !fleet.coordinator(owner).open_sessions().contains(&id(&session.session_id))));
        assert!(eventually(|| fleet.known().table.sessions() == 2));
        assert!(refusal_and_state(client.ping(&session)).0.starts_with("Invalid session id"));
        for session in &kept {
            client.ping(session).unwrap();
        }
    }
}

#[test]
fn an_abandoned_session_of_somebody_who_logs_in_ends_by_its_coordinators_own_timer() {
    let settings = Settings { disconnected_session_timeout: Duration::from_secs(2), ..Settings::default() };
    let router = "client_lost_grace = \"0s\"";
    let fleet = Fleet::with(Plan { coordinators: 1, users: &USERS, router, settings, ..Plan::default() });
    let session = abandoned(&fleet);
    await_closed(&fleet, &session, || {});
    assert_eq!(fleet.calls("CloseSession").len(), 0, "nobody has the password any more");
    assert_eq!(fleet.coordinator(0).connections(), 0);
}

#[test]
fn links_are_closed_once_their_identity_has_no_session_left() {
    let router = "client_lost_grace = \"0s\"";
    let fleet = Fleet::with(Plan { coordinators: 1, users: &USERS, router, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    drop(client);
    await_closed(&fleet, &session, || {});
    assert_eq!(fleet.calls("CloseSession").len(), 1);
    // 20 s after that.
    assert!((0..4).any(|_| eventually(|| fleet.coordinator(0).connections() == 0)), "links are left");
}
