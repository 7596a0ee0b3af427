//! The level from which events are written. Operators can change it while the router runs.

use std::sync::Arc;

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

use crate::control::config::LogLevel;

/// Why the level was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// A program that embeds the router writes the log, if anybody does.
    #[error("the router does not write the log of this process, so it cannot change the level")]
    NotOurs,
}

/// From which level on events are written.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// What the config says.
    pub configured: LogLevel,
    now: Arc<Mutex<LogLevel>>,
    /// `None`: the log is somebody else's.
    filter: Option<reload::Handle<Targets, Registry>>,
}

impl Default for Threshold {
    /// Of a log that is somebody else's.
    fn default() -> Self {
        Self::new(LogLevel::Info, None)
    }
}

impl Threshold {
    fn new(level: LogLevel, filter: Option<reload::Handle<Targets, Registry>>) -> Self {
        Self { configured: level, now: Arc::new(Mutex::new(level)), filter }
    }

    /// What the config says, and the filter that obeys.
    pub(super) fn of(configured: LogLevel) -> (Self, reload::Layer<Targets, Registry>) {
        let (layer, handle) = reload::Layer::new(filter(configured));
        (Self::new(configured, Some(handle)), layer)
    }

    /// From which level on events are written now.
    pub fn level(&self) -> LogLevel {
        *self.now.lock()
    }

    /// Has events be written from this level on, until the process ends.
    ///
    /// # Errors
    /// [`ThresholdError::NotOurs`] when the router does not write the log; nothing changes then.
    pub fn set(&self, level: LogLevel) -> Result<(), ThresholdError> {
        let mut now = self.now.lock();
        let handle = self.filter.as_ref().ok_or(ThresholdError::NotOurs)?;
        handle.reload(filter(level)).map_err(|_| ThresholdError::NotOurs)?;
        *now = level;
        Ok(())
    }
}

/// The router's own events from this level on; events of libraries only from `warn` on.
pub(super) fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_default(level.min(LevelFilter::WARN))
}
