//! What operators have the router do. All requests for it come by here: each is authorised by itself, and
//! what came of it is a line in the log.

mod not_done;
mod query;
mod target;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};

use self::not_done::NotDone;
use self::query::Query;
use self::target::Target;
use super::guard;
use super::json::json;
use super::shown::Look;
use super::view::View;
use crate::clock;
use crate::control::verbs::{OfCoordinator, OfRouter, Verb};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker(pub(super) SocketAddr);

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    let mut routes = Router::new().route("/api/v1/rotation", get(rotation));
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
    let act = move |State(view): State<View>, asked: Asked| async move { act(verb, &view, &asked) };
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
fn act(verb: Verb, view: &View, asked: &Asked) -> Response {
    // The only place where a verb is authorised.
    if let Err(refusal) = guard::check(&asked.head) {
        return refusal.into_response();
    }
    let done = Query::of(verb, asked.query.as_deref()).map_err(NotDone::from).and_then(|query| {
        let target = Target::find(verb, view, &asked.names)?;
        Ok((carry_out(view, &target, &query)?, target))
    });
    note(verb, asked, done.as_ref());
    match done {
        Ok((answer, _)) => answer,
        Err(not_done) => (not_done.status(), format!("{not_done}\n")).into_response(),
    }
}

fn carry_out(view: &View, target: &Target, query: &Query) -> Result<Response, NotDone> {
    match target {
        Target::Router(verb) => {
            view.rotation.set(*verb == OfRouter::RotationOut, clock::now());
            Ok(json(&view.readiness(clock::now())))
        }
        Target::Coordinator { verb, fleet, coordinator } => {
            match verb {
                OfCoordinator::Drain => fleet.drain(coordinator, query.deadline()?),
                OfCoordinator::Resume => coordinator.resume(),
                OfCoordinator::Eject => coordinator.eject(clock::now()),
                OfCoordinator::Restore if fleet.restore(coordinator) => {}
                OfCoordinator::Restore => return Err(NotDone::NotEjected),
                OfCoordinator::Weight => coordinator.set_weight(query.weight()?),
            }
            Ok(json(&Look::new(fleet, clock::now()).show(coordinator)))
        }
    }
}

/// The audit: who had what done, and how it ended.
fn note(verb: Verb, asked: &Asked, done: Result<&(Response, Target), &NotDone>) {
    let (cluster, coordinator) = done.ok().map(|(_, target)| target.names()).unwrap_or_default();
    let named = done.is_err().then(|| asked.names.join("/"));
    tracing::info!(
        verb = %verb.words(), cluster = cluster.map(display), coordinator = coordinator.map(display), named,
        query = asked.query, from = asked.from.map(display),
        outcome = %done.err().map_or_else(|| "done".to_owned(), ToString::to_string),
        "asked by an operator"
    );
}

async fn rotation(State(view): State<View>) -> Response {
    json(&view.readiness(clock::now()))
}
