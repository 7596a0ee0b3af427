//! What can be wrong with certificates and keys, in words that say what to do.

use std::io;
use std::path::PathBuf;

use super::certificate::Certificate;

/// Why certificates or keys cannot be used. Each prints as the file, what is wrong and, after a semicolon,
/// what to do.
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
    /// A certificate that is to be shown is of X.509 version 1.
    #[error(
        "certificate {nth} in {} ({certificate}) is of X.509 version 1, which has no alternative names and which no \
         TLS library accepts; have it issued as version 3, with its names in subjectAltName (openssl x509 -req makes \
         version 1 unless it has -extfile)",
        file.display()
    )]
    Version1 {
        /// The file.
        file: PathBuf,
        /// Which of its certificates, from 1.
        nth: usize,
        /// The certificate.
        certificate: Box<Certificate>,
    },
    /// A certificate where only authorities may be is none.
    #[error(
        "certificate {nth} in {} ({certificate}) is no authority; name the certificate of the authority that issued \
         it, which says CA:TRUE of itself",
        file.display()
    )]
    NoAuthority {
        /// The file.
        file: PathBuf,
        /// Which of its certificates, from 1.
        nth: usize,
        /// The certificate.
        certificate: Box<Certificate>,
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
        "no bundle of trusted certificates is found (looked at {looked_at}); set ca in [cluster.tls], or install the \
         package ca-certificates"
    )]
    NoBundle {
        /// Where it would be.
        looked_at: String,
    },
    /// What was read cannot be put together.
    #[error("TLS cannot be set up: {0}; report this, with the keys of [listener.tls] or [cluster.tls]")]
    Unusable(String),
}
