//! What is learnt from calls that pass by.

use std::time::Duration;

use hs2router::cluster::Load;
use hs2router::fake::client::{BeeswaxClient, CallError, Hs2Client, Login};
use hs2router::idl::beeswax::TBeeswaxServiceSyncClient as _;
use hs2router::idl::t_c_l_i_service::TOperationHandle;
use hs2router::ids::Depth;

use super::{await_depth, by_ticket, plan};
use crate::support::fleet::{Door, Fleet, Plan, id, is_valid, refusal};
use crate::support::router::eventually;

/// The place where something is counted, if that is one place.
fn busy(fleet: &Fleet) -> usize {
    let loads = fleet.loads();
    let busy: Vec<_> = (0..loads.len()).filter(|&place| loads[place] != Load::default()).collect();
    assert_eq!(busy.len(), 1, "{loads:?}");
    busy[0]
}

fn open_operations(fleet: &Fleet, place: usize) -> u32 {
    fleet.known().cluster.coordinators()[place].open_operations()
}

fn fetch_all(client: &mut Hs2Client, operation: &TOperationHandle) -> Result<(), CallError> {
    while client.fetch(operation, 1000)?.1 {}
    Ok(())
}

#[test]
fn sessions_operations_and_running_work_are_counted_as_if_the_calls_were_forwarded() {
    let fleet = Fleet::with(plan());
    let mut client = by_ticket(&fleet, "ann");
    // A client that has logged in counts as the session that it is about to open.
    let place = busy(&fleet);
    let load = |fleet: &Fleet| fleet.loads()[place];
    assert_eq!((load(&fleet).open_sessions, load(&fleet).opens_in_progress), (1, 0));
    let session = client.open(&[]).unwrap();
    assert_eq!(fleet.owner(&session), place);
    let others = [client.open(&[]).unwrap(), client.open(&[]).unwrap()];
    assert_eq!(load(&fleet).open_sessions, 3);
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    assert_eq!((load(&fleet).running_operations, open_operations(&fleet, place)), (1, 1));
    fetch_all(&mut client, &operation).unwrap();
    assert_eq!((load(&fleet).running_operations, open_operations(&fleet, place)), (0, 1));
    client.close(&operation).unwrap();
    assert_eq!(open_operations(&fleet, place), 0);
    let failed = client.execute(&session, "fail('on purpose')").unwrap();
    assert!(fetch_all(&mut client, &failed).is_err());
    assert_eq!(load(&fleet).running_operations, 0);
    for session in others {
        client.close_session(&session).unwrap();
    }
    assert_eq!((load(&fleet).open_sessions, open_operations(&fleet, place)), (1, 1));
    client.close_session(&session).unwrap();
    fleet.await_idle();
    assert_eq!(open_operations(&fleet, place), 0);
    await_depth(fleet.router(), Depth::Observe, 1.0);
    let opened = format!(
        "hs2router_sessions_total{{cluster=\"test\",coordinator=\"c{}\",outcome=\"opened\"}}",
        place + 1
    );
    fleet.router().await_metric(&opened, 3.0);
    fleet.router().await_metric("hs2router_calls_total{method=\"OpenSession\",outcome=\"reply\"}", 3.0);
    fleet.router().await_metric("hs2router_calls_total{method=\"ExecuteStatement\",outcome=\"reply\"}", 2.0);
    fleet
        .router()
        .await_metric("hs2router_calls_total{method=\"FetchResults\",outcome=\"error_status\"}", 1.0);
    drop(client);
}

#[test]
fn connections_go_to_the_coordinator_with_the_least_load() {
    let fleet = Fleet::with(plan());
    let mut clients: Vec<_> = (0..6).map(|_| by_ticket(&fleet, "ann")).collect();
    let sessions: Vec<_> = clients.iter_mut().map(|client| client.open(&[]).unwrap()).collect();
    assert_eq!(fleet.spread(), [2, 2, 2]);
    // What runs on two of three sends the next one to the third.
    for (client, session) in clients.iter_mut().zip(&sessions) {
        if fleet.owner(session) != 1 {
            client.execute(session, "select * from rows(10)").unwrap();
        }
    }
    let mut next = by_ticket(&fleet, "bob");
    let session = next.open(&[]).unwrap();
    assert_eq!(fleet.owner(&session), 1);
}

#[test]
fn the_authorization_id_names_the_user_in_the_log() {
    let fleet = Fleet::with(plan());
    let mut client = by_ticket(&fleet, "ann@EXAMPLE.COM");
    client.open(&[]).unwrap();
    let is_named = || {
        let log = fleet.router().logs().text();
        log.lines().any(|line| line.contains("session opened") && line.contains("user=\"ann@EXAMPLE.COM\""))
    };
    assert!(eventually(is_named), "{}", fleet.router().logs().text());
}

#[test]
fn a_cancel_from_a_connection_of_another_kind_reaches_the_owner() {
    let fleet = Fleet::with(plan());
    let mut client = by_ticket(&fleet, "ann");
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(600000)").unwrap();
    let place = busy(&fleet);
    // impala-shell's Ctrl-C opens a session of its own first.
    let mut other = fleet.hs2_as("ann", "nna");
    other.open(&[]).unwrap();
    other.cancel(&operation).unwrap();
    assert!(fleet.calls("CancelOperation").iter().all(|(at, _)| *at == place));
    assert_eq!(fleet.loads()[place].running_operations, 0);
    assert!(refusal(client.fetch(&operation, 1)).contains("Cancelled"));
    // A fetch that fails ends the operation, as its coordinator tells whoever closes it.
    assert!(refusal(other.close(&operation)).contains("Invalid or unknown query handle"));
    assert_eq!(open_operations(&fleet, place), 0);
}

#[test]
fn who_came_to_another_coordinator_hears_its_words_and_the_owner_stays_known() {
    let fleet = Fleet::with(Plan { coordinators: 2, ..plan() });
    let (mut one, mut other) = (by_ticket(&fleet, "ann"), by_ticket(&fleet, "ann"));
    let session = one.open(&[]).unwrap();
    let operation = one.execute(&session, "select * from rows(10)").unwrap();
    assert!(refusal(other.execute(&session, "select 1")).starts_with("Invalid session id"));
    assert!(refusal(other.status(&operation)).contains("Invalid or unknown query handle"));
    assert!(refusal(other.cancel(&operation)).contains("Invalid or unknown query handle"));
    let place = fleet.owner(&session);
    assert_eq!((fleet.loads()[place].running_operations, open_operations(&fleet, place)), (1, 1));
    let mut by_password = fleet.hs2_as("ann", "nna");
    assert_eq!(by_password.query(&session, "select coordinator()").unwrap(), [[format!("c{}", place + 1)]]);
    assert!(fleet.calls("GetTables").is_empty());
}

#[test]
fn the_router_makes_no_calls_of_its_own_in_such_a_session() {
    let keys = "disconnected_session_timeout = \"300ms\"";
    let fleet = Fleet::with(Plan { coordinators: 1, cluster: keys, ..plan() });
    let mut client = by_ticket(&fleet, "ann");
    let session = client.open(&[]).unwrap();
    // One that the router does look after is touched meanwhile.
    let mut touched = fleet.hs2_as("ann", "nna");
    touched.open(&[]).unwrap();
    let before = fleet.coordinator(0).calls().len();
    assert!(eventually(|| fleet.coordinator(0).calls().len() > before), "nothing is touched");
    let id = Some(id(&session.session_id));
    let calls = fleet.coordinator(0).calls();
    assert!(calls.iter().all(|call| call.session != id || call.method == "OpenSession"), "{calls:?}");
    // Nor is it ever the router that closes it.
    drop(client);
    fleet.router().await_metric("hs2router_connections_closed_total{cause=\"client_closed\"}", 1.0);
    let (table, now) = (&fleet.known().table, hs2router::clock::now());
    assert_eq!(table.forget_detached(now), 0);
    let later = now + Duration::from_hours(1);
    assert!(table.to_reap(later, Duration::ZERO).is_empty());
    let guid = session.session_id.guid.try_into().unwrap();
    assert_eq!(table.to_touch(&guid, later, Duration::ZERO), None);
}

#[test]
fn a_session_outlives_its_connection_as_its_coordinator_says() {
    let fleet = Fleet::with(Plan { coordinators: 1, ..plan() });
    let mut client = by_ticket(&fleet, "ann");
    let session = client.open(&[]).unwrap();
    drop(client);
    let mut again = by_ticket(&fleet, "ann");
    is_valid(&mut again, &session).unwrap();
    drop(again);
    fleet.router().await_metric("hs2router_connections_closed_total{cause=\"client_closed\"}", 2.0);
    assert_eq!(fleet.loads()[0].open_sessions, 1);
    assert_eq!(fleet.forget_detached(), 1, "it is forgotten when its coordinator has closed it");
    fleet.await_idle();
}

#[test]
fn a_connection_of_beeswax_is_a_session() {
    let fleet = Fleet::with(plan());
    let mut client = BeeswaxClient::connect(fleet.address(Door::Beeswax), &Login::kerberos("ann")).unwrap();
    let query = client.execute("select * from rows(10)", "ann").unwrap();
    let place = busy(&fleet);
    let load = fleet.loads()[place];
    assert_eq!((load.open_sessions, load.running_operations, open_operations(&fleet, place)), (1, 1, 1));
    client.service().close(query).unwrap();
    assert_eq!((fleet.loads()[place].running_operations, open_operations(&fleet, place)), (0, 0));
    drop(client);
    fleet.await_idle();
}
