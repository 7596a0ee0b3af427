//! A coordinator that begins its graceful shutdown takes no new work: nobody notices who need not.

mod hive;

use hs2router::fake::client::{BeeswaxClient, CallError, Hs2Client};
use hs2router::idl::beeswax::BeeswaxException;

use crate::support::fleet::{Fleet, refusal, refusal_and_state};
use crate::support::router::eventually;

/// How Impala begins every refusal of new work.
const WORDS: &str = "Server is being shut down: shutdown grace period left: ";

#[test]
fn a_session_goes_elsewhere_when_its_coordinator_is_shutting_down() {
    for fleet in [Fleet::of(3), Fleet::secured(3)] {
        fleet.coordinator(0).faults().start_quiescing();
        // One connection that learns it, and ones that find out anew.
        let mut client = fleet.hs2();
        for _ in 0..6 {
            let session = client.open(&[]).unwrap();
            assert_ne!(fleet.owner(&session), 0);
        }
        let fresh: Vec<_> = (0..6)
            .map(|_| {
                let mut client = fleet.hs2();
                let session = client.open(&[]).unwrap();
                assert_ne!(fleet.owner(&session), 0);
                client.ping(&session).unwrap();
                client
            })
            .collect();
        assert_eq!(fleet.spread(), [0, 6, 6]);
        assert!(fleet.calls("OpenSession").iter().any(|(place, _)| *place == 0), "it was asked");
        drop(fresh);
    }
}

#[test]
fn it_is_not_asked_again_for_every_session() {
    let fleet = Fleet::of(3);
    fleet.coordinator(0).faults().start_quiescing();
    let mut client = fleet.hs2();
    while fleet.calls("OpenSession").iter().all(|(place, _)| *place != 0) {
        client.open(&[]).unwrap();
    }
    let others = fleet.spread();
    for _ in 0..20 {
        client.open(&[]).unwrap();
    }
    let asked = fleet.calls("OpenSession").iter().filter(|(place, _)| *place == 0).count();
    assert!(asked <= 3, "asked {asked} times for 20 sessions, after {others:?}");
}

#[test]
fn its_own_words_come_through_when_all_are_shutting_down() {
    let fleet = Fleet::of(3);
    for coordinator in fleet.coordinators() {
        coordinator.faults().start_quiescing();
    }
    let mut client = fleet.hs2();
    for _ in 0..2 {
        let (text, state) = refusal_and_state(client.open(&[]));
        assert!(text.starts_with(WORDS), "{text}");
        assert_eq!(state, "HY000", "it is no message of the router's");
    }
    assert_eq!(fleet.calls("OpenSession").len(), 6, "each was asked");
    fleet.coordinator(1).faults().stop_quiescing();
    assert_eq!(fleet.owner(&client.open(&[]).unwrap()), 1);
    drop(client);
}

#[test]
fn the_sessions_it_has_go_on_and_a_statement_gets_its_own_refusal() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let operations: Vec<_> =
        sessions.iter().map(|session| client.execute(session, "select * from rows(10)").unwrap()).collect();
    let quiescing = fleet.coordinator(1);
    quiescing.faults().start_quiescing();

    let through = refusal_and_state(client.execute(&sessions[1], "select 1"));
    let mut direct = Hs2Client::connect(quiescing.hs2(), fleet.login()).unwrap();
    assert_eq!(through, refusal_and_state(direct.execute(&sessions[1], "select 1")), "not a word is changed");
    assert!(through.0.starts_with(WORDS), "{}", through.0);

    for client in [&mut client, &mut fleet.hs2()] {
        client.ping(&sessions[1]).unwrap();
        assert!(client.fetch(&operations[1], 5).unwrap().0.is_some());
    }
    client.close(&operations[1]).unwrap();
    client.close_session(&sessions[1]).unwrap();
    // The others on that connection are none the wiser.
    assert_eq!(client.query(&sessions[2], "select coordinator()").unwrap(), [["c3"]]);
    assert_eq!(fleet.spread(), [1, 0, 1]);
}

#[test]
fn a_statement_with_the_same_words_in_its_error_is_no_shutdown() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    for session in &sessions {
        let failed = client.execute(session, &format!("fail('{WORDS}0s')")).unwrap();
        assert!(refusal(client.fetch(&failed, 1)).contains(WORDS));
        client.close_session(session).unwrap();
    }
    for _ in 0..10 {
        client.open(&[]).unwrap();
    }
    assert_eq!(fleet.spread(), [5, 5], "neither is avoided");
}

fn thrown(result: Result<impl std::fmt::Debug, CallError>) -> BeeswaxException {
    match result {
        Err(CallError::Thrift(thrift::Error::User(error))) => *error.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_beeswax_statement_gets_its_own_refusal() {
    let fleet = Fleet::of(2);
    let mut client = fleet.beeswax();
    let home = client.query("select coordinator()").unwrap().concat();
    let handle = client.execute("select 1", "").unwrap();
    let place = fleet.coordinators().position(|coordinator| coordinator.name() == home).unwrap();
    fleet.coordinator(place).faults().start_quiescing();
    let through = thrown(client.execute("select 1", ""));
    let mut direct = BeeswaxClient::connect(fleet.coordinator(place).beeswax(), fleet.login()).unwrap();
    assert_eq!(through, thrown(direct.execute("select 1", "")));
    assert!(through.message.clone().unwrap().starts_with(WORDS), "{through:?}");
    let rows = hs2router::idl::beeswax::TBeeswaxServiceSyncClient::fetch(client.service(), handle, false, 10);
    assert_eq!(rows.unwrap().data.unwrap(), ["1"]);
    drop((client, direct));
    assert!(eventually(|| fleet.spread() == [0, 0]), "{:?}", fleet.spread());
}

#[test]
fn a_client_that_comes_back_after_a_refusal_is_sent_elsewhere() {
    let fleet = Fleet::of(2);
    let mut client = fleet.beeswax();
    let home = client.query("select coordinator()").unwrap().concat();
    let place = fleet.coordinators().position(|coordinator| coordinator.name() == home).unwrap();
    // The other one has more to do, so load alone would send everybody back.
    let mut busy = fleet.hs2();
    let sessions: Vec<_> = (0..6).map(|_| busy.open(&[]).unwrap()).collect();
    for session in sessions.iter().filter(|session| fleet.owner(session) == place) {
        busy.close_session(session).unwrap();
    }
    fleet.coordinator(place).faults().start_quiescing();
    drop(thrown(client.execute("select 1", "")));
    drop(client);
    assert!(eventually(|| fleet.spread()[place] == 0));
    assert_ne!(fleet.beeswax().query("select coordinator()").unwrap(), [home.as_str()]);
}
