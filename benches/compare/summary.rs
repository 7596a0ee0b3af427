//! The tables over all work: what is aimed at, how costs grow, what is asked of the kernel.

use std::fmt::Write as _;

use crate::peers::{BASELINE, Kind, Peer};
use crate::report::{Record, Spread, Table, spread};
use crate::work::{CURVES, Suite, Unit, Work};

/// The peer whose targets these are.
const ROUTER: &str = "router";
/// Peers that read nothing: with a runtime, and without.
const FLOORS: [&str; 2] = ["blind", "bare"];

/// What a target is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// CPU, over the baseline's.
    Cpu,
    /// 99th percentile of the latency, over the baseline's.
    P99,
    /// KiB an idle session, as they are.
    IdleKib,
    /// The same, over the baseline's.
    Idle,
}

struct Target {
    what: &'static str,
    work: &'static str,
    measure: Measure,
    most: f64,
}

const fn target(what: &'static str, work: &'static str, measure: Measure, most: f64) -> Target {
    Target { what, work, measure, most }
}

/// What is aimed at.
const TARGETS: &[Target] = &[
    target("CPU of a small call, 16 connections", "poll-16", Measure::Cpu, 0.90),
    target("CPU of a small call, 256 connections", "poll-256", Measure::Cpu, 0.90),
    target("CPU of a GB in 64 KiB fetches of i64", "fetch-64k-numbers", Measure::Cpu, 0.70),
    target("CPU of a GB in 64 KiB fetches of strings", "fetch-64k-strings", Measure::Cpu, 0.85),
    target("CPU of a GB in 16 MiB fetches of i64", "fetch-16m-numbers", Measure::Cpu, 0.62),
    target("CPU of a GB in 16 MiB fetches of strings", "fetch-16m-strings", Measure::Cpu, 0.85),
    target("CPU of a whole session", "session", Measure::Cpu, 1.0),
    target("p99 of a small call, 256 connections", "poll-256", Measure::P99, 1.0),
    target("KiB of resident memory an idle session", "idle-9000", Measure::IdleKib, 4.0),
    target("CPU of a small call, 16 connections", "tls-poll-16", Measure::Cpu, 1.0),
    target("CPU of a GB in 64 KiB fetches of i64", "tls-fetch-64k-numbers", Measure::Cpu, 0.80),
    target("CPU of a GB in 64 KiB fetches of strings", "tls-fetch-64k-strings", Measure::Cpu, 0.80),
    target("CPU of a GB in 16 MiB fetches of i64", "tls-fetch-16m-numbers", Measure::Cpu, 0.80),
    target("CPU of a GB in 16 MiB fetches of strings", "tls-fetch-16m-strings", Measure::Cpu, 0.80),
    target("CPU of a whole session, full handshake", "tls-session", Measure::Cpu, 0.80),
    target("CPU of a whole session, resumed", "tls-session-resumed", Measure::Cpu, 0.60),
    target("resident memory of an idle session", "tls-idle-1000", Measure::Idle, 0.60),
    target("CPU of a small call, 16 connections", "http-poll-16", Measure::Cpu, 0.90),
    target("CPU of a small call, 256 connections", "http-poll-256", Measure::Cpu, 0.90),
    target("CPU of a small call, each over a new connection", "http-poll-anew-16", Measure::Cpu, 0.90),
    target("CPU of a GB in 64 KiB fetches of i64", "http-fetch-64k-numbers", Measure::Cpu, 0.80),
    target("CPU of a GB in 64 KiB fetches of strings", "http-fetch-64k-strings", Measure::Cpu, 0.80),
    target("CPU of a GB in 16 MiB fetches of i64", "http-fetch-16m-numbers", Measure::Cpu, 0.80),
    target("CPU of a GB in 16 MiB fetches of strings", "http-fetch-16m-strings", Measure::Cpu, 0.80),
];

/// The tables over all work.
pub(crate) fn markdown(works: &[Work], peers: &[Peer], records: &[Record]) -> String {
    let names: Vec<String> = peers.iter().map(|peer| peer.name.clone()).collect();
    [
        targets(works, records),
        builds(works, peers, records),
        growth(works, &names, records),
        syscalls(works, &names, records),
    ]
    .concat()
}

fn table<'a>(works: &'a [Work], records: &'a [Record], name: &str) -> Option<Table<'a>> {
    let work = works.iter().find(|work| work.name == name)?;
    let records: Vec<_> = records.iter().filter(|record| record.work == name).collect();
    (!records.is_empty()).then_some(Table { work, records })
}

fn measured(table: &Table<'_>, peer: &str, measure: Measure) -> Option<Spread> {
    match measure {
        Measure::Cpu => table.ratios(peer, |record| record.cpu_per(table.work.unit())),
        Measure::P99 => table.ratios(peer, |record| record.p99_us),
        Measure::IdleKib => spread(table.of(peer).filter_map(|record| record.idle_session_kib)),
        Measure::Idle => table.ratios(peer, |record| record.idle_session_kib.unwrap_or(f64::NAN)),
    }
}

fn targets(works: &[Work], records: &[Record]) -> String {
    let (said, beside) = match works.first().map(Work::suite) {
        Some(Suite::Tls) => (", memory too.", &["nginx"][..]),
        Some(Suite::Http) => (". `blind` and `bare` are relays that read nothing.", &FLOORS[..]),
        _ => ("; memory as it is. `blind` and `bare` are relays that read nothing.", &FLOORS[..]),
    };
    let mut text = format!(
        "\n### Targets\n\nOver {BASELINE}'s of the same round{said}\n\n\
         | what | work | {ROUTER} | {} | target |\n|{}\n",
        beside.join(" | "),
        " --- |".repeat(4 + beside.len())
    );
    let before = text.len();
    for Target { what, work, measure, most } in TARGETS {
        let Some(table) = table(works, records, work) else { continue };
        let shown = |peer| Spread::shown(measured(&table, peer, *measure).as_ref());
        let others: Vec<String> = beside.iter().copied().map(shown).collect();
        let (router, others) = (shown(ROUTER), others.join(" | "));
        let _infallible = writeln!(text, "| {what} | `{work}` | {router} | {others} | ≤ {most:.2} |");
    }
    if text.len() == before { String::new() } else { text }
}

/// The router beside other builds of it.
fn builds(works: &[Work], peers: &[Peer], records: &[Record]) -> String {
    let mut text = String::new();
    let others = peers.iter().filter(|peer| matches!(peer.kind, Kind::Router(_)) && peer.name != ROUTER);
    for build in others.map(|peer| peer.name.as_str()) {
        let _infallible = write!(
            text,
            "\n### {ROUTER} beside {build}\n\nMedians, and ratios within a round: median, in parentheses least and \
             greatest.\n\n| work | what | {ROUTER} | {build} | × {build} |\n|{}\n",
            " --- |".repeat(5)
        );
        for table in works.iter().filter_map(|work| table(works, records, work.name)) {
            let unit = table.work.unit();
            text += &build_row(&table, build, unit.title(), |record| record.cpu_per(unit));
            if unit == Unit::Session {
                text += &build_row(&table, build, "sessions/s", Record::sessions_per_second);
            }
            text += &build_row(&table, build, "p99 µs", |record| record.p99_us);
            if table.work.idle > 0 {
                let grown = |record: &Record| record.idle_session_kib.unwrap_or(f64::NAN);
                text += &build_row(&table, build, "KiB/idle session", grown);
            }
        }
    }
    text
}

fn build_row(table: &Table<'_>, build: &str, what: &str, value: impl Fn(&Record) -> f64) -> String {
    let shown = |peer| match table.median(peer, &value) {
        Some(median) if median >= 100.0 => format!("{median:.0}"),
        Some(median) => format!("{median:.3}"),
        None => "–".to_owned(),
    };
    let (router, other) = (shown(ROUTER), shown(build));
    let ratio = Spread::shown(table.ratios_over(build, ROUTER, &value).as_ref());
    format!("| `{}` | {what} | {router} | {other} | {ratio} |\n", table.work.name)
}

fn growth(works: &[Work], peers: &[String], records: &[Record]) -> String {
    let mut text = String::new();
    for (what, names) in CURVES {
        let tables: Vec<Table<'_>> = names.iter().filter_map(|name| table(works, records, name)).collect();
        let Some(first) = tables.first().filter(|_| tables.len() > 1) else { continue };
        let there: Vec<&String> = peers
            .iter()
            .filter(|peer| *peer != "direct" && tables.iter().all(|table| table.of(peer).next().is_some()))
            .collect();
        let unit = first.work.unit();
        let heads: Vec<String> =
            there.iter().map(|peer| format!("{peer}: {} | × the first", unit.title())).collect();
        let _infallible = write!(
            text,
            "\n### Growth with the number of {what}\n\n| work | {} |\n|{}\n",
            heads.join(" | "),
            " --- |".repeat(1 + 2 * there.len())
        );
        for table in &tables {
            let _infallible = write!(text, "| `{}` |", table.work.name);
            for peer in &there {
                let cpu = |table: &Table<'_>| table.median(peer, |record| record.cpu_per(unit));
                let ratio = cpu(table).zip(cpu(first)).map(|(now, least)| now / least);
                let shown =
                    |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
                let _infallible = write!(text, " {} | {} |", shown(cpu(table)), shown(ratio));
            }
            text.push('\n');
        }
    }
    text
}

fn syscalls(works: &[Work], peers: &[String], records: &[Record]) -> String {
    let counted = |work: &Work, peer: &str| {
        let mut records = records.iter().filter(|record| record.work == work.name && record.peer == peer);
        records.find_map(|record| record.syscalls.as_ref())
    };
    let there: Vec<&String> =
        peers.iter().filter(|peer| works.iter().any(|work| counted(work, peer).is_some())).collect();
    if there.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = there.iter().map(|peer| peer.as_str()).collect();
    let mut text = format!(
        "\n### System calls of a call or a session\n\n| work | of a | {} |\n|{}\n",
        names.join(" | "),
        " --- |".repeat(2 + there.len())
    );
    for work in works {
        let counts: Vec<String> = there
            .iter()
            .map(|peer| {
                counted(work, peer).map_or_else(|| "–".to_owned(), |counted| format!("{:.2}", counted.each))
            })
            .collect();
        if counts.iter().any(|count| count != "–") {
            let of = if work.unit() == Unit::Session { "session" } else { "call" };
            let _infallible = writeln!(text, "| `{}` | {of} | {} |", work.name, counts.join(" | "));
        }
    }
    text
}
