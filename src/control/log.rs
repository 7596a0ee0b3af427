//! Logs, to standard error: one line per fact, with fields. What must never be in one (passwords, the secrets of
//! handles, the text of statements) is kept out by the types that hold it, whose `Debug` does not show it.

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::config::{LogConfig, LogFormat, LogLevel};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The process has one already.
    #[error("a log was started before")]
    AlreadyStarted(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts the log of the process.
///
/// # Errors
/// When it was started before.
pub fn start(config: LogConfig) -> Result<(), LogError> {
    tracing::subscriber::set_global_default(subscriber(config, std::io::stderr))?;
    Ok(())
}

/// The log as a value; `writer` gets whole lines.
pub fn subscriber<W>(config: LogConfig, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter(config.level)))
}

/// The router's own events from this level; of the libraries below it only what an operator should see.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_default(level.min(LevelFilter::WARN))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::{debug, info, info_span, warn};

    use super::*;

    /// A place to write that the test can read.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(config: LogConfig, events: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(config, move || writer.clone()), events);
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_json_line_carries_the_fields_of_its_span() {
        let lines = logged(LogConfig { format: LogFormat::Json, level: LogLevel::Info }, || {
            let _span = info_span!("connection", conn = "c1a4", listener = "0.0.0.0:21050").entered();
            info!(coordinator = "c3", "session opened");
        });
        assert_eq!(lines.len(), 1);
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["message"], "session opened");
        assert_eq!(line["coordinator"], "c3");
        assert_eq!(line["span"]["conn"], "c1a4");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_text_line_has_no_colours() {
        let lines = logged(LogConfig { format: LogFormat::Text, level: LogLevel::Info }, || {
            warn!(listener = "0.0.0.0:21050", "out of file descriptors");
        });
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("WARN") && lines[0].contains("listener=\"0.0.0.0:21050\""), "{}", lines[0]);
        assert!(!lines[0].contains('\u{1b}'));
    }

    #[test]
    fn only_events_of_the_level_or_above_are_logged() {
        let events = || {
            debug!("a session's life");
            info!("the process's life");
            warn!("look at this");
            info!(target: "hyper", "a library's life");
            warn!(target: "hyper", "a library's trouble");
        };
        let count = |level| logged(LogConfig { format: LogFormat::Text, level }, events).len();
        assert_eq!(count(LogLevel::Debug), 4);
        assert_eq!(count(LogLevel::Info), 3);
        assert_eq!(count(LogLevel::Warn), 2);
        assert_eq!(count(LogLevel::Error), 0);
    }
}
