//! Where a system keeps the certificates that it trusts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::CertificateError;

/// Where systems keep the certificates that they trust: Debian and Alpine, RHEL and Fedora, older RHEL, SUSE,
/// Alpine without its package.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The environment variable that names another bundle, as it does for OpenSSL.
const BUNDLE_VARIABLE: &str = "SSL_CERT_FILE";

/// The file with the certificates that the system trusts.
///
/// # Errors
/// When there is none.
pub(in crate::net::tls) fn bundle() -> Result<PathBuf, CertificateError> {
    find(std::env::var_os(BUNDLE_VARIABLE), Path::exists)
}

/// The file with the certificates that the system trusts: the one that `variable` names, or the first that
/// `exists`.
fn find(variable: Option<OsString>, exists: impl Fn(&Path) -> bool) -> Result<PathBuf, CertificateError> {
    if let Some(named) = variable.filter(|path| !path.is_empty()) {
        return Ok(named.into());
    }
    let found = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| exists(path));
    found.map(Path::to_owned).ok_or_else(no_bundle)
}

fn no_bundle() -> CertificateError {
    CertificateError::NoBundle { looked_at: SYSTEM_BUNDLES.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_bundle_is_the_one_named_else_the_first_that_is_there() {
        let exists =
            |path: &Path| path == Path::new(SYSTEM_BUNDLES[2]) || path == Path::new(SYSTEM_BUNDLES[3]);
        assert_eq!(find(Some("/own.pem".into()), exists).unwrap(), Path::new("/own.pem"));
        assert_eq!(find(Some(OsString::new()), exists).unwrap(), Path::new(SYSTEM_BUNDLES[2]));
        assert_eq!(find(None, exists).unwrap(), Path::new(SYSTEM_BUNDLES[2]));
        let said = find(None, |_| false).unwrap_err().to_string();
        assert!(said.contains("set ca in [cluster.tls]") && said.contains(SYSTEM_BUNDLES[0]), "{said}");
    }
}
