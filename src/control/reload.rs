//! The config file, read again while the router runs: what it now says of the coordinators' `state` holds at once. Everything
//! else takes a restart, and is named so that nobody takes it for done.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::config::{Config, ConfigError};
use super::router::Router;
use crate::cluster::AdminState;

/// How long reading the file may take: it may lie on a file system that is gone.
const READ_TIME: Duration = Duration::from_secs(10);

/// A config file, and what it said when it was read.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// What the router was started with.
    started_with: Config,
    /// As of the last time that it was good.
    last: Config,
}

/// Why the file has no effect.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("{}", in_one_line(.0))]
    Config(ConfigError),
    #[error("it cannot be read within {READ_TIME:?}")]
    TimedOut,
}

impl ConfigFile {
    /// A file that was read just now.
    pub fn new(path: PathBuf, config: Config) -> Self {
        Self { path, last: config.clone(), started_with: config }
    }

    /// Reads it again. A coordinator's `state` holds from now on if it is another than when the file was read last: so what
    /// people said over the admin port since then stays, unless the file has something new to say. A file with anything
    /// wrong in it changes nothing.
    pub async fn reload(&mut self, router: &Router) {
        let path = self.path.clone();
        let read = timeout(READ_TIME, spawn_blocking(move || Config::load(&path))).await;
        let read = match read {
            Ok(Ok(config)) => config.map_err(NotRead::Config),
            Ok(Err(_)) | Err(_) => Err(NotRead::TimedOut),
        };
        let config = match read {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the config file was read again and changes nothing: it is wrong");
                return;
            }
        };
        let states = config.new_states(&self.last);
        for new in &states {
            let fleet = router.fleets().iter().find(|fleet| fleet.cluster.name == new.cluster);
            let found = fleet.and_then(|fleet| Some((fleet, fleet.cluster.named(&new.coordinator.0)?)));
            let Some((fleet, coordinator)) = found else { continue };
            match new.state {
                AdminState::Drain => fleet.drain(&coordinator, None),
                AdminState::Active => coordinator.resume(),
            }
            let (cluster, name, state) = (&new.cluster, &new.coordinator, new.state);
            tracing::info!(%cluster, coordinator = %name, %state, "state set by the config file");
        }
        let restart = config.needs_restart(&self.started_with);
        if !restart.is_empty() {
            tracing::warn!(
                keys = restart.join(", "),
                "changes in the config file that need a restart have no effect yet"
            );
        }
        tracing::info!(file = %self.path.display(), states_changed = states.len(), "config file read again");
        self.last = config;
    }
}

/// All that is wrong, in a line of the log.
fn in_one_line(error: &ConfigError) -> String {
    let text = error.to_string().replace('\n', " | ");
    error.source().map_or_else(|| text.clone(), |source| format!("{text}: {source}"))
}
