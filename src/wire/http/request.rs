//! What a request asks for, and what of its head goes on to a coordinator.

mod authorization;
mod do_as;
mod error;
mod passed;

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use zeroize::Zeroizing;

pub use self::authorization::{Authorization, CredentialKey, Scheme, negotiate};
pub use self::error::{BadRequest, LONGEST_FORWARDED, LONGEST_USER};
pub use self::passed::Peer;
use self::passed::{DELEGATION_TOKEN, Field};
use super::head::FIELD_LIMIT;
use super::secret;
use crate::ids::{Credential, Proof};

/// How much of a request id stands in log lines, in bytes. Those of impala-shell have 36 and a number.
const LOGGED_ID: usize = 128;

/// The path that clients use unless they are told another one (Hive: `hive.server2.thrift.http.path`; Impala takes
/// any).
const USUAL_PATH: &str = "/cliservice";

/// What a request asks for.
#[derive(Debug)]
pub enum Asked {
    /// A call of Thrift, to any path, as the servers take it (POST).
    Call(Arc<CallHead>),
    /// Whether the router is there: GET or HEAD of `/` or `/healthz`, which load balancers ask.
    Health,
    /// What is allowed. Answered by the router: Impala's own answer has no length (Impala:
    /// `THttpServer::parseStatusLine`).
    Options,
    /// Something that is not: 405.
    NotAllowed,
}

/// The fields of which a client's head leaves no copy behind.
static SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, DELEGATION_TOKEN];

/// Reads the head of an ordinary request: POST of HTTP/1.1, without `Expect`. None of another one, and of one
/// that the parser does not understand.
pub fn ordinary(head: &[u8]) -> Option<Parts> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT as usize];
    let mut parsed = httparse::Request::new(&mut []);
    let whole = parsed.parse_with_uninit_headers(head, &mut fields).ok()?;
    if whole != httparse::Status::Complete(head.len())
        || parsed.version != Some(1)
        || parsed.method != Some("POST")
    {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for httparse::Header { name, value } in parsed.headers.iter() {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = if SECRET.contains(&name) {
            secret(value.to_vec())?
        } else {
            HeaderValue::from_bytes(value).ok()?
        };
        headers.append(name, value);
    }
    if headers.contains_key(EXPECT) {
        return None;
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::POST;
    parts.uri = parsed.path?.parse().ok()?;
    parts.headers = headers;
    Some(parts)
}

/// Judges a parsed head.
///
/// # Errors
/// When it is a call whose head coordinators could understand in different ways, or that names nobody.
pub fn judge(head: &Parts, peer: Peer<'_>) -> Result<Asked, BadRequest> {
    match head.method {
        Method::POST => CallHead::read(head, peer).map(|call| Asked::Call(Arc::new(call))),
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
    /// What came as cookies, where one may stand for a ticket. It never goes to a coordinator.
    cookies: Option<HeaderValue>,
    do_as: Option<Box<str>>,
    /// The lines of what is the same for every coordinator, each with its end before it. Zeroed when it is dropped.
    lasting: Zeroizing<Box<[u8]>>,
}

impl CallHead {
    fn read(head: &Parts, peer: Peer<'_>) -> Result<Self, BadRequest> {
        let target = head.uri.path_and_query().map_or(PathAndQuery::from_static("/"), with_slash);
        let do_as = head.uri.query().map_or(Ok(None), do_as::find)?;
        let authorization = Authorization::read(&head.headers, peer)?;
        let takes_cookies = authorization.as_ref().is_none_or(Authorization::is_ticket);
        let cookies = if takes_cookies { cookies(&head.headers) } else { None };
        let passed = passed::fields(&head.headers, peer)?;
        Ok(Self { cookies, do_as, ..Self::of(target, passed, authorization) })
    }

    fn of(target: PathAndQuery, passed: Vec<Field>, authorization: Option<Authorization>) -> Self {
        let (cookies, do_as, lasting) = (None, None, Zeroizing::default());
        let mut head = Self { target, passed, authorization, cookies, do_as, lasting };
        let mut len = 0;
        head.each_lasting(|name, value| {
            len += line(name, value).iter().map(|part| part.len()).sum::<usize>();
        });
        // All at once, so that no part of it is left in memory that it has outgrown.
        let mut lines = Vec::with_capacity(len);
        head.each_lasting(|name, value| {
            for part in line(name, value) {
                lines.extend_from_slice(part);
            }
        });
        head.lasting = Zeroizing::new(lines.into_boxed_slice());
        head
    }

    /// The head of a call that nobody in particular makes.
    pub fn anonymous() -> Self {
        Self::of(PathAndQuery::from_static(USUAL_PATH), passed::anonymous(), None)
    }

    /// The head of a call that the router makes as itself, proven by this token of GSSAPI. None if the token is
    /// too long for a field.
    pub fn of_router(token: &[u8]) -> Option<Self> {
        let authorization = Some(Authorization::negotiate(token)?);
        Some(Self::of(PathAndQuery::from_static(USUAL_PATH), passed::of_router(), authorization))
    }

    /// The same head for a call of a client: with the client's names for its program and for the call, and
    /// nothing else of what came with it.
    #[must_use]
    pub fn on_behalf_of(&self, client: &Self) -> Self {
        let passed = passed::on_behalf_of(&self.passed, &client.passed);
        Self::of(self.target.clone(), passed, self.authorization.clone())
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
        let nothing = Proof::Lasting([0; 2]);
        let proof = self.authorization.as_ref().map_or(nothing, |authorization| authorization.proof(key));
        Some(Credential { proof, do_as: self.do_as.as_deref().map(Into::into) })
    }

    /// The ticket of Kerberos that it proves its user with, as a hash; none if it has none.
    pub fn ticket(&self, key: &CredentialKey) -> Option<[u64; 2]> {
        self.authorization.as_ref().filter(|authorization| authorization.is_ticket()).map(|one| one.hash(key))
    }

    /// Whether it has a ticket that was not taken yet.
    pub fn has_fresh_ticket(&self) -> bool {
        self.authorization.as_ref().is_some_and(Authorization::is_fresh)
    }

    /// Takes the ticket for a request to a coordinator; returns whether there is one that was not taken
    /// before. A ticket is sent once: whoever gets it again takes that for an attack (MIT: the replay cache).
    pub fn spend_ticket(&self) -> bool {
        self.authorization.as_ref().is_some_and(Authorization::spend)
    }

    /// What came as cookies, in the form of one field; none if the user is proven by something that lasts.
    pub fn cookies(&self) -> Option<&[u8]> {
        self.cookies.as_ref().map(HeaderValue::as_bytes)
    }

    /// What the client calls this request (X-Request-Id), for log lines: visible ASCII, 128 bytes of it at
    /// most; none if it is something else.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.passed.iter().find(|field| field.name == passed::REQUEST_ID)?.value.to_str().ok()?;
        let is_visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible { id.get(..id.len().min(LOGGED_ID)) } else { None }
    }

    /// The head for a coordinator: the target as it came, what of the client's fields is passed on, the
    /// credential, and the cookie that stands for it there. A coordinator that no longer takes the cookie goes
    /// by the credential (Impala: `HttpAuthenticate`, Hive since HIVE-22841); but a ticket is not shown where a
    /// cookie will do, because it is good for one request. What says where the body ends is left to whoever
    /// sends it.
    pub fn for_coordinator(&self, host: &HeaderValue, cookie: Option<&HeaderValue>) -> Parts {
        let mut headers = HeaderMap::new();
        let mut append = |name: &HeaderName, value: &HeaderValue| _ = headers.append(name, value.clone());
        append(&HOST, host);
        self.each_lasting(&mut append);
        self.each_passing(cookie, append);
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.target.clone().into();
        parts.headers = headers;
        parts
    }

    /// Does something with each part of the same head as it is sent, with a body of `length` bytes behind it.
    #[inline]
    pub fn each_part(
        &self,
        host: &HeaderValue,
        cookie: Option<&HeaderValue>,
        length: u64,
        mut with: impl FnMut(&[u8]),
    ) {
        with(b"POST ");
        with(self.target.as_str().as_bytes());
        with(b" HTTP/1.1\r\nhost: ");
        with(host.as_bytes());
        with(b"\r\ncontent-length: ");
        with(itoa::Buffer::new().format(length).as_bytes());
        with(&self.lasting);
        self.each_passing(cookie, |name, value| {
            for part in line(name, value) {
                with(part);
            }
        });
        with(b"\r\n\r\n");
    }

    /// Does something with each field that goes to all coordinators, in order.
    fn each_lasting(&self, mut with: impl FnMut(&HeaderName, &HeaderValue)) {
        for Field { name, value } in &self.passed {
            with(name, value);
        }
        let lasting = self.authorization.iter().filter(|authorization| !authorization.is_ticket());
        for (name, value) in lasting.flat_map(Authorization::fields) {
            with(name, value);
        }
    }

    /// Does something with each field for one coordinator and one request: the cookie, or else the ticket.
    #[inline]
    fn each_passing(&self, cookie: Option<&HeaderValue>, mut with: impl FnMut(&HeaderName, &HeaderValue)) {
        if let Some(cookie) = cookie {
            return with(&COOKIE, cookie);
        }
        let ticket = self.authorization.iter().filter(|authorization| authorization.is_ticket());
        for (name, value) in ticket.flat_map(Authorization::fields) {
            with(name, value);
        }
    }

    /// The head of a call that the router makes by itself for the same user: same target, same credential,
    /// unless that is a ticket, which is for the client's own call.
    #[must_use]
    pub fn for_own_calls(&self) -> Self {
        let authorization = self.authorization.clone().filter(|authorization| !authorization.is_ticket());
        let own = Self::of(self.target.clone(), passed::for_own_calls(&self.passed), authorization);
        Self { do_as: self.do_as.clone(), ..own }
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

/// A line of a head, with the end of the one before it.
fn line<'a>(name: &'a HeaderName, value: &'a HeaderValue) -> [&'a [u8]; 4] {
    [b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]
}

/// A target that names a host may go on without a slash: with a query, or not at all.
fn with_slash(target: &PathAndQuery) -> PathAndQuery {
    match target.as_str().as_bytes() {
        [b'/' | b'*', ..] => target.clone(),
        // Printed, it has one.
        _ => target.to_string().try_into().unwrap_or_else(|_| target.clone()),
    }
}

/// All that came as cookies, in one field (RFC 9110, section 5.3); none if there is nothing.
fn cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    let values: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if values.is_empty() { None } else { secret(values.join(&b"; "[..])) }
}

/// Whether the connection ends with the answer to a request: the client said `Connection: close`, or speaks
/// HTTP/1.0 and did not ask to keep it.
pub fn closes(head: &Parts) -> bool {
    let says = |option: &str| {
        let values = head.headers.get_all(CONNECTION).iter();
        let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    says("close") || (head.version < Version::HTTP_11 && !says("keep-alive"))
}

#[cfg(test)]
mod tests;
