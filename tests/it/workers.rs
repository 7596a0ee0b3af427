//! Connections that are served by different threads are served as one router's, and go on with another thread
//! as if nothing had happened.

mod tls;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hs2router::control::config::Config;
use hs2router::control::log::Log;
use hs2router::control::router::Router;
use hs2router::net::host::Resolver;
use hs2router::serve::threads::workers::Workers;
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::message::{Message, Value, execute, of_handle, of_query, query};
use crate::support::script::Script;
use crate::support::talk::{PATIENCE, Talk};

/// How long a call takes at most with a thread that is not held up.
const SOON: Duration = Duration::from_secs(1);
/// How often a connection is asked whether it has gone to the other thread: once after each look.
const ASKED: usize = 100;
/// Bytes of no protocol that is understood.
const SAID: &[u8; 16] = b"\x7fwhat nobody has";

/// A router with two threads.
struct Pair {
    runtime: Runtime,
    router: Router,
    workers: Workers,
}

/// More keys of a config.
#[derive(Default)]
struct Keys {
    /// Of `[[listener]]`.
    listener: String,
    /// Of `[[cluster]]`.
    cluster: String,
}

impl Pair {
    /// `ports` are the coordinator's, such as `hs2 = 21050`.
    fn start(flavor: &str, service: &str, ports: &str) -> Self {
        Self::with(flavor, service, ports, &Keys::default())
    }

    fn with(flavor: &str, service: &str, ports: &str, Keys { listener, cluster }: &Keys) -> Self {
        let config = format!(
            "[router]\ndetect_timeout = \"1h\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{service}\"\n{listener}\n\
             [[cluster]]\nflavor = \"{flavor}\"\nprobe = {{ interval = \"1h\" }}\n{cluster}\n\
             coordinators = [{{ host = \"127.0.0.1\", {ports}, hs2_http = 0, web = 0 }}]\n"
        );
        let workers = Workers::start(NonZero::new(2).unwrap()).unwrap();
        let runtime = Runtime::new().unwrap();
        let router = {
            let _inside = runtime.enter();
            let config = Config::parse("test", &config).unwrap();
            Router::start_on(&config, &workers, Resolver::System, Log::default()).unwrap()
        };
        Self { runtime, router, workers }
    }

    fn of_hs2(script: &Script, flavor: &str) -> Self {
        Self::start(flavor, "hs2", &format!("hs2 = {}, beeswax = 0", script.address().port()))
    }

    fn connect(&self) -> Talk {
        Talk::connect(self.router.listeners()[0])
    }

    /// Gives the first thread so much to do, until the guard is dropped, that another one shall serve, too.
    fn crowd(&self) -> DropGuard {
        let stop = CancellationToken::new();
        for _ in 0..4 {
            let stop = stop.clone();
            drop(self.workers.first().spawn(async move {
                while !stop.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1));
                    yield_now().await;
                }
            }));
        }
        stop.drop_guard()
    }

    /// Holds the first thread up until the other end of the channel is dropped.
    fn hold_up(&self) -> Sender<()> {
        let (go_on, wait): (_, Receiver<()>) = channel();
        let (tell, told) = channel();
        drop(self.workers.first().spawn(async move {
            tell.send(()).unwrap();
            let _ended = wait.recv();
        }));
        told.recv_timeout(PATIENCE).unwrap();
        go_on
    }

    /// Has a client call until it is served by the second thread: one that is at home there, which every
    /// second one is.
    fn drive_away(&self, client: &mut Talk, call: &Message) {
        let _crowd = self.crowd();
        for _ in 0..ASKED {
            let held_up = self.hold_up();
            client.stream.set_read_timeout(Some(SOON)).unwrap();
            client.say(call);
            let soon = client.hear();
            drop(held_up);
            client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let gone = soon.is_ok();
            let reply = soon.or_else(|_| client.hear()).unwrap();
            assert_eq!((reply.name.as_str(), reply.seqid), (call.name.as_str(), call.seqid));
            if gone {
                return;
            }
        }
        panic!("it was never given to the second thread");
    }
}

/// A coordinator of a protocol that nobody knows.
fn echo(mut stream: TcpStream, _: usize) {
    let mut said = *SAID;
    while stream.read_exact(&mut said).is_ok() && stream.write_all(&said).is_ok() {}
}

fn poll(operation: &Value) -> Message {
    of_handle("GetOperationStatus", operation)
}

#[test]
fn a_session_is_used_on_every_thread_and_all_of_them_drain() {
    let script = Script::sound();
    let pair = Pair::of_hs2(&script, "impala");
    let mut clients = [(); 4].map(|()| pair.connect());
    let session = clients[0].open();
    let operation = clients[0].call(&execute(&session, "select 1")).handle(&[0, 2]);
    for at in [1, 3] {
        pair.drive_away(&mut clients[at], &poll(&operation));
    }
    for client in &mut clients {
        assert_eq!(client.call(&poll(&operation)).status(), Some(0));
    }
    assert_eq!(clients[3].call(&of_handle("CloseOperation", &operation)).status(), Some(0));
    let Pair { runtime, router, .. } = pair;
    assert_eq!(runtime.block_on(router.drain(std::future::pending())), 0, "some had to be cut");
    for client in &mut clients {
        assert!(client.ends_orderly());
    }
}

#[test]
fn a_connection_takes_its_links_and_their_sessions_to_another_thread() {
    let script = Script::sound();
    let pair = Pair::of_hs2(&script, "hive");
    let _at_home_with_the_first = pair.connect();
    let mut client = Talk::connect_sasl(pair.router.listeners()[0]);
    let session = client.open();
    let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
    pair.drive_away(&mut client, &poll(&operation));
    assert_eq!(client.call(&of_handle("CloseSession", &session)).status(), Some(0));
    assert_eq!(script.accepted(), 1, "its link was dialed again");
}

#[test]
fn a_beeswax_connection_keeps_its_session_on_another_thread() {
    let (script, other) = (Script::sound(), Script::sound());
    let ports = format!("hs2 = {}, beeswax = {}", other.address().port(), script.address().port());
    let pair = Pair::start("impala", "beeswax", &ports);
    let [_at_home_with_the_first, mut client] = [(); 2].map(|()| pair.connect());
    let id = client.call(&query("select 1")).text(&[0, 1]);
    pair.drive_away(&mut client, &of_query("get_state", &id));
    client.call(&of_query("close", &id));
    assert_eq!(script.accepted(), 1, "its link was dialed again");
}

#[test]
fn connections_that_are_passed_on_unread_are_spread_over_the_threads() {
    let script = Script::raw(echo);
    let pair = Pair::of_hs2(&script, "impala");
    let say = |client: &mut Talk| {
        client.send(SAID);
        client.stream.read_exact(&mut SAID.clone())
    };
    let mut clients = [(); 4].map(|()| pair.connect());
    for client in &mut clients {
        say(client).unwrap();
        client.stream.set_read_timeout(Some(SOON)).unwrap();
    }
    let held_up = pair.hold_up();
    let answered = clients.each_mut().map(|client| say(client).is_ok());
    drop(held_up);
    assert_eq!(answered.iter().filter(|answered| **answered).count(), 2, "{answered:?}");
}
