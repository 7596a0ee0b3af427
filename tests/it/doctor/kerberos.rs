//! Keys and tickets, with a real KDC.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hs2router::fake::{Coordinator, Fault, Password, Settings};

use super::{Report, doctor_with, in_file};
use crate::kerberos::front::{GssapiFront, PASSWORD};
use crate::support::kdc::{self, REALM};
use crate::support::tools::{self, Tool};

/// A config with Kerberos on both sides.
struct Plan<'a> {
    /// The keytab of the listener, and its principal.
    listener: &'a Path,
    service: &'a str,
    /// The keytab of the router, and its principal.
    own: &'a Path,
    principal: &'a str,
    /// The coordinator's principal.
    coordinator: &'a str,
    /// Its host, and its port for HS2.
    host: &'a str,
    port: u16,
}

impl Plan<'_> {
    fn doctor(&self) -> Report {
        let Self { listener, service, own, principal, coordinator, host, port } = self;
        let (listener, own) = (listener.display(), own.display());
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[listener.kerberos]\n\
             keytab = \"{listener}\"\nprincipal = \"{service}@{REALM}\"\n\
             [[cluster]]\ncoordinators = [{{ host = \"{host}\", hs2 = {port}, beeswax = 0, hs2_http = 0, web = 0 }}]\n\
             [cluster.kerberos]\nprincipal = \"{principal}@{REALM}\"\nkeytab = \"{own}\"\n\
             coordinator = \"{coordinator}@{REALM}\"\n"
        );
        let file = in_file(folder.path(), &config);
        let environment = [("KRB5_CONFIG", kdc::shared().config().display().to_string())];
        doctor_with(&[file.to_str().unwrap(), "--user=ann"], &environment)
    }
}

/// A coordinator that takes the router's ticket by a front.
fn coordinator() -> (Coordinator, GssapiFront) {
    let users = BTreeMap::from([("hs2router".to_owned(), Password::new(PASSWORD))]);
    let one = Coordinator::start(Settings { users: Some(users), ..Settings::default() }).unwrap();
    let front = GssapiFront::start(one.hs2());
    (one, front)
}

/// Everything as it should be, in front of this port.
fn good<'a>(listener: &'a Path, own: &'a Path, port: u16) -> Plan<'a> {
    Plan {
        listener,
        service: "impala/localhost",
        own,
        principal: "hs2router/localhost",
        coordinator: "hive/_HOST",
        host: "localhost",
        port,
    }
}

#[test]
fn keys_tickets_and_delegation_that_work_are_told() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let (one, front) = coordinator();
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let report = good(&keytab, &own, front.port).doctor();
    report.finds("keytab", "impala/localhost@TEST (kvno 1: aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96)");
    report.finds("service-key", "was accepted");
    report.finds("own-ticket", "it is good for ");
    report.finds("delegation", "a session for ann was opened");
    assert_eq!(report.exit_code, 0, "{}", report.json);
    let opened = one.calls().iter().filter(|call| call.method == "OpenSession").count();
    assert_eq!((opened, one.open_sessions().len()), (1, 0));
}

#[test]
fn a_coordinator_that_lets_the_router_act_for_nobody_or_says_nothing_is_found() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let (one, front) = coordinator();
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let plan = good(&keytab, &own, front.port);
    one.faults().delegate_nobody();
    let text = "no session for ann: User 'hs2router' is not authorized to delegate to 'ann'.";
    plan.doctor().finds("delegation-refused", text);
    one.faults().clear();
    one.faults().always("OpenSession", Fault::DropBefore);
    plan.doctor().finds("delegation-unknown", "closed the connection");
}

#[test]
fn a_service_that_the_kdc_does_not_know_or_the_coordinator_has_no_key_of_is_found() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let (_one, front) = coordinator();
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let plan = good(&keytab, &own, front.port);
    let report = Plan { coordinator: "nobody/_HOST", ..plan }.doctor();
    report.finds("service-unknown", "not found in Kerberos database");
    let plan = good(&keytab, &own, front.port);
    Plan { coordinator: "keyless/_HOST", ..plan }
        .doctor()
        .finds("ticket-refused", "does not accept a ticket");
    let plan = good(&keytab, &own, front.port);
    Plan { host: "127.0.0.1", ..plan }.doctor().finds("host-is-address", "the host is 127.0.0.1");
}

#[test]
fn a_coordinator_without_kerberos_is_found() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let users = BTreeMap::from([("ann".to_owned(), Password::new("x"))]);
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    for users in [None, Some(users)] {
        let one = Coordinator::start(Settings { users, ..Settings::default() }).unwrap();
        let report = good(&keytab, &own, one.hs2().port()).doctor();
        report.finds("gssapi-refused", &format!("localhost:{}", one.hs2().port()));
        report.lacks("ticket-refused");
    }
}

#[test]
fn a_coordinator_of_kerberos_alone_is_told_where_the_router_passes_tickets_on() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let (_one, front) = coordinator();
    let report = super::doctor_of_ports(&format!("hs2 = {}", front.port), "");
    report.finds("only-tickets", "PLAIN is refused, GSSAPI is offered");
}

#[test]
fn keytabs_that_cannot_serve_are_found() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.keytab");
    let report = good(&missing, &own, 1).doctor();
    report.finds("keytab-unreadable", "No such file");
    let report = Plan { service: "other/no-such-host.invalid", ..good(&keytab, &own, 1) }.doctor();
    report.finds(
        "keytab-lacks-principal",
        "has no key of other/no-such-host.invalid@TEST, but HTTP/localhost@TEST",
    );
    report.finds("principal-unresolved", "no-such-host.invalid");
    report.finds("service-unknown", "not found in Kerberos database");
    let open = folder.path().join("open.keytab");
    fs::copy(&own, &open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    good(&keytab, &open, 1).doctor().finds("keytab-open", "can be read by others");
    let report = Plan { principal: "nobody/localhost", ..good(&keytab, &own, 1) }.doctor();
    report.finds("no-own-ticket", "nobody/localhost@TEST");
}

#[test]
fn a_key_that_the_kdc_has_replaced_is_found() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let kdc = kdc::shared();
    let (own, stale) = (kdc.own_keytab(), kdc.replaced_keytab());
    let report = Plan { service: "replaced/localhost", ..good(&stale, &own, 1) }.doctor();
    report.finds("keytab", "replaced/localhost@TEST (kvno 1");
    report.finds("service-key-stale", "replaced/localhost@TEST");
}
