//! Why a request is refused, and how long what it names may be.

use http::StatusCode;

/// The longest name that `doAs` may have, in bytes.
pub const LONGEST_USER: usize = 256;

/// The longest `X-Forwarded-For`, in bytes; Impala reads no more of it (Impala: `THttpServer::headersDone`).
pub const LONGEST_FORWARDED: usize = 8096;

/// Why a request is refused whose head is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Impala takes the last `Authorization`, Hive the first.
    #[error("the request has more than one Authorization header, or more than one X-Hive-Delegation-Token")]
    TwoAuthorizations,
    /// Impala takes the last `doAs`, Hive any.
    #[error("the query has more than one doAs")]
    TwoDoAs,
    /// `doAs` without a name.
    #[error("doAs in the query names nobody")]
    EmptyDoAs,
    /// A name of more than [`LONGEST_USER`] bytes.
    #[error("doAs in the query is longer than {LONGEST_USER} bytes")]
    LongDoAs,
    /// A name that is not text, or has control characters in it.
    #[error("doAs in the query is not UTF-8, or contains control characters")]
    DoAsCharacters,
    /// A `%` without two hexadecimal digits behind it. Servers make different things of it, and so might find
    /// another `doAs`.
    #[error("the query contains a % without two hexadecimal digits behind it")]
    Escape,
    /// More hops than Impala would read. The first of them decides whether Impala trusts the request.
    #[error("X-Forwarded-For is longer than {LONGEST_FORWARDED} bytes")]
    LongForwarded,
}

impl BadRequest {
    /// The status that the client is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::LongForwarded => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// A word that stays the same for every refusal of this kind: what limits of log lines go by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TwoAuthorizations => "two authorizations",
            Self::TwoDoAs => "two doAs",
            Self::EmptyDoAs => "empty doAs",
            Self::LongDoAs => "long doAs",
            Self::DoAsCharacters => "doAs characters",
            Self::Escape => "escape",
            Self::LongForwarded => "long X-Forwarded-For",
        }
    }
}
