//! Coordinators are restarted one after the other under pooled clients that run short statements.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::cluster::Standing;
use hs2router::fake::Settings;
use hs2router::fake::client::{CallError, Hs2Client};
use hs2router::idl::t_c_l_i_service::TSessionHandle;
use hs2router::ids::Service;

use crate::support::fleet::{Fleet, Plan, USERS, refusal};
use crate::support::router::eventually;

const COORDINATORS: usize = 4;
const CLIENTS: usize = 40;

/// How a client's call failed, and how long it took to be told.
#[derive(Debug)]
struct Failure {
    error: CallError,
    took: Duration,
}

fn fleet() -> Fleet {
    let cluster = "slow_start = \"0s\"\nmove_cooldown = \"1s\"";
    Fleet::with(Plan { coordinators: COORDINATORS, watched: true, cluster, ..Plan::default() })
}

/// Ends the clients, also when an assertion fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn timed<T>(call: impl FnOnce() -> Result<T, CallError>) -> Result<T, Failure> {
    let begun: Instant = clock::now();
    call().map_err(|error| Failure { error, took: clock::now() - begun })
}

/// Runs a statement, a call after the other.
fn run(client: &mut Hs2Client, session: &TSessionHandle) -> Result<(), Failure> {
    let operation = timed(|| client.execute(session, "select 1"))?;
    timed(|| client.fetch(&operation, 8192))?;
    timed(|| client.close(&operation)).map(drop)
}

/// Clients with a session each run statements while something is done to the fleet; what failed, and how many
/// succeeded.
fn under_load(fleet: &mut Fleet, act: impl FnOnce(&mut Fleet)) -> (Vec<Failure>, usize) {
    let (over, done, failures) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| fleet.hs2()).collect();
    std::thread::scope(|scope| {
        for client in &mut clients {
            let (over, done, failures) = (&over, &done, &failures);
            scope.spawn(move || {
                let session = client.open(&[("mem_limit", "1g")]).unwrap();
                while !over.load(Ordering::SeqCst) {
                    match run(client, &session) {
                        Ok(()) => drop(done.fetch_add(1, Ordering::SeqCst)),
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                let options = client.query(&session, "set all").unwrap();
                assert!(options.iter().any(|row| row[..2] == ["MEM_LIMIT", "1g"]), "its options went along");
                client.close_session(&session).unwrap();
            });
        }
        let _over = Over(&over);
        assert!(eventually(|| done.load(Ordering::SeqCst) > CLIENTS));
        act(fleet);
        let so_far = done.load(Ordering::SeqCst);
        assert!(eventually(|| done.load(Ordering::SeqCst) > so_far + CLIENTS));
    });
    (failures.into_inner().unwrap(), done.into_inner())
}

fn await_ready(fleet: &Fleet, place: usize) {
    let ready = || {
        let one = &fleet.known().cluster.coordinators()[place];
        one.standing(Service::Hs2, clock::now()) == Standing::Ready
    };
    assert!(eventually(ready), "{place} did not come back");
}

/// Kills a coordinator and starts it again once the router has seen that it is gone: none starts within a
/// poll.
fn kill_and_start(fleet: &mut Fleet, place: usize) {
    fleet.lose(place);
    let one = std::sync::Arc::clone(&fleet.known().cluster.coordinators()[place]);
    assert!(eventually(|| one.standing(Service::Hs2, clock::now()) != Standing::Ready));
    fleet.revive(place);
    await_ready(fleet, place);
}

/// Whether the fullest coordinator has at most 1.2 times the mean.
fn is_even(fleet: &Fleet) -> bool {
    let sessions: Vec<u32> = fleet.loads().iter().map(|load| load.open_sessions).collect();
    let (most, all) = (sessions.iter().max().copied().unwrap(), sessions.iter().sum::<u32>());
    f64::from(most * u32::try_from(COORDINATORS).unwrap()) <= 1.2 * f64::from(all)
}

#[test]
fn a_rolling_graceful_restart_goes_unnoticed_and_leaves_the_load_even() {
    let mut fleet = fleet();
    let (failures, done) = under_load(&mut fleet, |fleet| {
        for place in 0..COORDINATORS {
            fleet.coordinator(place).faults().start_quiescing();
            // Impala goes when its grace period is over and no query is registered; idle sessions do not hold
            // it.
            assert!(eventually(|| fleet.loads()[place].open_sessions == 0));
            assert!(eventually(|| fleet.coordinator(place).open_operations() == 0));
            fleet.lose(place);
            fleet.revive(place);
            await_ready(fleet, place);
        }
        assert!(eventually(|| is_even(fleet)), "{:?}", fleet.loads());
    });
    assert!(failures.is_empty(), "{} of {done} failed: {:?}", failures.len(), failures.first());
}

#[test]
fn coordinators_that_are_killed_cost_the_calls_in_flight_and_nothing_else() {
    let mut fleet = fleet();
    let (failures, done) = under_load(&mut fleet, |fleet| {
        for place in 0..COORDINATORS {
            kill_and_start(fleet, place);
        }
    });
    // A statement is at most three calls, and each client may be in the middle of one at each kill.
    assert!(failures.len() <= CLIENTS * COORDINATORS, "{} of {done} failed", failures.len());
    for Failure { error, took } in failures {
        let typed = match &error {
            CallError::Refused { message, sql_state } => {
                let state = sql_state.as_deref().unwrap_or_default();
                // The operation of a coordinator that is back is no more known there.
                ["08S01", "08001"].contains(&state) || message.contains("Invalid or unknown query handle")
            }
            _ => false,
        };
        assert!(typed && took < Duration::from_secs(1), "after {took:?}: {error}");
    }
}

#[test]
fn an_idle_session_does_not_notice_a_kill() {
    let mut fleet = fleet();
    let mut clients: Vec<_> = (0..8).map(|_| fleet.hs2()).collect();
    let sessions: Vec<_> = clients.iter_mut().map(|client| client.open(&[]).unwrap()).collect();
    for place in 0..COORDINATORS {
        await_ready(&fleet, place);
        kill_and_start(&mut fleet, place);
        for (client, session) in clients.iter_mut().zip(&sessions) {
            client.query(session, "select 1").unwrap();
        }
    }
}

#[test]
fn sessions_go_back_to_a_coordinator_that_is_resumed() {
    let mut fleet = fleet();
    let (failures, _) = under_load(&mut fleet, |fleet| {
        fleet.set_state(0, hs2router::cluster::AdminState::Drain);
        assert!(eventually(|| fleet.loads()[0].open_sessions == 0));
        fleet.set_state(0, hs2router::cluster::AdminState::Active);
        assert!(eventually(|| is_even(fleet)), "{:?}", fleet.loads());
    });
    assert!(failures.is_empty(), "{:?}", failures.first());
}

#[test]
fn a_coordinator_that_is_back_at_once_is_another_one_also_if_it_does_not_tell_when_it_was_started() {
    for (watched, users) in [(false, &[][..]), (false, &USERS), (true, &[])] {
        let fleet = Fleet::with(Plan { coordinators: 2, users, watched, ..Plan::default() });
        let mut clients: Vec<_> = (0..6).map(|_| fleet.hs2()).collect();
        let sessions: Vec<_> =
            clients.iter_mut().map(|client| client.open(&[("mem_limit", "1g")]).unwrap()).collect();
        assert!(fleet.spread().iter().all(|sessions| *sessions > 0), "the restart meets sessions");
        fleet.coordinator(0).restart();
        for (client, session) in clients.iter_mut().zip(&sessions) {
            let options = client.query(session, "set all").unwrap();
            assert!(options.iter().any(|row| row[..2] == ["MEM_LIMIT", "1g"]), "its options went along");
        }
    }
}

#[test]
fn a_restart_is_seen_also_by_a_link_whose_client_has_left_in_the_middle_of_a_call() {
    let settings = Settings { fetch_timeout: Duration::from_mins(10), ..Settings::default() };
    let fleet = Fleet::with(Plan { coordinators: 2, settings, ..Plan::default() });
    let (mut client, mut leaving) = (fleet.hs2(), fleet.hs2());
    let session = fleet.session_on_each(&mut client).swap_remove(0);
    let its = fleet.session_on_each(&mut leaving).swap_remove(0);
    let operation = leaving.execute(&its, "select sleep(600000)").unwrap();
    fleet.reset_during_fetch(leaving, operation);
    let links = || {
        let (room, _) =
            fleet.known().room_of(&fleet.known().cluster.coordinators()[0], Service::Hs2).unwrap();
        room.links
    };
    assert_eq!(links(), 1);
    fleet.coordinator(0).restart();
    assert!(eventually(|| links() == 0));
    client.query(&session, "select 1").unwrap();
}

#[test]
fn what_a_coordinator_without_a_web_port_has_ended_is_not_revived_as_long_as_a_link_lives() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    // As an administrator would.
    let mut direct =
        Hs2Client::connect(fleet.coordinator(fleet.owner(&session)).hs2(), fleet.login()).unwrap();
    direct.close_session(&session).unwrap();
    for _ in 0..2 {
        assert!(refusal(client.execute(&session, "select 1")).starts_with("Invalid session id"));
    }
    assert_eq!((fleet.calls("OpenSession").len(), fleet.spread().iter().sum::<usize>()), (1, 0));
}
