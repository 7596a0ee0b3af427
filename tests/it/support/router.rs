//! The router under test, in this process: the same value that `hs2router run` starts.

use std::net::SocketAddr;
use std::time::Duration;

use hs2router::clock;
use hs2router::control::config::{Config, LogLevel};
use hs2router::control::router::Router;
use hs2router::net::host::Resolver;
use hs2router::serve::threads::workers::Workers;
use tokio::runtime::Runtime;

use super::clients::Target;
use super::logs::Logs;

/// Coordinators are looked at once and then left alone: what they receive is what the test sent.
pub(crate) const SELDOM: &str = "probe = { interval = \"1h\" }\nload = { interval = \"1h\" }";

/// A router on free ports of 127.0.0.1, which ends with the value.
pub(crate) struct TestRouter {
    router: Option<Router>,
    logs: Logs,
    // Last: the router needs it to end.
    runtime: Runtime,
}

impl TestRouter {
    /// Starts a router from the text of a config; `[admin]` must not be in it.
    pub(crate) fn start(config: &str) -> Self {
        Self::logging(config, LogLevel::Trace)
    }

    /// As [`Self::start`], with a log of this level.
    pub(crate) fn logging(config: &str, level: LogLevel) -> Self {
        Self::made_of(config, level, Resolver::System)
    }

    /// As [`Self::start`], with names that stand for what the resolver says.
    pub(crate) fn resolving(config: &str, resolver: Resolver) -> Self {
        Self::made_of(config, LogLevel::Trace, resolver)
    }

    fn made_of(config: &str, level: LogLevel, resolver: Resolver) -> Self {
        let text = format!("{config}\n[admin]\naddress = \"127.0.0.1:0\"\n");
        let config = Config::parse("test", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let logs = Logs::default();
        let (runtime, log) = logs.runtime(level);
        let router = {
            let _inside = runtime.enter();
            Router::start_on(&config, &Workers::here(), resolver, log)
        }
        .unwrap();
        Self { router: Some(router), logs, runtime }
    }

    /// A router with one listener in front of coordinators of one flavor, whose HS2 ports are these. Each
    /// client connection has links of its own, as many as it likes, so that a test can tell whose link it
    /// looks at.
    pub(crate) fn of(flavor: &str, coordinators: &[SocketAddr]) -> Self {
        Self::with(flavor, coordinators, "")
    }

    /// As [`Self::of`], with more keys for `[router]`.
    pub(crate) fn with(flavor: &str, coordinators: &[SocketAddr], keys: &str) -> Self {
        let coordinators: Vec<String> = coordinators
            .iter()
            .enumerate()
            .map(|(place, at)| {
                let (ip, port) = (at.ip(), at.port());
                format!(
                    "{{ name = \"c{}\", host = \"{ip}\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}",
                    place + 1
                )
            })
            .collect();
        Self::start(&format!(
            "[router]\n{keys}\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
             [[cluster]]\nname = \"test\"\nflavor = \"{flavor}\"\n{SELDOM}\nshare_links = false\nservice_threads = 0\n\
             coordinators = [{}]\n",
            coordinators.join(", ")
        ))
    }

    /// A router with one listener in front of coordinators whose HTTP ports these
    /// are.
    pub(crate) fn http(flavor: &str, coordinators: &[SocketAddr]) -> Self {
        Self::http_with(flavor, coordinators, "", "")
    }

    /// As [`Self::http`], with more keys for `[[listener]]` and for `[[cluster]]`.
    pub(crate) fn http_with(
        flavor: &str,
        coordinators: &[SocketAddr],
        listener: &str,
        cluster: &str,
    ) -> Self {
        let coordinators: Vec<String> = coordinators
            .iter()
            .map(|at| {
                let (ip, port) = (at.ip(), at.port());
                format!("{{ host = \"{ip}\", hs2 = 0, beeswax = 0, hs2_http = {port}, web = 0 }}")
            })
            .collect();
        Self::start(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2-http\"\n{listener}\n\
             [[cluster]]\nname = \"test\"\nflavor = \"{flavor}\"\n{SELDOM}\n{cluster}\ncoordinators = [{}]\n",
            coordinators.join(", ")
        ))
    }

    /// The address of the listener at this place of the config.
    pub(crate) fn listener(&self, place: usize) -> SocketAddr {
        self.router().listeners()[place]
    }

    /// The first listener, for a client program.
    pub(crate) fn target(&self) -> Target {
        Target::of(self.listener(0))
    }

    /// The router itself.
    pub(crate) fn router(&self) -> &Router {
        self.router.as_ref().expect("it is taken only by drain")
    }

    /// What it has logged.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// All metrics, as `/metrics` shows them.
    pub(crate) fn metrics(&self) -> String {
        self.router().metrics().render().unwrap()
    }

    /// The value of a metric with exactly these labels, as `/metrics` shows it: `name{a="b"}`.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has this value.
    pub(crate) fn await_metric(&self, series: &str, value: f64) {
        let ok = eventually(|| (self.metric(series) - value).abs() < f64::EPSILON);
        assert!(ok, "{series} is {} and not {value}", self.metric(series));
    }

    /// Drains it as SIGTERM does; returns how many connections were cut.
    pub(crate) fn drain(mut self) -> usize {
        let router = self.router.take().expect("a router is drained once");
        self.runtime.block_on(router.drain(std::future::pending()))
    }
}

impl Drop for TestRouter {
    fn drop(&mut self) {
        // Within the runtime, as its parts expect.
        let _inside = self.runtime.enter();
        drop(self.router.take());
    }
}

/// Whether something becomes true within ten seconds. For what happens on other threads with nothing to wait
/// for.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = clock::now() + Duration::from_secs(10);
    loop {
        if condition() {
            return true;
        }
        if clock::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
