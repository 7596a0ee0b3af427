//! What the admin port shows.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use toml::Table;

#[cfg(doc)]
use crate::control::config::Config;
use crate::control::config::Words as _;
use crate::control::history::History;
use crate::control::log::Log;
use crate::control::rotation::Rotation;
use crate::control::view::Readiness;
use crate::net::tls::server::Settings;
use crate::serve::background::certificates::Readings;
use crate::serve::fleet::Fleet;
use crate::serve::fleet::entrance::Entrance;
use crate::serve::shared::Shared;

/// What the admin port shows.
#[derive(Clone, Debug)]
pub struct View {
    /// What all connections share: its metrics are exposed at `/metrics`, and once it drains, `/healthz` answers
    /// 503.
    pub shared: Arc<Shared>,
    /// Whether load balancers are to send new clients, which `/readyz` says.
    pub rotation: Arc<Rotation>,
    /// Shown and acted upon below `/api/v1`.
    pub fleets: Vec<Arc<Fleet>>,
    /// Shown below `/api/v1`.
    pub listeners: Vec<Listener>,
    /// What came of reading the files of certificates.
    pub readings: Arc<Readings>,
    /// What happened last, and from which level on it is written.
    pub log: Log,
    /// What has ended, and what operators had done.
    pub history: History,
    /// What the router was started with, as [`Config::in_force`] has it.
    pub config: Arc<Table>,
}

impl View {
    /// Whether load balancers are to send new clients.
    pub(super) fn readiness(&self, now: Instant) -> Readiness {
        Readiness::of(&self.rotation, self.shared.draining.is_cancelled(), now)
    }
}

/// The log's level, as it is shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct LogShown {
    /// From which level on events are written.
    level: &'static str,
    /// The level in the config.
    configured: &'static str,
}

impl LogShown {
    pub(super) fn of(log: &Log) -> Self {
        let Log { threshold, .. } = log;
        Self { level: threshold.level().word(), configured: threshold.configured.word() }
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
