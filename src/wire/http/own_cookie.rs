//! The router's own cookie, which stands for a ticket of Kerberos that a coordinator, or the router itself, has
//! accepted: clients make a ticket only while they hold no cookie that their server has given them. It names whom
//! the ticket has proven, and only the router that has signed it takes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;

use super::cookie::NAMES;
use super::secret;
use crate::ids::Family;

/// The longest user that has a cookie, in bytes.
const LONGEST_USER: usize = 256;
/// What stands in front of the user: when the cookie is over, in seconds since 1970, and the ticket's hash.
const FIXED: usize = 8 + 16;
/// The longest value, in bytes: user and signature in base64, and a dot.
const LONGEST: usize = (FIXED + LONGEST_USER).div_ceil(3) * 4 + 1 + 43;
/// How many cookies of a request are looked at. Some clients send each that they ever got (hive-driver 1.0).
const MOST: usize = 8;

/// What cookies are signed with. It is made anew for each process.
pub struct CookieKey(hmac::Key);

impl CookieKey {
    /// The key that is made of this chance.
    pub fn new(chance: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, chance))
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey")
    }
}

/// Who has accepted the ticket that a cookie stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedBy {
    /// A coordinator, which named the user.
    Coordinator,
    /// The router, which knows the principal.
    Router,
}

impl AcceptedBy {
    /// What the signature says that it is for, so that no other one can take its place.
    fn purpose(self) -> &'static [u8] {
        match self {
            Self::Coordinator => b"hs2router cookie: Negotiate",
            Self::Router => b"hs2router cookie: accepted principal",
        }
    }
}

/// Where a cookie is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Who has accepted the ticket.
    pub accepted_by: AcceptedBy,
    /// The listener's address, as configured.
    pub listener: &'a str,
    /// The cluster behind it.
    pub cluster: &'a str,
    /// In whose name the user acts (`doAs`).
    pub do_as: Option<&'a str>,
}

/// What a cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCookie {
    /// The user that a coordinator has named, or the principal that the router has accepted.
    pub user: Box<str>,
    /// A hash of the ticket that has earned it.
    pub ticket: [u64; 2],
    /// When it is over, by the time of day.
    pub until: SystemTime,
}

/// The name under which clients of these servers look for a cookie, or keep one at all (Impala:
/// `authentication.cc`, and impala-shell up to 4.4; Hive: `jdbc/…/Utils.java`, `cookieName`).
pub fn name(family: Family) -> &'static str {
    let [impala, hive] = NAMES;
    match family {
        Family::Impala => impala,
        Family::Hive => hive,
    }
}

impl OwnCookie {
    /// The cookie's value, for [`set_cookie`]; none for a user with too long a name. It consists of letters,
    /// digits, `-`, `_` and a dot, so that no client quotes it.
    pub fn sign(&self, key: &CookieKey, place: Place<'_>) -> Option<String> {
        if self.user.is_empty() || self.user.len() > LONGEST_USER {
            return None;
        }
        let until = self.until.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let [first, second] = self.ticket.map(u64::to_be_bytes);
        let said = [&until.to_be_bytes(), &first, &second, self.user.as_bytes()].concat();
        let signature = sign(key, place, &said);
        Some(format!("{}.{}", BASE64URL_NOPAD.encode(&said), BASE64URL_NOPAD.encode(signature.as_ref())))
    }

    /// Reads a cookie's value. None if this key has not signed it for this place, or if its time is over.
    pub fn verify(value: &[u8], key: &CookieKey, place: Place<'_>, now: SystemTime) -> Option<Self> {
        let value = Some(value).filter(|value| value.len() <= LONGEST)?;
        let dot = value.iter().position(|byte| *byte == b'.')?;
        let said = BASE64URL_NOPAD.decode(value.get(..dot)?).ok()?;
        let signature = BASE64URL_NOPAD.decode(value.get(dot + 1..)?).ok()?;
        hmac::verify(&key.0, &signed(place, &said), &signature).ok()?;
        let (fixed, user) = said.split_first_chunk::<FIXED>()?;
        let number = |at: usize| Some(u64::from_be_bytes(*fixed.get(at..)?.first_chunk()?));
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(number(0)?))?;
        let ticket = [number(8)?, number(16)?];
        let user = str::from_utf8(user).ok().filter(|user| !user.is_empty())?.into();
        Some(Self { user, ticket, until }).filter(|cookie| now < cookie.until)
    }

    /// The first cookie of a request that is the router's own and good: a field may hold several, and even
    /// attributes (`PyHive`, hive-driver). `field` is all that came as cookies.
    pub fn find(
        field: &[u8],
        family: Family,
        key: &CookieKey,
        place: Place<'_>,
        now: SystemTime,
    ) -> Option<Self> {
        let own = field.split(|byte| *byte == b';').filter_map(|pair| {
            let value = pair.trim_ascii_start().strip_prefix(name(family).as_bytes())?.strip_prefix(b"=")?;
            Some(value.trim_ascii())
        });
        own.take(MOST).find_map(|value| Self::verify(value, key, place, now))
    }
}

/// The field that gives a client a cookie with this value, which is good for so long, in seconds that have begun.
pub fn set_cookie(family: Family, value: &str, good_for: Duration, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { ";Secure" } else { "" };
    let seconds = good_for.as_millis().div_ceil(1000);
    let field = format!("{}={value};HttpOnly;Max-Age={seconds}{secure}", name(family));
    secret(field.into_bytes())
}

fn sign(key: &CookieKey, place: Place<'_>, said: &[u8]) -> hmac::Tag {
    hmac::sign(&key.0, &signed(place, said))
}

/// What is signed: each part with its length before it, so that no byte can be counted to another.
fn signed(place: Place<'_>, said: &[u8]) -> Vec<u8> {
    let Place { accepted_by, listener, cluster, do_as } = place;
    let acts = if do_as.is_some() { b"1" } else { b"0" };
    let (purpose, do_as) = (accepted_by.purpose(), do_as.unwrap_or_default().as_bytes());
    let parts = [purpose, listener.as_bytes(), cluster.as_bytes(), acts, do_as, said];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests;
