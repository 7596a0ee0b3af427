//! How the router starts with Kerberos, or does not.

use std::fs;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use hs2router::clock;

use crate::admin::ask_at;

use crate::support::kdc::{self, REALM};
use crate::support::message::open_session;
use crate::support::router::eventually;
use crate::support::tools::{self, Tool};

use super::negotiate::{post, ticket};
use super::{Fleet, KerberosRouter, by_ticket, log_in};

/// Why a router with these keys of `[listener.kerberos]` does not start.
fn refusal(listener: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let config = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [listener.kerberos]\n{listener}\n[[cluster]]\ncoordinators = [\"a\"]\n[cluster.kerberos]\n\
         principal = \"hs2router/localhost@{REALM}\"\nkeytab = \"none\"\ncoordinator = \"impala/_HOST@{REALM}\"\n"
    );
    fs::write(&path, config).unwrap();
    let program = env!("CARGO_BIN_EXE_hs2router");
    let mut command = Command::new(program);
    command.args(["run", "--config"]).arg(path).env("KRB5_CONFIG", kdc::shared().config());
    let ran = command.output().unwrap();
    assert!(!ran.status.success());
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

#[test]
fn a_keytab_that_is_missing_or_lacks_the_principal_is_found_at_the_start() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let missing = refusal("keytab = \"missing\"");
    assert!(missing.contains("missing") && missing.contains("keytab"), "{missing}");
    assert_eq!(missing.matches("No credentials were supplied").count(), 1, "{missing}");
    let keytab = kdc::shared().keytab().display().to_string();
    let lacks = refusal(&format!("keytab = \"{keytab}\"\nprincipal = \"other/localhost@{REALM}\""));
    assert!(lacks.contains("other/localhost@TEST") && lacks.contains("klist -kte"), "{lacks}");
}

#[test]
fn a_coordinator_for_which_there_is_no_ticket_is_named_to_the_user_and_in_the_log() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let target = format!("nobody/_HOST@{REALM}");
    let router = KerberosRouter::start("impala", &target, &[1], "");
    let mut client = log_in(router.listener, "ann").unwrap();
    let text = client.open(&[]).unwrap_err().to_string();
    let words = "nobody/localhost@TEST";
    assert!(text.contains(words) && text.contains("not found in Kerberos database"), "{text}");
    assert!(eventually(|| router.has_logged("the router's own login failed")));
}

#[test]
fn a_coordinator_that_refuses_the_routers_ticket_gives_way_to_the_next() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    // impalad with LDAP only does not have the mechanism.
    let plain = fleet.coordinators[0].hs2().port();
    let good = fleet.fronts[0].port;
    let router = KerberosRouter::start("impala", &format!("hive/_HOST@{REALM}"), &[plain, good], "");
    for _ in 0..6 {
        let mut client = log_in(router.listener, "ann").unwrap();
        client.open(&[]).unwrap();
    }
}

#[test]
fn the_router_fetches_its_own_ticket_at_the_start_and_shows_when_it_expires() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let expires = || {
        let (_, page) = ask_at(fleet.router.admin, "GET /metrics", "");
        let series = "hs2router_kerberos_ticket_expires_timestamp_seconds{cluster=\"impala\"} ";
        let line = page.lines().find_map(|line| line.strip_prefix(series)).unwrap();
        Duration::from_secs(line.parse().unwrap())
    };
    assert!(eventually(|| expires() > Duration::ZERO));
    let left = expires().saturating_sub(clock::time_of_day().duration_since(UNIX_EPOCH).unwrap());
    // The KDC gives tickets for ten hours.
    assert!(left > Duration::from_hours(9) && left <= Duration::from_hours(10), "{left:?}");
}

#[test]
fn tokens_are_remembered_although_the_environment_says_that_they_are_not() {
    let Some(fleet) = Fleet::of(1, "") else { return };
    let ports = [format!("hs2 = {}, hs2_http = 0, web = 0", fleet.fronts[0].port)];
    let listener = format!("service = \"hs2\"\n{}", by_ticket(""));
    let config = KerberosRouter::config("impala", &format!("hive/_HOST@{REALM}"), &ports, &listener);
    for variable in [("KRB5RCACHENAME", "none:"), ("KRB5RCACHETYPE", "none")] {
        let router = KerberosRouter::started_in(&config, &[variable]);
        let fields = ticket("ann");
        assert_eq!(post(router.listener, "/", &fields, &open_session()).status, 200);
        let again = post(router.listener, "/", &fields, &open_session());
        assert!(again.status == 401 && again.text().contains("Request is a replay"), "{again:?}");
    }
}

#[test]
fn a_listener_whose_cookies_can_be_read_on_the_wire_is_warned_of() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let target = format!("HTTP/_HOST@{REALM}");
    let warning = "takes tickets over HTTP without TLS";
    assert!(KerberosRouter::over_http("impala", &target, &[1], "").has_logged(warning));
    assert!(!KerberosRouter::start("impala", &target, &[1], "").has_logged(warning));
}
