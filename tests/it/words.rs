//! What a coordinator says of a session or operation that it does not have: understood in the words of each
//! version, and not where they are a user's.

use std::time::Duration;

use hs2router::fake::{Fault, Settings, Words};
use hs2router::idl::t_c_l_i_service::{TCloseOperationReq, TTCLIServiceSyncClient as _};

use crate::support::fleet::{Fleet, Plan, query_id, refusal};
use crate::support::message::{execute, of_handle};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::{Act, Script};
use crate::support::talk::Talk;

/// Coordinators that speak as Impala did before version 4.
fn older(coordinators: usize) -> Fleet {
    let settings =
        Settings { words: Words::Impala3, fetch_timeout: Duration::from_secs(2), ..Settings::default() };
    Fleet::with(Plan { coordinators, settings, ..Plan::default() })
}

#[test]
fn an_operation_that_an_older_coordinator_has_lost_runs_no_longer() {
    let fleet = older(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(600000)").unwrap();
    assert_eq!(fleet.loads()[0].running_operations, 1);
    fleet.coordinator(0).restart();
    let words = refusal(client.status(&operation));
    assert_eq!(words, format!("Invalid query handle: {}", query_id(&operation)));
    let coordinator = &fleet.known().cluster.coordinators()[0];
    assert_eq!((coordinator.load().running_operations, coordinator.open_operations()), (0, 0));
}

#[test]
fn an_operation_that_no_older_coordinator_has_is_asked_for_once() {
    let fleet = older(3);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let mut operation = client.execute(&session, "select 1").unwrap();
    operation.operation_id.guid.fill(9);
    for _ in 0..200 {
        assert!(refusal(client.status(&operation)).starts_with("Invalid query handle: "));
    }
    assert_eq!(fleet.calls("GetOperationStatus").len(), 200 + 3);
}

#[test]
fn a_close_that_an_older_coordinator_gets_twice_succeeds() {
    let fleet = older(1);
    let mut client = fleet.hs2();
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select 1").unwrap();
    fleet.coordinator(0).faults().once("CloseOperation", Fault::DropAfter);
    let closed = client.service().close_operation(TCloseOperationReq::new(operation)).unwrap();
    assert_eq!(closed.status.status_code.0, 0, "{closed:?}");
    assert_eq!(fleet.calls("CloseOperation").len(), 2);
}

/// Two coordinators that answer every statement so. A client is told so, and its session still goes to its
/// owner, from whichever connection.
#[track_caller]
fn is_the_statements_own(flavor: &str, words: &'static str) {
    let fails = || {
        Script::calls(move |call| match call.message.name.as_str() {
            "ExecuteStatement" => Act::Reply(call.message.failed(words)),
            _ => Act::Ordinary,
        })
    };
    let scripts = [fails(), fails()];
    let router = TestRouter::of(flavor, &scripts.each_ref().map(Script::address));
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    assert_eq!(client.call(&execute(&session, "select raise_error(…)")).error().1, words);
    let owner = usize::from(scripts[1].minted(&session));
    for number in 1..=6 {
        let mut other = Talk::connect(router.listener(0));
        other.call(&of_handle("GetInfo", &session));
        assert_eq!(scripts[owner].count("GetInfo"), number, "{flavor}: {words}");
    }
}

#[test]
fn a_statement_that_fails_in_the_words_of_another_server_ends_no_session() {
    for flavor in ["hive", "spark"] {
        is_the_statements_own(flavor, "Invalid session id: 1:2");
        is_the_statements_own(flavor, "Session does not exist!");
        is_the_statements_own(flavor, "Invalid OperationHandle: x");
    }
    is_the_statements_own("impala", "Invalid SessionHandle: SessionHandle [x]");
    is_the_statements_own("impala", "Session does not exist!");
}

#[test]
fn a_statement_that_fails_in_the_words_of_another_server_keeps_nobody_from_a_coordinator() {
    let words = "Server is being shut down: raised by a statement";
    let script = Script::calls(move |call| match call.message.name.as_str() {
        "ExecuteStatement" => Act::Reply(call.message.failed(words)),
        _ => Act::Ordinary,
    });
    let router = TestRouter::of("spark", &[script.address()]);
    let mut client = Talk::connect(router.listener(0));
    let session = client.open();
    assert_eq!(client.call(&execute(&session, "select raise_error(…)")).error().1, words);
    let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
    let standing = coordinator.standing(hs2router::ids::Service::Hs2, hs2router::clock::now());
    assert_eq!(standing, hs2router::cluster::Standing::Ready);
}

#[test]
fn a_session_that_hive_does_not_know_is_forgotten() {
    for (flavor, words) in
        [("hive", "Invalid SessionHandle: SessionHandle [x]"), ("spark", "Invalid SessionHandle [x]")]
    {
        let script = Script::calls(move |call| match call.message.name.as_str() {
            "ExecuteStatement" => Act::Reply(call.message.failed(words)),
            _ => Act::Ordinary,
        });
        let router = TestRouter::of(flavor, &[script.address()]);
        let mut client = Talk::connect(router.listener(0));
        let session = client.open();
        client.call(&execute(&session, "select 1"));
        let coordinator = &router.router().fleets()[0].cluster.coordinators()[0];
        assert!(eventually(|| coordinator.load().open_sessions == 0), "{flavor}");
    }
}
