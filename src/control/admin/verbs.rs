//! What operators have the router do. All requests for it come by here: each is authorised by itself, and
//! what came of it is a line in the log.

mod act;
mod not_done;
mod query;
mod target;

use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};

use self::act::carry_out;
use self::not_done::NotDone;
use self::query::Query;
use self::target::{Names, Target};
use super::guard;
use super::json::json;
use super::view::{LogShown, View};
use crate::clock;
use crate::control::verbs::Verb;
use crate::control::view::VerbDone;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker(pub(super) SocketAddr);

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    let mut routes = Router::new();
    routes = routes.route("/api/v1/rotation", get(rotation)).route("/api/v1/log-level", get(log_level));
    for verb in Verb::ALL {
        let (_, path) = verb.path();
        routes = routes.route(path, asked_by(verb));
        if let Some(short) = without_cluster(path) {
            routes = routes.route(&short, asked_by(verb));
        }
    }
    routes.route_layer(from_fn(guard::own_host))
}

/// A path with a name alone, which then stands where the cluster does.
fn without_cluster(path: &str) -> Option<String> {
    let (before, named) = path.split_once("{cluster}/{")?;
    Some(format!("{before}{{cluster}}{}", named.split_once('}')?.1))
}

fn asked_by(verb: Verb) -> MethodRouter<View> {
    let act = move |State(view): State<View>, asked: Asked| async move { answer(verb, view, asked).await };
    match verb.path().0 {
        "PUT" => put(act),
        "DELETE" => delete(act),
        _ => post(act),
    }
}

/// What a request says besides its verb.
struct Asked {
    /// The names in its path.
    names: Vec<String>,
    query: Option<String>,
    head: HeaderMap,
    from: Option<SocketAddr>,
}

impl FromRequestParts<View> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, view: &View) -> Result<Self, Response> {
        let names = Path::<Vec<String>>::from_request_parts(parts, view).await;
        let query = RawQuery::from_request_parts(parts, view).await.map_err(IntoResponse::into_response)?;
        Ok(Self {
            names: names.map_err(IntoResponse::into_response)?.0,
            query: query.0.filter(|query| !query.is_empty()),
            head: parts.headers.clone(),
            from: parts.extensions.get().map(|Asker(from)| *from),
        })
    }
}

/// Does what was asked for, if whoever asks may have it done.
async fn answer(verb: Verb, view: View, asked: Asked) -> Response {
    // The only place where a verb is authorised.
    if let Err(refusal) = guard::check(&asked.head) {
        return refusal.into_response();
    }
    // What was begun is done and noted, whether or not anybody waits for the answer.
    let doing = view.shared.detached.clone().spawn(async move {
        let from = clock::now();
        let done = act_upon(verb, &view, &asked).await;
        note(verb, &asked, done.as_ref());
        record(&view, from, verb, &asked, done.as_ref());
        done
    });
    match doing.await {
        Ok(Ok((answer, _))) => answer,
        Ok(Err(not_done)) => (not_done.status(), format!("{not_done}\n")).into_response(),
        Err(ended) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{ended}\n")).into_response(),
    }
}

async fn act_upon(verb: Verb, view: &View, asked: &Asked) -> Result<(Response, Target), NotDone> {
    let query = Query::of(verb, asked.query.as_deref())?;
    let target = Target::find(verb, view, &asked.names)?;
    Ok((carry_out(view, &target, &query).await?, target))
}

/// The audit: who had what done, and how it ended.
fn note(verb: Verb, asked: &Asked, done: Result<&(Response, Target), &NotDone>) {
    let Names { cluster, coordinator, session, connection, operation } =
        done.ok().map(|(_, target)| target.names()).unwrap_or_default();
    let named = done.is_err().then(|| asked.names.join("/"));
    tracing::info!(
        verb = %verb.words(), cluster, coordinator, session, connection, operation, named,
        query = asked.query, from = asked.from.map(display),
        outcome = %outcome(done),
        "asked by an operator"
    );
}

/// The audit, in the history.
fn record(
    view: &View,
    from: Instant,
    verb: Verb,
    asked: &Asked,
    done: Result<&(Response, Target), &NotDone>,
) {
    let Names { cluster, coordinator, session, connection, operation } = named(verb, asked, done);
    view.history.note_verb(
        from,
        VerbDone {
            verb: verb.words().to_owned(),
            query: asked.query.clone(),
            client: asked.from.map(|from| from.ip()),
            cluster,
            coordinator,
            session,
            connection,
            operation,
            outcome: outcome(done),
        },
    );
}

/// What it was done to, or was to be done to.
fn named(verb: Verb, asked: &Asked, done: Result<&(Response, Target), &NotDone>) -> Names {
    if let Ok((_, target)) = done {
        return target.names();
    }
    let (cluster, name) = match asked.names.as_slice() {
        [name] => (None, Some(name.clone())),
        [cluster, name] => (Some(cluster.clone()), Some(name.clone())),
        _ => (None, None),
    };
    match verb {
        Verb::Router(_) => Names::default(),
        Verb::Cluster(_) => Names { cluster: name, ..Names::default() },
        Verb::Coordinator(_) => Names { cluster, coordinator: name, ..Names::default() },
        Verb::Session(_) => Names { cluster, session: name, ..Names::default() },
        Verb::Connection(_) => Names { connection: name, ..Names::default() },
        Verb::Operation(_) => Names { cluster, operation: name, ..Names::default() },
    }
}

fn outcome(done: Result<&(Response, Target), &NotDone>) -> String {
    done.err().map_or_else(|| "done".to_owned(), ToString::to_string)
}

async fn log_level(State(view): State<View>) -> Response {
    json(&LogShown::of(&view.log))
}

async fn rotation(State(view): State<View>) -> Response {
    json(&view.readiness(clock::now()))
}
