//! TLS between the load client and the proxies: the certificate that all proxies show, and what the clients
//! offer. They offer one version, one cipher suite and one group, so that all proxies do the same work.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use crate::client::{self, Client, Stream};
use crate::peers::Certificate;
use crate::work::{Transport, Work};

/// What every connection is made with, as tables say it.
pub(crate) const MADE_WITH: &str =
    "TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, one self-signed certificate with a key of ECDSA P-256";
/// The name in the certificate.
const NAME: &str = "bench.test";
/// Tickets that a client keeps: a proxy sends two at most for each connection.
const TICKETS: usize = 8;

/// The certificate, and what clients need to trust it.
pub(crate) struct Identity {
    pub(crate) files: Certificate,
    trusted: CertificateDer<'static>,
}

impl Identity {
    /// Makes a key and its certificate, and writes them into this directory.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        // Its key is of ECDSA P-256.
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            anyhow::Ok(path)
        };
        let files = Certificate {
            chain: file("certificate.pem", &chain)?,
            key: file("key.pem", &key)?,
            both: file("both.pem", &format!("{chain}{key}"))?,
        };
        Ok(Self { files, trusted: made.cert.der().clone() })
    }

    /// What a client offers; without resumption.
    fn offer(&self) -> anyhow::Result<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Opens the connections that a piece of work wants.
pub(crate) struct Dialer {
    work: Work,
    /// None where they are in the clear.
    offer: Option<ClientConfig>,
}

impl Dialer {
    /// For the clients of this work.
    pub(crate) fn new(work: &Work, identity: &Identity) -> anyhow::Result<Self> {
        let offer = (work.transport != Transport::Clear).then(|| identity.offer()).transpose()?;
        Ok(Self { work: *work, offer })
    }

    /// For one client, who has no tickets yet.
    pub(crate) fn of_one_client(&self) -> OneClient {
        let resumes = self.work.transport == Transport::Resumed;
        let connector = self.offer.clone().map(|mut config| {
            if resumes {
                config.resumption = Resumption::in_memory_sessions(TICKETS);
            }
            TlsConnector::from(Arc::new(config))
        });
        let later = if resumes { HandshakeKind::Resumed } else { HandshakeKind::Full };
        OneClient { work: self.work, connector, expected: HandshakeKind::Full, later }
    }
}

/// Opens one client's connections, one after another.
pub(crate) struct OneClient {
    work: Work,
    connector: Option<TlsConnector>,
    /// What the next handshake has to be, and those after it.
    expected: HandshakeKind,
    later: HandshakeKind,
}

impl OneClient {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// As [`Self::dial`], or the peer does not authenticate.
    pub(crate) async fn connect(&mut self, target: SocketAddr) -> anyhow::Result<Client> {
        Client::over(self.dial(target).await?, self.work.auth).await
    }

    /// Connects, and authenticates in no other way than TLS does.
    ///
    /// # Errors
    /// It cannot, or the handshake was resumed where it had to be a full one, or the other way round.
    pub(crate) async fn dial(&mut self, target: SocketAddr) -> anyhow::Result<Stream> {
        let stream = client::dial(target).await?;
        let Some(connector) = &self.connector else { return Ok(Either::Right(stream)) };
        let stream = connector.connect(ServerName::try_from(NAME)?, stream).await.context("the handshake")?;
        let kind = stream.get_ref().1.handshake_kind();
        ensure!(kind == Some(self.expected), "the handshake was {kind:?}, not {:?}", self.expected);
        self.expected = self.later;
        Ok(Either::Left(Box::new(stream)))
    }
}
