//! The operators' page: files that are part of the program. A browser runs them as they are; there is no
//! build step.

use axum::Router;
use axum::http::header;
use axum::middleware::from_fn;
use axum::routing::get;

use super::guard;
use super::view::View;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
struct File {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

/// A file below `/page`, by its name in `control/page`.
macro_rules! file {
    ($media_type:expr, $folder:literal, $name:literal) => {
        File {
            path: concat!("/page/", $name),
            media_type: $media_type,
            text: include_str!(concat!("../page/", $folder, $name)),
        }
    };
}

const FILES: [File; 26] = [
    File { path: "/", media_type: HTML, text: include_str!("../page/index.html") },
    file!(CSS, "", "page.css"),
    file!(PICTURE, "", "icon.svg"),
    file!(SCRIPT, "", "configuration.js"),
    file!(SCRIPT, "", "connections.js"),
    file!(SCRIPT, "", "dialog.js"),
    file!(SCRIPT, "", "events.js"),
    file!(SCRIPT, "", "fleet.js"),
    file!(SCRIPT, "", "history.js"),
    file!(SCRIPT, "", "html.js"),
    file!(SCRIPT, "", "listeners.js"),
    file!(SCRIPT, "", "operations.js"),
    file!(SCRIPT, "", "page.js"),
    file!(SCRIPT, "", "parts.js"),
    file!(SCRIPT, "", "ports.js"),
    file!(SCRIPT, "", "rows.js"),
    file!(SCRIPT, "", "sessions.js"),
    file!(SCRIPT, "", "source.js"),
    file!(SCRIPT, "", "standing.js"),
    file!(SCRIPT, "", "verbs.js"),
    file!(SCRIPT, "", "waiting.js"),
    file!(SCRIPT, "", "words.js"),
    file!(SCRIPT, "vendor/", "htm.module.js"),
    file!(SCRIPT, "vendor/", "preact.mjs"),
    file!(TEXT, "vendor/", "htm.LICENSE"),
    file!(TEXT, "vendor/", "preact.LICENSE"),
];

/// The routes of this module.
pub(super) fn routes() -> Router<View> {
    let add = |router: Router<View>, File { path, media_type, text }| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, media_type)], text) }))
    };
    FILES.into_iter().fold(Router::new(), add).route_layer(from_fn(guard::own_host))
}
