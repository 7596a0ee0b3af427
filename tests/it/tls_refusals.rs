//! What clients that are refused see of TLS, and what operators see of them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use hs2router::fake::sasl::ERROR;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::support::message::{Message, open_session, query};
use crate::support::router::{TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

/// A router with a certificate for `router.example.com`, in front of a coordinator that has no TLS.
struct Encrypted {
    router: TestRouter,
    _coordinator: [Script; 2],
    certificate: rcgen::Certificate,
    _folder: TempDir,
}

impl Encrypted {
    /// With these keys of `[listener.tls]`.
    fn new(keys: &str) -> Self {
        Self::with("", keys)
    }

    /// With these keys of `[router]` and of `[listener.tls]`.
    fn with(router: &str, keys: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let coordinator = [(); 2].map(|()| Script::sound());
        let [hs2, beeswax] = coordinator.each_ref().map(|script| script.address().port());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["router.example.com".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = folder.path().join("router.pem");
        fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
        let router = TestRouter::start(&format!(
            "[router]\n{router}\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
             tls = {{ certificate = \"{}\"{keys} }}\n\
             [[cluster]]\nname = \"test\"\n{}\nshare_links = false\nservice_threads = 0\n\
             coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {hs2}, beeswax = {beeswax}, hs2_http = 0, web = 0 }}]\n",
            file.display(),
            crate::support::router::SELDOM,
        ));
        Self { router, _coordinator: coordinator, certificate, _folder: folder }
    }

    /// A client that asks for this name, and trusts the router's certificate if `trusts`.
    fn client(&self, name: &'static str, trusts: bool) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        if trusts {
            roots.add(self.certificate.der().clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap()
    }

    fn counted(&self, outcome: &str, times: f64) {
        let listener = self.router.listener(0);
        let series =
            format!("hs2router_tls_handshakes_total{{listener=\"{listener}\",outcome=\"{outcome}\"}}");
        self.router.await_metric(&series, times);
    }

    fn logs(&self, words: &str) {
        let shown = || self.router.logs().shown();
        assert!(eventually(|| shown().contains(words)), "{words:?} is not in {}", shown());
    }
}

#[test]
fn a_client_that_asks_for_an_unknown_name_is_told_by_the_right_alert_however_much_it_sends() {
    let encrypted = Encrypted::new(", strict_sni = true");
    let mut client = encrypted.client("other.example.com", true);
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut stream = TcpStream::connect(encrypted.router.listener(0)).unwrap();
    // More than the router reads at once: a close with unread bytes would be a reset.
    hello.resize(hello.len() + (48 << 10), 0);
    stream.write_all(&hello).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    assert_eq!(told, [0x15, 3, 3, 0, 2, 2, 112], "fatal unrecognized_name");
    encrypted.counted("no_such_name", 1.0);
    encrypted.logs("no TLS with a client that asked for other.example.com: no certificate is for the name");
    encrypted.logs("add a pair with that name to [listener.tls]");
}

#[test]
fn a_client_that_is_refused_late_is_refused_for_the_reason_that_it_was_told() {
    // Shorter than the second in which the client may read the alert.
    let encrypted = Encrypted::with("handshake_timeout = \"500ms\"", ", strict_sni = true");
    let mut client = encrypted.client("other.example.com", true);
    let mut stream = TcpStream::connect(encrypted.router.listener(0)).unwrap();
    client.write_tls(&mut stream).unwrap();
    // It stays, as a client does that closes slowly.
    encrypted.counted("no_such_name", 1.0);
    encrypted.logs("no certificate is for the name");
    drop(stream);
}

#[test]
fn half_a_handshake_holds_up_no_drain() {
    let encrypted = Encrypted::with("drain_timeout = \"20s\"", "");
    let mut hello = Vec::new();
    encrypted.client("router.example.com", true).write_tls(&mut hello).unwrap();
    let mut streams: Vec<_> = [hello.len() / 2, hello.len()]
        .iter()
        .map(|len| {
            let mut stream = TcpStream::connect(encrypted.router.listener(0)).unwrap();
            stream.write_all(&hello[..*len]).unwrap();
            stream
        })
        .collect();
    // The second waits for the client's Finished.
    assert!(streams[1].read(&mut [0; 1]).unwrap() > 0);
    let open = format!("hs2router_connections_open{{listener=\"{}\"}}", encrypted.router.listener(0));
    encrypted.router.await_metric(&open, 2.0);
    assert_eq!(encrypted.router.drain(), 0, "none had to be cut");
}

#[test]
fn a_client_that_says_nothing_where_tls_is_required_is_told_from_one_that_begins_it() {
    let encrypted = Encrypted::with("handshake_timeout = \"200ms\"\ndetect_timeout = \"50ms\"", "");
    let mut silent = TcpStream::connect(encrypted.router.listener(0)).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
    encrypted.logs("sent nothing within handshake_timeout to a listener that requires TLS");
    assert!(!encrypted.router.logs().shown().contains("did not finish its handshake"));
    let mut half = TcpStream::connect(encrypted.router.listener(0)).unwrap();
    half.write_all(b"\x16\x03\x01\x02").unwrap();
    assert_eq!(half.read(&mut [0; 1]).unwrap(), 0);
    encrypted.logs("did not finish its handshake");
}

#[test]
fn a_client_that_does_not_trust_the_certificate_is_told_to_operators() {
    let encrypted = Encrypted::new("");
    let mut client = encrypted.client("router.example.com", false);
    let mut stream = TcpStream::connect(encrypted.router.listener(0)).unwrap();
    assert!(client.complete_io(&mut stream).is_err());
    encrypted.counted("not_trusted", 1.0);
    encrypted.logs("asked for router.example.com: ");
}

#[test]
fn handshakes_and_what_became_of_tls_are_counted_and_spans_tell_the_version() {
    let encrypted = Encrypted::new(", required = false");
    let client = encrypted.client("router.example.com", true);
    let stream = TcpStream::connect(encrypted.router.listener(0)).unwrap();
    let mut client = StreamOwned::new(client, stream);
    client.write_all(&open_session().encode()).unwrap();
    assert!(client.read(&mut [0; 64]).unwrap() > 0);
    encrypted.counted("full", 1.0);
    Talk::connect(encrypted.router.listener(0)).open();
    for tls in ["terminated", "clear"] {
        let listener = encrypted.router.listener(0);
        let series = format!("hs2router_connections_tls_total{{listener=\"{listener}\",tls=\"{tls}\"}}");
        encrypted.router.await_metric(&series, 1.0);
    }
    client.write_all(b"\xff\xff\xff\xff\xff\xff\xff\xff").unwrap();
    encrypted.logs("tls=\"1.3\" depth=\"route\"");
}

#[test]
fn a_clear_client_of_a_port_with_tls_only_is_told_so_in_its_own_protocol() {
    let encrypted = Encrypted::new("");
    let at = encrypted.router.listener(0);
    let words = "this port requires TLS: turn it on in the client";
    for mut talk in [Talk::connect(at), Talk::connect_framed(at)] {
        let (state, told) = talk.call(&open_session()).error();
        assert!(state == "08004" && told.contains(words), "{state} {told}");
        assert!(talk.ends_orderly());
    }
    let mut beeswax = Talk::connect(at);
    // impala-shell shows what it is told of the second.
    for method in ["get_default_configuration", "PingImpalaService"] {
        let told = beeswax.call(&Message::call(method, Vec::new())).text(&[1]);
        assert!(told.contains(words), "{method}: {told}");
    }
    let told = beeswax.call(&query("select 1")).text(&[1, 1]);
    assert!(told.contains(words), "{told}");
    assert!(beeswax.ends_orderly());
    let (mut login, status, told) = Talk::log_in(at, "u1", "canary-password");
    assert!(status == ERROR && told.contains(words), "{status} {told}");
    assert!(login.ends_orderly());
    let mut http = Talk::connect(at);
    http.send(b"POST /cliservice HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    http.finish();
    let told = String::from_utf8(http.rest()).unwrap();
    assert!(
        told.starts_with("HTTP/1.1 400 Bad Request\r\n") && told.contains("Connection: close\r\n"),
        "{told}"
    );
    assert!(told.contains(words), "{told}");
    encrypted.logs("the listener requires TLS, but this began with an HTTP request");
    assert!(!encrypted.router.logs().shown().contains("canary-password"));
}
