//! Coordinators and routers that are drained, shut down or die under such connections.

use std::time::Duration;

use hs2router::cluster::{AdminState, Load};
use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::TSessionHandle;

use super::{by_ticket, plan};
use crate::support::fleet::{Fleet, Plan, refusal};
use crate::support::router::eventually;

fn with_session(fleet: &Fleet) -> (Hs2Client, TSessionHandle) {
    let mut client = by_ticket(fleet, "ann");
    let session = client.open(&[]).unwrap();
    (client, session)
}

#[test]
fn a_drained_coordinator_gets_no_more_of_them_and_those_it_has_go_on() {
    let fleet = Fleet::with(Plan { coordinators: 2, ..plan() });
    let (mut client, session) = with_session(&fleet);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    let place = fleet.owner(&session);
    fleet.set_state(place, AdminState::Drain);
    let others: Vec<_> = (0..4).map(|_| with_session(&fleet)).collect();
    assert!(others.iter().all(|(_, session)| fleet.owner(session) != place));
    let open = || fleet.known().cluster.coordinators()[place].open_operations();
    assert_eq!(open(), 1, "the drain waits for it");
    assert!(client.fetch(&operation, 1000).unwrap().0.is_some());
    client.close(&operation).unwrap();
    assert_eq!(open(), 0);
    client.ping(&session).unwrap();
    client.close_session(&session).unwrap();
    assert!(eventually(|| fleet.loads()[place] == Load::default()));
}

#[test]
fn at_the_deadline_of_a_drain_they_are_closed_if_operations_are_to_be_cancelled() {
    let fleet = Fleet::with(Plan { coordinators: 1, cluster: "drain_then = \"cancel\"", ..plan() });
    let (mut client, session) = with_session(&fleet);
    client.execute(&session, "select * from rows(10)").unwrap();
    let coordinator = fleet.known().cluster.coordinators().iter().next().cloned().unwrap();
    fleet.known().drain(&coordinator, Some(Duration::ZERO));
    fleet.router().await_metric("hs2router_connections_closed_total{cause=\"drained\"}", 1.0);
    assert!(client.ping(&session).is_err());
    assert!(fleet.calls("CancelOperation").is_empty(), "the router has no login for that");
    let failed = "hs2router_drained_operations_total{cluster=\"test\",coordinator=\"c1\",outcome=\"failed\"}";
    assert!(fleet.router().metric(failed).abs() < f64::EPSILON);
}

#[test]
fn an_answer_that_says_that_the_coordinator_shuts_down_is_seen() {
    let fleet = Fleet::with(Plan { coordinators: 2, ..plan() });
    let (mut client, session) = with_session(&fleet);
    let place = fleet.owner(&session);
    fleet.coordinator(place).faults().start_quiescing();
    let words = refusal(client.execute(&session, "select 1"));
    assert!(words.starts_with("Server is being shut down:"), "{words}");
    let others: Vec<_> = (0..4).map(|_| with_session(&fleet)).collect();
    assert!(others.iter().all(|(_, session)| fleet.owner(session) != place), "it is tried last");
}

#[test]
fn a_router_that_ends_waits_for_open_operations_and_then_ends_them_in_order() {
    for is_open in [false, true] {
        let fleet = Fleet::with(Plan { router: "drain_timeout = \"10s\"", ..plan() });
        let (mut client, session) = with_session(&fleet);
        let operation = is_open.then(|| client.execute(&session, "select * from rows(10)").unwrap());
        std::thread::scope(|scope| {
            let drained = scope.spawn(|| fleet.drain().0);
            if let Some(operation) = operation {
                // As long as it is open, the connection is there.
                for _ in 0..3 {
                    client.ping(&session).unwrap();
                }
                client.close(&operation).unwrap();
            }
            assert_eq!(drained.join().unwrap(), 0, "nothing was cut");
        });
        let mut stream = client.stream().try_clone().unwrap();
        let end = std::io::Read::read(&mut stream, &mut [0]);
        assert!(matches!(end, Ok(0)), "an orderly end, not {end:?}");
    }
}

#[test]
fn a_router_that_ends_waits_for_an_operation_that_is_closed_on_another_connection() {
    let fleet = Fleet::with(Plan { coordinators: 1, router: "drain_timeout = \"1m\"", ..plan() });
    let (mut client, session) = with_session(&fleet);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    let mut other = fleet.hs2_as("ann", "nna");
    let own = other.open(&[]).unwrap();
    let held = other.execute(&own, "select * from rows(10)").unwrap();
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| fleet.drain().0);
        other.close(&operation).unwrap();
        other.close(&held).unwrap();
        assert_eq!(drained.join().unwrap(), 0, "nothing was cut");
    });
}

#[test]
fn a_coordinator_that_dies_takes_its_connections_with_it_and_the_next_go_elsewhere() {
    let mut fleet = Fleet::with(Plan { coordinators: 2, ..plan() });
    let (mut client, session) = with_session(&fleet);
    let place = fleet.owner(&session);
    fleet.lose(place);
    assert!(client.ping(&session).is_err());
    for _ in 0..3 {
        let (mut client, session) = with_session(&fleet);
        client.ping(&session).unwrap();
    }
}
