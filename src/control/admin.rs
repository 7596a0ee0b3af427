//! The operators' own port, apart from the clients':
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /healthz` | 200 `ok`; 503 `draining` once the router was told to stop |
//! | `GET /metrics` | every metric in the `OpenMetrics` text format |
//! | `GET /api/v1/coordinators` | what is known of each coordinator, in JSON |
//! | `POST /api/v1/coordinators/{cluster}/{name}/drain` | it gets no new session; the answer is as above, of this one |
//! | `POST /api/v1/coordinators/{cluster}/{name}/resume` | it does again |
//!
//! `{cluster}/` may be left out where no other cluster has a coordinator of that name.
//!
//! A drain may have a deadline of its own, `?deadline=30s` from now: what is open then goes on or is cancelled, as configured.
//!
//! What is below `/api` needs a `Host` that is a loopback address, and a POST the header `X-Hs2router: 1` and no `Origin` but
//! that host; else 403. `/healthz` and `/metrics` are there for any `Host`: load balancers and scrapers come by names and
//! tunnels of their own, and what they get tells of nobody's session.
//!
//! Other paths, and other methods, are answered with [`PATHS`].
//!
//! A connection serves one request and has [`REQUEST_TIME`] for it, of which [`HEAD_TIME`] for the head. It has a place among
//! [`MOST_CONNECTIONS`], and once its request is for the metrics or the API one among those that are answered so. When there
//! is none left, the oldest gives way: whoever holds a connection here without using it, or does not read an answer, keeps
//! neither a health check waiting nor a scraper.

mod coordinators;
mod guard;
mod places;
mod shown;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
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
pub use self::view::View;
use crate::net::listen::{self, BindError};

/// How long a connection may last, from its acceptance to the last byte of its answer.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long the head of a request may take to arrive: the places of silent connections are soon free again.
pub const HEAD_TIME: Duration = Duration::from_secs(3);

/// How many connections there may be at a time whose request is read, or is for the health check. So many that a crowd which
/// comes at once, and is let in with pauses (`control/admin/places.rs`), is through within a second.
pub const MOST_CONNECTIONS: usize = 256;

/// How many answers with metrics there may be at a time, and how many of the API: they are long enough for their reader to be
/// slow.
const MOST_ANSWERS: usize = 16;

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;

/// How long to wait after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The media type of [`Metrics::render`](crate::metrics::Metrics::render)'s text (`OpenMetrics` 1.0, "Overall Structure").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What there is.
pub const PATHS: [(&str, &str); 5] = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/coordinators"),
    ("POST", "/api/v1/coordinators/{cluster}/{name}/drain"),
    ("POST", "/api/v1/coordinators/{cluster}/{name}/resume"),
];

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Another process, or a listener of this one, has the port.
    #[error("{address} is already in use: stop what listens there, or set --admin or [admin] address")]
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
/// When the address is taken or not of this machine. Must be called within a runtime.
pub fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    listen::bind(address.into()).map_err(|error| match error {
        BindError::InUse { .. } => AdminError::InUse { address },
        other => AdminError::Bind(other),
    })
}

/// Serves the admin port until `end` is cancelled and the connections of that moment are finished, which takes
/// [`REQUEST_TIME`] at most.
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
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Without file descriptors this happens again and again: one line says it.
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
        connections.spawn(Arc::clone(&desk).serve_one(stream, place, evicted));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// What all connections share.
struct Desk {
    service: TowerToHyperService<Router>,
    /// For those whose request is read, and for health checks, whose answer is as good as sent when it is made.
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

    /// Among whom a request is answered; none if it stays where it was read.
    fn places_for(&self, path: &str) -> Option<&Arc<Places>> {
        match path {
            "/metrics" => Some(&self.metrics),
            path if path.starts_with("/api/") => Some(&self.api),
            _ => None,
        }
    }

    async fn serve_one(self: Arc<Self>, stream: TcpStream, place: Place, evicted: CancellationToken) {
        let mut builder = http1::Builder::new();
        builder
            .keep_alive(false)
            .max_buf_size(LARGEST_HEAD)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME);
        let place = Mutex::new(place);
        let answer = async |request: Request<Incoming>| {
            if let Some(places) = self.places_for(request.uri().path()) {
                let answering = places.take(&evicted).await;
                // The one where it was read is free from now on.
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
            () = evicted.cancelled() => tracing::debug!("admin connection gave its place to another"),
        }
    }
}

fn routes(view: View) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .merge(coordinators::routes())
        .method_not_allowed_fallback(|| async {
            unknown(StatusCode::METHOD_NOT_ALLOWED, "this path has another method")
        })
        .fallback(|| async { unknown(StatusCode::NOT_FOUND, "there is no such path") })
        .with_state(view)
}

/// An answer to who has lost the way.
fn unknown(status: StatusCode, why: &'static str) -> (StatusCode, String) {
    let lines = PATHS.map(|(method, path)| format!("{method} {path}\n")).concat();
    (status, format!("{why}; there are:\n{lines}"))
}

async fn healthz(State(view): State<View>) -> (StatusCode, &'static str) {
    if view.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn metrics(State(view): State<View>) -> Response {
    match view.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
