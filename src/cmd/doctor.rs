//! `hs2router doctor`: looks for what keeps clients from being served, and says what to do. Facts are gathered
//! first (`gather`), and then judged by pure functions (`judge`).

mod facts;
mod finding;
mod gather;
mod judge;
mod kinds;
mod report;

use std::io::Write;
use std::net::SocketAddr;

use self::finding::Finding;
pub use self::finding::{Kind, Level};
use self::gather::{Scope, World};
pub use self::kinds::ALL as KINDS;
use crate::cli::DoctorArgs;
use crate::clock;
use crate::cmd::run::begin_anew;
use crate::control::config::{Config, CoordinatorConfig, Host, HostPort};
use crate::net::kerberos;

/// Something fails, or will; what, was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} found", report::counted(*.0, "failure"))]
pub struct Found(usize);

/// What was asked for is not in the config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// No listener has this address.
    #[error("the config has no listener {0}")]
    Listener(SocketAddr),
    /// No coordinator has this name or host.
    #[error("the config has no coordinator {0}")]
    Coordinator(String),
}

/// Gathers, judges, and writes the findings to `out`.
///
/// # Errors
/// [`Found`] when something fails. When the config is invalid, or lacks what is asked about; when `out` cannot be
/// written to.
pub fn run(args: &DoctorArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let scope = scope(args)?;
    if let Some(keytabs) = scope.config.keytabs().filter(|_| kerberos::IS_BUILT_IN)
        && let Some(environment) = kerberos::environment(&keytabs, |name| std::env::var_os(name))
    {
        return Err(begin_anew(environment));
    }
    let found = examine(&scope, &World::of_system())?;
    if args.json {
        report::json(&found, out)?;
    } else {
        report::text(&found, out)?;
    }
    match report::count(&found, Level::Failure) {
        0 => Ok(()),
        failures => Err(Found(failures).into()),
    }
}

fn examine(scope: &Scope, world: &World) -> anyhow::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(gather::gather(scope, world))?;
    // Does not wait for a resolver or a KDC that hangs.
    runtime.shutdown_background();
    Ok(judge::judge(&facts, clock::time_of_day()))
}

/// What is looked at: all of a config file, or what the arguments name, of the file or without one.
fn scope(args: &DoctorArgs) -> anyhow::Result<Scope> {
    let config = match &args.file {
        Some(file) => narrowed(Config::load(file)?, args)?,
        None => bare(args)?,
    };
    let user = args.user.as_str().into();
    Ok(Scope { config, dials_listeners: args.listener.is_some(), user })
}

/// The config, with nothing but what is asked about.
fn narrowed(mut config: Config, args: &DoctorArgs) -> Result<Config, NotThere> {
    if args.listener.is_none() && args.coordinator.is_none() {
        return Ok(config);
    }
    if let Some(address) = args.listener {
        config.listeners.retain(|listener| listener.address == address.into());
        if config.listeners.is_empty() {
            return Err(NotThere::Listener(address));
        }
    } else {
        config.listeners.clear();
    }
    let wanted = args.coordinator.as_ref();
    for cluster in &mut config.clusters {
        cluster.coordinators.retain(|one| wanted.is_some_and(|wanted| is_meant(wanted, one)));
    }
    if let Some(wanted) = &args.coordinator {
        config.clusters.retain(|cluster| !cluster.coordinators.is_empty());
        if config.clusters.is_empty() {
            return Err(NotThere::Coordinator(wanted.to_string()));
        }
    }
    Ok(config)
}

/// Whether a coordinator has this name or host, and this port if one is given.
fn is_meant(wanted: &HostPort, one: &CoordinatorConfig) -> bool {
    let host = wanted.host.to_string();
    let ports = [one.ports.hs2, one.ports.beeswax, one.ports.hs2_http, one.ports.web];
    (one.name.to_string() == host || one.host == host)
        && (wanted.port.is_none() || ports.contains(&wanted.port))
}

/// A config of what is asked about, without a file.
fn bare(args: &DoctorArgs) -> anyhow::Result<Config> {
    let listen = args.listener.map(|address| (Some(address.ip()), Some(address.port())));
    // A listener needs a cluster; this one is not looked at.
    let nobody = || HostPort { host: Host("localhost".to_owned()), port: None };
    let coordinators = [args.coordinator.clone().unwrap_or_else(nobody)];
    let mut config = Config::of_coordinators(&coordinators, listen, None)?;
    if args.coordinator.is_none() {
        config.clusters.clear();
    }
    if let Some(address) = args.listener {
        config.listeners.retain(|listener| listener.address == address.into());
    } else {
        config.listeners.clear();
    }
    Ok(config)
}
