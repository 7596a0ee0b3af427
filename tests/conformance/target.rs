//! The servers that are checked: where they are, and what they are known to be.

use std::any::Any;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use hs2router::fake::client::{BeeswaxClient, Hs2Client, Login};
use hs2router::fake::{Coordinator, Password, Settings};

use crate::check::{Flavor, Need};
use crate::statements::Dialect;
use crate::support::clients::Login as ServerLogin;
use crate::support::hive::{self, Hive};
use crate::support::router::TestRouter;
use crate::support::spark::{self, Spark};

/// Names a server to check instead of those that the tests start: see `README.md`.
const ENVIRONMENT: &str = "HS2ROUTER_CONFORMANCE";
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

    pub(crate) fn login(&self) -> Login {
        Login::plain(&self.user, &self.password)
    }
}

/// How clients come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Without SASL.
    Open,
    /// SASL PLAIN with passwords that are checked.
    Passwords,
    /// SASL PLAIN with any password (Hive's `NONE`).
    AnyPassword,
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
            Need::Sasl => self.access != Access::Open,
            Need::NoSasl => self.access == Access::Open,
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
            path,
            coordinators,
            beeswax: Beeswax::Served,
            start: start_fake,
        }
    }

    fn spark(name: &'static str, access: Access, path: Path) -> Self {
        Self {
            name,
            flavor: Flavor::Spark,
            dialect: Dialect::Spark,
            access,
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
        Hs2Client::connect(self.hs2, &self.second().login()).unwrap()
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
        self.account.as_ref().map_or(Login::NoSasl, Account::login)
    }
}

/// Every place, or only the one that the environment names.
pub(crate) fn all() -> Vec<Place> {
    if let Ok(address) = env::var(ENVIRONMENT) {
        return vec![named(&address)];
    }
    vec![
        Place::fake("fake", Access::Open, Path::Direct, 1),
        Place::fake("fake_sasl", Access::Passwords, Path::Direct, 1),
        Place::fake("router_to_fake", Access::Open, Path::Routed, 1),
        Place::fake("router_to_fake_sasl", Access::Passwords, Path::Routed, 1),
        Place::fake("router_to_3_fakes", Access::Open, Path::Routed, 3),
        Place::fake("router_to_3_fakes_sasl", Access::Passwords, Path::Routed, 3),
        Place::spark("spark", Access::Open, Path::Direct),
        Place::spark("spark_sasl", Access::AnyPassword, Path::Direct),
        Place::spark("router_to_2_sparks", Access::Open, Path::Routed),
        Place::spark("router_to_2_sparks_sasl", Access::AnyPassword, Path::Routed),
        Place::hive("hive", Access::Open, Path::Direct),
        Place::hive("hive_sasl", Access::AnyPassword, Path::Direct),
        Place::hive("router_to_2_hives", Access::Open, Path::Routed),
        Place::hive("router_to_2_hives_sasl", Access::AnyPassword, Path::Routed),
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
    let (hs2, beeswax, owned): (_, _, Box<dyn Any>) = if place.path == Path::Routed {
        let ports = coordinators.iter().map(|one| (one.hs2().port(), one.beeswax().port()));
        let router = start_router("impala", ports);
        (router.listener(0), router.listener(1), Box::new((router, coordinators)))
    } else {
        (coordinators[0].hs2(), coordinators[0].beeswax(), Box::new(coordinators))
    };
    let (flavor, dialect) = (place.flavor, place.dialect);
    Some(Target {
        path: place.path,
        flavor,
        dialect,
        hs2,
        beeswax: Some(beeswax),
        account,
        second,
        _owned: owned,
    })
}

fn start_spark(place: &Place) -> Option<Target> {
    let servers = spark::pair(place.login())?;
    Some(target_of(place, "spark", &servers.each_ref().map(Spark::address)))
}

fn start_hive(place: &Place) -> Option<Target> {
    let servers = hive::pair(place.login())?;
    Some(target_of(place, "hive", &servers.each_ref().map(Hive::address)))
}

/// The first of the servers at these addresses, or a router in front of all. Other tests use them, too: they
/// stay.
fn target_of(place: &Place, flavor: &str, servers: &[SocketAddr]) -> Target {
    let (hs2, owned): (_, Box<dyn Any>) = if place.path == Path::Routed {
        let router = start_router(flavor, servers.iter().map(|server| (server.port(), 0)));
        (router.listener(0), Box::new(router))
    } else {
        (servers[0], Box::new(()))
    };
    let accounts = [Account::new("u1", "p1"), Account::new("u2", "p2")];
    let [account, second] = accounts.map(|account| (place.access != Access::Open).then_some(account));
    let (flavor, dialect) = (place.flavor, place.dialect);
    Target { path: place.path, flavor, dialect, hs2, beeswax: None, account, second, _owned: owned }
}

/// A router with an HS2 listener, and a Beeswax listener where that is spoken, in front of coordinators on
/// these ports; port 0: none.
fn start_router(flavor: &str, ports: impl Iterator<Item = (u16, u16)>) -> TestRouter {
    let mut coordinators = String::new();
    for (number, (hs2, beeswax)) in (1..).zip(ports) {
        write!(
            coordinators,
            "{{ name = \"c{number}\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = {beeswax}, hs2_http = 0, web = 0 }}, "
        )
        .unwrap();
    }
    let listener = |service| format!("[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{service}\"\n");
    let beeswax = if flavor == "impala" { listener("beeswax") } else { String::new() };
    TestRouter::start(&format!(
        "{}{beeswax}[[cluster]]\nname = \"test\"\nflavor = \"{flavor}\"\ncoordinators = [{coordinators}]\n",
        listener("hs2")
    ))
}

/// What the environment says of a server: `hs2://host:port?flavor=impala&user=…&password=…&beeswax=port`.
struct Named {
    address: SocketAddr,
    beeswax: Option<SocketAddr>,
    account: Option<Account>,
    flavor: Flavor,
}

fn parse(text: &str) -> Named {
    let rest = text.strip_prefix("hs2://").expect("the address begins with hs2://");
    let (at, options) = rest.split_once('?').unwrap_or((rest, ""));
    let options: BTreeMap<&str, &str> = options
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    for key in options.keys() {
        assert!(["flavor", "user", "password", "beeswax"].contains(key), "unknown key {key}");
    }
    let address = at.to_socket_addrs().expect("host:port").next().expect("the host has an address");
    let beeswax =
        options.get("beeswax").map(|port| SocketAddr::new(address.ip(), port.parse().expect("a port")));
    let password = options.get("password").copied().unwrap_or_default();
    let account = options.get("user").map(|user| Account::new(user, password));
    let flavor = match options.get("flavor").copied().unwrap_or("impala") {
        "impala" => Flavor::Impala,
        "spark" => Flavor::Spark,
        "hive" => Flavor::Hive,
        other => panic!("unknown flavor {other}"),
    };
    Named { address, beeswax, account, flavor }
}

fn named(text: &str) -> Place {
    let Named { address, beeswax, account, flavor } = parse(text);
    let login = account.as_ref().map_or(Login::NoSasl, Account::login);
    Place {
        name: "named",
        flavor,
        dialect: Dialect::of(flavor, address, &login),
        access: match (account, flavor) {
            (None, _) => Access::Open,
            (Some(_), Flavor::Impala) => Access::Passwords,
            (Some(_), _) => Access::AnyPassword,
        },
        path: Path::Unknown,
        coordinators: 1,
        beeswax: if beeswax.is_some() { Beeswax::Served } else { Beeswax::Absent },
        start: start_named,
    }
}

fn start_named(place: &Place) -> Option<Target> {
    let Named { address, beeswax, account, flavor } = parse(&env::var(ENVIRONMENT).ok()?);
    Some(Target {
        path: place.path,
        flavor,
        dialect: place.dialect,
        hs2: address,
        beeswax,
        account,
        second: None,
        _owned: Box::new(()),
    })
}
