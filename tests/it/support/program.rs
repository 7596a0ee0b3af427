//! The router as a process of its own, for what is a process's: its memory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
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
        let (ip, port) = (coordinator.ip(), coordinator.port());
        Self::of(&format!(
            "[router]\n{keys}\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n{listener}\n\
             [[cluster]]\n{SELDOM}\nservice_threads = 0\n{cluster}\ncoordinators = [{{ host = \"{ip}\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}]\n"
        ))
    }

    /// As [`Self::start`], over HTTP.
    pub(crate) fn over_http(coordinator: SocketAddr) -> Self {
        let (ip, port) = (coordinator.ip(), coordinator.port());
        Self::of(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2-http\"\n\
             [[cluster]]\n{SELDOM}\nshare_links = false\ncoordinators = [{{ host = \"{ip}\", hs2_http = {port}, beeswax = 0, hs2 = 0, web = 0 }}]\n"
        ))
    }

    fn of(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let file = folder.join("config.toml");
        fs::write(&file, format!("[admin]\naddress = \"127.0.0.1:0\"\n{config}")).unwrap();
        let script = "echo $$; exec \"$@\"";
        let program = env!("CARGO_BIN_EXE_hs2router");
        let arguments = ["-c", script, "start", program, "run", "--config", file.to_str().unwrap()];
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

    /// How often these bytes are in the memory that it can write to.
    pub(crate) fn copies_of(&self, wanted: &[u8]) -> usize {
        let open = |name: &str| fs::File::open(format!("/proc/{}/{name}", self.pid)).unwrap();
        let (memory, pages) = (open("mem"), open("pagemap"));
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap();
        let found = maps.lines().filter_map(writable).flat_map(|range| used(&pages, &range)).map(|range| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
            // What was given back since is not read.
            let read = memory.read_at(&mut bytes, range.start).unwrap_or(0);
            bytes[..read]
                .windows(wanted.len())
                .filter(|place| place[0] == wanted[0] && *place == wanted)
                .count()
        });
        found.sum()
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

/// The parts of a range of memory that hold something: an allocator reserves more than it uses. By
/// `/proc/PID/pagemap`, which has 64 bits for each page: bit 63 says that it is in memory, bit 62 that it is
/// swapped out.
fn used(pages: &fs::File, range: &Range<u64>) -> Vec<Range<u64>> {
    let step = rustix::param::page_size();
    let page = step as u64;
    let mut entries = vec![0; usize::try_from((range.end - range.start) / page).unwrap() * 8];
    let read = pages.read_at(&mut entries, range.start / page * 8).unwrap_or(0);
    let mut parts: Vec<Range<u64>> = Vec::new();
    for (entry, start) in entries[..read].chunks_exact(8).zip((range.start..).step_by(step)) {
        let is_used = u64::from_ne_bytes(entry.try_into().unwrap()) >> 62 != 0;
        match parts.last_mut() {
            Some(last) if is_used && last.end == start => last.end += page,
            _ if is_used => parts.push(start..start + page),
            _ => {}
        }
    }
    parts
}

/// The range of memory that a line of `/proc/PID/maps` is about, if the process can write to it:
/// `7f1c-7f2c rw-p 00000000 00:00 0`.
fn writable(line: &str) -> Option<Range<u64>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    rest.starts_with("rw").then_some(number(start)?..number(end)?)
}
