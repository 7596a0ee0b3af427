//! What is right, by method and by what goes wrong.

use hs2router::wire::method::{self, Method};

/// What goes wrong with the coordinator that a call belongs to, or that an open would go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is gone, and its port refuses connections.
    ConnectRefused,
    /// It is gone, and nothing answers at its port.
    ConnectHangs,
    /// The link was closed while it was idle.
    LostBefore,
    /// The link is reset when a part of the request was read.
    MidRequest,
    /// The link is closed when the request was read.
    BeforeReply,
    /// The link is closed within the reply's head.
    WithinHead,
    /// The link is closed before the reply's last byte.
    MidReply,
    /// It answers that it is shutting down.
    ShuttingDown,
    /// The link was closed, and there is no thread for a new one: it is accepted by the kernel and not
    /// served.
    NoThread,
}

/// What a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A coordinator's ordinary answer.
    Answer,
    /// The router's error with this SQLSTATE, in the method's own form.
    Told(&'static str),
    /// That the coordinator is shutting down, in its own words.
    PassedOn,
    /// The end of its connection.
    Closed,
}

/// How often the faulty coordinator and the other one get the whole call, and what the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) faulty: usize,
    pub(super) other: usize,
    pub(super) seen: Seen,
}

/// The kinds of methods, as the retry table has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Opens,
    Asks,
    Ends,
    Runs,
}

const OPENS: &[&str] = &["OpenSession"];
const ASKS: &[&str] = &[
    "GetExecSummary",
    "GetLog",
    "GetOperationStatus",
    "GetQueryId",
    "GetResultSetMetadata",
    "GetRuntimeProfile",
    "PingImpalaHS2Service",
    "PingImpalaService",
    "dump_config",
    "echo",
    "get_default_configuration",
    "get_log",
    "get_results_metadata",
    "get_state",
];
const ENDS: &[&str] = &["CancelOperation", "CloseOperation", "CloseSession", "Cancel", "close"];
const RUNS: &[&str] = &[
    "CancelDelegationToken",
    "CloseImpalaOperation",
    "CloseInsert",
    "DownloadData",
    "ExecutePlannedStatement",
    "ExecuteStatement",
    "FetchResults",
    "Frobnicate",
    "GetBackendConfig",
    "GetCatalogs",
    "GetColumns",
    "GetCrossReference",
    "GetDelegationToken",
    "GetExecutorMembership",
    "GetFunctions",
    "GetInfo",
    "GetPrimaryKeys",
    "GetSchemas",
    "GetTableTypes",
    "GetTables",
    "GetTypeInfo",
    "InitQueryContext",
    "RenewDelegationToken",
    "ResetCatalog",
    "ResetTable",
    "SetClientInfo",
    "UploadData",
    "clean",
    "executeAndWait",
    "explain",
    "fetch",
    "query",
];

pub(super) fn kind(method: &str) -> Kind {
    let kinds = [(OPENS, Kind::Opens), (ASKS, Kind::Asks), (ENDS, Kind::Ends), (RUNS, Kind::Runs)];
    let mut found = kinds.iter().filter(|(names, _)| names.contains(&method));
    let kind = found.next().unwrap_or_else(|| panic!("nobody has said how often {method} may be sent")).1;
    assert!(found.next().is_none(), "{method} is of two kinds");
    kind
}

/// What is right for a client that showed credentials, or none.
pub(super) fn expected(kind: Kind, fault: Fault, logged_in: bool) -> Outcome {
    use Fault::{
        BeforeReply, ConnectHangs, ConnectRefused, LostBefore, MidReply, MidRequest, NoThread, ShuttingDown,
        WithinHead,
    };
    use Kind::{Asks, Ends, Opens, Runs};
    use Seen::{Answer, Closed, PassedOn, Told};
    let (faulty, other, seen) = match (kind, fault) {
        // A login that nobody answers is shown to nobody else.
        (_, NoThread) if logged_in => (0, 0, Told("08004")),
        (Opens, ConnectRefused | ConnectHangs | MidRequest) => (0, 1, Answer),
        // Without a thread: it gets the open when it has one again, and then the close of what came of it.
        (Opens, BeforeReply | WithinHead | ShuttingDown | NoThread) => (1, 1, Answer),
        (_, ConnectRefused | ConnectHangs) => (0, 0, Told("08001")),
        (_, LostBefore | NoThread) | (Asks | Ends, MidRequest) => (1, 0, Answer),
        (Asks | Ends, BeforeReply) => (2, 0, Answer),
        (Runs, MidRequest) => (0, 0, Told("08S01")),
        (_, WithinHead) | (Runs, BeforeReply) | (Opens, MidReply) => (1, 0, Told("08S01")),
        (_, MidReply) => (1, 0, Closed),
        (_, ShuttingDown) => (1, 0, PassedOn),
    };
    Outcome { faulty, other, seen }
}

/// HS2 methods whose reply has no status, or needs what only a coordinator has: their error is a
/// `TApplicationException`.
const WITHOUT_STATUS: [&str; 7] = [
    "Frobnicate",
    "GetBackendConfig",
    "GetExecutorMembership",
    "GetQueryId",
    "InitQueryContext",
    "UploadData",
    "DownloadData",
];

pub(super) fn has_status(method: &str) -> bool {
    !WITHOUT_STATUS.contains(&method)
}

/// The field of its result in which a Beeswax method declares `BeeswaxException` (beeswax.thrift,
/// ImpalaService.thrift).
pub(super) fn thrown_in(method: &str) -> Option<i16> {
    match method {
        "query" | "executeAndWait" | "explain" | "Cancel" | "GetRuntimeProfile" => Some(1),
        "fetch" | "close" | "CloseInsert" | "GetExecSummary" => Some(2),
        _ => None,
    }
}

#[test]
fn every_method_has_its_kind_and_every_kind_its_methods() {
    for name in method::all().map(|method: &Method| method.name) {
        kind(name);
    }
    for name in [OPENS, ASKS, ENDS, RUNS].concat().into_iter().filter(|name| *name != "Frobnicate") {
        assert_eq!(method::lookup(name.as_bytes()).name, name, "there is no {name}");
    }
}
