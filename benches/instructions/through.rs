//! A small call through the whole of a proxy, in the clear, inside of TLS and over HTTP. The proxy's process alone runs
//! under callgrind, with one thread; clients and coordinators run outside. Two runs make different numbers of
//! calls, and their difference is what counts: the start of a process, its first calls and its end fall out.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::baseline::References;
use crate::client::Client;
use crate::coordinator::{self, COORDINATORS};
use crate::peers::{self, Peer, Setup};
use crate::process::Process;
use crate::tls::{Dialer, Identity};
use crate::wire::{Auth, Call, Rows};
use crate::work::{By, Suite, Task, Transport, Work};

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
/// What is counted: a call about an operation, and one about a session.
const ALL: [Counted; 4] = [
    Counted { call: Call::GetOperationStatus, auth: Auth::Nosasl, transport: Transport::Clear },
    Counted { call: Call::GetInfo, auth: Auth::Nosasl, transport: Transport::Clear },
    Counted { call: Call::GetOperationStatus, auth: Auth::Nosasl, transport: Transport::Full },
    Counted { call: Call::GetOperationStatus, auth: Auth::HttpBasic, transport: Transport::Clear },
];
/// The peer whose counts are compared with what was recorded.
const ROUTER: &str = "router";
/// Those beside it; without one of them nothing is counted.
const BESIDE: [&str; 2] = [peers::BASELINE, "blind"];

/// Instructions of small calls through several proxies.
pub(crate) struct Through {
    peers: Vec<Peer>,
    counts: Vec<Count>,
}

/// A call, and what the client's connection runs over.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counted {
    call: Call,
    auth: Auth,
    transport: Transport,
}

impl Counted {
    /// As tables say it.
    fn name(self) -> String {
        let way = match self.work().suite() {
            Suite::Clear => "",
            Suite::Tls => " inside of TLS",
            Suite::Http => " over HTTP",
        };
        format!("{}{way}", self.call.name())
    }

    /// As the load's clients do it.
    fn work(self) -> Work {
        let by = if self.transport == Transport::Clear { By::KeepersOfHttp } else { By::Terminators };
        Work {
            name: "a call through",
            auth: self.auth,
            transport: self.transport,
            task: Task::Poll,
            clients: CLIENTS,
            idle: 0,
            coordinators: COORDINATORS,
            by,
        }
    }
}

/// Instructions of one call through one proxy.
struct Count {
    counted: Counted,
    peer: String,
    instructions: u64,
}

/// Counts every call through every proxy, `routers` besides; profiles of the longer runs are kept in a folder.
///
/// # Errors
/// A proxy or tool is missing, does not end, or changes what passes through it.
pub(crate) fn count(routers: &[(String, PathBuf)], profiles: Option<&Path>) -> anyhow::Result<Through> {
    let installed = peers::installed(routers, None);
    let names = [ROUTER].into_iter().chain(BESIDE).chain(routers.iter().map(|(name, _)| name.as_str()));
    let chosen = names.map(|name| {
        let peer = installed.iter().find(|peer| peer.name == name);
        peer.cloned().with_context(|| format!("{name}, which this needs to be installed"))
    });
    let peers: Vec<Peer> = chosen.collect::<Result<_, _>>()?;
    let (bench, mut counts) = (Bench::start(profiles)?, Vec::new());
    for counted in ALL {
        for peer in peers.iter().filter(|peer| peer.does(&counted.work())) {
            let instructions = bench.count(peer, counted);
            let instructions =
                instructions.with_context(|| format!("{} through {}", counted.name(), peer.name))?;
            counts.push(Count { counted, peer: peer.name.clone(), instructions });
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
        let named = counts.map(|Count { counted, peer, instructions }| {
            (format!("a call through {peer}: {}", counted.name()), *instructions)
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
        lines.extend(ALL.map(|counted| {
            let cells: Vec<String> = names.iter().map(|name| self.cell(counted, name)).collect();
            format!("| {} | {} |", counted.name(), cells.join(" | "))
        }));
        lines.join("\n")
    }

    fn cell(&self, counted: Counted, peer: &str) -> String {
        let count = self.counts.iter().find(|count| count.counted == counted && count.peer == peer);
        count.map_or_else(|| "–".to_owned(), |count| count.instructions.to_string())
    }
}

/// What all runs need.
struct Bench {
    directory: TempDir,
    /// The core on which proxies run: as it is only one, the router has one thread.
    core: String,
    addresses: Vec<SocketAddr>,
    identity: Identity,
    /// Where profiles are kept.
    profiles: Option<PathBuf>,
    /// They end with this.
    _coordinators: Process,
}

impl Bench {
    fn start(profiles: Option<&Path>) -> anyhow::Result<Self> {
        let (coordinators, line) = Process::start_self(&["--child".to_owned(), "coordinators".to_owned()])?;
        let addresses = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let directory = tempfile::tempdir()?;
        Ok(Self {
            identity: Identity::make(directory.path())?,
            directory,
            profiles: profiles.map(Path::to_owned),
            core: any_core()?,
            addresses,
            _coordinators: coordinators,
        })
    }

    /// Where callgrind writes what each function took.
    fn profile(&self, peer: &Peer, counted: Counted, times: u64) -> PathBuf {
        let longer = self.profiles.as_ref().filter(|_| times > FEW);
        longer.map_or_else(
            || PathBuf::from("/dev/null"),
            |folder| folder.join(format!("{} {}.callgrind", peer.name, counted.name())),
        )
    }

    /// Instructions of one call.
    fn count(&self, peer: &Peer, counted: Counted) -> anyhow::Result<u64> {
        let few = self.run(peer, counted, FEW)?;
        let many = self.run(peer, counted, FEW + MORE)?;
        Ok(many.saturating_sub(few) / (MORE * CLIENTS as u64))
    }

    /// Instructions of a process that each connection asks so many times.
    fn run(&self, peer: &Peer, counted: Counted, times: u64) -> anyhow::Result<u64> {
        let dialer = Dialer::new(&counted.work(), &self.identity)?;
        let directory = self.directory.path();
        let log = directory.join(format!("{}.callgrind", peer.name));
        let callgrind = ["taskset", "-c", &self.core, "valgrind", "--tool=callgrind"];
        let mut wrapper = callgrind.map(str::to_owned).to_vec();
        wrapper.push(format!("--log-file={}", log.display()));
        wrapper.push(format!("--callgrind-out-file={}", self.profile(peer, counted, times).display()));
        let running = peer.start(&Setup {
            coordinators: &coordinator::of_kind(&self.addresses, counted.auth)[..COORDINATORS],
            over_http: counted.auth == Auth::HttpBasic,
            kerberos: None,
            certificate: (counted.transport != Transport::Clear).then_some(&self.identity.files),
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
                timeout(PATIENCE, load(&dialer, target, counted.call, times))
                    .await
                    .context("a call never ends")?
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
async fn load(dialer: &Dialer, target: SocketAddr, call: Call, times: u64) -> anyhow::Result<()> {
    let all_ready = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = dialer.of_one_client().connect(target).await?;
        clients.spawn(calls(client, call, times, Arc::clone(&all_ready)));
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

async fn calls(mut client: Client, call: Call, times: u64, all_ready: Arc<Barrier>) -> anyhow::Result<()> {
    let session = client.open_session().await?;
    let operation = client.execute(&session).await?;
    let handle = if call == Call::GetInfo { session } else { operation };
    let mut exchange = client.exchange_of(call, &handle, Rows::Few);
    client.compared(&mut exchange).await?;
    all_ready.wait().await;
    for _ in 0..times {
        client.call(&mut exchange, |_| ()).await?;
    }
    // None goes while others still call.
    all_ready.wait().await;
    Ok(())
}
