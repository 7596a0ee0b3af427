//! SIGHUP: the coordinators' `state` is read again, and nothing else.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::Value;

use super::field;
use crate::admin::{ALLOWED, ask_at};
use crate::support::router::eventually;

/// `hs2router run` on free ports, with a log that can be looked at.
struct Program {
    process: Child,
    folder: tempfile::TempDir,
    admin: SocketAddr,
}

/// A config of two coordinators, `a` and `b`, with these states and one more key of the cluster.
fn config(a: &str, b: &str, key: &str) -> String {
    let coordinator = |name, state| {
        format!(
            "  {{ name = \"{name}\", host = \"{name}.invalid\", beeswax = 0, hs2_http = 0, web = 0, state = \"{state}\" }},\n"
        )
    };
    format!(
        "[router]\nmax_connections = 100\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\nname = \"test\"\n{key}\ncoordinators = [\n{}{}]\n",
        coordinator("a", a),
        coordinator("b", b)
    )
}

impl Program {
    /// With a config file.
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hs2router.toml");
        fs::write(&file, text).unwrap();
        Self::start(folder, &["--config", file.to_str().unwrap()])
    }

    fn start(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let log = folder.path().join("log");
        let mut process = Command::new(env!("CARGO_BIN_EXE_hs2router"))
            .arg("run")
            .args(arguments)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut admin = None;
        let serves = eventually(|| {
            let text = fs::read_to_string(&log).unwrap();
            admin = text
                .split_inclusive('\n')
                .find(|line| line.contains("serving /healthz") && line.ends_with('\n'))
                .map(|line| field(line, "admin="));
            admin.is_some()
        });
        if !serves {
            drop(process.kill());
            panic!("it does not serve: {}", fs::read_to_string(&log).unwrap());
        }
        Self { process, folder, admin: admin.unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Changes the config file, sends SIGHUP and waits until one more line of the log says this.
    #[track_caller]
    fn reload(&self, text: &str, said: &str) {
        fs::write(self.path("hs2router.toml"), text).unwrap();
        let before = self.log().matches(said).count();
        self.hang_up();
        assert!(eventually(|| self.log().matches(said).count() == before + 1), "{said}: {}", self.log());
    }

    fn hang_up(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// What people want of `a` and of `b`.
    fn states(&self) -> Vec<String> {
        let (status, body) = ask_at(self.admin, "GET /api/v1/coordinators", "");
        assert_eq!(status, 200);
        let shown: Vec<Value> = serde_json::from_str(&body).unwrap();
        shown.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    }

    fn post(&self, coordinator: &str, verb: &str) {
        let request = format!("POST /api/v1/coordinators/test/{coordinator}/{verb}");
        assert_eq!(ask_at(self.admin, &request, ALLOWED).0, 200);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const READ: &str = "config file reloaded";

#[test]
fn a_state_that_has_changed_in_the_file_holds_from_sighup_on() {
    let program = Program::with(&config("active", "drain", ""));
    assert_eq!(program.states(), ["active", "drain"]);
    program.reload(&config("drain", "active", ""), READ);
    assert_eq!(program.states(), ["drain", "active"]);
    let log = program.log();
    assert!(log.contains("states_changed=2") && !log.contains(" WARN "), "{log}");
}

#[test]
fn the_last_word_holds_be_it_the_files_or_the_admin_ports() {
    let program = Program::with(&config("active", "drain", ""));
    program.post("a", "drain");
    program.post("b", "resume");
    program.reload(&config("active", "drain", ""), READ);
    assert_eq!(program.states(), ["drain", "active"], "the file says nothing new");
    program.reload(&config("active", "active", ""), READ);
    program.reload(&config("active", "drain", ""), READ);
    assert_eq!(program.states(), ["drain", "drain"], "it does of b");
}

#[test]
fn what_takes_a_restart_is_named_in_one_line_each_time() {
    let program = Program::with(&config("active", "active", ""));
    for state in ["drain", "active"] {
        program.reload(&config("active", state, "queue_timeout = \"9s\"\ndrain_then = \"cancel\""), READ);
        assert_eq!(program.states(), ["active", state], "the states hold all the same");
    }
    let log = program.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings.len(), 2, "{log}");
    for warning in warnings {
        let keys = "cluster.queue_timeout of \\\"test\\\", cluster.drain_then of \\\"test\\\"";
        assert!(warning.contains("need a restart") && warning.contains(keys), "{warning}");
    }
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_the_log_says_where() {
    let program = Program::with(&config("active", "active", ""));
    let wrong = "config file not reloaded: it is invalid, and nothing was changed";
    let unknown = config("drain", "gone", "no_such_key = 1");
    for (text, place) in [
        ("[[cluster]\n", "hs2router.toml:1:"),
        (&unknown, "hs2router.toml:10: cluster.no_such_key"),
        (&unknown, "hs2router.toml:13: cluster.coordinators.state"),
    ] {
        program.reload(text, wrong);
        let log = program.log();
        let line = log.lines().rfind(|line| line.contains(wrong)).unwrap();
        assert!(line.contains(" ERROR ") && line.contains(place), "{place}: {line}");
        assert_eq!(program.states(), ["active", "active"]);
    }
    fs::remove_file(program.path("hs2router.toml")).unwrap();
    program.hang_up();
    assert!(eventually(|| program.log().contains("No such file")), "{}", program.log());
    // What was wrong is as though it had not been read.
    program.reload(&config("active", "drain", ""), READ);
    assert_eq!(program.states(), ["active", "drain"]);
}

#[test]
fn without_a_config_file_sighup_ends_nothing() {
    let arguments = ["--coordinator", "a.invalid", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let program = Program::start(tempfile::tempdir().unwrap(), &arguments);
    program.hang_up();
    assert!(eventually(|| program.log().contains("SIGHUP has no effect")), "{}", program.log());
    assert_eq!(program.states(), ["active"]);
}
