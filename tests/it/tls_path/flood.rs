//! Floods of handshakes: what they cost the process, and what others notice of them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::net::limits::raise_file_limit;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::peers::{FILES, Secret};
use crate::support::message::of_handle;
use crate::support::program::Program;
use crate::support::router::eventually;
use crate::support::script::Script;
use crate::support::talk::PATIENCE;

/// Handshakes that begin and do not go on.
const HALVES: u32 = 1_000;
/// What each may cost. Nothing of a handshake is kept but the bytes that came, here some 100, and what the
/// library needs before it has a key.
const ALLOWED: u64 = 24 << 10;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A client's first message.
fn hello() -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(&FILES.client), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_thousand_half_handshakes_cost_little_end_in_time_and_reach_no_coordinator() {
    raise_file_limit().unwrap();
    let script = Script::sound();
    let keys = format!("handshake_timeout = \"{}s\"", HANDSHAKE.as_secs());
    let program = Program::start_with(script.address(), &FILES.listener(), "share_links = false", &keys);
    let mut bystander = Secret::connect(program.listener);
    let session = bystander.open();
    let dialed = script.came();
    let before = program.status("VmRSS");
    let hello = hello();
    let begun = clock::now();
    let mut halves: Vec<_> = (0..HALVES)
        .map(|_| {
            let mut half = connect(program.listener);
            half.write_all(&hello[..hello.len() / 2]).unwrap();
            half
        })
        .collect();
    let all_there = clock::now();
    assert_eq!(bystander.call(&of_handle("PingImpalaHS2Service", &session)).status(), Some(0));
    let open = || program.metric("hs2router_connections_open{");
    assert!(eventually(|| open() > f64::from(HALVES)), "{} are open", open());
    let cost = program.status("VmRSS").saturating_sub(before) / u64::from(HALVES);
    println!("half a handshake costs {cost} bytes");
    assert!(cost < ALLOWED, "{cost} bytes");
    for half in &mut halves {
        // By an end or a reset; not by this side's patience.
        let ended = half.read(&mut [0; 64]);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
    }
    assert!(clock::now() - begun >= HANDSHAKE);
    let late = (clock::now() - all_there).saturating_sub(HANDSHAKE);
    assert!(late < HANDSHAKE, "they ended {late:?} too late");
    assert_eq!(script.came(), dialed, "somebody was dialed for them");
    assert_eq!(bystander.call(&of_handle("PingImpalaHS2Service", &session)).status(), Some(0));
}

/// How many connections flood at a time.
const FLOODING: usize = 32;
/// Hellos that are answered before memory is looked at for the first time, and after that.
const FIRST: u32 = 500;
const MORE: u32 = 2_000;
/// What those may leave behind, all together: two kilobytes each, of which a handshake takes ten at least.
const LEFT: u64 = 4 << 20;

/// Sends whole hellos, each on a connection of its own, and leaves when the server has done its part.
struct Flood {
    listener: SocketAddr,
    hello: Vec<u8>,
    over: AtomicBool,
    answered: AtomicU32,
}

impl Flood {
    fn run(&self) {
        while !self.over.load(Ordering::Relaxed) {
            let mut stream = connect(self.listener);
            stream.write_all(&self.hello).unwrap();
            // The server has computed a key and signed. What it says stays unread.
            assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Floods until so many hellos have been answered, while `meanwhile` is done over and over.
    fn go_on(&self, until: u32, mut meanwhile: impl FnMut()) {
        self.over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..FLOODING {
                scope.spawn(|| self.run());
            }
            while self.answered.load(Ordering::Relaxed) < until {
                meanwhile();
            }
            self.over.store(true, Ordering::Relaxed);
        });
    }
}

// That calls go before the handshakes of a flood is for `src/net/tls/tests/flood.rs`, and how long they take
// beside it for the benchmark `flood`: here that would depend on what else the machine does.
#[test]
fn a_flood_of_whole_hellos_leaves_nothing_behind_reaches_no_coordinator_and_holds_up_no_call() {
    let script = Script::sound();
    let program = Program::start_with(script.address(), &FILES.listener(), "share_links = false", "");
    let mut bystander = Secret::connect(program.listener);
    let session = bystander.open();
    let dialed = script.came();
    let (over, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    let flood = Flood { listener: program.listener, hello: hello(), over, answered };
    let mut call = || {
        assert_eq!(bystander.call(&of_handle("PingImpalaHS2Service", &session)).status(), Some(0));
    };
    flood.go_on(FIRST, &mut call);
    let before = program.status("VmRSS");
    flood.go_on(FIRST + MORE, &mut call);
    let open = || program.metric("hs2router_connections_open{");
    assert!(eventually(|| open() < 2.0), "{} are open", open());
    let left = program.status("VmRSS").saturating_sub(before);
    println!("{MORE} hellos left {left} bytes behind");
    assert!(left < LEFT, "{left} bytes");
    assert_eq!(script.came(), dialed, "somebody was dialed for them");
}
