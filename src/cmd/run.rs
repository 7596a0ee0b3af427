//! `hs2router run`: serves until it is told to stop.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::RunArgs;
use crate::control::config::{Config, ListenerConfig, Problems};
use crate::control::log::{self, Log};
use crate::control::reload::ConfigFile;
use crate::control::router::Router;
use crate::net::host::Resolver;
use crate::net::kerberos;
use crate::net::limits::{connections_with, files_for, raise_file_limit};
use crate::serve::threads::workers::Workers;

/// Serves until SIGTERM or SIGINT, then drains; a second signal ends the drain. SIGHUP makes it read the
/// config file again.
///
/// # Errors
/// When the config is invalid, an address cannot be listened on, or signals cannot be waited for.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    let config = config(args)?;
    if let Some(keytabs) = config.keytabs().filter(|_| kerberos::IS_BUILT_IN)
        && let Some(environment) = kerberos::environment(&keytabs, |name| std::env::var_os(name))
    {
        return Err(begin_anew(environment));
    }
    let file = args.config.clone().map(|path| ConfigFile::new(path, config.clone()));
    let (_written, log) = log::start(config.log)?;
    let workers = Workers::start(available_parallelism().unwrap_or(NonZeroUsize::MIN))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config, file, &workers, log))?;
    // Nothing that is left is worth waiting for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(())
}

/// Replaces this process by one with more in its environment; returns only if that fails.
pub(super) fn begin_anew(environment: Vec<(&'static str, OsString)>) -> anyhow::Error {
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).envs(environment).exec(),
        Err(error) => error,
    };
    anyhow::Error::new(error).context("cannot begin anew with the keytabs in the environment")
}

fn config(args: &RunArgs) -> anyhow::Result<Config> {
    if let Some(path) = &args.config {
        return Ok(Config::load(path)?);
    }
    let listen = args.listen.map(|listen| (listen.ip, listen.port));
    let config = Config::of_coordinators(&args.coordinators, listen, args.admin);
    config.map_err(|problems: Problems| problems.into())
}

async fn serve(
    mut config: Config,
    mut file: Option<ConfigFile>,
    workers: &Workers,
    log: Log,
) -> anyhow::Result<()> {
    match raise_file_limit() {
        Ok(limit) => {
            tracing::debug!(%limit, "file limit");
            fit_connections(&mut config.router.max_connections, limit.now);
        }
        Err(error) => tracing::warn!(%error, "cannot raise the limit on open files"),
    }
    let mut signals = Signals::new()?;
    let mut hangups = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let router = Router::start_on(&config, workers, Resolver::System, log)?;
    announce(&config, &router);
    notify(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            biased;
            () = signals.next() => break,
            Some(()) = hangups.recv() => reload(file.as_mut(), &router).await,
        }
    }
    tracing::info!(
        drain_timeout = ?config.router.drain_timeout,
        "draining: no new connections are accepted; a second signal closes those that are left"
    );
    notify(&[NotifyState::Stopping]);
    let cut = router.drain(signals.next()).await;
    tracing::info!(connections_cut = cut, "ended");
    Ok(())
}

async fn reload(file: Option<&mut ConfigFile>, router: &Router) {
    if let Some(file) = file {
        file.reload(router).await;
    } else {
        tracing::warn!("SIGHUP has no effect: the router was started without a config file");
    }
}

/// Lowers `most` to what the limit on open files allows: a connection without files for its links could be
/// accepted, but not served.
fn fit_connections(most: &mut usize, files: u64) {
    let needed = files_for(*most);
    if needed <= files {
        return;
    }
    let fits = connections_with(files);
    tracing::warn!(
        max_connections = *most,
        needed,
        files,
        fits,
        "max_connections needs more open files than the limit allows: only as many as fit are accepted at a time; raise \
         the limit (systemd: LimitNOFILE) or lower max_connections"
    );
    *most = fits;
}

/// What becomes of TLS on a listener.
fn tls_of(listener: &ListenerConfig) -> &'static str {
    match &listener.tls {
        Some(tls) if tls.required => "required",
        Some(_) => "accepted",
        None if listener.server_names.is_empty() => "passed through",
        None => "passed through by server name",
    }
}

fn announce(config: &Config, router: &Router) {
    for (address, listener) in router.listeners().iter().zip(&config.listeners) {
        let address = listener.address.with_port(address.port());
        let tls = tls_of(listener);
        tracing::info!(%address, cluster = %listener.cluster, service = %listener.service, tls, "listening");
        if let Some(warning) = listener.warning() {
            tracing::warn!(%address, "the listener {warning}");
        }
    }
    for cluster in &config.clusters {
        for coordinator in &cluster.coordinators {
            tracing::info!(
                cluster = %cluster.name, coordinator = %coordinator.name, host = %coordinator.host,
                hs2 = coordinator.ports.hs2, beeswax = coordinator.ports.beeswax,
                hs2_http = coordinator.ports.hs2_http, web = coordinator.ports.web,
                state = %coordinator.state, "routing to"
            );
        }
    }
    let admin: SocketAddr = router.admin();
    tracing::info!(%admin, "serving /healthz and /metrics");
}

/// Notifies systemd, if it started the process.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

/// The signals that end the router.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(super) fn new() -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    /// Waits for the next one. Cancel-safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_are_accepted_than_there_are_files_for() {
        let fitted = |mut most, files| {
            fit_connections(&mut most, files);
            most
        };
        assert_eq!(fitted(1000, 2200), 1000);
        assert_eq!(fitted(1000, 2199), 999);
        assert_eq!(fitted(1000, 1024), 412);
    }
}
