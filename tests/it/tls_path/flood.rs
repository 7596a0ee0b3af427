//! Floods of handshakes: what they cost the process, and what others notice of them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hs2router::clock;
use hs2router::net::limits::raise_file_limit;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::peers::{FILES, Secret};
use crate::support::message::{Message, of_handle};
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
/// Calls of a round that are measured, alone and beside the flood.
const CALLS: usize = 1_000;
/// Rounds, of which the median counts: whatever else the machine does takes as long as a flood.
const ROUNDS: usize = 5;
/// So much more than twice their time may calls take beside the flood: without optimisation a handshake takes
/// ten times as long as with it, and here some of the calls' own processor is the flood's.
const MORE: Duration = Duration::from_millis(20);

/// The median and the 99th percentile of the times of calls.
#[derive(Clone, Copy, Debug)]
struct Times {
    p50: Duration,
    p99: Duration,
}

impl Times {
    fn of(client: &mut Secret, call: &Message) -> Self {
        let mut times: Vec<_> = (0..CALLS)
            .map(|_| {
                let begun = clock::now();
                assert_eq!(client.call(call).status(), Some(0));
                clock::now() - begun
            })
            .collect();
        times.sort_unstable();
        Self { p50: times[CALLS / 2], p99: times[CALLS * 99 / 100] }
    }
}

fn median(rounds: &[Times], of: impl Fn(&Times) -> Duration) -> Duration {
    let mut all: Vec<_> = rounds.iter().map(of).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

/// Opens handshakes one after the other, and leaves each when the server has done its part.
struct Flood {
    listener: SocketAddr,
    hello: Vec<u8>,
    over: AtomicBool,
    done: AtomicU32,
}

impl Flood {
    fn run(&self) {
        step_back();
        while !self.over.load(Ordering::Relaxed) {
            let mut stream = connect(self.listener);
            stream.write_all(&self.hello).unwrap();
            // The server has signed.
            stream.read_exact(&mut [0; 100]).unwrap();
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Gives this thread the processor only where nobody else wants it: a flood comes from elsewhere, and is not
/// to take the time of those that it is measured against.
fn step_back() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let reniced = Command::new("renice").args(["-n", "19", "-p"]).arg(thread.file_name().unwrap()).output();
    let reniced = reniced.unwrap();
    assert!(reniced.status.success(), "{reniced:?}");
}

#[test]
fn a_flood_of_hellos_leaves_the_calls_of_others_alone_and_reaches_no_coordinator() {
    let script = Script::sound();
    let program = Program::start_with(script.address(), &FILES.listener(), "share_links = false", "");
    let mut bystander = Secret::connect(program.listener);
    let session = bystander.open();
    let call = of_handle("PingImpalaHS2Service", &session);
    let _warm = Times::of(&mut bystander, &call);
    let dialed = script.came();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(Times::of(&mut bystander, &call));
        let (listener, hello) = (program.listener, hello());
        let flood = Flood { listener, hello, over: AtomicBool::new(false), done: AtomicU32::new(0) };
        let begun = clock::now();
        thread::scope(|scope| {
            for _ in 0..FLOODING {
                scope.spawn(|| flood.run());
            }
            beside.push(Times::of(&mut bystander, &call));
            flood.over.store(true, Ordering::Relaxed);
        });
        let rate = f64::from(flood.done.into_inner()) / (clock::now() - begun).as_secs_f64();
        println!("{:?}, and beside {rate:.0} handshakes a second {:?}", alone.last(), beside.last());
    }
    let [alone, beside] = [alone, beside]
        .map(|rounds| Times { p50: median(&rounds, |of| of.p50), p99: median(&rounds, |of| of.p99) });
    println!("medians: {alone:?} and {beside:?}");
    assert_eq!(script.came(), dialed, "somebody was dialed for them");
    assert!(beside.p99 < alone.p99 * 2 + MORE, "{beside:?}, alone {alone:?}");
}
