//! What an operator does from a shell.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use serde_json::Value;

use super::coordinator::{find, path};
use super::port::{Port, encoded};
use super::wait::{self, Awaited, DRAINED, EJECTED, Style, Until, wait_until_done};
use crate::cli::{
    CancelArgs, CoordinatorArgs, CutArgs, DrainArgs, EjectArgs, LogLevelArgs, Named, Place, RotationArgs,
    SessionArgs, WaitArgs, WeightArgs,
};
use crate::control::config::Words as _;

/// How often it is looked whether what was waited for has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// `hs2router drain`
///
/// # Errors
/// When the router does not answer or has no such coordinator; with `--wait`, [`wait::Unfinished`].
pub fn drain(args: &DrainArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let deadline = args.deadline.map(|deadline| format!("?deadline={deadline}")).unwrap_or_default();
    let keeping = Keeping { verb: "drain", query: deadline, done: "drained", awaited: DRAINED };
    keep_away(&args.of, &args.waiting, &keeping, out)
}

/// `hs2router eject`
///
/// # Errors
/// When the router does not answer or has no such coordinator; with `--wait`, [`wait::Unfinished`].
pub fn eject(args: &EjectArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let keeping = Keeping { verb: "eject", query: String::new(), done: "ejected", awaited: EJECTED };
    keep_away(&args.of, &args.waiting, &keeping, out)
}

/// `hs2router resume`
///
/// # Errors
/// When the router does not answer or has no such coordinator.
pub fn resume(args: &CoordinatorArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let CoordinatorArgs { coordinator, admin } = args;
    Port::of(admin)?.post(&format!("{}/resume", path(coordinator)))?;
    writeln!(out, "{coordinator} gets new sessions again")?;
    Ok(())
}

/// `hs2router restore`
///
/// # Errors
/// When the router does not answer, has no such coordinator, or nobody has ejected it.
pub fn restore(args: &CoordinatorArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let CoordinatorArgs { coordinator, admin } = args;
    Port::of(admin)?.post(&format!("{}/restore", path(coordinator)))?;
    writeln!(out, "{coordinator} is ejected no more")?;
    Ok(())
}

/// `hs2router weight`
///
/// # Errors
/// When the router does not answer or has no such coordinator.
pub fn weight(args: &WeightArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let WeightArgs { of: CoordinatorArgs { coordinator, admin }, weight } = args;
    Port::of(admin)?.post(&format!("{}/weight?weight={weight}", path(coordinator)))?;
    writeln!(out, "{coordinator} has weight {weight}")?;
    Ok(())
}

/// How new sessions are kept away from a coordinator.
struct Keeping {
    verb: &'static str,
    /// The parameters, with the question mark.
    query: String,
    /// What the coordinator is then, in words.
    done: &'static str,
    awaited: Awaited,
}

/// Keeps new sessions away from a coordinator, and waits until it is empty if that is wanted.
fn keep_away(
    of: &CoordinatorArgs,
    waiting: &WaitArgs,
    keeping: &Keeping,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Keeping { verb, query, done, awaited } = keeping;
    let (port, named) = (Port::of(&of.admin)?, &of.coordinator);
    if waiting.dry_run {
        let found = find(&port, named)?;
        writeln!(out, "would {verb} {named}: {}", wait::left(&found).as_words())?;
        return Ok(());
    }
    let found = port.post(&format!("{}/{verb}{query}", path(named)))?;
    writeln!(out, "{named} is {done}: {}", wait::left(&found).as_words())?;
    if waiting.wait {
        await_all(&port, named, found, *awaited, waiting)?;
        writeln!(out, "{named} is empty")?;
    }
    Ok(())
}

/// Waits for what is awaited of a coordinator; progress goes to standard error.
pub(super) fn await_all(
    port: &Port,
    named: &Named,
    found: Value,
    awaited: Awaited,
    waiting: &WaitArgs,
) -> anyhow::Result<()> {
    await_by(found, awaited, waiting, || find(port, named))
}

/// Waits until nothing awaited is left in what `look` returns. Progress goes to standard error.
pub(super) fn await_by(
    found: Value,
    awaited: Awaited,
    waiting: &WaitArgs,
    look: impl Fn() -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    let mut progress = io::stderr();
    let style = if progress.is_terminal() { Style::Bar } else { Style::Lines };
    let look_again = || {
        std::thread::sleep(LOOK_INTERVAL);
        look()
    };
    let until = Until { awaited, timeout: waiting.timeout.map(|timeout| timeout.0) };
    wait_until_done(found, &until, look_again, style, &mut progress)
}

/// `hs2router close`
///
/// # Errors
/// When the router does not answer, has no such session, or cannot close it.
pub fn close(args: &SessionArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let SessionArgs { session, admin } = args;
    Port::of(admin)?.post(&format!("/api/v1/sessions/{}/close", encoded(session)))?;
    writeln!(out, "{session} is closed")?;
    Ok(())
}

/// `hs2router cut`
///
/// # Errors
/// When the router does not answer, or has no such connection.
pub fn cut(args: &CutArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let CutArgs { connection, admin } = args;
    let done = Port::of(admin)?.post(&format!("/api/v1/connections/{}/cut", encoded(connection)))?;
    let client = done.get("client").and_then(Value::as_str).unwrap_or_default();
    writeln!(
        out,
        "{connection} is cut{}{client}",
        if client.is_empty() { "" } else { ", which came from " }
    )?;
    Ok(())
}

/// `hs2router cancel`
///
/// # Errors
/// When the router does not answer, has no such operation, or cannot cancel it.
pub fn cancel(args: &CancelArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let CancelArgs { operation, admin } = args;
    let done = Port::of(admin)?.post(&format!("/api/v1/operations/{}/cancel", encoded(operation)))?;
    let coordinator = done.get("coordinator").and_then(Value::as_str).unwrap_or_default();
    writeln!(out, "{operation} is cancelled on {coordinator}")?;
    Ok(())
}

/// `hs2router rotation`
///
/// # Errors
/// When the router does not answer, or `out` cannot be written to.
pub fn rotation(args: &RotationArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let port = Port::of(&args.admin)?;
    let now = match args.place {
        None => port.get("/api/v1/rotation")?,
        Some(Place::In) => port.put("/api/v1/rotation")?,
        Some(Place::Out) => port.delete("/api/v1/rotation")?,
    };
    let text = |name: &str| now.get(name).and_then(Value::as_str).unwrap_or_default();
    let (place, readyz) = (text("rotation"), text("readyz"));
    let status = if readyz == "ok" { 200 } else { 503 };
    let of = if place == "out" { " of" } else { "" };
    writeln!(out, "{place}{of} rotation: /readyz answers {status} {readyz}")?;
    Ok(())
}

/// `hs2router log-level`
///
/// # Errors
/// When the router does not answer or does not write its log itself, or `out` cannot be written to.
pub fn log_level(args: &LogLevelArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let port = Port::of(&args.admin)?;
    let now = match args.level {
        None => port.get("/api/v1/log-level")?,
        Some(level) => port.put(&format!("/api/v1/log-level?level={}", level.word()))?,
    };
    let text = |name: &str| now.get(name).and_then(Value::as_str).unwrap_or_default();
    let (level, configured) = (text("level"), text("configured"));
    let from = if level == configured {
        "as in the config".to_owned()
    } else {
        format!("in the config {configured}")
    };
    writeln!(out, "the log has events from {level} on ({from})")?;
    Ok(())
}
