//! How a login ends without a verdict on the credentials, and the likely reason.

use std::fmt;
use std::time::Duration;

use crate::cluster::{Coordinator, Flavor};
use crate::net::flow::WriteError;
use crate::serve::link::watch::Silent;
use crate::serve::message::reply::advice;
use crate::wire::detect::Speech;
use crate::wire::sasl::SaslError;
use crate::wire::sasl::kerberos::GssapiError;

/// The hint for clients of a coordinator that expects no login.
const NO_LOGIN: &str = "clients then need auth=noSasl (JDBC) or auth_mechanism=\"NOSASL\" (impyla)";

/// The outcome of a login that ended without a verdict on the credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoVerdict {
    /// The link was lost while the credentials were written; the coordinator may have received part of them.
    #[error("it was lost while the credentials were sent: {0}")]
    Unsent(WriteError),
    /// The coordinator closed the connection.
    #[error("it closed the connection without a verdict: {0}")]
    Closed(Likely),
    /// The coordinator answered in another protocol.
    #[error("it answered the login with what looks like {0}: {todo}", todo = advice(*.0))]
    Foreign(Speech),
    /// The coordinator answered in no protocol that the router recognises.
    #[error("its answer to the login is no SASL message, so it seems not to use SASL; {NO_LOGIN}")]
    Nonsense,
    /// The coordinator answered with a SASL message that the mechanism does not allow.
    #[error("{0}")]
    BadSasl(SaslError),
    /// The router cannot go on with what the coordinator answered.
    #[error("{0}")]
    GaveUp(GssapiError),
    /// The coordinator did not answer in time.
    #[error(
        "no answer to the credentials within {0:?} (handshake_timeout): perhaps all its threads are in use; or its port \
         expects no login (impalad is silent then): {NO_LOGIN}"
    )]
    Silent(Duration),
    /// The coordinator did not answer, and its port no longer answers probes either.
    #[error("{0}, so the password was neither accepted nor refused: log in again")]
    PortSilent(Silent),
}

/// The probable reason why a coordinator closed the connection instead of giving a verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Likely {
    /// The coordinator has been seen to open sessions without a login.
    NoLogin,
    /// The credentials are wrong: Impala's `TSaslTransport::doSaslNegotiation` sends nothing in that case.
    WrongCredentials,
    /// Impala did not accept the router's own ticket, which it tells in the same way.
    TicketRefused,
    /// The coordinator has ended: Hive and Spark would have answered wrong credentials with BAD and a text
    /// (`TSaslTransport.java`).
    Ended,
}

impl Likely {
    pub(super) fn of(coordinator: &Coordinator, flavor: Flavor) -> Self {
        match flavor {
            _ if coordinator.opens_without_login() => Self::NoLogin,
            Flavor::Impala => Self::WrongCredentials,
            Flavor::Hive | Flavor::Spark => Self::Ended,
        }
    }
}

impl fmt::Display for Likely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLogin => {
                write!(f, "it opens sessions without a login, so it does not use SASL; {NO_LOGIN}")
            }
            Self::WrongCredentials => f.write_str(
                "impalad does so when credentials are wrong; if these are right, perhaps it has just ended, or its port \
                 expects TLS",
            ),
            Self::TicketRefused => f.write_str(
                "impalad does so when it does not accept a ticket, and its log says why; or its port expects TLS",
            ),
            Self::Ended => write!(
                f,
                "it answers wrong credentials with an error, so perhaps it has just ended; or its port expects no login: {NO_LOGIN}"
            ),
        }
    }
}

impl NoVerdict {
    /// The kind by which log lines about it are limited.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unsent(_) => "unsent",
            Self::Closed(_) => "closed",
            Self::Foreign(speech) => speech.as_str(),
            Self::Nonsense => "nonsense",
            Self::BadSasl(_) | Self::GaveUp(_) => "bad SASL",
            Self::Silent(_) | Self::PortSilent(_) => "silent",
        }
    }
}
