//! What a flood of TLS handshakes does to the calls of others: `cargo bench --bench flood`, some five minutes;
//! with `-- --write FILE` the table is put into that document too.
//!
//! Sixteen clients make 2,000 small calls a second through a proxy that ends TLS, in turn alone and beside an
//! attacker who sends a recorded `ClientHello` on 256 connections at a time, reads nothing, and opens another
//! as soon as one was answered. The proxy has to agree on a key and to sign for each. Every round starts each
//! proxy afresh; the percentiles beside the attack are compared with those of the window just before.
//!
//! The proxy has one half of the cores to itself, as it would have its own machine, and everything else has the
//! other half. Where they share cores, a call's p99 is mostly how long the kernel lets a busy thread go on (some
//! 3 ms), whatever the proxy does.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for those who work on the router: a broken assumption should end it"
)]

#[path = "flood/attack.rs"]
mod attack;
#[path = "flood/calls.rs"]
mod calls;
#[expect(dead_code, reason = "nobody compares replies here, nor opens another connection")]
#[path = "compare/client.rs"]
mod client;
#[path = "compare/coordinator.rs"]
mod coordinator;
#[path = "head.rs"]
mod head;
#[path = "compare/http.rs"]
mod http;
#[expect(dead_code, reason = "another bench asks proxies to end")]
#[path = "compare/peers.rs"]
mod peers;
#[expect(dead_code, reason = "other benches measure and end processes in other ways")]
#[path = "compare/process.rs"]
mod process;
#[path = "section.rs"]
mod section;
#[path = "compare/tls.rs"]
mod tls;
#[path = "compare/wire.rs"]
mod wire;
#[expect(dead_code, reason = "the work here is another")]
#[path = "compare/work.rs"]
mod work;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use hs2router::chance::Chance;
use hs2router::clock;
use rand::seq::SliceRandom as _;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::time::sleep;

use crate::attack::Attack;
use crate::calls::{Calls, Window};
use crate::peers::{Peer, Setup};
use crate::process::Process;
use crate::tls::{Dialer, Identity};
use crate::work::{By, Work};

/// The work of the other comparison whose connections these are.
const WORK: &str = "tls-poll-16";
/// From a change to what is measured of it: long enough for the router to have chosen how many threads serve.
const SETTLE: Duration = Duration::from_millis(500);

/// Measures what a flood of TLS handshakes does to the calls of others.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench flood --")]
struct Args {
    /// How often each proxy is started
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often each is measured alone and beside the attack, each time it is started
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Seconds measured each time
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Only these proxies
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// A further router to compare, such as one built before a change; may be repeated
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = peers::named_program)]
    router: Vec<(String, PathBuf)>,
    /// Put the table into this document too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    child: Option<Role>,
}

/// What this program is started as by itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Coordinators,
}

/// A window alone, and the one beside the attack that followed it.
#[derive(Clone, Copy, Debug)]
struct Pair {
    alone: Window,
    beside: Window,
    /// Hellos answered in a second.
    answered: f64,
    /// Resident memory of the proxy at the end of each, in KiB.
    resident_kib: [u64; 2],
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.child {
        Some(Role::Coordinators) => return coordinator::run(),
        None if !args.bench => {
            println!("nothing was asked for; cargo bench runs it");
            return Ok(());
        }
        None => {}
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    let head = head::lines("flood");
    let half = keep_half_of_the_cores()?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/flood");
    std::fs::create_dir_all(&directory)?;
    let (_coordinators, line) = Process::start_self(&["--child".to_owned(), "coordinators".to_owned()])?;
    let addresses: Vec<SocketAddr> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let work = work::ALL.iter().find(|work| work.name == WORK).context(WORK)?;
    let coordinators = &coordinator::of_kind(&addresses, work.auth)[..work.coordinators];
    let bench = Bench { work, coordinators, identity: Identity::make(&directory)?, directory, half };
    let peers = chosen_peers(&args)?;
    let mut all: Vec<Vec<Pair>> = vec![Vec::new(); peers.len()];
    for round in 1..=args.rounds {
        let mut order: Vec<usize> = (0..peers.len()).collect();
        Chance::from_system().draw(|rng| order.shuffle(rng));
        for place in order {
            let pairs = runtime()?.block_on(bench.run(&peers[place], &args));
            let pairs = pairs.with_context(|| peers[place].name.clone())?;
            eprintln!("round {round}, {}: {}", peers[place].name, ratios(&pairs));
            all[place].extend(pairs);
        }
    }
    let text = markdown(head, &args, &peers, &all);
    println!("{text}");
    if let Some(document) = &args.write {
        section::write(document, "flood", &text)?;
    }
    Ok(())
}

fn chosen_peers(args: &Args) -> anyhow::Result<Vec<Peer>> {
    let mut peers = peers::installed(&args.router, None);
    peers.retain(|peer| peer.does(&Work { by: By::Terminators, ..work::ALL[0] }));
    peers.retain(|peer| args.peers.is_empty() || args.peers.contains(&peer.name));
    ensure!(!peers.is_empty(), "none of these is installed");
    Ok(peers)
}

/// Leaves the first half of the cores to the proxy: this process, and those that it starts otherwise, have the
/// rest. Returns how many the half is.
fn keep_half_of_the_cores() -> anyhow::Result<usize> {
    let cores = head::cores();
    ensure!(cores > 1, "proxy and load need a core each");
    let mut rest = CpuSet::new();
    (cores / 2..cores).for_each(|core| rest.set(core));
    sched_setaffinity(None, &rest)?;
    Ok(cores / 2)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Everything that a run needs.
struct Bench<'a> {
    work: &'a Work,
    coordinators: &'a [SocketAddr],
    identity: Identity,
    directory: PathBuf,
    /// How many cores the proxy has, from the first on.
    half: usize,
}

impl Bench<'_> {
    /// Measures a fresh process of one peer.
    async fn run(&self, peer: &Peer, args: &Args) -> anyhow::Result<Vec<Pair>> {
        let own_cores = ["taskset".to_owned(), "-c".to_owned(), format!("0-{}", self.half - 1)];
        let running = peer.start(&Setup {
            coordinators: self.coordinators,
            over_http: false,
            certificate: Some(&self.identity.files),
            directory: &self.directory,
            threads: self.half,
            probed: true,
            wrapper: &own_cores,
        })?;
        let (target, dialer) = (running.targets[0], Dialer::new(self.work, &self.identity)?);
        let hello = attack::record_hello(dialer.of_one_client()).await?;
        let calls = Calls::begin(&dialer, target).await?;
        let measured = Duration::from_secs_f64(args.seconds);
        let mut seen = Vec::new();
        for _ in 0..args.pairs {
            sleep(SETTLE).await;
            let begin = clock::now();
            sleep(measured).await;
            let (alone, before) = (begin..clock::now(), running.usage().resident_kib);
            let attack = Attack::begin(target, hello.clone());
            sleep(SETTLE).await;
            let (begin, answered) = (clock::now(), attack.answered());
            sleep(measured).await;
            let beside = begin..clock::now();
            let answered = (attack.answered() - answered) as f64 / (beside.end - beside.start).as_secs_f64();
            seen.push((alone, beside, answered, [before, running.usage().resident_kib]));
            attack.end()?;
        }
        let all = calls.end().await?;
        let window = |times: std::ops::Range<_>| Window::of(&all, times.start, times.end);
        let pair = |(alone, beside, answered, resident_kib)| Pair {
            alone: window(alone),
            beside: window(beside),
            answered,
            resident_kib,
        };
        Ok(seen.into_iter().map(pair).collect())
    }
}

/// Median, least and greatest; with so many digits.
fn spread(pairs: &[Pair], digits: usize, value: impl Fn(&Pair) -> f64) -> String {
    let mut values: Vec<f64> = pairs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    match values[..] {
        [] => "–".to_owned(),
        [least, .., greatest] => {
            format!("{:.digits$} ({least:.digits$}–{greatest:.digits$})", values[values.len() / 2])
        }
        [one] => format!("{one:.digits$}"),
    }
}

fn ratios(pairs: &[Pair]) -> String {
    spread(pairs, 2, |pair| pair.beside.p99 / pair.alone.p99)
}

/// `head` says when, how and where this was measured.
fn markdown(mut head: Vec<String>, args: &Args, peers: &[Peer], all: &[Vec<Pair>]) -> String {
    head.extend([
        format!(
            "{} rounds of {} pairs of windows of {} s; medians of the pairs, in parentheses least and greatest",
            args.rounds, args.pairs, args.seconds
        ),
        format!("{} clients, 2,000 calls a second (GetOperationStatus) of all; {} connections attack", calls::CLIENTS, attack::AT_ONCE),
        "the proxy has half of the cores; client, coordinators and attacker share the others, the attacker with a lower priority"
            .to_owned(),
        tls::MADE_WITH.to_owned(),
    ]);
    head.extend(peers.iter().map(|peer| {
        let library = peer.tls_library().map(|library| format!("; {library}")).unwrap_or_default();
        format!("{}: {}{library}", peer.name, peer.version().unwrap_or_default())
    }));
    let mut text = head.iter().fold(String::new(), |mut text, line| {
        let _infallible = writeln!(text, "- {line}");
        text
    });
    let _infallible = write!(
        text,
        "\n| through | p50 µs alone | beside | p99 µs alone | beside | p99 × alone | calls in a window alone | beside | \
         hellos answered/s | MiB resident alone | beside |\n|{}\n",
        " --- |".repeat(11)
    );
    for (peer, pairs) in peers.iter().zip(all) {
        let cells = [
            peer.name.clone(),
            spread(pairs, 0, |pair| pair.alone.p50),
            spread(pairs, 0, |pair| pair.beside.p50),
            spread(pairs, 0, |pair| pair.alone.p99),
            spread(pairs, 0, |pair| pair.beside.p99),
            ratios(pairs),
            spread(pairs, 0, |pair| pair.alone.calls as f64),
            spread(pairs, 0, |pair| pair.beside.calls as f64),
            spread(pairs, 0, |pair| pair.answered),
            spread(pairs, 1, |pair| pair.resident_kib[0] as f64 / 1024.0),
            spread(pairs, 1, |pair| pair.resident_kib[1] as f64 / 1024.0),
        ];
        let _infallible = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}
