//! Real clients by ticket, in front of a real `HiveServer2` that takes nothing else: the router's ticket, and the user
//! with it.

use super::KerberosRouter;
use crate::support::clients::{Cursors, Shown, Target};
use crate::support::hive_by_ticket;
use crate::support::kdc::{REALM, USERS};
use crate::support::ran::Met;
use crate::support::ticket_clients as clients;

/// The session's user, which is not the server's process's; a row, and an error.
const STATEMENTS: [&str; 3] = ["SELECT logged_in_user() AS me", "SELECT 42 AS answer", "SELECT nothing"];

/// Runs a scenario directly against the server, with a ticket for that, and through the router, with one for the
/// router; returns what both showed. `None`: the tools are missing.
fn through_and_direct(scenario: impl Fn(&Target, &[&str]) -> Shown) -> Option<Shown> {
    let hive = hive_by_ticket::server()?;
    let port = hive.address().port();
    let router = KerberosRouter::start("hive", &format!("hive/_HOST@{REALM}"), &[port], "");
    let target = &router.target();
    let [direct, through] = [hive.target(), target].map(|target| scenario(target, &STATEMENTS));
    assert_eq!(direct, through);
    Met { shown: &through, server: "hive", target }.got_through(&router.metrics());
    Some(through)
}

#[test]
fn impyla_and_pyhive_get_rows_and_errors_from_hive_by_ticket() {
    type Client = fn(&Target, &[&str]) -> Shown;
    let impyla: Client = |target, statements| clients::impyla(target, USERS[1], Cursors::One, statements);
    let pyhive: Client = |target, statements| clients::pyhive(target, USERS[1], statements);
    for client in [impyla, pyhive] {
        let Some(shown) = through_and_direct(client) else { return };
        let rows = shown.rows();
        let me = format!("{{\"columns\": [\"me\"], \"rows\": [[\"{}\"]]}}", USERS[1]);
        assert_eq!(rows[..2], [me.as_str(), "{\"columns\": [\"answer\"], \"rows\": [[42]]}"]);
        assert!(rows[2].contains("nothing"), "{rows:?}");
    }
}

#[test]
fn both_of_hives_jdbc_drivers_get_rows_and_errors_from_hive_by_ticket() {
    for client in [clients::beeline, clients::beeline_with_newest_driver] {
        let Some(shown) = through_and_direct(|target, statements| client(target, USERS[1], statements))
        else {
            return;
        };
        assert_eq!(shown.output[..4], ["me", USERS[1], "answer", "42"], "{shown:?}");
        assert!(shown.complaints[0].contains("nothing"), "{:?}", shown.complaints);
    }
}
