//! The table of HS2 methods (`TCLIService` and Impala's `ImpalaHiveServer2Service`).
//!
//! Every request is `args.1 = req`. The handle is the request's first field, `TSessionHandle` or
//! `TOperationHandle`, whose first field is the `THandleIdentifier {1: guid, 2: secret}`: paths 1.1.1.1 and
//! 1.1.1.2.

use crate::wire::method::row::{Method, Owner, Retry, Role, numbered};
use crate::wire::watch::{Slot, Strings, Watch};

/// A handle in the usual place.
pub(in crate::wire) static HANDLE: &[Watch] =
    &[Watch::at(&[1, 1, 1, 1], Slot::Guid), Watch::at(&[1, 1, 1, 2], Slot::Secret)];

/// `TOperationHandle {1: operationId, 2: operationType}` in the usual place.
static OPERATION: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 1, 2], Slot::OperationType),
];

/// `TOpenSessionReq {4: configuration}`.
static OPENING: &[Watch] = &[Watch::at(&[1, 4], Slot::Strings(Strings::Configuration))];

/// `TGetTablesReq {1: sessionHandle, 5: tableTypes}`.
static TABLES: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 5], Slot::Strings(Strings::TableTypes)),
];

/// `TDownloadDataReq {1: sessionHandle, 5: downloadOptions}`.
static DOWNLOAD: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 5], Slot::Strings(Strings::DownloadOptions)),
];

/// `TSetClientInfoReq {1: sessionHandle, 2: configuration}`.
static CLIENT_INFO: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 2], Slot::Strings(Strings::Configuration)),
];

/// `TExecuteStatementReq {1: sessionHandle, 2: statement, 3: confOverlay, 4: runAsync}`.
static STATEMENT: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 2], Slot::Statement),
    Watch::at(&[1, 4], Slot::RunAsync),
    Watch::at(&[1, 3], Slot::Strings(Strings::ConfOverlay)),
];

/// Profile and summary: operation and session; a Beeswax method of the same name has the query id in 1.1.
static TWO_HANDLES: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 2, 1, 1], Slot::SecondGuid),
    Watch::at(&[1, 2, 1, 2], Slot::SecondSecret),
    Watch::at(&[1, 1], Slot::QueryId),
];

/// `ExecutePlannedStatement` wraps an ordinary statement request.
static WRAPPED_HANDLE: &[Watch] = &[
    Watch::at(&[1, 1, 1, 1, 1], Slot::Guid),
    Watch::at(&[1, 1, 1, 1, 2], Slot::Secret),
    Watch::at(&[1, 1, 3], Slot::Strings(Strings::ConfOverlay)),
];

/// A response whose first field is the `TStatus {1: statusCode, 5: errorMessage}`.
pub(in crate::wire) static STATUS: &[Watch] =
    &[Watch::at(&[0, 1, 1], Slot::Status), Watch::at(&[0, 1, 5], Slot::Message)];

static OPENED: &[Watch] = &[
    Watch::at(&[0, 1, 1], Slot::Status),
    Watch::at(&[0, 1, 5], Slot::Message),
    Watch::at(&[0, 3, 1, 1], Slot::Guid),
    Watch::at(&[0, 3, 1, 2], Slot::Secret),
];

static MINTED: &[Watch] = &[
    Watch::at(&[0, 1, 1], Slot::Status),
    Watch::at(&[0, 1, 5], Slot::Message),
    Watch::at(&[0, 2, 1, 1], Slot::Guid),
    Watch::at(&[0, 2, 1, 2], Slot::Secret),
    Watch::at(&[0, 2, 3], Slot::HasResultSet),
];

static ROWS: &[Watch] = &[
    Watch::at(&[0, 1, 1], Slot::Status),
    Watch::at(&[0, 1, 5], Slot::Message),
    Watch::at(&[0, 2], Slot::More),
];

static STATE: &[Watch] = &[
    Watch::at(&[0, 1, 1], Slot::Status),
    Watch::at(&[0, 1, 5], Slot::Message),
    Watch::at(&[0, 2], Slot::State),
];

/// Profile and summary exist in Beeswax too, where a failure is a thrown exception.
static STATUS_OR_THROWN: &[Watch] = &[
    Watch::at(&[0, 1, 1], Slot::Status),
    Watch::at(&[0, 1, 5], Slot::Message),
    Watch::at(&[1, 1], Slot::Thrown),
    Watch::at(&[2, 1], Slot::Thrown),
];

const fn row(
    name: &'static str,
    role: Role,
    retry: Retry,
    request: &'static [Watch],
    reply: &'static [Watch],
) -> Method {
    Method::new(name, Owner::Hs2, role, retry).watching(request, reply)
}

/// A method that both services have.
const fn profile(name: &'static str) -> Method {
    Method::new(name, Owner::Either, Role::Profile, Retry::Once).watching(TWO_HANDLES, STATUS_OR_THROWN)
}

/// Sorted by name.
pub static METHODS: [Method; 34] = numbered(
    0,
    [
        row("CancelDelegationToken", Role::UseSession, Retry::Never, HANDLE, STATUS),
        row("CancelOperation", Role::CancelOperation, Retry::OnceGoneIsDone, OPERATION, STATUS),
        row("CloseImpalaOperation", Role::CloseOperation, Retry::Never, OPERATION, STATUS),
        row("CloseOperation", Role::CloseOperation, Retry::OnceGoneIsDone, OPERATION, STATUS),
        row("CloseSession", Role::CloseSession, Retry::OnceGoneIsDone, HANDLE, STATUS),
        row("DownloadData", Role::Metadata, Retry::Never, DOWNLOAD, MINTED),
        // It carries a whole plan besides (Impala: `TExecRequest`).
        row("ExecutePlannedStatement", Role::Statement, Retry::Never, WRAPPED_HANDLE, MINTED)
            .with_unknown_containers(),
        row("ExecuteStatement", Role::Statement, Retry::Never, STATEMENT, MINTED),
        row("FetchResults", Role::Fetch, Retry::Never, OPERATION, ROWS),
        row("GetBackendConfig", Role::UseSession, Retry::Never, HANDLE, STATUS),
        row("GetCatalogs", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetColumns", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetCrossReference", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetDelegationToken", Role::UseSession, Retry::Never, HANDLE, STATUS),
        profile("GetExecSummary"),
        row("GetExecutorMembership", Role::UseSession, Retry::Never, HANDLE, STATUS),
        row("GetFunctions", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetInfo", Role::UseSession, Retry::Never, HANDLE, STATUS).new_work().proving_nothing(),
        row("GetLog", Role::UseOperation, Retry::Once, OPERATION, STATUS),
        row("GetOperationStatus", Role::Poll, Retry::Once, OPERATION, STATE),
        row("GetPrimaryKeys", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetQueryId", Role::UseOperation, Retry::Once, OPERATION, &[]),
        row("GetResultSetMetadata", Role::UseOperation, Retry::Once, OPERATION, STATUS),
        profile("GetRuntimeProfile"),
        row("GetSchemas", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetTableTypes", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("GetTables", Role::Metadata, Retry::Never, TABLES, MINTED),
        row("GetTypeInfo", Role::Metadata, Retry::Never, HANDLE, MINTED),
        row("InitQueryContext", Role::Connection, Retry::Never, &[], STATUS),
        row("OpenSession", Role::OpenSession, Retry::NextCandidate, OPENING, OPENED),
        row("PingImpalaHS2Service", Role::UseSession, Retry::Once, HANDLE, STATUS),
        row("RenewDelegationToken", Role::UseSession, Retry::Never, HANDLE, STATUS),
        row("SetClientInfo", Role::UseSession, Retry::Never, CLIENT_INFO, STATUS),
        row("UploadData", Role::Metadata, Retry::Never, HANDLE, MINTED),
    ],
);

/// The method of this name, which is in the table.
const fn named(name: &str) -> &'static Method {
    let mut methods: &'static [Method] = &METHODS;
    while let [method, after @ ..] = methods {
        if is_same(method.name.as_bytes(), name.as_bytes()) {
            return method;
        }
        methods = after;
    }
    panic!("no method has this name")
}

const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([a, rest_of_one @ ..], [b, rest_of_other @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (rest_of_one, rest_of_other);
    }
    one.is_empty() && other.is_empty()
}

/// Cancels an operation, which stays open.
pub static CANCEL_OPERATION: &Method = named("CancelOperation");
/// Closes an operation.
pub static CLOSE_OPERATION: &Method = named("CloseOperation");
/// Closes a session.
pub static CLOSE_SESSION: &Method = named("CloseSession");
/// Asks what kind of server it is; Impala refuses it while it shuts down.
pub static GET_INFO: &Method = named("GetInfo");
/// Asks for an operation's state.
pub static GET_OPERATION_STATUS: &Method = named("GetOperationStatus");
/// Asks for the types of the SQL dialect, which leaves an operation.
pub static GET_TYPE_INFO: &Method = named("GetTypeInfo");
/// Opens a session.
pub static OPEN_SESSION: &Method = named("OpenSession");
/// Impala's own question whether there is such a session.
pub static PING: &Method = named("PingImpalaHS2Service");
