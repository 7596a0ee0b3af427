//! The cookies that coordinators give to whoever has logged in, which save them the next login.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;

use super::secret;

/// The names under which coordinators give them: Impala's, and that of Hive, Spark and Kyuubi.
pub const NAMES: [&str; 2] = ["impala.auth", "hive.server2.auth"];

/// The longest Set-Cookie that is understood, in bytes.
pub const LONGEST: usize = 4 << 10;

/// A cookie as a coordinator gives it; `Debug` does not show its value.
#[derive(Clone)]
pub struct SetCookie {
    name: Box<str>,
    pair: HeaderValue,
    max_age: Option<Duration>,
    is_empty: bool,
}

/// Reads a Set-Cookie; none if it is malformed or too long. Attributes other than Max-Age do not matter,
/// because the cookie never leaves the router but for the coordinator that gave it.
pub fn parse(value: &[u8]) -> Option<SetCookie> {
    let bytes = Some(value).filter(|bytes| bytes.len() <= LONGEST)?;
    let text = str::from_utf8(bytes).ok()?;
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_ascii();
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let (value, attributes) = split_value(rest.trim_ascii_start())?;
    let age = |attribute: &str| {
        let (name, value) = attribute.split_once('=')?;
        if !name.trim_ascii().eq_ignore_ascii_case("max-age") {
            return None;
        }
        let seconds = value.trim_ascii().trim_matches('"').parse::<i64>().ok()?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let max_age = attributes.split(';').find_map(age);
    let pair = secret([name.as_bytes(), b"=", value.as_bytes()].concat())?;
    Some(SetCookie { name: name.into(), pair, max_age, is_empty: value.trim_matches('"').is_empty() })
}

/// The value, with its quotes if it has some, and the attributes. In quotes a `;` is a part of the value.
fn split_value(rest: &str) -> Option<(&str, &str)> {
    let end = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"')? + 2,
        None => rest.find(';').unwrap_or(rest.len()),
    };
    let (value, attributes) = rest.split_at_checked(end)?;
    Some((value.trim_ascii_end(), attributes))
}

impl SetCookie {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it stands for a login ([`NAMES`]). Others come from what is in front of a coordinator.
    pub fn is_login(&self) -> bool {
        NAMES.contains(&self.name())
    }

    /// How long it is good for, from when it came; none if the coordinator does not say. 0 is a cookie to be
    /// forgotten.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Whether the coordinator takes back what it gave under this name (`Max-Age=0`, or no value).
    pub fn is_taken_back(&self) -> bool {
        self.is_empty || self.max_age == Some(Duration::ZERO)
    }

    /// The value, with quotes if the coordinator has sent some.
    pub fn value(&self) -> &[u8] {
        self.pair.as_bytes().get(self.name.len() + 1..).unwrap_or_default()
    }

    /// The user whom the coordinator names in it, if that was proven by a ticket of Kerberos as far as the
    /// cookie says. To be believed only of a cookie that came from the coordinator itself. None if fields are
    /// missing or left over, as with a `&` in the name.
    ///
    /// Impala: `<signature>&u=<user>&t=<time>&r=<random>&a=<mechanism>`, the last since IMPALA-14083
    /// (`authentication-util.cc`, `GenerateCookie`). Hive, Spark and Kyuubi: `cu=<user>&rn=<random>&s=<signature>`
    /// (`HttpAuthUtils.createCookieToken`, `CookieSigner`).
    pub fn ticket_user(&self) -> Option<&str> {
        let fields: Vec<&str> = str::from_utf8(self.value()).ok()?.trim_matches('"').split('&').collect();
        let user = match fields.as_slice() {
            [_, user, at, random, mechanism @ ..] if self.name() == NAMES[0] => {
                let is_ticket = matches!(mechanism, [] | ["a=SPNEGO"]);
                let is_whole = at.starts_with("t=") && random.starts_with("r=");
                user.strip_prefix("u=").filter(|_| is_ticket && is_whole)
            }
            [user, random, signature] if self.name() == NAMES[1] => {
                let is_whole = random.starts_with("rn=") && signature.starts_with("s=");
                user.strip_prefix("cu=").filter(|_| is_whole)
            }
            _ => None,
        };
        user.filter(|user| !user.is_empty() && !user.chars().any(char::is_control))
    }

    /// What the coordinator is sent back in the field Cookie: name and value exactly as they came. It is
    /// zeroed when all copies are gone.
    pub fn pair(&self) -> &HeaderValue {
        &self.pair
    }
}

impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, max_age, .. } = self;
        f.debug_struct("SetCookie").field("name", name).field("max_age", max_age).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
