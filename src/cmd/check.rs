//! `hs2router check`: shows what is wrong with a config file, or what a router with it does.

mod cluster_tls;
mod kerberos;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use rlimit::Resource;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::CheckArgs;
use crate::clock;
use crate::cluster::AdminState;
use crate::control::config::{
    ByteSize, ClusterConfig, Config, CoordinatorConfig, HistoryConfig, ListenerConfig, NamedCluster,
    TimeSpan, Words as _,
};
use crate::control::history;
use crate::ids::Service;
use crate::net::host::{Resolver, is_one_host};
use crate::net::limits::{connections_with, files_for};

mod certificates;

pub use self::certificates::BadCertificates;

/// How long the resolution of all names may take.
const LOOKUP_TIME: Duration = Duration::from_secs(3);
/// How many names are resolved at a time.
const LOOKUPS_AT_ONCE: usize = 16;

/// Checks the file, and writes to `out` what a router with this config does.
///
/// # Errors
/// When the file cannot be read or anything in it is wrong; when a file that it names cannot be used; when
/// `out` cannot be written to.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    run_with(args, &Resolver::System, out)
}

fn run_with(args: &CheckArgs, resolver: &Resolver, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::load(&args.file)?;
    kerberos::check(&config)?;
    if let Some(history) = &config.admin.history {
        history::examine(&history.file)?;
    }
    let loaded = certificates::load(&config)?;
    let reached = cluster_tls::load(&config)?;
    describe(&config, out)?;
    certificates::describe(&loaded, clock::time_of_day(), out)?;
    for (name, tls) in &reached {
        cluster_tls::describe(name, tls, clock::time_of_day(), out)?;
    }
    warn_of_names(&config, resolver, out)?;
    let allowed = Resource::NOFILE.get().map(|(_, hard)| hard);
    match allowed {
        Ok(allowed) => warn_of_few_files(&config, allowed, out)?,
        Err(error) => writeln!(out, "\nwarning: the limit of open files is unknown: {error}")?,
    }
    Ok(())
}

fn describe(config: &Config, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "The config is valid. A router with this config")?;
    for listener in &config.listeners {
        describe_listener(listener, out)?;
    }
    writeln!(out, "  serves health and metrics on http://{}", config.admin.address)?;
    if let Some(HistoryConfig { file, rotate, keep }) = &config.admin.history {
        let (rotate, keep) = (ByteSize(usize::try_from(*rotate).unwrap_or(usize::MAX)), TimeSpan(*keep));
        let file = file.display();
        writeln!(out, "  writes the history to {file}, in files of {rotate} that are kept for {keep}")?;
    }
    for cluster in &config.clusters {
        describe_cluster(cluster, out)?;
        if !config.listeners.iter().any(|listener| listener.reaches(&cluster.name)) {
            writeln!(out, "warning: no listener serves cluster {:?}", cluster.name)?;
        }
    }
    Ok(())
}

fn describe_listener(listener: &ListenerConfig, out: &mut impl Write) -> io::Result<()> {
    let ListenerConfig {
        address, cluster, service, proxy_protocol_from, server_names, tls, kerberos, ..
    } = listener;
    writeln!(
        out,
        "  listens on {address} for cluster {cluster:?}, {service} unless the client's first bytes say otherwise"
    )?;
    if !proxy_protocol_from.is_empty() {
        let networks: Vec<String> = proxy_protocol_from.iter().map(ToString::to_string).collect();
        writeln!(out, "    behind balancers in {}, which send PROXY headers", networks.join(", "))?;
    }
    for NamedCluster { pattern, cluster } in server_names {
        writeln!(out, "    TLS clients that ask for {pattern} reach cluster {cluster:?}")?;
    }
    if let Some(kerberos) = kerberos {
        kerberos::describe_listener(kerberos, out)?;
    }
    if let Some(warning) = listener.warning() {
        writeln!(out, "warning: the listener {address} {warning}")?;
    }
    tls.as_ref().map_or(Ok(()), |tls| certificates::describe_settings(tls, out))
}

fn describe_cluster(cluster: &ClusterConfig, out: &mut impl Write) -> io::Result<()> {
    let ClusterConfig { name, flavor, policy, coordinators, .. } = cluster;
    let (flavor, policy) = (flavor.word(), policy.word());
    writeln!(out, "\nCluster {name:?} ({flavor}, {policy}) has {}:", counted(coordinators.len()))?;
    for coordinator in coordinators {
        describe_coordinator(coordinator, out)?;
    }
    if let Some(kerberos) = &cluster.kerberos {
        kerberos::describe_cluster(kerberos, out)?;
    }
    if coordinators.iter().all(|coordinator| coordinator.state == AdminState::Drain) {
        writeln!(
            out,
            "warning: all coordinators of cluster {name:?} are draining, so no session can be opened"
        )?;
    }
    Ok(())
}

fn counted(coordinators: usize) -> String {
    match coordinators {
        1 => "1 coordinator".to_owned(),
        n => format!("{n} coordinators"),
    }
}

fn describe_coordinator(coordinator: &CoordinatorConfig, out: &mut impl Write) -> io::Result<()> {
    let CoordinatorConfig { name, host, ports, weight, state, tls, server_name } = coordinator;
    write!(out, "  {name}:")?;
    if *host != name.to_string() {
        write!(out, " host {host},")?;
    }
    let services = Service::ALL.iter().filter_map(|service| Some((service.as_str(), ports.of(*service)?)));
    let ports: Vec<String> = services
        .chain(ports.web.map(|port| ("web", port)))
        .map(|(service, port)| format!("{service} {port}"))
        .collect();
    write!(out, " {}", ports.join(", "))?;
    if *weight != 1 {
        write!(out, ", weight {weight}")?;
    }
    if *state == AdminState::Drain {
        write!(out, ", draining: it gets no new sessions")?;
    }
    match server_name {
        Some(name) => write!(out, ", with TLS as {name}")?,
        None if *tls => write!(out, ", with TLS")?,
        None => {}
    }
    writeln!(out)
}

/// Warns of names that stand for several hosts, because only one of the hosts is used, and of names that do
/// not resolve, because they may be misspelt.
fn warn_of_names(config: &Config, resolver: &Resolver, out: &mut impl Write) -> anyhow::Result<()> {
    let all = config.clusters.iter().flat_map(|cluster| &cluster.coordinators);
    let names: BTreeSet<&String> = all.map(|coordinator| &coordinator.host).collect();
    for (name, mut addresses) in resolved(&names, resolver)? {
        if addresses.is_empty() {
            writeln!(
                out,
                "\nwarning: the name {name} does not resolve on this machine; if the router runs here, correct it"
            )?;
        }
        if is_one_host(&addresses) {
            continue;
        }
        addresses.sort_unstable();
        let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "\nwarning: the name {name} stands for several hosts ({}), but a coordinator is one host: the router uses \
             the first that it reaches, until it can no longer reach it; list each host as a coordinator, by its own \
             name or address",
            listed.join(", ")
        )?;
    }
    Ok(())
}

/// The addresses of the names that are resolved in time. A name that does not resolve here may do so where
/// the router runs.
fn resolved(names: &BTreeSet<&String>, resolver: &Resolver) -> io::Result<BTreeMap<String, Vec<IpAddr>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(LOOKUPS_AT_ONCE)
        .build()?;
    let found = runtime.block_on(async {
        let mut lookups = JoinSet::new();
        for name in names.iter().map(|name| (*name).clone()) {
            let resolver = resolver.clone();
            lookups.spawn(async move { (resolver.resolve(&name).await.unwrap_or_default(), name) });
        }
        let mut found = BTreeMap::new();
        let all = async {
            while let Some(Ok((addresses, name))) = lookups.join_next().await {
                found.insert(name, addresses);
            }
        };
        let _in_time = timeout(LOOKUP_TIME, all).await;
        found
    });
    // Does not wait for a resolver that hangs.
    runtime.shutdown_background();
    Ok(found)
}

/// `allowed` is the hard limit of open files, to which a router raises its own.
fn warn_of_few_files(config: &Config, allowed: u64, out: &mut impl Write) -> io::Result<()> {
    let connections = config.router.max_connections;
    let needed = files_for(connections);
    if allowed >= needed {
        return Ok(());
    }
    let enough_for = connections_with(allowed);
    writeln!(
        out,
        "\nwarning: max_connections = {connections} needs about {needed} open files, and a process that is started \
         like this one may have {allowed}; raise the limit (systemd: LimitNOFILE={needed}), or set \
         max_connections to {enough_for} or less"
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;

    const TWO_CLUSTERS: &str = "\
The config is valid. A router with this config
  listens on 0.0.0.0:21050 for cluster \"impala\", hs2 unless the client's first bytes say otherwise
  listens on 0.0.0.0:21000 for cluster \"impala\", beeswax unless the client's first bytes say otherwise
  listens on 0.0.0.0:10009 for cluster \"etl\", hs2-http unless the client's first bytes say otherwise
  serves health and metrics on http://[::1]:0

Cluster \"impala\" (impala, round-robin) has 3 coordinators:
  impala-1.example.com: hs2 21050, beeswax 21000, hs2-http 28000, web 25000
  impala-2.example.com: hs2 21050, beeswax 21000, hs2-http 28000, web 25000, weight 2, draining: it gets no new sessions
  c3: host 10.0.0.3, hs2 21051, hs2-http 28001, web 25001

Cluster \"etl\" (hive, least-loaded) has 3 coordinators:
  hive-1: hs2 10000
  [::1]:10000: host ::1, hs2 10000
  hive-2: hs2-http 10001
";

    fn file(name: &str) -> CheckArgs {
        CheckArgs { file: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/config").join(name) }
    }

    fn config(text: &str) -> Config {
        Config::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_good_file_is_described() {
        let mut out = Vec::new();
        run_with(&file("valid/two-clusters.toml"), &Resolver::Given(Arc::new(|_| Ok(Vec::new()))), &mut out)
            .unwrap();
        let said = String::from_utf8(out).unwrap();
        assert!(said.starts_with(TWO_CLUSTERS), "{said}");
    }

    #[test]
    fn a_name_that_stands_for_several_hosts_or_for_none_is_warned_of() {
        let config =
            config("[[cluster]]\ncoordinators = [\"fleet\", \"localhost\", \"10.0.0.9\", \"unknown\"]");
        let resolver = Resolver::Given(Arc::new(|name| match name {
            "fleet" => Ok(["10.0.0.2", "::1", "10.0.0.1"].map(|address| address.parse().unwrap()).into()),
            "localhost" => Ok(["127.0.0.1", "::1"].map(|address| address.parse().unwrap()).into()),
            "10.0.0.9" => Ok(vec![name.parse().unwrap()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }));
        let mut out = Vec::new();
        warn_of_names(&config, &resolver, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(said.matches("warning").count(), 2, "{said}");
        assert!(said.contains("the name unknown does not resolve on this machine"), "{said}");
        assert!(said.contains("the name fleet stands for several hosts (10.0.0.1, 10.0.0.2, ::1)"), "{said}");
        assert!(said.contains("list each host as a coordinator"), "{said}");
    }

    #[test]
    fn a_bad_file_costs_exit_code_78() {
        for name in ["invalid/syntax.toml", "invalid/unknown-keys.toml", "invalid/no-such-file.toml"] {
            let mut out = Vec::new();
            let error = run(&file(name), &mut out).unwrap_err();
            assert_eq!(crate::cmd::exit_code(&error), std::process::ExitCode::from(78), "{name}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn too_few_files_for_max_connections_are_warned_of() {
        let config = config("[router]\nmax_connections = 1000\n[[cluster]]\ncoordinators = [\"a\"]");
        let warning = |allowed| {
            let mut out = Vec::new();
            warn_of_few_files(&config, allowed, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(warning(2200), "");
        assert!(
            warning(2199).contains("max_connections = 1000 needs about 2200 open files"),
            "{}",
            warning(2199)
        );
        assert!(warning(1024).contains("set max_connections to 412 or less"), "{}", warning(1024));
    }

    fn description(text: &str) -> String {
        let mut out = Vec::new();
        describe(&config(text), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cluster_that_no_listener_serves_is_warned_of() {
        let said = description(
            "[[listener]]\naddress = \"[::]:21050\"\ncluster = \"impala\"\n\
             [[cluster]]\ncoordinators = [\"a\"]\n[[cluster]]\nflavor = \"hive\"\ncoordinators = [\"b\"]",
        );
        assert_eq!(said.matches("warning").count(), 1, "{said}");
        assert!(said.contains("warning: no listener serves cluster \"hive\"\n"), "{said}");
    }

    #[test]
    fn what_a_listener_does_besides_is_described() {
        let said = description(
            "[[listener]]\naddress = \"[::]:21050\"\ncluster = \"a\"\nproxy_protocol_from = [\"10.0.0.0/8\", \"::1\"]\n\
             sni = { \"*.B.example.com\" = \"b\" }\n\
             [[cluster]]\nname = \"a\"\ncoordinators = [\"a\"]\n[[cluster]]\nname = \"b\"\ncoordinators = [\"b\"]",
        );
        assert!(
            said.contains("behind balancers in 10.0.0.0/8, ::1/128, which send PROXY headers\n"),
            "{said}"
        );
        assert!(said.contains("TLS clients that ask for *.b.example.com reach cluster \"b\"\n"), "{said}");
        assert!(!said.contains("warning"), "b is served: {said}");
    }

    #[test]
    fn cookies_that_can_be_read_on_the_wire_are_warned_of() {
        let with = |service: &str, tls: &str| {
            description(&format!(
                "[[listener]]\naddress = \"[::]:1\"\nservice = \"{service}\"\n[listener.kerberos]\nkeytab = \"k\"\n{tls}\
                 [[cluster]]\ncoordinators = [\"a\"]\n[cluster.kerberos]\nprincipal = \"r/a@R\"\nkeytab = \"k\"\n\
                 coordinator = \"impala/_HOST@R\"\n"
            ))
        };
        let tls = "[listener.tls]\ncertificate = \"c\"\n";
        assert!(
            with("hs2-http", "").contains("warning: the listener [::]:1 takes tickets over HTTP without TLS")
        );
        assert!(!with("hs2-http", tls).contains("warning"));
        assert!(!with("hs2", "").contains("warning"));
    }

    #[test]
    fn a_cluster_without_an_active_coordinator_is_warned_of() {
        let said = description("[[cluster]]\ncoordinators = [{ host = \"a\", state = \"drain\" }]");
        assert!(said.contains("warning: all coordinators of cluster \"impala\" are draining"), "{said}");
    }
}
