//! TLS that passes through reaches the cluster that its client's server name stands for.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::support::message::open_session;
use super::support::router::{SELDOM, TestRouter, eventually};
use super::support::script::Script;
use super::support::talk::Talk;

/// A coordinator that answers the first byte with its name and remembers all that comes.
struct Named {
    script: Script,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Named {
    fn start(name: u8) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&heard);
        let script = Script::raw(move |mut stream, _| {
            let mut all = vec![0];
            if stream.read_exact(&mut all).is_ok() && stream.write_all(&[name]).is_ok() {
                let _ended = stream.read_to_end(&mut all);
                *remembered.lock().unwrap() = all;
            }
        });
        Self { script, heard }
    }

    fn cluster(&self, name: &str, keys: &str) -> String {
        format!(
            "[[cluster]]\nname = \"{name}\"\n{SELDOM}\n{keys}\ncoordinators = [{{ host = \"127.0.0.1\", hs2 = {}, beeswax = 0, \
             hs2_http = 0, web = 0 }}]\n",
            self.script.address().port()
        )
    }
}

/// Three clusters with one coordinator each; the listener's own is `a`.
struct World {
    router: TestRouter,
    coordinators: [Named; 3],
}

impl World {
    fn start(router: &str) -> Self {
        Self::with(router, "", "")
    }

    /// With these keys in `[[listener]]`, and in each `[[cluster]]`.
    fn with(router: &str, listener: &str, keys: &str) -> Self {
        let coordinators = [b'a', b'b', b'c'].map(Named::start);
        let clusters: String =
            ["a", "b", "c"].iter().zip(&coordinators).map(|(name, one)| one.cluster(name, keys)).collect();
        let router = TestRouter::start(&format!(
            "[router]\n{router}\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\ncluster = \"a\"\n{listener}\n\
             sni = {{ \"impala-b.example.com\" = \"b\", \"*.C.example.com\" = \"c\" }}\n{clusters}"
        ));
        Self { router, coordinators }
    }

    /// Sends bytes in pieces of this length and then some more; returns which coordinator they reached, once
    /// they have all come there.
    fn reached(&self, bytes: &[u8], piece: usize) -> char {
        self.reached_by(Talk::connect(self.router.listener(0)), bytes, piece)
    }

    /// As [`Self::reached`], over a connection that was opened already.
    fn reached_by(&self, mut talk: Talk, bytes: &[u8], piece: usize) -> char {
        bytes.chunks(piece).for_each(|piece| talk.send(piece));
        let mut name = [0];
        talk.stream.read_exact(&mut name).unwrap();
        talk.send(b"and more");
        talk.finish();
        assert_eq!(talk.rest(), b"");
        let heard = &self.coordinators[usize::from(name[0] - b'a')].heard;
        assert_eq!(*heard.lock().unwrap(), [bytes, b"and more"].concat(), "byte for byte");
        char::from(name[0])
    }
}

/// The hello that a client of this server sends.
fn hello_to(server: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let server = ServerName::try_from(server.to_owned()).unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), server).unwrap().write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn the_server_name_chooses_the_cluster() {
    let world = World::start("");
    for (name, cluster) in [
        ("impala-b.example.com", 'b'),
        ("IMPALA-B.example.com", 'b'),
        ("x.c.example.com", 'c'),
        ("x.y.c.example.com", 'a'),
        ("c.example.com", 'a'),
        ("elsewhere.example.com", 'a'),
        ("192.0.2.1", 'a'),
    ] {
        assert_eq!(world.reached(&hello_to(name), usize::MAX), cluster, "{name}");
    }
    assert_eq!(world.reached(&hello_to("impala-b.example.com"), 1), 'b', "byte by byte");
    let chosen = "server_name=impala-b.example.com cluster=b";
    assert!(world.router.logs().text().contains(chosen), "{}", world.router.logs().text());
}

#[test]
fn a_hello_in_several_records_chooses_too() {
    let hello = hello_to("impala-b.example.com");
    let record = |fragment: &[u8]| {
        let len = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[0x16, 3, 1], &len[..], fragment].concat()
    };
    let records: Vec<u8> = hello[5..].chunks(20).flat_map(record).collect();
    assert_eq!(World::start("").reached(&records, 33), 'b');
}

#[test]
fn the_first_bytes_of_a_hello_are_not_encrypted_again() {
    // The coordinators have TLS themselves, which is the client's here.
    let world = World::with("detect_timeout = \"200ms\"", "", "tls = { verify = \"none\" }");
    let hello = hello_to("elsewhere.example.com");
    for len in [1, 2, 3, hello.len()] {
        assert_eq!(world.reached(&hello[..len], usize::MAX), 'a', "{len} bytes");
    }
}

#[test]
fn half_a_hello_goes_to_the_listeners_own_cluster_after_a_while() {
    let world = World::start("detect_timeout = \"200ms\"");
    let hello = hello_to("impala-b.example.com");
    assert_eq!(world.reached(&hello[..hello.len() - 1], usize::MAX), 'a');
}

#[test]
fn what_begins_like_tls_and_is_none_goes_to_the_listeners_own_cluster() {
    let world = World::start("");
    assert_eq!(world.reached(b"\x16\x03\x01\x00\x05\x02hello", usize::MAX), 'a');
    // A client without TLS names no server.
    let mut clear = Talk::connect(world.router.listener(0));
    clear.say(&open_session());
    assert!(eventually(|| world.coordinators[0].script.accepted() == 2));
    assert!(world.coordinators[1..].iter().all(|one| one.script.accepted() == 0));
}

#[test]
fn a_balancers_header_before_the_hello_reaches_nobody_and_its_client_is_the_one_in_the_log() {
    let world = World::with("", "proxy_protocol_from = [\"127.0.0.1\"]", "");
    for (name, cluster) in [("impala-b.example.com", 'b'), ("elsewhere.example.com", 'a')] {
        let mut talk = Talk::connect(world.router.listener(0));
        talk.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 21050\r\n");
        assert_eq!(world.reached_by(talk, &hello_to(name), 100), cluster, "{name}");
    }
    let chosen = |line: &str| line.contains(" client=192.0.2.7:40000") && line.contains("cluster=b");
    assert!(world.router.logs().text().lines().any(chosen), "{}", world.router.logs().text());
}
