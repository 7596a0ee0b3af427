//! What an operator does from a shell, besides drains.

use std::io::Write;

use serde_json::Value;

use super::port::Port;
use crate::cli::{Place, RotationArgs};

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
