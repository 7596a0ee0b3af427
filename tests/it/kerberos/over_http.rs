//! Real clients by ticket over HTTP, through a router that accepts it and goes to coordinators under its own name.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use hs2router::fake::{Coordinator, Settings};

use super::clients::{SESSIONS, WHO_AM_I};
use super::{Fleet, KerberosRouter};
use crate::real_clients::on_spark::{STATEMENTS, assert_rows_and_error};
use crate::support::clients::{Cursors, Shown, Target, with_deadline};
use crate::support::kdc::{self, REALM, USERS};
use crate::support::message::{Message, execute, of_handle, open_session};
use crate::support::ran::Met;
use crate::support::spark::{self, WHO_ARE_YOU};
use crate::support::ticket_clients as clients;
use crate::support::tools::{self, Tool};

/// A router in front of two Spark Thrift Servers that ask for tickets over HTTP.
fn router(listener: &str) -> Option<(KerberosRouter, &'static [spark::Spark; 2])> {
    let pair = spark::pair_by_ticket()?;
    let ports = pair.each_ref().map(|spark| spark.address().port());
    Some((KerberosRouter::over_http("spark", &format!("HTTP/_HOST@{REALM}"), &ports, listener), pair))
}

/// Runs a scenario directly against a server and through the router; returns what both showed.
fn through_and_direct(scenario: impl Fn(&Target, &str) -> Shown) -> Option<Shown> {
    let (router, [first, _]) = router("")?;
    let direct = scenario(first.target(), USERS[0]);
    let target = &router.target().over_http();
    let through = scenario(target, USERS[0]);
    assert_eq!(direct, through);
    Met { shown: &through, server: "spark", target }.got_through(&router.metrics());
    Some(through)
}

#[test]
fn impyla_gets_rows_and_errors_over_http_and_is_the_user_of_its_ticket() {
    let run = |target: &Target, user: &str| clients::impyla(target, user, Cursors::One, &STATEMENTS);
    let Some(shown) = through_and_direct(run) else { return };
    assert_rows_and_error(&shown);
    let (router, _) = router("").unwrap();
    for user in USERS {
        let shown = clients::impyla(&router.target().over_http(), user, Cursors::One, &[WHO_AM_I]);
        assert_eq!(shown.rows(), [format!("{{\"columns\": [\"me\"], \"rows\": [[\"{user}\"]]}}")]);
    }
}

#[test]
fn pyhive_gets_rows_and_errors_over_http() {
    let Some((router, _)) = router("") else { return };
    // It repeats its only ticket, and sends back a cookie only if the answer before had one: alone with Spark it
    // gets no further than its second call.
    let target = &router.target().over_http();
    let shown = clients::pyhive(target, USERS[0], &STATEMENTS);
    assert_rows_and_error(&shown);
    Met { shown: &shown, server: "spark", target }.got_through(&router.metrics());
}

#[test]
fn impala_shell_in_strict_mode_reads_from_spark_over_http() {
    let statements = "SELECT 'a' UNION ALL SELECT 'b'; SHOW DATABASES; SELECT CONCAT('c', 'd')";
    let run = |target: &Target, user: &str| clients::impala_shell(target, user, true, statements);
    let Some(shown) = through_and_direct(run) else { return };
    assert_eq!(shown.rows(), ["a", "b", "default", "cd"]);
}

#[test]
fn both_of_hives_jdbc_drivers_get_rows_and_errors_over_http() {
    for client in [clients::beeline, clients::beeline_with_newest_driver] {
        let Some(shown) = through_and_direct(|target, user| client(target, user, &STATEMENTS)) else {
            return;
        };
        assert!(shown.output.iter().any(|line| line == "42"), "{shown:?}");
        assert!(shown.complaints[0].contains("UNRESOLVED_COLUMN"), "{:?}", shown.complaints);
    }
}

#[test]
fn sessions_over_http_are_shared_out_between_two_servers() {
    let Some((router, _)) = router("") else { return };
    let sessions = vec![WHO_ARE_YOU; SESSIONS];
    let shown = clients::impyla(&router.target().over_http(), USERS[1], Cursors::Each, &sessions);
    let mut homes = shown.rows().to_vec();
    homes.sort();
    assert_eq!(homes.iter().filter(|home| **home == homes[0]).count(), SESSIONS / 2, "{homes:?}");
}

#[test]
fn only_a_proxy_user_acts_for_another_user_over_http() {
    let Some((strict, _)) = router("") else { return };
    let as_bob = ";hive.server2.proxy.user=bob";
    let shown = clients::beeline_with(&strict.target().over_http(), "ann", as_bob, &[WHO_AM_I]);
    let complaints = shown.complaints.join("\n");
    assert!(complaints.contains("user \"ann\" must not act for user \"bob\""), "{shown:?}");
    let (lenient, _) = router("proxy_users = { ann = [\"bob\"] }").unwrap();
    let shown = clients::beeline_with(&lenient.target().over_http(), "ann", as_bob, &[WHO_AM_I]);
    assert_eq!(shown.output, ["me", "bob"], "{shown:?}");
}

#[test]
fn clients_in_sasl_reach_servers_that_have_http_alone() {
    let Some((router, _)) = router("") else { return };
    let shown = clients::impyla(&router.target(), USERS[0], Cursors::One, &STATEMENTS);
    assert_rows_and_error(&shown);
}

#[test]
fn impala_shell_and_impyla_reach_impala_by_ticket_over_http_whatever_ports_it_has() {
    if !tools::present(&[Tool::Python]) {
        return;
    }
    let Some(by_sasl) = Fleet::of(2, "") else { return };
    let settings = Settings { tickets: true, ..Settings::default() };
    let by_http = [1, 2].map(|_| Coordinator::start(settings.clone()).unwrap());
    let ports = by_http.each_ref().map(|one| one.hs2_http().port());
    let over_http = KerberosRouter::over_http("impala", &format!("HTTP/_HOST@{REALM}"), &ports, "");
    // The simulated ones do not look into a ticket.
    for (router, itself) in [(&by_sasl.router, "hs2router"), (&over_http, "somebody@TEST")] {
        let target = router.target().over_http();
        let statements = "select coordinator(), user(), effective_user()";
        let shown = clients::impala_shell(&target, "ann", false, statements);
        assert!(shown.rows()[0].ends_with(&format!("{itself}\tann")), "{shown:?}");
        Met { shown: &shown, server: "impala", target: &target }.got_through(&router.metrics());
        let shown = clients::impyla(&target, "bob", Cursors::Each, &[statements; 6]);
        assert_eq!(shown.rows().len(), 6);
        let who = format!("\"{itself}\", \"bob\"");
        assert!(shown.rows().iter().all(|row| row.contains(&who)), "{shown:?}");
        Met { shown: &shown, server: "impala", target: &target }.got_through(&router.metrics());
    }
    assert_eq!(by_sasl.sessions().iter().sum::<usize>(), 0, "all are closed");
    for coordinator in &by_http {
        let counts = coordinator.http_counts();
        assert!(counts.negotiate.success <= 2 && counts.negotiate.failure == 0, "{counts:?}");
        assert!(coordinator.open_sessions().is_empty());
    }
}

/// What `curl --negotiate` gets for a message: it keeps cookies in this file.
fn curl(target: &Target, user: &str, cookies: &Path, message: &Message) -> Message {
    let mut command = with_deadline(Path::new("curl"));
    command.args(["--silent", "--show-error", "--fail-with-body", "--negotiate", "--user", ":"]);
    command.arg("--cookie").arg(cookies).arg("--cookie-jar").arg(cookies);
    command.args(["--header", "Content-Type: application/x-thrift", "--data-binary", "@-"]);
    command.arg(format!("http://localhost:{}/cliservice", target.port));
    command.envs(kdc::shared().settings_of(user));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut curl = command.spawn().unwrap();
    curl.stdin.take().unwrap().write_all(&message.encode()).unwrap();
    let ended = curl.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    Message::read(&mut ended.stdout.as_slice()).unwrap()
}

#[test]
fn curl_comes_by_negotiate() {
    let Some(fleet) = Fleet::of(2, "") else { return };
    let (target, folder) = (fleet.router.target(), tempfile::tempdir().unwrap());
    let jar = folder.path().join("cookies");
    let session = curl(&target, "ann", &jar, &open_session()).handle(&[0, 3]);
    let operation = curl(&target, "ann", &jar, &execute(&session, "select 1")).handle(&[0, 2]);
    assert_eq!(curl(&target, "ann", &jar, &of_handle("GetOperationStatus", &operation)).status(), Some(0));
    assert!(std::fs::read_to_string(&jar).unwrap().contains("impala.auth"));
    let other = folder.path().join("others");
    let refused = curl(&target, "bob", &other, &execute(&session, "select 1")).error().1;
    assert!(refused.contains("is not known as one of this user's"), "{refused}");
    assert_eq!(curl(&target, "ann", &jar, &of_handle("CloseSession", &session)).status(), Some(0));
}
