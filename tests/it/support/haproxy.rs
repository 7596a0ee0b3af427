//! A real `HAProxy` in front of the router.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hs2router::clock;

use super::elsewhere::ELSEWHERE;
use super::keeper::Keeper;
use super::ports::KeptPort;

/// How long it may take until it listens.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// A running `HAProxy`, which passes connections on from [`ELSEWHERE`].
pub(crate) struct Haproxy {
    port: KeptPort,
    _keeper: Keeper,
}

impl Haproxy {
    /// Passes connections on to this address, with these words on the line of the server: `send-proxy`.
    pub(crate) fn start(to: SocketAddr, words: &str) -> Self {
        Self::with(to, words, "")
    }

    /// The same with words for the line of its own port, too: `ssl crt FILE`.
    pub(crate) fn with(to: SocketAddr, words: &str, bind: &str) -> Self {
        Self::of("tcp", bind, &format!("  server router {to} source {ELSEWHERE} {words}\n"))
    }

    /// Shares requests over HTTP out between coordinators, all of a client's to the same one.
    pub(crate) fn over_http(coordinators: &[SocketAddr]) -> Self {
        let server = |(place, at)| format!("  server c{place} {at}\n");
        let servers: String = coordinators.iter().enumerate().map(server).collect();
        Self::of("http", "", &format!("  balance source\n{servers}"))
    }

    fn of(mode: &str, bind: &str, servers: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("hs2router-haproxy-").tempdir().unwrap().keep();
        let config = folder.join("haproxy.cfg");
        let port = KeptPort::take(0).unwrap();
        let text = format!(
            "global\n  nbthread 1\n  maxconn 100\ndefaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 1m\n  \
             timeout server 1m\nlisten test\n  bind 127.0.0.1:{} {bind}\n{servers}",
            port.number()
        );
        fs::write(&config, text).unwrap();
        let arguments = ["-db", "-q", "-f", config.to_str().unwrap()].map(str::to_owned);
        let keeper = Keeper::start(&folder, Path::new("haproxy"), &arguments, &[]);
        let deadline = clock::now() + START_DEADLINE;
        while keeper.listening_port() != Some(port.number()) {
            assert!(clock::now() < deadline, "haproxy does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { port, _keeper: keeper }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port.number()))
    }
}
