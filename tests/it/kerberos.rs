//! Kerberos that the router ends itself: real tickets of a real KDC, real clients, and coordinators of which
//! each has a key of its own.

mod attack;
mod braking;
mod busy;
mod clients;
pub(crate) mod front;
mod hive;
mod input;
mod located;
mod merged;
mod minted;
mod negotiate;
mod over_http;
mod passwords;
mod realms;
mod renewal;
mod start;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Password, Settings};
use parking_lot::Mutex;

use crate::admin::ask_at;
use crate::support::clients::Target;
use crate::support::kdc::{self, REALM};
use crate::support::keeper::Keeper;
use crate::support::router::SELDOM;
use crate::support::tools::{self, Tool};
use front::{GssapiFront, Tunnel};

/// The service that clients ask a ticket for: the router's.
const SERVICE: &str = "impala";

/// The router that users run, as a process of its own, because its keytabs are in its environment.
struct KerberosRouter {
    listener: SocketAddr,
    admin: SocketAddr,
    /// What it has logged.
    log: Arc<Mutex<Vec<String>>>,
    // Kills it.
    _keeper: Keeper,
}

impl KerberosRouter {
    /// In front of these ports of `localhost`, with more keys for `[listener.kerberos]`.
    fn start(flavor: &str, coordinator: &str, ports: &[u16], listener: &str) -> Self {
        let ports: Vec<_> = ports.iter().map(|port| format!("hs2 = {port}, hs2_http = 0, web = 0")).collect();
        Self::with(flavor, coordinator, &ports, &format!("service = \"hs2\"\n{}", by_ticket(listener)))
    }

    /// The same, where the ports are for HTTP, and the coordinators have no others.
    fn over_http(flavor: &str, coordinator: &str, ports: &[u16], listener: &str) -> Self {
        let ports: Vec<_> = ports.iter().map(|port| format!("hs2 = 0, hs2_http = {port}, web = 0")).collect();
        Self::with(flavor, coordinator, &ports, &format!("service = \"hs2-http\"\n{}", by_ticket(listener)))
    }

    /// In front of coordinators on `localhost` with these ports, and more of the listener.
    fn with(flavor: &str, coordinator: &str, ports: &[String], listener: &str) -> Self {
        Self::of(&Self::config(flavor, coordinator, ports, listener))
    }

    /// The config of such a router.
    fn config(flavor: &str, coordinator: &str, ports: &[String], listener: &str) -> String {
        let of = |ports: &String| format!("{{ host = \"localhost\", {ports}, beeswax = 0 }}");
        let coordinators: Vec<String> = ports.iter().map(of).collect();
        format!(
            "[log]\nlevel = \"debug\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n\
             [[cluster]]\nflavor = \"{flavor}\"\n{SELDOM}\ncoordinators = [{}]\n\
             [cluster.kerberos]\nprincipal = \"hs2router/localhost@{REALM}\"\nkeytab = \"{}\"\n\
             coordinator = \"{coordinator}\"\n",
            coordinators.join(", "),
            kdc::shared().own_keytab().display(),
        )
    }

    /// With this config.
    fn of(config: &str) -> Self {
        Self::started_in(config, &[])
    }

    /// With this config, where these variables are set, too.
    fn started_in(config: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let path = folder.join("config.toml");
        fs::write(&path, config).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_hs2router"));
        let arguments = ["run", "--config", path.to_str().unwrap()].map(str::to_owned);
        let mut settings = vec![("KRB5_CONFIG", kdc::shared().config().display().to_string())];
        settings.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut keeper = Keeper::start(&folder, program, &arguments, &settings);
        let lines = BufReader::new(keeper.output()).lines();
        let (said, saying) = mpsc::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        // To the last line, or the program stands still.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().push(line.clone());
                drop(said.send(line));
            }
        });
        let address = |key: &str| {
            let of = |line: &str| Some(line.split_once(key)?.1.split(' ').next()?.parse().unwrap());
            saying.iter().find_map(|line| of(&line)).unwrap_or_else(|| panic!("{:?}", log.lock()))
        };
        let (listener, admin) = (address(" address="), address(" admin="));
        Self { listener, admin, log, _keeper: keeper }
    }

    /// Where it listens, for a client program.
    fn target(&self) -> Target {
        Target { host: "localhost".to_owned(), ..Target::of(self.listener) }
    }

    /// Where it listens on this host.
    fn address_of(&self, host: &str) -> SocketAddr {
        let key = format!(" address={host}:");
        let port = |line: &String| line.split_once(&key)?.1.split(' ').next()?.parse::<u16>().ok();
        let port = self.log.lock().iter().find_map(port).expect("it has said so");
        format!("{host}:{port}").parse().unwrap()
    }

    /// All its metrics.
    fn metrics(&self) -> String {
        ask_at(self.admin, "GET /metrics", "").1
    }

    /// Whether it has logged a line with these words.
    fn has_logged(&self, words: &str) -> bool {
        self.log.lock().iter().any(|line| line.contains(words))
    }
}

/// `[listener.kerberos]` with these keys besides its keytab.
fn by_ticket(more: &str) -> String {
    format!("[listener.kerberos]\nkeytab = \"{}\"\n{more}", kdc::shared().keytab().display())
}

/// Simulated Impalas that take the router's ticket, each behind a front of its own, and a router.
struct Fleet {
    router: KerberosRouter,
    coordinators: Vec<Coordinator>,
    fronts: Vec<GssapiFront>,
    listener: String,
}

impl Fleet {
    /// So many coordinators, with more keys for `[listener.kerberos]`. `None`: the tools are missing, the reason
    /// was printed.
    fn of(coordinators: usize, listener: &str) -> Option<Self> {
        if !tools::present(&[Tool::Kdc]) {
            return None;
        }
        // The front logs in as the principal whose ticket it has accepted; impalad takes its short name.
        let users = BTreeMap::from([("hs2router".to_owned(), Password::new(front::PASSWORD))]);
        let coordinators: Vec<_> = (1..=coordinators)
            .map(|number| {
                let (name, users) = (format!("c{number}"), Some(users.clone()));
                Coordinator::start(Settings { name, users, ..Settings::default() }).unwrap()
            })
            .collect();
        let fronts: Vec<_> = coordinators.iter().map(|one| GssapiFront::start(one.hs2())).collect();
        let router = in_front_of(&fronts, listener);
        Some(Self { router, coordinators, fronts, listener: listener.to_owned() })
    }

    /// Puts a router that knows nothing in the place of this one.
    fn restart_router(&mut self) {
        self.router = in_front_of(&self.fronts, &self.listener);
    }

    /// How many sessions each coordinator has.
    fn sessions(&self) -> Vec<usize> {
        self.coordinators.iter().map(|one| one.open_sessions().len()).collect()
    }

    /// How often the coordinators have received this method.
    fn received(&self, method: &str) -> usize {
        let calls = |one: &Coordinator| one.calls().iter().filter(|call| call.method == method).count();
        self.coordinators.iter().map(calls).sum()
    }
}

fn in_front_of(fronts: &[GssapiFront], listener: &str) -> KerberosRouter {
    let ports: Vec<u16> = fronts.iter().map(|front| front.port).collect();
    KerberosRouter::start("impala", &format!("hive/_HOST@{REALM}"), &ports, listener)
}

/// A client with this user's ticket for the router.
fn log_in(router: SocketAddr, user: &str) -> Result<TicketClient, CallError> {
    let tunnel = Tunnel::start(router, user, SERVICE);
    let client = Hs2Client::connect(tunnel.address, &Login::plain("x", "x"))?;
    Ok(TicketClient { client, _tunnel: tunnel })
}

/// A client and what logs it in.
struct TicketClient {
    client: Hs2Client,
    _tunnel: Tunnel,
}

impl Deref for TicketClient {
    type Target = Hs2Client;

    fn deref(&self) -> &Hs2Client {
        &self.client
    }
}

impl DerefMut for TicketClient {
    fn deref_mut(&mut self) -> &mut Hs2Client {
        &mut self.client
    }
}
