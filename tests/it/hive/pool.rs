//! A pool of JDBC connections outlives the crash of a server: what is lost is what the server was doing.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use hs2router::clock;

use crate::support::clients::{Login, Target, jdbc_url, newest_driver};
use crate::support::hive::{Hive, Setup, WHO_ARE_YOU};
use crate::support::ports::KeptPort;
use crate::support::router::TestRouter;
use crate::support::tools::{self, BRIEF_JAVA, Tool};

/// Connections of a pool: half of them are on each of two servers.
const SIZE: usize = 4;
/// A statement that still runs when the other server has crashed.
const LONG: &str = "SELECT reflect('java.lang.Thread', 'sleep', bigint(30000)) AS slept";
/// How long a command of the pool may take. A connection that it does not get within 30 s is an error
/// (`HikariCP`'s default).
const PATIENCE: Duration = Duration::from_mins(2);

/// A program with a pool of connections, which does as it is told.
struct Pool {
    program: Child,
    commands: ChildStdin,
    lines: Receiver<String>,
}

impl Pool {
    fn start(target: &Target, login: Login) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/pool.groovy");
        let mut program = Command::new("java")
            .args(["-cp", &newest_driver(), "groovy.ui.GroovyMain"])
            .arg(script)
            .args([&jdbc_url(target, login), login.user(), login.password(), &SIZE.to_string()])
            .env_remove("JAVA_TOOL_OPTIONS")
            .env("JDK_JAVA_OPTIONS", BRIEF_JAVA)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (line, lines) = channel();
        let output = BufReader::new(program.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        // It ends when its input does, which it does however this process ends.
        Self { commands: program.stdin.take().unwrap(), program, lines }
    }

    /// Gives a command, and returns what it says of it, in the order of the alphabet.
    fn tell(&mut self, command: &str) -> Vec<String> {
        writeln!(self.commands, "{command}").unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the pool answers");
            if line.is_empty() {
                lines.sort();
                return lines;
            }
            lines.push(line);
        }
    }

    /// Which server each connection is on, after every one of them has run a statement.
    fn homes(&mut self) -> Vec<String> {
        let lines = self.tell(&format!("all {WHO_ARE_YOU}"));
        assert_eq!(lines.len(), SIZE, "{lines:?}");
        lines
            .iter()
            .map(|line| line.strip_prefix("row ").unwrap_or_else(|| panic!("{lines:#?}")).to_owned())
            .collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // It may be waiting for a server.
        drop(self.program.kill());
        self.program.wait().expect("it is our child");
    }
}

/// A server that comes back on its port.
struct Mortal {
    setup: Setup,
    hive: Option<Hive>,
    // Nobody else gets it in between.
    _port: KeptPort,
}

impl Mortal {
    fn start(login: Login) -> Self {
        let port = KeptPort::take(0).unwrap();
        let setup = Setup::of(login).on(port.number());
        let mut mortal = Self { setup, hive: None, _port: port };
        mortal.start_again();
        mortal.hive().warm_up(login);
        mortal
    }

    fn hive(&self) -> &Hive {
        self.hive.as_ref().expect("it lives")
    }

    fn crash(&mut self) {
        let hive = self.hive.take().expect("it lives");
        hive.signal("KILL");
        // Dropped, it has ended when this returns.
        drop(hive);
    }

    fn start_again(&mut self) {
        self.hive = Some(Hive::start(&self.setup));
    }
}

/// With probes as they are by default.
fn router(servers: [&Hive; 2]) -> TestRouter {
    let [first, second] = servers.map(|hive| hive.address().port());
    TestRouter::start(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n[[cluster]]\nname = \"test\"\nflavor = \"hive\"\n\
         coordinators = [{{ name = \"c1\", host = \"127.0.0.1\", hs2 = {first}, hs2_http = 0 }}, \
         {{ name = \"c2\", host = \"127.0.0.1\", hs2 = {second}, hs2_http = 0 }}]\n"
    ))
}

/// Waits until this many statements run on the two servers.
fn await_running(router: &TestRouter, wanted: [usize; 2]) {
    let coordinators = &router.router().fleets()[0].cluster.coordinators();
    let deadline = clock::now() + PATIENCE;
    loop {
        let running = coordinators.iter().map(|one| one.load().running_operations as usize);
        let running: Vec<_> = running.collect();
        if running == wanted {
            return;
        }
        assert!(clock::now() < deadline, "{running:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn survive(login: Login) {
    if !tools::present(&[Tool::Java, Tool::Python, Tool::Hive]) {
        return;
    }
    let second = thread::spawn(move || Mortal::start(login));
    let mut first = Mortal::start(login);
    let second = second.join().expect("the second server started");
    let router = router([first.hive(), second.hive()]);
    let mut direct = Pool::start(first.hive().target(), login);
    let mut pool = Pool::start(&router.target(), login);
    let doomed = direct.homes().swap_remove(0);
    let homes = pool.homes();
    let on = |home: &str, homes: &[String]| homes.iter().filter(|it| *it == home).count();
    assert_eq!(on(&doomed, &homes), SIZE / 2, "{homes:?}");
    let safe = homes.iter().find(|home| **home != doomed).expect("half of them").clone();

    // A crash under statements: each that the server was running fails, once, and the others go on.
    pool.tell(&format!("begin {LONG}"));
    await_running(&router, [SIZE / 2; 2]);
    first.crash();
    let outcomes = pool.tell("end");
    let (errors, rows): (Vec<_>, Vec<_>) = outcomes.iter().partition(|line| line.starts_with("error "));
    assert_eq!((errors.len(), rows.len()), (SIZE / 2, SIZE / 2), "{outcomes:?}");
    assert!(errors.iter().all(|line| line.contains("c1")), "the error names the server: {errors:?}");
    let homes = pool.homes();
    assert_eq!(on(&safe, &homes), SIZE, "while it is away all connections are on the other: {homes:?}");

    // It returns, and gets its share of what the pool opens.
    first.start_again();
    first.hive().warm_up(login);
    direct.homes();
    let deadline = clock::now() + PATIENCE;
    let mut homes = pool.homes();
    // It gets less of what is new at first: slow_start is 30 s.
    while on(&safe, &homes) == SIZE {
        assert!(clock::now() < deadline, "it gets no connection: {homes:?}");
        pool.tell("renew");
        homes = pool.homes();
    }
    // A crash that the pool only sees when it is over.
    first.crash();
    first.start_again();
    first.hive().warm_up(login);
    let later = pool.homes();
    assert!(on(&safe, &later) >= on(&safe, &homes), "the other's are kept: {homes:?}, then {later:?}");
    direct.homes();
}

#[test]
fn a_pool_of_connections_outlives_a_crash_without_sasl() {
    survive(Login::NoSasl);
}

#[test]
fn a_pool_of_connections_outlives_a_crash_with_plain() {
    survive(Login::Plain);
}
