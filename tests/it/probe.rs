//! Probes of a port, against a coordinator that remembers what it was asked.

use std::time::Duration;

use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::net::dial::Destination;
use hs2router::net::host::Resolver;
use hs2router::net::probe::{Login, Passed, Probe, ProbeError, ProbeSettings};
use hs2router::net::socket::SocketSettings;
use hs2router::net::stream::Sockets;
use tokio::net::TcpListener;

fn settings(allowed: Duration) -> ProbeSettings<Sockets> {
    let settings = SocketSettings { keepalive: Duration::from_mins(1), user_timeout: None };
    let network = Sockets { settings, resolver: Resolver::System };
    ProbeSettings { network, allowed }
}

fn probe(coordinator: &Coordinator) -> Probe<Sockets> {
    let destination = Destination { host: "127.0.0.1".into(), port: coordinator.hs2().port(), tls: None };
    Probe::new(destination, settings(Duration::from_secs(5)))
}

fn coordinator() -> Coordinator {
    Coordinator::start(Settings::default()).unwrap()
}

#[tokio::test]
async fn one_session_is_kept_for_all_probes() {
    let coordinator = coordinator();
    let mut probe = probe(&coordinator);
    assert_eq!(probe.run(Login::Unknown).await.unwrap(), Passed::Connected);
    assert!(coordinator.calls().is_empty(), "nothing is sent where a login might be wanted");
    assert_eq!(probe.run(Login::None).await.unwrap(), Passed::Opened);
    for _ in 0..3 {
        assert_eq!(probe.run(Login::None).await.unwrap(), Passed::Answered);
    }
    let methods: Vec<_> = coordinator.calls().into_iter().map(|call| call.method).collect();
    assert_eq!(methods, ["OpenSession", "GetInfo", "GetInfo", "GetInfo"]);
    probe.close().await;
    assert!(coordinator.open_sessions().is_empty());
}

#[tokio::test]
async fn a_kept_session_hears_of_a_shutdown() {
    let coordinator = coordinator();
    let mut probe = probe(&coordinator);
    probe.run(Login::None).await.unwrap();
    coordinator.faults().start_quiescing();
    assert_eq!(probe.run(Login::None).await.unwrap(), Passed::ShuttingDown);
}

#[tokio::test]
async fn a_session_that_is_gone_is_opened_again() {
    let coordinator = coordinator();
    let mut probe = probe(&coordinator);
    probe.run(Login::None).await.unwrap();
    coordinator.expire_sessions();
    assert_eq!(probe.run(Login::None).await.unwrap(), Passed::Answered, "it did answer");
    assert_eq!(probe.run(Login::None).await.unwrap(), Passed::Opened);
}

#[tokio::test]
async fn a_kept_session_that_is_not_answered_is_a_failure() {
    let coordinator = coordinator();
    let mut probe = probe(&coordinator);
    probe.run(Login::None).await.unwrap();
    coordinator.faults().once("GetInfo", Fault::DropBefore);
    let error = probe.run(Login::None).await.unwrap_err();
    assert!(matches!(error, ProbeError::Unanswered(_)) && error.is_remote(), "{error}");
    assert_eq!(probe.run(Login::None).await.unwrap(), Passed::Opened);
}

#[tokio::test]
async fn a_full_coordinator_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination =
        Destination { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), tls: None };
    let mut probe = Probe::new(destination, settings(Duration::from_millis(50)));
    assert_eq!(probe.run(Login::None).await.unwrap(), Passed::Connected);
}

#[tokio::test]
async fn a_port_without_a_listener_fails() {
    let coordinator = coordinator();
    let mut probe = probe(&coordinator);
    drop(coordinator);
    let error = probe.run(Login::Unknown).await.unwrap_err();
    assert!(matches!(error, ProbeError::Dial(_)) && error.is_remote(), "{error}");
}
