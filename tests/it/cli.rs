//! The program as a shell sees it: output, errors and exit codes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use crate::admin::ask_at;
use crate::support::router::eventually;

mod operator;
mod reload;

fn hs2router(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hs2router"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/config"))
        .output()
        .unwrap()
}

/// The exit code, and what was printed to standard output and to standard error.
pub(crate) fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = hs2router(arguments);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_good_config_is_described_on_standard_output() {
    let (code, out, err) = outcome(&["check", "valid/smallest.toml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("listens on 0.0.0.0:21050"), "{out}");
}

#[test]
fn a_bad_config_exits_with_78_and_all_its_problems() {
    let (code, out, err) = outcome(&["check", "invalid/services.toml"]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert_eq!(err.lines().count(), 4, "{err}");
    assert!(err.lines().all(|line| line.starts_with("invalid/services.toml:")), "{err}");
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn a_config_that_needs_kerberos_is_refused_by_a_build_that_lacks_it_with_how_to_get_one() {
    for arguments in [&["check", "valid/kerberos.toml"][..], &["run", "--config", "valid/kerberos.toml"]] {
        let (code, out, err) = outcome(arguments);
        assert!(code != 0 && out.is_empty(), "{code} {out}");
        assert!(err.contains("cargo build --release --features kerberos"), "{err}");
    }
}

#[cfg(feature = "kerberos")]
#[test]
fn check_says_which_keytab_cannot_be_read_and_what_a_router_would_accept() {
    let (code, out, err) = outcome(&["check", "valid/kerberos.toml"]);
    assert!(code != 0 && out.is_empty() && err.contains("impala.keytab"), "{code} {out} {err}");
    let folder = tempfile::tempdir().unwrap();
    let config = include_str!("../../fixtures/config/valid/kerberos.toml");
    std::fs::write(folder.path().join("kerberos.toml"), config).unwrap();
    for keytab in ["impala.keytab", "hs2router.keytab"] {
        std::fs::write(folder.path().join(keytab), "").unwrap();
    }
    let (code, out, err) = outcome(&["check", folder.path().join("kerberos.toml").to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("accepts tickets for impala/router.example.com@EXAMPLE.COM"), "{out}");
    assert!(out.contains("as hs2router/router.example.com@EXAMPLE.COM"), "{out}");
}

#[test]
fn a_missing_config_exits_with_78_and_says_why_once() {
    let (code, _, err) = outcome(&["check", "no-such-file.toml"]);
    assert_eq!(code, 78);
    assert!(err.starts_with("cannot read no-such-file.toml: No such file"), "{err}");
    assert_eq!(err.matches("No such file").count(), 1, "{err}");
}

#[test]
fn certificates_that_cannot_be_used_exit_with_78() {
    let text = "listener 0.0.0.0:21050: cannot read valid/router.pem: No such file";
    let (code, out, err) = outcome(&["check", "valid/tls.toml"]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert!(err.starts_with(text) && err.contains("\nlistener 0.0.0.0:21000: cannot read"), "{err}");
    let (code, _, err) = outcome(&["run", "--config", "valid/tls.toml"]);
    assert!(code == 78 && err.contains(text), "{code}: {err}");
    assert_eq!(err.matches("No such file").count(), 1, "{err}");
}

#[test]
fn wrong_usage_exits_with_64() {
    for arguments in [&["chek"][..], &[], &["check"], &["run"], &["run", "--coordinator", "jdbc:hive2://a"]] {
        let (code, out, err) = outcome(arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(err.contains("hs2router") || err.contains("--help"), "{err}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    let (code, out, _) = outcome(&["--help"]);
    assert!(code == 0 && out.contains("Examples:"), "{out}");
    let (code, out, _) = outcome(&["--version"]);
    assert_eq!((code, out), (0, format!("hs2router {}\n", env!("CARGO_PKG_VERSION"))));
}

/// `hs2router run` on free ports, of whose log no more is read than the lines that say where it listens.
struct Running {
    process: Child,
    log: BufReader<ChildStderr>,
    listener: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    fn start(level: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hs2router.toml");
        let text = format!(
            "[log]\nlevel = \"{level}\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
             [[cluster]]\ncoordinators = [{{ host = \"127.0.0.1\", hs2 = 1, beeswax = 0, hs2_http = 0, web = 0 }}]\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_hs2router"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut listener = None;
        let admin = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
            listener = listener.or_else(|| line.contains(" listening ").then(|| field(&line, "address=")));
            if line.contains("serving /healthz") {
                break field(&line, "admin=");
            }
        };
        Self { process, log, listener: listener.unwrap(), admin }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn field(line: &str, name: &str) -> SocketAddr {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).parse().unwrap()
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_router() {
    // Their lines are many times what a pipe holds (64 KiB).
    const CONNECTIONS: u32 = 1500;
    let mut running = Running::start("debug");
    for _ in 0..CONNECTIONS {
        drop(TcpStream::connect(running.listener).unwrap());
    }
    let ended = || {
        let (status, page) = ask_at(running.admin, "GET /metrics", "");
        assert_eq!(status, 200, "{page}");
        let counts = page.lines().filter(|line| line.starts_with("hs2router_connections_closed_total{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum::<u32>()
    };
    // It still answers; and before that, some would not have been logged.
    assert!(eventually(|| ended() == CONNECTIONS), "{} connections have ended", ended());
    // It ends, too, although its last lines cannot be written.
    let id = running.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(eventually(|| running.process.try_wait().unwrap().is_some()));
    let mut rest = Vec::new();
    running.log.read_to_end(&mut rest).unwrap();
    // A line that does not fit into a page of the pipe leaves the rest of that page empty.
    assert!(rest.len() >= 40_000, "the pipe was not full: {}", rest.len());
}

#[test]
fn a_second_signal_ends_the_router_at_once_and_it_exits_with_0() {
    let mut running = Running::start("info");
    let mut client = TcpStream::connect(running.listener).unwrap();
    // Half a request: a drain waits for the other half.
    client.write_all(b"\x80\x01\x00\x01\x00\x00\x00\x0bOpenSess").unwrap();
    let admin = running.admin;
    let routed =
        format!("hs2router_connections_total{{listener=\"{}\",depth=\"route\"}} 1\n", running.listener);
    assert!(eventually(|| ask_at(admin, "GET /metrics", "").1.contains(&routed)));
    let id = running.process.id().to_string();
    let terminate = || assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    terminate();
    assert!(eventually(|| ask_at(admin, "GET /healthz", "").0 == 503));
    assert!(running.process.try_wait().unwrap().is_none(), "it waits");
    terminate();
    let mut ended = None;
    assert!(eventually(|| {
        ended = running.process.try_wait().unwrap();
        ended.is_some()
    }));
    assert_eq!(ended.unwrap().code(), Some(0));
    let mut log = String::new();
    running.log.read_to_string(&mut log).unwrap();
    assert!(log.contains("connections_cut=1"), "{log}");
}
