//! Handshakes in memory, between what a cluster's settings make and rustls as a coordinator.

mod handshakes;
mod judged;
mod reload;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};
use tempfile::TempDir;

use super::*;
use crate::net::tls::certificates::{Certificate, CertificateError, PairFiles, Refreshed};

/// 2026-06-01, in seconds.
const NOW: u64 = 1_780_272_000;

/// A clock that stands still, in seconds, until it is set.
#[derive(Debug)]
struct At(AtomicU64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

fn now() -> Arc<At> {
    Arc::new(At(AtomicU64::new(NOW)))
}

/// A certificate with its key.
struct Pair {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

/// A certification authority.
struct Ca {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn params(cn: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, cn);
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
    params
}

fn ca(cn: &str) -> Ca {
    let mut params = params(cn, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Ca { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
}

impl Ca {
    fn signs(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { pem: certificate.pem(), der: certificate.der().clone(), key }
    }
}

fn self_signed(params: &CertificateParams) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair { pem: certificate.pem(), der: certificate.der().clone(), key }
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// A coordinator with this certificate; it asks for a client certificate of `clients`, if that is given.
fn coordinator(
    pair: &Pair,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Ca>,
) -> Arc<ServerConfig> {
    let provider = crate::net::tls::provider();
    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), now());
    let builder = builder.with_protocol_versions(versions).unwrap();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der.clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
    Arc::new(builder.with_single_cert(vec![pair.der.clone()], key).unwrap())
}

/// The files of a cluster.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn write_pair(&self, pair: &Pair) -> PairFiles {
        PairFiles {
            certificate: self.write("client.pem", &pair.pem),
            key: self.write("client.key", &pair.key.serialize_pem()),
        }
    }
}

fn trusting(folder: &Folder, pem: &str) -> ClusterTlsSettings {
    ClusterTlsSettings { ca: Some(folder.write("ca.pem", pem)), pair: None, verify: Verify::Full }
}

fn cluster(settings: ClusterTlsSettings) -> Arc<ClusterTls> {
    Arc::new(ClusterTls::load_at(settings, now()).unwrap())
}

/// Moves what one side has written to the other, until neither has any more to say.
fn converse(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            // What the server finds wrong is told to the client by an alert.
            drop(server.process_new_packets());
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

/// A handshake, and whether it was a full one.
fn handshake(tls: &CoordinatorTls, server: &Arc<ServerConfig>) -> Result<HandshakeKind, TlsFailure> {
    let mut client = ClientConnection::new(tls.config(), tls.server_name().clone()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    converse(&mut client, &mut server).map_err(|error| tls.failed(&io::Error::other(error)))?;
    assert!(!client.is_handshaking() && !server.is_handshaking());
    tls.note_complete(&client);
    Ok(client.handshake_kind().unwrap())
}
