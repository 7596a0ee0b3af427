//! Reads the PEM files of a cluster: what is trusted, and the client certificate with its key.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::settings::{ClusterTlsSettings, PairFiles, Verify};
use super::verifier::{Trust, Verifier};

/// Where systems keep the certificates that they trust: Debian and Alpine, RHEL and Fedora, older RHEL, SUSE,
/// Alpine without its package.
pub const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The environment variable that names another bundle, as it does for OpenSSL.
const BUNDLE_VARIABLE: &str = "SSL_CERT_FILE";
/// The largest file that is read, in bytes; the bundles of systems have about 250 KiB.
const LARGEST_FILE: u64 = 16 << 20;

/// Why the files of a cluster's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterTlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; correct {key} in [cluster.tls], or the file's permissions", path.display())]
    Unreadable {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is larger than any such file needs to be.
    #[error("{} has more than {LARGEST_FILE} bytes; correct {key} in [cluster.tls]", path.display())]
    TooLarge {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// There is no file with the certificates that the system trusts.
    #[error(
        "no bundle of trusted certificates is found (looked at {}); set ca in [cluster.tls], or install the package \
         ca-certificates", SYSTEM_BUNDLES.join(", ")
    )]
    NoBundle,
    /// A file is not what it should be.
    #[error("{}: {why}; {key} in [cluster.tls] must be a PEM file with {what}", path.display())]
    BadFile {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What it should have.
        what: &'static str,
    },
    /// Certificate and key do not belong together, or the key is of a kind that is not known.
    #[error(
        "{} and {}: {source}; certificate and key in [cluster.tls] must be a pair",
        files.certificate.display(), files.key.display()
    )]
    BadPair {
        /// Where they are.
        files: Box<PairFiles>,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// The trusted certificates cannot be used.
    #[error("{origin}: {source}")]
    Roots {
        /// Where they come from.
        origin: String,
        /// What is wrong with them.
        source: VerifierBuilderError,
    },
    /// The cryptography lacks what TLS needs.
    #[error("TLS cannot be used: {0}")]
    Provider(rustls::Error),
}

/// A file with its content.
struct Content {
    key: &'static str,
    path: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
}

impl Content {
    fn read(key: &'static str, path: &Path) -> Result<Self, ClusterTlsError> {
        let unreadable = |source| ClusterTlsError::Unreadable { key, path: path.to_owned(), source };
        let mut bytes = Zeroizing::new(Vec::new());
        let file = File::open(path).map_err(unreadable)?;
        let read = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if u64::try_from(read).is_ok_and(|read| read > LARGEST_FILE) {
            return Err(ClusterTlsError::TooLarge { key, path: path.to_owned() });
        }
        Ok(Self { key, path: path.to_owned(), bytes })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, ClusterTlsError> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let all = all.map_err(|error| self.bad(pem_error(&error), CERTIFICATES))?;
        if all.is_empty() { Err(self.bad("it has no certificate".to_owned(), CERTIFICATES)) } else { Ok(all) }
    }

    fn bad(&self, why: String, what: &'static str) -> ClusterTlsError {
        ClusterTlsError::BadFile { key: self.key, path: self.path.clone(), why, what }
    }
}

const CERTIFICATES: &str = "certificates";
const PRIVATE_KEY: &str = "a private key that is not encrypted (PKCS#8, PKCS#1 or SEC1)";

/// What is wrong with a PEM file, without quoting it: it may be a key.
fn pem_error(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a section begins badly".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        pem::Error::NoItemsFound => "it has no such section".to_owned(),
        _ => "it is no PEM file".to_owned(),
    }
}

/// Stands for the content of all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

/// The files of a cluster as they were at one time.
pub(super) struct Files {
    /// None if nothing is verified.
    ca: Option<Content>,
    pair: Option<(Content, Content)>,
}

impl Files {
    pub(super) fn read(settings: &ClusterTlsSettings) -> Result<Self, ClusterTlsError> {
        let ca = match (&settings.verify, &settings.ca) {
            (Verify::Nothing, _) => None,
            (_, Some(path)) => Some(Content::read("ca", path)?),
            (_, None) => {
                Some(Content::read("ca", &bundle(std::env::var_os(BUNDLE_VARIABLE), Path::exists)?)?)
            }
        };
        let pair = match &settings.pair {
            Some(pair) => {
                Some((Content::read("certificate", &pair.certificate)?, Content::read("key", &pair.key)?))
            }
            None => None,
        };
        Ok(Self { ca, pair })
    }

    pub(super) fn digest(&self) -> Digest {
        let mut hasher = DefaultHasher::new();
        let pair = self.pair.iter().flat_map(|(certificate, key)| [certificate, key]);
        for content in self.ca.iter().chain(pair) {
            content.bytes.hash(&mut hasher);
        }
        Digest(hasher.finish())
    }

    /// The file with what is trusted; empty if nothing is verified.
    pub(super) fn trusts(&self) -> String {
        self.ca.as_ref().map(|ca| ca.path.display().to_string()).unwrap_or_default()
    }

    pub(super) fn verifier(
        &self,
        settings: &ClusterTlsSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Verifier, ClusterTlsError> {
        let trust = self.ca.as_ref().map(|ca| trust(ca, settings.ca.is_some(), provider)).transpose()?;
        Ok(Verifier { trust, algorithms: provider.signature_verification_algorithms })
    }

    pub(super) fn pair(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, ClusterTlsError> {
        let Some((certificate, key)) = &self.pair else { return Ok(None) };
        let chain = certificate.certificates()?;
        let private = PrivateKeyDer::from_pem_slice(&key.bytes)
            .map_err(|error| key.bad(pem_error(&error), PRIVATE_KEY))?;
        let files = || PairFiles { certificate: certificate.path.clone(), key: key.path.clone() };
        let pair = CertifiedKey::from_der(chain, private, provider)
            .map_err(|source| ClusterTlsError::BadPair { files: Box::new(files()), source })?;
        Ok(Some(pair))
    }
}

/// `is_chosen` is whether the operator has chosen the file. Of the system's bundle, certificates that cannot
/// be understood are left out, and none is trusted to be a coordinator's own.
fn trust(ca: &Content, is_chosen: bool, provider: &Arc<CryptoProvider>) -> Result<Trust, ClusterTlsError> {
    let listed = ca.certificates()?;
    let mut roots = RootCertStore::empty();
    for certificate in &listed {
        match roots.add(certificate.clone()) {
            Err(error) if is_chosen => return Err(ca.bad(error.to_string(), CERTIFICATES)),
            Ok(()) | Err(_) => {}
        }
    }
    let origin = ca.path.display().to_string();
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|source| ClusterTlsError::Roots { origin: origin.clone(), source })?;
    Ok(Trust { chains, listed: if is_chosen { listed } else { Vec::new() }, origin })
}

/// The file with the certificates that the system trusts: the one that `variable` names, or the first that
/// `exists`.
fn bundle(variable: Option<OsString>, exists: impl Fn(&Path) -> bool) -> Result<PathBuf, ClusterTlsError> {
    if let Some(named) = variable.filter(|path| !path.is_empty()) {
        return Ok(named.into());
    }
    let found = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| exists(path));
    found.map(Path::to_owned).ok_or(ClusterTlsError::NoBundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_bundle_is_the_one_named_else_the_first_that_is_there() {
        let exists =
            |path: &Path| path == Path::new(SYSTEM_BUNDLES[2]) || path == Path::new(SYSTEM_BUNDLES[3]);
        assert_eq!(bundle(Some("/own.pem".into()), exists).unwrap(), Path::new("/own.pem"));
        assert_eq!(bundle(Some(OsString::new()), exists).unwrap(), Path::new(SYSTEM_BUNDLES[2]));
        assert_eq!(bundle(None, exists).unwrap(), Path::new(SYSTEM_BUNDLES[2]));
        let said = bundle(None, |_| false).unwrap_err().to_string();
        assert!(said.contains("set ca in [cluster.tls]") && said.contains(SYSTEM_BUNDLES[0]), "{said}");
    }
}
