//! How other servers of the protocol differ from Impala in their handling of sessions, and in their words for
//! operations that they do not know. Statements and their errors stay Impala's, and so does the protocol
//! version.

use super::profile::VERSION;
use super::refusal::{Refusal, Words, success};
use crate::idl::t_c_l_i_service as cli;

/// The methods of HS2 that only Impala has (`ImpalaService.thrift`).
const ADDITIONS: [&str; 8] = [
    "GetExecSummary",
    "GetRuntimeProfile",
    "PingImpalaHS2Service",
    "CloseImpalaOperation",
    "InitQueryContext",
    "ExecutePlannedStatement",
    "GetBackendConfig",
    "GetExecutorMembership",
];

/// The server that a coordinator behaves like in its handling of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Apache Impala.
    #[default]
    Impala,
    /// `HiveServer2`.
    Hive {
        /// Whether a session outlives the connection that it was opened on (Hive:
        /// `hive.server2.close.session.on.disconnect=false`; Kyuubi:
        /// `kyuubi.session.close.on.disconnect=false`).
        outlives: bool,
    },
    /// Spark Thrift Server.
    Spark,
}

impl Manner {
    /// Whether the session that was opened last on a connection ends with it (Hive: `ThriftBinaryCLIService`
    /// `deleteContext`; Spark: `ThriftCLIService` `deleteContext`, which asks no setting).
    pub(super) fn ends_with_connection(self) -> bool {
        matches!(self, Self::Hive { outlives: false } | Self::Spark)
    }

    /// Whether it has a method of HS2; only Impala has the methods that Impala added.
    pub(super) fn knows(self, method: &str) -> bool {
        self == Self::Impala || !ADDITIONS.contains(&method)
    }

    /// The refusal for an operation that is not known; `impala` is Impala's.
    pub(super) fn operation_words(self, impala: Words) -> Words {
        if self == Self::Impala { impala } else { Words::Hive }
    }

    /// The refusal for a session that does not exist (Hive, Spark: `SessionManager` `getSession`,
    /// `closeSession`).
    pub(super) fn words(self, refusal: Refusal, closes: bool) -> Refusal {
        match (self, refusal) {
            (Self::Spark, Refusal::UnknownSession(_)) if closes => Refusal::NoSession,
            (Self::Hive { .. }, Refusal::UnknownSession(id)) if closes => Refusal::NoSuchSession(id),
            (Self::Hive { .. } | Self::Spark, Refusal::UnknownSession(id)) => Refusal::InvalidSession(id),
            (_, other) => other,
        }
    }

    /// The refusal of a new session during a graceful shutdown.
    pub(super) fn refuses_session(self, refusal: Refusal) -> Refusal {
        if matches!(self, Self::Hive { .. }) { Refusal::Inactive } else { refusal }
    }

    /// The refusal of a statement or a metadata call during a graceful shutdown.
    pub(super) fn refuses_operation(self, refusal: Refusal) -> Refusal {
        if matches!(self, Self::Hive { .. }) { Refusal::Decommissioned } else { refusal }
    }

    /// Whether `GetInfo` is refused during a graceful shutdown (not by Hive: `HiveSessionImpl` `getInfo`
    /// begins no operation).
    pub(super) fn refuses_info(self) -> bool {
        !matches!(self, Self::Hive { .. })
    }

    /// The answer to a `GetInfo`; `found` is the result of looking up the session.
    pub(super) fn info(self, asked: cli::TGetInfoType, found: Result<(), Refusal>) -> cli::TGetInfoResp {
        use cli::TGetInfoType as Asked;
        let text = |text: &str| Some(cli::TGetInfoValue::StringValue(text.to_owned()));
        let names = [Asked::CLI_SERVER_NAME, Asked::CLI_DBMS_NAME, Asked::CLI_DBMS_VER];
        let value = match self {
            // Impala: `impala-hs2-server.cc` `GetInfo`.
            Self::Impala if asked == Asked::CLI_DBMS_VER => text(VERSION),
            Self::Impala if names.contains(&asked) => text("Impala"),
            // Hive, Spark: `HiveSessionImpl` `getInfo`. A refusal closes the connection there, because a
            // required value is missing then; here it is an error.
            Self::Hive { .. } if asked == Asked::CLI_SERVER_NAME => text("Hive"),
            Self::Hive { .. } if asked == Asked::CLI_DBMS_VER => text("4.0.1"),
            Self::Hive { .. } if names.contains(&asked) => text("Apache Hive"),
            Self::Spark if names.contains(&asked) => text("Spark SQL"),
            Self::Impala | Self::Hive { .. } | Self::Spark => None,
        };
        // Spark: `SparkSQLCLIService` `getInfo` answers names for any handle.
        let looks = self != Self::Spark || !names.contains(&asked);
        let answer = if looks { found } else { Ok(()) };
        let (status, value) = match answer.and_then(|()| value.ok_or(Refusal::Unsupported)) {
            Ok(value) => (success(), value),
            Err(refusal) => (refusal.status(None), cli::TGetInfoValue::StringValue(String::new())),
        };
        cli::TGetInfoResp::new(status, value)
    }
}
