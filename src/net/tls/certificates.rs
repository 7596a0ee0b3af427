//! Certificates and keys from PEM files. What is wrong with a file is said with the file's name and what to
//! do.

mod certificate;
mod content;
mod error;
mod reread;
mod system;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

pub use self::certificate::{Certificate, EXPIRES_SOON, Standing};
pub(super) use self::content::{Content, Hashed};
pub use self::error::CertificateError;
pub use self::reread::Refreshed;
pub(super) use self::reread::Reread;
pub(super) use self::system::bundle as system_bundle;

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
/// When either is missing or invalid, when the first certificate is of version 1, or when the key is not that
/// of the first certificate.
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
    if certificate.is_version_1() {
        let (file, certificate) = (chain.file.clone(), Box::new(certificate));
        return Err(CertificateError::Version1 { file, nth: 1, certificate });
    }
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

/// What becomes of a file's certificates that are no authorities. rustls believes whatever a certificate that
/// it is given as a root has signed, so they must never be among these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAuthorities {
    /// The file is refused.
    Refused,
    /// They are left out, and vouch for nobody.
    LeftOut,
}

/// The authorities in a file; perhaps none, if others are left out.
///
/// # Errors
/// When there are no certificates, or one of them is invalid or refused.
pub(super) fn authorities(
    content: &Content,
    others: NoAuthorities,
) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for (nth, der) in (1..).zip(content.certificates()?) {
        let file = || content.file.clone();
        let invalid = |why| CertificateError::BadCertificate { file: file(), nth, why };
        let certificate = Certificate::of(&der).map_err(invalid)?;
        if certificate.is_authority() {
            roots.add(der).map_err(|error| invalid(error.to_string()))?;
        } else if others == NoAuthorities::Refused {
            let certificate = Box::new(certificate);
            return Err(CertificateError::NoAuthority { file: file(), nth, certificate });
        }
    }
    Ok(roots)
}

#[cfg(test)]
pub(super) mod test {
    use super::*;

    /// A sequence in DER around these bytes, below 64 KiB.
    fn sequence(content: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = match (high, low) {
            (0, 0..=0x7f) => vec![0x30, low],
            (0, _) => vec![0x30, 0x81, low],
            _ => vec![0x30, 0x82, high, low],
        };
        [head.as_slice(), content].concat()
    }

    /// A certificate without extensions as one of version 1: that is the version which is not said. The
    /// signature is not for it, and nobody comes to look at that.
    pub(in crate::net::tls) fn version_1(der: &CertificateDer<'_>) -> CertificateDer<'static> {
        let version_3 = [0xa0, 3, 2, 1, 2];
        let at = der.windows(5).position(|bytes| bytes == version_3).unwrap();
        // What follows the part that has the version: ecdsa-with-SHA256 (RFC 5758, 3.2) and the signature.
        let algorithm = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let signature = der.windows(12).rposition(|bytes| bytes == algorithm).unwrap();
        let part = sequence(&der[at + version_3.len()..signature]);
        sequence(&[&part, &der[signature..]].concat()).into()
    }
}
