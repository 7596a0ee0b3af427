//! The contents of PEM files.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::CertificateError;

/// The largest file that is read, in bytes. A bundle of all public authorities has 250 KiB.
const LARGEST_FILE: u64 = 4 << 20;

/// Files that are read together, with a hash that tells whether they have changed.
pub(in crate::net::tls) struct Hashed(Context);

impl Hashed {
    pub(in crate::net::tls) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Reads a file; what is in it, or why it cannot be read, goes into the hash.
    ///
    /// # Errors
    /// When the file cannot be read, is empty, or is larger than 4 MiB.
    pub(in crate::net::tls) fn read(&mut self, file: &Path) -> Result<Content, CertificateError> {
        let content = Content::read(file);
        match &content {
            Ok(content) => {
                self.0.update(&content.bytes.len().to_be_bytes());
                self.0.update(&content.bytes);
            }
            Err(error) => self.0.update(error.to_string().as_bytes()),
        }
        content
    }

    /// The hash of what was read, up to the first file that cannot be read.
    pub(in crate::net::tls) fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }
}

/// A file as it was read. Its bytes are zeroed with it, because they may be a key.
pub(in crate::net::tls) struct Content {
    pub(in crate::net::tls) file: PathBuf,
    pub(in crate::net::tls) bytes: Zeroizing<Vec<u8>>,
}

impl Content {
    /// # Errors
    /// When the file cannot be read, is empty, or is larger than 4 MiB.
    fn read(file: &Path) -> Result<Self, CertificateError> {
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
    pub(in crate::net::tls) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|error| self.not_pem(&error))?;
        if found.is_empty() {
            return Err(CertificateError::NoCertificate { file: self.file.clone() });
        }
        Ok(found)
    }

    /// The first key of the file. Other sections are skipped.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
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
