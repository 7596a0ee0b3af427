//! Real clients by ticket, through a router that accepts it and goes to coordinators under its own name.

use crate::real_clients::on_spark::{STATEMENTS, assert_rows_and_error};
use crate::support::clients::{Cursors, Shown, Target};
use crate::support::kdc::{REALM, USERS};
use crate::support::ran::Met;
use crate::support::spark::{self, WHO_ARE_YOU};
use crate::support::ticket_clients as clients;
use crate::support::tools::{self, Tool};

use super::{Fleet, KerberosRouter};

/// How many sessions a client opens.
pub(super) const SESSIONS: usize = 10;

/// What tells who a session is for.
pub(super) const WHO_AM_I: &str = "SELECT current_user() AS me";

/// A router in front of two Spark Thrift Servers that ask for tickets.
fn router(listener: &str) -> Option<(KerberosRouter, &'static [spark::Spark; 2])> {
    let pair = spark::pair_with_kerberos()?;
    let ports = pair.each_ref().map(|spark| spark.address().port());
    Some((KerberosRouter::start("spark", &format!("hive/_HOST@{REALM}"), &ports, listener), pair))
}

/// Runs a scenario directly against a server, with a ticket for that, and through the router, with one for the
/// router; returns what both showed.
fn through_and_direct(scenario: impl Fn(&Target, &str) -> Shown) -> Option<Shown> {
    let (router, [first, _]) = router("")?;
    let direct = scenario(first.target(), USERS[0]);
    let target = &router.target();
    let through = scenario(target, USERS[0]);
    assert_eq!(direct, through);
    Met { shown: &through, server: "spark", target }.got_through(&router.metrics());
    Some(through)
}

#[test]
fn impyla_gets_rows_and_errors_and_is_the_user_of_its_ticket() {
    let run = |target: &Target, user: &str| clients::impyla(target, user, Cursors::One, &STATEMENTS);
    let Some(shown) = through_and_direct(run) else { return };
    assert_rows_and_error(&shown);
    let (router, _) = router("").unwrap();
    for user in USERS {
        let shown = clients::impyla(&router.target(), user, Cursors::One, &[WHO_AM_I]);
        assert_eq!(shown.rows(), [format!("{{\"columns\": [\"me\"], \"rows\": [[\"{user}\"]]}}")]);
    }
}

#[test]
fn pyhive_gets_rows_and_errors_by_ticket() {
    let run = |target: &Target, user: &str| clients::pyhive(target, user, &STATEMENTS);
    let Some(shown) = through_and_direct(run) else { return };
    assert_rows_and_error(&shown);
}

#[test]
fn both_of_hives_jdbc_drivers_get_rows_and_errors_by_ticket_in_sasl() {
    for client in [clients::beeline, clients::beeline_with_newest_driver] {
        let Some(shown) = through_and_direct(|target, user| client(target, user, &STATEMENTS)) else {
            return;
        };
        assert!(shown.output.iter().any(|line| line == "42"), "{shown:?}");
        assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
    }
}

#[test]
fn jdbc_that_demands_encryption_by_sasl_is_told_what_to_do() {
    let Some((router, _)) = router("") else { return };
    let more = ";saslQop=auth-conf";
    let target = &router.target();
    let mut shown = clients::beeline_with(target, USERS[0], more, &["SELECT 1"]);
    shown.login.push_str("-auth-conf");
    // Java's own library sees that the offer lacks what it needs, before the router could say so.
    Met { shown: &shown, server: "spark", target }.was_refused("No common protection layer");
}

#[test]
fn sessions_by_ticket_are_shared_out_between_two_servers() {
    let Some((router, _)) = router("") else { return };
    let sessions = vec![WHO_ARE_YOU; SESSIONS];
    let shown = clients::impyla(&router.target(), USERS[1], Cursors::Each, &sessions);
    let mut homes = shown.rows().to_vec();
    assert_eq!(homes.len(), SESSIONS);
    homes.sort();
    assert_eq!(homes.iter().filter(|home| **home == homes[0]).count(), SESSIONS / 2, "{homes:?}");
}

#[test]
fn only_a_proxy_user_acts_for_another_user() {
    let Some((strict, _)) = router("") else { return };
    let as_bob = ";hive.server2.proxy.user=bob";
    let shown = clients::beeline_with(&strict.target(), "ann", as_bob, &[WHO_AM_I]);
    let complaints = shown.complaints.join("\n");
    assert!(complaints.contains("user \"ann\" must not act for user \"bob\""), "{shown:?}");
    let (lenient, _) = router("proxy_users = { ann = [\"bob\"] }").unwrap();
    let shown = clients::beeline_with(&lenient.target(), "ann", as_bob, &[WHO_AM_I]);
    assert_eq!(shown.output, ["me", "bob"], "{shown:?}");
}

#[test]
fn impala_shell_and_impyla_reach_impala_by_ticket_and_beeswax_is_refused_with_what_to_use() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let Some(fleet) = Fleet::of(2, "") else { return };
    let statements = "select coordinator(), user(), effective_user()";
    let target = fleet.router.target();
    let shown = clients::impala_shell(&target, "ann", false, statements);
    let row = &shown.rows()[0];
    assert!(row.ends_with("hs2router\tann"), "{shown:?}");
    Met { shown: &shown, server: "impala", target: &target }.got_through(&fleet.router.metrics());
    let shown = clients::impyla(&target, "bob", Cursors::Each, &[statements; 6]);
    assert_eq!(shown.rows().len(), 6);
    assert!(shown.rows().iter().all(|row| row.contains("\"hs2router\", \"bob\"")), "{shown:?}");
    Met { shown: &shown, server: "impala", target: &target }.got_through(&fleet.router.metrics());
    let shown = clients::impala_shell_with_beeswax(&target, "ann", "select 1");
    Met { shown: &shown, server: "impala", target: &target }.was_refused("Beeswax has no delegation");
    assert_eq!(fleet.sessions().iter().sum::<usize>(), 0, "all are closed");
}
