//! What becomes of clients and of coordinators if TLS with a coordinator does not come about.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hs2router::clock;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::admin::ask_at;
use crate::support::message::open_session;
use crate::support::router::{SELDOM, TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// An authority, whose certificate is in the file `ca.pem`.
struct Ca {
    folder: TempDir,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        Self::named("Example CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str, key: &KeyPair) -> rcgen::Certificate {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.signed_by(key, &self.issuer).unwrap()
    }

    /// What a coordinator shows whose certificate is for this name. `clients` issues the certificates that it
    /// demands of its clients.
    fn server(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Self>,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = KeyPair::generate().unwrap();
        let certificate = self.issue(name, &key);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.der.clone()).unwrap();
                let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(clients.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    /// The keys of a `[cluster.tls]` whose client certificate it issues.
    fn client_certificate(&self) -> String {
        let (key, file) = (KeyPair::generate().unwrap(), self.folder.path().join("router.pem"));
        let certificate = self.issue("router.example.com", &key);
        fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
        format!("certificate = \"{0}\"\nkey = \"{0}\"\n", file.display())
    }

    /// A router in front of these ports, with these keys of its cluster.
    fn router(&self, ports: &[&TlsPort], keys: &str) -> TestRouter {
        self.router_with(ports, keys, "")
    }

    /// The same with more keys of its `[cluster.tls]`.
    fn router_with(&self, ports: &[&TlsPort], keys: &str, tls: &str) -> TestRouter {
        let coordinators = ports.iter().enumerate().map(|(place, port)| {
            format!(
                "{{ name = \"c{}\", host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}",
                place + 1,
                port.address.port()
            )
        });
        let coordinators: Vec<String> = coordinators.collect();
        TestRouter::start(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\n{keys}\n\
             share_links = false\nservice_threads = 0\ncoordinators = [{}]\n[cluster.tls]\n{tls}\nca = \"{}\"\n",
            coordinators.join(", "),
            self.folder.path().join("ca.pem").display()
        ))
    }
}

/// The port of a coordinator, with TLS in front of it.
struct TlsPort {
    address: SocketAddr,
    dialed: Arc<AtomicUsize>,
    behind: Script,
    _runtime: Runtime,
}

impl TlsPort {
    fn new(tls: Arc<ServerConfig>) -> Self {
        let (behind, dialed) = (Script::sound(), Arc::new(AtomicUsize::new(0)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, to, counted) = (TlsAcceptor::from(tls), behind.address(), Arc::clone(&dialed));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let accepting = acceptor.accept(stream);
                tokio::spawn(async move {
                    let Ok(mut stream) = accepting.await else { return };
                    let Ok(mut behind) = TcpStream::connect(to).await else { return };
                    // How it ends is for the other side to see.
                    let _ended = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
                });
            }
        });
        Self { address, dialed, behind, _runtime: runtime }
    }

    fn dialed(&self) -> usize {
        self.dialed.load(Ordering::SeqCst)
    }
}

/// What a client is told whose session nobody opens.
fn refused(router: &TestRouter) -> (String, String) {
    Talk::connect(router.listener(0)).call(&open_session()).error()
}

/// Eight clients open sessions in vain, one after the other, until then; how many.
fn storm(router: &TestRouter, until: Instant) -> usize {
    let client = move |at| {
        let mut told = 0;
        while clock::now() < until {
            let (state, _) = Talk::connect(at).call(&open_session()).error();
            assert!(state.starts_with("08"), "{state}");
            told += 1;
        }
        told
    };
    let at = router.listener(0);
    let clients: Vec<_> = (0..8).map(|_| std::thread::spawn(move || client(at))).collect();
    clients.into_iter().map(|client| client.join().unwrap()).sum()
}

fn lines(router: &TestRouter, words: &str) -> usize {
    router.logs().shown().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn a_wrong_certificate_is_told_to_clients_at_once_and_dialed_seldom() {
    let ca = Ca::new();
    let port = TlsPort::new(ca.server("impala-7.example.com", BOTH, None));
    let router = ca.router(&[&port], "");
    let begun = clock::now();
    let (state, told) = refused(&router);
    let took = clock::now() - begun;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(state, "08001");
    let wrong = "for impala-7.example.com, issued by CN=Example CA";
    assert!(
        told.contains(wrong) && told.contains("is not for the name 127.0.0.1; set server_name"),
        "{told}"
    );
    let told = storm(&router, begun + Duration::from_secs(10));
    println!("{told} opens, {} dials", port.dialed());
    // After ten in a row that are in vain, each open of an address waits for up to a second. A dial may cause
    // a probe.
    assert!(told <= 200 && port.dialed() <= 2 * told, "{} dials for {told} opens", port.dialed());
    assert_eq!(port.behind.accepted(), 0);
    let logged = lines(&router, "no TLS with a coordinator");
    assert!((1..=31).contains(&logged), "{logged} lines for {} dials", port.dialed());
    let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
    assert!(shown.contains("is not for the name 127.0.0.1"), "{shown}");
}

#[test]
fn clients_are_served_by_the_other_coordinator_and_the_wrong_one_is_left_alone() {
    let ca = Ca::new();
    let wrong = TlsPort::new(ca.server("impala-7.example.com", BOTH, None));
    let right = TlsPort::new(ca.server("127.0.0.1", BOTH, None));
    let router = ca.router(&[&wrong, &right], SELDOM);
    for _ in 0..100 {
        Talk::connect(router.listener(0)).open();
    }
    assert_eq!(right.behind.count("OpenSession"), 100);
    println!("{} dials", wrong.dialed());
    assert!(wrong.dialed() <= 10, "{}", wrong.dialed());
}

#[test]
fn a_coordinator_that_demands_a_certificate_is_told_as_that_in_each_version() {
    for version in [&version::TLS12, &version::TLS13] {
        let ca = Ca::new();
        let port = TlsPort::new(ca.server("127.0.0.1", &[version], Some(&ca)));
        let router = ca.router(&[&port], "");
        let remedy = "set certificate and key in [cluster.tls]";
        let (state, told) = refused(&router);
        assert!(state.starts_with("08") && told.contains(remedy), "{version:?}: {state} {told}");
        let (_, _, told) = Talk::log_in(router.listener(0), "u1", "p1");
        assert!(told.contains(remedy), "{version:?}: {told}");
        assert!(eventually(|| lines(&router, remedy) > 0), "{}", router.logs().shown());
        // Probes find it, too.
        let ejected =
            "hs2router_coordinator_state{cluster=\"test\",coordinator=\"c1\",port=\"hs2\",state=\"ejected\"}";
        router.await_metric(ejected, 1.0);
        let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
        assert!(shown.contains(remedy), "{version:?}: {shown}");
        assert_eq!((port.behind.credentials(), port.behind.count("OpenSession")), (0, 0));
    }
}

#[test]
fn a_coordinator_that_waits_for_more_of_a_handshake_is_told_with_what_to_set() {
    // As an impalad without TLS does: it takes a hello for the length of a message.
    let script = Script::raw(|mut stream, _| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let ca = Ca::new();
    let router = TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\n\
         probe = {{ interval = \"1s\", timeout = \"500ms\" }}\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}]\n\
         [cluster.tls]\nca = \"{}\"\n",
        script.address().port(),
        ca.folder.path().join("ca.pem").display()
    ));
    let remedy = "if it does not speak TLS, set tls = false for this coordinator";
    let (state, told) = refused(&router);
    assert!(state.starts_with("08") && told.contains(remedy), "{state} {told}");
    let shown = || ask_at(router.router().admin(), "GET /api/v1/coordinators", "").1;
    assert!(eventually(|| shown().contains(remedy)), "{}", shown());
}

#[test]
fn a_coordinator_that_refuses_the_routers_certificate_is_told_as_that_and_dialed_seldom() {
    for version in [&version::TLS12, &version::TLS13] {
        let (ca, stranger) = (Ca::new(), Ca::named("Another CA"));
        let port = TlsPort::new(ca.server("127.0.0.1", &[version], Some(&ca)));
        let router = ca.router_with(&[&port], "", &stranger.client_certificate());
        let begun = clock::now();
        let why = "it does not accept the router's certificate (UnknownCA); compare its CA with the issuer";
        let (state, told) = refused(&router);
        assert!(state.starts_with("08") && told.contains(why), "{version:?}: {state} {told}");
        let (_, _, told) = Talk::log_in(router.listener(0), "u1", "p1");
        assert!(told.contains(why), "{version:?}: {told}");
        assert!(eventually(|| lines(&router, why) > 0), "{}", router.logs().shown());
        let ejected =
            "hs2router_coordinator_state{cluster=\"test\",coordinator=\"c1\",port=\"hs2\",state=\"ejected\"}";
        router.await_metric(ejected, 1.0);
        let (_, shown) = ask_at(router.router().admin(), "GET /api/v1/coordinators", "");
        assert!(shown.contains(why), "{version:?}: {shown}");
        let told = storm(&router, begun + Duration::from_secs(10));
        println!("{version:?}: {told} opens, {} dials", port.dialed());
        assert!(told <= 200 && port.dialed() <= 2 * told, "{} dials for {told} opens", port.dialed());
        assert_eq!((port.behind.credentials(), port.behind.count("OpenSession")), (0, 0));
        let logged = lines(&router, "no TLS with a coordinator");
        assert!(logged <= 31, "{logged} lines for {} dials", port.dialed());
        // The same router with a certificate that the coordinator knows the issuer of.
        fs::write(stranger.folder.path().join("router.pem"), {
            let key = KeyPair::generate().unwrap();
            ca.issue("router.example.com", &key).pem() + &key.serialize_pem()
        })
        .unwrap();
        let opens = || Talk::connect(router.listener(0)).call(&open_session()).status() == Some(0);
        assert!(eventually(opens), "{version:?}: {}", router.logs().shown());
    }
}
