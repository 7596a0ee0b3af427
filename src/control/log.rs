//! Logs to standard error: one line per event, with fields. Passwords, the secrets of handles and the text of
//! statements never get into a line: the types that hold them do not show them in `Debug`.

mod late;
pub mod recent;
mod threshold;

use std::io::{self, Write};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use self::late::Late;
use self::recent::Recent;
use self::threshold::filter;
pub use self::threshold::{Threshold, ThresholdError};
use super::config::{LogConfig, LogFormat, LogLevel};

/// What operators see of the log, and change.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The last events.
    pub recent: Recent,
    /// From which level on events are written.
    pub threshold: Threshold,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The process already has a log.
    #[error("the log was already started")]
    AlreadyStarted(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// How many lines may wait to be written. More are dropped, and the next line that is written is preceded by
/// their count. At a few hundred bytes a line this is about two megabytes.
const WAITING_LINES: usize = 8192;
/// How long lines that wait to be written may delay the end of the process.
const FLUSH_TIME: Duration = Duration::from_millis(1500);

/// Starts the log of the process. A thread of its own writes the lines, so that a slow or absent reader of
/// standard error delays no connection.
///
/// # Errors
/// When the process already has a log.
pub fn start(config: LogConfig) -> Result<(LogGuard, Log), LogError> {
    let (lines, guard) = queue(config.format, io::stderr());
    let (writes, log) = subscriber(config, lines);
    tracing::subscriber::set_global_default(writes)?;
    Ok((guard, log))
}

/// When dropped, writes the lines that still wait, for a second and a half at most.
#[must_use]
#[derive(Debug)]
pub struct LogGuard(Option<WorkerGuard>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        let guard = self.0.take();
        let (done, ended) = mpsc::channel::<()>();
        // On a thread that may be left behind: when the queue is full, the library complains on standard
        // output, which may be the same pipe that nobody reads.
        let flush = thread::Builder::new().name("log-flush".to_owned()).spawn(move || {
            drop(guard);
            drop(done);
        });
        if flush.is_ok() {
            // Nothing is ever sent: the wait ends when the sender is dropped or when the time is over.
            let _ended = ended.recv_timeout(FLUSH_TIME);
        }
    }
}

/// A writer that never blocks, in front of one that may.
fn queue<W: Write + Send + 'static>(format: LogFormat, to: W) -> (NonBlocking, LogGuard) {
    let dropped = Arc::new(OnceLock::new());
    let writer = Telling { to, format, dropped: Arc::clone(&dropped), told: 0 };
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).lossy(true);
    let (lines, guard) = builder.thread_name("log").finish(writer);
    // The cell was made above, so it is empty.
    let _set = dropped.set(lines.error_counter());
    (lines, LogGuard(Some(guard)))
}

/// Writes lines, and before a line the number of lines that were dropped since the last one.
struct Telling<W> {
    to: W,
    format: LogFormat,
    dropped: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl<W: Write> Write for Telling<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.told {
            self.to.write_all(notice(self.format, dropped - self.told).as_bytes())?;
            self.told = dropped;
        }
        self.to.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn notice(format: LogFormat, lines: usize) -> String {
    let text = "log lines were dropped: standard error was not read in time";
    match format {
        LogFormat::Text => format!(" WARN {lines} {text}\n"),
        LogFormat::Json => format!("{{\"level\":\"WARN\",\"message\":\"{text}\",\"lines\":{lines}}}\n"),
    }
}

/// What writes the log, and what operators see of it; `writer` gets whole lines.
pub fn subscriber<W>(config: LogConfig, writer: W) -> (impl Subscriber + Send + Sync, Log)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let recent = Recent::default();
    let kept = recent.clone().with_filter(filter(LogLevel::Info));
    let (threshold, from_there) = Threshold::of(config.level);
    let late = Late(tracing_subscriber::registry().with(lines.with_filter(from_there)).with(kept));
    (late, Log { recent, threshold })
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tracing::{debug, info, info_span, warn};

    use super::recent::MOST_EVENTS;
    use super::*;

    /// A place to write that the test can read.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
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
        tracing::subscriber::with_default(subscriber(config, move || writer.clone()).0, events);
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
    fn a_line_names_the_spans_that_it_was_said_in_and_no_others() {
        let lines = logged(LogConfig { format: LogFormat::Text, level: LogLevel::Info }, || {
            let outer = info_span!("connection", conn = "c1", session = tracing::field::Empty);
            outer.in_scope(|| {
                tracing::Span::current().record("session", "s7");
                info_span!("call", request = "r9").in_scope(|| info!("in both"));
                info!("in one");
            });
            info!("in none");
        });
        let has = |line: usize, field: &str| lines[line].contains(field);
        assert!(has(0, "conn=\"c1\" session=\"s7\"}:call{request=\"r9\"}") && has(0, "in both"), "{lines:?}");
        assert!(has(1, "session=\"s7\"") && !has(1, "r9") && has(1, "in one"), "{lines:?}");
        assert!(!has(2, "conn") && has(2, "in none"), "{lines:?}");
    }

    #[test]
    fn events_from_info_on_are_kept_whatever_is_written_up_to_a_number_and_a_length() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let (writes, log) = subscriber(LogConfig { format, level: LogLevel::Error }, io::sink);
            tracing::subscriber::with_default(writes, || {
                let _span = tracing::error_span!("connection", conn = "c1").entered();
                (0..MOST_EVENTS).for_each(|_| info!("an event"));
                debug!("a session's life");
                warn!(cause = "x".repeat(1 << 20), "refused");
            });
            let kept = log.recent.all();
            assert_eq!(kept.len(), MOST_EVENTS);
            let (newest, before) = (&kept[0], &kept[1]);
            assert_eq!((newest.event.as_str(), before.event.as_str()), ("refused", "an event"));
            let (name, cause) = &newest.fields[0];
            assert!(*name == "cause" && cause.starts_with("xx") && cause.capacity() < 1000, "{name}");
            assert_eq!(newest.connection.as_deref(), Some("conn=\"c1\""));
        }
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

    /// Takes nothing while the test holds its lock, as a pipe that nobody reads.
    #[derive(Clone, Default)]
    struct Stuck(Arc<Mutex<()>>, Lines);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _taken = self.0.lock();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_hold_nobody_up_and_are_counted() {
        const EVENTS: usize = WAITING_LINES + 100;
        for format in [LogFormat::Text, LogFormat::Json] {
            let stuck = Stuck::default();
            let config = LogConfig { format, level: LogLevel::Info };
            let held = stuck.0.lock();
            let (lines, guard) = queue(format, stuck.clone());
            tracing::subscriber::with_default(subscriber(config, lines).0, || {
                // Were this to wait for the writer, it would wait for ever.
                (0..EVENTS).for_each(|_| info!("an event"));
                drop(held);
            });
            drop(guard);
            let written = String::from_utf8(stuck.1.0.lock().clone()).unwrap();
            let events = written.lines().filter(|line| line.contains("an event")).count();
            let missing = EVENTS - events;
            assert!((1..=100).contains(&missing), "{missing}");
            // The count stands before the first line written after the loss, so it was complete then.
            let told = written.lines().find(|line| line.contains("log lines were dropped")).unwrap();
            assert!(told.contains(&missing.to_string()), "{missing}: {told}");
            if format == LogFormat::Json {
                let all_json = |line| serde_json::from_str::<serde_json::Value>(line).is_ok();
                assert!(written.lines().all(all_json), "{told}");
            }
        }
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

    #[test]
    fn a_level_that_is_changed_holds_for_the_events_that_follow() {
        let lines = Lines::default();
        let writer = lines.clone();
        let config = LogConfig { format: LogFormat::Text, level: LogLevel::Info };
        let (late, log) = subscriber(config, move || writer.clone());
        // One place that says it: what is known of the place from before has to be forgotten.
        let say = || debug!("a session's life");
        tracing::subscriber::with_default(late, || {
            say();
            for (level, number) in [(LogLevel::Debug, 1), (LogLevel::Warn, 1), (LogLevel::Trace, 2)] {
                log.threshold.set(level).unwrap();
                say();
                let written = String::from_utf8(lines.0.lock().clone()).unwrap();
                assert_eq!(written.lines().count(), number, "{level:?}: {written}");
                assert_eq!((log.threshold.level(), log.threshold.configured), (level, LogLevel::Info));
            }
        });
        assert_eq!(
            log.threshold.set(LogLevel::Info),
            Err(ThresholdError::NotOurs),
            "nobody writes it any more"
        );
        assert_eq!(Threshold::default().set(LogLevel::Debug), Err(ThresholdError::NotOurs));
    }
}
