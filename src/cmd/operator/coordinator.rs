//! A coordinator as a command names it, and as the router shows it.

use serde_json::Value;

use super::port::{Port, encoded};
use super::rows_of;
use crate::cli::Named;

/// Why a coordinator cannot be shown.
#[derive(Debug, thiserror::Error)]
enum NotFound {
    #[error("the router has no coordinator {0}; hs2router status lists them")]
    Nowhere(Named),
    #[error("several clusters have a coordinator {0}: write CLUSTER/{0}")]
    Several(Named),
}

/// The path of a coordinator, to which a verb is added.
pub(super) fn path(Named { cluster, name }: &Named) -> String {
    let cluster = cluster.as_deref().map(|cluster| format!("/{}", encoded(cluster))).unwrap_or_default();
    format!("/api/v1/coordinators{cluster}/{}", encoded(name))
}

/// The coordinator as the router shows it now.
pub(super) fn find(port: &Port, named: &Named) -> anyhow::Result<Value> {
    let fleet = port.get("/api/v1/coordinators")?;
    let has = |row: &Value, field: &str, value: &str| row.get(field).and_then(Value::as_str) == Some(value);
    let is_named = |row: &&Value| {
        has(row, "name", &named.name)
            && named.cluster.as_deref().is_none_or(|cluster| has(row, "cluster", cluster))
    };
    let mut found = rows_of(&fleet).iter().filter(is_named);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => Err(NotFound::Nowhere(named.clone()).into()),
        _ => Err(NotFound::Several(named.clone()).into()),
    }
}
