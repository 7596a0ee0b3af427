//! A server that the environment names, to be checked instead of those that the tests start: see `README.md`.

use std::collections::BTreeMap;
use std::env;
use std::net::{SocketAddr, ToSocketAddrs};

use super::{Access, Account, Beeswax, Path, Place, Target, Transport, login, target_at};
use crate::check::Flavor;
use crate::statements::Dialect;

const ENVIRONMENT: &str = "HS2ROUTER_CONFORMANCE";

/// What the environment says of a server: `hs2://host:port?flavor=impala&transport=http&user=…&password=…&beeswax=port`.
struct Named {
    address: SocketAddr,
    beeswax: Option<SocketAddr>,
    account: Option<Account>,
    flavor: Flavor,
    transport: Transport,
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
        assert!(["flavor", "transport", "user", "password", "beeswax"].contains(key), "unknown key {key}");
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
    let transport = match options.get("transport").copied().unwrap_or("binary") {
        "binary" => Transport::Binary,
        "http" => Transport::Http,
        other => panic!("unknown transport {other}"),
    };
    Named { address, beeswax, account, flavor, transport }
}

/// The place that the environment names; none if it names none.
pub(super) fn place() -> Option<Place> {
    let Named { address, beeswax, account, flavor, transport } = parse(&env::var(ENVIRONMENT).ok()?);
    let login = login(account.as_ref(), transport);
    Some(Place {
        name: "named",
        flavor,
        dialect: Dialect::of(flavor, address, &login),
        access: match (account, flavor) {
            (None, _) => Access::Open,
            (Some(_), Flavor::Impala) => Access::Passwords,
            (Some(_), _) => Access::AnyPassword,
        },
        transport,
        path: Path::Unknown,
        coordinators: 1,
        beeswax: if beeswax.is_some() { Beeswax::Served } else { Beeswax::Absent },
        start,
    })
}

fn start(place: &Place) -> Option<Target> {
    let Named { address, beeswax, account, .. } = parse(&env::var(ENVIRONMENT).ok()?);
    Some(Target { beeswax, ..target_at(address, place, [account, None], Box::new(())) })
}
