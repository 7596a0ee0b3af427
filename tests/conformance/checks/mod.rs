//! The checks, by what they are about.

mod beeswax;
mod handles;
mod hive;
mod http;
mod messages;
mod metadata;
mod operations;
mod results;
mod sasl;
mod service;
mod sessions;

use crate::check::Check;

/// Every check.
pub(crate) fn all() -> Vec<&'static Check> {
    [
        sessions::CHECKS,
        handles::CHECKS,
        service::CHECKS,
        hive::CHECKS,
        operations::CHECKS,
        results::CHECKS,
        metadata::CHECKS,
        messages::CHECKS,
        sasl::CHECKS,
        http::CHECKS,
        beeswax::CHECKS,
    ]
    .into_iter()
    .flatten()
    .collect()
}
