//! What a certificate says of itself, for people.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

/// Warn of a certificate that expires within this time.
pub const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);

/// How many characters of a name are shown.
const LONGEST_TEXT: usize = 120;
/// How many of the names are shown.
const MOST_NAMES: usize = 5;

/// What people want to know of a certificate. It may come from a peer that nobody has vouched for: what
/// [`fmt::Display`] shows of it is bounded, and has no characters that could be taken for something else in a
/// log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    subject: String,
    issuer: String,
    is_self_signed: bool,
    is_authority: bool,
    version: X509Version,
    has_alternative_names: bool,
    /// The DNS names that it is for, in lower case, perhaps with wildcards; its common name if it has no
    /// alternative names.
    pub names: Vec<String>,
    /// The IP addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

/// Whether a certificate is valid at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It will be.
    NotYetValid,
    /// It is, and for longer than [`EXPIRES_SOON`].
    Valid,
    /// It is, but not for long.
    ExpiresSoon,
    /// It was.
    Expired,
}

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// When it is not one; the text says what is wrong.
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let alternative = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address_of(bytes)),
                _ => {}
            }
        }
        let has_alternative_names = !names.is_empty() || !addresses.is_empty();
        if !has_alternative_names {
            let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
            names.extend(common.map(str::to_ascii_lowercase));
        }
        let (subject, issuer, validity) = (parsed.subject(), parsed.issuer(), parsed.validity());
        Ok(Self {
            subject: plain(&subject.to_string()),
            issuer: plain(&issuer.to_string()),
            is_self_signed: subject.as_raw() == issuer.as_raw(),
            is_authority: is_authority(&parsed),
            version: parsed.version(),
            has_alternative_names,
            names,
            addresses,
            not_before: time_of(validity.not_before.timestamp()),
            not_after: time_of(validity.not_after.timestamp()),
        })
    }

    /// Its own name, as `CN=impala-1, O=Example`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The name of its issuer, as `CN=Example CA, O=Example`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_signed(&self) -> bool {
        self.is_self_signed
    }

    /// Whether it may vouch for others.
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Whether it is of X.509 version 1, which has no place for alternative names. Nobody accepts it but as
    /// an authority's.
    pub fn is_version_1(&self) -> bool {
        self.version == X509Version::V1
    }

    /// Whether it is for any host name or address, apart from its common name.
    pub fn has_alternative_names(&self) -> bool {
        self.has_alternative_names
    }

    /// One name for logs and metrics: the first that it has.
    pub fn name(&self) -> String {
        self.all().next().unwrap_or_else(|| "(no name)".to_owned())
    }

    /// All its names and addresses, as a list.
    pub fn all_names(&self) -> String {
        let all: Vec<String> = self.all().collect();
        if all.is_empty() { "(no name)".to_owned() } else { all.join(", ") }
    }

    fn all(&self) -> impl Iterator<Item = String> {
        self.names.iter().cloned().chain(self.addresses.iter().map(ToString::to_string))
    }

    /// Whether it is valid at this time of day.
    pub fn standing(&self, now: SystemTime) -> Standing {
        if now < self.not_before {
            return Standing::NotYetValid;
        }
        match self.not_after.duration_since(now) {
            Err(_) => Standing::Expired,
            Ok(left) if left < EXPIRES_SOON => Standing::ExpiresSoon,
            Ok(_) => Standing::Valid,
        }
    }

    /// The first day on which it is valid, in UTC.
    pub fn from_day(&self) -> Date {
        OffsetDateTime::from(self.not_before).date()
    }

    /// The last day on which it is valid, in UTC.
    pub fn until_day(&self) -> Date {
        OffsetDateTime::from(self.not_after).date()
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.subject.is_empty() { "without a subject" } else { &self.subject })?;
        if self.has_alternative_names {
            let shown: Vec<String> = self.all().take(MOST_NAMES).map(|name| plain(&name)).collect();
            write!(f, ", for {}", shown.join(" "))?;
            match self.names.len() + self.addresses.len() - shown.len() {
                0 => {}
                more => write!(f, " and {more} more")?,
            }
        } else {
            f.write_str(", for no host name")?;
        }
        write!(f, ", issued by {}, valid until {}", self.issuer, self.until_day())
    }
}

/// Whether a certificate may vouch for others, by what it says of itself (RFC 5280, 4.2.1.9 and 4.2.1.3). One
/// of version 1 cannot say so; as for OpenSSL, it may if it is its own issuer.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    if certificate.version() == X509Version::V1 {
        return certificate.subject().as_raw() == certificate.issuer().as_raw();
    }
    let is_marked = matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca);
    let may_sign = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    is_marked && may_sign
}

/// The address in an alternative name (RFC 5280, 4.2.1.6): 4 or 16 bytes.
fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// `seconds` since 1970; what is before counts as 1970.
fn time_of(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
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
