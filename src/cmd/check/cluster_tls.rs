//! What `check` does about TLS towards coordinators: it reads the files, and tells what they are good for.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;

use super::certificates;
use crate::control::config::Config;
use crate::net::tls::client::{ClusterTls, Verify};

/// Reads the files of each cluster that is reached with TLS; returned with the cluster's name.
pub(super) fn load(config: &Config) -> anyhow::Result<Vec<(Arc<str>, ClusterTls)>> {
    let mut loaded = Vec::new();
    for cluster in &config.clusters {
        let Some(tls) = &cluster.tls else { continue };
        let tls = ClusterTls::load(tls.settings.clone());
        let tls = tls.with_context(|| format!("cluster {:?}", cluster.name))?;
        loaded.push((Arc::clone(&cluster.name), tls));
    }
    Ok(loaded)
}

/// Writes how a cluster is reached; `now` is what the validity of certificates is judged by.
pub(super) fn describe(
    cluster: &str,
    tls: &ClusterTls,
    now: SystemTime,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "\nTLS towards cluster {cluster:?}")?;
    match tls.verify() {
        Verify::Full => writeln!(out, "  trusts {}, for the name of each coordinator", tls.trusts())?,
        Verify::NameOfCluster(name) => writeln!(out, "  trusts {}, for the name {name}", tls.trusts())?,
        Verify::Nothing => writeln!(
            out,
            "warning: verify = \"none\": passwords go to whoever answers at a coordinator's address; set ca, and \
             verify = \"full\""
        )?,
    }
    let Some(certificate) = tls.client_certificate() else { return Ok(()) };
    writeln!(out, "  shows the certificate {certificate}")?;
    certificates::warn_of(&certificate, now, out)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::super::run_with;
    use crate::cli::CheckArgs;
    use crate::net::host::Resolver;

    /// A self-signed certificate for the router and its key, in a folder of their own.
    fn folder(until_year: i32) -> TempDir {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(["router.example.com".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "router");
        params.not_after = date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("router.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(folder.path().join("router.key"), key.serialize_pem()).unwrap();
        folder
    }

    /// What `check` says of a config with this `[cluster.tls]`.
    fn said(folder: &Path, tls: &str) -> anyhow::Result<String> {
        let file: PathBuf = folder.join("router.toml");
        fs::write(&file, format!("[[cluster]]\ncoordinators = [\"10.0.0.1\"]\n[cluster.tls]\n{tls}\n"))
            .unwrap();
        let mut out = Vec::new();
        let nobody = Resolver::Given(std::sync::Arc::new(|_| Ok(Vec::new())));
        run_with(&CheckArgs { file }, &nobody, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    const PAIR: &str = "ca = \"router.pem\"\ncertificate = \"router.pem\"\nkey = \"router.key\"";

    #[test]
    fn what_is_trusted_and_shown_is_told_with_its_end() {
        let folder = folder(2100);
        let said = said(folder.path(), PAIR).unwrap();
        let ca = folder.path().join("router.pem");
        let expected = format!(
            "\nTLS towards cluster \"impala\"\n  trusts {}, for the name of each coordinator\n  shows the certificate \
             CN=router, for router.example.com, issued by CN=router, valid until 2100-01-01\n",
            ca.display()
        );
        assert!(said.contains(&expected) && !said.contains("verify") && !said.contains("renew"), "{said}");
        assert!(said.contains("web 25000, with TLS\n"), "{said}");
    }

    #[test]
    fn an_expired_certificate_is_warned_of() {
        let folder = folder(2020);
        let said = said(folder.path(), PAIR).unwrap();
        assert!(said.contains("warning: the certificate for router.example.com has expired"), "{said}");
    }

    #[test]
    fn to_verify_nothing_is_warned_of() {
        let folder = TempDir::new().unwrap();
        let said = said(folder.path(), "verify = \"none\"").unwrap();
        assert!(said.contains("warning: verify = \"none\": passwords go to whoever answers"), "{said}");
    }

    #[test]
    fn a_file_that_cannot_be_read_fails_with_the_exit_code_of_a_bad_config() {
        let folder = TempDir::new().unwrap();
        let error = said(folder.path(), "ca = \"no-such.pem\"").unwrap_err();
        assert_eq!(crate::cmd::exit_code(&error), std::process::ExitCode::from(78));
        let said = crate::cmd::in_words(&error);
        assert!(
            said.starts_with("cluster \"impala\": cannot read") && said.contains("no-such.pem"),
            "{said}"
        );
    }
}
