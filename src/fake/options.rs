//! A selection of Impala's query options with their defaults (Impala: `query-options.h`, `Query.thrift`).

use std::collections::BTreeMap;

use super::rows::{Table, Type, Value};
use crate::idl::beeswax::{ConfigVariable, TQueryOptionLevel};

/// The options that a `SET` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// `SET`: those meant for users.
    Common,
    /// `SET ALL`.
    All,
}

const REGULAR: TQueryOptionLevel = TQueryOptionLevel::REGULAR;
const ADVANCED: TQueryOptionLevel = TQueryOptionLevel::ADVANCED;
const DEVELOPMENT: TQueryOptionLevel = TQueryOptionLevel::DEVELOPMENT;
const DEPRECATED: TQueryOptionLevel = TQueryOptionLevel::DEPRECATED;
const REMOVED: TQueryOptionLevel = TQueryOptionLevel::REMOVED;

const OPTIONS: [(&str, &str, TQueryOptionLevel); 52] = [
    ("ABORT_ON_ERROR", "0", REGULAR),
    ("ALLOW_UNSUPPORTED_FORMATS", "", REMOVED),
    ("APPX_COUNT_DISTINCT", "0", ADVANCED),
    ("BATCH_SIZE", "0", DEVELOPMENT),
    ("BROADCAST_BYTES_LIMIT", "34359738368", ADVANCED),
    ("BUFFER_POOL_LIMIT", "", ADVANCED),
    ("CLIENT_IDENTIFIER", "", ADVANCED),
    ("COMPRESSION_CODEC", "", REGULAR),
    ("COMPUTE_STATS_MIN_SAMPLE_SIZE", "1073741824", ADVANCED),
    ("DEBUG_ACTION", "", DEVELOPMENT),
    ("DECIMAL_V2", "1", ADVANCED),
    ("DEFAULT_FILE_FORMAT", "TEXT", REGULAR),
    ("DEFAULT_TRANSACTIONAL_TYPE", "NONE", ADVANCED),
    ("DISABLE_CODEGEN", "0", REGULAR),
    ("DISABLE_CODEGEN_ROWS_THRESHOLD", "50000", ADVANCED),
    ("DISABLE_HBASE_NUM_ROWS_ESTIMATE", "0", ADVANCED),
    ("DISABLE_UNSAFE_SPILLS", "0", REGULAR),
    ("ENABLE_ASYNC_DDL_EXECUTION", "1", DEVELOPMENT),
    ("ENABLE_EXPR_REWRITES", "1", ADVANCED),
    ("EXEC_SINGLE_NODE_ROWS_THRESHOLD", "100", ADVANCED),
    ("EXEC_TIME_LIMIT_S", "0", REGULAR),
    ("EXPLAIN_LEVEL", "1", REGULAR),
    ("FETCH_ROWS_TIMEOUT_MS", "10000", ADVANCED),
    ("HBASE_CACHING", "0", ADVANCED),
    ("IDLE_SESSION_TIMEOUT", "0", REGULAR),
    ("LONG_POLLING_TIME_MS", "0", ADVANCED),
    ("MAX_ERRORS", "100", ADVANCED),
    ("MAX_ROW_SIZE", "524288", REGULAR),
    ("MAX_SCAN_RANGE_LENGTH", "0", DEVELOPMENT),
    ("MEM_LIMIT", "0", REGULAR),
    ("MT_DOP", "", REGULAR),
    ("NUM_NODES", "0", DEVELOPMENT),
    ("NUM_ROWS_PRODUCED_LIMIT", "0", REGULAR),
    ("NUM_SCANNER_THREADS", "0", REGULAR),
    ("OPTIMIZE_PARTITION_KEY_SCANS", "0", REGULAR),
    ("PARQUET_FILE_SIZE", "0", ADVANCED),
    ("QUERY_TIMEOUT_S", "0", REGULAR),
    ("REPLICA_PREFERENCE", "CACHE_LOCAL", ADVANCED),
    ("REQUEST_POOL", "", REGULAR),
    ("RETRY_FAILED_QUERIES", "0", REGULAR),
    ("RM_INITIAL_MEM", "", REMOVED),
    ("RUNTIME_FILTER_MODE", "GLOBAL", REGULAR),
    ("RUNTIME_FILTER_WAIT_TIME_MS", "0", REGULAR),
    ("SCAN_NODE_CODEGEN_THRESHOLD", "1800000", DEPRECATED),
    ("SCRATCH_LIMIT", "-1", REGULAR),
    ("SPOOL_QUERY_RESULTS", "1", DEVELOPMENT),
    ("STRICT_MODE", "0", DEVELOPMENT),
    ("SUPPORT_START_OVER", "0", ADVANCED),
    ("SYNC_DDL", "0", REGULAR),
    ("THREAD_RESERVATION_LIMIT", "3000", REGULAR),
    ("TIMEZONE", "UTC", ADVANCED),
    ("UTF8_MODE", "0", DEVELOPMENT),
];

/// Whether Impala knows an option of this name; case does not matter.
pub(super) fn is_known(name: &str) -> bool {
    OPTIONS.iter().any(|(known, ..)| known.eq_ignore_ascii_case(name))
}

/// All effective options as an `OpenSession` reply has them
/// (Impala: `query-options.cc` `TQueryOptionsToMap`).
pub(super) fn effective(set: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let value = |name: &str, default: &str| set.get(name).map_or(default, String::as_str).to_owned();
    OPTIONS.iter().map(|(name, default, _)| ((*name).to_owned(), value(name, default))).collect()
}

/// The result of `SET` and `SET ALL`.
pub(super) fn table(set: &BTreeMap<String, String>, listed: Listed) -> Table {
    let effective = effective(set);
    let rows = OPTIONS
        .iter()
        .filter(|(_, _, level)| listed == Listed::All || matches!(*level, REGULAR | ADVANCED))
        .map(|(name, _, level)| {
            let value = effective.get(*name).map_or("", String::as_str);
            vec![Value::text(name), Value::text(value), Value::text(level_name(*level))]
        });
    let text = Type::String(0);
    Table::fixed(&[("option", text), ("value", text), ("level", text)], rows.collect())
}

/// The answer of Beeswax's `get_default_configuration`.
pub(super) fn variables() -> Vec<ConfigVariable> {
    let variable = |(name, value, level): &(&str, &str, TQueryOptionLevel)| {
        ConfigVariable::new((*name).to_owned(), (*value).to_owned(), String::new(), *level)
    };
    OPTIONS.iter().map(variable).collect()
}

fn level_name(level: TQueryOptionLevel) -> &'static str {
    match level {
        REGULAR => "REGULAR",
        ADVANCED => "ADVANCED",
        DEVELOPMENT => "DEVELOPMENT",
        DEPRECATED => "DEPRECATED",
        _ => "REMOVED",
    }
}
