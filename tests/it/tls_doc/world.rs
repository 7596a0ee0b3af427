//! Where the document's commands are run: real programs, simulated coordinators, and no port or name of the
//! document.
//!
//! What is written otherwise than in the document, in files and in commands alike:
//! - `router.example.com` is `localhost`; its ports, and `0.0.0.0` and `*` before them, are free ones of
//!   127.0.0.1.
//! - `impala-1.example.com` and its like are simulated coordinators on 127.0.0.1. A config names their ports,
//!   and
//!   as `server_name` the name that the document has.
//! - `10.0.0.0/8`, the network of balancers, is 127.0.0.0/8.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hs2router::clock;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use toml::{Table, Value};

use super::blocks::{Kind, Step, has_line};
use super::coordinators::{Ports, Simulated};
use crate::support::keeper::Keeper;
use crate::support::ports::KeptPort;
use crate::support::tools::{self, Tool};

/// The ports of the document that are the router's or a balancer's.
const PORTS: [&str; 4] = ["21050", "21051", "25025", "28000"];

/// How many coordinators the document has.
const COORDINATORS: usize = 3;

/// Seconds that commands of one block may take.
const COMMAND_DEADLINE: &str = "120";

/// How long something may take to be logged: the files of certificates are read every 5 s.
const LOG_DEADLINE: Duration = Duration::from_mins(1);

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// A folder in which a reader goes through the document.
pub(super) struct World {
    running: BTreeMap<String, Running>,
    coordinators: Vec<Simulated>,
    ports: BTreeMap<&'static str, KeptPort>,
    /// What the last commands printed.
    printed: String,
    folder: TempDir,
    _runtime: Runtime,
}

/// A program that was started, and what it has printed.
struct Running {
    keeper: Keeper,
    lines: Arc<Mutex<String>>,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::Builder::new().prefix("hs2router-tls-doc-").tempdir().unwrap();
        let start = |number| Simulated::start(&format!("impala-{number}"), folder.path(), &runtime);
        let coordinators = (1..=COORDINATORS).map(start).collect();
        let ports = PORTS.into_iter().map(|port| (port, KeptPort::take(0).unwrap())).collect();
        Self {
            running: BTreeMap::new(),
            coordinators,
            ports,
            printed: String::new(),
            folder,
            _runtime: runtime,
        }
    }

    /// Writes a file of the document.
    pub(super) fn write(&self, name: &str, text: &str) {
        let text = self.localized(text);
        let text = if Path::new(name).extension().is_some_and(|end| end == "toml") {
            self.config(&text)
        } else {
            text
        };
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Does what a step says. Returns `false` if it needs a tool that is missing and may be; the steps after
    /// it build on it and are not to be taken.
    ///
    /// # Panics
    /// When it does not come out as the document says.
    pub(super) fn take(&mut self, step: &Step) -> bool {
        let text = self.localized(&step.text);
        match step.kind {
            Kind::Run | Kind::Start if !tools_are_here(&text) => return false,
            Kind::Run => self.printed = self.run(&text, step.line),
            Kind::Start => self.start(&text, step.line),
            Kind::Prints => {
                let printed = &self.printed;
                assert!(has_line(printed, &text), "{}", self.failure(step.line, &text, printed));
            }
            Kind::Logs => {
                let deadline = clock::now() + LOG_DEADLINE;
                while !has_line(&self.logged(), &text) {
                    assert!(clock::now() < deadline, "{}", self.failure(step.line, &text, ""));
                    thread::sleep(PAUSE);
                }
            }
        }
        true
    }

    /// The words for a step that came out otherwise.
    fn failure(&self, line: usize, expected: &str, printed: &str) -> String {
        let logged = self.logged();
        format!("docs/TLS.md:{line}:\n{expected}\n-- printed:\n{printed}\n-- logged by the router:\n{logged}")
    }

    /// What the router has logged since it was started last.
    fn logged(&self) -> String {
        self.running.get("hs2router").map(|running| running.lines.lock().unwrap().clone()).unwrap_or_default()
    }

    fn run(&self, commands: &str, line: usize) -> String {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", COMMAND_DEADLINE, "bash", "-euo", "pipefail", "-c"]);
        command.arg(format!("exec </dev/null 2>&1\n{commands}")).current_dir(self.folder.path());
        command.env("PATH", path()).env("HOME", self.folder.path()).env("SPARK_HOME", tools::spark_home());
        command.env_remove("JAVA_TOOL_OPTIONS").env_remove("SSL_CERT_FILE");
        let ended = command.output().unwrap();
        let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
        let code = ended.status.code();
        assert_eq!(code, Some(0), "{}", self.failure(line, commands, &printed));
        printed
    }

    fn start(&mut self, command: &str, line: usize) {
        let program = command.split(' ').next().unwrap().to_owned();
        // On the same ports.
        drop(self.running.remove(&program));
        let folder = self.folder.path().display();
        let script = format!("cd '{folder}' && exec {command}");
        let own = tempfile::tempdir().unwrap().keep();
        let settings = [("PATH", path())];
        let mut keeper = Keeper::start(&own, Path::new("bash"), &["-c".to_owned(), script], &settings);
        let output = BufReader::new(keeper.output());
        let lines = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&lines);
        let reading = thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .for_each(|line| writeln!(written.lock().unwrap(), "{line}").unwrap());
        });
        let running = Running { keeper, lines };
        let deadline = clock::now() + LOG_DEADLINE;
        while !running.is_ready(&program) {
            let is_over = reading.is_finished() || clock::now() > deadline;
            let said = running.lines.lock().unwrap();
            assert!(!is_over, "docs/TLS.md:{line}: {program} does not start: {said}");
            drop(said);
            thread::sleep(PAUSE);
        }
        self.running.insert(program, running);
    }

    /// A text of the document as it is used here.
    fn localized(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, coordinator) in (1..).zip(&self.coordinators) {
            let (at, here) = (format!("impala-{number}.example.com:21050"), coordinator.ports(true).hs2);
            text = text.replace(&at, &format!("127.0.0.1:{here}"));
        }
        for (port, kept) in &self.ports {
            let here = kept.number().to_string();
            text = text.replace(&format!("0.0.0.0:{port}"), &format!("127.0.0.1:{here}"));
            text = text.replace(&format!("*:{port}"), &format!("127.0.0.1:{here}"));
            text = text.replace(port, &here);
        }
        text.replace("router.example.com", "localhost").replace("10.0.0.0/8", "127.0.0.0/8")
    }

    /// A config as it is used here, made of a localized one.
    fn config(&self, text: &str) -> String {
        let mut config: Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let admin = format!("127.0.0.1:{}", self.ports["25025"].number());
        let admin = Table::from_iter([("address".to_owned(), Value::from(admin))]);
        config.entry("admin").or_insert(Value::Table(admin));
        assert!(config.contains_key("listener"), "fixed ports:\n{text}");
        let clusters = config["cluster"].as_array_mut().unwrap();
        for cluster in clusters {
            let cluster = cluster.as_table_mut().unwrap();
            let tls = cluster.get("tls").and_then(Value::as_table).cloned();
            for coordinator in cluster["coordinators"].as_array_mut().unwrap() {
                *coordinator = Value::Table(self.coordinator(coordinator, tls.as_ref()));
            }
        }
        config.to_string()
    }

    /// A coordinator of a config, with its place here.
    fn coordinator(&self, written: &Value, cluster: Option<&Table>) -> Table {
        let mut table = match written {
            Value::String(host) => Table::from_iter([("host".to_owned(), Value::from(host.as_str()))]),
            other => other.as_table().expect("a host or a table").clone(),
        };
        let host = table["host"].as_str().unwrap().to_owned();
        let number = host.strip_prefix("impala-").and_then(|rest| rest.strip_suffix(".example.com"));
        let place =
            number.and_then(|number| number.parse::<usize>().ok()).expect("a coordinator of the document");
        let tls = table.get("tls").and_then(Value::as_bool).unwrap_or_else(|| cluster.is_some());
        let has = |key, value: &str| {
            cluster.and_then(|tls| tls.get(key)).is_some_and(|is| *is == Value::from(value))
        };
        let web_tls = tls && cluster.and_then(|tls| tls.get("web")).and_then(Value::as_bool) == Some(true);
        let coordinator = &self.coordinators[place - 1];
        let Ports { hs2, hs2_http, .. } = coordinator.ports(tls);
        let Ports { web, .. } = coordinator.ports(web_tls);
        if tls && !has("verify", "name-of-cluster") {
            table.entry("server_name").or_insert(Value::from(host.as_str()));
        }
        table.insert("name".to_owned(), Value::from(host));
        table.insert("host".to_owned(), Value::from("127.0.0.1"));
        for (service, port) in [("hs2", hs2), ("beeswax", 0), ("hs2_http", hs2_http), ("web", web)] {
            table.insert(service.to_owned(), Value::from(i64::from(port)));
        }
        table
    }
}

impl Running {
    fn is_ready(&self, program: &str) -> bool {
        if program == "hs2router" {
            // The line that it logs when it has begun.
            return self.lines.lock().unwrap().contains(" admin=");
        }
        self.keeper.listening_port().is_some()
    }
}

/// Whether what these commands need is there; `false`: it may be missing.
fn tools_are_here(commands: &str) -> bool {
    let needs = |word: &str| commands.split_whitespace().any(|one| one == word);
    let tools: &[(&str, &[Tool])] = &[
        ("openssl", &[Tool::Openssl]),
        ("curl", &[Tool::Curl]),
        ("haproxy", &[Tool::Haproxy]),
        ("impala-shell", &[Tool::Python]),
        ("python3", &[Tool::Python]),
        ("keytool", &[Tool::Java]),
        ("beeline", &[Tool::Java, Tool::Spark]),
    ];
    tools.iter().all(|(program, tools)| !needs(program) || tools::present(tools))
}

/// Where programs are looked for: this build's router, then what `tests/run` has installed.
fn path() -> String {
    let router = PathBuf::from(env!("CARGO_BIN_EXE_hs2router"));
    let own = router.parent().unwrap().display().to_string();
    let python = tools::python_program("").display().to_string();
    let spark = tools::spark_home().join("bin").display().to_string();
    let mut path = format!("{own}:{python}:{spark}");
    if let Ok(rest) = env::var("PATH") {
        write!(path, ":{rest}").unwrap();
    }
    path
}
