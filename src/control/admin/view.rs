//! What the admin port shows.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use toml::Table;

#[cfg(doc)]
use crate::control::config::Config;
use crate::control::log::recent::Recent;
use crate::control::rotation::Rotation;
use crate::control::view::Readiness;
use crate::metrics::Metrics;
use crate::net::tls::server::Settings;
use crate::serve::background::certificates::Readings;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::entrance::Entrance;

/// What the admin port shows.
#[derive(Clone, Debug)]
pub struct View {
    /// Exposed at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the router starts to drain, which makes `/healthz` answer 503.
    pub draining: CancellationToken,
    /// Whether load balancers are to send new clients, which `/readyz` says.
    pub rotation: Arc<Rotation>,
    /// Shown and acted upon below `/api/v1`.
    pub fleets: Vec<Arc<Fleet>>,
    /// Shown below `/api/v1`.
    pub listeners: Vec<Listener>,
    /// What came of reading the files of certificates.
    pub readings: Arc<Readings>,
    /// What happened last.
    pub recent: Recent,
    /// What the router was started with, as [`Config::in_force`] has it.
    pub config: Arc<Table>,
}

impl View {
    /// Whether load balancers are to send new clients.
    pub(super) fn readiness(&self, now: Instant) -> Readiness {
        Readiness::of(&self.rotation, self.draining.is_cancelled(), now)
    }
}

/// A listener that is shown.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where its connections go.
    pub entrance: Arc<Entrance>,
    /// What its TLS is like; `None` if it has none of its own.
    pub tls: Option<Settings>,
}
