//! What an operator sees and does from a shell: `hs2router status`, `sessions`, `connections`, `operations`, `waiting`,
//! `events`, `history`, `config` and the [`verbs`]. They ask the admin port of a router that runs, and say what it says under the same
//! names.

use std::io::{self, Write};

use serde_json::Value;

use self::port::{Port, encoded};
use self::table::{Column, Table};
use crate::cli::{AdminArgs, HistoryArgs, ListArgs, RowsArgs, SessionsArgs, StatusArgs};

pub mod cluster;
mod coordinator;
pub mod moves;
pub mod port;
mod table;
pub mod verbs;
pub mod wait;

/// What is shown of a coordinator in a line, by the names of the API.
const STATUS: [Column; 9] = [
    Column::text("cluster"),
    Column::text("name"),
    Column::text("state"),
    Column::of("health", health),
    Column::number("sessions"),
    Column::number("running"),
    Column::number("open_operations"),
    Column::of("links", links),
    Column::of("passed_over", passed_over),
];

/// What is shown of a session.
const SESSION: [Column; 10] = [
    Column::text("session"),
    Column::text("user"),
    Column::text("acts_as"),
    Column::text("client"),
    Column::text("cluster"),
    Column::text("coordinator"),
    Column::seconds("age"),
    Column::seconds("idle"),
    Column::number("open_operations"),
    Column::text("pinned"),
];

/// What is shown of a connection.
const CONNECTION: [Column; 11] = [
    Column::text("connection"),
    Column::text("user"),
    Column::text("acts_as"),
    Column::text("client"),
    Column::text("listener"),
    Column::text("cluster"),
    Column::text("depth"),
    Column::text("transport"),
    Column::text("tls"),
    Column::text("coordinator"),
    Column::seconds("age"),
];

/// What is shown of an operation.
const OPERATION: [Column; 9] = [
    Column::text("operation"),
    Column::text("user"),
    Column::text("acts_as"),
    Column::text("client"),
    Column::text("cluster"),
    Column::text("coordinator"),
    Column::text("kind"),
    Column::text("state"),
    Column::seconds("age"),
];

/// What is shown of somebody who waits.
const WAIT: [Column; 9] = [
    Column::seconds("age"),
    Column::text("waits_for"),
    Column::number("place"),
    Column::text("user"),
    Column::text("acts_as"),
    Column::text("client"),
    Column::text("cluster"),
    Column::text("coordinator"),
    Column::text("service"),
];

/// What is shown of an event.
const EVENT: [Column; 5] = [
    Column::seconds("age"),
    Column::text("level"),
    Column::text("event"),
    Column::of("fields", fields),
    Column::text("connection"),
];

/// What is shown of a record of the history.
const RECORD: [Column; 10] = [
    Column::text("end"),
    Column::text("kind"),
    Column::text("outcome"),
    Column::seconds("lasted"),
    Column::text("user"),
    Column::text("acts_as"),
    Column::text("client"),
    Column::text("cluster"),
    Column::text("coordinator"),
    Column::of("about", about),
];

/// A list of the API.
struct List {
    /// Its name in the path and in the answer.
    name: &'static str,
    columns: &'static [Column],
}

const SESSIONS: List = List { name: "sessions", columns: &SESSION };
const CONNECTIONS: List = List { name: "connections", columns: &CONNECTION };
const OPERATIONS: List = List { name: "operations", columns: &OPERATION };
const WAITING: List = List { name: "waiting", columns: &WAIT };
const EVENTS: List = List { name: "events", columns: &EVENT };
const HISTORY: List = List { name: "history", columns: &RECORD };

/// `hs2router status`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn status(args: &StatusArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let port = Port::of(&args.admin)?;
    let fleet = port.get("/api/v1/coordinators")?;
    if !args.json {
        cluster::tell_paused(&port, &mut io::stderr())?;
    }
    show(&fleet, &Table { columns: &STATUS, rows: rows_of(&fleet) }, args.json, out)
}

/// `hs2router sessions`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn sessions(args: &SessionsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut target = target(&SESSIONS, &args.list);
    if let Some(order) = args.sort {
        target.push_str("&sort=");
        target.push_str(order.as_str());
    }
    list(&args.admin, &target, &SESSIONS, args.list.json, out)
}

/// `hs2router connections`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn connections(args: &RowsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    list(&args.admin, &target(&CONNECTIONS, &args.list), &CONNECTIONS, args.list.json, out)
}

/// `hs2router operations`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn operations(args: &RowsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    list(&args.admin, &target(&OPERATIONS, &args.list), &OPERATIONS, args.list.json, out)
}

/// `hs2router waiting`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn waiting(args: &RowsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    list(&args.admin, &target(&WAITING, &args.list), &WAITING, args.list.json, out)
}

/// `hs2router events`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn events(args: &RowsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    list(&args.admin, &target(&EVENTS, &args.list), &EVENTS, args.list.json, out)
}

/// `hs2router history`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn history(args: &HistoryArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut target = target(&HISTORY, &args.list);
    let kind = args.kind.map(|kind| ("kind", kind.as_str()));
    let sort = args.sort.map(|sort| ("sort", sort.as_str()));
    for (name, value) in kind.into_iter().chain(sort) {
        target.extend(["&", name, "=", value]);
    }
    list(&args.admin, &target, &HISTORY, args.list.json, out)
}

/// `hs2router config`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn config(args: &StatusArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Port::of(&args.admin)?.get("/api/v1/config")?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&config)?)?;
    } else {
        write!(out, "{}", toml::to_string(&config)?)?;
    }
    Ok(())
}

fn target(list: &List, args: &ListArgs) -> String {
    let filter = args.words.join(" ");
    format!("/api/v1/{}?limit={}&filter={}", list.name, args.limit, encoded(&filter))
}

fn list(admin: &AdminArgs, target: &str, of: &List, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let List { name, columns } = *of;
    let answer = Port::of(admin)?.get(target)?;
    let rows = answer.get(name).map(rows_of).unwrap_or_default();
    let matching = answer.get("matching").and_then(Value::as_u64).unwrap_or_default();
    if !json && rows.len() as u64 != matching {
        // Not among the lines that a program may read.
        writeln!(io::stderr(), "{} of {matching} {name}; --limit shows more", rows.len())?;
    }
    show(&answer, &Table { columns, rows }, json, out)
}

fn show(answer: &Value, table: &Table<'_>, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(answer)?)?;
    } else {
        write!(out, "{table}")?;
    }
    Ok(())
}

fn rows_of(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn ports(coordinator: &Value) -> &[Value] {
    coordinator.get("ports").map(rows_of).unwrap_or_default()
}

/// The fields of an event, as the log writes them.
fn fields(event: &Value) -> String {
    let text = |field: &Value, of: &str| field.get(of).and_then(Value::as_str).map(str::to_owned);
    let fields = event.get("fields").map(rows_of).unwrap_or_default();
    let shown =
        fields.iter().filter_map(|field| Some([text(field, "name")?, text(field, "value")?].join("=")));
    shown.collect::<Vec<_>>().join(" ")
}

/// What a record is about: the verb with its parameters, the operation, or the session.
fn about(record: &Value) -> String {
    let text = |field: &str| record.get(field).and_then(Value::as_str);
    let verb = text("verb").into_iter().chain(text("query"));
    let about = verb.chain(text("operation").or_else(|| text("session")));
    about.collect::<Vec<_>>().join(" ")
}

/// The health of the ports, each that there is once.
fn health(coordinator: &Value) -> String {
    distinct(ports(coordinator).iter().filter_map(|port| port.get("health")?.as_str()))
}

/// Why a coordinator gets no new session, or is only picked late.
fn passed_over(coordinator: &Value) -> String {
    let reasons = ports(coordinator).iter().filter_map(|port| port.get("passed_over")).flat_map(rows_of);
    distinct(reasons.filter_map(Value::as_str))
}

/// The open links of all ports.
fn links(coordinator: &Value) -> String {
    let open = ports(coordinator).iter().filter_map(|port| port.get("links")?.get("open")?.as_u64());
    open.sum::<u64>().to_string()
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut found = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found.join(", ")
}
