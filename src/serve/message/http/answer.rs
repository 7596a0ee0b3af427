//! Answers over HTTP that hold no message: the router's own, and those of coordinators.

use std::fmt;
use std::io;
use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::response::Parts;

use crate::net::scratch::Scratch;
use crate::serve::message::end::{BadInput, End};
use crate::serve::message::link_end::ReadError;
use crate::wire::http::reply::{
    Challenge, TEXT_LIMIT, challenge_head, error_head, options_head, passed_on, text,
};
use crate::wire::sasl::kerberos::one_line;

/// When a client that found no room may try again, in seconds.
const RETRY_AFTER: Option<NonZeroU32> = NonZeroU32::new(1);

/// A field that a client gets with the answer to its request, whatever that is.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

/// An answer that holds a text.
pub(crate) struct Answer {
    pub(super) head: Parts,
    pub(super) text: Bytes,
}

impl Answer {
    /// The answer to a question whether the router is there.
    pub(crate) fn healthy() -> Self {
        Self { head: error_head(StatusCode::OK, None), text: Bytes::from_static(b"ok\n") }
    }

    /// The answer to OPTIONS.
    pub(crate) fn options() -> Self {
        Self { head: options_head(), text: Bytes::new() }
    }

    /// The answer to a method that carries no call.
    pub(crate) fn not_allowed() -> Self {
        let head = error_head(StatusCode::METHOD_NOT_ALLOWED, None);
        Self { head, text: Bytes::from_static(b"hs2router: calls come with POST\n") }
    }

    /// The answer to a request for which there is no room now.
    pub(crate) fn no_room(why: &dyn fmt::Display) -> Self {
        let head = error_head(StatusCode::SERVICE_UNAVAILABLE, RETRY_AFTER);
        Self { head, text: format!("{why}\n").into() }
    }

    /// What a client is told whose connection ends before it has an answer; none if it has left.
    pub(super) fn to_end(end: &End) -> Option<Self> {
        let status = match end {
            End::BadInput(BadInput::Head(bad)) => bad.status(),
            End::BadInput(BadInput::Asked(bad)) => bad.status(),
            End::BadInput(BadInput::HandleTooLate { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            End::BadInput(_) => StatusCode::BAD_REQUEST,
            End::ClientStalled { doing: "sent" } | End::HeadTimedOut(_) | End::ClientSlow => {
                StatusCode::REQUEST_TIMEOUT
            }
            End::RouterShutdown | End::NoCoordinator | End::OverLimit(_) => return Some(Self::no_room(end)),
            _ => return None,
        };
        Some(Self { head: error_head(status, None), text: format!("hs2router: {end}\n").into() })
    }
}

/// The head of an answer that holds a reply, as it is sent, with a body of `length` bytes behind it; `is_last`
/// says whether the connection ends after it.
pub(super) fn reply_head(length: u64, is_last: bool, given: &[Given]) -> Scratch {
    let mut head = Scratch::take();
    head.push(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-thrift\r\ncontent-length: ");
    head.push(itoa::Buffer::new().format(length).as_bytes());
    if is_last {
        head.push(b"\r\nconnection: close");
    }
    for Given { name, value } in given {
        for part in [b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()] {
            head.push(part);
        }
    }
    head.push(b"\r\n\r\n");
    head
}

/// The head of an answer as it is sent, with a body of `length` bytes behind it.
pub(super) fn head_bytes(head: &Parts, length: u64) -> Scratch {
    let mut bytes = Scratch::take();
    let status = (head.status.as_str(), head.status.canonical_reason().unwrap_or_default());
    for part in ["HTTP/1.1 ", status.0, " ", status.1, "\r\ncontent-length: ", &length.to_string(), "\r\n"] {
        bytes.push(part.as_bytes());
    }
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.push(part);
        }
    }
    bytes.push(b"\r\n");
    bytes
}

/// A coordinator's answer that holds no reply.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What of its head is passed on.
    head: Parts,
    status: StatusCode,
    text: BytesMut,
}

impl Refusal {
    pub(super) fn of(head: &Parts) -> Self {
        Self { head: passed_on(head), status: head.status, text: BytesMut::new() }
    }

    /// The router's own, to a client whose user only a ticket can prove where its call goes.
    pub(crate) fn ticket_needed() -> Self {
        Self::log_in("hs2router: a fresh ticket is needed for this coordinator\n", Challenge::Ticket)
    }

    /// The router's own, to a client that it does not let in: why, and what the client may prove its user with.
    pub(crate) fn log_in(text: &str, challenge: Challenge) -> Self {
        let (head, text) = (challenge_head(challenge), BytesMut::from(text));
        Self { head, status: StatusCode::UNAUTHORIZED, text }
    }

    /// The router's own, to a client whose ticket cannot be judged now.
    pub(crate) fn no_room(text: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { head: error_head(status, RETRY_AFTER), status, text: BytesMut::from(text) }
    }

    /// Whether it refuses a cookie: with 401, or as Spark does, which takes another server's cookie for an
    /// attack (`CookieSigner.verifyAndExtract`). To be asked only where nothing but a cookie was shown.
    pub(super) fn refuses_cookie(&self) -> bool {
        const BAD_SIGN: &[u8] = b"Invalid sign";
        let has_bad_sign = || self.text.windows(BAD_SIGN.len()).any(|part| part == BAD_SIGN);
        self.is_unauthorized() || (self.status == StatusCode::INTERNAL_SERVER_ERROR && has_bad_sign())
    }

    /// The same to the router itself, on a link of its own: it is not for the client, who has shown nothing there.
    pub(super) fn of_router(&self) -> ReadError {
        let text = format!("{self}: {}", one_line(&String::from_utf8_lossy(&self.text)));
        if self.refuses_cookie() { ReadError::NotLoggedIn(text) } else { io::Error::other(text).into() }
    }

    /// Adds a piece of its text; returns whether there is room for more.
    pub(super) fn add(&mut self, piece: &[u8]) -> bool {
        // What goes beyond the limit is cut off where a character ends.
        let room = (TEXT_LIMIT + 1).saturating_sub(self.text.len());
        self.text.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        piece.len() < room
    }

    /// Whether it is a verdict on the request: no other coordinator may then see its credential, because a few
    /// wrong binds lock an account.
    pub(crate) fn is_verdict(&self) -> bool {
        self.status.is_client_error()
    }

    /// Whether the coordinator does not accept the credential.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// What the client is told.
    pub(crate) fn into_answer(self) -> Answer {
        Answer { text: Bytes::copy_from_slice(text(&self.text)), head: self.head }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)
    }
}
