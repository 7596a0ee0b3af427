//! Sessions move by order of an operator.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;

use super::coordinator::{find, path};
use super::port::{Port, encoded};
use super::rows_of;
use super::verbs::await_all;
use super::wait::{self, MOVED};
use crate::cli::{CoordinatorArgs, MoveAllArgs, MoveArgs, SessionArgs};

/// The most rows that the API shows.
const MOST_ROWS: usize = 5000;

/// `hs2router move`
///
/// # Errors
/// When the router does not answer, has no such session, or the session stays.
pub fn move_one(args: &MoveArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let MoveArgs { of: SessionArgs { session, admin }, to } = args;
    let target = format!("/api/v1/sessions/{}/move{}", encoded(session), query(to.as_deref()));
    let done = Port::of(admin)?.post(&target)?;
    let coordinator = done.get("coordinator").and_then(Value::as_str).unwrap_or_default();
    writeln!(out, "{session} is on {coordinator} now")?;
    Ok(())
}

/// `hs2router move-all`
///
/// # Errors
/// When the router does not answer or has no such coordinator; with `--wait`, [`wait::Unfinished`].
pub fn move_all(args: &MoveAllArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let MoveAllArgs { of: CoordinatorArgs { coordinator: named, admin }, to, waiting } = args;
    let port = Port::of(admin)?;
    if waiting.dry_run {
        let found = find(&port, named)?;
        let (moving, staying) = outlook(&port, &found)?;
        writeln!(out, "would move {moving} of the sessions of {named}{}", Reasons(&staying))?;
        return Ok(());
    }
    let found = port.post(&format!("{}/move-all{}", path(named), query(to.as_deref())))?;
    let ordered = found.get("ordered_to_move").and_then(Value::as_u64).unwrap_or_default();
    writeln!(out, "{ordered} of the sessions of {named} are to move")?;
    if waiting.wait {
        await_all(&port, named, found, MOVED, waiting)?;
        let found = find(&port, named)?;
        let (_, staying) = outlook(&port, &found)?;
        writeln!(out, "left on {named}: {}{}", wait::left(&found).as_words(), Reasons(&staying))?;
    }
    Ok(())
}

fn query(to: Option<&str>) -> String {
    to.map(|to| format!("?to={}", encoded(to))).unwrap_or_default()
}

/// How many sessions of a coordinator could move now, and how many others stay, by the reason.
fn outlook(port: &Port, coordinator: &Value) -> anyhow::Result<(usize, BTreeMap<String, usize>)> {
    let text = |row: &Value, field: &str| row.get(field).and_then(Value::as_str).map(str::to_owned);
    let name = text(coordinator, "name").unwrap_or_default();
    let filter = encoded(&name).to_string();
    let answer = port.get(&format!("/api/v1/sessions?limit={MOST_ROWS}&filter={filter}"))?;
    let (mut moving, mut staying) = (0, BTreeMap::new());
    let rows = answer.get("sessions").map(rows_of).unwrap_or_default();
    for row in rows.iter().filter(|row| {
        ["name", "cluster"].map(|field| text(coordinator, field))
            == ["coordinator", "cluster"].map(|field| text(row, field))
    }) {
        match text(row, "pinned") {
            None => moving += 1,
            Some(reason) => *staying.entry(reason).or_default() += 1,
        }
    }
    Ok((moving, staying))
}

/// Why sessions stay: "; 2 stay: an operation is open".
struct Reasons<'a>(&'a BTreeMap<String, usize>);

impl std::fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(reason, count)| write!(f, "; {count} stay: {reason}"))
    }
}
