//! Real `HiveServer2`s behind the router.

use crate::support::clients::{self, Login};
use crate::support::hive::{self, WHO_ARE_YOU};

#[test]
fn the_two_servers_of_a_kind_are_two() {
    for login in [Login::NoSasl, Login::Plain] {
        let Some(pair) = hive::pair(login) else { return };
        let homes = pair.each_ref().map(|server| clients::pyhive(server.target(), login, &[WHO_ARE_YOU]));
        assert_ne!(homes[0].rows(), homes[1].rows());
    }
}
