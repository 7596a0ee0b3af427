//! Certificates and keys from PEM files. What is wrong with a file is said with the file's name and what to do.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

/// The largest file that is read. A bundle of all public authorities has a quarter of it.
const LARGEST_FILE: u64 = 1 << 20;

/// Warn of a certificate that expires within this time.
pub const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);

/// Why certificates or keys cannot be used. Each prints as the file, what is wrong and, after a semicolon, what
/// to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}; check the path and the permissions of the router's user", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than anything that belongs there.
    #[error("{} is larger than 1 MiB; name a file with certificates or a key only", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// The file has no bytes.
    #[error("{} is empty; write the PEM text into it", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// The file has a broken PEM section.
    #[error("{} is not valid PEM: {why}; copy the whole text, from -----BEGIN to -----END", file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What is wrong; never a part of a key.
        why: &'static str,
    },
    /// The file has no certificate.
    #[error(
        "{} has no certificate; it must have -----BEGIN CERTIFICATE----- (convert DER with: openssl x509 -inform \
         der -in FILE)",
        file.display()
    )]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A certificate in the file cannot be parsed.
    #[error("certificate {nth} in {} is invalid: {why}; have it issued anew", file.display())]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// Which of its certificates, from 1.
        nth: usize,
        /// What is wrong.
        why: String,
    },
    /// The file has no private key.
    #[error(
        "{} has no private key; it must have -----BEGIN PRIVATE KEY-----, -----BEGIN RSA PRIVATE KEY----- or \
         -----BEGIN EC PRIVATE KEY-----",
        file.display()
    )]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key is protected by a password.
    #[error(
        "the private key in {} is encrypted; decrypt it with: openssl pkey -in FILE -out FILE.clear, and protect \
         the file by its permissions",
        file.display()
    )]
    EncryptedKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key is of a kind that is not supported, or damaged.
    #[error(
        "the private key in {} cannot be used ({why}); use RSA with 2048 to 8192 bits, ECDSA P-256 or P-384, or \
         Ed25519",
        file.display()
    )]
    BadKey {
        /// The file.
        file: PathBuf,
        /// What the library says; never a part of the key.
        why: String,
    },
    /// The key belongs to no certificate in the file.
    #[error(
        "the private key in {} does not belong to the certificate in {}; name the key that the certificate was \
         requested with",
        key.display(), certificate.display()
    )]
    OtherKey {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// The key belongs to a certificate of the file that is not the first.
    #[error(
        "the private key in {} belongs to certificate {nth} in {}; put that one first and the authorities after it",
        key.display(), certificate.display()
    )]
    WrongOrder {
        /// The file with the certificates.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// The place of the certificate that the key belongs to, from 1.
        nth: usize,
    },
    /// The file is not a file of ticket keys.
    #[error(
        "{} has no ticket keys ({why}); make one with: openssl rand -out FILE 48, or write keys of 48 or 80 bytes \
         in base64, one a line",
        file.display()
    )]
    BadTicketKey {
        /// The file.
        file: PathBuf,
        /// What is wrong; never a part of a key.
        why: String,
    },
    /// What was read cannot be put together.
    #[error("TLS cannot be set up: {0}; report this, with the keys of [listener.tls]")]
    Unusable(String),
}

/// Where a certificate chain and its key are. Both may be in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the certificate first, then the authorities between it and a root.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What people want to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
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
    /// One name for logs and metrics: the first that it has.
    pub fn name(&self) -> String {
        let address = || self.addresses.first().map(ToString::to_string);
        self.names.first().cloned().or_else(address).unwrap_or_else(|| "(no name)".to_owned())
    }

    /// All its names and addresses, as a list.
    pub fn all_names(&self) -> String {
        let all = self.names.iter().cloned().chain(self.addresses.iter().map(ToString::to_string));
        let all: Vec<String> = all.collect();
        if all.is_empty() { "(no name)".to_owned() } else { all.join(", ") }
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

    fn of(der: &CertificateDer<'_>) -> Result<Self, String> {
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
        if names.is_empty() && addresses.is_empty() {
            let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
            names.extend(common.map(str::to_ascii_lowercase));
        }
        let validity = parsed.validity();
        Ok(Self {
            names,
            addresses,
            not_before: time_of(validity.not_before.timestamp()),
            not_after: time_of(validity.not_after.timestamp()),
        })
    }
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

/// A file as it was read. Its bytes are zeroed with it, because they may be a key.
pub(super) struct Content {
    pub(super) file: PathBuf,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl Content {
    /// # Errors
    /// When the file cannot be read, is empty, or is larger than 1 MiB.
    pub(super) fn read(file: &Path) -> Result<Self, CertificateError> {
        let file = file.to_owned();
        let mut bytes = Zeroizing::new(Vec::new());
        let read = File::open(&file).and_then(|open| {
            let expected = open.metadata()?.len().min(LARGEST_FILE);
            // One allocation, so that no copy of a key is left behind.
            bytes.reserve_exact(usize::try_from(expected).unwrap_or(0) + 1);
            open.take(LARGEST_FILE + 1).read_to_end(&mut bytes)
        });
        match read {
            Err(source) => Err(CertificateError::Unreadable { file, source }),
            Ok(0) => Err(CertificateError::Empty { file }),
            Ok(length) if length as u64 > LARGEST_FILE => Err(CertificateError::TooLarge { file }),
            Ok(_) => Ok(Self { file, bytes }),
        }
    }

    /// All certificates of the file, in its order; at least one. Other sections are skipped.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|error| self.not_pem(&error))?;
        if found.is_empty() {
            return Err(CertificateError::NoCertificate { file: self.file.clone() });
        }
        Ok(found)
    }

    /// The first key of the file. Other sections are skipped.
    fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        let file = || self.file.clone();
        match PrivateKeyDer::from_pem_slice(&self.bytes) {
            Ok(key) => Ok(key),
            // PKCS#8 has a section of its own for encrypted keys; older forms have a header in the section,
            // which the parser takes for base64.
            Err(_) if contains(&self.bytes, b"ENCRYPTED") => {
                Err(CertificateError::EncryptedKey { file: file() })
            }
            Err(pem::Error::NoItemsFound) => Err(CertificateError::NoKey { file: file() }),
            Err(error) => Err(self.not_pem(&error)),
        }
    }

    fn not_pem(&self, error: &pem::Error) -> CertificateError {
        let why = match error {
            pem::Error::MissingSectionEnd { .. } => "a section has no -----END",
            pem::Error::IllegalSectionStart { .. } => "a line with -----BEGIN is damaged",
            pem::Error::Base64Decode(_) => "a section is not base64",
            _ => "it cannot be parsed",
        };
        CertificateError::NotPem { file: self.file.clone(), why }
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// A certificate chain with its key.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) certificate: Certificate,
}

/// Puts a chain and a key together.
///
/// # Errors
/// When either is missing or invalid, or when the key is not that of the first certificate.
pub(super) fn pair(
    chain: &Content,
    key: &Content,
    provider: &CryptoProvider,
) -> Result<Pair, CertificateError> {
    let certificates = chain.certificates()?;
    let signing = provider.key_provider.load_private_key(key.key()?);
    let bad_key =
        |error: rustls::Error| CertificateError::BadKey { file: key.file.clone(), why: error.to_string() };
    let signing = signing.map_err(bad_key)?;
    let invalid = |nth, why: String| CertificateError::BadCertificate { file: chain.file.clone(), nth, why };
    let matches = |der: &CertificateDer<'static>| {
        let alone = CertifiedKey::new(vec![der.clone()], Arc::clone(&signing));
        match alone.keys_match() {
            Ok(()) => Ok(true),
            Err(rustls::Error::InconsistentKeys(_)) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    };
    let Some((first, authorities)) = certificates.split_first() else {
        return Err(CertificateError::NoCertificate { file: chain.file.clone() });
    };
    let certificate = Certificate::of(first).map_err(|why| invalid(1, why))?;
    for (nth, der) in (2..).zip(authorities) {
        X509Certificate::from_der(der).map_err(|error| invalid(nth, error.to_string()))?;
    }
    if !matches(first).map_err(|why| invalid(1, why))? {
        let (certificate, key) = (chain.file.clone(), key.file.clone());
        let owner = certificates.iter().position(|der| matches(der) == Ok(true));
        return Err(match owner {
            Some(nth) => CertificateError::WrongOrder { certificate, key, nth: nth + 1 },
            None => CertificateError::OtherKey { certificate, key },
        });
    }
    Ok(Pair { certified: Arc::new(CertifiedKey::new(certificates, signing)), certificate })
}

/// The authorities in a file.
///
/// # Errors
/// When there are none, or one of them is invalid.
pub(super) fn authorities(content: &Content) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for (nth, der) in (1..).zip(content.certificates()?) {
        let invalid = |error: rustls::Error| CertificateError::BadCertificate {
            file: content.file.clone(),
            nth,
            why: error.to_string(),
        };
        roots.add(der).map_err(invalid)?;
    }
    Ok(roots)
}
