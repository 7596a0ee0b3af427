//! A small call through the whole of a proxy. The proxy's process alone runs under callgrind, with one
//! thread; clients and coordinators run outside. Two runs make different numbers of calls, and their
//! difference is what counts: the start of a process, its first calls and its end fall out.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::baseline::References;
use crate::client::{Client, Exchange};
use crate::coordinator::COORDINATORS;
use crate::peers::{self, Peer, Setup};
use crate::process::Process;
use crate::wire::{Auth, Call, Rows};

/// Connections, each with one call under way.
const CLIENTS: usize = 16;
/// Calls of each connection in the shorter run.
const FEW: u64 = 64;
/// How many more there are in the longer one.
const MORE: u64 = 1024;
/// How long the calls of one run may take; past it the proxy has hung.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long a proxy may take to end when it is asked to.
const END_TIME: Duration = Duration::from_secs(30);
/// The calls that are counted: about an operation, and about a session.
const CALLS: [Call; 2] = [Call::GetOperationStatus, Call::GetInfo];
/// The peer whose counts are compared with what was recorded.
const ROUTER: &str = "router";
/// Those beside it; without one of them nothing is counted.
const BESIDE: [&str; 2] = [peers::BASELINE, "blind"];

/// Instructions of small calls through several proxies.
pub(crate) struct Through {
    peers: Vec<Peer>,
    counts: Vec<Count>,
}

/// Instructions of one call through one proxy.
struct Count {
    call: Call,
    peer: String,
    instructions: u64,
}

/// Counts every call through every proxy, `routers` besides.
///
/// # Errors
/// A proxy or tool is missing, does not end, or changes what passes through it.
pub(crate) fn count(routers: &[(String, PathBuf)]) -> anyhow::Result<Through> {
    let installed = peers::installed(routers, None);
    let names = [ROUTER].into_iter().chain(BESIDE).chain(routers.iter().map(|(name, _)| name.as_str()));
    let chosen = names.map(|name| {
        let peer = installed.iter().find(|peer| peer.name == name);
        peer.cloned().with_context(|| format!("{name}, which this needs to be installed"))
    });
    let peers: Vec<Peer> = chosen.collect::<Result<_, _>>()?;
    let (bench, mut counts) = (Bench::start()?, Vec::new());
    for call in CALLS {
        for peer in &peers {
            let instructions = bench.count(peer, call);
            let instructions =
                instructions.with_context(|| format!("{} through {}", call.name(), peer.name))?;
            counts.push(Count { call, peer: peer.name.clone(), instructions });
        }
    }
    Ok(Through { peers, counts })
}

impl Through {
    /// The router's counts, by the case's name.
    pub(crate) fn router(&self) -> BTreeMap<String, u64> {
        self.of(|peer| peer == ROUTER)
    }

    /// Those of other proxies, which say nothing about the router's code.
    pub(crate) fn references(&self) -> References {
        let haproxy = self.peers.iter().find(|peer| peer.name == peers::BASELINE);
        References {
            haproxy: haproxy.and_then(Peer::version).unwrap_or_default(),
            instructions: self.of(|peer| BESIDE.contains(&peer)),
        }
    }

    fn of(&self, chosen: impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
        let counts = self.counts.iter().filter(|count| chosen(&count.peer));
        let named = counts.map(|Count { call, peer, instructions }| {
            (format!("a call through {peer}: {}", call.name()), *instructions)
        });
        named.collect()
    }

    /// All of them, a line for each call.
    pub(crate) fn table(&self) -> String {
        let names: Vec<&str> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
        let mut lines = vec![
            format!("| a call through | {} |", names.join(" | ")),
            format!("| --- |{}", " ---: |".repeat(names.len())),
        ];
        lines.extend(CALLS.map(|call| {
            let counts = self.counts.iter().filter(|count| count.call == call);
            let counts: Vec<String> = counts.map(|count| count.instructions.to_string()).collect();
            format!("| {} | {} |", call.name(), counts.join(" | "))
        }));
        lines.join("\n")
    }
}

/// What all runs need.
struct Bench {
    directory: TempDir,
    /// The core on which proxies run: as it is only one, the router has one thread.
    core: String,
    addresses: Vec<SocketAddr>,
    /// They end with this.
    _coordinators: Process,
}

impl Bench {
    fn start() -> anyhow::Result<Self> {
        let (coordinators, line) = Process::start_self(&["--child".to_owned(), "coordinators".to_owned()])?;
        let addresses = line.split(' ').take(COORDINATORS).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self {
            directory: tempfile::tempdir()?,
            core: any_core()?,
            addresses,
            _coordinators: coordinators,
        })
    }

    /// Instructions of one call.
    fn count(&self, peer: &Peer, call: Call) -> anyhow::Result<u64> {
        let few = self.run(peer, call, FEW)?;
        let many = self.run(peer, call, FEW + MORE)?;
        Ok(many.saturating_sub(few) / (MORE * CLIENTS as u64))
    }

    /// Instructions of a process that each connection asks so many times.
    fn run(&self, peer: &Peer, call: Call, times: u64) -> anyhow::Result<u64> {
        let directory = self.directory.path();
        let log = directory.join(format!("{}.callgrind", peer.name));
        let callgrind =
            ["taskset", "-c", &self.core, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let mut wrapper = callgrind.map(str::to_owned).to_vec();
        wrapper.push(format!("--log-file={}", log.display()));
        let running = peer.start(&Setup {
            coordinators: &self.addresses,
            certificate: None,
            directory,
            threads: 1,
            // They come by the clock, and the longer run takes longer.
            probed: false,
            wrapper: &wrapper,
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let target = running.targets[0];
        runtime
            .block_on(async {
                timeout(PATIENCE, load(target, call, times)).await.context("a call never ends")?
            })
            .with_context(|| {
                fs::read_to_string(directory.join(format!("{}.log", peer.name))).unwrap_or_default()
            })?;
        running.end(END_TIME)?;
        crate::collected(&fs::read_to_string(&log)?)
    }
}

/// The first core that this process may run on.
fn any_core() -> anyhow::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first: String = cores.unwrap_or_default().trim().chars().take_while(char::is_ascii_digit).collect();
    ensure!(!first.is_empty(), "the kernel names no core: {cores:?}");
    Ok(first)
}

/// Makes the calls: every connection as many, one after the other, all at once.
async fn load(target: SocketAddr, call: Call, times: u64) -> anyhow::Result<()> {
    let all_ready = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(target, call, times, Arc::clone(&all_ready)));
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

async fn client(target: SocketAddr, call: Call, times: u64, all_ready: Arc<Barrier>) -> anyhow::Result<()> {
    let mut client = Client::connect(target, Auth::Nosasl).await?;
    let session = client.open_session().await?;
    let operation = client.execute(&session).await?;
    let handle = if call == Call::GetInfo { session } else { operation };
    let mut exchange = Exchange::new(call, &handle, Rows::Few, Auth::Nosasl);
    client.compared(&mut exchange).await?;
    all_ready.wait().await;
    for _ in 0..times {
        client.call(&mut exchange, |_| ()).await?;
    }
    // None goes while others still call.
    all_ready.wait().await;
    Ok(())
}
