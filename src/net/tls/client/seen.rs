//! What a certificate says of itself, for people.

use std::fmt;
use std::net::IpAddr;

use time::{Date, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// How many characters of a name are kept.
const LONGEST_TEXT: usize = 120;
/// How many of the names are kept.
const MOST_NAMES: usize = 5;

/// The facts of a certificate that help to find out what is wrong with it. They come from a peer that nobody
/// has vouched for: they are bounded, and have no characters that could be taken for something else in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCertificate {
    subject: String,
    issuer: String,
    is_self_signed: bool,
    /// The first few of the names and addresses that it is for.
    names: Vec<String>,
    /// How many more it has.
    more_names: usize,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl SeenCertificate {
    /// Reads a DER certificate; none if it is not one.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let all = alternative.map_or(&[][..], |names| &names.value.general_names);
        let mut names: Vec<String> = all.iter().filter_map(name).collect();
        let more_names = names.len().saturating_sub(MOST_NAMES);
        names.truncate(MOST_NAMES);
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        Some(Self {
            subject: plain(&certificate.subject().to_string()),
            issuer: plain(&certificate.issuer().to_string()),
            is_self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            names,
            more_names,
            not_before: at(certificate.validity().not_before.timestamp())?,
            not_after: at(certificate.validity().not_after.timestamp())?,
        })
    }

    /// Whom it is for, as `CN=impala-1, O=Example`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who has signed it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_signed(&self) -> bool {
        self.is_self_signed
    }

    /// Whether it is for any host name or address.
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// The first moment at which it is valid.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last moment at which it is valid.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}

impl fmt::Display for SeenCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, issuer, names, more_names, not_after, .. } = self;
        if subject.is_empty() {
            f.write_str("without a subject")?;
        } else {
            f.write_str(subject)?;
        }
        match (names.as_slice(), more_names) {
            ([], _) => f.write_str(", for no host name")?,
            (names, 0) => write!(f, ", for {}", names.join(" "))?,
            (names, more) => write!(f, ", for {} and {more} more", names.join(" "))?,
        }
        write!(f, ", issued by {issuer}, valid until {}", not_after.date())
    }
}

/// The date of a moment that a certificate names, in UTC.
pub(super) fn date(moment: OffsetDateTime) -> Date {
    moment.date()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(plain(name)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// The text without anything but letters, digits, ASCII signs and blanks, and not too long.
fn plain(text: &str) -> String {
    let is_plain = |c: &char| c.is_alphanumeric() || c.is_ascii_graphic() || *c == ' ';
    let mut plain: String =
        text.chars().take(LONGEST_TEXT).map(|c| if is_plain(&c) { c } else { '?' }).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        plain.push('…');
    }
    plain
}
