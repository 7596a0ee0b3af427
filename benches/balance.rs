//! How evenly running operations spread: 200 sessions opened in bursts of 50 over four coordinators, 20 of
//! them, chosen at random, running statements all the time. Printed is the largest over the mean number of
//! running operations of a coordinator, averaged over time, then over seeds; 1 is perfect. `HAProxy`'s
//! leastconn does the same beside the router where it is installed.
//!
//! `cargo bench --bench balance -- 30` runs 30 seeds (the default), some two minutes; with `--write FILE` the
//! table is put into that document too.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends when anything fails"
)]

#[path = "section.rs"]
mod section;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use hs2router::control::config::Config;
use hs2router::control::router::Router;
use hs2router::fake::client::{Hs2Client, Login};
use hs2router::fake::{Coordinator, Settings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const COORDINATORS: usize = 4;
const BURSTS: usize = 4;
const BURST: usize = 50;
const BUSY: usize = 20;
/// Between two bursts, so that the statements of the last one run.
const PAUSE: Duration = Duration::from_millis(200);
/// Looks at the coordinators, and from one to the next.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(20);

/// Measures how evenly running operations spread.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench balance --")]
struct Args {
    /// How often, each time with other sessions busy
    #[arg(default_value_t = 30)]
    seeds: u64,
    /// Put the table into this document too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
}

fn fleet() -> Vec<Coordinator> {
    let start = |number| {
        let settings = Settings { name: format!("c{number}"), service_threads: 256, ..Settings::default() };
        Coordinator::start(settings).unwrap()
    };
    (1..=COORDINATORS).map(start).collect()
}

/// One run through `at`: the mean over time of largest over mean.
fn run(at: SocketAddr, coordinators: &[Coordinator], seed: u64) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let busy: HashSet<usize> = rand::seq::index::sample(&mut rng, BURSTS * BURST, BUSY).into_iter().collect();
    let over = AtomicBool::new(false);
    let session = |number: usize| {
        let mut client = Hs2Client::connect(at, &Login::NoSasl).unwrap();
        let session = client.open(&[]).unwrap();
        while !over.load(Ordering::Relaxed) {
            if busy.contains(&number) {
                client.query(&session, "select sleep(100)").unwrap();
            } else {
                thread::sleep(LOOK);
            }
        }
        client.close_session(&session).unwrap();
    };
    let session = &session;
    thread::scope(|scope| {
        for burst in 0..BURSTS {
            for number in burst * BURST..(burst + 1) * BURST {
                scope.spawn(move || session(number));
            }
            let sessions = || coordinators.iter().map(|one| one.open_sessions().len()).sum::<usize>();
            while sessions() < (burst + 1) * BURST {
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(PAUSE);
        }
        let mut sum = 0.0;
        for _ in 0..LOOKS {
            let running = coordinators.iter().map(|one| u32::try_from(one.open_operations()).unwrap());
            let running: Vec<f64> = running.map(f64::from).collect();
            let total: f64 = running.iter().sum();
            let most = running.iter().copied().fold(0.0, f64::max);
            sum += most * running.iter().map(|_| 1.0).sum::<f64>() / total.max(1.0);
            thread::sleep(LOOK);
        }
        over.store(true, Ordering::Relaxed);
        sum / f64::from(LOOKS)
    })
}

fn through_router(coordinators: &[Coordinator], seed: u64) -> f64 {
    let list: Vec<String> = coordinators
        .iter()
        .map(|one| {
            let (hs2, web) = (one.hs2().port(), one.web().port());
            let name = one.name();
            format!("{{ name = \"{name}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = 0, hs2_http = 0, web = {web} }}")
        })
        .collect();
    // Its session for probes would be one more than were opened.
    let config = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nprobe = {{ interval = \"1h\" }}\ncoordinators = [{}]\n",
        list.join(", ")
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = {
        let _inside = runtime.enter();
        Router::start(&Config::parse("balance", &config).unwrap()).unwrap()
    };
    let result = run(*router.listeners().first().unwrap(), coordinators, seed);
    runtime.block_on(router.drain(std::future::ready(())));
    result
}

/// A process that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn through_haproxy(coordinators: &[Coordinator], seed: u64, folder: &std::path::Path) -> f64 {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = coordinators.iter().map(|one| format!("  server {} {}", one.name(), one.hs2()));
    let servers = servers.collect::<Vec<_>>().join("\n");
    let config = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n\
         listen all\n  bind {at}\n  balance leastconn\n{servers}\n"
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(command.spawn().unwrap());
    while TcpStream::connect(at).is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    run(at, coordinators, seed)
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.iter().map(|_| 1.0).sum::<f64>()
}

fn main() {
    let Args { seeds, write, .. } = Args::parse();
    let folder = tempfile::tempdir().unwrap();
    let has_haproxy = Command::new("haproxy").arg("-v").output().is_ok();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        ours.push(through_router(&fleet(), seed));
        if has_haproxy {
            theirs.push(through_haproxy(&fleet(), seed, folder.path()));
        }
    }
    let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output().unwrap().stdout;
    let date = String::from_utf8(date).unwrap();
    let mut text = format!(
        "- date: {}\n- command: cargo bench --bench balance -- {seeds}\n\n\
         | through | max/mean of running operations, mean of {seeds} seeds | worst seed |\n| --- | --- | --- |\n",
        date.trim()
    );
    let rows = [("hs2router", ours), ("HAProxy leastconn", theirs)];
    for (name, all) in rows.iter().filter(|(_, all)| !all.is_empty()) {
        let worst = all.iter().copied().fold(0.0, f64::max);
        writeln!(text, "| {name} | {:.2} | {worst:.2} |", mean(all)).unwrap();
    }
    println!("{text}");
    if let Some(document) = write {
        section::write(&document, "balance", &text).unwrap();
    }
}
