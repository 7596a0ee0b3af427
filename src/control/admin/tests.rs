//! The admin port over real sockets. Each test that waits for a deadline does so on the paused clock, which
//! jumps ahead when there is nothing else to do.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::control::history::History;
use crate::control::log::Log;
use crate::metrics::{CloseCause, Metrics};
use crate::net::host::Resolver;
use crate::net::socket::SocketSettings;
use crate::net::stream::Sockets;
use crate::serve::settings::Settings;
use crate::serve::shared::Shared;

/// Nothing here uses the data path.
const DATA_PATH: Settings = Settings {
    detect_timeout: REQUEST_TIME,
    handshake_timeout: REQUEST_TIME,
    connect_timeout: REQUEST_TIME,
    open_timeout: REQUEST_TIME,
    stall_timeout: REQUEST_TIME,
    replay_limit: 1,
    replay_memory: 1,
};

struct Admin {
    address: SocketAddr,
    view: View,
    end: CancellationToken,
    task: JoinHandle<()>,
}

fn admin() -> Admin {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let sockets = SocketSettings { keepalive: REQUEST_TIME, user_timeout: None };
    let network = Sockets { settings: sockets, resolver: Resolver::System };
    let metrics = Arc::new(Metrics::new());
    let history = History::unkept(&metrics);
    let shared = Arc::new(Shared::new(DATA_PATH, network, metrics));
    let (fleets, listeners) = (Vec::new(), Vec::new());
    let (readings, log, rotation, config) = (Arc::default(), Log::default(), Arc::default(), Arc::default());
    let view = View { shared, rotation, fleets, listeners, readings, log, history, config };
    let end = CancellationToken::new();
    let task = tokio::spawn(serve(listener, view.clone(), end.clone()));
    Admin { address, view, end, task }
}

/// Everything that comes back until the connection is closed.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end =
        timeout(REQUEST_TIME * 4, stream.read_to_end(&mut answer)).await.expect("an end within the deadline");
    // A reset ends the answer as well as a FIN.
    drop(end);
    String::from_utf8(answer).unwrap()
}

async fn get_path(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
}

#[tokio::test]
async fn health_is_ok_until_the_router_drains() {
    let admin = admin();
    let healthy = get_path(admin.address, "/healthz").await;
    assert!(healthy.starts_with("HTTP/1.1 200 ") && healthy.ends_with("\r\n\r\nok\n"), "{healthy}");
    admin.view.shared.draining.cancel();
    let draining = get_path(admin.address, "/healthz").await;
    assert!(draining.starts_with("HTTP/1.1 503 ") && draining.ends_with("\r\n\r\ndraining\n"), "{draining}");
}

#[tokio::test]
async fn a_router_is_ready_unless_it_is_out_of_rotation_or_drains() {
    let admin = admin();
    let ready = async || {
        let (ready, healthy) =
            (get_path(admin.address, "/readyz").await, get_path(admin.address, "/healthz").await);
        let end = ready.split("\r\n\r\n").nth(1).unwrap().trim_end().to_owned();
        (ready[9..12].to_owned() + " " + &end, healthy[9..12].to_owned())
    };
    let ask = async |method: &str| {
        let head = "Host: localhost\r\nX-Hs2router: 1\r\nContent-Length: 0\r\n\r\n";
        exchange(admin.address, &format!("{method} /api/v1/rotation HTTP/1.1\r\n{head}")).await
    };
    let is = |ready: &str, healthy: &str| (ready.to_owned(), healthy.to_owned());
    assert_eq!(ready().await, is("200 ok", "200"));
    for _again in 0..2 {
        assert!(ask("DELETE").await.contains("\"readyz\":\"out of rotation\""));
        assert_eq!(ready().await, is("503 out of rotation", "200"));
    }
    assert!(ask("PUT").await.contains("{\"rotation\":\"in\",\"out_for\":null,\"readyz\":\"ok\"}"));
    assert_eq!(ready().await, is("200 ok", "200"));
    assert!(ask("DELETE").await.starts_with("HTTP/1.1 200 "));
    admin.view.shared.draining.cancel();
    assert_eq!(ready().await, is("503 draining", "503"));
}

#[tokio::test]
async fn metrics_are_exposed_as_open_metrics() {
    let admin = admin();
    admin.view.shared.metrics.connections_closed.count(CloseCause::BadThrift);
    let answer = get_path(admin.address, "/metrics").await;
    assert!(answer.contains(&format!("content-type: {OPEN_METRICS}\r\n")), "{answer}");
    assert!(answer.contains("hs2router_connections_closed_total{cause=\"bad_thrift\"} 1\n"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let admin = admin();
    let all = paths().map(|(method, path)| format!("{method} {path}\n")).collect::<Vec<_>>().concat();
    let lost = get_path(admin.address, "/nowhere").await;
    assert!(lost.starts_with("HTTP/1.1 404 ") && lost.ends_with(&all), "{lost}");
    for path in
        ["/", "/page/page.js", "/metrics", "/api/v1/coordinators", "/api/v1/listeners", "/api/v1/clusters"]
    {
        let post = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        let not_so = exchange(admin.address, &post).await;
        assert!(not_so.starts_with("HTTP/1.1 405 ") && not_so.ends_with(&all), "{not_so}");
        assert!(not_so.contains("allow: GET,HEAD\r\n"), "{not_so}");
    }
    assert!(exchange(admin.address, "\u{16}\u{3}\u{1} nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(LARGEST_HEAD));
    assert!(exchange(admin.address, &endless).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_name_that_was_pointed_here_reads_nothing_of_the_page_and_the_api() {
    let admin = admin();
    let answer = async |path: &str, host: &str| {
        let answer = exchange(admin.address, &format!("GET {path} HTTP/1.1\r\n{host}\r\n")).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let (foreign, own) = ("Host: evil.example:25025\r\n", "Host: localhost\r\n");
    for path in ["/", "/page/page.js", "/api/v1/coordinators"] {
        assert_eq!(answer(path, own).await, "200");
        assert_eq!(answer(path, foreign).await, "403");
        assert_eq!(answer(path, "X: no host\r\n").await, "403");
    }
    for path in ["/healthz", "/metrics"] {
        assert_eq!(answer(path, foreign).await, "200", "scrapers and load balancers have names of their own");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_request_is_cut() {
    let admin = admin();
    let start = clock::now();
    assert_eq!(exchange(admin.address, "GET /metrics HTT").await, "");
    let body = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf";
    assert!(exchange(admin.address, body).await.starts_with("HTTP/1.1 200 "));
    assert!(start + HEAD_TIME <= clock::now());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_past_the_bound_do_not_lock_the_operator_out() {
    let admin = admin();
    let start = clock::now();
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS + 8 {
        idle.push(TcpStream::connect(admin.address).await.unwrap());
    }
    assert!(get_path(admin.address, "/healthz").await.ends_with("ok\n"));
    assert!(clock::now() - start < REQUEST_TIME, "silence is not given the time of a request");
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_requests_but_not_for_ever() {
    let admin = admin();
    let mut slow = TcpStream::connect(admin.address).await.unwrap();
    slow.write_all(b"GET ").await.unwrap();
    assert!(get_path(admin.address, "/healthz").await.ends_with("ok\n"));
    admin.end.cancel();
    admin.task.await.unwrap();
    assert!(TcpStream::connect(admin.address).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let admin = admin();
    let error = bind(admin.address).unwrap_err();
    let remedy = "stop the process that listens there, or set --admin or [admin] address";
    assert_eq!(error.to_string(), format!("{} is already in use: {remedy}", admin.address));
}
