//! Decides who may use the page and the API of the admin port: its own page and programs of the operator, but
//! no other web page that happens to be open in a browser on the same machine.
//!
//! A foreign page can make a browser send a POST to a loopback address. But it cannot add a header of its own
//! unless a preflight request allows it, and nothing here does. It cannot read the answer to a GET either,
//! unless its own name was pointed at 127.0.0.1 after it was loaded; such a name shows in `Host`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The header that every request that changes something must have.
pub(super) const HEADER: &str = "x-hs2router";

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the header X-Hs2router: 1 is missing")]
    NoHeader,
    #[error("the header Host does not name a loopback address")]
    ForeignHost,
    #[error("the header Origin names another host than Host")]
    ForeignOrigin,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, format!("{self}\n")).into_response()
    }
}

/// Passes on a request whose `Host` is a loopback address.
///
/// # Errors
/// [`Refusal::ForeignHost`] for any other host, and when `Host` is missing or given twice.
pub(super) async fn own_host(request: Request, next: Next) -> Result<Response, Refusal> {
    host(request.headers())?;
    Ok(next.run(request).await)
}

/// What a browser is told with every answer. The page loads from this port alone and asks only this port,
/// runs no text that is not one of its files, and is no part of another page. Nothing is kept, so that no
/// browser has the page of one version with the figures of another.
const PROTECTION: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// An answer with what protects it in a browser.
pub(super) async fn protect(mut answer: Response) -> Response {
    for (name, value) in PROTECTION {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// The value of `Host`, if it is a loopback address.
fn host(head: &HeaderMap) -> Result<&str, Refusal> {
    only(head, header::HOST.as_str()).filter(|host| is_loopback(host)).ok_or(Refusal::ForeignHost)
}

/// Checks the head of a request that changes something.
///
/// # Errors
/// [`Refusal::NoHeader`] without the header [`HEADER`], [`Refusal::ForeignHost`] if `Host` is not a loopback
/// address, [`Refusal::ForeignOrigin`] if there is an `Origin` that differs from `Host`.
pub(super) fn check(head: &HeaderMap) -> Result<(), Refusal> {
    if only(head, HEADER) != Some("1") {
        return Err(Refusal::NoHeader);
    }
    let host = host(head)?;
    if head.contains_key(header::ORIGIN) {
        let origin = only(head, header::ORIGIN.as_str()).and_then(|origin| origin.parse::<Uri>().ok());
        let authority = origin.as_ref().and_then(Uri::authority);
        if !authority.is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host)) {
            return Err(Refusal::ForeignOrigin);
        }
    }
    Ok(())
}

/// The value of a header that occurs exactly once and is text.
fn only<'h>(head: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = head.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The admin port listens on a loopback address only, so only loopback hosts are its own.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lines: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let mut head = HeaderMap::new();
        for (name, value) in lines {
            head.append(*name, value.parse().unwrap());
        }
        check(&head)
    }

    #[test]
    fn a_program_on_this_machine_may_change_things() {
        for host in ["127.0.0.1:25025", "localhost", "[::1]:25025", "LOCALHOST:1"] {
            assert_eq!(checked(&[(HEADER, "1"), ("host", host)]), Ok(()), "{host}");
        }
        let own_page = [(HEADER, "1"), ("host", "localhost:25025"), ("origin", "http://localhost:25025")];
        assert_eq!(checked(&own_page), Ok(()));
    }

    #[test]
    fn a_request_that_any_page_can_send_may_not() {
        assert_eq!(checked(&[("host", "localhost")]), Err(Refusal::NoHeader));
        assert_eq!(checked(&[(HEADER, "0"), ("host", "localhost")]), Err(Refusal::NoHeader));
    }

    #[test]
    fn a_name_that_was_pointed_here_may_not() {
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1:25025", "127.0.0.1@evil.example", ""]
        {
            assert_eq!(checked(&[(HEADER, "1"), ("host", host)]), Err(Refusal::ForeignHost), "{host}");
        }
        assert_eq!(checked(&[(HEADER, "1")]), Err(Refusal::ForeignHost));
        let twice = [(HEADER, "1"), ("host", "localhost"), ("host", "evil.example")];
        assert_eq!(checked(&twice), Err(Refusal::ForeignHost));
    }

    #[test]
    fn a_page_from_elsewhere_may_not() {
        for origin in
            ["http://evil.example", "null", "http://localhost:9999", "http://localhost.evil.example:25025"]
        {
            let lines = [(HEADER, "1"), ("host", "localhost:25025"), ("origin", origin)];
            assert_eq!(checked(&lines), Err(Refusal::ForeignOrigin), "{origin}");
        }
    }
}
