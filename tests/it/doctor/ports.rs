//! What ports speak, and their certificates.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use hs2router::fake::{Coordinator, Password, Settings};
use rustls::ServerConfig;

use super::{cluster, coordinator, doctor, doctor_of, doctor_of_ports};
use crate::support::certificates::{Authority, HERE};
use crate::support::fleet::USERS;
use crate::support::relay::Relay;
use crate::support::router::TestRouter;

/// A coordinator that asks for passwords.
fn with_passwords() -> Coordinator {
    let users = USERS.iter().map(|(name, password)| ((*name).to_owned(), Password::new(password)));
    Coordinator::start(Settings { users: Some(users.collect()), ..Settings::default() }).unwrap()
}

/// All client ports of a coordinator.
fn all_ports(one: &Coordinator) -> String {
    let (hs2, beeswax, http) = (one.hs2().port(), one.beeswax().port(), one.hs2_http().port());
    format!("hs2 = {hs2}, beeswax = {beeswax}, hs2_http = {http}")
}

/// A server that says this on each connection once it has read something, and closes it.
pub(super) fn saying(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _read = client.read(&mut [0; 1024]);
            let _said = client.write_all(words);
            // Words are lost if a connection is closed while some of what came was not read.
            let _ended = client.shutdown(Shutdown::Write);
            let _rest = io::copy(&mut client, &mut io::sink());
        }
    });
    address
}

#[test]
fn ports_without_a_login_are_told_by_what_they_speak() {
    let one = Coordinator::start(Settings::default()).unwrap();
    let report = doctor_of_ports(&all_ports(&one), "");
    report.finds("no-login", &format!("hs2 127.0.0.1:{}: Thrift without a login", one.hs2().port()));
    report.finds("no-login", &format!("beeswax 127.0.0.1:{}: Beeswax without", one.beeswax().port()));
    report.finds("no-login", &format!("hs2-http 127.0.0.1:{}: HTTP, status 200", one.hs2_http().port()));
    assert_eq!(report.exit_code, 0, "{}", report.json);
}

#[test]
fn mechanisms_and_schemes_are_told_without_a_login() {
    let one = with_passwords();
    let report = doctor_of_ports(&all_ports(&one), "");
    report.finds("speaks", "SASL: PLAIN is offered, GSSAPI is refused");
    report.finds("speaks", "HTTP, status 401 without a login; WWW-Authenticate: Basic");
    assert_eq!(report.exit_code, 0, "{}", report.json);
    assert_eq!(one.calls().len(), 0, "{:?}", one.calls());
}

#[test]
fn a_port_under_the_wrong_key_is_found() {
    let one = Coordinator::start(Settings::default()).unwrap();
    let report = doctor_of_ports(&format!("hs2 = {}", one.hs2_http().port()), "");
    report.finds("wrong-protocol", "HTTP, status");
    let report = doctor_of_ports(&format!("hs2_http = {}", one.hs2().port()), "");
    report.finds("wrong-protocol", "Thrift without a login");
}

#[test]
fn a_port_that_is_not_there_or_says_nothing_of_use_is_found() {
    doctor_of_ports("hs2 = 1", "").finds("port-unreachable", "connection refused");
    let closes = format!("hs2 = {}", saying(b"").port());
    doctor_of_ports(&closes, "").finds("port-closes", "closed without an answer");
    let other = format!("hs2 = {}", saying(b"SSH-2.0-OpenSSH_9.2\r\n").port());
    doctor_of_ports(&other, "").finds("port-not-understood", "no protocol that the router knows");
    let config = "[[cluster]]\ncoordinators = [\"no-such-host.invalid\"]\n";
    let report = doctor_of(config);
    report.finds("name-unresolved", "no-such-host.invalid");
    report.lacks("port-unreachable");
}

#[test]
fn a_coordinator_without_a_free_thread_is_found() {
    let one = Coordinator::start(Settings::default()).unwrap();
    one.faults().exhaust_service_threads();
    let report = doctor_of_ports(&format!("hs2 = {}", one.hs2().port()), "");
    report.finds("port-silent", "no answer to any question");
}

/// What is found about a coordinator behind TLS, which is reached as these keys say.
fn behind(tls: ServerConfig, keys: &str) -> super::Report {
    let one = with_passwords();
    let relay = Relay::ending_tls(one.hs2(), Arc::new(tls));
    doctor_of_ports(&format!("hs2 = {}", relay.address().port()), keys)
}

#[test]
fn certificates_of_coordinators_are_told_or_why_they_are_not_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let trusted = format!("tls = {{ ca = \"{}\" }}", ours.ca().display());
    let pair = ours.issue("c", &HERE);
    let report = behind(pair.server_config(), &trusted);
    report.finds("certificate", "for localhost 127.0.0.1, issued by CN=");
    report.finds("speaks", "SASL: PLAIN is offered");
    let report = behind(theirs.issue("c", &HERE).server_config(), &trusted);
    report.finds("certificate-untrusted", "add CN=");
    let report = behind(ours.issue("other", &["other"]).server_config(), &trusted);
    report.finds("certificate-untrusted", "is not for the name 127.0.0.1");
    let report = behind(ours.server_that_demands(&pair), &trusted);
    report.finds("tls-refused", "asks for a client certificate");
    let report = behind(theirs.issue_expired("old", &HERE).server_config(), "tls = { verify = \"none\" }");
    report.finds("certificate-unverified", "not verified");
    report.finds("certificate-expired", "valid until 2020-02-01");
}

#[test]
fn tls_on_one_side_alone_is_found() {
    let authority = Authority::new();
    let report = behind(authority.issue("c", &HERE).server_config(), "");
    report.finds("tls-expected", "inside: SASL: PLAIN is offered");
    report.finds("certificate", "for localhost 127.0.0.1");
    let one = with_passwords();
    let keys = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    let report = doctor_of_ports(&format!("hs2 = {}", one.hs2().port()), &keys);
    report.finds("tls-missing", &format!("127.0.0.1:{}", one.hs2().port()));
}

#[test]
fn files_of_listeners_are_looked_at() {
    let authority = Authority::new();
    let listener = |keys: &str| {
        let one = coordinator("hs2 = 1");
        let listener =
            format!("[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\ntls = {{ {keys} }}\n");
        doctor_of(&format!("{listener}{}", cluster("", &[one])))
    };
    listener(&authority.issue("new", &HERE).keys()).finds("certificate", "for localhost 127.0.0.1");
    listener(&authority.issue_expired("old", &HERE).keys()).finds("certificate-expired", "2020-02-01");
    let keys = "certificate = \"missing.crt\", key = \"missing.key\"";
    listener(keys).finds("certificate-unreadable", "missing.crt");
}

#[test]
fn a_running_router_is_asked_as_its_clients_would() {
    let one = with_passwords();
    let authority = Authority::new();
    let tls = authority.issue("router", &HERE).keys();
    let config = |tls: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n{tls}\n{}",
            cluster("", &[coordinator(&format!("hs2 = {}", one.hs2().port()))])
        )
    };
    let listener = |router: &TestRouter| format!("--listener={}", router.listener(0));
    let clear = TestRouter::start(&config(""));
    doctor(&[&listener(&clear)]).finds("speaks", "SASL: PLAIN is offered");
    let secret = TestRouter::start(&config(&format!("tls = {{ {tls} }}")));
    let report = doctor(&[&listener(&secret)]);
    report.finds("speaks", "with TLS: SASL: PLAIN is offered");
    report.finds("certificate", "for localhost 127.0.0.1");
    let address = format!("--coordinator=127.0.0.1:{}", one.hs2().port());
    doctor(&[&address]).finds("speaks", "SASL: PLAIN is offered, GSSAPI is refused");
}

#[test]
fn no_password_of_a_config_is_printed() {
    let one = with_passwords();
    let report = doctor_of_ports(&all_ports(&one), "");
    assert!(USERS.iter().all(|(_, password)| !report.json.to_string().contains(password)));
}
