//! Why something that an operator asked for was not done.

use std::time::Duration;

use axum::http::StatusCode;

use super::query::BadQuery;
use crate::control::log::ThresholdError;
use crate::serve::background::orders::NotCarriedOut;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error(transparent)]
    Query(#[from] BadQuery),
    #[error("there is no such {0}; hs2router {1} lists them")]
    Unknown(&'static str, &'static str),
    #[error(
        "several clusters have a {0} of this name; write a coordinator's cluster before it: \
         …/{{cluster}}/{{name}}/…"
    )]
    Several(&'static str),
    #[error("its cluster has no coordinator {0:?}; hs2router status lists them")]
    NowhereTo(String),
    #[error("no operator has ejected it; one that probes have ejected returns when it passes them")]
    NotEjected,
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    #[error(transparent)]
    NotCarriedOut(#[from] NotCarriedOut),
    #[error("it was not done within {0:?}; what was begun may still come to its end")]
    TimedOut(Duration),
}

impl NotDone {
    /// What it is in HTTP.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Unknown(..) | Self::NowhereTo(_) => StatusCode::NOT_FOUND,
            Self::Several(_) | Self::NotEjected | Self::Threshold(_) | Self::NotCarriedOut(_) => {
                StatusCode::CONFLICT
            }
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}
