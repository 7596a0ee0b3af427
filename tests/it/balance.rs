//! A session goes, when it opens, to the coordinator with the least load at that moment.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use hs2router::cluster::AdminState;
use hs2router::fake::client::Hs2Client;
use hs2router::idl::beeswax::TBeeswaxServiceSyncClient;
use hs2router::idl::t_c_l_i_service::TSessionHandle;

use crate::support::fleet::{Door, Fleet, Plan, refusal_and_state};
use crate::support::router::eventually;

fn open_many(client: &mut Hs2Client, count: usize) -> Vec<TSessionHandle> {
    (0..count).map(|_| client.open(&[]).unwrap()).collect()
}

#[test]
fn forty_sessions_on_one_connection_land_ten_on_each_of_four() {
    for fleet in [Fleet::of(4), Fleet::secured(4)] {
        let mut client = fleet.hs2();
        let sessions = open_many(&mut client, 40);
        assert_eq!(fleet.spread(), [10; 4]);
        assert_eq!(fleet.loads().iter().map(|load| load.open_sessions).collect::<Vec<_>>(), [10; 4]);
        for session in &sessions {
            client.close_session(session).unwrap();
        }
        assert_eq!(fleet.spread(), [0; 4]);
        fleet.await_idle();
    }
}

#[test]
fn forty_connections_with_a_session_each_land_ten_on_each_of_four() {
    for fleet in [Fleet::of(4), Fleet::secured(4)] {
        let clients: Vec<_> = (0..40)
            .map(|_| {
                let mut client = fleet.hs2();
                client.open(&[]).unwrap();
                client
            })
            .collect();
        assert_eq!(fleet.spread(), [10; 4]);
        drop(clients);
    }
}

#[test]
fn fifty_opens_at_once_see_each_other() {
    let fleet = Fleet::of(4);
    // None is answered before all fifty are under way.
    for coordinator in fleet.coordinators() {
        coordinator.faults().exhaust_service_threads();
    }
    thread::scope(|scope| {
        let opened: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = fleet.hs2();
                    client.open(&[]).map(|_| client)
                })
            })
            .collect();
        let under_way = || fleet.loads().iter().map(|load| load.opens_in_progress).sum::<u32>() == 50;
        assert!(eventually(under_way), "{:?}", fleet.loads());
        for load in fleet.loads() {
            assert!((12..=13).contains(&load.opens_in_progress), "{:?}", fleet.loads());
        }
        for coordinator in fleet.coordinators() {
            coordinator.faults().free_service_threads();
        }
        let clients: Vec<_> = opened.into_iter().map(|opened| opened.join().unwrap().unwrap()).collect();
        assert!(fleet.spread().iter().all(|sessions| (12..=13).contains(sessions)), "{:?}", fleet.spread());
        assert_eq!(clients.len(), fleet.known().table.sessions());
    });
}

#[test]
fn a_client_that_only_logs_in_weighs_as_an_idle_session() {
    let fleet = Fleet::secured(4);
    let silent: Vec<_> = (0..8).map(|_| fleet.hs2()).collect();
    let mut client = fleet.hs2();
    open_many(&mut client, 40);
    let sessions = || fleet.loads().iter().map(|load| load.open_sessions).collect::<Vec<_>>();
    assert_eq!(sessions(), [12; 4]);
    assert_eq!(fleet.spread(), [10; 4]);
    drop(silent);
    assert!(eventually(|| sessions() == [10; 4]), "{:?}", fleet.loads());
}

#[test]
fn a_client_that_goes_on_with_a_session_of_another_connection_weighs_nothing() {
    let fleet = Fleet::secured(2);
    let mut owner = fleet.hs2();
    let session = owner.open(&[]).unwrap();
    let others: Vec<_> = (0..6)
        .map(|_| {
            let mut client = fleet.hs2();
            client.ping(&session).unwrap();
            client
        })
        .collect();
    assert_eq!(fleet.loads().iter().map(|load| load.open_sessions).sum::<u32>(), 1);
    drop(others);
}

#[test]
fn a_running_operation_weighs_more_than_an_idle_session() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let busy = client.open(&[]).unwrap();
    let place = fleet.owner(&busy);
    let operation = client.execute(&busy, "select sleep(60000)").unwrap();
    assert_eq!(fleet.loads()[place].running_operations, 1);
    // Ten idle sessions weigh as much as one that runs; the busy one has 1.1.
    for session in open_many(&mut client, 10) {
        assert_ne!(fleet.owner(&session), place, "{:?}", fleet.loads());
    }
    client.cancel(&operation).unwrap();
    assert_eq!(fleet.loads()[place].running_operations, 0);
    for session in open_many(&mut client, 9) {
        assert_eq!(fleet.owner(&session), place, "{:?}", fleet.loads());
    }
    client.close(&operation).unwrap();
}

#[test]
fn an_operation_weighs_until_its_rows_are_fetched_or_it_is_closed() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let place = fleet.owner(&session);
    let running = || fleet.loads()[place].running_operations;
    let fetched = client.execute(&session, "select * from rows(10)").unwrap();
    let closed = client.execute(&session, "select * from rows(10)").unwrap();
    let written = client.execute(&session, "insert into t select * from rows(10)").unwrap();
    let left = client.execute(&session, "select sleep(60000)").unwrap();
    assert_eq!(running(), 4);
    client.fetch(&fetched, 5).unwrap();
    assert_eq!(running(), 4, "rows remain");
    client.fetch(&fetched, 5).unwrap();
    assert_eq!(running(), 3, "no rows remain");
    client.close(&closed).unwrap();
    assert_eq!(running(), 2);
    client.status(&written).unwrap();
    assert_eq!(running(), 1, "it has no rows and is finished");
    client.status(&left).unwrap();
    assert_eq!(running(), 1, "it runs");
    client.close_session(&session).unwrap();
    assert_eq!(running(), 0);
    fleet.await_idle();
}

#[test]
fn a_closed_session_makes_room_for_the_next() {
    let fleet = Fleet::of(4);
    let mut client = fleet.hs2();
    let sessions = open_many(&mut client, 40);
    let (gone, kept): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|session| fleet.owner(session) == 2);
    for session in &gone {
        client.close_session(session).unwrap();
    }
    assert_eq!(fleet.spread(), [10, 10, 0, 10]);
    for session in open_many(&mut client, 10) {
        assert_eq!(fleet.owner(&session), 2);
    }
    assert_eq!(kept.len(), 30);
}

#[test]
fn a_coordinator_of_twice_the_weight_gets_twice_the_sessions() {
    let fleet = Fleet::with(Plan { keys: &["weight = 1", "weight = 2", "weight = 1"], ..Plan::default() });
    open_many(&mut fleet.hs2(), 40);
    assert_eq!(fleet.spread(), [10, 20, 10]);
}

#[test]
fn round_robin_goes_round_whatever_the_load() {
    let fleet = Fleet::with(Plan { coordinators: 4, cluster: "policy = \"round-robin\"", ..Plan::default() });
    let mut client = fleet.hs2();
    let first = client.open(&[]).unwrap();
    for _ in 0..5 {
        client.execute(&first, "select sleep(60000)").unwrap();
    }
    open_many(&mut client, 39);
    assert_eq!(fleet.spread(), [10; 4]);
}

#[test]
fn a_draining_coordinator_gets_no_new_session_and_keeps_its_own() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let sessions = fleet.session_on_each(&mut client);
    let mut old = (0..3).map(|_| fleet.beeswax()).collect::<Vec<_>>();
    let homes: Vec<_> =
        old.iter_mut().map(|client| client.query("select coordinator()").unwrap().concat()).collect();
    fleet.set_state(1, AdminState::Drain);
    for session in open_many(&mut fleet.hs2(), 10) {
        assert_ne!(fleet.owner(&session), 1);
    }
    assert_ne!(fleet.beeswax().query("select coordinator()").unwrap(), ["c2"]);
    // What is there goes on, from every connection.
    for client in [&mut client, &mut fleet.hs2()] {
        assert_eq!(client.query(&sessions[1], "select coordinator()").unwrap(), [["c2"]]);
    }
    for (client, home) in old.iter_mut().zip(&homes) {
        assert_eq!(client.query("select coordinator()").unwrap(), [home.as_str()]);
    }
    client.close_session(&sessions[1]).unwrap();
    fleet.set_state(1, AdminState::Active);
    assert_eq!(fleet.owner(&client.open(&[]).unwrap()), 1, "it has the least load now");
}

#[test]
fn a_cluster_that_drains_altogether_says_so() {
    let fleet = Fleet::with(Plan { keys: &["state = \"drain\""; 3], ..Plan::default() });
    let mut client = fleet.hs2();
    let (text, state) = refusal_and_state(client.open(&[]));
    assert!(text.contains("hs2router") && text.contains("draining"), "{text}");
    assert_eq!(state, "08004");
    // The connection is as good as before.
    fleet.set_state(2, AdminState::Active);
    assert_eq!(fleet.owner(&client.open(&[]).unwrap()), 2);
}

/// Makes a call as old clients did: no version word before it, which the router takes for something unknown
/// and relays. Returns the connection when it was answered.
fn opaque(fleet: &Fleet) -> TcpStream {
    let mut stream = TcpStream::connect(fleet.address(Door::Hs2)).unwrap();
    stream.write_all(b"\0\0\0\x08Whatever\x01\0\0\0\0\0").unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x80\x01\0\x03\0\0\0\x08Whatever", "the coordinator's own exception");
    stream
}

#[test]
fn beeswax_and_opaque_connections_count_as_sessions() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let beeswax: Vec<_> = (0..6)
        .map(|_| {
            let mut client = fleet.beeswax();
            client.service().get_default_configuration(false).unwrap();
            client
        })
        .collect();
    let unread: Vec<_> = (0..6).map(|_| opaque(&fleet)).collect();
    open_many(&mut client, 6);
    let sessions: Vec<_> = fleet.loads().iter().map(|load| load.open_sessions).collect();
    assert_eq!(sessions, [9, 9]);
    drop((beeswax, unread));
    let left = || fleet.loads().iter().map(|load| load.open_sessions).sum::<u32>() == 6;
    assert!(eventually(left), "{:?}", fleet.loads());
}

#[test]
fn nothing_is_counted_once_everything_is_closed() {
    for fleet in [Fleet::of(3), Fleet::secured(3)] {
        let (mut client, mut other) = (fleet.hs2(), fleet.hs2());
        for session in open_many(&mut client, 9) {
            client.query(&session, "select * from rows(3000)").unwrap();
            let cancelled = client.execute(&session, "select sleep(60000)").unwrap();
            other.cancel(&cancelled).unwrap();
            let failed = client.execute(&session, "fail('on purpose')").unwrap();
            assert!(client.fetch(&failed, 1).is_err());
            client.execute(&session, "select sleep(60000)").unwrap();
            other.close_session(&session).unwrap();
        }
        let mut beeswax = fleet.beeswax();
        beeswax.query("select 1").unwrap();
        beeswax.execute("select sleep(60000)", "").unwrap();
        drop(beeswax);
        drop(fleet.hs2());
        drop((client, other));
        fleet.await_idle();
        assert!(eventually(|| fleet.spread() == [0, 0, 0]), "{:?}", fleet.spread());
        assert_eq!(fleet.known().table.sessions(), 0);
    }
}
