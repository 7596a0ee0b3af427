//! The router as a process of its own, for what is a process's: its memory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc;

use super::keeper::Keeper;
use super::router::{SELDOM, eventually};

/// The program that users run, as a process of its own.
pub(crate) struct Program {
    pid: u32,
    pub(crate) listener: SocketAddr,
    admin: SocketAddr,
    // Kills it.
    _keeper: Keeper,
}

impl Program {
    /// In front of one coordinator, with these keys for `[router]`.
    pub(crate) fn start(coordinator: SocketAddr, keys: &str) -> Self {
        Self::start_with(coordinator, "", "share_links = false", keys)
    }

    /// As [`Self::start`], with more keys for `[[listener]]` and `[[cluster]]`.
    pub(crate) fn start_with(coordinator: SocketAddr, listener: &str, cluster: &str, keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let config = folder.join("config.toml");
        let (ip, port) = (coordinator.ip(), coordinator.port());
        let text = format!(
            "[router]\n{keys}\n[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n{listener}\n\
             [[cluster]]\n{SELDOM}\nservice_threads = 0\n{cluster}\ncoordinators = [{{ host = \"{ip}\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}]\n"
        );
        fs::write(&config, text).unwrap();
        let script = "echo $$; exec \"$@\"";
        let program = env!("CARGO_BIN_EXE_hs2router");
        let arguments = ["-c", script, "start", program, "run", "--config", config.to_str().unwrap()];
        let mut keeper = Keeper::start(&folder, Path::new("bash"), &arguments.map(str::to_owned), &[]);
        let mut lines = BufReader::new(keeper.output()).lines();
        let pid = lines.next().unwrap().unwrap().parse().unwrap();
        let (said, saying) = mpsc::channel();
        // To the last line, or the program stands still.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(said.send(line))));
        let address =
            |line: &str, key: &str| Some(line.split_once(key)?.1.split(' ').next()?.parse().unwrap());
        let mut listener = None;
        let admin = saying.iter().find_map(|line| {
            listener = listener.or_else(|| address(&line, " address="));
            address(&line, " admin=")
        });
        Self { pid, listener: listener.unwrap(), admin: admin.unwrap(), _keeper: keeper }
    }

    /// A line of its `/proc/PID/status`, in bytes.
    pub(crate) fn status(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() * 1024
    }

    /// The sum of all series that begin like this.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix(series));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Whether it stops passing bytes on: for a quarter of a second there are none.
    pub(crate) fn comes_to_rest(&self) -> bool {
        let (mut passed, mut same) = (0.0, 0);
        eventually(|| {
            let now = self.metric("hs2router_bytes_total");
            same = if (now - passed).abs() < 1.0 { same + 1 } else { 0 };
            passed = now;
            same == 50
        })
    }
}
