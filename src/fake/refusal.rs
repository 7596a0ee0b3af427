//! Why a call fails, in Impala's words.

use std::fmt;

use super::ids::Id;
use crate::idl::t_c_l_i_service::{TStatus, TStatusCode};

/// All generic errors (Impala: `impala-server.cc` `SQLSTATE_GENERAL_ERROR`).
pub(super) const GENERAL_ERROR: &str = "HY000";
/// `SQLSTATE_OPTIONAL_FEATURE_NOT_IMPLEMENTED`.
pub(super) const NOT_SUPPORTED: &str = "HYC00";
/// `SQLSTATE_SYNTAX_ERROR_OR_ACCESS_VIOLATION`; only Beeswax shows it.
pub(super) const SYNTAX_ERROR: &str = "42000";

/// Text that may quote a statement. It is shown to the client, but never in debug output.
#[derive(Clone)]
pub(super) struct Quoted(pub(super) String);

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quoted({} bytes)", self.0.len())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The version whose words a coordinator uses for an operation that it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Words {
    /// Impala 4: error code `INVALID_QUERY_HANDLE` (150), with the query's id before it.
    #[default]
    Impala4,
    /// Impala 2 and 3: "Invalid query handle: …", bare (`impala-hs2-server.cc` `GetOperationStatus` and
    /// others, `impala-beeswax-server.cc` `get_state` and others).
    Impala3,
    /// Hive, Spark: the same words for everything that can be wrong with the handle.
    Hive,
}

impl Words {
    /// The refusal of a call on an operation that is not known.
    pub(super) fn unknown_query(self, id: Id) -> Refusal {
        match self {
            Self::Impala4 => Refusal::UnknownQuery(id),
            Self::Impala3 => Refusal::InvalidQueryHandle(id),
            Self::Hive => Refusal::InvalidOperation(id),
        }
    }

    /// The refusal of a call whose secret is not the operation's.
    pub(super) fn wrong_secret(self, id: Id) -> Refusal {
        if self == Self::Hive { Refusal::InvalidOperation(id) } else { Refusal::QueryNotFound(id) }
    }
}

/// One refused or failed call; its `Display` is Impala's message without the line end.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Impala: `impala-server.inline.h` `THandleIdentifierToTUniqueId`.
    #[error(
        "Malformed THandleIdentifier (guid size: {guid}, expected 16, secret size: {secret}, expected 16)"
    )]
    MalformedHandle { guid: usize, secret: usize },
    /// For an unknown id and a wrong secret (Impala: `impala-server.cc` `GetSessionState`).
    #[error("Invalid session id: {0}")]
    UnknownSession(Id),
    /// Hive, Spark: `SessionManager` `getSession`; how a handle is printed: `SessionHandle` `toString`.
    #[error("Invalid SessionHandle: SessionHandle [{}]", .0.uuid())]
    InvalidSession(Id),
    /// Spark: `SessionManager` `closeSession`.
    #[error("Session does not exist!")]
    NoSession,
    /// The same in Hive 4.
    #[error("Session does not exist: SessionHandle [{}]", .0.uuid())]
    NoSuchSession(Id),
    /// Hive, Spark: `OperationManager` `getOperation`; how a handle is printed: `OperationHandle` `toString`.
    #[error("Invalid OperationHandle: OperationHandle [opType=EXECUTE_STATEMENT, getHandleIdentifier()={}]", .0.uuid())]
    InvalidOperation(Id),
    /// Impala: error code `UNAUTHORIZED_SESSION_USER`, `impala-server.cc` `WithSession`.
    #[error(
        "The user authorized on the connection '{connection}' does not match the session username '{session}'"
    )]
    WrongUser { connection: String, session: String },
    /// Impala: `impala-hs2-server.cc` `OpenSession`, since IMPALA-14842; the words are not Impala's.
    #[error("The user to act for was named twice: with doAs and with impala.doas.user")]
    TwoDelegates,
    /// Impala: `impala-server.cc` `AuthorizeProxyUser`.
    #[error("User '{user}' is not authorized to delegate to '{delegate}'.")]
    NotDelegated { user: String, delegate: String },
    /// Impala: `impala-server.cc` `GetSessionState`.
    #[error(
        "Client session expired due to more than {timeout}s of inactivity (last activity was at: {last})."
    )]
    SessionExpired { timeout: u64, last: String },
    /// Impala: error code `INVALID_QUERY_HANDLE` (150).
    #[error("Invalid or unknown query handle: {0}.")]
    UnknownQuery(Id),
    /// The words of [`Words::Impala3`].
    #[error("Invalid query handle: {0}")]
    InvalidQueryHandle(Id),
    /// A known query with a wrong secret, or a profile that does not exist (Impala:
    /// `LEGACY_INVALID_QUERY_HANDLE_TEMPLATE`).
    #[error("Query id {0} not found.")]
    QueryNotFound(Id),
    /// Impala: error code `SERVER_SHUTTING_DOWN` (120) with `ShutdownStatusToString`.
    #[error(
        "Server is being shut down: shutdown grace period left: 1m30s, deadline left: 58m, queries registered \
         on coordinator: {registered}, queries executing: {executing}, fragment instances: {executing}."
    )]
    ShuttingDown { registered: usize, executing: usize },
    /// Hive 4 during a graceful stop: `SessionManager` `createSession`.
    #[error(
        "Cannot open sessions on an inactive HS2 instance, or the HS2 server leader is not ready; please use \
         service discovery to connect the server leader again"
    )]
    Inactive,
    /// Hive 4 during a graceful stop: `OperationManager` `addOperation`.
    #[error("Unable to run new queries as HiveServer2 is decommissioned or inactive, state: DECOMMISSIONING")]
    Decommissioned,
    /// Hive: `SessionManager` `anyViolations`.
    #[error("Connection limit per ipaddress reached (ipaddress: 127.0.0.1 limit: {limit})")]
    AddressLimit { limit: usize },
    /// Impala: `Status::CANCELLED`.
    #[error("Cancelled")]
    Cancelled,
    /// Impala: `child-query` and `impala-hs2-server.cc`: an unsupported fetch orientation, information type
    /// or port.
    #[error("Unsupported operation")]
    Unsupported,
    /// Impala: `impala-hs2-server.cc`, delegation tokens and the like.
    #[error("Not implemented")]
    NotImplemented,
    /// Impala: `query-options.cc` `SetQueryOption`.
    #[error("Invalid query option: {0}")]
    UnknownOption(String),
    /// Impala: `impala-server.cc` `CheckClientRequestSession`.
    #[error("User does not have access to query {0}")]
    NotYours(Id),
    /// The statement is at fault: parse, analysis and run-time errors.
    #[error("{0}")]
    Statement(Quoted),
}

impl Refusal {
    /// The detail of the error: every line ends (Impala: `error-msg.cc` `GetDetail`).
    pub(super) fn detail(&self) -> String {
        format!("{self}\n")
    }

    /// The detail once the query id is known (Impala: `impala-server.cc` `QUERY_ERROR_FORMAT`).
    pub(super) fn detail_of_query(&self, id: Id) -> String {
        if let Self::InvalidQueryHandle(_) = self {
            return self.to_string();
        }
        format!("Query {id} failed:\n{}\n", self.detail())
    }

    /// Whether these are words of Hive and Spark, which come alone and without a SQLSTATE.
    fn is_hives(&self) -> bool {
        matches!(
            self,
            Self::InvalidSession(_)
                | Self::NoSession
                | Self::NoSuchSession(_)
                | Self::InvalidOperation(_)
                | Self::Inactive
                | Self::Decommissioned
                | Self::AddressLimit { .. }
        )
    }

    /// The status of an HS2 reply: always `ERROR_STATUS`, never `INVALID_HANDLE_STATUS`
    /// (Impala: `impala-hs2-server.cc` `HS2_RETURN_ERROR`).
    pub(super) fn status(&self, query: Option<Id>) -> TStatus {
        let message = match (self, query) {
            (Self::Unsupported | Self::NotImplemented, _) => self.to_string(),
            _ if self.is_hives() => self.to_string(),
            (
                Self::MalformedHandle { .. }
                | Self::UnknownSession(_)
                | Self::SessionExpired { .. }
                | Self::WrongUser { .. }
                | Self::ShuttingDown { .. },
                _,
            )
            | (_, None) => self.detail(),
            (_, Some(id)) => self.detail_of_query(id),
        };
        let sql_state = match self {
            Self::NotImplemented => None,
            _ if self.is_hives() => None,
            Self::Unsupported => Some(NOT_SUPPORTED.to_owned()),
            _ => Some(GENERAL_ERROR.to_owned()),
        };
        TStatus::new(TStatusCode::ERROR_STATUS, None, sql_state, None, message)
    }
}

/// The status of a call that succeeded.
pub(super) fn success() -> TStatus {
    TStatus::new(TStatusCode::SUCCESS_STATUS, None, None, None, None)
}
