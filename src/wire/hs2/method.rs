//! The table of HS2 methods (`TCLIService` and Impala's `ImpalaHiveServer2Service`).
//!
//! Every request is `args.1 = req`. The handle is the request's first field, `TSessionHandle` or `TOperationHandle`, whose
//! first field is the `THandleIdentifier {1: guid, 2: secret}`: paths 1.1.1.1 and 1.1.1.2.

use crate::wire::method::{Method, Owner, Retry, Role, numbered};
use crate::wire::watch::{Slot, Strings, Watch};

/// A handle in the usual place.
pub static HANDLE: &[Watch] = &[Watch::at(&[1, 1, 1, 1], Slot::Guid), Watch::at(&[1, 1, 1, 2], Slot::Secret)];

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
pub static STATUS: &[Watch] = &[Watch::at(&[0, 1, 1], Slot::Status), Watch::at(&[0, 1, 5], Slot::Message)];

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
    Method { name, service: Owner::Hs2, role, retry, request, reply, row: 0 }
}

/// Sorted by name.
pub static METHODS: [Method; 34] = numbered([
    row("CancelDelegationToken", Role::UseSession, Retry::Never, HANDLE, STATUS),
    row("CancelOperation", Role::UseOperation, Retry::OnceGoneIsDone, OPERATION, STATUS),
    row("CloseImpalaOperation", Role::CloseOperation, Retry::Never, OPERATION, STATUS),
    row("CloseOperation", Role::CloseOperation, Retry::OnceGoneIsDone, OPERATION, STATUS),
    row("CloseSession", Role::CloseSession, Retry::OnceGoneIsDone, HANDLE, STATUS),
    row("DownloadData", Role::Metadata, Retry::Never, DOWNLOAD, MINTED),
    row("ExecutePlannedStatement", Role::Statement, Retry::Never, WRAPPED_HANDLE, MINTED),
    row("ExecuteStatement", Role::Statement, Retry::Never, STATEMENT, MINTED),
    row("FetchResults", Role::Fetch, Retry::Never, OPERATION, ROWS),
    row("GetBackendConfig", Role::UseSession, Retry::Never, HANDLE, STATUS),
    row("GetCatalogs", Role::Metadata, Retry::Never, HANDLE, MINTED),
    row("GetColumns", Role::Metadata, Retry::Never, HANDLE, MINTED),
    row("GetCrossReference", Role::Metadata, Retry::Never, HANDLE, MINTED),
    row("GetDelegationToken", Role::UseSession, Retry::Never, HANDLE, STATUS),
    Method {
        name: "GetExecSummary",
        service: Owner::Either,
        role: Role::Profile,
        retry: Retry::Once,
        request: TWO_HANDLES,
        reply: STATUS_OR_THROWN,
        row: 0,
    },
    row("GetExecutorMembership", Role::UseSession, Retry::Never, HANDLE, STATUS),
    row("GetFunctions", Role::Metadata, Retry::Never, HANDLE, MINTED),
    row("GetInfo", Role::UseSession, Retry::Never, HANDLE, STATUS),
    row("GetLog", Role::UseOperation, Retry::Once, OPERATION, STATUS),
    row("GetOperationStatus", Role::Poll, Retry::Once, OPERATION, STATE),
    row("GetPrimaryKeys", Role::Metadata, Retry::Never, HANDLE, MINTED),
    row("GetQueryId", Role::UseOperation, Retry::Once, OPERATION, &[]),
    row("GetResultSetMetadata", Role::UseOperation, Retry::Once, OPERATION, STATUS),
    Method {
        name: "GetRuntimeProfile",
        service: Owner::Either,
        role: Role::Profile,
        retry: Retry::Once,
        request: TWO_HANDLES,
        reply: STATUS_OR_THROWN,
        row: 0,
    },
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
]);
