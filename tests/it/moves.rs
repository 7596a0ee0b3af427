//! Idle sessions leave a coordinator that goes away, with all that they are made of, and their clients notice
//! nothing.

use hs2router::cluster::AdminState;
use hs2router::fake::Fault;
use hs2router::fake::client::{Hs2Client, texts};
use hs2router::idl::impala_service::TGetRuntimeProfileReq;
use hs2router::idl::impala_service::TImpalaHiveServer2ServiceSyncClient as _;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};

use crate::support::fleet::{Fleet, Plan, USERS, id, refusal};
use crate::support::router::eventually;

mod pinned;
mod restart;

/// How Impala begins every refusal of new work.
const SHUTTING_DOWN: &str = "Server is being shut down:";

/// What a session is made of, as its coordinator sees it.
fn makings(client: &mut Hs2Client, session: &TSessionHandle) -> Vec<String> {
    let who = client.query(session, "select user(), effective_user(), current_database()").unwrap();
    let set = client.query(session, "set all").unwrap();
    let options =
        set.into_iter().filter(|row| ["MEM_LIMIT", "BATCH_SIZE", "REQUEST_POOL"].contains(&&*row[0]));
    who.into_iter().flatten().chain(options.map(|row| row[1].clone())).collect()
}

fn owner_now(client: &mut Hs2Client, session: &TSessionHandle) -> String {
    client.query(session, "select coordinator()").unwrap().concat().concat()
}

/// A session with options of every kind, on the first coordinator.
fn made_up(fleet: &Fleet, client: &mut Hs2Client) -> TSessionHandle {
    loop {
        let configuration =
            [("impala.doas.user", "carl"), ("set:hiveconf:mem_limit", "1g"), ("request_pool", "root.a")];
        let session = client.open(&configuration).unwrap();
        if fleet.owner(&session) != 0 {
            // Stays open, so that the next one goes elsewhere.
            continue;
        }
        for statement in ["set Batch_Size=7", "-- a comment\nset REQUEST_POOL=''", "use demo"] {
            client.query(&session, statement).unwrap();
        }
        return session;
    }
}

fn fleets(watched: bool) -> [Fleet; 2] {
    [&[][..], &USERS].map(|users| Fleet::with(Plan { users, watched, ..Plan::default() }))
}

/// Waits until the router counts no session on a coordinator.
#[track_caller]
fn await_left(fleet: &Fleet, place: usize) {
    assert!(eventually(|| fleet.loads()[place].open_sessions == 0), "{:?}", fleet.loads());
}

#[test]
fn a_session_leaves_a_draining_coordinator_by_itself_with_all_that_it_is_made_of() {
    for fleet in fleets(false) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        let before = makings(&mut client, &session);
        assert_eq!(before[1..], ["carl", "demo", "7", "1g", ""]);
        fleet.set_state(0, AdminState::Drain);
        await_left(&fleet, 0);
        assert_eq!(makings(&mut client, &session), before);
        assert_ne!(owner_now(&mut client, &session), "c1");
        // Changes of later go along as well.
        client.query(&session, "set batch_size=8").unwrap();
        let now =
            fleet.coordinators().position(|one| one.name() == owner_now(&mut client, &session)).unwrap();
        fleet.set_state(0, AdminState::Active);
        fleet.set_state(now, AdminState::Drain);
        await_left(&fleet, now);
        assert_eq!(makings(&mut client, &session)[3], "8");
        client.close_session(&session).unwrap();
        assert!(refusal(client.ping(&session)).starts_with("Invalid session id"));
    }
}

#[test]
fn a_session_leaves_before_the_call_that_its_coordinator_would_refuse() {
    for fleet in fleets(true) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        fleet.coordinator(0).faults().start_quiescing();
        await_left(&fleet, 0);
        assert_ne!(owner_now(&mut client, &session), "c1");
        let refused = fleet
            .calls("ExecuteStatement")
            .iter()
            .filter(|(place, call)| *place == 0 && call.session.is_none())
            .count();
        assert_eq!(refused, 0, "nothing was sent to be refused");
    }
}

#[test]
fn what_is_refused_because_of_a_shutdown_runs_once_elsewhere() {
    for fleet in fleets(false) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        let before = makings(&mut client, &session);
        fleet.coordinator(0).faults().start_quiescing();
        let ran = |fleet: &Fleet| {
            let calls = fleet.calls("ExecuteStatement");
            calls.into_iter().filter(|(_, call)| call.operation.is_some()).count()
        };
        let so_far = ran(&fleet);
        assert_ne!(owner_now(&mut client, &session), "c1");
        assert_eq!(ran(&fleet), so_far + 1);
        assert_eq!(makings(&mut client, &session), before);
    }
}

#[test]
fn get_info_and_metadata_calls_move_a_session_too() {
    for call in ["GetInfo", "GetTables"] {
        let fleet = Fleet::of(2);
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        fleet.coordinator(0).faults().start_quiescing();
        crate::support::fleet::metadata(&mut client, &session, call);
        assert_eq!(owner_now(&mut client, &session), "c2");
    }
}

#[test]
fn a_session_of_a_lost_coordinator_goes_on_elsewhere_with_its_next_call() {
    for mut fleet in fleets(false) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        let before = makings(&mut client, &session);
        fleet.lose(0);
        assert_eq!(makings(&mut client, &session), before);
        assert_ne!(owner_now(&mut client, &session), "c1");
        let series = "hs2router_session_moves_total{cluster=\"test\",coordinator=\"c1\",outcome=\"moved\"}";
        fleet.router().await_metric(series, 1.0);
    }
}

#[test]
fn a_session_of_a_coordinator_that_was_restarted_goes_on_with_its_next_call() {
    for mut fleet in fleets(true) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        let before = makings(&mut client, &session);
        // Polled once at least.
        assert!(eventually(|| fleet.known().cluster.coordinators()[0].figures().is_some()));
        fleet.lose(0);
        fleet.revive(0);
        assert_eq!(makings(&mut client, &session), before);
    }
}

#[test]
fn a_session_that_its_coordinator_has_ended_is_not_revived() {
    let fleet = Fleet::with(Plan { watched: true, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    assert!(eventually(|| fleet.known().cluster.coordinators()[0].figures().is_some()));
    // As an administrator would.
    let mut direct = Hs2Client::connect(fleet.coordinator(0).hs2(), fleet.login()).unwrap();
    direct.close_session(&session).unwrap();
    for _ in 0..2 {
        assert!(refusal(client.execute(&session, "select 1")).starts_with("Invalid session id"));
    }
    let session = made_up(&fleet, &mut client);
    fleet.coordinator(0).expire_sessions();
    assert!(refusal(client.execute(&session, "select 1")).starts_with("Client session expired"));
    assert_eq!(
        fleet.spread().iter().sum::<usize>(),
        fleet.calls("OpenSession").len() - 1,
        "nothing was opened again"
    );
}

#[test]
fn a_session_that_was_closed_is_not_found_where_it_was_before_it_moved() {
    for fleet in fleets(false) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        fleet.set_state(0, AdminState::Drain);
        await_left(&fleet, 0);
        fleet.set_state(0, AdminState::Active);
        fleet.coordinator(0).faults().always("CloseSession", Fault::DropBefore);
        client.close_session(&session).unwrap();
        assert!(fleet.coordinator(0).open_sessions().contains(&id(&session.session_id)), "what it left");
        for client in [&mut client, &mut fleet.hs2()] {
            assert!(refusal(client.execute(&session, "select 1")).starts_with("Invalid session id"));
        }
    }
}

#[test]
fn every_connection_of_a_session_follows_it() {
    for fleet in fleets(false) {
        let (mut client, mut other) = (fleet.hs2(), fleet.hs2());
        let session = made_up(&fleet, &mut client);
        other.ping(&session).unwrap();
        fleet.set_state(0, AdminState::Drain);
        await_left(&fleet, 0);
        let operation = client.execute(&session, "select coordinator()").unwrap();
        let (rows, _) = other.fetch(&operation, 10).unwrap();
        assert_ne!(texts(&rows.unwrap()), [["c1"]]);
        other.close(&operation).unwrap();
        drop(client);
        fleet.hs2().query(&session, "select 1").unwrap();
    }
}

#[test]
fn many_connections_use_a_session_while_it_moves() {
    let fleet = Fleet::of(3);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = fleet.hs2();
                for _ in 0..100 {
                    client.ping(&session).unwrap();
                }
            });
        }
        fleet.set_state(0, AdminState::Drain);
        await_left(&fleet, 0);
    });
    let opened = fleet.calls("OpenSession").iter().filter(|(place, _)| *place != 0).count();
    let others = fleet.spread()[1..].iter().sum::<usize>();
    assert_eq!(opened, others, "it was opened again once");
}

#[test]
fn nobody_comes_into_a_moved_session_without_its_secret_or_as_another_user() {
    let fleet = Fleet::secured(2);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    fleet.set_state(0, AdminState::Drain);
    await_left(&fleet, 0);
    let mut guessed = session.clone();
    guessed.session_id.secret[3] ^= 1;
    assert!(refusal(client.ping(&guessed)).starts_with("Invalid session id"));
    let mut bob = fleet.hs2_as("bob", "bbo");
    assert!(refusal(bob.ping(&session)).starts_with("Invalid session id"));
    // By what it is called now it is still nobody else's.
    client.ping(&session).unwrap();
    let there = fleet.coordinator(1).open_sessions();
    assert!(!there.contains(&id(&session.session_id)), "it has another name there");
}

fn profile(client: &mut Hs2Client, operation: &TOperationHandle, session: &TSessionHandle) -> String {
    let request = TGetRuntimeProfileReq::new(operation.clone(), session.clone(), None, None);
    let response = client.service().get_runtime_profile(request).unwrap();
    hs2router::fake::client::check(&response.status).unwrap();
    response.profile.unwrap_or_default()
}

#[test]
fn profiles_of_earlier_operations_still_come_from_the_coordinator_that_drains() {
    for fleet in fleets(false) {
        let mut client = fleet.hs2();
        let session = made_up(&fleet, &mut client);
        let run = |client: &mut Hs2Client| {
            let operation = client.execute(&session, "select 1").unwrap();
            client.close(&operation).unwrap();
            operation
        };
        let old = run(&mut client);
        fleet.set_state(0, AdminState::Drain);
        await_left(&fleet, 0);
        let new = run(&mut client);
        for (operation, there) in [(&old, true), (&new, false)] {
            let profile = profile(&mut client, operation, &session);
            assert_eq!(profile.contains("Coordinator: c1\n"), there, "{profile}");
        }
    }
}

#[test]
fn a_session_stays_where_moving_is_switched_off() {
    let plan = Plan { coordinators: 2, cluster: "move_idle_sessions = false", ..Plan::default() };
    let mut fleet = Fleet::with(plan);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    fleet.coordinator(0).faults().start_quiescing();
    assert!(refusal(client.execute(&session, "select 1")).starts_with(SHUTTING_DOWN));
    fleet.lose(0);
    assert!(refusal(client.ping(&session)).contains("coordinator c1 cannot be reached"));
}

#[test]
fn with_nowhere_to_go_a_session_stays_and_its_coordinator_speaks_for_itself() {
    let fleet = Fleet::with(Plan { coordinators: 2, watched: true, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    for coordinator in fleet.coordinators() {
        coordinator.faults().start_quiescing();
    }
    let known = &fleet.known().cluster.coordinators();
    assert!(eventually(|| known.iter().all(|one| one.quiescing_since().is_some())));
    assert!(refusal(client.execute(&session, "select 1")).starts_with(SHUTTING_DOWN));
    client.ping(&session).unwrap();
}
