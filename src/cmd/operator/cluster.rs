//! Clusters are paused and resumed by order of an operator.

use std::io::Write;

use serde_json::{Value, json};

use super::port::{Port, encoded};
use super::rows_of;
use super::verbs::await_by;
use super::wait::{self, PAUSED};
use crate::cli::{ClusterArgs, PauseClusterArgs};

/// The router has no such cluster.
#[derive(Debug, thiserror::Error)]
#[error("the router has no cluster {0}; hs2router status lists them")]
struct Nowhere(String);

/// `hs2router pause-cluster`
///
/// # Errors
/// When the router does not answer or has no such cluster; with `--wait`, [`wait::Unfinished`].
pub fn pause(args: &PauseClusterArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let PauseClusterArgs { of: ClusterArgs { cluster, admin }, lasts, waiting } = args;
    let port = Port::of(admin)?;
    if waiting.dry_run {
        let open = wait::left(&open_in(&port, cluster)?).as_words();
        writeln!(out, "would pause {cluster}: {open}")?;
        return Ok(());
    }
    let lasts = lasts.map(|lasts| format!("?for={lasts}")).unwrap_or_default();
    port.post(&format!("/api/v1/clusters/{}/pause{lasts}", encoded(cluster)))?;
    let found = open_in(&port, cluster)?;
    writeln!(out, "{cluster} is paused: {}", wait::left(&found).as_words())?;
    if found.get("opaque_connections").and_then(Value::as_u64) > Some(0) {
        writeln!(out, "some connections are passed on unread: what their clients ask for does not wait")?;
    }
    if waiting.wait {
        await_by(found, PAUSED, waiting, || open_in(&port, cluster))?;
        writeln!(out, "no operation is open in {cluster}")?;
    }
    Ok(())
}

/// `hs2router resume-cluster`
///
/// # Errors
/// When the router does not answer or has no such cluster.
pub fn resume(args: &ClusterArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ClusterArgs { cluster, admin } = args;
    Port::of(admin)?.post(&format!("/api/v1/clusters/{}/resume", encoded(cluster)))?;
    writeln!(out, "{cluster} takes new sessions and statements")?;
    Ok(())
}

/// Says which clusters are paused.
pub(super) fn tell_paused(port: &Port, out: &mut impl Write) -> anyhow::Result<()> {
    let clusters = port.get("/api/v1/clusters")?;
    for cluster in rows_of(&clusters) {
        let paused_for = cluster.get("paused_for").and_then(Value::as_f64);
        let name = cluster.get("name").and_then(Value::as_str);
        if let Some((seconds, name)) = paused_for.zip(name) {
            let waiting = cluster.get("waiting").and_then(Value::as_u64).unwrap_or_default();
            writeln!(
                out,
                "an operator paused {name} {seconds:.0} s ago, and {waiting} wait; hs2router resume-cluster {name}"
            )?;
        }
    }
    Ok(())
}

/// What is open in a cluster: the sums of what the API shows of its coordinators, and whether it is paused.
fn open_in(port: &Port, cluster: &str) -> anyhow::Result<Value> {
    let clusters = port.get("/api/v1/clusters")?;
    let has = |row: &&Value, field: &str| row.get(field).and_then(Value::as_str) == Some(cluster);
    let found = rows_of(&clusters).iter().find(|row| has(row, "name"));
    let found = found.ok_or_else(|| Nowhere(cluster.to_owned()))?;
    let fleet = port.get("/api/v1/coordinators")?;
    let count = |field: &str| -> u64 {
        let own = rows_of(&fleet).iter().filter(|row| has(row, "cluster"));
        own.filter_map(|row| row.get(field)?.as_u64()).sum()
    };
    Ok(json!({
        "paused_for": found.get("paused_for"),
        "under_way": found.get("under_way"),
        "sessions": count("sessions"),
        "open_operations": count("open_operations"),
        "opens_in_progress": count("opens_in_progress"),
        "opaque_connections": count("opaque_connections"),
    }))
}
