//! What a router under test logs, kept apart from what the other tests of the process log.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hs2router::control::config::{LogConfig, LogFormat, LogLevel};
use hs2router::control::log::{Log, subscriber};
use tokio::runtime::{Builder, Runtime};
use tracing::Dispatch;
use tracing::dispatcher::{DefaultGuard, set_default};

/// The lines that one router has logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<u8>>>);

thread_local! {
    static HERE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

impl Logs {
    /// A runtime on whose threads everything from this level on is logged here.
    pub(crate) fn runtime(&self, level: LogLevel) -> (Runtime, Log) {
        let lines = self.clone();
        let config = LogConfig { format: LogFormat::Text, level };
        let (writes, log) = subscriber(config, move || lines.clone());
        let writes = Dispatch::new(writes);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || HERE.with(|here| drop(here.replace(Some(set_default(&writes))))))
            .build()
            .unwrap();
        (runtime, log)
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// What of it is shown unless more is asked for.
    pub(crate) fn shown(&self) -> String {
        let is_shown = |line: &&str| [" INFO ", " WARN ", " ERROR "].iter().any(|level| line.contains(level));
        self.text().split_inclusive('\n').filter(is_shown).collect()
    }

    /// The warnings and errors about the connection from this client.
    pub(crate) fn warnings(&self, client: SocketAddr) -> Vec<String> {
        let client = format!("client={client} ");
        let is_one =
            |line: &&str| (line.contains(" WARN ") || line.contains(" ERROR ")) && line.contains(&client);
        self.text().lines().filter(is_one).map(str::to_owned).collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
