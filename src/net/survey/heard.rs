//! The questions of a survey, and what the answers mean.

use bytes::BytesMut;

use super::spoken::{HttpAnswer, Mechanism, Spoken};
use crate::wire::detect::Speech;
use crate::wire::method;
use crate::wire::sasl::{Status, encode, parse};
use crate::wire::scan::Scanner;
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

/// A method and a mechanism that no server has.
const NO_METHOD: &[u8] = b"hs2router_doctor";
const NO_MECHANISM: &[u8] = b"HS2ROUTER-DOCTOR";
/// A method of Beeswax that no server of HS2 has, and that changes nothing (`ImpalaService.thrift`).
const BEESWAX_PING: &[u8] = b"PingImpalaService";

/// How many fields a head may have.
const MOST_FIELDS: usize = 100;
/// The longest message of SASL that is an answer to a question here.
const LONGEST_TEXT: usize = 8 << 10;
/// How many characters of a scheme with its parameters are kept.
const LONGEST_SCHEME: usize = 80;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Thrift,
    Sasl,
    Http,
    Mechanism(&'static str),
    Beeswax,
}

impl Asked {
    pub(super) fn question(self, host: &str) -> BytesMut {
        let call = |method| Writer::message(MessageType::Call, method, 0, |_| {});
        match self {
            Self::Thrift => call(NO_METHOD),
            Self::Beeswax => call(BEESWAX_PING),
            Self::Sasl => BytesMut::from(encode(Status::Start, NO_MECHANISM).as_slice()),
            Self::Mechanism(name) => {
                let mut question = BytesMut::from(encode(Status::Start, name.as_bytes()).as_slice());
                question.extend_from_slice(&encode(Status::Bad, b""));
                question
            }
            Self::Http => {
                let body = call(NO_METHOD);
                let head = format!(
                    "POST /cliservice HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-thrift\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let mut question = BytesMut::from(head.as_str());
                question.extend_from_slice(&body);
                question
            }
        }
    }
}

/// What came on a connection after a question.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) heard: Vec<u8>,
    /// Whether the peer ended the connection.
    pub(super) is_closed: bool,
}

/// Whether nothing that comes later would change what these bytes mean.
pub(super) fn is_enough(heard: &[u8]) -> bool {
    match Speech::guess(heard) {
        None => !heard.is_empty(),
        Some(Speech::HttpResponse) => heard.windows(4).any(|four| four == b"\r\n\r\n"),
        Some(Speech::Sasl) => !matches!(parse(heard, LONGEST_TEXT), Ok(None)),
        Some(Speech::Thrift) => heard.len() > 4,
        Some(Speech::TlsAlert | Speech::Tls | Speech::HttpRequest | Speech::Framed) => heard.len() > 8,
    }
}

impl Answer {
    /// What speaks so.
    pub(super) fn spoken(&self) -> Spoken {
        match Speech::guess(&self.heard) {
            None if !self.heard.is_empty() => Spoken::Other,
            None if self.is_closed => Spoken::Closes,
            None => Spoken::Silence,
            Some(Speech::Thrift) => Spoken::Thrift { is_beeswax: false },
            Some(Speech::Sasl) => Spoken::Sasl { plain: Mechanism::Unknown, gssapi: Mechanism::Unknown },
            Some(Speech::HttpResponse) => http(&self.heard).map_or(Spoken::Other, Spoken::Http),
            Some(Speech::TlsAlert | Speech::Tls) => Spoken::Tls,
            Some(Speech::HttpRequest | Speech::Framed) => Spoken::Other,
        }
    }

    /// Whether a mechanism was refused: BAD says so, and a close or any other answer is to the BAD that was sent.
    pub(super) fn mechanism(&self) -> Mechanism {
        match parse(&self.heard, LONGEST_TEXT) {
            Ok(Some(message)) if message.status == Status::Bad => Mechanism::Refused,
            Ok(None) if self.heard.is_empty() && !self.is_closed => Mechanism::Unknown,
            _ => Mechanism::Offered,
        }
    }

    /// Whether it is a Thrift reply, and no exception.
    pub(super) fn is_reply(&self) -> bool {
        let mut scanner = Scanner::reply(&method::UNKNOWN, LONGEST_TEXT as u64);
        let _step = scanner.push(&self.heard);
        Speech::guess(&self.heard) == Some(Speech::Thrift)
            && scanner.past_header()
            && !scanner.facts().is_exception()
    }
}

/// The head of an answer over HTTP; `None` if it is none.
fn http(heard: &[u8]) -> Option<HttpAnswer> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(heard).ok()?;
    let mut answer = HttpAnswer { status: response.code?, ..HttpAnswer::default() };
    for field in response.headers {
        let Ok(value) = std::str::from_utf8(field.value) else { continue };
        if field.name.eq_ignore_ascii_case("www-authenticate") {
            answer.authenticate.push(scheme(value));
        } else if field.name.eq_ignore_ascii_case("date") {
            answer.date = httpdate::parse_http_date(value).ok();
        }
    }
    Some(answer)
}

/// A scheme with its parameters, as `Basic realm="impala"`, but never a token behind it.
fn scheme(value: &str) -> String {
    let value = value.trim();
    let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
    let kept = if rest.contains('"') { value } else { name };
    kept.chars().filter(|one| !one.is_control()).take(LONGEST_SCHEME).collect()
}
