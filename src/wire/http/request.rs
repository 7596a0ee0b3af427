//! What a request asks for, and what of its head goes on to a coordinator.

mod authorization;
mod do_as;
mod passed;

use std::fmt;
use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_TYPE, COOKIE, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};

pub use self::authorization::{Authorization, CredentialKey, Scheme};
pub use self::do_as::LONGEST_USER;
use self::passed::Field;
pub use self::passed::LONGEST_FORWARDED;
use crate::ids::Credential;

/// How much of a request id stands in log lines, in bytes. Those of impala-shell have 36 and a number.
const LOGGED_ID: usize = 128;

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
    /// More hops than Impala would read; who is first of them decides whether it trusts the request.
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

/// What a request asks for.
#[derive(Debug)]
pub enum Asked {
    /// A call of Thrift, to any path, as the servers take it (POST).
    Call(Box<CallHead>),
    /// Whether the router is there: GET or HEAD of `/` or `/healthz`, which load balancers ask.
    Health,
    /// What is allowed. Answered by the router: Impala's own answer has no length (Impala:
    /// `THttpServer::parseStatusLine`).
    Options,
    /// Something that is not: 405.
    NotAllowed,
}

/// Whose connection a request came on.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The address of the connection, or the one that a PROXY header has announced.
    pub address: IpAddr,
    /// Whether to believe what it says in `X-Forwarded-For`.
    pub is_trusted_proxy: bool,
    /// Headers by which coordinators trust whoever sends them (Impala: `--trusted_auth_header`). They never
    /// pass from a client.
    pub forbidden: &'a [HeaderName],
}

/// Judges a parsed head.
///
/// # Errors
/// When it is a call whose head coordinators could understand in different ways, or that names nobody.
pub fn judge(head: &Parts, peer: Peer<'_>) -> Result<Asked, BadRequest> {
    match head.method {
        Method::POST => CallHead::read(head, peer).map(|call| Asked::Call(Box::new(call))),
        Method::GET | Method::HEAD if matches!(head.uri.path(), "/" | "/healthz") => Ok(Asked::Health),
        Method::OPTIONS => Ok(Asked::Options),
        _ => Ok(Asked::NotAllowed),
    }
}

/// The head of a call, as far as the router needs it. `Debug` shows no secret.
#[derive(Clone)]
pub struct CallHead {
    target: PathAndQuery,
    /// What is passed on as it is.
    passed: Vec<Field>,
    authorization: Option<Authorization>,
    cookies: Vec<HeaderValue>,
    do_as: Option<Box<str>>,
    closes: bool,
}

impl CallHead {
    fn read(head: &Parts, peer: Peer<'_>) -> Result<Self, BadRequest> {
        let target = head.uri.path_and_query().cloned();
        let do_as = head.uri.query().map_or(Ok(None), do_as::find)?;
        let sensitive = |value: &HeaderValue| {
            let mut value = value.clone();
            value.set_sensitive(true);
            value
        };
        Ok(Self {
            target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
            passed: passed::fields(&head.headers, peer)?,
            authorization: Authorization::read(&head.headers, peer)?,
            cookies: head.headers.get_all(COOKIE).iter().map(sensitive).collect(),
            do_as,
            closes: closes(head),
        })
    }

    /// The head of a call that nobody in particular makes: to the path that clients use unless they are told
    /// another one (Hive: `hive.server2.thrift.http.path`; Impala takes any).
    pub fn anonymous() -> Self {
        Self {
            target: PathAndQuery::from_static("/cliservice"),
            passed: passed::anonymous(),
            authorization: None,
            cookies: Vec::new(),
            do_as: None,
            closes: false,
        }
    }

    /// What it proves its user with; none if it has nothing.
    pub fn authorization(&self) -> Option<&Authorization> {
        self.authorization.as_ref()
    }

    /// In whose name it wants to act: the query's `doAs`, decoded, at most [`LONGEST_USER`] bytes.
    pub fn do_as(&self) -> Option<&str> {
        self.do_as.as_deref()
    }

    /// For whom calls are made that have such a head; none if it names nobody.
    pub fn credential(&self, key: &CredentialKey) -> Option<Credential> {
        if self.authorization.is_none() && self.do_as.is_none() {
            return None;
        }
        let hash = self.authorization.as_ref().map_or([0; 2], |authorization| authorization.hash(key));
        Some(Credential { hash, do_as: self.do_as.as_deref().map(Into::into) })
    }

    /// What the client calls this request (X-Request-Id), for log lines: visible ASCII, 128 bytes of it at
    /// most; none if it is something else.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.passed.iter().find(|field| field.name == passed::REQUEST_ID)?.value.to_str().ok()?;
        let is_visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible { id.get(..id.len().min(LOGGED_ID)) } else { None }
    }

    /// Whether the connection ends with this call: the client said `Connection: close`, or speaks HTTP/1.0
    /// and did not ask to keep it.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// The cookies, in the order in which they came. A name may come again, and attributes of a Set-Cookie
    /// that a client sends back whole (`PyHive`, Node's hive-driver) come as if they were cookies.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let pieces = self.cookies.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let pair = |piece| str::from_utf8(piece).ok()?.trim_ascii().split_once('=');
        pieces.filter_map(pair)
    }

    /// The head for a coordinator: the target as it came, what of the client's fields is passed on, and
    /// either the credential or the cookie that stands for it there. What says where the body ends is left
    /// to whoever sends it.
    pub fn for_coordinator(&self, host: &HeaderValue, cookie: Option<&HeaderValue>) -> Parts {
        const OTHERS: usize = 3;
        let mut headers = HeaderMap::with_capacity(self.passed.len() + OTHERS);
        headers.insert(HOST, host.clone());
        for Field { name, value } in &self.passed {
            headers.append(name, value.clone());
        }
        if let Some(cookie) = cookie {
            headers.insert(COOKIE, cookie.clone());
        } else if let Some(authorization) = &self.authorization {
            authorization.put(&mut headers);
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.target.clone().into();
        parts.headers = headers;
        parts
    }

    /// The head of a call that the router makes by itself for the same user: same target, same credential.
    #[must_use]
    pub fn for_own_calls(&self) -> Self {
        Self {
            target: self.target.clone(),
            passed: passed::for_own_calls(&self.passed),
            authorization: self.authorization.clone(),
            cookies: Vec::new(),
            do_as: self.do_as.clone(),
            closes: false,
        }
    }
}

impl fmt::Debug for CallHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHead")
            .field("path", &self.target.path())
            .field("authorization", &self.authorization)
            .field("do_as", &self.do_as)
            .field("request_id", &self.request_id())
            .finish_non_exhaustive()
    }
}

fn closes(head: &Parts) -> bool {
    let says = |option: &str| {
        let values = head.headers.get_all(CONNECTION).iter();
        let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    says("close") || (head.version < Version::HTTP_11 && !says("keep-alive"))
}

#[cfg(test)]
mod tests;
