//! Sessions, connections, operations, waiting clients, events and the history for operators: lists that are too long to
//! be shown in full.

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
use crate::control::view::{
    Ask, Connections, Events, History, HistoryOrder, MOST_ROWS, Operations, Order, RecordKind, Sessions,
    Waiting,
};
use crate::wire::http::form;

/// The rows in an answer, if nothing is asked for.
const USUAL_ROWS: usize = 1000;

/// The longest filter, in bytes.
const LONGEST_FILTER: usize = 256;

/// Why the parameters of a request are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadQuery {
    #[error(
        "the parameters are limit, filter and, for sessions and the history, sort and, for the history, kind, each given \
         once at most"
    )]
    Unknown,
    #[error("limit must be a number from 0 to {MOST_ROWS}")]
    Limit,
    #[error("filter must be text of {LONGEST_FILTER} bytes at most")]
    Filter,
    #[error("sort must be {0}")]
    Sort(&'static str),
    #[error("kind must be session, operation or verb")]
    Kind,
}

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    // One look at a time, so that those of many readers do not need much memory together.
    let turn = Arc::new(Semaphore::new(1));
    let [second, third, fourth, fifth, sixth] = [(); 5].map(|()| Arc::clone(&turn));
    Router::new()
        .route("/api/v1/sessions", get(|view, query| sessions(view, query, turn)))
        .route("/api/v1/connections", get(|view, query| connections(view, query, sixth)))
        .route("/api/v1/operations", get(|view, query| operations(view, query, second)))
        .route("/api/v1/waiting", get(|view, query| waiting(view, query, fourth)))
        .route("/api/v1/events", get(|view, query| events(view, query, third)))
        .route("/api/v1/history", get(|view, query| history(view, query, fifth)))
        .route_layer(from_fn(guard::own_host))
}

async fn sessions(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked_sessions(query.0.as_deref()) {
        Err(bad) => refuse(&bad),
        Ok((ask, order)) => look(turn, move || Sessions::of(&view.fleets, &ask, order, clock::now())).await,
    }
}

async fn connections(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), Knows::Nothing) {
        Err(bad) => refuse(&bad),
        Ok(Asked { ask, .. }) => {
            look(turn, move || Connections::of(&view.shared.connections, &ask, clock::now())).await
        }
    }
}

async fn operations(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), Knows::Nothing) {
        Err(bad) => refuse(&bad),
        Ok(Asked { ask, .. }) => look(turn, move || Operations::of(&view.fleets, &ask, clock::now())).await,
    }
}

async fn events(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), Knows::Nothing) {
        Err(bad) => refuse(&bad),
        Ok(Asked { ask, .. }) => look(turn, move || Events::of(&view.log.recent, &ask, clock::now())).await,
    }
}

async fn history(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked_history(query.0.as_deref()) {
        Err(bad) => refuse(&bad),
        Ok((ask, kind, order)) => {
            look(turn, move || History::of(&view.history.recent(), &ask, kind, order)).await
        }
    }
}

async fn waiting(State(view): State<View>, query: RawQuery, turn: Arc<Semaphore>) -> Response {
    match asked(query.0.as_deref(), Knows::Nothing) {
        Err(bad) => refuse(&bad),
        Ok(Asked { ask, .. }) => look(turn, move || Waiting::of(&view.fleets, &ask, clock::now())).await,
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

/// Which lists know what besides `limit` and `filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    Nothing,
    /// `sort`.
    Sessions,
    /// `sort` and `kind`.
    History,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    ask: Ask,
    sort: Option<String>,
    kind: Option<RecordKind>,
}

/// Reads a query. Nothing is guessed.
fn asked(query: Option<&str>, knows: Knows) -> Result<Asked, BadQuery> {
    let (mut limit, mut filter, mut sort, mut kind) = (None, None, None, None);
    for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or(BadQuery::Unknown)?;
        let is_again = match name {
            "limit" => limit.replace(rows(value)?).is_some(),
            "filter" => filter.replace(text(value)?).is_some(),
            "sort" if knows != Knows::Nothing => sort.replace(value.to_owned()).is_some(),
            "kind" if knows == Knows::History => kind.replace(record_kind(value)?).is_some(),
            _ => true,
        };
        if is_again {
            return Err(BadQuery::Unknown);
        }
    }
    let ask = Ask { limit: limit.unwrap_or(USUAL_ROWS), filter: filter.unwrap_or_default() };
    Ok(Asked { ask, sort, kind })
}

/// What sessions are asked for, and in which order.
fn asked_sessions(query: Option<&str>) -> Result<(Ask, Order), BadQuery> {
    let Asked { ask, sort, .. } = asked(query, Knows::Sessions)?;
    let order = match sort.as_deref() {
        None | Some("age") => Order::Age,
        Some("idle") => Order::Idle,
        Some("open_operations") => Order::OpenOperations,
        Some(_) => return Err(BadQuery::Sort("age, idle or open_operations")),
    };
    Ok((ask, order))
}

/// What records of the history are asked for, and in which order.
fn asked_history(query: Option<&str>) -> Result<(Ask, Option<RecordKind>, HistoryOrder), BadQuery> {
    let Asked { ask, sort, kind } = asked(query, Knows::History)?;
    let order = match sort.as_deref() {
        None | Some("end") => HistoryOrder::End,
        Some("lasted") => HistoryOrder::Lasted,
        Some(_) => return Err(BadQuery::Sort("end or lasted")),
    };
    Ok((ask, kind, order))
}

fn record_kind(value: &str) -> Result<RecordKind, BadQuery> {
    RecordKind::ALL.into_iter().find(|kind| kind.word() == value).ok_or(BadQuery::Kind)
}

fn rows(value: &str) -> Result<usize, BadQuery> {
    value.parse().ok().filter(|rows| *rows <= MOST_ROWS).ok_or(BadQuery::Limit)
}

fn text(value: &str) -> Result<String, BadQuery> {
    let bytes = form::decode(value).filter(|bytes| bytes.len() <= LONGEST_FILTER).ok_or(BadQuery::Filter)?;
    String::from_utf8(bytes).map_err(|_| BadQuery::Filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_many_rows_which_and_in_which_order() {
        let ask = |limit, filter: &str| Ask { limit, filter: filter.to_owned() };
        assert_eq!(asked_sessions(None), Ok((ask(USUAL_ROWS, ""), Order::Age)));
        let sessions = asked_sessions(Some("limit=5&filter=a%20b+c&sort=idle"));
        assert_eq!(sessions, Ok((ask(5, "a b c"), Order::Idle)));
        let history = asked_history(Some("kind=verb&sort=lasted"));
        assert_eq!(history, Ok((ask(USUAL_ROWS, ""), Some(RecordKind::Verb), HistoryOrder::Lasted)));
        assert_eq!(asked_history(None), Ok((ask(USUAL_ROWS, ""), None, HistoryOrder::End)));
    }

    #[test]
    fn a_query_that_is_not_understood_is_refused() {
        let refused =
            |query: &str, bad: BadQuery| assert_eq!(asked(Some(query), Knows::Nothing), Err(bad), "{query}");
        for query in ["limit", "limits=1", "limit=1&limit=1", "sort=age", "kind=verb"] {
            refused(query, BadQuery::Unknown);
        }
        refused("limit=5001", BadQuery::Limit);
        refused("limit=-1", BadQuery::Limit);
        refused(&format!("filter={}", "x".repeat(LONGEST_FILTER + 1)), BadQuery::Filter);
        refused("filter=%ff", BadQuery::Filter);
        refused("filter=%4", BadQuery::Filter);
        assert!(matches!(asked_sessions(Some("sort=user")), Err(BadQuery::Sort(_))));
        assert_eq!(asked_sessions(Some("kind=verb")), Err(BadQuery::Unknown));
        assert!(matches!(asked_history(Some("sort=idle")), Err(BadQuery::Sort(_))));
        assert_eq!(asked_history(Some("kind=verbs")), Err(BadQuery::Kind));
    }
}
