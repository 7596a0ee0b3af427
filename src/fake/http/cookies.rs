//! The cookies that spare a client its password (Impala: `authentication-util.cc`; Hive: `CookieSigner`).

use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL;
use rand::Rng as _;

use super::counts::Ledger;
use crate::chance::Chance;
use crate::clock;
use crate::fake::manner::Manner;

/// How many bytes a key has (Impala: `AuthenticationHash`).
const KEY_BYTES: usize = 32;
/// What has led to a cookie (Impala: `authentication.cc`, what is given to `GenerateCookie`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// A password, or the trusted header.
    Plain,
    /// A ticket.
    Spnego,
}

impl Mechanism {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Spnego => "SPNEGO",
        }
    }
}

/// Issues cookies and knows them again.
pub(super) struct Signer {
    key: hmac::Key,
    /// What the times in cookies are counted from.
    born: Instant,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    /// One with a key of its own, which no other coordinator and no restarted one has.
    pub(super) fn new(chance: &Chance) -> Self {
        let mut key = [0; KEY_BYTES];
        chance.draw(|rng| rng.fill_bytes(&mut key));
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), born: clock::now() }
    }

    /// A cookie's value for a user.
    fn value(&self, manner: Manner, mechanism: Mechanism, user: &str, chance: u64) -> String {
        let at = clock::now().saturating_duration_since(self.born).as_millis();
        if manner == Manner::Impala {
            // The time is the monotonic one of whoever issues it.
            let about = format!("u={user}&t={at}&r={chance}&a={}", mechanism.as_str());
            format!("{}&{about}", self.sign(&about))
        } else {
            let about = format!("cu={user}&rn={chance}");
            format!("{about}&s={}", self.sign(&about))
        }
    }

    /// The user whom this coordinator issued a cookie for, if its time is not over.
    fn user(&self, manner: Manner, value: &str, lifetime: Duration) -> Option<String> {
        let value = value.trim_matches('"');
        if manner != Manner::Impala {
            let (about, signature) = value.rsplit_once("&s=")?;
            let user = about.strip_prefix("cu=")?.split('&').next()?;
            return self.verifies(about, signature).then(|| user.to_owned());
        }
        let (signature, about) = value.split_once('&')?;
        let fields: Vec<&str> = about.split('&').collect();
        // Exactly these, so that a name with "&" in it has no cookies (Impala: `AuthenticateCookie`).
        let [user, at, chance, mechanism] = fields.as_slice() else { return None };
        let user = user.strip_prefix("u=").filter(|user| !user.is_empty())?;
        let at = Duration::from_millis(at.strip_prefix("t=")?.parse().ok()?);
        let is_whole = chance.starts_with("r=") && mechanism.starts_with("a=");
        let age = clock::now().saturating_duration_since(self.born).saturating_sub(at);
        (is_whole && age <= lifetime && self.verifies(about, signature)).then(|| user.to_owned())
    }

    fn sign(&self, about: &str) -> String {
        BASE64URL.encode(hmac::sign(&self.key, about.as_bytes()).as_ref())
    }

    fn verifies(&self, about: &str, signature: &str) -> bool {
        let signature = BASE64URL.decode(signature.as_bytes()).unwrap_or_default();
        hmac::verify(&self.key, about.as_bytes(), &signature).is_ok()
    }
}

/// The cookies of one coordinator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookies {
    pub(super) manner: Manner,
    /// Zero: there are none (Impala: `--max_cookie_lifetime_s`).
    pub(super) lifetime: Duration,
}

impl Cookies {
    fn name(self) -> &'static str {
        if self.manner == Manner::Impala { "impala.auth" } else { "hive.server2.auth" }
    }

    /// The field that gives a client a cookie.
    pub(super) fn issue(self, ledger: &Ledger, chance: &Chance, mechanism: Mechanism, user: &str) -> String {
        let (name, age) = (self.name(), self.lifetime.as_secs());
        let random = chance.draw(|rng| u64::from(rng.next_u32()));
        let value = ledger.signer().value(self.manner, mechanism, user, random);
        match self.manner {
            Manner::Impala => format!("Set-Cookie: {name}={value};HttpOnly;Max-Age={age}"),
            Manner::Hive { .. } => format!("SET-COOKIE: {name}={value};Version=0;Max-Age={age}; HttpOnly"),
            // Secure unless configured otherwise, with TLS or without
            // (`hive.server2.thrift.http.cookie.is.secure`).
            Manner::Spark => format!("SET-COOKIE: {name}={value};Version=0;Max-Age={age};Secure; HttpOnly"),
        }
    }

    /// The field that takes a bad cookie from a client.
    pub(super) fn forget(self) -> String {
        format!("Set-Cookie: {}=;HttpOnly;Max-Age=0", self.name())
    }

    /// What the cookies of a request say.
    pub(super) fn judge(self, ledger: &Ledger, field: &str) -> Verdict {
        let pairs = field.split(';').filter_map(|pair| pair.trim().split_once('='));
        let mut own = pairs.filter(|(name, _)| *name == self.name()).peekable();
        if own.peek().is_none() {
            return Verdict::None;
        }
        let signer = ledger.signer();
        own.find_map(|(_, value)| signer.user(self.manner, value, self.lifetime))
            .map_or(Verdict::Bad, Verdict::Good)
    }
}

/// What cookies are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None is this server's.
    None,
    Bad,
    /// It was issued for this user.
    Good(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[tokio::test(start_paused = true)]
    async fn a_cookie_is_good_in_its_time_and_where_it_was_issued() {
        for manner in [Manner::Impala, Manner::Spark] {
            let (here, there) = (Signer::new(&Chance::from_seed(1)), Signer::new(&Chance::from_seed(2)));
            let value = here.value(manner, Mechanism::Plain, "ann", 7);
            assert_eq!(here.user(manner, &value, DAY).as_deref(), Some("ann"));
            assert_eq!(here.user(manner, &format!("\"{value}\""), DAY).as_deref(), Some("ann"));
            assert_eq!(there.user(manner, &value, DAY), None);
            assert_eq!(here.user(manner, &value.replace("ann", "bob"), DAY), None);
            for end in 0..value.len() {
                assert_eq!(here.user(manner, &value[..end], DAY), None);
            }
            tokio::time::advance(DAY + Duration::from_millis(1)).await;
            // Hive and Spark leave the time to the client.
            assert_eq!(here.user(manner, &value, DAY).is_some(), manner == Manner::Spark);
        }
    }

    #[test]
    fn one_good_cookie_among_others_is_enough() {
        let ledger = Ledger::new(&Chance::from_seed(1));
        let cookies = Cookies { manner: Manner::Impala, lifetime: DAY };
        let value = ledger.signer().value(Manner::Impala, Mechanism::Spnego, "ann", 7);
        let judge = |field: &str| cookies.judge(&ledger, field);
        assert_eq!(judge(&format!("a=b; impala.auth=x; impala.auth={value}")), Verdict::Good("ann".into()));
        assert_eq!(judge("a=b; impala.auth=x"), Verdict::Bad);
        assert_eq!(judge("a=b; hive.server2.auth=x; impala"), Verdict::None);
    }
}
