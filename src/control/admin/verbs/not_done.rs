//! Why something that an operator asked for was not done.

use axum::http::StatusCode;

use super::query::BadQuery;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error(transparent)]
    Query(#[from] BadQuery),
    #[error("there is no such {0}; hs2router {1} lists them")]
    Unknown(&'static str, &'static str),
    #[error(
        "several clusters have a {0} with this name: use …/{{cluster}}/{{name}}/…, or CLUSTER/NAME in a \
         command"
    )]
    Several(&'static str),
    #[error("no operator has ejected it; one that probes have ejected returns when it passes them")]
    NotEjected,
}

impl NotDone {
    /// What it is in HTTP.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Unknown(..) => StatusCode::NOT_FOUND,
            Self::Several(_) | Self::NotEjected => StatusCode::CONFLICT,
        }
    }
}
