//! `hs2router demo`: three simulated coordinators and a router in one process, to try the router on any
//! machine.

use std::io::{self, Write};

use anyhow::Context as _;

use super::run::Signals;
use crate::cli::DemoArgs;
use crate::control::config::Config;
use crate::control::log;
use crate::control::router::Router;
use crate::fake::{Coordinator, Settings};
use crate::net::host::Resolver;
use crate::serve::threads::workers::Workers;

/// How many coordinators are simulated.
const COORDINATORS: usize = 3;

/// The ports of the demo, all on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    hs2: u16,
    beeswax: u16,
    hs2_http: u16,
    admin: u16,
}

impl Ports {
    /// Impala's own ports, or four in a row.
    fn from(base: Option<u16>) -> Self {
        match base {
            None => Self { hs2: 21050, beeswax: 21000, hs2_http: 28000, admin: 25025 },
            Some(base) => Self { hs2: base, beeswax: base + 1, hs2_http: base + 2, admin: base + 3 },
        }
    }
}

/// Runs the demo until a signal ends it.
///
/// # Errors
/// When a port is in use or signals cannot be waited for.
pub fn run(args: DemoArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ports = Ports::from(args.port_base);
    let coordinators = start_coordinators()?;
    let config = Config::parse("demo", &config_text(ports, &coordinators))?;
    let (_written, log) = log::start(config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let router = Router::start_on(&config, &Workers::here(), Resolver::System, log)
            .context("the demo cannot start; --port-base N moves all its ports")?;
        out.write_all(introduction(ports, &coordinators).as_bytes())?;
        out.flush()?;
        signals.next().await;
        writeln!(out, "\nstopping; press Ctrl-C again to stop at once")?;
        router.drain(signals.next()).await;
        Ok(())
    })
}

fn start_coordinators() -> io::Result<Vec<Coordinator>> {
    let start = |number| {
        Coordinator::start(Settings { name: format!("coordinator-{number}"), ..Settings::default() })
    };
    (1..=COORDINATORS).map(start).collect()
}

/// The config of the demo, as a user would write it.
fn config_text(ports: Ports, coordinators: &[Coordinator]) -> String {
    let Ports { hs2, beeswax, hs2_http, admin } = ports;
    let coordinators: Vec<String> = coordinators.iter().map(coordinator_text).collect();
    format!(
        "[log]\nlevel = \"warn\"\n\
         [admin]\naddress = \"127.0.0.1:{admin}\"\n\
         [[listener]]\naddress = \"127.0.0.1:{hs2}\"\nservice = \"hs2\"\n\
         [[listener]]\naddress = \"127.0.0.1:{beeswax}\"\nservice = \"beeswax\"\n\
         [[listener]]\naddress = \"127.0.0.1:{hs2_http}\"\nservice = \"hs2-http\"\n\
         [[cluster]]\nname = \"demo\"\nflavor = \"impala\"\ncoordinators = [\n{}]\n",
        coordinators.concat()
    )
}

fn coordinator_text(coordinator: &Coordinator) -> String {
    format!(
        "  {{ name = \"{}\", host = \"127.0.0.1\", hs2 = {}, beeswax = {}, hs2_http = {}, web = {} }},\n",
        coordinator.name(),
        coordinator.hs2().port(),
        coordinator.beeswax().port(),
        coordinator.hs2_http().port(),
        coordinator.web().port(),
    )
}

fn introduction(ports: Ports, coordinators: &[Coordinator]) -> String {
    let Ports { hs2, beeswax, hs2_http, admin } = ports;
    let list: Vec<String> = coordinators
        .iter()
        .map(|coordinator| {
            let (name, hs2, beeswax) = (coordinator.name(), coordinator.hs2(), coordinator.beeswax());
            let (http, web) = (coordinator.hs2_http(), coordinator.web());
            format!("  {name}  hs2 {hs2}  beeswax {beeswax}  hs2-http {http}  web http://{web}\n")
        })
        .collect();
    format!(
        "The router, on 127.0.0.1:
  {hs2}  HiveServer2 (impala-shell, impyla, JDBC, ODBC)
  {beeswax}  Beeswax (older impala-shells)
  {hs2_http}  HiveServer2 over HTTP (impala-shell, impyla, JDBC, ODBC)
  {admin}  http://127.0.0.1:{admin}/ (a page for operators), /metrics and /healthz

Three simulated coordinators, which take no passwords (connect without -l):
{}
Try, each in a terminal of its own:
  impala-shell --protocol=hs2 -i 127.0.0.1:{hs2} -q 'select coordinator()'
  impala-shell --protocol=hs2-http -i 127.0.0.1:{hs2_http} -q 'select coordinator()'
  impala-shell --protocol=beeswax -i 127.0.0.1:{beeswax} -q 'select * from rows(5, 3)'
  beeline --silent=true -u 'jdbc:hive2://127.0.0.1:{hs2}/default;auth=noSasl' -e 'show databases'
  python3 - <<'END'
from impala.dbapi import connect
connection = connect('127.0.0.1', {hs2})
for _ in range(6):                       # a session for each cursor: they spread over the coordinators
    cursor = connection.cursor()
    cursor.execute('select coordinator()')
    print(cursor.fetchall())
END

`show statements` lists what the simulated coordinators understand. Ctrl-C ends the demo.
",
        list.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_impalas_ports_or_four_in_a_row() {
        assert_eq!(Ports::from(None).hs2, 21050);
        let Ports { hs2, beeswax, hs2_http, admin } = Ports::from(Some(30_000));
        assert_eq!([hs2, beeswax, hs2_http, admin], [30_000, 30_001, 30_002, 30_003]);
    }

    #[test]
    fn the_demo_prints_the_commands_of_the_readme() {
        let readme = include_str!("../../README.md");
        let (_, rest) = readme.split_once("It prints these commands").unwrap();
        let block = rest.split("```").nth(1).unwrap();
        let printed = introduction(Ports::from(None), &start_coordinators().unwrap());
        let commands: Vec<_> = block.trim_start_matches("sh").trim().lines().collect();
        assert!(commands.len() > 3, "{commands:?}");
        for command in commands {
            assert!(printed.contains(command), "{command}");
        }
    }

    #[test]
    fn the_config_of_the_demo_is_one_that_a_user_could_write() {
        let coordinators = start_coordinators().unwrap();
        let config = Config::parse("demo", &config_text(Ports::from(None), &coordinators)).unwrap();
        assert_eq!(config.listeners.len(), 3);
        assert_eq!(config.clusters[0].coordinators.len(), COORDINATORS);
    }
}
