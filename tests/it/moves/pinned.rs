//! What keeps a session where it is.

use hs2router::cluster::AdminState;

use super::{SHUTTING_DOWN, await_left, made_up, owner_now};
use crate::support::fleet::{Fleet, Plan, refusal};
use crate::support::router::eventually;

fn counted_on_first(fleet: &Fleet) -> u32 {
    fleet.loads()[0].open_sessions
}

#[test]
fn an_open_operation_keeps_a_session_until_it_is_closed() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    fleet.set_state(0, AdminState::Drain);
    // Others go; this one has had its chance by then.
    assert!(eventually(|| counted_on_first(&fleet) == 1));
    assert_eq!(owner_now(&mut client, &session), "c1");
    assert!(client.fetch(&operation, 10).unwrap().0.is_some());
    client.close(&operation).unwrap();
    await_left(&fleet, 0);
    assert_eq!(owner_now(&mut client, &session), "c2");
}

#[test]
fn an_open_operation_keeps_a_session_on_a_coordinator_that_refuses_statements() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    fleet.coordinator(0).faults().start_quiescing();
    assert!(refusal(client.execute(&session, "select 1")).starts_with(SHUTTING_DOWN));
    assert!(client.fetch(&operation, 10).unwrap().0.is_some());
    client.close(&operation).unwrap();
    assert_eq!(owner_now(&mut client, &session), "c2");
}

#[test]
fn a_session_that_changed_data_stays_for_move_cooldown() {
    let plan = Plan { coordinators: 2, cluster: "move_cooldown = \"1h\"", ..Plan::default() };
    let mut fleet = Fleet::with(plan);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    client.query(&session, "create table t (i int)").unwrap();
    fleet.coordinator(0).faults().start_quiescing();
    assert!(refusal(client.execute(&session, "select 1")).starts_with(SHUTTING_DOWN));
    fleet.lose(0);
    assert_eq!(owner_now(&mut client, &session), "c2", "not if its coordinator is lost");
}

#[test]
fn a_session_whose_state_is_not_understood_is_not_opened_again() {
    let mut fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    // Succeeds, and means nothing to the router.
    client.query(&session, "sleep(0)").unwrap();
    fleet.coordinator(0).faults().start_quiescing();
    assert!(refusal(client.execute(&session, "select 1")).starts_with(SHUTTING_DOWN));
    fleet.lose(0);
    assert!(refusal(client.execute(&session, "select 1")).contains("coordinator c1 cannot be reached"));
}

#[test]
fn a_set_that_failed_changes_nothing() {
    let fleet = Fleet::of(2);
    let mut client = fleet.hs2();
    let session = made_up(&fleet, &mut client);
    let before = super::makings(&mut client, &session);
    refusal(client.execute(&session, "set no_such_option=1"));
    refusal(client.execute(&session, "use no_such_database"));
    refusal(client.execute(&session, "frobnicate"));
    fleet.set_state(0, AdminState::Drain);
    await_left(&fleet, 0);
    assert_eq!(super::makings(&mut client, &session), before);
}

#[test]
fn a_beeswax_session_stays() {
    let fleet = Fleet::of(2);
    let mut client = fleet.beeswax();
    let home = client.query("select coordinator()").unwrap().concat();
    let place = fleet.coordinators().position(|one| one.name() == home).unwrap();
    fleet.set_state(place, AdminState::Drain);
    let mut hs2 = fleet.hs2();
    let _elsewhere = hs2.open(&[]).unwrap();
    assert_eq!(client.query("select coordinator()").unwrap().concat(), home);
}
