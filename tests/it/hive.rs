//! Real `HiveServer2`s behind the router.

mod calls;
mod clients;
mod crash;
mod disconnect;
mod graceful;
mod ldap;
mod limits;
mod operations;
mod pool;

use crate::support::clients::{self as real, Login, Shown, Target};
use crate::support::hive::{self, WHO_ARE_YOU};
use crate::support::ran;
use crate::support::router::TestRouter;

/// Everything that the servers of the tests are logged in to with.
const LOGINS: [Login; 3] = [Login::NoSasl, Login::Plain, Login::LDAP];

/// Runs a scenario against a server and through the router in front of two, and returns what it showed if
/// both agree. `None`: the tools are missing.
fn everywhere(login: Login, scenario: impl Fn(&Target) -> Shown) -> Option<Shown> {
    let [first, second] = hive::pair(login)?;
    let router = TestRouter::of("hive", &[first.address(), second.address()]);
    let [direct, through] = [first.target().clone(), router.target()].map(|target| scenario(&target));
    assert_eq!(through, direct);
    ran::note(&through, "hive");
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
