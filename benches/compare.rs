//! The router beside other proxies, on the same work: `cargo bench --bench compare` (`-- --quick` for a first
//! look).
//!
//! Every round gives each piece of work to each peer once, in random order, and each peer is a fresh process;
//! ratios are taken within a round. The load client (one thread of this process) and the simulated
//! coordinators (one process, one thread) are the same for all; the peer `direct` has no proxy and shows what
//! those two can do.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "compare/bare.rs"]
mod bare;
#[path = "compare/blind.rs"]
mod blind;
#[path = "compare/client.rs"]
mod client;
#[path = "compare/coordinator.rs"]
mod coordinator;
#[path = "head.rs"]
mod head;
#[path = "compare/http.rs"]
mod http;
#[path = "compare/load.rs"]
mod load;
#[expect(dead_code, reason = "another bench asks proxies to end")]
#[path = "compare/peers.rs"]
mod peers;
#[expect(dead_code, reason = "other benches end processes in other ways")]
#[path = "compare/process.rs"]
mod process;
#[path = "compare/report.rs"]
mod report;
#[path = "section.rs"]
mod section;
#[path = "compare/summary.rs"]
mod summary;
#[path = "compare/syscalls.rs"]
mod syscalls;
#[path = "compare/tls.rs"]
mod tls;
#[path = "compare/wire.rs"]
mod wire;
#[path = "compare/work.rs"]
mod work;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use hs2router::chance::Chance;
use rand::seq::SliceRandom as _;

use crate::load::{Moment, Timing};
use crate::peers::{Peer, Running, Setup};
use crate::process::Process;
use crate::report::{Record, Seen, Sides};
use crate::tls::{Dialer, Identity};
use crate::wire::Auth;
use crate::work::{Suite, Transport, Unit, Work};

/// Idle sessions in a quick run.
const QUICK_IDLE: usize = 1_000;

/// Compares the router with other proxies.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench compare --")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Args {
    /// One short round of everything: shows that it works, and no more
    #[arg(long)]
    quick: bool,
    /// The work whose clients come with TLS, which the proxies end, instead of that in the clear
    #[arg(long, conflicts_with = "http")]
    tls: bool,
    /// The work whose clients speak HTTP, instead of Thrift alone
    #[arg(long)]
    http: bool,
    /// Only work whose name contains this; may be repeated
    #[arg(long, value_name = "WORK")]
    only: Vec<String>,
    /// Only these peers; the ratios need haproxy
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// How often each peer does each piece of work [default: 7, quick: 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds measured each time [default: 1.5, quick: 0.3]
    #[arg(long)]
    seconds: Option<f64>,
    /// A further router to compare, such as one built before a change; may be repeated
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = peers::named_program)]
    router: Vec<(String, PathBuf)>,
    /// Envoy's program, to compare it too
    #[arg(long, value_name = "PROGRAM")]
    envoy: Option<PathBuf>,
    /// Count system calls besides (with strace)
    #[arg(long)]
    syscalls: bool,
    /// Put the tables into this document too, such as docs/BENCHMARKS.md
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    child: Option<Role>,
    #[arg(long, hide = true)]
    target: Vec<SocketAddr>,
    #[arg(long, hide = true, default_value_t = 1)]
    threads: usize,
}

impl Args {
    fn suite(&self) -> Suite {
        match (self.tls, self.http) {
            (true, _) => Suite::Tls,
            (_, true) => Suite::Http,
            _ => Suite::Clear,
        }
    }
}

/// What this program is started as by itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Coordinators,
    Blind,
    Bare,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.child {
        Some(Role::Coordinators) => coordinator::run(),
        Some(Role::Blind) => blind::run(&args.target, args.threads),
        Some(Role::Bare) => bare::run(&args.target, args.threads),
        None if args.bench || std::env::args_os().len() > 1 => compare(&args),
        None => {
            println!("nothing was asked for; cargo bench runs it");
            Ok(())
        }
    }
}

/// Everything that a run needs.
struct Bench {
    coordinators: Process,
    addresses: Vec<SocketAddr>,
    directory: PathBuf,
    identity: Identity,
    timing: Timing,
}

fn compare(args: &Args) -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let (works, peers) = (works(args)?, chosen_peers(args)?);
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 7 });
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compare");
    std::fs::create_dir_all(&directory)?;
    let (coordinators, line) = Process::start_self(&["--child".to_owned(), "coordinators".to_owned()])?;
    let addresses = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    eprintln!("This takes about {} minutes.", minutes(args, &works, &peers, rounds));
    let (identity, timing) = (Identity::make(&directory)?, timing(args));
    let bench = Bench { coordinators, addresses, directory: directory.clone(), identity, timing };

    let (mut records, mut failures) = (Vec::new(), 0);
    for round in 0..rounds {
        for work in &works {
            let mut order: Vec<&Peer> = peers.iter().filter(|peer| peer.does(work)).collect();
            Chance::from_system().draw(|rng| order.shuffle(rng));
            for peer in order {
                progress(&format!("round {} of {rounds}: {}, {}", round + 1, work.name, peer.name));
                match bench.run(round, work, peer) {
                    Ok(record) => records.push(record),
                    Err(error) => {
                        failures += 1;
                        progress("");
                        eprintln!("{} at {}: {error:#}", peer.name, work.name);
                    }
                }
            }
        }
    }
    progress("");
    if args.syscalls
        && let Err(error) = bench.count_syscalls(&works, &peers, &mut records)
    {
        // What was measured before is worth telling all the same.
        failures += 1;
        eprintln!("counting system calls: {error:#}");
    }

    let head = head(args, &bench, &peers, rounds);
    let markdown = report::markdown(&head, &works, &peers, &records);
    println!("{markdown}");
    let saved = save(&directory, &head, &records, &markdown)?;
    println!("saved as {}", saved.display());
    if let Some(document) = &args.write {
        section::write(document, args.suite().section(), &markdown)?;
    }
    ensure!(failures == 0, "{failures} runs failed and are not in the tables");
    Ok(())
}

/// How long it all takes, by what a run takes besides what is measured; in whole minutes, at least 1.
fn minutes(args: &Args, works: &[Work], peers: &[Peer], rounds: usize) -> u64 {
    let of_work = |work: &Work| {
        let Timing { warm_up, settle, measured } = timing(args).of(work);
        let opened = work.idle + work.clients;
        // A process to start, sessions to open, 9,000 of them in some three seconds.
        let besides =
            Duration::from_millis(500) + Duration::from_micros(350) * u32::try_from(opened).unwrap_or(0);
        let once = warm_up + measured + besides + if work.idle > 0 { settle } else { Duration::ZERO };
        let traced = u32::from(args.syscalls && work.is_traced());
        let runs = u32::try_from(rounds).unwrap_or(u32::MAX).saturating_add(traced);
        once * runs * u32::try_from(peers.iter().filter(|peer| peer.does(work)).count()).unwrap_or(1)
    };
    works.iter().map(of_work).sum::<Duration>().as_secs().div_ceil(60)
}

fn works(args: &Args) -> anyhow::Result<Vec<Work>> {
    let chosen =
        |work: &&Work| args.only.is_empty() || args.only.iter().any(|part| work.name.contains(part.as_str()));
    let there = || work::ALL.iter().filter(|work| work.suite() == args.suite());
    let mut works: Vec<Work> = there().filter(chosen).copied().collect();
    let names: Vec<_> = there().map(|work| work.name).collect();
    ensure!(!works.is_empty(), "no such work; there is {}", names.join(", "));
    for work in &mut works {
        work.idle = if args.quick { work.idle.min(QUICK_IDLE) } else { work.idle };
    }
    Ok(works)
}

fn chosen_peers(args: &Args) -> anyhow::Result<Vec<Peer>> {
    let mut peers = peers::installed(&args.router, args.envoy.as_ref());
    let names: Vec<_> = peers.iter().map(|peer| peer.name.clone()).collect();
    let unknown = args.peers.iter().find(|peer| !names.contains(peer));
    ensure!(unknown.is_none(), "{unknown:?} is not installed; there is {}", names.join(", "));
    peers.retain(|peer| args.peers.is_empty() || args.peers.contains(&peer.name));
    Ok(peers)
}

fn timing(args: &Args) -> Timing {
    let measured = args.seconds.unwrap_or(if args.quick { 0.3 } else { 1.5 });
    let measured = Duration::from_secs_f64(measured);
    Timing { warm_up: measured / 3, settle: measured.min(Duration::from_secs(1)), measured }
}

impl Bench {
    /// Starts a peer for a piece of work.
    fn start(&self, peer: &Peer, work: &Work) -> anyhow::Result<Running> {
        let coordinators = self.coordinators(work);
        let is_clear = work.transport == Transport::Clear;
        peer.start(&Setup {
            coordinators: &coordinators,
            over_http: work.auth == Auth::HttpBasic,
            kerberos: None,
            certificate: (!is_clear).then_some(&self.identity.files),
            directory: &self.directory,
            threads: head::cores(),
            // A thousand would be some hundred probes a second, which is another matter than picks.
            probed: coordinators.len() <= coordinator::COORDINATORS,
            wrapper: &[],
        })
    }

    /// What a proxy is told of for a piece of work.
    fn coordinators(&self, work: &Work) -> Vec<SocketAddr> {
        let there = coordinator::of_kind(&self.addresses, work.auth);
        there.iter().copied().take(work.coordinators).collect()
    }

    /// Gives one piece of work to a fresh process of one peer.
    fn run(&self, round: usize, work: &Work, peer: &Peer) -> anyhow::Result<Record> {
        let (running, dialer) = (self.start(peer, work)?, Dialer::new(work, &self.identity)?);
        let mut seen = Seen::default();
        let look = |moment: Moment| {
            let sides = Sides {
                proxy: running.usage(),
                client: process::own_cpu(),
                coordinators: self.coordinators.usage(),
            };
            *match moment {
                Moment::Fresh => &mut seen.fresh,
                Moment::Idle => &mut seen.idle,
                Moment::Begin => &mut seen.begin,
                Moment::End => &mut seen.end,
            } = sides;
        };
        let timing = self.timing.of(work);
        let done = runtime()?.block_on(load::run(*work, &dialer, &running.targets, timing, look))?;
        Ok(Record::new(round, work, &peer.name, &done, &seen))
    }

    /// Runs every proxy once more, traced, and notes what it asked of the kernel.
    fn count_syscalls(&self, works: &[Work], peers: &[Peer], records: &mut [Record]) -> anyhow::Result<()> {
        for work in works.iter().filter(|work| work.is_traced()) {
            for peer in peers.iter().filter(|peer| peer.does(work)) {
                let record =
                    records.iter_mut().find(|record| record.work == work.name && record.peer == peer.name);
                let (running, dialer) = (self.start(peer, work)?, Dialer::new(work, &self.identity)?);
                let (Some(record), Some(id)) = (record, running.id()) else { continue };
                progress(&format!("counting system calls: {}, {}", work.name, peer.name));
                let mut trace = None;
                let look = |moment: Moment| match moment {
                    Moment::Begin => trace = syscalls::start(id, &self.directory).ok(),
                    Moment::End => syscalls::stop(trace.as_mut()),
                    Moment::Fresh | Moment::Idle => {}
                };
                let timing = self.timing.of(work);
                let done = runtime()?.block_on(load::run(*work, &dialer, &running.targets, timing, look))?;
                let units = if work.unit() == Unit::Session { done.sessions } else { done.calls };
                record.syscalls = syscalls::read(trace, &self.directory, units.max(1)).ok();
            }
        }
        progress("");
        Ok(())
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Shows what is going on to whoever watches.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

/// What a reader of the tables must know.
fn head(args: &Args, bench: &Bench, peers: &[Peer], rounds: usize) -> Vec<String> {
    let (cores, seconds) = (head::cores(), bench.timing.measured.as_secs_f64());
    let mut head = head::lines("compare");
    head.extend([
        format!(
            "rounds: {rounds}, {seconds} s each; medians over the rounds, in parentheses least and greatest"
        ),
        format!(
            "{} coordinators, client and proxy share the cores; proxies have {cores} threads",
            coordinator::COORDINATORS
        ),
    ]);
    head.extend(args.tls.then(|| tls::MADE_WITH.to_owned()));
    head.extend(peers.iter().map(|peer| {
        let library = peer.tls_library().filter(|_| args.tls).map(|library| format!("; {library}"));
        format!("{}: {}{}", peer.name, peer.version().unwrap_or_default(), library.unwrap_or_default())
    }));
    head
}

fn save(directory: &Path, head: &[String], records: &[Record], markdown: &str) -> anyhow::Result<PathBuf> {
    let json = serde_json::to_string_pretty(&serde_json::json!({ "head": head, "records": records }))?;
    // Runs are kept, named by the second they ended in.
    let output = Command::new("date").arg("+%Y%m%d-%H%M%S").output()?;
    let name = String::from_utf8(output.stdout)?.trim().to_owned();
    ensure!(!name.is_empty(), "date says nothing");
    for (name, text) in [(name.as_str(), &json), ("latest", &json)] {
        std::fs::write(directory.join(format!("{name}.json")), text)?;
    }
    let saved = directory.join(format!("{name}.md"));
    std::fs::write(&saved, markdown).context("the table")?;
    std::fs::write(directory.join("latest.md"), markdown)?;
    Ok(saved)
}
