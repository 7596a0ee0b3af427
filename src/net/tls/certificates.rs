//! Certificates and keys from PEM files. What is wrong with a file is said with the file's name and what to do.

mod certificate;
mod content;
mod system;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

pub use self::certificate::{Certificate, EXPIRES_SOON, Standing};
pub(super) use self::content::{Content, Hashed, finished};
use self::system::SYSTEM_BUNDLES;
pub(super) use self::system::bundle as system_bundle;

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
    #[error("{} is larger than 4 MiB; name a file with certificates or a key only", file.display())]
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
    /// There is no file with the certificates that the system trusts.
    #[error(
        "no bundle of trusted certificates is found (looked at {}); set ca in [cluster.tls], or install the package \
         ca-certificates", SYSTEM_BUNDLES.join(", ")
    )]
    NoBundle,
    /// What was read cannot be put together.
    #[error("TLS cannot be set up: {0}; report this, with the keys of [listener.tls] or [cluster.tls]")]
    Unusable(String),
}

/// What came of reading files again.
#[derive(Debug)]
pub enum Refreshed {
    /// They are as they were when they were last read, good or bad.
    Unchanged,
    /// They have changed, and new connections use what is in them.
    Changed,
    /// They have changed and cannot be used; nothing else has changed.
    Failed(CertificateError),
}

/// Where a certificate chain and its key are. Both may be in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the certificate first, then the authorities between it and a root.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// A certificate chain with its key.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) certificate: Certificate,
}

/// The contents of the two files of a pair.
pub(super) struct PairContents {
    certificate: Content,
    key: Content,
}

impl PairContents {
    /// # Errors
    /// When one of the files cannot be read, is empty, or is larger than any such file.
    pub(super) fn read(files: &PairFiles, hashed: &mut Hashed) -> Result<Self, CertificateError> {
        Ok(Self { certificate: hashed.read(&files.certificate)?, key: hashed.read(&files.key)? })
    }
}

/// Puts a chain and a key together.
///
/// # Errors
/// When either is missing or invalid, or when the key is not that of the first certificate.
pub(super) fn pair(
    PairContents { certificate: chain, key }: &PairContents,
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
        Certificate::of(der).map_err(|why| invalid(nth, why))?;
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
