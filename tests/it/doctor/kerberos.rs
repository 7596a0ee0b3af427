//! Keys and tickets, with a real KDC.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use hs2router::fake::{Coordinator, Fault, Password, Settings, Tally};

use super::ports::saying;
use super::{Report, doctor_with, in_file};
use crate::kerberos::front::{GssapiFront, PASSWORD};
use crate::support::kdc::{self, REALM};
use crate::support::spark;
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
    /// Its host, its ports for HS2, where 0 is none, and what it is.
    host: &'a str,
    hs2: u16,
    hs2_http: u16,
    flavor: &'a str,
}

impl Plan<'_> {
    fn doctor(&self) -> Report {
        let Self { listener, service, own, principal, coordinator, host, hs2, hs2_http, flavor } = self;
        let (listener, own) = (listener.display(), own.display());
        let kind = if *hs2 == 0 { "hs2-http" } else { "hs2" };
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{kind}\"\n[listener.kerberos]\n\
             keytab = \"{listener}\"\nprincipal = \"{service}@{REALM}\"\n\
             [[cluster]]\nflavor = \"{flavor}\"\ncoordinators = [{{ host = \"{host}\", hs2 = {hs2}, \
             hs2_http = {hs2_http}, beeswax = 0, web = 0 }}]\n\
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
        hs2: port,
        hs2_http: 0,
        flavor: "impala",
    }
}

/// The same, in front of this port for HTTP alone.
fn good_over_http<'a>(listener: &'a Path, own: &'a Path, port: u16) -> Plan<'a> {
    Plan { coordinator: "HTTP/_HOST", hs2: 0, hs2_http: port, ..good(listener, own, 0) }
}

/// A coordinator that takes tickets over HTTP, into which it does not look.
fn coordinator_over_http(settings: Settings) -> Coordinator {
    Coordinator::start(Settings { tickets: true, ..settings }).unwrap()
}

/// How many sessions were opened there; none is open any more.
fn opened(coordinator: &Coordinator) -> usize {
    assert_eq!(coordinator.open_sessions().len(), 0);
    coordinator.calls().iter().filter(|call| call.method == "OpenSession").count()
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
    assert_eq!(opened(&one), 1);
}

#[test]
fn delegation_is_tried_over_http_where_there_is_nothing_else() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    // Without cookies, each call needs a ticket.
    for cookie_lifetime in [Duration::from_hours(1), Duration::ZERO] {
        let one = coordinator_over_http(Settings { cookie_lifetime, ..Settings::default() });
        let plan = good_over_http(&keytab, &own, one.hs2_http().port());
        let report = plan.doctor();
        report.finds("speaks", "WWW-Authenticate: Negotiate");
        report.finds("delegation", "a session for ann was opened");
        assert_eq!(report.exit_code, 0, "{}", report.json);
        assert_eq!(opened(&one), 1);
        let tickets = if cookie_lifetime.is_zero() { 2 } else { 1 };
        assert_eq!(one.http_counts().negotiate, Tally { success: tickets, failure: 0 });
        one.faults().delegate_nobody();
        plan.doctor().finds("delegation-refused", "no session for ann: User '");
        one.faults().clear();
        one.faults().always("OpenSession", Fault::DropBefore);
        plan.doctor().finds("delegation-unknown", "unexpected end of file");
    }
}

#[test]
fn where_there_are_both_ports_the_binary_one_is_tried() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let ((one, front), by_http) = (coordinator(), coordinator_over_http(Settings::default()));
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let report = Plan { hs2_http: by_http.hs2_http().port(), ..good(&keytab, &own, front.port) }.doctor();
    report.finds("delegation", "a session for ann was opened");
    assert_eq!((opened(&one), opened(&by_http)), (1, 0));
}

#[test]
fn a_ticket_that_is_refused_over_http_and_one_that_there_is_not_are_found() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let refusing = saying(
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 13\r\n\r\nnot with that",
    );
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let plan = good_over_http(&keytab, &own, refusing.port());
    plan.doctor()
        .finds("ticket-refused", "it refused the router's own ticket: HTTP 401 Unauthorized: not with that");
    Plan { coordinator: "nobody/_HOST", ..plan }
        .doctor()
        .finds("service-unknown", "not found in Kerberos database");
}

#[test]
fn a_real_spark_over_http_lets_the_router_act_for_users_and_refuses_a_ticket_for_another_service() {
    let Some([first, _]) = spark::pair_by_ticket() else { return };
    let (keytab, own) = (kdc::shared().keytab(), kdc::shared().own_keytab());
    let plan = Plan { flavor: "spark", ..good_over_http(&keytab, &own, first.address().port()) };
    let report = plan.doctor();
    report.finds("speaks", "WWW-Authenticate: Negotiate");
    report.finds("delegation", "a session for ann was opened");
    assert_eq!(report.exit_code, 0, "{}", report.json);
    Plan { coordinator: "keyless/_HOST", ..plan }.doctor().finds("ticket-refused", "HTTP 401");
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
        let by_http = one.hs2_http();
        let report = good_over_http(&keytab, &own, by_http.port()).doctor();
        report.finds("gssapi-refused", &format!("hs2-http localhost:{}", by_http.port()));
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
