//! The servers that are checked: where they are, and what they are known to be.

mod named;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use hs2router::fake::client::{BeeswaxClient, Hs2Client, HttpLogin, Login};
use hs2router::fake::{Coordinator, Password, Settings};

use crate::check::{Flavor, Need};
use crate::statements::Dialect;
use crate::support::clients::Login as ServerLogin;
use crate::support::hive::{self, Hive};
use crate::support::router::TestRouter;
use crate::support::spark::{self, Spark};

/// How long a simulated coordinator holds a fetch without rows: Impala's 10 s would only be waited for.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
/// Who can log in at the simulated coordinators, with which password.
const USERS: [(&str, &str); 2] = [("ann", "nna"), ("bob", "bbo")];

/// A name and a password.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Account {
    fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }

    /// How this user logs in.
    pub(crate) fn login(&self, transport: Transport) -> Login {
        match transport {
            Transport::Binary => Login::plain(&self.user, &self.password),
            Transport::Http => Login::basic(&self.user, &self.password),
        }
    }
}

/// How clients come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Without a login.
    Open,
    /// SASL PLAIN, or Basic over HTTP, with passwords that are checked.
    Passwords,
    /// The same with any password (Hive's `NONE`).
    AnyPassword,
}

/// What messages come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Thrift as it is, or in SASL's frames.
    Binary,
    /// HTTP.
    Http,
}

/// What lies between the checks and the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Direct,
    Routed,
    /// Whoever named the server does not say.
    Unknown,
}

/// A server that could be started or connected to.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) flavor: Flavor,
    pub(crate) dialect: Dialect,
    pub(crate) access: Access,
    pub(crate) transport: Transport,
    pub(crate) path: Path,
    /// How many coordinators; behind a router they may be several.
    coordinators: usize,
    beeswax: Beeswax,
    /// `None`: the tools for it are missing, and the reason was printed.
    pub(crate) start: fn(&Self) -> Option<Target>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beeswax {
    Served,
    Absent,
}

impl Place {
    /// Whether this is what a check needs.
    pub(crate) fn has(&self, need: Need) -> bool {
        match need {
            Need::Beeswax => self.beeswax == Beeswax::Served,
            Need::Sasl => self.access != Access::Open && self.transport == Transport::Binary,
            Need::NoSasl => self.access == Access::Open && self.transport == Transport::Binary,
            Need::Http => self.transport == Transport::Http,
            Need::Binary => self.transport == Transport::Binary,
            Need::Login => self.access != Access::Open,
            // Impala: a request that came before its time stays unnoticed (`TAcceptQueueServer.cpp`
            // `Task::run`, whose `peek` looks at the socket only).
            Need::Pipelines => {
                let is_noticed = self.flavor != Flavor::Impala || self.path == Path::Routed;
                self.transport == Transport::Binary || is_noticed
            }
            Need::Passwords => self.access == Access::Passwords,
            Need::SecondUser => self.access != Access::Open && self.path != Path::Unknown,
            Need::Simulated => self.dialect == Dialect::Simulated,
            Need::Direct => self.path == Path::Direct,
            Need::Routed => self.path == Path::Routed,
            Need::Started => self.path != Path::Unknown,
        }
    }

    fn fake(name: &'static str, access: Access, path: Path, coordinators: usize) -> Self {
        Self {
            name,
            flavor: Flavor::Impala,
            dialect: Dialect::Simulated,
            access,
            transport: Transport::Binary,
            path,
            coordinators,
            beeswax: Beeswax::Served,
            start: start_fake,
        }
    }

    /// The same over HTTP, where Beeswax is not spoken.
    fn over_http(self) -> Self {
        Self { transport: Transport::Http, beeswax: Beeswax::Absent, ..self }
    }

    fn spark(name: &'static str, access: Access, path: Path) -> Self {
        Self {
            name,
            flavor: Flavor::Spark,
            dialect: Dialect::Spark,
            access,
            transport: Transport::Binary,
            path,
            coordinators: 2,
            beeswax: Beeswax::Absent,
            start: start_spark,
        }
    }

    fn hive(name: &'static str, access: Access, path: Path) -> Self {
        Self {
            flavor: Flavor::Hive,
            dialect: Dialect::Hive,
            start: start_hive,
            ..Self::spark(name, access, path)
        }
    }

    /// How the other tests call what a client of this server does to log in.
    fn login(&self) -> ServerLogin {
        if self.access == Access::Open { ServerLogin::NoSasl } else { ServerLogin::Plain }
    }
}

/// A running server.
pub(crate) struct Target {
    path: Path,
    transport: Transport,
    pub(crate) flavor: Flavor,
    pub(crate) dialect: Dialect,
    pub(crate) hs2: SocketAddr,
    beeswax: Option<SocketAddr>,
    /// `None`: no SASL.
    pub(crate) account: Option<Account>,
    second: Option<Account>,
    /// What lives as long as the target does.
    _owned: Box<dyn Any>,
}

impl Target {
    /// A new HS2 connection, logged in.
    pub(crate) fn connect(&self) -> Hs2Client {
        Hs2Client::connect(self.hs2, &self.login()).unwrap()
    }

    /// The same as another user.
    pub(crate) fn connect_second(&self) -> Hs2Client {
        Hs2Client::connect(self.hs2, &self.second().login(self.transport)).unwrap()
    }

    /// What goes with each request of the user over HTTP; none on another port.
    pub(crate) fn http(&self) -> Option<HttpLogin> {
        match self.login() {
            Login::Http(login) => Some(login),
            Login::NoSasl | Login::Plain { .. } | Login::Kerberos { .. } => None,
        }
    }

    /// Whether a router is known to be between.
    pub(crate) fn is_routed(&self) -> bool {
        self.path == Path::Routed
    }

    /// The second user.
    pub(crate) fn second(&self) -> &Account {
        self.second.as_ref().expect("the check needs a second user")
    }

    /// The user, where there is a login.
    pub(crate) fn account(&self) -> &Account {
        self.account.as_ref().expect("the check needs SASL")
    }

    /// A new Beeswax connection, logged in.
    pub(crate) fn connect_beeswax(&self) -> BeeswaxClient {
        BeeswaxClient::connect(self.beeswax(), &self.login()).unwrap()
    }

    /// The Beeswax port.
    pub(crate) fn beeswax(&self) -> SocketAddr {
        self.beeswax.expect("the check needs Beeswax")
    }

    pub(crate) fn login(&self) -> Login {
        login(self.account.as_ref(), self.transport)
    }
}

/// How a user logs in, or nobody in particular.
fn login(account: Option<&Account>, transport: Transport) -> Login {
    match (account, transport) {
        (Some(account), _) => account.login(transport),
        (None, Transport::Binary) => Login::NoSasl,
        (None, Transport::Http) => Login::http(),
    }
}

/// Every place, or only the one that the environment names.
pub(crate) fn all() -> Vec<Place> {
    if let Some(named) = named::place() {
        return vec![named];
    }
    vec![
        Place::fake("fake", Access::Open, Path::Direct, 1),
        Place::fake("fake_sasl", Access::Passwords, Path::Direct, 1),
        Place::fake("router_to_fake", Access::Open, Path::Routed, 1),
        Place::fake("router_to_fake_sasl", Access::Passwords, Path::Routed, 1),
        Place::fake("router_to_3_fakes", Access::Open, Path::Routed, 3),
        Place::fake("router_to_3_fakes_sasl", Access::Passwords, Path::Routed, 3),
        Place::fake("fake_http", Access::Passwords, Path::Direct, 1).over_http(),
        Place::fake("router_to_fake_http", Access::Passwords, Path::Routed, 1).over_http(),
        Place::fake("router_to_3_fakes_http", Access::Passwords, Path::Routed, 3).over_http(),
        Place::spark("spark", Access::Open, Path::Direct),
        Place::spark("spark_sasl", Access::AnyPassword, Path::Direct),
        Place::spark("router_to_2_sparks", Access::Open, Path::Routed),
        Place::spark("router_to_2_sparks_sasl", Access::AnyPassword, Path::Routed),
        Place::spark("spark_http", Access::AnyPassword, Path::Direct).over_http(),
        Place::spark("router_to_2_sparks_http", Access::AnyPassword, Path::Routed).over_http(),
        Place::hive("hive", Access::Open, Path::Direct),
        Place::hive("hive_sasl", Access::AnyPassword, Path::Direct),
        Place::hive("router_to_2_hives", Access::Open, Path::Routed),
        Place::hive("router_to_2_hives_sasl", Access::AnyPassword, Path::Routed),
        Place::hive("hive_http", Access::AnyPassword, Path::Direct).over_http(),
        Place::hive("router_to_2_hives_http", Access::AnyPassword, Path::Routed).over_http(),
    ]
}

#[expect(clippy::unnecessary_wraps, reason = "other places may be missing")]
fn start_fake(place: &Place) -> Option<Target> {
    let users: BTreeMap<_, _> =
        USERS.iter().map(|(user, password)| ((*user).to_owned(), Password::new(password))).collect();
    let accounts = USERS.map(|(user, password)| Account::new(user, password));
    let [account, second] = accounts.map(|account| (place.access != Access::Open).then_some(account));
    let start = |number| {
        Coordinator::start(Settings {
            name: format!("c{number}"),
            users: account.as_ref().map(|_| users.clone()),
            fetch_timeout: FETCH_TIMEOUT,
            ..Settings::default()
        })
    };
    let coordinators: Vec<_> = (1..=place.coordinators).map(|number| start(number).unwrap()).collect();
    let is_http = place.transport == Transport::Http;
    let hs2 = |one: &Coordinator| if is_http { one.hs2_http() } else { one.hs2() };
    let (hs2, beeswax, owned): (_, _, Box<dyn Any>) = if place.path == Path::Routed {
        let ports = coordinators.iter().map(|one| Ports {
            hs2: if is_http { 0 } else { one.hs2().port() },
            beeswax: one.beeswax().port(),
            http: one.hs2_http().port(),
        });
        let router = start_router("impala", ports);
        (router.listener(0), router.listener(1), Box::new((router, coordinators)))
    } else {
        (hs2(&coordinators[0]), coordinators[0].beeswax(), Box::new(coordinators))
    };
    let beeswax = Some(beeswax).filter(|_| place.beeswax == Beeswax::Served);
    Some(Target { beeswax, ..target_at(hs2, place, [account, second], owned) })
}

/// A server at this address, with the user and the second one.
fn target_at(
    hs2: SocketAddr,
    place: &Place,
    [account, second]: [Option<Account>; 2],
    owned: Box<dyn Any>,
) -> Target {
    let (path, transport, flavor, dialect) = (place.path, place.transport, place.flavor, place.dialect);
    Target { path, transport, flavor, dialect, hs2, beeswax: None, account, second, _owned: owned }
}

/// Real servers start one pair after the other: all at once, each might take too long on a small machine.
static STARTING: Mutex<()> = Mutex::new(());

fn start_spark(place: &Place) -> Option<Target> {
    let starting = STARTING.lock();
    let servers = match place.transport {
        Transport::Binary => spark::pair(place.login()),
        Transport::Http => spark::pair_over_http(),
    }?;
    drop(starting);
    Some(target_of(place, "spark", &servers.each_ref().map(Spark::address)))
}

fn start_hive(place: &Place) -> Option<Target> {
    let starting = STARTING.lock();
    let servers = match place.transport {
        Transport::Binary => hive::pair(place.login()),
        Transport::Http => hive::pair_over_http(),
    }?;
    drop(starting);
    Some(target_of(place, "hive", &servers.each_ref().map(Hive::address)))
}

/// The first of the servers at these addresses, or a router in front of all. Other tests use them, too: they
/// stay.
fn target_of(place: &Place, flavor: &str, servers: &[SocketAddr]) -> Target {
    let (hs2, owned): (_, Box<dyn Any>) = if place.path == Path::Routed {
        let ports = servers.iter().map(|server| match place.transport {
            Transport::Binary => Ports { hs2: server.port(), beeswax: 0, http: 0 },
            Transport::Http => Ports { hs2: 0, beeswax: 0, http: server.port() },
        });
        let router = start_router(flavor, ports);
        (router.listener(0), Box::new(router))
    } else {
        (servers[0], Box::new(()))
    };
    let accounts = [Account::new("u1", "p1"), Account::new("u2", "p2")];
    let accounts = accounts.map(|account| (place.access != Access::Open).then_some(account));
    target_at(hs2, place, accounts, owned)
}

/// A coordinator's ports; 0: none.
struct Ports {
    hs2: u16,
    beeswax: u16,
    http: u16,
}

/// A router with a listener for HS2, and one for Beeswax where that is spoken, in front of coordinators on
/// these ports.
fn start_router(flavor: &str, ports: impl Iterator<Item = Ports>) -> TestRouter {
    let (mut coordinators, mut service) = (String::new(), "hs2");
    for (number, Ports { hs2, beeswax, http }) in (1..).zip(ports) {
        if hs2 == 0 {
            service = "hs2-http";
        }
        write!(
            coordinators,
            "{{ name = \"c{number}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = {beeswax}, hs2_http = {http}, web = 0 }}, "
        )
        .unwrap();
    }
    let listener = |service| format!("[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{service}\"\n");
    let beeswax = if flavor == "impala" { listener("beeswax") } else { String::new() };
    TestRouter::start(&format!(
        "{}{beeswax}[[cluster]]\nname = \"test\"\nflavor = \"{flavor}\"\ncoordinators = [{coordinators}]\n",
        listener(service)
    ))
}
