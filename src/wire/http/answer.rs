//! The head of a coordinator's answer, as far as it is of the ordinary kind: 200, and a body of a length that
//! the head says. All replies of Impala are like that (`THttpServer::getHeader`). Any other answer is left
//! to a library.

use std::mem::MaybeUninit;

use http::StatusCode;
use httparse::{Header, ParserConfig, Response, Status};

use super::cookie::{self, SetCookie};
use super::head::{FIELD_LIMIT, HEAD_LIMIT, length};

/// What an answer begins with.
#[derive(Debug)]
pub enum Beginning {
    /// A part of a head.
    Partial,
    /// The head of an ordinary answer.
    Ordinary(Ordinary),
    /// Something else: another status, a body of unknown length, or no head at all.
    Other,
}

/// The head of an ordinary answer.
#[derive(Debug)]
pub struct Ordinary {
    /// How many bytes the head has.
    pub head_len: usize,
    /// How many bytes the body has.
    pub body_len: u64,
    /// Whether the coordinator keeps the connection open after the answer.
    pub keeps_open: bool,
    /// What stands for the login from now on, if the coordinator says something about that.
    pub cookie: Option<SetCookie>,
}

/// The longest head that is kept, in bytes. A link keeps it while it idles.
const LONGEST_KEPT: usize = 512;

/// The head of the ordinary answer that came last from a coordinator. While a link is busy, one answer begins as
/// the one before, `Date` included, and so it need not be read again.
#[derive(Debug, Default)]
pub struct KnownAnswer {
    /// Empty before the first.
    bytes: Vec<u8>,
    body_len: u64,
}

impl KnownAnswer {
    /// Looks at the first bytes of an answer, all that have come.
    pub fn begins(&mut self, bytes: &[u8]) -> Beginning {
        if !self.bytes.is_empty() && bytes.starts_with(&self.bytes) {
            let (head_len, body_len) = (self.bytes.len(), self.body_len);
            return Beginning::Ordinary(Ordinary { head_len, body_len, keeps_open: true, cookie: None });
        }
        let beginning = begins(bytes);
        if let Beginning::Ordinary(Ordinary { head_len, body_len, keeps_open: true, cookie: None }) =
            beginning
            && head_len <= LONGEST_KEPT
        {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes.get(..head_len).unwrap_or_default());
            self.body_len = body_len;
        }
        beginning
    }
}

/// Looks at the first bytes of an answer, all that have come.
fn begins(bytes: &[u8]) -> Beginning {
    let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT as usize];
    let mut answer = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut fields);
    match parsed {
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => Beginning::Partial,
        Ok(Status::Complete(head_len)) => {
            ordinary(&answer, head_len).map_or(Beginning::Other, Beginning::Ordinary)
        }
        _ => Beginning::Other,
    }
}

fn ordinary(answer: &Response<'_, '_>, head_len: usize) -> Option<Ordinary> {
    if answer.code != Some(StatusCode::OK.as_u16()) || answer.version != Some(1) {
        return None;
    }
    let (mut body_len, mut keeps_open, mut cookie) = (None, true, None);
    for Header { name, value } in answer.headers.iter() {
        // By their lengths first: an answer has some more fields that say nothing here.
        match name.len() {
            10 if name.eq_ignore_ascii_case("set-cookie") => {
                cookie = cookie.or_else(|| cookie::parse(value).filter(SetCookie::is_login));
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                let mut options = value.split(|byte| *byte == b',');
                keeps_open &= !options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            14 if name.eq_ignore_ascii_case("content-length") && body_len.is_none() => {
                body_len = Some(length(value)?);
            }
            14 if name.eq_ignore_ascii_case("content-length") => return None,
            17 if name.eq_ignore_ascii_case("transfer-encoding") => return None,
            _ => {}
        }
    }
    Some(Ordinary { head_len, body_len: body_len?, keeps_open, cookie })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(first: &str, fields: &[&str]) -> Vec<u8> {
        [&[first], fields, &["\r\n"]].concat().join("\r\n").into_bytes()
    }

    fn ordinary(fields: &[&str]) -> Option<Ordinary> {
        match begins(&answer("HTTP/1.1 200 OK", fields)) {
            Beginning::Ordinary(ordinary) => Some(ordinary),
            _ => None,
        }
    }

    const IMPALAS: [&str; 5] = [
        "Server: Thrift/0.16.0",
        "Access-Control-Allow-Origin: *",
        "Content-Type: application/x-thrift",
        "Content-Length: 77",
        "Connection: Keep-Alive",
    ];

    #[test]
    fn a_reply_of_impala_is_ordinary_from_its_last_byte_on() {
        let whole = answer("HTTP/1.1 200 OK", &IMPALAS);
        for end in 0..whole.len() {
            assert!(matches!(begins(&whole[..end]), Beginning::Partial), "{end}");
        }
        let with_body = [&whole[..], b"\x80\x01\0\x02"].concat();
        for bytes in [&whole, &with_body] {
            let Beginning::Ordinary(found) = begins(bytes) else { panic!("another kind") };
            assert_eq!((found.head_len, found.body_len, found.keeps_open), (whole.len(), 77, true));
            assert!(found.cookie.is_none());
        }
    }

    #[test]
    fn what_is_of_another_kind_is_left_alone() {
        for first in ["HTTP/1.0 200 OK", "HTTP/1.1 401 Unauthorized", "HTTP/1.1 100 Continue", "junk"] {
            assert!(matches!(begins(&answer(first, &IMPALAS)), Beginning::Other), "{first}");
        }
        assert!(matches!(begins(b"\x80\x01\0\x02"), Beginning::Other));
        for fields in [
            &["Content-Type: application/x-thrift"][..],
            &["Transfer-Encoding: chunked"],
            &["Content-Length: 7", "Transfer-Encoding: chunked"],
            &["Content-Length: 7", "Content-Length: 7"],
            &["Content-Length: +7"],
            &["Content-Length: 7, 7"],
            &["Content-Length:"],
            &["Content-Length: 18446744073709551616"],
        ] {
            assert!(ordinary(fields).is_none(), "{fields:?}");
        }
    }

    #[test]
    fn a_coordinator_says_that_it_closes_the_connection() {
        let keeps_open = |value: &str| ordinary(&["Content-Length: 1", value]).unwrap().keeps_open;
        assert!(keeps_open("Connection: keep-alive"));
        assert!(!keeps_open("connection: Close"));
        assert!(!keeps_open("Connection: TE, close"));
    }

    #[test]
    fn a_head_that_is_known_says_what_it_said_before() {
        let whole = answer("HTTP/1.1 200 OK", &IMPALAS);
        let with_body = [&whole[..], b"\x80\x01\0\x02"].concat();
        let mut known = KnownAnswer::default();
        for bytes in [&whole, &whole, &with_body] {
            let Beginning::Ordinary(found) = known.begins(bytes) else { panic!("another kind") };
            assert_eq!((found.head_len, found.body_len, found.keeps_open), (whole.len(), 77, true));
        }
        for len in 0..whole.len() {
            assert!(matches!(known.begins(&whole[..len]), Beginning::Partial), "{len}");
        }
    }

    #[test]
    fn what_a_head_says_once_is_not_known_of_the_next() {
        let mut known = KnownAnswer::default();
        for field in ["Connection: close", "Set-Cookie: impala.auth=x"] {
            let once = answer("HTTP/1.1 200 OK", &["Content-Length: 7", field]);
            for _ in 0..2 {
                let Beginning::Ordinary(found) = known.begins(&once) else { panic!("another kind") };
                assert_eq!(
                    (found.keeps_open, found.cookie.is_none()),
                    (!field.contains("close"), field.contains("close"))
                );
            }
            assert!(known.bytes.is_empty());
        }
        let long = "x".repeat(LONGEST_KEPT);
        known.begins(&answer("HTTP/1.1 200 OK", &["Content-Length: 7", &format!("Server: {long}")]));
        assert!(known.bytes.is_empty());
    }

    #[test]
    fn only_a_cookie_of_a_login_counts() {
        let found =
            ordinary(&["Set-Cookie: a=b", "set-cookie: impala.auth=x; Max-Age=60", "Content-Length: 1"]);
        let cookie = found.unwrap().cookie.unwrap();
        assert_eq!((cookie.name(), cookie.value()), ("impala.auth", &b"x"[..]));
    }

    #[test]
    fn a_head_may_have_only_so_many_bytes_and_fields() {
        let long = format!("X: {}", "x".repeat(HEAD_LIMIT));
        assert!(matches!(begins(format!("HTTP/1.1 200 OK\r\n{long}").as_bytes()), Beginning::Other));
        let many = vec!["X: y"; usize::from(FIELD_LIMIT) + 1];
        assert!(matches!(begins(&answer("HTTP/1.1 200 OK", &many)), Beginning::Other));
    }

    proptest! {
        #[test]
        fn whatever_comes_a_head_is_no_longer_than_what_has_come(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut known = KnownAnswer::default();
            for bytes in [bytes.clone(), [b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat()] {
                for _ in 0..2 {
                    if let Beginning::Ordinary(found) = known.begins(&bytes) {
                        prop_assert!(found.head_len <= bytes.len());
                    }
                }
            }
        }
    }
}
