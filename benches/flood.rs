//! What a flood of TLS handshakes does to the calls of others: `cargo bench --bench flood`, some five minutes;
//! with `-- --write FILE` the table is put into that document too. With `--features kerberos` and `-- --tickets`, what
//! a flood of garbage tokens of Kerberos does.
//!
//! Sixteen clients make 2,000 small calls a second through a proxy that ends TLS, in turn alone and beside an
//! attacker who sends a recorded `ClientHello` on 256 connections at a time, reads nothing, and opens another
//! as soon as one was answered. The proxy has to agree on a key and to sign for each. Every round starts each
//! proxy afresh; the percentiles beside the attack are compared with those of the window just before. A thousand
//! connections send tokens, in SASL or over HTTP, and the clients' calls are in the clear.
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
#[path = "flood/tokens.rs"]
mod tokens;
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
use crate::peers::{Kind, Peer, Setup};
use crate::process::Process;
use crate::tls::{Dialer, Identity};
use crate::tokens::Keytab;
use crate::work::{By, Work};

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
    /// Attack with garbage tokens of Kerberos; only routers, which must be built with it
    #[arg(long)]
    tickets: bool,
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

/// What the attacker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Hellos,
    InSasl,
    OverHttp,
}

impl Sent {
    /// The work of the other comparison whose connections the clients have.
    fn work(self) -> &'static str {
        if self == Self::Hellos { "tls-poll-16" } else { "poll-16" }
    }

    /// On how many connections at a time.
    fn at_once(self) -> usize {
        if self == Self::Hellos { 256 } else { 1_000 }
    }

    /// The section of the document that has the table.
    fn section(self) -> &'static str {
        if self == Self::Hellos { "flood" } else { "flood-tickets" }
    }
}

/// What is measured: a proxy, and what attacks it.
struct Case {
    name: String,
    peer: Peer,
    sent: Sent,
}

/// A window alone, and the one beside the attack that followed it.
#[derive(Clone, Copy, Debug)]
struct Pair {
    alone: Window,
    beside: Window,
    /// What was answered of the attack in a second.
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
    let cases = chosen_cases(&args)?;
    let kind = cases[0].sent;
    let head = head::lines("flood");
    let half = keep_half_of_the_cores()?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/flood");
    std::fs::create_dir_all(&directory)?;
    let (_coordinators, line) = Process::start_self(&["--child".to_owned(), "coordinators".to_owned()])?;
    let addresses: Vec<SocketAddr> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let work = work::ALL.iter().find(|work| work.name == kind.work()).context(kind.work())?;
    let coordinators = &coordinator::of_kind(&addresses, work.auth)[..work.coordinators];
    let (identity, keytab) = (Identity::make(&directory)?, Keytab::make(&directory)?);
    let bench = Bench { work, coordinators, identity, keytab, directory, half };
    let mut all: Vec<Vec<Pair>> = vec![Vec::new(); cases.len()];
    for round in 1..=args.rounds {
        let mut order: Vec<usize> = (0..cases.len()).collect();
        Chance::from_system().draw(|rng| order.shuffle(rng));
        for place in order {
            let pairs = runtime()?.block_on(bench.run(&cases[place], &args));
            let pairs = pairs.with_context(|| cases[place].name.clone())?;
            eprintln!("round {round}, {}: {}", cases[place].name, ratios(&pairs));
            all[place].extend(pairs);
        }
    }
    let text = markdown(head, &args, &cases, &all);
    println!("{text}");
    if let Some(document) = &args.write {
        section::write(document, kind.section(), &text)?;
    }
    Ok(())
}

fn chosen_cases(args: &Args) -> anyhow::Result<Vec<Case>> {
    let mut peers = peers::installed(&args.router, None);
    peers.retain(|peer| peer.does(&Work { by: By::Terminators, ..work::ALL[0] }));
    peers.retain(|peer| args.peers.is_empty() || args.peers.contains(&peer.name));
    let cases: Vec<_> = if args.tickets {
        peers.retain(|peer| matches!(peer.kind, Kind::Router(_)));
        let of = |peer: &Peer| {
            [("in SASL", Sent::InSasl), ("over HTTP", Sent::OverHttp)].map(|(how, sent)| Case {
                name: format!("{}, tokens {how}", peer.name),
                peer: peer.clone(),
                sent,
            })
        };
        peers.iter().flat_map(of).collect()
    } else {
        let of = |peer: Peer| Case { name: peer.name.clone(), peer, sent: Sent::Hellos };
        peers.into_iter().map(of).collect()
    };
    ensure!(!cases.is_empty(), "none of these is installed");
    Ok(cases)
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
    keytab: Keytab,
    directory: PathBuf,
    /// How many cores the proxy has, from the first on.
    half: usize,
}

impl Bench<'_> {
    /// Measures a fresh process of one peer.
    async fn run(&self, case: &Case, args: &Args) -> anyhow::Result<Vec<Pair>> {
        let cores = format!("0-{}", self.half - 1);
        let config = format!("KRB5_CONFIG={}", self.keytab.config.display());
        let own_cores = ["env", &config, "taskset", "-c", &cores].map(str::to_owned);
        let (tables, is_tls) = (self.keytab.tables(), case.sent == Sent::Hellos);
        let running = case.peer.start(&Setup {
            coordinators: self.coordinators,
            over_http: false,
            certificate: is_tls.then_some(&self.identity.files),
            kerberos: (!is_tls).then_some(&tables),
            directory: &self.directory,
            threads: self.half,
            probed: true,
            wrapper: &own_cores,
        })?;
        let (target, dialer) = (running.targets[0], Dialer::new(self.work, &self.identity)?);
        let message = match case.sent {
            Sent::Hellos => attack::record_hello(dialer.of_one_client()).await?,
            Sent::InSasl => tokens::in_sasl(),
            Sent::OverHttp => tokens::over_http(),
        };
        let calls = Calls::begin(&dialer, target).await?;
        let measured = Duration::from_secs_f64(args.seconds);
        let mut seen = Vec::new();
        for _ in 0..args.pairs {
            sleep(SETTLE).await;
            let begin = clock::now();
            sleep(measured).await;
            let (alone, before) = (begin..clock::now(), running.usage().resident_kib);
            let attack = Attack::begin(target, message.clone(), case.sent.at_once());
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
fn markdown(mut head: Vec<String>, args: &Args, cases: &[Case], all: &[Vec<Pair>]) -> String {
    let kind = cases[0].sent;
    let (made_with, answered) = match kind {
        Sent::Hellos => (tls::MADE_WITH, "hellos"),
        Sent::InSasl | Sent::OverHttp => (tokens::MADE_WITH, "tokens"),
    };
    head.extend([
        format!(
            "{} rounds of {} pairs of windows of {} s; medians of the pairs, in parentheses least and greatest",
            args.rounds, args.pairs, args.seconds
        ),
        format!("{} clients, 2,000 calls a second (GetOperationStatus) of all; {} connections attack", calls::CLIENTS, kind.at_once()),
        "the proxy has half of the cores; client, coordinators and attacker share the others, the attacker with a lower priority"
            .to_owned(),
        made_with.to_owned(),
    ]);
    let is_first =
        |place: usize| cases[..place].iter().all(|before| before.peer.name != cases[place].peer.name);
    head.extend((0..cases.len()).filter(|place| is_first(*place)).map(|place| {
        let peer = &cases[place].peer;
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
         {answered} answered/s | MiB resident alone | beside |\n|{}\n",
        " --- |".repeat(11)
    );
    for (case, pairs) in cases.iter().zip(all) {
        let cells = [
            case.name.clone(),
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
