//! The page in a real browser, in front of a running fleet: `tests/browser/drive.mjs` does what an operator
//! does, and asks this side for what clients and routers do.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use hs2router::fake::client::Hs2Client;
use hs2router::idl::t_c_l_i_service::TSessionHandle;
use serde_json::Value;

use crate::admin::ask_at;
use crate::support::certificates::{Authority, HERE};
use crate::support::fleet::{Fleet, Plan, USERS, session_id};
use crate::support::router::TestRouter;
use crate::support::tools::{Tool, browser_packages, present};

/// How many seconds the browser may take for all of it.
const PATIENCE: &str = "240";

/// The folder that pictures of all views are drawn into, if anybody wants them.
const PICTURES: &str = "HS2ROUTER_PICTURES";

/// An address for admin ports that come and go. It ends with the process.
struct Gate {
    address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
}

impl Gate {
    fn to(admin: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, to) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Some(admin))));
        let now = Arc::clone(&to);
        thread::spawn(move || {
            for client in listener.incoming() {
                // Without a port behind the gate the connection ends at once.
                if let (Ok(client), Some(to)) = (client, *now.lock().unwrap()) {
                    thread::spawn(move || pass_on(&client, to));
                }
            }
        });
        Self { address, to }
    }

    fn lead(&self, to: Option<SocketAddr>) {
        *self.to.lock().unwrap() = to;
    }
}

/// Passes one request on, and its answer back.
fn pass_on(mut client: &TcpStream, to: SocketAddr) {
    let Ok(server) = TcpStream::connect(to) else { return };
    let (mut asks, mut is_asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        drop(io::copy(&mut asks, &mut is_asked));
        drop(is_asked.shutdown(Shutdown::Write));
    });
    drop(io::copy(&mut &server, &mut client));
    drop(client.shutdown(Shutdown::Both));
}

/// What happens beside the page.
struct World {
    fleet: Fleet,
    gate: Gate,
    /// Connected when it first has something to do: a login counts as a session.
    client: Option<Hs2Client>,
    /// One that operators cut.
    another: Option<Hs2Client>,
    sessions: Vec<TSessionHandle>,
    /// Where the client is while it opens a session and has to wait.
    opening: Option<JoinHandle<Hs2Client>>,
    /// Routers that were put behind the gate, so that they live.
    routers: Vec<TestRouter>,
    in_the_clear: Option<Fleet>,
}

impl World {
    fn new() -> Self {
        let server = Some(Arc::new(Authority::new().issue("here", &HERE).server_config()));
        let fleet = Fleet::with(Plan {
            users: &USERS,
            cluster: "tls = { verify = \"none\" }",
            tls: &[server.clone(), server.clone(), server],
            ..Plan::default()
        });
        let gate = Gate::to(fleet.router().router().admin());
        Self {
            fleet,
            gate,
            client: None,
            another: None,
            sessions: Vec::new(),
            opening: None,
            routers: Vec::new(),
            in_the_clear: None,
        }
    }

    /// Does what the script asks for: its answer.
    fn does(&mut self, what: &str) -> String {
        let client = self.client.get_or_insert_with(|| self.fleet.hs2());
        match what {
            "open two sessions and run a statement in one" => {
                self.sessions = (0..2).map(|_| client.open(&[]).unwrap()).collect();
                client.execute(&self.sessions[0], "select sleep(600000)").unwrap();
                format!("c{}", self.fleet.owner(&self.sessions[0]) + 1)
            }
            "open another session" => session_id(&client.open(&[]).unwrap()).to_string(),
            "connect once more" => {
                let another = self.another.insert(self.fleet.hs2());
                let from = another.stream().local_addr().unwrap();
                let asked = format!("GET /api/v1/connections?filter={from}");
                let (_, listed) = ask_at(self.fleet.router().router().admin(), &asked, "");
                let listed: Value = serde_json::from_str(&listed).unwrap();
                listed["connections"][0]["connection"].as_str().unwrap().to_owned()
            }
            "close the sessions" => {
                for session in self.sessions.drain(..) {
                    client.close_session(&session).unwrap();
                }
                String::new()
            }
            "open a session in vain" => {
                let mut client = self.client.take().unwrap();
                let opening = move || {
                    let session = client.open(&[]).unwrap();
                    client.close_session(&session).unwrap();
                    client
                };
                self.opening = Some(thread::spawn(opening));
                String::new()
            }
            "the session opens and is closed" => {
                self.client = self.opening.take().map(|opening| opening.join().unwrap());
                String::new()
            }
            "the router goes" => {
                self.gate.lead(None);
                String::new()
            }
            "the router returns" => {
                let router = self.fleet.another_router();
                self.gate.lead(Some(router.router().admin()));
                self.routers.push(router);
                String::new()
            }
            "another router, in the clear" => {
                let fleet = Fleet::of(2);
                self.gate.lead(Some(fleet.router().router().admin()));
                self.in_the_clear = Some(fleet);
                String::new()
            }
            other => panic!("the script wants something unknown: {other}"),
        }
    }
}

#[test]
fn an_operator_sees_the_fleet_and_acts_in_a_browser() {
    if !present(&[Tool::Browser]) {
        return;
    }
    let mut world = World::new();
    let profile = tempfile::Builder::new().prefix("hs2router-browser-").tempdir().unwrap();
    let mut script = Command::new("timeout")
        .args(["--kill-after=5", PATIENCE, "node", "tests/browser/drive.mjs"])
        .arg(browser_packages())
        .arg(format!("http://{}/", world.gate.address))
        .arg(profile.path())
        .args(std::env::var_os(PICTURES))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = script.stdin.take().unwrap();
    let mut asked = BTreeMap::new();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        writeln!(answers, "{}", world.does(&line)).unwrap();
        *asked.entry(line).or_insert(0) += 1;
    }
    assert!(script.wait().unwrap().success(), "what it said is above; it had asked for {asked:?}");
    assert_eq!(asked.len(), 9, "it went through all of it: {asked:?}");
}
