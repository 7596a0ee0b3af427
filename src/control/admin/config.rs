//! What the router was started with, for operators.

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;

use super::guard;
use super::json::json;
use super::view::View;

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    Router::new().route("/api/v1/config", get(config)).route_layer(from_fn(guard::own_host))
}

async fn config(State(view): State<View>) -> Response {
    json(&*view.config)
}
