//! A handle that the router does not know, because it was restarted or another router opened the session, is
//! found by asking the coordinators.

use std::collections::HashSet;
use std::time::Duration;

use hs2router::clock;
use hs2router::cluster::AdminState;
use hs2router::fake::client::{CallError, Hs2Client, Login, texts};
use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::idl::impala_service::{TGetRuntimeProfileReq, TImpalaHiveServer2ServiceSyncClient};
use hs2router::idl::t_c_l_i_service::{TOperationState, TSessionHandle};
use hs2router::session::table::SessionEnd;

use crate::support::fleet::{Door, Fleet, Plan, id, query_id, refusal, refusal_and_state};
use crate::support::router::{TestRouter, eventually};

mod bounds;
mod credentials;
mod liars;
mod requests;

const PING: &str = "PingImpalaHS2Service";
const STATUS: &str = "GetOperationStatus";

/// How many lookups of this router ended so.
fn lookups(router: &TestRouter, outcome: &str) -> u64 {
    let count = router.metric(&format!("hs2router_handle_lookups_total{{outcome=\"{outcome}\"}}"));
    format!("{count:.0}").parse().unwrap()
}

/// A session that no coordinator has.
fn unknown(like: &TSessionHandle, number: u16) -> TSessionHandle {
    let mut unknown = like.clone();
    unknown.session_id.guid[..2].copy_from_slice(&number.to_be_bytes());
    unknown.session_id.guid[2..].fill(9);
    unknown
}

fn work_goes_on(mut fleet: Fleet) {
    let mut before = fleet.hs2();
    let sessions = fleet.session_on_each(&mut before);
    let mut operations = Vec::new();
    for session in &sessions {
        before.query(session, "use demo").unwrap();
        let operation = before.execute(session, "select * from rows(10)").unwrap();
        assert_eq!(texts(&before.fetch(&operation, 6).unwrap().0.unwrap()).len(), 6);
        operations.push(operation);
    }
    fleet.restart_router();
    for ((session, operation), coordinator) in sessions.iter().zip(&operations).zip(fleet.coordinators()) {
        // A poll, the rest of the rows and the profile of an operation, each on a connection of its own.
        assert_eq!(fleet.hs2().status(operation).unwrap().0, TOperationState::FINISHED_STATE);
        let (rest, more) = fleet.hs2_by(Door::Side).fetch(operation, 10).unwrap();
        assert_eq!((texts(&rest.unwrap()).len(), more), (4, false), "no row twice, none lost");
        fleet.hs2().close(operation).unwrap();
        let ask = TGetRuntimeProfileReq::new(operation.clone(), session.clone(), None, None);
        let profile = fleet.hs2().service().get_runtime_profile(ask).unwrap().profile.unwrap();
        assert!(profile.contains(&query_id(operation).to_string()), "{profile}");
        let mut client = fleet.hs2();
        let state = client.query(session, "select current_database(), coordinator()").unwrap();
        assert_eq!(state, [["demo", coordinator.name()]], "it is the same session");
        assert!(fleet.known().table.was_located(&id(&session.session_id).0), "and may not be moved");
    }
    assert_eq!(fleet.known().table.sessions(), 3);
    assert!(fleet.loads().iter().all(|load| load.open_sessions == 1 && load.running_operations == 0));
    // Each operation and each session was asked for once.
    assert_eq!((lookups(fleet.router(), "found"), lookups(fleet.router(), "nowhere")), (6, 0));
    let mut client = fleet.hs2();
    for session in &sessions {
        client.close_session(session).unwrap();
    }
    fleet.await_idle();
    let log = fleet.router().logs().text();
    for session in &sessions {
        let line = format!("session located session={}", id(&session.session_id));
        assert_eq!(log.matches(&line).count(), 1, "{line}");
    }
}

#[test]
fn sessions_and_operations_go_on_when_the_router_is_restarted() {
    work_goes_on(Fleet::of(3));
    work_goes_on(Fleet::secured(3));
}

#[test]
fn a_statement_that_runs_while_the_router_is_restarted_is_polled_counted_and_cancelled() {
    let mut fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let operation = client.execute(&sessions[1], "select sleep(60000)").unwrap();
    fleet.restart_router();
    let mut client = fleet.hs2();
    assert_eq!(client.status(&operation).unwrap().0, TOperationState::RUNNING_STATE);
    let running: Vec<_> = fleet.loads().iter().map(|load| load.running_operations).collect();
    assert_eq!(running, [0, 1, 0], "it is work, and counts");
    client.cancel(&operation).unwrap();
    client.close(&operation).unwrap();
    assert_eq!(fleet.loads()[1].running_operations, 0);
}

#[test]
fn a_session_is_used_through_two_routers_side_by_side() {
    for fleet in [Fleet::of(3), Fleet::secured(3)] {
        let other = fleet.another_router();
        let mut here = fleet.hs2();
        let mut there = Hs2Client::connect(other.listener(0), fleet.login()).unwrap();
        let sessions = fleet.session_on_each(&mut here);
        for (session, coordinator) in sessions.iter().zip(fleet.coordinators()) {
            let operation = here.execute(session, "select * from rows(10)").unwrap();
            assert_eq!(texts(&there.fetch(&operation, 4).unwrap().0.unwrap()).len(), 4);
            assert_eq!(texts(&here.fetch(&operation, 10).unwrap().0.unwrap()).len(), 6);
            assert_eq!(there.query(session, "select coordinator()").unwrap(), [[coordinator.name()]]);
            there.close_session(session).unwrap();
            assert_eq!(
                refusal(here.ping(session)),
                format!("Invalid session id: {}\n", id(&session.session_id))
            );
        }
    }
}

#[test]
fn draining_coordinators_are_asked_too() {
    let mut fleet = Fleet::of(3);
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    fleet.restart_router();
    for place in 0..3 {
        fleet.set_state(place, AdminState::Drain);
    }
    for (session, coordinator) in sessions.iter().zip(fleet.coordinators()) {
        assert_eq!(fleet.hs2().query(session, "select coordinator()").unwrap(), [[coordinator.name()]]);
    }
}

#[test]
fn an_expired_session_is_told_so_by_its_own_coordinator() {
    let mut fleet = Fleet::of(3);
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    for coordinator in fleet.coordinators() {
        coordinator.expire_sessions();
    }
    fleet.restart_router();
    let mut client = fleet.hs2();
    for session in &sessions {
        let text = refusal(client.execute(session, "select 1"));
        assert!(text.starts_with("Client session expired due to more than"), "{text}");
        assert!(
            !fleet.known().table.was_located(&id(&session.session_id).0),
            "who was refused proved nothing"
        );
        client.close_session(session).unwrap();
    }
    assert_eq!(fleet.spread(), [0, 0, 0], "a close still reaches it");
    assert_eq!(lookups(fleet.router(), "refused"), 6);
}

#[test]
fn the_session_of_another_user_is_refused_in_its_coordinators_words() {
    let mut fleet = Fleet::secured(3);
    let mut ann = fleet.hs2();
    let sessions = fleet.session_on_each(&mut ann);
    let operation = ann.execute(&sessions[2], "select * from rows(5)").unwrap();
    fleet.restart_router();
    let (mut bob, mut ann) = (fleet.hs2_as("bob", "bbo"), fleet.hs2());
    let expected = "The user authorized on the connection 'bob' does not match the session username 'ann'\n";
    for session in &sessions {
        assert_eq!(refusal(bob.ping(session)), expected);
    }
    assert_eq!(refusal(bob.fetch(&operation, 1)), expected);
    assert_eq!((fleet.known().table.sessions(), fleet.known().table.operations()), (0, 0));
    for session in &sessions {
        ann.ping(session).unwrap();
        assert_eq!(refusal(bob.close_session(session)), expected);
    }
    assert_eq!(texts(&ann.fetch(&operation, 10).unwrap().0.unwrap()).len(), 5);
}

#[test]
fn a_wrong_secret_spoils_nothing_for_the_right_one() {
    let mut fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let operation = client.execute(&sessions[0], "select * from rows(5)").unwrap();
    fleet.restart_router();
    let (mut stranger, mut owner) = (fleet.hs2(), fleet.hs2());
    let mut peeked = operation.clone();
    peeked.operation_id.secret[3] ^= 1;
    for session in &sessions {
        let mut guessed = session.clone();
        guessed.session_id.secret[3] ^= 1;
        for _ in 0..3 {
            let expected = format!("Invalid session id: {}\n", id(&session.session_id));
            assert_eq!(refusal(stranger.ping(&guessed)), expected);
            let text = refusal(stranger.fetch(&peeked, 1));
            assert!(text.contains("not found"), "{text}");
        }
        assert_eq!(fleet.known().table.sessions(), 0);
        owner.ping(session).unwrap();
        assert_eq!(refusal(stranger.close_session(&guessed)), refusal(stranger.ping(&guessed)));
        owner.ping(session).unwrap();
        fleet.known().table.remove_session(&id(&session.session_id).0, SessionEnd::Gone);
    }
    assert_eq!(texts(&owner.fetch(&operation, 10).unwrap().0.unwrap()).len(), 5);
    assert_eq!(lookups(fleet.router(), "nowhere"), 3, "each guess once; then it is remembered");
}

#[test]
fn nobody_is_asked_where_sessions_end_with_their_connections() {
    for flavor in ["hive", "spark"] {
        let coordinators: Vec<_> = (0..3).map(|_| Coordinator::start(Settings::default()).unwrap()).collect();
        let addresses: Vec<_> = coordinators.iter().map(Coordinator::hs2).collect();
        let router = TestRouter::of(flavor, &addresses);
        let mut client = Hs2Client::connect(router.listener(0), &Login::NoSasl).unwrap();
        let session = client.open(&[]).unwrap();
        let nobodys = unknown(&session, 1);
        assert_eq!(
            refusal(client.ping(&nobodys)),
            format!("Invalid session id: {}\n", id(&nobodys.session_id))
        );
        let pings =
            coordinators.iter().flat_map(Coordinator::calls).filter(|call| call.method == PING).count();
        assert_eq!(pings, 1, "the call itself");
    }
}

#[test]
fn with_all_coordinators_down_the_client_is_told_so() {
    let mut fleet = Fleet::of(3);
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    fleet.restart_router();
    for place in 0..3 {
        fleet.lose(place);
    }
    let mut client = fleet.hs2();
    for session in sessions.iter().chain(&sessions) {
        let (text, state) = refusal_and_state(client.execute(session, "select 1"));
        assert!(state == "08001" && text.contains("cannot be reached"), "{state}: {text}");
    }
    assert_eq!(lookups(fleet.router(), "unanswered"), 6, "what nobody denied is asked for again");
}

/// Coordinators are given up after 600 ms.
fn impatient() -> Fleet {
    Fleet::with(Plan { router: "connect_timeout = \"300ms\"", ..Plan::default() })
}

#[test]
fn a_coordinator_that_hangs_holds_no_call_past_the_deadline() {
    let mut fleet = impatient();
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    fleet.restart_router();
    let hang = Fault::Delay(Duration::from_mins(1));
    fleet.coordinator(2).faults().always(PING, hang);
    let mut client = fleet.hs2();
    // The others' sessions are found meanwhile.
    let begun = clock::now();
    assert_eq!(client.query(&sessions[0], "select coordinator()").unwrap(), [["c1"]]);
    let took = clock::now() - begun;
    assert!(took < Duration::from_millis(500), "{took:?}");
    let lost = &sessions[2];
    let begun = clock::now();
    let text = refusal(client.execute(lost, "select 1"));
    assert_eq!(text, format!("Invalid session id: {}\n", id(&lost.session_id)), "of one who answered");
    let took = clock::now() - begun;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(lookups(fleet.router(), "unanswered"), 1);
    fleet.coordinator(2).faults().clear();
    assert_eq!(client.query(lost, "select coordinator()").unwrap(), [["c3"]], "nothing was remembered");
}

#[test]
fn a_coordinator_that_breaks_off_or_talks_nonsense_is_one_that_did_not_answer() {
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::CutReply(20), Fault::Garbage] {
        let mut fleet = impatient();
        let sessions = fleet.session_on_each(&mut fleet.hs2());
        fleet.restart_router();
        fleet.coordinator(1).faults().always(PING, fault);
        let mut client = fleet.hs2();
        assert_eq!(client.query(&sessions[2], "select coordinator()").unwrap(), [["c3"]], "{fault:?}");
        assert!(
            matches!(client.execute(&sessions[1], "select 1"), Err(CallError::Refused { .. })),
            "{fault:?}"
        );
        fleet.coordinator(1).faults().clear();
        assert_eq!(client.query(&sessions[1], "select coordinator()").unwrap(), [["c2"]], "{fault:?}");
    }
}

#[test]
fn who_only_asked_keeps_no_link_to_those_who_do_not_have_it() {
    let mut fleet = Fleet::of(3);
    let sessions = fleet.session_on_each(&mut fleet.hs2());
    fleet.restart_router();
    let mut client = fleet.hs2();
    client.query(&sessions[1], "select 1").unwrap();
    let connections = || fleet.coordinators().map(Coordinator::connections).collect::<Vec<_>>();
    assert!(eventually(|| connections() == [0, 1, 0]), "{:?}", connections());
    client.query(&sessions[0], "select 1").unwrap();
    client.query(&sessions[2], "select 1").unwrap();
    assert!(eventually(|| connections() == [1, 1, 1]), "{:?}", connections());
    // Links that the connection has are asked on, and kept.
    let over = |method: &str| -> HashSet<_> {
        fleet.calls(method).iter().map(|(place, call)| (*place, call.connection)).collect()
    };
    let before = fleet.calls(PING).len();
    let (links, asked_on) = (over("ExecuteStatement"), over(PING));
    refusal(client.ping(&unknown(&sessions[0], 1)));
    assert_eq!(fleet.calls(PING).len(), before + 4);
    assert_eq!((links.len(), over(PING).difference(&asked_on).count()), (3, 0));
    assert!(links.is_subset(&asked_on), "each was dialed to ask");
    assert_eq!(connections(), [1, 1, 1]);
}
