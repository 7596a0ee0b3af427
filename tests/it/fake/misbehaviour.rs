//! What a coordinator does when it is told to misbehave.

use std::io::Read;

use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::idl::beeswax::TBeeswaxServiceSyncClient;
use hs2router::idl::t_c_l_i_service::{TOpenSessionReq, TProtocolVersion, TTCLIServiceSyncClient};

use super::behaviour::page;
use super::*;

/// A call fails because the connection ended.
fn ended<T>(result: &Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::Thrift(thrift::Error::Transport(_))))
}

#[test]
fn a_drop_before_execution_leaves_nothing_behind() {
    let coordinator = open();
    coordinator.faults().once("OpenSession", Fault::DropBefore);
    assert!(ended(&hs2(&coordinator).open(&[])));
    assert!(coordinator.open_sessions().is_empty());
    let calls = coordinator.calls();
    assert_eq!((calls.len(), calls[0].executed), (1, false));
    hs2(&coordinator).open(&[]).unwrap();
}

#[test]
fn a_drop_after_execution_leaves_what_was_done() {
    let coordinator = open();
    coordinator.faults().once("OpenSession", Fault::DropAfter);
    assert!(ended(&hs2(&coordinator).open(&[])));
    assert_eq!(coordinator.open_sessions().len(), 1);
    assert!(coordinator.calls()[0].executed);
}

#[test]
fn a_reply_can_be_cut_delayed_slowed_and_garbled() {
    let coordinator = open();
    let faults = coordinator.faults();
    faults.once("OpenSession", Fault::CutReply(30));
    assert!(ended(&hs2(&coordinator).open(&[])));
    faults.once("OpenSession", Fault::Garbage);
    assert!(hs2(&coordinator).open(&[]).is_err());
    for fault in [
        Fault::Delay(Duration::from_millis(5)),
        Fault::DelayReply(Duration::from_millis(5)),
        Fault::SlowReply(1000, Duration::from_millis(1)),
    ] {
        faults.once("OpenSession", fault);
        hs2(&coordinator).open(&[]).unwrap();
    }
}

#[test]
fn a_half_closed_connection_ends_after_its_reply() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    coordinator.faults().once("OpenSession", Fault::HalfClose);
    client.open(&[]).unwrap();
    assert_eq!(client.stream().read(&mut [0]).unwrap(), 0);
    assert_eq!(coordinator.connections(), 1, "it still reads");
}

#[test]
fn slow_reading_delays_calls_and_breaks_none() {
    let coordinator = open();
    coordinator.faults().read_slowly(Some(Duration::from_micros(100)));
    hs2(&coordinator).open(&[]).unwrap();
}

#[test]
fn a_quiescing_coordinator_refuses_exactly_the_new_work() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select * from rows(3)").unwrap();
    let mut old = beeswax(&coordinator);
    let handle = old.execute("select 1", "").unwrap();
    coordinator.faults().start_quiescing();

    let text = refusal(client.execute(&session, "select 1"));
    assert!(text.starts_with("Server is being shut down: shutdown grace period left: "), "{text}");
    assert!(text.contains("queries registered on coordinator: 2"), "{text}");
    let request = TOpenSessionReq::new(TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6, None, None, None);
    let response = client.service().open_session(request).unwrap();
    assert!(response.session_handle.is_none());
    assert_eq!(response.server_protocol_version, TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V10);
    assert!(old.execute("select 1", "").is_err());

    client.ping(&session).unwrap();
    client.fetch(&operation, 10).unwrap();
    client.close(&operation).unwrap();
    client.close_session(&session).unwrap();
    old.service().fetch(handle, false, 10).unwrap();

    assert!(page(&coordinator, "/?json").contains("\"is_quiescing\":true"));
    assert!(page(&coordinator, "/healthz").starts_with("HTTP/1.1 200 "), "health stays as it was");
    coordinator.faults().stop_quiescing();
    hs2(&coordinator).open(&[]).unwrap();
}

#[test]
fn without_service_threads_connections_are_accepted_and_then_silent() {
    let coordinator = open();
    let mut served = hs2(&coordinator);
    served.open(&[]).unwrap();
    coordinator.faults().exhaust_service_threads();
    let mut waiting = hs2(&coordinator);
    let opened = std::thread::spawn(move || waiting.open(&[]).map(drop));
    eventually("the new connection is accepted", || coordinator.connections() == 2);
    served.open(&[]).unwrap();
    assert_eq!(coordinator.calls().len(), 2, "only the served connection was heard");
    coordinator.faults().free_service_threads();
    opened.join().unwrap().unwrap();
}

#[test]
fn a_connection_past_the_service_threads_waits_for_one_of_them_to_end() {
    let coordinator = Coordinator::start(Settings { service_threads: 1, ..Settings::default() }).unwrap();
    let mut first = hs2(&coordinator);
    first.open(&[]).unwrap();
    let mut second = hs2(&coordinator);
    let opened = std::thread::spawn(move || second.open(&[]).map(drop));
    eventually("the second connection is accepted", || coordinator.connections() == 2);
    first.open(&[]).unwrap();
    assert_eq!(coordinator.open_sessions().len(), 2);
    drop(first);
    opened.join().unwrap().unwrap();
}

#[test]
fn a_connection_that_never_gets_a_service_thread_is_closed_at_last() {
    let setup_timeout = Duration::from_millis(30);
    let coordinator =
        Coordinator::start(Settings { service_threads: 0, setup_timeout, ..Settings::default() }).unwrap();
    assert!(ended(&hs2(&coordinator).open(&[])));
}

#[test]
fn a_restart_cuts_connections_and_forgets_sessions() {
    let coordinator = open();
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    let operation = client.execute(&session, "select sleep(60000)").unwrap();
    let waiting = std::thread::spawn(move || client.fetch(&operation, 1).map(drop));
    eventually("the fetch arrives", || coordinator.calls().iter().any(|call| call.method == "FetchResults"));
    coordinator.restart();
    assert!(waiting.join().unwrap().is_err());
    assert!(coordinator.open_sessions().is_empty());
    let mut client = hs2(&coordinator);
    assert!(refusal(client.ping(&session)).starts_with("Invalid session id: "));
}

#[test]
fn a_stopped_coordinator_frees_its_ports_and_a_taken_port_is_named() {
    let coordinator = open();
    let hs2_port = coordinator.hs2().port();
    let again = Settings { hs2_port, ..Settings::default() };
    let error = Coordinator::start(again.clone()).unwrap_err();
    assert!(error.to_string().contains(&coordinator.hs2().to_string()), "{error}");
    let mut client = hs2(&coordinator);
    let session = client.open(&[]).unwrap();
    client.execute(&session, "select sleep(60000)").unwrap();
    coordinator.faults().always("GetInfo", Fault::Delay(Duration::from_hours(1)));
    drop(coordinator);
    assert!(ended(&client.ping(&session)));
    let coordinator = Coordinator::start(again).unwrap();
    let mut client = hs2(&coordinator);
    assert!(refusal(client.ping(&session)).starts_with("Invalid session id: "));
}
