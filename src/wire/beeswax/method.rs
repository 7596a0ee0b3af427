//! The table of Beeswax methods. A `QueryHandle {1: id, 2: log_context}` is the first argument, so the path
//! of the id is 1.1; `get_log` and `clean` take the bare string. HS2's table has `GetRuntimeProfile` and
//! `GetExecSummary`.

use crate::wire::hs2::method as hs2;
use crate::wire::method::row::{Method, Owner, Retry, Role, numbered};
use crate::wire::watch::{Slot, Strings, Watch};

static QUERY_HANDLE: &[Watch] = &[Watch::at(&[1, 1], Slot::QueryId)];
/// `Query {3: configuration}`.
static QUERY: &[Watch] = &[Watch::at(&[1, 3], Slot::Strings(Strings::QueryConfiguration))];
static LOG_CONTEXT: &[Watch] = &[Watch::at(&[1], Slot::QueryId)];

/// Methods declare their exceptions as field 1 or 2 of the result; the first field of each exception is its
/// message.
static THROWN: &[Watch] = &[Watch::at(&[1, 1], Slot::Thrown), Watch::at(&[2, 1], Slot::Thrown)];

static MINTED: &[Watch] = &[Watch::at(&[0, 1], Slot::QueryId), Watch::at(&[1, 1], Slot::Thrown)];

/// `Results {1: ready, 2: columns, 3: data, 4: start_row, 5: has_more}`.
static ROWS: &[Watch] =
    &[Watch::at(&[0, 5], Slot::More), Watch::at(&[1, 1], Slot::Thrown), Watch::at(&[2, 1], Slot::Thrown)];

static STATE: &[Watch] = &[Watch::at(&[0], Slot::State), Watch::at(&[1, 1], Slot::Thrown)];

const fn row(
    name: &'static str,
    role: Role,
    retry: Retry,
    request: &'static [Watch],
    reply: &'static [Watch],
) -> Method {
    Method::new(name, Owner::Beeswax, role, retry).watching(request, reply)
}

/// Sorted by name.
pub static METHODS: [Method; 17] = numbered(
    hs2::METHODS.len(),
    [
        row("Cancel", Role::CancelOperation, Retry::OnceGoneIsDone, QUERY_HANDLE, THROWN),
        row("CloseInsert", Role::CloseOperation, Retry::Never, QUERY_HANDLE, THROWN),
        row("PingImpalaService", Role::Connection, Retry::Once, &[], &[]),
        row("ResetCatalog", Role::Connection, Retry::Never, &[], &[]),
        row("ResetTable", Role::Connection, Retry::Never, &[], &[]),
        row("clean", Role::UseOperation, Retry::Never, LOG_CONTEXT, &[]),
        row("close", Role::CloseOperation, Retry::OnceGoneIsDone, QUERY_HANDLE, THROWN),
        row("dump_config", Role::Connection, Retry::Once, &[], &[]),
        row("echo", Role::Connection, Retry::Once, &[], &[]),
        row("executeAndWait", Role::Statement, Retry::Never, QUERY, MINTED),
        row("explain", Role::Connection, Retry::Never, QUERY, THROWN).new_work(),
        row("fetch", Role::Fetch, Retry::Never, QUERY_HANDLE, ROWS),
        row("get_default_configuration", Role::Connection, Retry::Once, &[], &[]),
        row("get_log", Role::UseOperation, Retry::Once, LOG_CONTEXT, THROWN),
        row("get_results_metadata", Role::UseOperation, Retry::Once, QUERY_HANDLE, THROWN),
        row("get_state", Role::Poll, Retry::Once, QUERY_HANDLE, STATE),
        row("query", Role::Statement, Retry::Never, QUERY, MINTED),
    ],
);
