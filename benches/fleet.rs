//! Simulated coordinators, each a process of its own, so that it can be killed, and what clients reach them
//! through.

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use hs2router::fake::{Coordinator, Password, Settings};

use crate::head::cores;
use crate::process::{Process, free_address};

/// What a coordinator is told to begin a graceful shutdown.
const SHUT_DOWN: &str = ":shutdown()";
/// How long a coordinator that shuts down may take to end once its grace period is over: its operations are
/// short.
const END_TIME: Duration = Duration::from_secs(20);
/// From one look for open operations to the next.
const LOOK: Duration = Duration::from_millis(10);

/// What a bench starts itself as.
#[derive(Debug, Subcommand)]
pub(crate) enum Child {
    /// One of the simulated coordinators
    #[command(hide = true)]
    Coordinator(CoordinatorArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CoordinatorArgs {
    #[arg(long)]
    name: String,
    /// HS2 and web port; 0 is any
    #[arg(long, num_args = 2)]
    ports: Vec<u16>,
    /// As Impala's `--fe_service_threads`
    #[arg(long)]
    threads: usize,
    /// So many users may log in; with 0 everybody may, without SASL
    #[arg(long)]
    users: usize,
    /// As Impala's `--shutdown_grace_period_s`, in seconds
    #[arg(long)]
    grace: u64,
}

/// Name and password of a user.
pub(crate) fn user(number: usize) -> (String, String) {
    (format!("u{number}"), format!("p{number}"))
}

impl Child {
    /// Runs until standard input ends, or as long as a graceful shutdown takes; tells the ports on standard
    /// output.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Coordinator(args) = self;
        rlimit::increase_nofile_limit(u64::MAX)?;
        let [hs2_port, web_port] = args.ports[..] else { anyhow::bail!("two ports") };
        let password = |number| {
            let (name, password) = user(number);
            (name, Password::new(&password))
        };
        let coordinator = Coordinator::start(Settings {
            name: args.name,
            hs2_port,
            web_port,
            service_threads: args.threads,
            users: (args.users > 0).then(|| (0..args.users).map(password).collect()),
            ..Settings::default()
        })?;
        println!("{} {}", coordinator.hs2().port(), coordinator.web().port());
        std::io::stdout().flush()?;
        for line in std::io::stdin().lock().lines() {
            if line? == SHUT_DOWN {
                // Impala: `impala-server.cc` `ShutdownThread`: it goes when the grace period is over and no
                // query is registered, whoever has sessions.
                coordinator.faults().start_quiescing();
                std::thread::sleep(Duration::from_secs(args.grace));
                while coordinator.open_operations() > 0 {
                    std::thread::sleep(LOOK);
                }
                break;
            }
        }
        std::process::exit(0)
    }
}

/// How the coordinators of a fleet are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) coordinators: usize,
    pub(crate) threads: usize,
    pub(crate) users: usize,
    /// Between the beginning of a graceful shutdown and the earliest end, in whole seconds.
    pub(crate) grace: Duration,
}

/// Coordinators `c1`, `c2`, …
pub(crate) struct Fleet {
    kind: Kind,
    members: Vec<Member>,
}

struct Member {
    args: CoordinatorArgs,
    process: Process,
}

impl Member {
    fn start(mut args: CoordinatorArgs) -> anyhow::Result<Self> {
        let numbers = args.ports.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (threads, users, grace) =
            (args.threads.to_string(), args.users.to_string(), args.grace.to_string());
        let words = ["coordinator", "--name", &args.name, "--threads", &threads, "--users", &users];
        let words = [&words[..], &["--grace", &grace, "--ports", &numbers[0], &numbers[1]]].concat();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let (process, line) = Process::start_self(&words)?;
        args.ports = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { args, process })
    }

    fn address(&self, port: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.args.ports[port]))
    }
}

impl Fleet {
    pub(crate) fn start(kind: Kind) -> anyhow::Result<Self> {
        let member = |number| {
            Member::start(CoordinatorArgs {
                name: format!("c{number}"),
                ports: vec![0, 0],
                threads: kind.threads,
                users: kind.users,
                grace: kind.grace.as_secs(),
            })
        };
        let members = (1..=kind.coordinators).map(member).collect::<anyhow::Result<_>>()?;
        Ok(Self { kind, members })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// A coordinator's name.
    pub(crate) fn name(&self, place: usize) -> &str {
        &self.members[place].args.name
    }

    /// Shuts a coordinator down as `:shutdown()` does, and waits until it has ended.
    pub(crate) fn shut_down(&mut self, place: usize) -> anyhow::Result<()> {
        let process = &mut self.members[place].process;
        process.tell(SHUT_DOWN)?;
        process.await_end(self.kind.grace + END_TIME).context("a graceful shutdown")
    }

    /// Ends a coordinator as `kill -9` does.
    pub(crate) fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        self.members[place].process.kill()
    }

    /// Starts a coordinator that has ended again, on its ports; it knows nothing of its former sessions.
    pub(crate) fn start_again(&mut self, place: usize) -> anyhow::Result<()> {
        self.members[place] = Member::start(self.members[place].args.clone())?;
        Ok(())
    }
}

/// What clients reach the coordinators through.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// The router, by its program.
    Router(PathBuf),
    /// `HAProxy`, with its `balance`.
    Haproxy(&'static str),
}

/// A door that is open, until the value ends.
pub(crate) struct Open {
    _process: Process,
    /// Where clients connect.
    pub(crate) at: SocketAddr,
}

impl Door {
    /// The router and, where it is installed, `HAProxy` with each of these policies.
    pub(crate) fn all(policies: &[&'static str]) -> Vec<Self> {
        let is_installed = Command::new("haproxy").arg("-v").output().is_ok();
        let others = policies.iter().filter(|_| is_installed).map(|policy| Self::Haproxy(policy));
        std::iter::once(Self::Router(env!("CARGO_BIN_EXE_hs2router").into())).chain(others).collect()
    }

    /// As tables have it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Router(_) => "hs2router".to_owned(),
            Self::Haproxy(policy) => format!("HAProxy {policy}"),
        }
    }

    /// Opens it, with its files in `directory`.
    pub(crate) fn open(&self, fleet: &Fleet, directory: &Path) -> anyhow::Result<Open> {
        ensure!(fleet.len() > 0, "no coordinators");
        std::fs::create_dir_all(directory)?;
        let (at, name) = (free_address()?, self.name().replace(' ', "-"));
        let (file, log) = (directory.join(format!("{name}.conf")), directory.join(format!("{name}.log")));
        let path = file.display().to_string();
        let (config, command) = match self {
            Self::Router(program) => (
                router_config(at, fleet),
                vec![program.display().to_string(), "run".into(), "--config".into(), path],
            ),
            Self::Haproxy(policy) => (
                haproxy_config(at, fleet, policy),
                ["haproxy", "-db", "-q", "-f", &path].map(str::to_owned).to_vec(),
            ),
        };
        std::fs::write(&file, config)?;
        let mut process = Process::start(&command, &log)?;
        let said = || format!("{name}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        process.await_listening(at).with_context(said)?;
        Ok(Open { _process: process, at })
    }
}

/// Lines made for each coordinator.
fn each(fleet: &Fleet, line: impl Fn(&Member) -> String) -> String {
    fleet.members.iter().fold(String::new(), |mut text, member| {
        let _infallible = writeln!(text, "{}", line(member));
        text
    })
}

/// The router as it comes: only what it cannot know is said.
fn router_config(at: SocketAddr, fleet: &Fleet) -> String {
    let coordinators = each(fleet, |member| {
        let (name, hs2, web) = (&member.args.name, member.address(0).port(), member.address(1).port());
        format!(
            "  {{ name = \"{name}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = 0, hs2_http = 0, web = {web} }},"
        )
    });
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"{at}\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"bench\"\nservice_threads = {}\ncoordinators = [\n{coordinators}]\n",
        fleet.kind.threads
    )
}

/// As Impala's documentation has it, with health checks as often as the router polls, and a second server for
/// connections that the first one does not take.
fn haproxy_config(at: SocketAddr, fleet: &Fleet, policy: &str) -> String {
    let servers = each(fleet, |member| {
        format!("  server {} {} check inter 1s fall 2 rise 2", member.args.name, member.address(0))
    });
    format!(
        "global\n  nbthread {}\n  maxconn 9900\ndefaults\n  mode tcp\n  option redispatch\n  timeout connect 5s\n  \
         timeout client 1h\n  timeout server 1h\nlisten bench\n  bind {at}\n  balance {policy}\n{servers}",
        cores()
    )
}
