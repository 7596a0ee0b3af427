//! Certificates that are made while tests run, as files and in the forms that clients and servers take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;

/// The names of this machine, by which clients of tests connect.
pub(crate) const HERE: [&str; 2] = ["localhost", "127.0.0.1"];

/// The password of Java's stores.
pub(crate) const STORE_PASSWORD: &str = "changeit";

/// An authority, and a folder with what it has issued.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// A new one, which is known to nobody.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let folder = tempfile::Builder::new().prefix("hs2router-certificates-").tempdir().unwrap();
        // A name of its own, or its certificates would be taken for another's with bad signatures.
        params.distinguished_name.push(DnType::CommonName, folder.path().to_str().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The file with its own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for these names, whose key is of ECDSA P-256, in files with this name; what they
    /// held before is replaced.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_with(file, &KeyPair::generate().unwrap(), &params(names))
    }

    /// The same with an RSA key, which clients of all ages understand.
    pub(crate) fn issue_rsa(&self, file: &str, names: &[&str]) -> Pair {
        let key = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        self.issue_with(file, &KeyPair::from_pem(&key).unwrap(), &params(names))
    }

    /// One that was valid for a month in 2020.
    pub(crate) fn issue_expired(&self, file: &str, names: &[&str]) -> Pair {
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        self.issue_with(file, &KeyPair::generate().unwrap(), &params)
    }

    fn issue_with(&self, file: &str, key: &KeyPair, params: &CertificateParams) -> Pair {
        let pair =
            Pair { certificate: self.path(&format!("{file}.crt")), key: self.path(&format!("{file}.key")) };
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        fs::write(&pair.certificate, certificate.pem()).unwrap();
        pair
    }

    /// What a client has that trusts this authority.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// What a server has that demands certificates of this authority.
    pub(crate) fn server_that_demands(&self, pair: &Pair) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let (chain, key) = pair.read();
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap()
    }
}

impl Pair {
    /// The keys of a `[listener.tls]`, or of a `[cluster.tls]` for the router's own.
    pub(crate) fn keys(&self) -> String {
        format!("certificate = \"{}\", key = \"{}\"", self.certificate.display(), self.key.display())
    }

    /// What a server has that shows this certificate.
    pub(crate) fn server_config(&self) -> ServerConfig {
        let (chain, key) = self.read();
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }

    /// Both in one file, as `HAProxy` takes them.
    pub(crate) fn in_one_file(&self) -> PathBuf {
        let both = self.certificate.with_extension("both.pem");
        let texts = [&self.certificate, &self.key].map(|file| fs::read_to_string(file).unwrap());
        fs::write(&both, texts.concat()).unwrap();
        both
    }

    /// Both in a store, as Java's servers take them.
    pub(crate) fn key_store(&self) -> PathBuf {
        let store = self.certificate.with_extension("p12");
        let [certificate, key, to] =
            [&self.certificate, &self.key, &store].map(|path| path.to_str().unwrap());
        let password = format!("pass:{STORE_PASSWORD}");
        openssl(&["pkcs12", "-export", "-in", certificate, "-inkey", key, "-out", to, "-passout", &password]);
        store
    }

    fn read(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(&self.certificate).unwrap();
        (chain.map(Result::unwrap).collect(), PrivateKeyDer::from_pem_file(&self.key).unwrap())
    }
}

/// Makes a store for Java's clients, in this folder, of the authorities that they trust.
pub(crate) fn trust_store(ca: &Path, folder: &Path) -> PathBuf {
    let store = folder.join("trust.jks");
    let made = Command::new("keytool")
        .args(["-importcert", "-noprompt", "-alias", "ca", "-storepass", STORE_PASSWORD, "-file"])
        .arg(ca)
        .arg("-keystore")
        .arg(&store)
        .output()
        .expect("keytool comes with java");
    assert!(made.status.success(), "{made:?}");
    store
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let params = params.as_mut().unwrap();
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params.clone()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn openssl(arguments: &[&str]) -> String {
    let ran = Command::new("openssl").args(arguments).output().expect("openssl is there");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
