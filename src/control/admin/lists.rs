//! Sessions, connections, operations, waiting clients and events for operators: lists that are too long to be shown in full.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::guard;
use super::json::json;
use super::view::View;
use crate::clock;
use crate::control::view::{Ask, Connections, Events, MOST_ROWS, Operations, Order, Sessions, Waiting};
use crate::wire::http::form;

/// The rows in an answer, if nothing is asked for.
const USUAL_ROWS: usize = 1000;

/// The longest filter, in bytes.
const LONGEST_FILTER: usize = 256;

/// Why the parameters of a request are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadQuery {
    #[error("the parameters are limit, filter and, for sessions, sort, each given once at most")]
    Unknown,
    #[error("limit must be a number from 0 to {MOST_ROWS}")]
    Limit,
    #[error("filter must be text of {LONGEST_FILTER} bytes at most")]
    Filter,
    #[error("sort must be age, idle or open_operations")]
    Sort,
}

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    // One look at a time, so that those of many readers do not need much memory together.
    let turn = Arc::new(Semaphore::new(1));
    let [second, third, fourth, fifth] = [(); 4].map(|()| Arc::clone(&turn));
    Router::new()
        .route("/api/v1/sessions", get(|view, query| sessions(view, query, turn)))
        .route("/api/v1/connections", get(|view, query| connections(view, query, fifth)))
        .route("/api/v1/operations", get(|view, query| operations(view, query, second)))
        .route("/api/v1/waiting", get(|view, query| waiting(view, query, fourth)))
        .route("/api/v1/events", get(|view, query| events(view, query, third)))
        .route_layer(from_fn(guard::own_host))
}

async fn sessions(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), true) {
        Err(bad) => refuse(&bad),
        Ok((ask, order)) => look(turn, move || Sessions::of(&view.fleets, &ask, order, clock::now())).await,
    }
}

async fn connections(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), false) {
        Err(bad) => refuse(&bad),
        Ok((ask, _)) => {
            look(turn, move || Connections::of(&view.shared.connections, &ask, clock::now())).await
        }
    }
}

async fn operations(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), false) {
        Err(bad) => refuse(&bad),
        Ok((ask, _)) => look(turn, move || Operations::of(&view.fleets, &ask, clock::now())).await,
    }
}

async fn events(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), false) {
        Err(bad) => refuse(&bad),
        Ok((ask, _)) => look(turn, move || Events::of(&view.log.recent, &ask, clock::now())).await,
    }
}

async fn waiting(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), false) {
        Err(bad) => refuse(&bad),
        Ok((ask, _)) => look(turn, move || Waiting::of(&view.fleets, &ask, clock::now())).await,
    }
}

fn refuse(bad: &BadQuery) -> Response {
    (StatusCode::BAD_REQUEST, format!("{bad}\n")).into_response()
}

/// Looks on a thread of its own, because it may take long and probes have this one.
async fn look<T: Serialize>(turn: Arc<Semaphore>, look: impl FnOnce() -> T + Send + 'static) -> Response {
    // It is never closed.
    let turn = turn.acquire_owned().await.ok();
    let look = move || {
        let answer = json(&look());
        drop(turn);
        answer
    };
    spawn_blocking(look).await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Reads a query. Nothing is guessed.
fn asked(query: Option<&str>, sorts: bool) -> Result<(Ask, Order), BadQuery> {
    let (mut limit, mut filter, mut order) = (None, None, None);
    for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or(BadQuery::Unknown)?;
        let is_again = match name {
            "limit" => limit.replace(rows(value)?).is_some(),
            "filter" => filter.replace(text(value)?).is_some(),
            "sort" if sorts => order.replace(sort(value)?).is_some(),
            _ => true,
        };
        if is_again {
            return Err(BadQuery::Unknown);
        }
    }
    let ask = Ask { limit: limit.unwrap_or(USUAL_ROWS), filter: filter.unwrap_or_default() };
    Ok((ask, order.unwrap_or(Order::Age)))
}

fn rows(value: &str) -> Result<usize, BadQuery> {
    value.parse().ok().filter(|rows| *rows <= MOST_ROWS).ok_or(BadQuery::Limit)
}

fn text(value: &str) -> Result<String, BadQuery> {
    let bytes = form::decode(value).filter(|bytes| bytes.len() <= LONGEST_FILTER).ok_or(BadQuery::Filter)?;
    String::from_utf8(bytes).map_err(|_| BadQuery::Filter)
}

fn sort(value: &str) -> Result<Order, BadQuery> {
    match value {
        "age" => Ok(Order::Age),
        "idle" => Ok(Order::Idle),
        "open_operations" => Ok(Order::OpenOperations),
        _ => Err(BadQuery::Sort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_many_rows_which_and_in_which_order() {
        let ask = |limit, filter: &str| Ask { limit, filter: filter.to_owned() };
        assert_eq!(asked(None, true), Ok((ask(USUAL_ROWS, ""), Order::Age)));
        assert_eq!(asked(Some("limit=5&filter=a%20b+c&sort=idle"), true), Ok((ask(5, "a b c"), Order::Idle)));
    }

    #[test]
    fn a_query_that_is_not_understood_is_refused() {
        let refused = |query: &str, bad: BadQuery| assert_eq!(asked(Some(query), false), Err(bad), "{query}");
        for query in ["limit", "limits=1", "limit=1&limit=1", "sort=age"] {
            refused(query, BadQuery::Unknown);
        }
        refused("limit=5001", BadQuery::Limit);
        refused("limit=-1", BadQuery::Limit);
        refused(&format!("filter={}", "x".repeat(LONGEST_FILTER + 1)), BadQuery::Filter);
        refused("filter=%ff", BadQuery::Filter);
        refused("filter=%4", BadQuery::Filter);
        assert_eq!(asked(Some("sort=user"), true), Err(BadQuery::Sort));
    }
}
