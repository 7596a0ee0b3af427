//! Real `HiveServer2`s behind the router.

mod calls;
mod clients;
mod crash;
mod disconnect;
mod graceful;
mod ldap;
mod limits;
mod operations;
mod over_http;
mod pool;

use crate::support::clients::{self as real, Login, Shown, Target};
use crate::support::hive::{self, Hive, WHO_ARE_YOU};
use crate::support::ran::Met;
use crate::support::router::TestRouter;

/// Everything that the servers of the tests are logged in to with.
const LOGINS: [Login; 3] = [Login::NoSasl, Login::Plain, Login::LDAP];

/// How clients reach servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Tcp,
    Http,
}

/// Each login, and HTTP with the one for which passwords are checked.
const WAYS: [(Login, By); 4] =
    [(Login::NoSasl, By::Tcp), (Login::Plain, By::Tcp), (Login::LDAP, By::Tcp), (Login::LDAP, By::Http)];

/// Runs a scenario against a server and through the router in front of two, and returns what it showed if
/// both agree. `None`: the tools are missing.
fn everywhere(login: Login, by: By, scenario: impl Fn(&Target) -> Shown) -> Option<Shown> {
    let pair = hive::pair(login)?;
    let (direct, router) = match by {
        By::Tcp => (pair[0].target().clone(), TestRouter::of("hive", &pair.each_ref().map(Hive::address))),
        By::Http => {
            let ports = pair.each_ref().map(Hive::address_over_http);
            (pair[0].target_over_http(), TestRouter::http("hive", &ports))
        }
    };
    let target = &Target { over_http: direct.over_http, ..router.target() };
    let [direct, through] = [&direct, target].map(scenario);
    assert_eq!(through, direct);
    Met { shown: &through, server: "hive", target }.got_through(&router.metrics());
    Some(through)
}

#[test]
fn the_two_servers_of_a_kind_are_two() {
    for login in LOGINS {
        let Some(pair) = hive::pair(login) else { return };
        let homes = pair.each_ref().map(|server| real::pyhive(server.target(), login, &[WHO_ARE_YOU]));
        assert_ne!(homes[0].rows(), homes[1].rows());
    }
}
