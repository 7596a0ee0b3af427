//! Reads one TOML value into one Rust type, or says what to write instead.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use super::host::{Host, Name};
use super::problem::{Fault, Problems};
use super::units::{ByteSize, TimeSpan};
use super::words::Words;
use crate::net::listen::ListenAddress;
use crate::net::tls::server::Version;

/// A type that a key's value can have.
pub(super) trait Value: Sized {
    /// The type as the reference names it.
    fn kind() -> String;

    /// Reads the value; returns none after a problem was added to `problems`.
    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self>;
}

/// A value that is one TOML token.
pub(super) trait Scalar: Sized {
    fn kind() -> String;
    fn read(value: &DeValue<'_>) -> Result<Self, Fault>;
}

impl<T: Scalar> Value for T {
    fn kind() -> String {
        <T as Scalar>::kind()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let read = T::read(value.get_ref());
        read.map_err(|fault| problems.add(&value.span(), key, fault)).ok()
    }
}

impl Scalar for TimeSpan {
    fn kind() -> String {
        "duration".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        parsed(value, "a duration such as \"250ms\", \"3s\", \"10m\" or \"1h\"")
    }
}

impl Scalar for ByteSize {
    fn kind() -> String {
        "size".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        parsed(value, "a size such as \"64KiB\" or \"16MiB\"")
    }
}

impl Scalar for SocketAddr {
    fn kind() -> String {
        "address and port".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let expected = "an IP address and a port such as \"127.0.0.1:25025\" or \"[::1]:25025\"";
        let text = string(value, expected)?;
        let bad = |_| bad_value(text, "is not an IP address and a port", expected);
        text.parse().map_err(bad)
    }
}

impl Scalar for ListenAddress {
    fn kind() -> String {
        "address and port".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        parsed(
            value,
            "an IP address and a port such as \"0.0.0.0:21050\" or \"[::]:21050\", or \"*:21050\" for both",
        )
    }
}

impl Scalar for Host {
    fn kind() -> String {
        "host".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        parsed(value, "a host name or an IP address")
    }
}

impl Scalar for Name {
    fn kind() -> String {
        "name".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        parsed(value, "a name such as \"impala\"")
    }
}

impl Scalar for PathBuf {
    fn kind() -> String {
        "path".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let expected = "the path of a file";
        let text = string(value, expected)?;
        if text.is_empty() { Err(bad_value(text, "names no file", expected)) } else { Ok(text.into()) }
    }
}

impl Scalar for Version {
    fn kind() -> String {
        "\"1.2\", \"1.3\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let expected = "\"1.2\" or \"1.3\"";
        match string(value, expected)? {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            text @ ("1.0" | "1.1") => {
                Err(bad_value(text, "is not offered by rustls, the TLS library of the router", expected))
            }
            text => Err(bad_value(text, "is not a version of TLS", expected)),
        }
    }
}

impl Scalar for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        value.as_bool().ok_or_else(|| wrong_type(value, "true or false without quotes"))
    }
}

impl Scalar for u64 {
    fn kind() -> String {
        "number".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        whole_number(value)
    }
}

impl Scalar for u16 {
    fn kind() -> String {
        "port".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let range = "a port, 0 to 65535";
        let number: u64 = whole_number(value)?;
        Self::try_from(number).map_err(|_| Fault::OutOfRange { value: number.to_string(), range })
    }
}

impl Scalar for f64 {
    fn kind() -> String {
        "decimal number".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let number = match value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| wrong_type(value, "a number such as 0.1"))
    }
}

impl<W: Words> Scalar for W {
    fn kind() -> String {
        W::listed()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let expected = format!("one of {}", W::listed());
        let text = string(value, &expected)?;
        W::from_word(text).ok_or_else(|| bad_value(text, "is not a valid value", &expected))
    }
}

/// A value together with where it was written, for the checks that look at several.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    /// `None` when the key is absent without a default, or when it is unreadable and a problem was noted.
    pub(super) value: Option<T>,
    /// Whether the file has the key; if not, `value` is the default.
    pub(super) written: bool,
    /// The value's place in the text, or the place of the table in which the key is absent.
    pub(super) at: Range<usize>,
    /// The key's path, as in the reference.
    pub(super) key: &'static str,
}

impl<T> Entry<T> {
    /// Adds a problem with this key.
    pub(super) fn fault(&self, problems: &mut Problems, fault: Fault) {
        problems.add(&self.at, self.key, fault);
    }

    /// Adds a problem if the value does not satisfy `holds`; `range` says in words what would.
    pub(super) fn demand(&self, problems: &mut Problems, holds: impl Fn(&T) -> bool, range: &'static str)
    where
        T: Display,
    {
        if let Some(value) = self.value.as_ref().filter(|value| !holds(value)) {
            self.fault(problems, Fault::OutOfRange { value: value.to_string(), range });
        }
    }
}

pub(super) fn string<'v>(value: &'v DeValue<'_>, expected: &str) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| wrong_type(value, expected))
}

pub(super) fn wrong_type(value: &DeValue<'_>, expected: &str) -> Fault {
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Fault::WrongType { found, expected: expected.to_owned() }
}

pub(super) fn bad_value(value: &str, why: impl Display, expected: &str) -> Fault {
    let remedy = format!("write {expected}");
    Fault::BadValue { value: value.to_owned(), why: why.to_string(), remedy }
}

fn parsed<T: FromStr<Err: Display>>(value: &DeValue<'_>, expected: &str) -> Result<T, Fault> {
    let text = string(value, expected)?;
    text.parse().map_err(|why| bad_value(text, why, expected))
}

fn whole_number(value: &DeValue<'_>) -> Result<u64, Fault> {
    let DeValue::Integer(integer) = value else {
        return Err(wrong_type(value, "a whole number without quotes"));
    };
    let out_of_range = |_| Fault::OutOfRange { value: integer.to_string(), range: "a number from 0" };
    u64::from_str_radix(integer.as_str(), integer.radix()).map_err(out_of_range)
}
