//! A small HTTP client for the coordinators' web port: one request per connection, with bounds on everything,
//! and of the answers only the figures that are used.

mod sessions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::time::timeout;

pub use self::sessions::DelegatedUsers;
use super::dial::{Destination, DialError, dial};
use super::stream::{Network, Stream};
use super::tls::client::TlsFailure;
use super::tls::handshake::secure;
use crate::ids::{PerService, Service};

/// The largest head of an answer, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// The largest body of an answer, in bytes; the metrics of a busy impalad have about 200 KiB.
const LARGEST_BODY: usize = 4 << 20;

/// Why a page was not read.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The port could not be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It can be connected to, but not with TLS.
    #[error(
        "the web port {destination}: {failure}{}",
        .failure.if_no_tls("; if it has no TLS, remove web = true from [cluster.tls]")
    )]
    Tls {
        /// The port.
        destination: Destination,
        /// What happened.
        failure: TlsFailure,
    },
    /// There was no complete answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The exchange failed, or the answer was not HTTP.
    #[error("the exchange failed: {0}")]
    Http(#[from] hyper::Error),
    /// The status is not 200; it is 401 where the web port requires a login.
    #[error("status {0}")]
    Status(StatusCode),
    /// The answer is larger than any answer needs to be.
    #[error("the answer has more than {LARGEST_BODY} bytes")]
    TooLarge,
    /// The answer was cut short.
    #[error("the answer was cut short: {0}")]
    Body(String),
    /// The answer is not a JSON object.
    #[error("the answer is not a JSON object")]
    NotJson,
}

impl WebError {
    /// Whether there was any answer.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Status(_) | Self::TooLarge | Self::NotJson)
    }
}

/// How to ask a web port.
#[derive(Clone, Debug)]
pub struct WebSettings<N> {
    /// What opens connections.
    pub network: N,
    /// The time for name resolution, dial and answer together.
    pub allowed: Duration,
}

/// The used part of Impala's `/jsonmetrics?json` (metrics.json, common-metrics.cc). Figures that a version
/// does not have are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImpalaMetrics {
    /// `impala-server.num-open-hiveserver2-sessions` and `….num-open-beeswax-sessions` together.
    pub sessions: Option<u32>,
    /// `impala-server.num-queries-registered`.
    pub registered: Option<u32>,
    /// The client ports.
    pub ports: PerService<FrontendMetrics>,
    /// `catalog.ready`.
    pub catalog_ready: Option<bool>,
    /// `process-start-time`.
    pub process_start_time: Option<Arc<str>>,
}

/// The metrics of one client port; 0 if it is not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontendMetrics {
    /// `impala.thrift-server.….connections-in-use`: connections that own a service thread.
    pub in_use: u32,
    /// `impala.thrift-server.….connection-setup-queue-size`: connections that wait for one.
    pub setup_queue: u32,
}

/// The name of a client port in the metrics.
fn frontend(service: Service) -> &'static str {
    match service {
        Service::Hs2 => "hiveserver2-frontend",
        Service::Beeswax => "beeswax-frontend",
        Service::Hs2Http => "hiveserver2-http-frontend",
    }
}

impl ImpalaMetrics {
    fn read(page: &Map<String, Value>) -> Self {
        let number = |name: &str| {
            let number = page.get(name)?.as_u64()?;
            Some(u32::try_from(number).unwrap_or(u32::MAX))
        };
        let of_port = |service| {
            let read = |what: &str| {
                let name = format!("impala.thrift-server.{}.{what}", frontend(service));
                number(&name).unwrap_or(0)
            };
            FrontendMetrics {
                in_use: read("connections-in-use"),
                setup_queue: read("connection-setup-queue-size"),
            }
        };
        let hs2 = number("impala-server.num-open-hiveserver2-sessions");
        let beeswax = number("impala-server.num-open-beeswax-sessions").unwrap_or(0);
        Self {
            sessions: hs2.map(|hs2| hs2.saturating_add(beeswax)),
            registered: number("impala-server.num-queries-registered"),
            ports: PerService::new(of_port),
            catalog_ready: page.get("catalog.ready").and_then(Value::as_bool),
            process_start_time: page.get("process-start-time").and_then(Value::as_str).map(Arc::from),
        }
    }
}

/// Reads `/jsonmetrics?json`.
///
/// # Errors
/// When there is no complete answer in time, or it is not a page that can be read.
pub async fn impala_metrics<N: Network>(
    destination: &Destination,
    settings: &WebSettings<N>,
) -> Result<ImpalaMetrics, WebError> {
    Ok(ImpalaMetrics::read(&object(destination, "/jsonmetrics?json", settings).await?))
}

/// Reads `is_quiescing` from `/?json`, the only place where a coordinator shows its own graceful shutdown
/// (Impala: default-path-handlers.cc). `None` if the page does not have it.
///
/// # Errors
/// When there is no complete answer in time, or it is not a page that can be read.
pub async fn is_quiescing<N: Network>(
    destination: &Destination,
    settings: &WebSettings<N>,
) -> Result<Option<bool>, WebError> {
    let page = object(destination, "/?json", settings).await?;
    Ok(page.get("is_quiescing").and_then(Value::as_bool))
}

/// Reads `/sessions?json`: in whose name each session was opened by whoever connected (Impala:
/// impala-http-handler.cc `SessionsHandler`).
///
/// Impala writes the page under a lock that each call of a client needs, so it is not to be read often.
///
/// # Errors
/// When there is no complete answer in time, or it is not a page that can be read.
pub async fn delegated_users<N: Network>(
    destination: &Destination,
    settings: &WebSettings<N>,
) -> Result<DelegatedUsers, WebError> {
    Ok(DelegatedUsers::read(&object(destination, "/sessions?json", settings).await?))
}

/// Asks `/healthz`: 200 when all services have started and the statestore knows the coordinator, 503 before;
/// it stays 200 during a graceful shutdown (Impala: impala-http-handler.cc).
///
/// # Errors
/// When there is no complete answer in time; [`WebError::Status`] when its status is not 200.
pub async fn healthz<N: Network>(
    destination: &Destination,
    settings: &WebSettings<N>,
) -> Result<(), WebError> {
    page(destination, "/healthz", settings).await.map(drop)
}

/// The flags that a coordinator was started with, by name, as `/varz?json` has them (Impala:
/// `default-path-handlers.cc` `FlagsHandler`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImpalaFlags(BTreeMap<String, String>);

impl ImpalaFlags {
    /// The present value of a flag; `None` if the version does not have it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn read(page: &Map<String, Value>) -> Self {
        let flags = page.get("flags").and_then(Value::as_array).into_iter().flatten();
        let text = |flag: &Value, key: &str| flag.get(key).and_then(Value::as_str).map(str::to_owned);
        Self(flags.filter_map(|flag| Some((text(flag, "name")?, text(flag, "current")?))).collect())
    }
}

/// The flags of a coordinator.
///
/// # Errors
/// When the page cannot be read in time, or is not JSON.
pub async fn impala_flags<N: Network>(
    destination: &Destination,
    settings: &WebSettings<N>,
) -> Result<ImpalaFlags, WebError> {
    object(destination, "/varz?json", settings).await.map(|page| ImpalaFlags::read(&page))
}

async fn object<N: Network>(
    destination: &Destination,
    target: &str,
    settings: &WebSettings<N>,
) -> Result<Map<String, Value>, WebError> {
    let body = page(destination, target, settings).await?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(WebError::NotJson),
    }
}

/// The body of a page. Cancel-safe: a dropped request leaves nothing behind.
async fn page<N: Network>(
    destination: &Destination,
    target: &str,
    settings: &WebSettings<N>,
) -> Result<Bytes, WebError> {
    let allowed = settings.allowed;
    let answer = async {
        let stream = dial(&settings.network, destination, allowed).await?;
        let secured = secure(stream, destination.tls.as_deref()).await;
        let stream =
            secured.map_err(|failure| WebError::Tls { destination: destination.clone(), failure })?;
        exchange(stream, destination, target).await
    };
    timeout(allowed, answer).await.unwrap_or(Err(WebError::TimedOut(allowed)))
}

async fn exchange<S: Stream>(stream: S, destination: &Destination, target: &str) -> Result<Bytes, WebError> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(LARGEST_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let request = Request::get(target)
        .header(header::HOST, destination.to_string())
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, concat!("hs2router/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| WebError::Body(error.to_string()))?;
    let body = async {
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(WebError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST_BODY).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<LengthLimitError>() {
                WebError::TooLarge
            } else {
                WebError::Body(error.to_string())
            }
        })
    };
    // The connection is driven until the body is there; how it ends after that does not matter.
    tokio::pin!(body);
    tokio::select! {
        biased;
        body = &mut body => body,
        ended = connection => {
            ended?;
            body.await
        }
    }
}

#[cfg(test)]
mod tests;
