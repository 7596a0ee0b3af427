//! What ports speak.

use std::time::SystemTime;

/// What a port speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// SASL.
    Sasl {
        /// Whether it has PLAIN.
        plain: Mechanism,
        /// Whether it has GSSAPI.
        gssapi: Mechanism,
    },
    /// Thrift without a login.
    Thrift {
        /// Whether it is Beeswax's; else it is HS2's.
        is_beeswax: bool,
    },
    /// HTTP.
    Http(HttpAnswer),
    /// TLS, on a connection in the clear.
    Tls,
    /// Nothing: it takes connections and answers no question.
    Silence,
    /// Nothing: it closes each connection without a byte.
    Closes,
    /// Something else.
    Other,
}

impl Spoken {
    /// Whether it may be that the port takes tickets of Kerberos.
    pub fn takes_tickets(&self) -> bool {
        match self {
            Self::Sasl { gssapi, .. } => *gssapi != Mechanism::Refused,
            Self::Http(answer) => answer.authenticate.iter().any(|one| one.eq_ignore_ascii_case("Negotiate")),
            Self::Thrift { .. } | Self::Tls | Self::Silence | Self::Closes | Self::Other => false,
        }
    }
}

/// Whether a mechanism of SASL is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// It is.
    Offered,
    /// It is refused.
    Refused,
    /// There was no answer in time.
    Unknown,
}

/// The head of an answer over HTTP to a request without authorization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The values of `WWW-Authenticate`, in which tokens are left out.
    pub authenticate: Vec<String>,
    /// `Date`.
    pub date: Option<SystemTime>,
}
