//! A client that says nothing, in front of coordinators with TLS 1.3: these send tickets behind the handshake,
//! which are no words.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::support::certificates::{Authority, HERE};
use crate::support::relay::Relay;
use crate::support::router::{SELDOM, TestRouter, eventually};
use crate::support::script::Script;
use crate::support::talk::Talk;

/// Its first words.
const GREETING: &[u8; 9] = b"220 speak";
/// How long it thinks about them: longer than its tickets take, shorter than it is listened to.
const THINKS: Duration = Duration::from_millis(300);

/// A coordinator with TLS, and a router in front of it that soon loses patience with silent clients.
struct Encrypted {
    script: Script,
    router: TestRouter,
    _relay: Relay,
    _authority: Authority,
}

fn around(script: Script) -> Encrypted {
    let authority = Authority::new();
    let server = authority.issue("coordinator", &HERE).server_config();
    assert!(server.send_tls13_tickets > 0);
    let relay = Relay::ending_tls(script.address(), Arc::new(server));
    let router = TestRouter::start(&format!(
        "[router]\ndetect_timeout = \"50ms\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\n{SELDOM}\ntls = {{ ca = \"{}\" }}\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}]\n",
        authority.ca().display(),
        relay.address().port()
    ));
    Encrypted { script, router, _relay: relay, _authority: authority }
}

#[test]
fn a_coordinator_that_speaks_first_is_heard_although_its_tickets_come_before() {
    let encrypted = around(Script::raw(|mut stream: TcpStream, _| {
        thread::sleep(THINKS);
        // Whom it greets may have left.
        let _heard = stream.write_all(GREETING);
        let mut word = [0; 4];
        if stream.read_exact(&mut word).is_ok() {
            stream.write_all(&word).unwrap();
        }
    }));
    let mut client = Talk::connect(encrypted.router.listener(0));
    let mut greeting = [0; GREETING.len()];
    client.stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, GREETING);
    client.send(b"HELO");
    assert_eq!(client.rest(), b"HELO");
}

#[test]
fn a_coordinator_that_sends_its_tickets_has_said_nothing_and_the_client_is_routed() {
    let encrypted = around(Script::sound());
    let mut client = Talk::connect(encrypted.router.listener(0));
    assert!(
        eventually(|| encrypted.script.accepted() > 0 && encrypted.script.open() == 0),
        "it was not left"
    );
    assert!(eventually(|| encrypted.script.open() == 0), "it was not left");
    assert_ne!(client.open(), client.open());
    let listener = encrypted.router.listener(0);
    let series = format!("hs2router_connections_total{{listener=\"{listener}\",depth=\"route\"}}");
    encrypted.router.await_metric(&series, 1.0);
}
