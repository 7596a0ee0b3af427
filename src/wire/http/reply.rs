//! Heads of what a client is answered without a message of Thrift: what of a coordinator's own answer is
//! passed on, and the router's words.

use std::num::NonZeroU32;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::response::Parts;
use http::{HeaderValue, Response, StatusCode};

/// How much text of a coordinator's answer is passed on, in bytes.
pub const TEXT_LIMIT: usize = 64 << 10;

/// How many challenges are passed on, and how long each may be, in bytes.
const MOST_CHALLENGES: usize = 8;
const LONGEST_CHALLENGE: usize = 4 << 10;

/// The challenges that are passed on.
const CHALLENGES: [&[u8]; 3] = [b"basic", b"bearer", b"negotiate"];

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS, POST");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const NEGOTIATE: HeaderValue = HeaderValue::from_static("Negotiate");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"hs2router\"");

/// The head of an answer in plain text, whose length is left to whoever sends it.
///
/// It ends the connection where the next request could not be told from the rest of this one, and with 401:
/// impala-shell would otherwise send the request again without having read this answer, and Python's client
/// then gives up.
pub fn error_head(status: StatusCode, retry_after: Option<NonZeroU32>) -> Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    head.headers.insert(CONTENT_TYPE, TEXT);
    if let Some(seconds) = retry_after {
        head.headers.insert(RETRY_AFTER, seconds.get().into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        head.headers.insert(ALLOW, METHODS);
    }
    if ends_connection(status) {
        head.headers.insert(CONNECTION, CLOSE);
    }
    head
}

/// What a client may prove its user with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A ticket of Kerberos.
    Ticket,
    /// That, or a name and a password.
    TicketOrPassword,
}

/// The head of an answer that asks for a login, such as a fresh ticket of Kerberos. The client comes back with
/// one on another connection (impala-shell, impyla and JDBC do, once; RFC 4559, section 4.1).
pub fn challenge_head(challenge: Challenge) -> Parts {
    let mut head = error_head(StatusCode::UNAUTHORIZED, None);
    head.headers.insert(WWW_AUTHENTICATE, NEGOTIATE);
    if challenge == Challenge::TicketOrPassword {
        head.headers.append(WWW_AUTHENTICATE, BASIC);
    }
    head
}

/// The head of the answer to OPTIONS: what is allowed, and no body.
pub fn options_head() -> Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.headers.insert(ALLOW, METHODS);
    head
}

/// What is passed on of a coordinator's answer that is not 200: its status, what it says about logins, and
/// when to come again. A cookie is never passed on, nor anything else. A status that is no error, which no
/// call of Thrift has, becomes 502.
pub fn passed_on(head: &Parts) -> Parts {
    let is_error = head.status.is_client_error() || head.status.is_server_error();
    let status = if is_error { head.status } else { StatusCode::BAD_GATEWAY };
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut passed = error_head(status, retry_after);
    let challenges = head.headers.get_all(WWW_AUTHENTICATE).iter();
    for challenge in challenges.filter(|challenge| is_passed(challenge)).take(MOST_CHALLENGES) {
        passed.headers.append(WWW_AUTHENTICATE, challenge.clone());
    }
    passed
}

/// As much of a coordinator's text as is passed on: up to [`TEXT_LIMIT`], not ending inside a character.
pub fn text(body: &[u8]) -> &[u8] {
    let is_inside = |byte: &u8| byte & 0xc0 == 0x80;
    let mut end = body.len().min(TEXT_LIMIT);
    while body.get(end).is_some_and(is_inside) && end > 0 {
        end -= 1;
    }
    body.get(..end).unwrap_or_default()
}

fn is_passed(challenge: &HeaderValue) -> bool {
    let challenge = challenge.as_bytes();
    let scheme = challenge.split(|byte| b" ,".contains(byte)).next().unwrap_or_default();
    challenge.len() <= LONGEST_CHALLENGE && CHALLENGES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn ends_connection(status: StatusCode) -> bool {
    [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        StatusCode::NOT_IMPLEMENTED,
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    ]
    .contains(&status)
}

#[cfg(test)]
mod tests;
