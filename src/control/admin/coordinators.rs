//! Coordinators for operators: the routes that show them, and the two verbs that change what people want of
//! one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::guard;
use super::json::json;
use super::shown::{Look, Shown};
use super::view::View;
use crate::clock;
use crate::cluster::Coordinator;
use crate::control::config::{TimeSpan, UnitError};
use crate::serve::fleet::Fleet;

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    // A cluster and a name; or a name alone, which then stands where the cluster does.
    Router::new()
        .route("/api/v1/coordinators", get(list))
        .route("/api/v1/coordinators/{cluster}/drain", post(drain))
        .route("/api/v1/coordinators/{cluster}/resume", post(resume))
        .route("/api/v1/coordinators/{cluster}/{name}/drain", post(drain))
        .route("/api/v1/coordinators/{cluster}/{name}/resume", post(resume))
        .route_layer(from_fn(guard::own_host))
}

async fn list(State(view): State<View>) -> Response {
    let now = clock::now();
    let shown: Vec<Shown> = view.fleets.iter().flat_map(|fleet| Look::new(fleet, now).all()).collect();
    json(&shown)
}

async fn drain(view: State<View>, name: Path<Vec<String>>, query: RawQuery, head: HeaderMap) -> Response {
    act(&view, &name, &head, || Ok(Verb::Drain { deadline: deadline_in(query.0.as_deref())? }))
}

async fn resume(view: State<View>, name: Path<Vec<String>>, query: RawQuery, head: HeaderMap) -> Response {
    act(&view, &name, &head, || match query.0.as_deref() {
        None | Some("") => Ok(Verb::Resume),
        Some(_) => Err(BadQuery::NoParameters),
    })
}

/// A change that an operator asks for.
enum Verb {
    Drain {
        /// From now; none for the deadline of the drain under way, or else the cluster's.
        deadline: Option<Duration>,
    },
    Resume,
}

/// Why the parameters of a request are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadQuery {
    #[error("the only parameter is deadline, given once: ?deadline=30s, 10m or 1h")]
    NotDeadline,
    #[error("deadline {0}; write a duration such as 30s, 10m or 1h")]
    Deadline(UnitError),
    #[error("this path takes no parameters")]
    NoParameters,
}

/// The deadline in a query; none if there is no query.
fn deadline_in(query: Option<&str>) -> Result<Option<Duration>, BadQuery> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let value = query.strip_prefix("deadline=").filter(|value| !value.contains('&'));
    // Nothing is guessed: no drain is better than one with the wrong deadline.
    let span: TimeSpan = value.ok_or(BadQuery::NotDeadline)?.parse().map_err(BadQuery::Deadline)?;
    Ok(Some(span.0))
}

fn act(
    view: &View,
    Path(name): &Path<Vec<String>>,
    head: &HeaderMap,
    verb: impl FnOnce() -> Result<Verb, BadQuery>,
) -> Response {
    if let Err(refusal) = guard::check(head) {
        return refusal.into_response();
    }
    let verb = match verb() {
        Ok(verb) => verb,
        Err(bad) => return (StatusCode::BAD_REQUEST, format!("{bad}\n")).into_response(),
    };
    let found = find(&view.fleets, name);
    let (fleet, coordinator) = match found.as_slice() {
        [(fleet, coordinator)] => (*fleet, coordinator),
        [] => return (StatusCode::NOT_FOUND, "there is no such coordinator\n").into_response(),
        _ => {
            let text = "several clusters have a coordinator with this name: use …/{cluster}/{name}/…\n";
            return (StatusCode::CONFLICT, text).into_response();
        }
    };
    match verb {
        Verb::Drain { deadline } => fleet.drain(coordinator, deadline),
        Verb::Resume => coordinator.resume(),
    }
    let (state, drain) = (coordinator.state(), coordinator.drain_under_way());
    let left = drain.map(|drain| drain.deadline.saturating_duration_since(clock::now()));
    // Rounded, because nobody sets deadlines of less than a second.
    let deadline = left.map(|left| Duration::from_secs((left + Duration::from_millis(500)).as_secs()));
    tracing::info!(
        cluster = %fleet.cluster.name, coordinator = %coordinator.name, %state,
        deadline = deadline.map(tracing::field::debug), "state set by an operator"
    );
    json(&Look::new(fleet, clock::now()).show(coordinator))
}

/// The coordinators with this name, in one cluster or in all.
fn find<'a>(fleets: &'a [Arc<Fleet>], name: &[String]) -> Vec<(&'a Fleet, Arc<Coordinator>)> {
    let (cluster, name) = match name {
        [name] => (None, name),
        [cluster, name] => (Some(cluster), name),
        _ => return Vec::new(),
    };
    let asked = |fleet: &&Arc<Fleet>| cluster.is_none_or(|cluster| *fleet.cluster.name == **cluster);
    let of_name = |fleet: &'a Arc<Fleet>| Some((&**fleet, fleet.cluster.named(name)?));
    fleets.iter().filter(asked).filter_map(of_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_written_as_in_the_config() {
        assert_eq!(deadline_in(None), Ok(None));
        assert_eq!(deadline_in(Some("")), Ok(None));
        for (query, seconds) in [("deadline=0s", 0), ("deadline=90s", 90), ("deadline=1h", 3600)] {
            assert_eq!(deadline_in(Some(query)), Ok(Some(Duration::from_secs(seconds))), "{query}");
        }
    }

    #[test]
    fn what_is_no_deadline_is_not_guessed_at() {
        for query in ["deadline", "deadlin=1s", "x=1", "deadline=1s&deadline=2s", "deadline=1s&x=1"] {
            assert_eq!(deadline_in(Some(query)), Err(BadQuery::NotDeadline), "{query}");
        }
        for query in ["deadline=", "deadline=30", "deadline=-1s", "deadline=1.5s", "deadline=1%73"] {
            let bad = deadline_in(Some(query)).unwrap_err().to_string();
            assert!(
                bad.contains("is not a whole number followed by a unit") && bad.contains("30s, 10m or 1h"),
                "{bad}"
            );
        }
        assert!(deadline_in(Some("deadline=9999h")).unwrap_err().to_string().contains("is more than a year"));
    }
}
