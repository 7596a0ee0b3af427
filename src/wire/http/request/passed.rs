//! The fields that pass from a client to a coordinator: an allow-list, so that nothing passes of which the
//! router does not know what a coordinator makes of it.

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::error::{BadRequest, LONGEST_FORWARDED};

/// Impala keeps it in the session and names its trace after it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The credential of Hive's clients that have a delegation token; see [`super::Authorization`].
pub(super) const DELEGATION_TOKEN: HeaderName = HeaderName::from_static("x-hive-delegation-token");

/// Hive: `hive.server2.xsrf.filter.enabled` asks for it in every request.
const XSRF: &str = "x-xsrf-header";

/// Asks for a login by SAML, in place of a call.
const RESPONSE_PORT: HeaderName = HeaderName::from_static("x-hive-token-response-port");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What Hive and Impala know under these is a part of the login (SAML), or for their logs.
const HIVE: &str = "x-hive-";
const IMPALA: &str = "x-impala-";

const THRIFT: HeaderValue = HeaderValue::from_static("application/x-thrift");
const ROUTER: HeaderValue = HeaderValue::from_static("hs2router");

/// How long a value of X-Forwarded-For usually is at most, in bytes.
const USUAL_FORWARDED: usize = 64;

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

/// One field. Copies share its bytes.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
}

/// All that pass but for host, credential and cookie.
pub(super) fn fields(headers: &HeaderMap, peer: Peer<'_>) -> Result<Vec<Field>, BadRequest> {
    const ALWAYS: usize = 2;
    let mut fields = Vec::with_capacity(ALWAYS + headers.len());
    fields.push(Field { name: CONTENT_TYPE, value: content_type(headers) });
    fields.push(Field { name: FORWARDED_FOR, value: forwarded_for(headers, peer)? });
    for name in headers.keys().filter(|name| !peer.forbidden.contains(name)) {
        let mut values = headers.get_all(name).iter();
        let passed = |value: &HeaderValue| Field { name: name.clone(), value: value.clone() };
        match passes(name) {
            Passes::Not => {}
            // Impala takes the last.
            Passes::Once => fields.extend(values.next_back().map(passed)),
            Passes::EachTime => fields.extend(values.map(passed)),
        }
    }
    Ok(fields)
}

enum Passes {
    Not,
    Once,
    EachTime,
}

fn passes(name: &HeaderName) -> Passes {
    match name.as_str() {
        "user-agent" | "x-request-id" | XSRF => Passes::Once,
        name if name.starts_with(HIVE) || name.starts_with(IMPALA) => {
            if DELEGATION_TOKEN == name {
                Passes::Not
            } else {
                Passes::EachTime
            }
        }
        _ => Passes::Not,
    }
}

/// Those of a call that no client makes.
pub(super) fn anonymous() -> Vec<Field> {
    vec![Field { name: CONTENT_TYPE, value: THRIFT }, Field { name: USER_AGENT, value: ROUTER }]
}

/// Those of a call that the router makes as itself. Hive may ask for the last one.
pub(super) fn of_router() -> Vec<Field> {
    let asked_for = Field { name: HeaderName::from_static(XSRF), value: HeaderValue::from_static("true") };
    anonymous().into_iter().chain([asked_for]).collect()
}

/// Those of a call that the router makes in its own name for a client: `own`, but with the client's names for
/// its program and for the call.
pub(super) fn on_behalf_of(own: &[Field], client: &[Field]) -> Vec<Field> {
    let names =
        |name: &HeaderName| [USER_AGENT, REQUEST_ID].contains(name) || name.as_str().starts_with(IMPALA);
    let own = own.iter().filter(|field| field.name != USER_AGENT);
    own.chain(client.iter().filter(|field| names(&field.name))).cloned().collect()
}

/// Those that a login needs, with the router's own name in place of the client's program.
pub(super) fn for_own_calls(fields: &[Field]) -> Vec<Field> {
    let of_client = |name: &HeaderName| {
        [USER_AGENT, REQUEST_ID, RESPONSE_PORT].contains(name) || name.as_str().starts_with(IMPALA)
    };
    let router = Field { name: USER_AGENT, value: ROUTER };
    fields.iter().filter(|field| !of_client(&field.name)).cloned().chain([router]).collect()
}

/// The client's own, if it is one of Thrift's.
fn content_type(headers: &HeaderMap) -> HeaderValue {
    const REGISTERED: &[u8] = b"application/vnd.apache.thrift";
    let is_thrift = |value: &&HeaderValue| {
        let value = value.as_bytes();
        [THRIFT.as_bytes(), REGISTERED]
            .iter()
            .any(|known| value.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)))
    };
    headers.get(CONTENT_TYPE).filter(is_thrift).cloned().unwrap_or(THRIFT)
}

/// One value, since Impala reads the first of several: the address of the connection, behind what a trusted
/// proxy says.
///
/// # Errors
/// When all that does not fit. To leave something out could make another host the first, and so the one that
/// a coordinator trusts (Impala: `--trusted_domain`, with `--trusted_domain_use_xff_header`).
fn forwarded_for(headers: &HeaderMap, peer: Peer<'_>) -> Result<HeaderValue, BadRequest> {
    let mut value = SmallVec::<[u8; USUAL_FORWARDED]>::new();
    if peer.is_trusted_proxy {
        let said = headers.get_all(FORWARDED_FOR).iter().map(|value| value.as_bytes().trim_ascii());
        for said in said.filter(|said| !said.is_empty()) {
            value.extend_from_slice(said);
            value.extend_from_slice(b", ");
        }
    }
    push_address(&mut value, peer.address.to_canonical());
    if value.len() > LONGEST_FORWARDED {
        return Err(BadRequest::LongForwarded);
    }
    HeaderValue::from_bytes(&value).map_err(|_| BadRequest::LongForwarded)
}

/// Appends an address as it is usually written. The formatting of the standard library takes more
/// instructions for an IPv4 address than all else that is done to the fields.
fn push_address(text: &mut SmallVec<[u8; USUAL_FORWARDED]>, address: IpAddr) {
    let octets = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => return text.extend_from_slice(address.to_string().as_bytes()),
    };
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}
