//! Pages as coordinators write them, and as nobody should.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::net::host::Resolver;
use crate::net::socket::SocketSettings;
use crate::net::stream::Sockets;
use crate::net::tls::client::{ClusterTls, ClusterTlsSettings, Verify};

const SETTINGS: WebSettings<Sockets> = WebSettings {
    network: Sockets {
        settings: SocketSettings { keepalive: Duration::from_mins(1), user_timeout: None },
        resolver: Resolver::System,
    },
    allowed: Duration::from_secs(5),
};

/// A server that answers one request with these bytes and closes.
async fn answering(answer: Vec<u8>) -> Destination {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /"), "a whole request comes at once");
        // The client may leave early, having seen enough.
        drop(stream.write_all(&answer).await);
    });
    Destination { host: "127.0.0.1".into(), port, tls: None }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn the_named_metrics_are_read_and_others_ignored() {
    let body = r#"{"impala-server.num-open-hiveserver2-sessions":3,"impala-server.num-open-beeswax-sessions":2,
        "impala-server.num-queries-registered":7,"impala.thrift-server.beeswax-frontend.connections-in-use":1,
        "impala.thrift-server.hiveserver2-frontend.connections-in-use":4,"catalog.ready":true,"memory.rss":99,
        "impala.thrift-server.hiveserver2-frontend.connection-setup-queue-size":5,
        "process-start-time":"2026-11-22 10:00:00.000000"}"#;
    let destination = answering(answer("200 OK", body)).await;
    let metrics = impala_metrics(&destination, &SETTINGS).await.unwrap();
    let expected = ImpalaMetrics {
        sessions: Some(5),
        registered: Some(7),
        ports: PerService::new(|service| match service {
            Service::Hs2 => FrontendMetrics { in_use: 4, setup_queue: 5 },
            Service::Beeswax => FrontendMetrics { in_use: 1, setup_queue: 0 },
            Service::Hs2Http => FrontendMetrics::default(),
        }),
        catalog_ready: Some(true),
        process_start_time: Some("2026-11-22 10:00:00.000000".into()),
    };
    assert_eq!(metrics, expected);
}

#[tokio::test]
async fn a_page_of_something_else_has_no_figures() {
    let destination = answering(answer("200 OK", r#"{"catalog.ready":"yes"}"#)).await;
    assert_eq!(impala_metrics(&destination, &SETTINGS).await.unwrap(), ImpalaMetrics::default());
    let destination = answering(answer("200 OK", "<html>")).await;
    assert!(matches!(impala_metrics(&destination, &SETTINGS).await, Err(WebError::NotJson)));
    let destination = answering(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()).await;
    assert!(matches!(impala_metrics(&destination, &SETTINGS).await, Err(WebError::Http(_))));
}

#[tokio::test]
async fn quiescing_is_read_from_the_root_page() {
    let destination = answering(answer("200 OK", r#"{"is_quiescing":true}"#)).await;
    assert_eq!(is_quiescing(&destination, &SETTINGS).await.unwrap(), Some(true));
    let destination = answering(answer("200 OK", "{}")).await;
    assert_eq!(is_quiescing(&destination, &SETTINGS).await.unwrap(), None);
}

#[tokio::test]
async fn the_present_values_of_flags_are_read() {
    let body = r#"{"title":"Command-line Flags","flags":[{"name":"fe_service_threads","default":"64",
        "current":"128"},{"name":"odd"}]}"#;
    let destination = answering(answer("200 OK", body)).await;
    let flags = impala_flags(&destination, &SETTINGS).await.unwrap();
    assert_eq!((flags.get("fe_service_threads"), flags.get("odd")), (Some("128"), None));
}

#[tokio::test]
async fn another_status_is_told() {
    let destination = answering(answer("503 Service Unavailable", "Not Available")).await;
    let error = healthz(&destination, &SETTINGS).await.unwrap_err();
    assert!(matches!(error, WebError::Status(StatusCode::SERVICE_UNAVAILABLE)), "{error}");
    assert!(error.is_answer());
    let destination = answering(answer("200 OK", "OK")).await;
    healthz(&destination, &SETTINGS).await.unwrap();
}

#[tokio::test]
async fn a_web_port_without_tls_is_named_and_leaves_the_clients_ports_encrypted() {
    let nothing = ClusterTlsSettings { ca: None, pair: None, verify: Verify::Nothing };
    let cluster = Arc::new(ClusterTls::load(nothing).unwrap());
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let tls = Arc::new(cluster.for_coordinator("127.0.0.1", None).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _hello = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let destination = Destination { host: "127.0.0.1".into(), port, tls: Some(tls) };
        let said = healthz(&destination, &SETTINGS).await.unwrap_err().to_string();
        assert!(said.starts_with(&format!("the web port 127.0.0.1:{port}: it ")), "{said}");
        assert!(said.ends_with("; if it has no TLS, remove web = true from [cluster.tls]"), "{said}");
        assert!(!said.contains("tls = false"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let endless = answer("200 OK", &" ".repeat(LARGEST_BODY + 1));
    let destination = answering(endless).await;
    assert!(matches!(impala_metrics(&destination, &SETTINGS).await, Err(WebError::TooLarge)));
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(LARGEST_HEAD)).into_bytes();
    let destination = answering(long_head).await;
    assert!(matches!(impala_metrics(&destination, &SETTINGS).await, Err(WebError::Http(_))));
}

#[tokio::test]
async fn a_silent_port_costs_no_more_than_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination =
        Destination { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), tls: None };
    let allowed = Duration::from_millis(50);
    let settings = WebSettings { allowed, ..SETTINGS };
    let error = healthz(&destination, &settings).await.unwrap_err();
    assert!(matches!(error, WebError::TimedOut(after) if after == allowed), "{error}");
    assert!(!error.is_answer());
}
