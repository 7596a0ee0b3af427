//! Listeners' TLS, by handshakes in memory with certificates made on the spot.

mod certificates;
mod handshakes;
mod refusals;
mod reload;
mod resumption;

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ProtocolVersion, ServerConnection,
    SignatureScheme,
};
use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::*;

/// A folder with certificates, and the authority that issues them.
struct Folder {
    files: TempDir,
    authority: Authority,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A certificate and its key, as PEM.
struct Issued {
    certificate: String,
    key: String,
}

fn issue(params: &CertificateParams, authority: &Authority) -> Issued {
    issue_for(params, authority, &KeyPair::generate().unwrap())
}

fn issue_for(params: &CertificateParams, authority: &Authority, key: &KeyPair) -> Issued {
    Issued { certificate: params.signed_by(key, authority).unwrap().pem(), key: key.serialize_pem() }
}

impl Folder {
    fn new() -> Self {
        Self { files: TempDir::new().unwrap(), authority: authority("the router's authority") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a pair under the name of the files, for these names.
    fn pair(&self, file: &str, names: &[&str]) -> PairFiles {
        self.write_pair(file, &issue(&params(names), &self.authority))
    }

    fn write_pair(&self, file: &str, issued: &Issued) -> PairFiles {
        PairFiles {
            certificate: self.write(&format!("{file}.crt"), &issued.certificate),
            key: self.write(&format!("{file}.key"), &issued.key),
        }
    }
}

fn settings(pairs: Vec<PairFiles>) -> Settings {
    Settings {
        pairs,
        clients: None,
        minimum_version: Version::Tls12,
        required: true,
        ticket_key: None,
        strict_sni: false,
    }
}

/// Accepts every certificate whose key signs in one of these ways.
#[derive(Debug)]
struct Anything(Vec<SignatureScheme>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// A client that tests change before it first connects. It has one config for its life, because rustls
/// resumes no session that was begun with another.
struct Client {
    versions: Vec<&'static SupportedProtocolVersion>,
    certificate: Option<Issued>,
    schemes: Vec<SignatureScheme>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Client {
    fn new() -> Self {
        let schemes = super::super::provider().signature_verification_algorithms.supported_schemes();
        Self { versions: vec![&TLS12, &TLS13], certificate: None, schemes, config: OnceCell::new() }
    }

    fn only(version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..Self::new() }
    }

    fn with_certificate(certificate: Issued) -> Self {
        Self { certificate: Some(certificate), ..Self::new() }
    }

    fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| Arc::new(self.made())))
    }

    fn made(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(super::super::provider())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything(self.schemes.clone())));
        match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(Issued { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap);
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.collect(), key).unwrap()
            }
        }
    }

    fn connect(&self, listener: &ListenerTls, name: &str) -> Result<Connected, Box<Failed>> {
        handshake(self.config(), &listener.config(), name)
    }
}

/// What is known after a handshake.
#[derive(Debug)]
struct Connected {
    version: ProtocolVersion,
    kind: HandshakeKind,
    /// The first alternative name of the certificate that the client was shown.
    shown: String,
    /// Its common name.
    subject: String,
}

/// How a handshake failed, on both sides.
#[derive(Debug)]
struct Failed {
    server: Option<rustls::Error>,
    client: Option<rustls::Error>,
}

/// Shakes hands, and lets tickets arrive.
fn handshake(
    client: Arc<ClientConfig>,
    listener: &Arc<ServerConfig>,
    name: &str,
) -> Result<Connected, Box<Failed>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(listener)).unwrap();
    let (mut at_client, mut at_server) = (None, None);
    for _ in 0..10 {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        at_server = at_server.or_else(|| {
            take(&there, |from| server.read_tls(from));
            server.process_new_packets().err()
        });
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        at_client = at_client.or_else(|| {
            take(&back, |from| client.read_tls(from));
            client.process_new_packets().err()
        });
    }
    if at_client.is_some() || at_server.is_some() || client.is_handshaking() || server.is_handshaking() {
        return Err(Box::new(Failed { server: at_server, client: at_client }));
    }
    let shown = client.peer_certificates().unwrap().first().unwrap();
    let (_, shown) = X509Certificate::from_der(shown).unwrap();
    let names = shown.subject_alternative_name().unwrap().unwrap();
    let GeneralName::DNSName(name) = names.value.general_names[0] else { panic!("{names:?}") };
    let subject = shown.subject().iter_common_name().next().unwrap();
    Ok(Connected {
        version: server.protocol_version().unwrap(),
        kind: server.handshake_kind().unwrap(),
        shown: name.to_owned(),
        subject: subject.as_str().unwrap().to_owned(),
    })
}

/// Feeds all bytes to a connection.
fn take(mut bytes: &[u8], mut read: impl FnMut(&mut dyn io::Read) -> io::Result<usize>) {
    while !bytes.is_empty() {
        read(&mut bytes).unwrap();
    }
}

/// A clock that tests set.
#[derive(Debug)]
struct Clock(Mutex<UnixTime>);

impl Clock {
    /// Shows the present.
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(UnixTime::now())))
    }

    fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        *now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + by);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(*self.0.lock())
    }
}
