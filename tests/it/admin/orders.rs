//! Operators cancel an operation, close a session, and move one session or all of a coordinator.

use std::fmt::Display;

use hs2router::fake::client::{CallError, Hs2Client};
use hs2router::idl::beeswax::TBeeswaxServiceSyncClient as _;
use hs2router::idl::t_c_l_i_service::{TOperationHandle, TSessionHandle};
use serde_json::Value;

use super::{ALLOWED, ask, coordinators};
use crate::support::fleet::{Door, Fleet, Plan, USERS, query_id, refusal, session_id};
use crate::support::router::eventually;

/// Has the router do something below `/api/v1`: the status, and what it says.
fn order(fleet: &Fleet, path: impl Display) -> (u16, String) {
    let (status, said) = ask(fleet.router(), &format!("POST /api/v1/{path}"), ALLOWED);
    (status, said.trim_end().to_owned())
}

/// What it says when it does it.
#[track_caller]
fn done(fleet: &Fleet, path: impl Display) -> Value {
    let (status, said) = order(fleet, path);
    assert_eq!(status, 200, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// The rows of a list.
fn listed(fleet: &Fleet, list: &str) -> Vec<Value> {
    let (status, said) = ask(fleet.router(), &format!("GET /api/v1/{list}"), "");
    assert_eq!(status, 200, "{said}");
    serde_json::from_str::<Value>(&said).unwrap()[list].as_array().unwrap().clone()
}

fn owner_now(client: &mut Hs2Client, session: &TSessionHandle) -> String {
    client.query(session, "select coordinator()").unwrap().concat().concat()
}

/// Fetches until something other than "still executing" comes.
fn fetch(client: &mut Hs2Client, operation: &TOperationHandle) -> Result<(), CallError> {
    while client.fetch(operation, 10)?.0.is_none() {}
    Ok(())
}

#[test]
fn an_operation_is_cancelled_wherever_it_runs_and_its_client_hears_so() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { users, ..Plan::default() });
        let mut client = fleet.hs2();
        let sessions = fleet.session_on_each(&mut client);
        let run = |client: &mut Hs2Client, session| client.execute(session, "select sleep(600000)").unwrap();
        let operations: Vec<_> = sessions.iter().map(|session| run(&mut client, session)).collect();
        for (place, operation) in operations.iter().enumerate().skip(1) {
            let done = done(&fleet, format!("operations/{}/cancel", query_id(operation)));
            assert_eq!(done["coordinator"], format!("c{}", place + 1), "{done}");
            assert_eq!(
                (&done["outcome"], &done["operation"]),
                (&"cancelled".into(), &query_id(operation).to_string().into())
            );
            // A cancelled one is open until its client has heard of it.
            let owner = &fleet.known().cluster.coordinators()[place];
            assert_eq!((owner.load().running_operations, owner.open_operations()), (0, 1));
            let words = refusal(fetch(&mut client, operation));
            assert!(words.contains("Cancelled"), "{words}");
        }
        assert_eq!(fleet.calls("CancelOperation").len(), 2, "and no other");
        assert_eq!(fleet.loads()[0].running_operations, 1);
        client.close(&operations[0]).unwrap();
        let (status, said) = order(&fleet, format!("operations/{}/cancel", query_id(&operations[0])));
        assert_eq!((status, said.as_str()), (409, "it is not open any more"));
    }
}

#[test]
fn a_query_of_beeswax_is_cancelled_too() {
    let fleet = Fleet::with(Plan { users: &USERS, ..Plan::default() });
    let mut client = fleet.beeswax();
    let query = client.execute("select * from rows(10)", "ann").unwrap();
    done(&fleet, format!("operations/{}/cancel", query.id.clone().unwrap()));
    let thrown = format!("{:?}", client.service().fetch(query, false, 10).unwrap_err());
    assert!(thrown.contains("Cancelled"), "{thrown}");
}

#[test]
fn a_session_is_closed_with_its_operations_and_its_client_is_told_that_there_is_none() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { coordinators: 2, users, ..Plan::default() });
        let mut client = fleet.hs2();
        let (session, other) = (client.open(&[]).unwrap(), client.open(&[]).unwrap());
        client.execute(&session, "select sleep(600000)").unwrap();
        let owner = fleet.owner(&session);
        let done = done(&fleet, format!("sessions/{}/close", session_id(&session)));
        assert_eq!(
            (&done["outcome"], &done["coordinator"]),
            (&"closed".into(), &format!("c{}", owner + 1).into())
        );
        assert_eq!((fleet.loads()[owner].open_sessions, fleet.loads()[owner].running_operations), (0, 0));
        assert_eq!(fleet.spread().iter().sum::<usize>(), 1);
        let words = refusal(client.ping(&session));
        assert!(words.starts_with("Invalid session id"), "{words}");
        client.ping(&other).unwrap();
        let (status, said) = order(&fleet, format!("sessions/{}/close", session_id(&session)));
        assert_eq!((status, said.as_str()), (404, "there is no such session; hs2router sessions lists them"));
    }
}

#[test]
fn a_session_that_has_moved_is_closed_everywhere() {
    let fleet = Fleet::with(Plan { coordinators: 2, users: &USERS, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    done(&fleet, format!("sessions/{}/move", session_id(&session)));
    done(&fleet, format!("sessions/{}/close", session_id(&session)));
    assert_eq!(fleet.spread(), [0, 0]);
    assert!(refusal(client.ping(&session)).starts_with("Invalid session id"));
}

#[test]
fn what_ends_with_its_connection_is_not_closed_by_the_router() {
    let fleet = Fleet::of(1);
    let mut client = fleet.beeswax();
    let _query = client.execute("select 1", "ann").unwrap();
    let session = listed(&fleet, "sessions")[0]["session"].as_str().unwrap().to_owned();
    let (status, said) = order(&fleet, format!("sessions/{session}/close"));
    assert!(status == 409 && said.ends_with("it ends with its client's connection"), "{said}");
}

#[test]
fn a_session_moves_where_it_is_wanted_and_its_client_notices_nothing() {
    for users in [&[][..], &USERS] {
        let fleet = Fleet::with(Plan { users, ..Plan::default() });
        let mut client = fleet.hs2();
        let session = client.open(&[]).unwrap();
        client.query(&session, "set batch_size=7").unwrap();
        for _ in 0..2 {
            for to in ["c1", "c2", "c3"] {
                if owner_now(&mut client, &session) == to {
                    continue;
                }
                let done = done(&fleet, format!("sessions/{}/move?to={to}", session_id(&session)));
                assert_eq!((&done["outcome"], &done["coordinator"]), (&"moved".into(), &to.into()));
                assert_eq!(owner_now(&mut client, &session), to);
            }
        }
        let before = owner_now(&mut client, &session);
        let done = done(&fleet, format!("sessions/{}/move", session_id(&session)));
        assert_ne!(done["coordinator"], before);
        let (status, said) = order(
            &fleet,
            format!("sessions/{}/move?to={}", session_id(&session), done["coordinator"].as_str().unwrap()),
        );
        assert_eq!((status, said.as_str()), (409, "it is there already"));
    }
}

#[test]
fn a_session_that_must_stay_says_why() {
    let fleet = Fleet::with(Plan { coordinators: 2, users: &USERS, ..Plan::default() });
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let refused = |path: &str| order(&fleet, format!("sessions/{}/{path}", session_id(&session)));
    let operation = client.execute(&session, "select * from rows(10)").unwrap();
    assert_eq!(refused("move"), (409, "it stays: an operation is open".to_owned()));
    client.close(&operation).unwrap();
    assert_eq!(
        refused("move?to=c9"),
        (404, "its cluster has no coordinator \"c9\"; hs2router status lists them".to_owned())
    );
    let other = ["c2", "c1"][fleet.owner(&session)];
    assert_eq!(order(&fleet, format!("coordinators/{other}/drain")).0, 200);
    let (status, said) = refused(&format!("move?to={other}"));
    assert!(status == 409 && said.starts_with("it stays: no coordinator of cluster test"), "{said}");
    drop(client);
    assert!(eventually(|| listed(&fleet, "sessions").iter().all(|one| one["connections"] == 0)));
    assert_eq!(
        refused("move"),
        (409, "no connection uses it, and only its client's can open it elsewhere".to_owned())
    );
    let fixed = Fleet::with(Plan { cluster: "move_idle_sessions = false", ..Plan::default() });
    let session = fixed.hs2().open(&[]).unwrap();
    let (status, said) = order(&fixed, format!("sessions/{}/move", session_id(&session)));
    assert!(status == 409 && said.contains("move_idle_sessions is off"), "{said}");
}

#[test]
fn all_sessions_of_a_coordinator_move_that_can() {
    let fleet = Fleet::with(Plan { users: &USERS, http: true, ..Plan::default() });
    let mut clients = [fleet.hs2(), fleet.hs2_by(Door::Side), fleet.hs2_as("bob", "bbo")];
    let mut sessions = Vec::new();
    for client in &mut clients {
        sessions.push((0..6).map(|_| client.open(&[]).unwrap()).collect::<Vec<_>>());
    }
    let busy = sessions[0].iter().find(|session| fleet.owner(session) == 0).unwrap();
    let _operation = clients[0].execute(busy, "select * from rows(10)").unwrap();
    let on_first = fleet.loads()[0].open_sessions;
    assert!(on_first > 3, "{on_first}");
    let shown = done(&fleet, "coordinators/test/c1/move-all?to=c2");
    assert!(shown["ordered_to_move"].as_u64().unwrap() < on_first.into(), "{shown}");
    assert!(eventually(|| coordinators(fleet.router())[0]["ordered_to_move"] == 0));
    let loads = fleet.loads();
    assert_eq!(loads[0].open_sessions, 1, "{loads:?}");
    assert_eq!(loads.iter().map(|load| load.open_sessions).sum::<u32>(), 18);
    for (client, sessions) in clients.iter_mut().zip(&sessions) {
        for session in sessions {
            client.ping(session).unwrap();
        }
    }
    // The coordinator itself is as it was.
    assert_eq!(coordinators(fleet.router())[0]["state"], "active");
    let said = "sessions were moved by order of an operator";
    assert!(eventually(|| fleet.router().logs().text().contains(said)));
}
