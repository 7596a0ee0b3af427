//! Session and query ids and the secret that goes with them.

use std::fmt;

use rand::Rng;

use super::refusal::Refusal;
use crate::idl::t_c_l_i_service::THandleIdentifier;

/// A session or query id: 16 bytes on the HS2 wire, `hi:lo` in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// A new session id.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// A new query id; the low half of its second word is zero (Impala: `uid-util.h` `UuidToQueryId`).
    pub fn random_query(rng: &mut impl Rng) -> Self {
        let Self(mut bytes) = Self::random(rng);
        for byte in bytes.iter_mut().skip(8).take(4) {
            *byte = 0;
        }
        Self(bytes)
    }

    /// As Java prints it (Hive: `HandleIdentifier` `toString`).
    pub(super) fn uuid(self) -> String {
        let number = format!("{:032x}", u128::from_be_bytes(self.0));
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| number.get(part).unwrap_or_default());
        parts.join("-")
    }

    /// Reads the printed form. A text that cannot be read becomes zero, because Impala ignores such failures
    /// (Impala: `impala-beeswax-server.cc` `BeeswaxHandleToTUniqueId`).
    pub fn from_text(text: &str) -> Self {
        let (high, low) = text.split_once(':').unwrap_or((text, ""));
        let word = |part: &str| u64::from_str_radix(part, 16).unwrap_or(0).to_le_bytes();
        let mut bytes = [0; 16];
        let halves = word(high).into_iter().chain(word(low));
        for (byte, value) in bytes.iter_mut().zip(halves) {
            *byte = value;
        }
        Self(bytes)
    }
}

impl fmt::Display for Id {
    /// Two little-endian words in hexadecimal (Impala: `debug-util.cc` `PrintId`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_le_bytes(self.0);
        write!(f, "{:016x}:{:016x}", number & u128::from(u64::MAX), number >> 64)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a handle whose two parts are 16 bytes long.
pub(super) fn identifier(handle: &THandleIdentifier) -> Result<Id, Refusal> {
    let malformed = Refusal::MalformedHandle { guid: handle.guid.len(), secret: handle.secret.len() };
    match <[u8; 16]>::try_from(handle.guid.as_slice()) {
        Ok(guid) if handle.secret.len() == 16 => Ok(Id(guid)),
        _ => Err(malformed),
    }
}

/// Proves that a handle was given to the caller; never printed.
#[derive(Clone, Copy)]
pub(super) struct Secret(pub(super) [u8; 16]);

impl Secret {
    pub(super) fn random(rng: &mut impl Rng) -> Self {
        Self(Id::random(rng).0)
    }

    /// Whether `other` is the same secret. The time does not depend on where they differ.
    pub(super) fn matches(&self, other: &[u8]) -> bool {
        other.len() == self.0.len() && self.0.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn an_id_prints_its_bytes_as_two_little_endian_words() {
        let id = Id([1, 0, 0, 0, 0, 0, 0, 0xa0, 0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(id.to_string(), "a000000000000001:0000000200000000");
        assert_eq!(Id::from_text(&id.to_string()), id);
    }

    #[test]
    fn a_query_id_ends_in_eight_zeros() {
        let text = Chance::from_system().draw(Id::random_query).to_string();
        assert!(text.ends_with("00000000"), "{text}");
    }

    #[test]
    fn a_secret_matches_only_itself() {
        let secret = Secret([7; 16]);
        assert!(secret.matches(&[7; 16]));
        assert!(!secret.matches(&[7; 15]));
        assert!(!secret.matches(&[0; 16]));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
