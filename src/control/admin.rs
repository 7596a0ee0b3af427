//! The operators' own port, apart from the clients':
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /` | the operators' page, which shows what the API says |
//! | `GET /page/{file}` | what the page is made of |
//! | `GET /healthz` | 200 `ok`; 503 `draining` once the router was told to stop |
//! | `GET /readyz` | the same, and 503 `out of rotation` while operators want no new clients |
//! | `GET /metrics` | every metric in the `OpenMetrics` text format |
//! | `GET /api/v1/coordinators` | what is known of each coordinator, in JSON |
//! | `GET /api/v1/listeners` | where clients connect, and the certificates that they get, in JSON |
//! | `GET /api/v1/clusters` | which clusters are paused, and how coordinators are reached with TLS, in JSON |
//! | `GET /api/v1/sessions` | the sessions that are known, in JSON |
//! | `GET /api/v1/connections` | the clients' connections that are open, in JSON |
//! | `GET /api/v1/operations` | the operations that are open, in JSON |
//! | `GET /api/v1/waiting` | the clients that wait, in JSON |
//! | `GET /api/v1/events` | what happened last, in JSON |
//! | `GET /api/v1/history` | what has ended, and what operators had done, in JSON |
//! | `GET /api/v1/config` | the config that the router was started with, in JSON |
//! | `GET /api/v1/rotation` | whether new clients are wanted, in JSON |
//! | `GET /api/v1/log-level` | from which level on the log has events, in JSON |
//!
//! And whatever operators can have it do: [`Verb`]. A `{cluster}/` in a path may be left out where no other
//! cluster has something of that name.
//!
//! The page and requests below `/api` need a `Host` that is a loopback address; a verb also needs the header
//! `X-Hs2router: 1`, and its `Origin`, if it has one, must be that host. Otherwise the answer is 403.
//! `/healthz`, `/readyz` and `/metrics` accept any `Host`: load balancers and scrapers use names and tunnels of
//! their own, and none of these shows anybody's session.
//!
//! Other paths, and other methods, are answered with [`paths`].
//!
//! A connection serves one request within [`REQUEST_TIME`]; the head must arrive within [`HEAD_TIME`]. At
//! most [`MOST_CONNECTIONS`] connections have a request that is being read. Answers with metrics and answers
//! of the API and the page have their own, smaller limits. When a limit is reached, the oldest connection of that kind is
//! closed, so that silent clients and slow readers block neither health checks nor scrapers.

mod config;
mod coordinators;
mod guard;
mod json;
mod lists;
mod page;
mod places;
mod shown;
mod tls;
mod verbs;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::places::{Place, Places};
use self::verbs::Asker;
pub use self::view::{Listener, View};
use crate::clock;
use crate::control::verbs::Verb;
use crate::net::listen::{self, BindError};

/// How long a connection may last, from its acceptance to the last byte of its answer.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long the head of a request may take to arrive. It is short, so that silent connections are soon
/// closed.
pub const HEAD_TIME: Duration = Duration::from_secs(3);

/// How many connections may be open at a time while their request is read, or for health checks. The number
/// is large enough for a crowd that comes at once and is let in with pauses (`control/admin/places.rs`) to be
/// served within a second.
pub const MOST_CONNECTIONS: usize = 256;

/// How many answers with metrics may be sent at a time, and how many of the API and the page. They are long, so
/// their readers can be slow.
const MOST_ANSWERS: usize = 16;

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;

/// How long to wait after a failed accept. The usual cause is that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The media type of [`Metrics::render`](crate::metrics::Metrics::render)'s text (`OpenMetrics` 1.0, "Overall
/// Structure").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What can be read.
const READ: [&str; 17] = [
    "/",
    "/page/{file}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/coordinators",
    "/api/v1/listeners",
    "/api/v1/clusters",
    "/api/v1/sessions",
    "/api/v1/connections",
    "/api/v1/operations",
    "/api/v1/waiting",
    "/api/v1/events",
    "/api/v1/history",
    "/api/v1/config",
    "/api/v1/rotation",
    "/api/v1/log-level",
];

/// Methods and paths of the port.
pub fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    READ.into_iter().map(|path| ("GET", path)).chain(Verb::ALL.map(Verb::path))
}

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Another process, or a listener of this one, uses the port.
    #[error(
        "{address} is already in use: stop the process that listens there, or set --admin or [admin] address"
    )]
    InUse {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error(transparent)]
    Bind(BindError),
}

/// Binds the admin port.
///
/// # Errors
/// When the address is in use, or is not an address of this machine. Must be called within a runtime.
pub fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    listen::bind(address.into()).map_err(|error| match error {
        BindError::InUse { .. } => AdminError::InUse { address },
        other => AdminError::Bind(other),
    })
}

/// Serves the admin port until `end` is cancelled and the connections that are open then have finished, which
/// takes [`REQUEST_TIME`] at most.
pub async fn serve(listener: TcpListener, view: View, end: CancellationToken) {
    let desk = Arc::new(Desk::new(view));
    let connections = TaskTracker::new();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = end.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Without file descriptors this fails again and again; only the first failure is logged.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept on the admin port");
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failing = false;
        let evicted = CancellationToken::new();
        let place = tokio::select! {
            biased;
            () = end.cancelled() => break,
            place = desk.reading.take(&evicted) => place,
        };
        connections.spawn(Arc::clone(&desk).serve_one(stream, Asker(from), place, evicted));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// What all connections share.
struct Desk {
    service: TowerToHyperService<Router>,
    /// For connections whose request is being read, and for health checks, whose answers are short.
    reading: Arc<Places>,
    metrics: Arc<Places>,
    api: Arc<Places>,
}

impl Desk {
    fn new(view: View) -> Self {
        Self {
            service: TowerToHyperService::new(routes(view)),
            reading: Places::new(MOST_CONNECTIONS),
            metrics: Places::new(MOST_ANSWERS),
            api: Places::new(MOST_ANSWERS),
        }
    }

    /// The places for answers to this path; none if the connection keeps the place that it has.
    fn places_for(&self, path: &str) -> Option<&Arc<Places>> {
        match path {
            "/metrics" => Some(&self.metrics),
            "/" => Some(&self.api),
            path if path.starts_with("/api/") || path.starts_with("/page/") => Some(&self.api),
            _ => None,
        }
    }

    async fn serve_one(
        self: Arc<Self>,
        stream: TcpStream,
        from: Asker,
        place: Place,
        evicted: CancellationToken,
    ) {
        let mut builder = http1::Builder::new();
        builder
            .keep_alive(false)
            .max_buf_size(LARGEST_HEAD)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME);
        let place = Mutex::new(place);
        let answer = async |mut request: Request<Incoming>| {
            request.extensions_mut().insert(from);
            if let Some(places) = self.places_for(request.uri().path()) {
                let answering = places.take(&evicted).await;
                // This frees the place that the connection had while its request was read.
                *place.lock() = answering;
            }
            self.service.call(request).await
        };
        let served = builder.serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::select! {
            biased;
            // The timer covers a slow body and a slow reader.
            served = timeout(REQUEST_TIME, served) => match served {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "admin request failed"),
                Err(_) => tracing::debug!("admin request timed out"),
            },
            () = evicted.cancelled() => tracing::debug!("admin connection closed to make room for a newer one"),
        }
    }
}

fn routes(view: View) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(page::routes())
        .merge(coordinators::routes())
        .merge(verbs::routes())
        .merge(lists::routes())
        .merge(tls::routes())
        .merge(config::routes())
        .method_not_allowed_fallback(|| async {
            unknown(StatusCode::METHOD_NOT_ALLOWED, "this path does not allow this method")
        })
        .fallback(|| async { unknown(StatusCode::NOT_FOUND, "there is no such path") })
        .layer(map_response(guard::protect))
        .with_state(view)
}

/// The answer to an unknown path or method: a list of those that exist.
fn unknown(status: StatusCode, why: &'static str) -> (StatusCode, String) {
    let lines: Vec<String> = paths().map(|(method, path)| format!("{method} {path}\n")).collect();
    (status, format!("{why}; available are:\n{}", lines.concat()))
}

async fn healthz(State(view): State<View>) -> (StatusCode, &'static str) {
    if view.shared.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn readyz(State(view): State<View>) -> (StatusCode, String) {
    let readiness = view.readiness(clock::now());
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{}\n", readiness.readyz))
}

async fn metrics(State(view): State<View>) -> Response {
    match view.shared.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
