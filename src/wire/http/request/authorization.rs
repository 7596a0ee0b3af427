//! What a client proves its user with in every request, and what stands for it in tables.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::BadRequest;
use super::passed::{DELEGATION_TOKEN, Peer};
use crate::ids::Proof;
use crate::wire::http::secret;

/// How a client proves its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A name and a password.
    Basic,
    /// A token: JWT, OAuth, or what SAML has given.
    Bearer,
    /// A ticket of Kerberos, good for one request to one coordinator.
    Negotiate,
    /// A token that Hive has given to a client with Kerberos, in a header of its own
    /// (`X-Hive-Delegation-Token`; Hive looks at it first).
    DelegationToken,
    /// Something else, which only a coordinator may understand.
    Other,
}

impl Scheme {
    /// The scheme of an `Authorization`, whose first word names it in any case. Hive's JDBC driver sends
    /// `Negotiate : token`.
    fn of(value: &[u8]) -> Self {
        let word = value.split(|byte| *byte == b' ').next().unwrap_or_default();
        let known = [("basic", Self::Basic), ("bearer", Self::Bearer), ("negotiate", Self::Negotiate)];
        let scheme = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        scheme.map_or(Self::Other, |(_, scheme)| scheme)
    }
}

/// With what credentials are hashed. It is made anew for each process, so that a hash tells nobody anything
/// about the credential, and nobody finds two that have the same.
pub struct CredentialKey(hmac::Key);

impl CredentialKey {
    /// The key that is made of this chance.
    pub fn new(chance: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, chance))
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey")
    }
}

/// What a client proves its user with: `Authorization`, a delegation token of Hive, or both. Zeroed when it
/// and its copies are gone; `Debug` shows the scheme alone.
#[derive(Clone)]
pub struct Authorization {
    scheme: Scheme,
    header: Option<HeaderValue>,
    delegation_token: Option<HeaderValue>,
    /// Whether it was sent to a coordinator, if it is a ticket. Copies share this.
    is_spent: Option<Arc<AtomicBool>>,
}

impl Authorization {
    /// Reads it from a client's fields; an empty one is none. A delegation token beside a ticket is dropped.
    pub(super) fn read(headers: &HeaderMap, peer: Peer<'_>) -> Result<Option<Self>, BadRequest> {
        let header = only(headers, &AUTHORIZATION)?;
        let shown = header.as_ref().map(|value| Scheme::of(value.as_bytes()));
        // A ticket is good once, and whoever judges it has judged the request: nothing that lasts goes along.
        let is_dropped = shown == Some(Scheme::Negotiate) || peer.forbidden.contains(&DELEGATION_TOKEN);
        let delegation_token = only(headers, &DELEGATION_TOKEN)?.filter(|_| !is_dropped);
        let Some(scheme) = delegation_token.as_ref().map(|_| Scheme::DelegationToken).or(shown) else {
            return Ok(None);
        };
        let is_spent = (scheme == Scheme::Negotiate).then(Arc::default);
        Ok(Some(Self { scheme, header, delegation_token, is_spent }))
    }

    /// How the user is proven.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it proves the user only once.
    pub(super) fn is_ticket(&self) -> bool {
        self.is_spent.is_some()
    }

    /// Whether it is a ticket that was not taken yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_spent.as_ref().is_some_and(|is_spent| !is_spent.load(Ordering::Relaxed))
    }

    /// Takes a ticket for a request to a coordinator; returns whether it is one that was not taken before.
    pub(super) fn spend(&self) -> bool {
        self.is_spent.as_ref().is_some_and(|is_spent| !is_spent.swap(true, Ordering::Relaxed))
    }

    /// A ticket of the router's own, in this token of GSSAPI.
    pub(super) fn negotiate(token: &[u8]) -> Option<Self> {
        let header = negotiate(token)?;
        Some(Self {
            scheme: Scheme::Negotiate,
            header: Some(header),
            delegation_token: None,
            is_spent: Some(Arc::default()),
        })
    }

    /// The token of GSSAPI in a ticket; empty if there is none, or if it is malformed. What stands before it is
    /// passed over, as servers do (Impala: `authentication.cc` `NegotiateAuth`; Hive: `HttpAuthHelper`).
    pub fn token(&self) -> Vec<u8> {
        let ticket = self.header.as_ref().filter(|_| self.is_ticket()).map(HeaderValue::as_bytes);
        let mut words = ticket.unwrap_or_default().split(|byte| *byte == b' ');
        // The first names the scheme.
        let last = words.next().and_then(|_| words.next_back()).unwrap_or_default();
        BASE64.decode(last).unwrap_or_default()
    }

    /// What it stands for in tables.
    pub(super) fn proof(&self, key: &CredentialKey) -> Proof {
        let hash = self.hash(key);
        if self.is_ticket() { Proof::Ticket(hash) } else { Proof::Lasting(hash) }
    }

    /// A hash of all of it. Equal ones have equal hashes; different ones have different ones, but for a
    /// chance of one in 2^128.
    pub fn hash(&self, key: &CredentialKey) -> [u64; 2] {
        let mut hashing = hmac::Context::with_key(&key.0);
        for value in [&self.header, &self.delegation_token] {
            let bytes = value.as_ref().map_or(&[][..], HeaderValue::as_bytes);
            // With its length before it, so that no byte can be counted to the other one.
            hashing.update(&(bytes.len() as u64).to_be_bytes());
            hashing.update(bytes);
        }
        let tag = hashing.sign();
        let half = |half: &[u8]| half.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
        let (first, rest) = tag.as_ref().split_at_checked(8).unwrap_or_default();
        [half(first), half(rest)]
    }

    /// The fields that it came in.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        static NAMES: [HeaderName; 2] = [AUTHORIZATION, DELEGATION_TOKEN];
        let values = [&self.header, &self.delegation_token];
        NAMES.iter().zip(values).filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
    }
}

/// In constant time: a connection's last one may be compared with what a stranger sends after it.
impl PartialEq for Authorization {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |one: &Option<HeaderValue>, other: &Option<HeaderValue>| match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
            }
            _ => false,
        };
        is_same(&self.header, &other.header) && is_same(&self.delegation_token, &other.delegation_token)
    }
}

impl Eq for Authorization {}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The value of a field that carries this token of GSSAPI (RFC 4559, sections 4.1 and 4.2).
pub fn negotiate(token: &[u8]) -> Option<HeaderValue> {
    secret(format!("Negotiate {}", BASE64.encode(token)).into_bytes())
}

/// A copy of a field's only value that is zeroed in the end.
fn only(headers: &HeaderMap, name: &HeaderName) -> Result<Option<HeaderValue>, BadRequest> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(BadRequest::TwoAuthorizations);
    };
    let bytes = value.map_or(&[][..], |value| value.as_bytes().trim_ascii());
    Ok(if bytes.is_empty() { None } else { secret(bytes.to_vec()) })
}
