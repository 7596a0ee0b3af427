//! Reads the config file again while the router runs. The `state` of its coordinators takes effect at once.
//! All other changes need a restart; they are logged, so that nobody believes that they took effect.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::config::{Config, ConfigError};
use super::router::Router;
use crate::cluster::AdminState;

/// How long reading the file may take. It may be on a file system that does not answer any more.
const READ_TIME: Duration = Duration::from_secs(10);

/// A config file, with the configs that were read from it.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// The config that the router was started with.
    started_with: Config,
    /// The config that was last read without a problem.
    last: Config,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("{}", in_one_line(.0))]
    Config(ConfigError),
    #[error("reading it took longer than {READ_TIME:?}")]
    TimedOut,
}

impl ConfigFile {
    /// A file from which `config` was just read.
    pub fn new(path: PathBuf, config: Config) -> Self {
        Self { path, last: config.clone(), started_with: config }
    }

    /// Reads the file again. A coordinator's `state` takes effect if it has changed since the file was last
    /// read; otherwise a state that an operator has set over the admin port stays. A file with anything wrong
    /// in it changes nothing.
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
                tracing::error!(%error, "config file not reloaded: it is invalid, and nothing was changed");
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
                "some changes in the config file need a restart to take effect"
            );
        }
        tracing::info!(file = %self.path.display(), states_changed = states.len(), "config file reloaded");
        self.last = config;
    }
}

/// The whole error, in one line of the log.
fn in_one_line(error: &ConfigError) -> String {
    let text = error.to_string().replace('\n', " | ");
    error.source().map_or_else(|| text.clone(), |source| format!("{text}: {source}"))
}
