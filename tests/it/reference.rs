//! `docs/CONFIG.md`, `docs/METRICS.md`, `docs/RETRIES.md` and the example in `docs/ADMIN.md` are written from
//! the code and may not fall behind it. `UPDATE_DOCS=1 cargo test reference` rewrites them.

mod admin;
mod retries;
mod verbs;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use hs2router::control::config::{Absent, Config, SECTIONS, SectionInfo};
use hs2router::ids::{Depth, Service};
use hs2router::metrics::{
    AcceptError, CallOutcome, CloseCause, DESCRIPTIONS, DialOutcome, Direction, DrainWait, DrainedOutcome,
    Encryption, HandshakeOutcome, HistoryLoss, Label, LocateOutcome, MoveOutcome, PollOutcome, PortState,
    ProbeOutcome, RefusalCause, ReloadOutcome, SessionOutcome, WaitOutcome,
};

const GENERATED: &str = "<!-- Generated from the source: UPDATE_DOCS=1 cargo test reference -->\n";

const CONFIG_INTRO: &str = "# Configuration

hs2router reads one TOML file: `hs2router run --config FILE`. `hs2router check FILE` reads it, reports everything that
is wrong with it, and prints what it would do. Every key has a default, except a cluster's coordinators and the
address of a listener; a key that is not listed here is an error. The smallest file:

```toml
[[cluster]]
coordinators = [\"impala-1.example.com\", \"impala-2.example.com\"]
```

A file with a little of everything:

```toml
[router]
detect_timeout = \"1s\"
max_connections = 50000

[log]
format = \"json\"

[[listener]]
address = \"0.0.0.0:21050\"

[[listener]]
address = \"0.0.0.0:21000\"

[[cluster]]
name = \"impala\"
coordinators = [
  \"impala-1.example.com\",
  { host = \"impala-2.example.com\", weight = 2, state = \"drain\" },
  { name = \"c3\", host = \"10.0.0.3\", hs2 = 21051, beeswax = 0, hs2_http = 28001, web = 25001 },
]
```
";

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A table cell: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn config_section(out: &mut String, section: &SectionInfo) {
    writeln!(out, "\n## `{}`\n\n{}\n", section.header, joined(section.about)).unwrap();
    out.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in section.keys {
        let default = match key.absent {
            Absent::Default(value) => format!("`{value}`"),
            Absent::Derived(words) => words(),
            Absent::Required(_) => "required".to_owned(),
        };
        let kind = (key.kind)();
        let meaning = joined(key.meaning);
        writeln!(out, "| `{}` | {} | {} | {} |", key.name, cell(&kind), cell(&default), cell(&meaning))
            .unwrap();
    }
}

fn config_reference() -> String {
    let mut out = format!("{GENERATED}{CONFIG_INTRO}");
    for section in SECTIONS {
        config_section(&mut out, section);
    }
    out.push_str(
        "\n## Not supported yet\n\nThese keys are refused, so that no file seems to do what it does not.\n\n",
    );
    out.push_str("| key | what it will do |\n| --- | --- |\n");
    for section in SECTIONS {
        for (key, meaning) in section.later {
            writeln!(out, "| `{}.{key}` | {} |", section.path, cell(meaning)).unwrap();
        }
    }
    out
}

const METRICS_INTRO: &str = "# Metrics

The router exposes its metrics in the OpenMetrics text format at `/metrics` of the address in `[admin]`, by default
<http://127.0.0.1:25025/metrics>. `listener` is the address of a listener, `coordinator` the name of a coordinator in
its `cluster`, `method` the name of a Thrift method that the router knows, or `unknown`.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
";

fn label_values<L: Label>(out: &mut String, metric: &str, label: &str) {
    writeln!(out, "\n## `{label}` of `hs2router_{metric}`\n\n| value | meaning |\n| --- | --- |").unwrap();
    for (value, meaning) in L::ALL {
        writeln!(out, "| `{}` | {} |", value.word(), cell(&joined(meaning))).unwrap();
    }
}

fn metrics_reference() -> String {
    let mut out = format!("{GENERATED}{METRICS_INTRO}");
    for metric in DESCRIPTIONS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        writeln!(out, "| `hs2router_{}` | {} | {labels} | {}. |", metric.name, metric.kind, metric.help)
            .unwrap();
    }
    label_values::<Depth>(&mut out, "connections_total", "depth");
    label_values::<Encryption>(&mut out, "connections_tls_total", "tls");
    label_values::<HandshakeOutcome>(&mut out, "tls_handshakes_total", "outcome");
    label_values::<RefusalCause>(&mut out, "connections_refused_total", "cause");
    label_values::<CloseCause>(&mut out, "connections_closed_total", "cause");
    label_values::<ReloadOutcome>(&mut out, "certificate_reloads_total", "outcome");
    label_values::<ReloadOutcome>(&mut out, "cluster_certificate_reloads_total", "outcome");
    label_values::<AcceptError>(&mut out, "accept_errors_total", "class");
    label_values::<SessionOutcome>(&mut out, "sessions_total", "outcome");
    label_values::<MoveOutcome>(&mut out, "session_moves_total", "outcome");
    label_values::<DrainedOutcome>(&mut out, "drained_operations_total", "outcome");
    label_values::<DrainWait>(&mut out, "drain_waits_for", "what");
    label_values::<CallOutcome>(&mut out, "calls_total", "outcome");
    label_values::<WaitOutcome>(&mut out, "queue_waits_total", "outcome");
    label_values::<LocateOutcome>(&mut out, "handle_lookups_total", "outcome");
    label_values::<DialOutcome>(&mut out, "dials_total", "outcome");
    label_values::<ProbeOutcome>(&mut out, "probes_total", "outcome");
    label_values::<PollOutcome>(&mut out, "load_polls_total", "outcome");
    label_values::<PortState>(&mut out, "coordinator_state", "state");
    label_values::<HistoryLoss>(&mut out, "history_lost_total", "cause");
    label_values::<Direction>(&mut out, "bytes_total", "direction");
    out
}

/// Compares a generated document with the file in `docs/`, or rewrites the file when asked to.
fn expect_current(name: &str, generated: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, generated).unwrap();
    }
    let stored = fs::read_to_string(&file).unwrap_or_default();
    assert!(stored == generated, "docs/{name} is out of date: UPDATE_DOCS=1 cargo test reference");
}

#[test]
fn the_config_reference_is_current() {
    expect_current("CONFIG.md", &config_reference());
}

/// What the reference says of a coordinator's port: `impala 21050, hive and spark 10000`.
fn documented_port(text: &str, key: &str, flavor: &str) -> Option<u16> {
    let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` | port |"))).unwrap();
    let default = row.split('|').nth(3).unwrap();
    let value = default.split(',').find(|value| value.split(' ').any(|word| word == flavor))?;
    value.rsplit(' ').find(|word| !word.is_empty()).unwrap().parse().ok().filter(|port| *port > 0)
}

#[test]
fn the_ports_in_the_reference_are_those_that_a_coordinator_has() {
    let text = config_reference();
    for flavor in ["impala", "hive", "spark"] {
        let config = format!("[[cluster]]\nflavor = \"{flavor}\"\ncoordinators = [\"a\"]");
        let ports = Config::parse("test", &config).unwrap().clusters[0].coordinators[0].ports;
        let [hs2, beeswax, hs2_http] = Service::ALL.map(|service| ports.of(service));
        for (key, port) in [("hs2", hs2), ("beeswax", beeswax), ("hs2_http", hs2_http), ("web", ports.web)] {
            assert_eq!(documented_port(&text, key, flavor), port, "{flavor}, {key}");
        }
    }
}

#[test]
fn the_metrics_reference_is_current() {
    expect_current("METRICS.md", &metrics_reference());
}

#[test]
fn the_retry_reference_is_current() {
    expect_current("RETRIES.md", &retries::reference());
}
