//! The command line, as types.

mod named;
mod operator;
mod verbs;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

pub use self::named::Named;
pub use self::operator::{
    AdminArgs, HistoryArgs, HistoryKind, HistorySort, ListArgs, RowsArgs, SessionsArgs, Sort, StatusArgs,
};
pub use self::verbs::{
    CancelArgs, ClusterArgs, CoordinatorArgs, CutArgs, DrainArgs, EjectArgs, LogLevelArgs, MoveAllArgs,
    MoveArgs, PauseClusterArgs, Place, RotationArgs, SessionArgs, WaitArgs, WeightArgs,
};
use crate::control::config::{HostError, HostPort};
use crate::net::listen::ListenAddress;

const ABOUT: &str = "\
One address for a fleet of Apache Impala or HiveServer2 coordinators: every session goes to the least loaded one, \
every later call to the coordinator that owns its handle";

const EXAMPLES: &str = "\
Examples:
  hs2router demo
      Three simulated coordinators and a router on this machine, to try it.
  hs2router run --coordinator impala-1 --coordinator impala-2
      Route between two Impala coordinators; Impala's default ports on both sides.
  hs2router check /etc/hs2router.toml && hs2router run --config /etc/hs2router.toml
      Check a config file, then run with it.
  hs2router status
      Show the fleet of the router that runs here.

Exit codes: 0 success, 64 wrong usage, 69 no router answers, 75 a wait took too long, 78 wrong config, 1 anything else.";

const RUN_EXAMPLES: &str = "\
Examples:
  hs2router run --config /etc/hs2router.toml
  hs2router run --coordinator impala-1.example.com --coordinator impala-2.example.com
  hs2router run --coordinator 10.0.0.3:21051 --listen 127.0.0.1:21050 --admin 127.0.0.1:25026

The config file sets the format and level of the log ([log] format and level); without one they are text and info.

Signals: SIGTERM and Ctrl-C stop accepting and let calls and operations finish; a second one ends the router at once.
Either way it exits with 0, and the last line of the log says how many connections were cut.
SIGHUP reads the state of each coordinator from the config file again; all other changes there need a restart.";

const RUN_USAGE: &str = "\
hs2router run --config <FILE>
       hs2router run --coordinator <HOST[:PORT]>... [--listen <IP[:PORT]>] [--admin <IP:PORT>]";

const CHECK_EXAMPLES: &str = "\
Example:
  hs2router check /etc/hs2router.toml

The coordinators' names are resolved, to find those that stand for several hosts; no connection is made.

Exit codes: 0 the file is valid, 78 it is not.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  hs2router doctor /etc/hs2router.toml
      Look at everything that the file names: files, names, ports, certificates, settings, keys and tickets.
  hs2router doctor /etc/hs2router.toml --coordinator impala-1.example.com --user ann
      Look at one coordinator of the file, and whether the router may act for ann there.
  hs2router doctor --listener 10.0.0.5:21050
  hs2router doctor --coordinator impala-1.example.com:21050
      Ask a port what it speaks, without a config file.

Run it on the router's machine, as the router's user. It connects to coordinators, without any client's password, and with
[cluster.kerberos] it logs in as the router. Each finding is explained in docs/TROUBLESHOOTING.md.

Exit codes: 0 nothing fails, 1 something does, 64 wrong usage, 78 wrong config.";

const DEMO_EXAMPLES: &str = "\
Examples:
  hs2router demo
      Ports 21050 (HiveServer2), 21000 (Beeswax) and 28000 (HTTP) of 127.0.0.1.
  hs2router demo --port-base 30000
      Ports from 30000 on, if the usual ones are taken. Choose N below 32768: the system hands out ports above that.

The simulated coordinators take no passwords: connect without user and password (impala-shell: without -l).";

const COMPLETIONS_EXAMPLES: &str = "\
Example:
  hs2router completions bash > /etc/bash_completion.d/hs2router";

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "hs2router", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Route clients to coordinators until told to stop
    #[command(after_help = RUN_EXAMPLES, override_usage = RUN_USAGE)]
    Run(RunArgs),
    /// Check a config file and show what it would do
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Find out what keeps clients from being served
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Show how the coordinators of a running router are
    #[command(after_help = operator::STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// List the sessions of a running router
    #[command(after_help = operator::SESSIONS_EXAMPLES)]
    Sessions(SessionsArgs),
    /// List the clients' connections to a running router
    #[command(after_help = operator::CONNECTIONS_EXAMPLES)]
    Connections(RowsArgs),
    /// List the open operations of a running router
    #[command(after_help = operator::OPERATIONS_EXAMPLES)]
    Operations(RowsArgs),
    /// List the clients that wait at a running router
    #[command(after_help = operator::WAITING_EXAMPLES)]
    Waiting(RowsArgs),
    /// Tell what happened last to a running router and its coordinators
    #[command(after_help = operator::EVENTS_EXAMPLES)]
    Events(RowsArgs),
    /// List what has ended at a running router, and what operators had done
    #[command(after_help = operator::HISTORY_EXAMPLES)]
    History(HistoryArgs),
    /// Print what a running router was started with, defaults included, as a config file
    #[command(after_help = operator::CONFIG_EXAMPLES)]
    Config(StatusArgs),
    /// Send a coordinator no new sessions, and wait until it is empty
    #[command(after_help = verbs::DRAIN_EXAMPLES)]
    Drain(DrainArgs),
    /// Send a coordinator new sessions again
    #[command(after_help = verbs::RESUME_EXAMPLES)]
    Resume(CoordinatorArgs),
    /// Take a coordinator out at once, as if probes had failed
    #[command(after_help = verbs::EJECT_EXAMPLES)]
    Eject(EjectArgs),
    /// Send new sessions again to a coordinator that was taken out with eject
    #[command(after_help = verbs::RESTORE_EXAMPLES)]
    Restore(CoordinatorArgs),
    /// Change a coordinator's share of the load
    #[command(after_help = verbs::WEIGHT_EXAMPLES)]
    Weight(WeightArgs),
    /// Have the sessions of a coordinator go to others, as far as they can
    #[command(after_help = verbs::MOVE_ALL_EXAMPLES)]
    MoveAll(MoveAllArgs),
    /// Have a session go to another coordinator
    #[command(after_help = verbs::MOVE_EXAMPLES)]
    Move(MoveArgs),
    /// Close a session
    #[command(after_help = verbs::CLOSE_EXAMPLES)]
    Close(SessionArgs),
    /// End a client's connection at once
    #[command(after_help = verbs::CUT_EXAMPLES)]
    Cut(CutArgs),
    /// Cancel an operation, wherever it runs
    #[command(after_help = verbs::CANCEL_EXAMPLES)]
    Cancel(CancelArgs),
    /// Have new sessions and statements of a cluster wait, while what is open goes on
    #[command(after_help = verbs::PAUSE_CLUSTER_EXAMPLES)]
    PauseCluster(PauseClusterArgs),
    /// Let the sessions and statements of a paused cluster go on
    #[command(after_help = verbs::RESUME_CLUSTER_EXAMPLES)]
    ResumeCluster(ClusterArgs),
    /// Tell load balancers whether to send new clients to a running router
    #[command(after_help = verbs::ROTATION_EXAMPLES)]
    Rotation(RotationArgs),
    /// Change what the log of a running router has, until it ends
    #[command(after_help = verbs::LOG_LEVEL_EXAMPLES)]
    LogLevel(LogLevelArgs),
    /// Try the router with simulated coordinators on this machine
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

/// `hs2router run`: either a config file, or coordinators.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("routes").required(true).args(["config", "coordinators"])))]
pub struct RunArgs {
    /// The config file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An Impala coordinator; repeat the option for each one. With a port, only HS2 on that port is used
    #[arg(long = "coordinator", value_name = "HOST[:PORT]", value_parser = coordinator)]
    pub coordinators: Vec<HostPort>,
    /// Listen on this address only, or with '*' on all of IPv4 and IPv6 [default: 0.0.0.0 with Impala's ports
    /// 21050, 21000 and 28000]
    #[arg(long, value_name = "IP[:PORT]", conflicts_with = "config")]
    pub listen: Option<Listen>,
    /// Serve health, metrics and the admin API on this loopback address [default: 127.0.0.1:25025]
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    pub admin: Option<SocketAddr>,
}

/// Reads the value of `--coordinator`; the error says what to write instead.
fn coordinator(text: &str) -> Result<HostPort, NoCoordinator> {
    if text.contains(',') {
        return Err(NoCoordinator::List);
    }
    text.parse().map_err(NoCoordinator::Host)
}

/// The text is not a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NoCoordinator {
    #[error("is a list; repeat --coordinator for each")]
    List,
    #[error("{0}; write HOST or HOST:PORT")]
    Host(HostError),
}

/// `hs2router check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The config file
    pub file: PathBuf,
}

/// `hs2router doctor`: a config file, or parts of one, or ports.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("patient").required(true).multiple(true).args(["file", "listener", "coordinator"])))]
pub struct DoctorArgs {
    /// The config file
    pub file: Option<PathBuf>,
    /// Look at the listener with this address only, and connect to it; without a file, a router that runs there
    #[arg(long, value_name = "IP:PORT")]
    pub listener: Option<SocketAddr>,
    /// Look at this coordinator of the file only, by its name or host; without a file, an Impala coordinator there
    #[arg(long, value_name = "HOST[:PORT]", value_parser = coordinator)]
    pub coordinator: Option<HostPort>,
    /// Open a session for this user, to see whether the router may act for users
    #[arg(long, value_name = "NAME", default_value = "nobody")]
    pub user: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `hs2router demo`
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArgs {
    /// Use the ports from this number on instead of Impala's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1024..=65000))]
    pub port_base: Option<u16>,
}

/// `hs2router completions`
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Where to listen: an IP address or `*`, perhaps with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; `None` stands for all.
    pub ip: Option<IpAddr>,
    /// The port; `None` stands for Impala's default ports.
    pub port: Option<u16>,
}

/// The text is not an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an IP address such as 127.0.0.1, or one with a port such as 127.0.0.1:21050 or [::]:21050")]
pub struct NoAddress;

impl FromStr for Listen {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        match text.parse::<ListenAddress>() {
            Ok(ListenAddress::One(address)) => {
                return Ok(Self { ip: Some(address.ip()), port: Some(address.port()) });
            }
            Ok(ListenAddress::All { port }) => return Ok(Self { ip: None, port: Some(port) }),
            Err(_) if text == "*" => return Ok(Self { ip: None, port: None }),
            Err(_) => {}
        }
        let ip = text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| NoAddress)?;
        Ok(Self { ip: Some(ip), port: None })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Command, ErrorKind> {
        let parsed = Cli::try_parse_from(line.split_whitespace());
        parsed.map(|cli| cli.command).map_err(|error| error.kind())
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_router_runs_from_a_file_or_from_coordinators() {
        let Ok(Command::Run(run)) = parse("hs2router run --config a.toml") else { panic!() };
        assert_eq!(run.config, Some(PathBuf::from("a.toml")));
        let line = "hs2router run --coordinator a --coordinator [::1]:5 --listen 127.0.0.1:21050";
        let Ok(Command::Run(run)) = parse(line) else { panic!() };
        assert_eq!(run.coordinators.len(), 2);
        assert_eq!(run.coordinators[1].port, Some(5));
        assert_eq!(run.listen, Some(Listen { ip: Some(IpAddr::from([127, 0, 0, 1])), port: Some(21050) }));
    }

    #[test]
    fn a_file_and_coordinators_together_are_refused() {
        let conflict = Some(ErrorKind::ArgumentConflict);
        let missing = Some(ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("hs2router run --config a.toml --coordinator b").err(), conflict);
        assert_eq!(parse("hs2router run --config a.toml --listen ::1").err(), conflict);
        assert_eq!(parse("hs2router run --listen ::1").err(), missing);
        assert_eq!(parse("hs2router run").err(), missing);
        assert_eq!(parse("hs2router run --coordinator http://a").err(), Some(ErrorKind::ValueValidation));
        assert_eq!(parse("hs2router demo --port-base 80").err(), Some(ErrorKind::ValueValidation));
    }

    #[test]
    fn a_wrong_coordinator_is_answered_with_the_way_out() {
        for (line, remedy) in [
            ("run --coordinator jdbc:hive2://a", "is a URL; write HOST or HOST:PORT"),
            ("run --coordinator a,b", "repeat --coordinator for each"),
            ("run", "hs2router run --config <FILE>"),
            (
                "run",
                "hs2router run --coordinator <HOST[:PORT]>... [--listen <IP[:PORT]>] [--admin <IP:PORT>]",
            ),
        ] {
            let words = ["hs2router"].into_iter().chain(line.split(' '));
            let said = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(said.contains(remedy), "{line}: {said}");
        }
    }

    #[test]
    fn every_help_shows_an_example() {
        let mut cli = Cli::command();
        let names: Vec<String> = cli.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        assert!(names.len() >= 4);
        assert!(cli.render_help().to_string().contains("Examples:"));
        for name in names {
            let help = cli.find_subcommand_mut(&name).unwrap().render_help().to_string();
            assert!(help.contains("Example"), "{name}: {help}");
            assert!(help.contains(&format!("hs2router {name}")), "{name}: {help}");
        }
    }

    #[test]
    fn an_address_to_listen_on_may_have_a_port() {
        let listen = |text: &str| {
            let shown = |ip: Option<IpAddr>| ip.map_or_else(|| "all".to_owned(), |ip| ip.to_string());
            text.parse::<Listen>().map(|listen| (shown(listen.ip), listen.port))
        };
        assert_eq!(listen("*"), Ok(("all".to_owned(), None)));
        assert_eq!(listen("*:21050"), Ok(("all".to_owned(), Some(21050))));
        assert_eq!(listen("0.0.0.0"), Ok(("0.0.0.0".to_owned(), None)));
        assert_eq!(listen("[::1]"), Ok(("::1".to_owned(), None)));
        assert_eq!(listen("[::1]:21050"), Ok(("::1".to_owned(), Some(21050))));
        assert_eq!(listen("localhost"), Err(NoAddress));
    }
}
