//! Coordinators for operators, as they are.

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;

use super::guard;
use super::json::json;
use super::shown::{Look, Shown};
use super::view::View;
use crate::clock;

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    Router::new().route("/api/v1/coordinators", get(list)).route_layer(from_fn(guard::own_host))
}

async fn list(State(view): State<View>) -> Response {
    let now = clock::now();
    let shown: Vec<Shown> = view.fleets.iter().flat_map(|fleet| Look::new(fleet, now).all()).collect();
    json(&shown)
}
