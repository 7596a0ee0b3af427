//! Principals of Kerberos, and the tables of users below `[listener.kerberos]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Fault, Problems};
use super::value::{Scalar, Value, bad_value, string, wrong_type};
use crate::session::delegation::Claims;

/// How long a principal may be, in bytes.
const LONGEST: usize = 512;

/// A principal with its realm: `impala/host@REALM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(pub Arc<str>);

/// Why a text is not a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPrincipal {
    /// It has no realm, or more than one `@`.
    #[error("is not a name and a realm with an @ between them")]
    Realm,
    /// It is longer than 512 bytes.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    /// It has a character that principals do not have here.
    #[error("contains the character {0:?}")]
    Character(char),
}

impl Principal {
    /// The part behind the `@`.
    pub fn realm(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, realm)| realm)
    }
}

impl FromStr for Principal {
    type Err = NoPrincipal;

    fn from_str(text: &str) -> Result<Self, NoPrincipal> {
        let is_odd = |one: &char| one.is_control() || one.is_whitespace() || *one == '\\';
        if text.len() > LONGEST {
            return Err(NoPrincipal::TooLong);
        }
        if let Some(odd) = text.chars().find(is_odd) {
            return Err(NoPrincipal::Character(odd));
        }
        match text.split_once('@') {
            Some((name, realm)) if !name.is_empty() && !realm.is_empty() && !realm.contains('@') => {
                Ok(Self(text.into()))
            }
            _ => Err(NoPrincipal::Realm),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const PRINCIPAL: &str = "a principal such as \"impala/host.example.com@EXAMPLE.COM\"";

impl Scalar for Principal {
    fn kind() -> String {
        "principal".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let text = string(value, PRINCIPAL)?;
        text.parse().map_err(|why| bad_value(text, why, PRINCIPAL))
    }
}

/// `realms = ["EXAMPLE.COM"]`
#[derive(Clone, Debug)]
pub(super) struct Realms(pub(super) BTreeSet<String>);

/// `names = { "etl@EXAMPLE.COM" = "etl_user" }`
#[derive(Clone, Debug)]
pub(super) struct NamesOf(pub(super) BTreeMap<String, String>);

/// `proxy_users = { hue = ["*"] }`
#[derive(Clone, Debug)]
pub(super) struct ProxyUsers(pub(super) BTreeMap<String, Claims>);

/// A text that is not empty.
fn word(
    value: &Spanned<DeValue<'_>>,
    expected: &str,
    key: &'static str,
    problems: &mut Problems,
) -> Option<String> {
    let word = string(value.get_ref(), expected).and_then(|text| {
        if text.is_empty() { Err(bad_value(text, "is empty", expected)) } else { Ok(text.to_owned()) }
    });
    word.map_err(|fault| problems.add(&value.span(), key, fault)).ok()
}

/// A list of texts that are not empty. All are read, so that every problem is noted.
fn words(
    value: &Spanned<DeValue<'_>>,
    expected: (&str, &str),
    key: &'static str,
    problems: &mut Problems,
) -> Option<BTreeSet<String>> {
    let (list, one) = expected;
    let Some(found) = value.get_ref().as_array() else {
        problems.add(&value.span(), key, wrong_type(value.get_ref(), list));
        return None;
    };
    let read: Vec<_> = found.iter().map(|value| word(value, one, key, problems)).collect();
    read.into_iter().collect()
}

impl Value for Realms {
    fn kind() -> String {
        "list of realms".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let expected = ("a list of realms such as [\"EXAMPLE.COM\"]", "a realm such as \"EXAMPLE.COM\"");
        words(value, expected, key, problems).map(Self)
    }
}

impl Value for NamesOf {
    fn kind() -> String {
        "table of users by principal".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let fault = wrong_type(value.get_ref(), "a table such as { \"etl@EXAMPLE.COM\" = \"etl_user\" }");
            problems.add(&value.span(), key, fault);
            return None;
        };
        let mut names = BTreeMap::new();
        for (principal, user) in table {
            let text: &str = principal.get_ref();
            if let Err(why) = text.parse::<Principal>() {
                problems.add(&principal.span(), key, bad_value(text, why, PRINCIPAL));
            }
            names.insert(text.to_owned(), word(user, "a user such as \"etl_user\"", key, problems)?);
        }
        Some(Self(names))
    }
}

impl Value for ProxyUsers {
    fn kind() -> String {
        "table of lists of users".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let fault = wrong_type(value.get_ref(), "a table such as { hue = [\"*\"] }");
            problems.add(&value.span(), key, fault);
            return None;
        };
        let mut users = BTreeMap::new();
        for (user, claimed) in table {
            let expected = ("a list of users such as [\"ann\"], or [\"*\"]", "a user, or \"*\" for any");
            let claimed = words(claimed, expected, key, problems)?;
            let claims = if claimed.contains("*") { Claims::Anybody } else { Claims::Of(claimed) };
            let name: &str = user.get_ref();
            users.insert(name.to_owned(), claims);
        }
        Some(Self(users))
    }
}
