//! TLS of a listener: its certificates, what it demands of clients, and how sessions resume.
//!
//! The files are read again by [`ListenerTls::refresh`], and take effect for new connections only when all of
//! them are valid together. Until then, and if they are not, the last good ones are used.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoClientAuth, NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

pub use super::certificates::Refreshed;
use super::certificates::{
    self, Certificate, CertificateError, Content, Hashed, NoAuthorities, PairContents, PairFiles, Reread,
};
use super::choice::Choice;
use super::tickets::FileTickets;

/// How many sessions of TLS 1.2 clients that know no tickets are remembered. Each takes some 200 bytes.
const SESSIONS_REMEMBERED: usize = 4096;

/// What a listener's TLS is like; `docs/CONFIG.md` explains each key of `[listener.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// At least one. The first is for clients that ask for no name or for one that no certificate has.
    pub pairs: Vec<PairFiles>,
    /// Which certificates clients show; `None` if they are not asked for any.
    pub clients: Option<ClientCertificates>,
    /// The oldest version that is accepted.
    pub minimum_version: Version,
    /// Whether clients that come without TLS are refused.
    pub required: bool,
    /// A file of ticket keys; `None` for a random key that changes every 6 hours. Without effect where clients
    /// are asked for certificates.
    pub ticket_key: Option<PathBuf>,
    /// Whether clients are refused that ask for no name or for one that no certificate has.
    pub strict_sni: bool,
}

/// Which certificates clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// PEM: the authorities that issue them.
    pub ca: PathBuf,
    /// Whether a client may come without one.
    pub auth: ClientAuth,
}

/// Whether a client may come without a certificate. One that it shows must be valid either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It may.
    Optional,
    /// It may not.
    Required,
}

impl ClientAuth {
    /// As in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// A version of TLS that rustls has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// As in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    fn and_newer(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => vec![&TLS13, &TLS12],
            Self::Tls13 => vec![&TLS13],
        }
    }
}

/// TLS of one listener.
pub struct ListenerTls {
    settings: Settings,
    files: Reread<Current>,
    time: Arc<dyn TimeProvider>,
}

/// What new connections use.
struct Current {
    config: Arc<ServerConfig>,
    choice: Arc<Choice>,
    resumption: Option<Resumption>,
}

/// How sessions resume. It outlives the certificates, so that clients resume after a renewal.
///
/// There is none where clients are asked for certificates: a resumed handshake takes over what the first one
/// was shown, so a client that has renewed its certificate would go on with the old one, and one whose
/// authority is trusted no more would still come in.
struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<ServerSessionMemoryCache>,
}

impl ListenerTls {
    /// Reads all files.
    ///
    /// # Errors
    /// When one of them cannot be read or used.
    pub fn load(settings: Settings) -> Result<Self, CertificateError> {
        Self::load_at(settings, Arc::new(DefaultTimeProvider))
    }

    fn load_at(settings: Settings, time: Arc<dyn TimeProvider>) -> Result<Self, CertificateError> {
        let files = Reread::load(
            |hashed| Contents::read(&settings, hashed),
            |contents| build(&settings, &contents, None, &time),
        )?;
        Ok(Self { settings, files, time })
    }

    /// What a new connection is to use.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.files.current().config)
    }

    /// Whether clients that come without TLS are refused.
    pub fn is_required(&self) -> bool {
        self.settings.required
    }

    /// Whether clients are asked for a certificate.
    pub fn asks_for_certificate(&self) -> bool {
        self.settings.clients.is_some()
    }

    /// The certificates in use, in the order of the config.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.files.current().choice.certificates().cloned().collect()
    }

    /// Each certificate with those that are sent behind it, in the order of the config.
    pub fn chains(&self) -> Vec<Vec<Certificate>> {
        self.files.current().choice.chains()
    }

    /// Reads the files again. Blocks while it reads; connections do not wait for it. A failure is told once
    /// for each content of the files.
    pub fn refresh(&self) -> Refreshed {
        self.files.refresh(
            |hashed| Contents::read(&self.settings, hashed),
            |contents, before| build(&self.settings, &contents, before.resumption.as_ref(), &self.time),
        )
    }
}

/// Without keys and certificates.
impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The files of a listener, as they were read.
struct Contents {
    pairs: Vec<PairContents>,
    client_ca: Option<Content>,
    ticket_key: Option<Content>,
}

impl Contents {
    fn read(settings: &Settings, hashed: &mut Hashed) -> Result<Self, CertificateError> {
        let pairs = settings.pairs.iter().map(|files| PairContents::read(files, hashed));
        let pairs = pairs.collect::<Result<_, _>>()?;
        let mut read = |file: Option<&PathBuf>| file.map(|file| hashed.read(file)).transpose();
        let client_ca = read(settings.clients.as_ref().map(|clients| &clients.ca))?;
        Ok(Self { pairs, client_ca, ticket_key: read(settings.ticket_key.as_ref())? })
    }
}

/// Makes of the files what new connections use. Sessions resume as `before`.
fn build(
    settings: &Settings,
    contents: &Contents,
    before: Option<&Resumption>,
    time: &Arc<dyn TimeProvider>,
) -> Result<Current, CertificateError> {
    let provider = super::provider();
    let pairs = contents.pairs.iter().map(|pair| certificates::pair(pair, &provider));
    let choice = Arc::new(Choice::new(pairs.collect::<Result<_, _>>()?, settings.strict_sni));
    let roots = contents
        .client_ca
        .as_ref()
        .map(|ca| certificates::authorities(ca, NoAuthorities::Refused))
        .transpose()?;
    let auth = settings.clients.as_ref().map(|clients| clients.auth);
    let resumption = resumption(settings, contents, before, time)?;
    let unusable = |error: rustls::Error| CertificateError::Unusable(error.to_string());
    let verifier = verifier(roots, auth)?;
    let mut config = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::clone(time))
        .with_protocol_versions(&settings.minimum_version.and_newer())
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&choice) as Arc<_>);
    if let Some(Resumption { tickets, sessions }) = &resumption {
        config.ticketer = Arc::clone(tickets);
        config.session_storage = Arc::clone(sessions) as Arc<_>;
    } else {
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    // What comes before the handshake's end could be replayed, and no statement may run twice.
    config.max_early_data_size = 0;
    Ok(Current { config: Arc::new(config), choice, resumption })
}

fn verifier(
    roots: Option<RootCertStore>,
    auth: Option<ClientAuth>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let Some(roots) = roots else { return Ok(Arc::new(NoClientAuth)) };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider());
    let builder = match auth {
        Some(ClientAuth::Optional) => builder.allow_unauthenticated(),
        Some(ClientAuth::Required) | None => builder,
    };
    builder.build().map_err(|error| CertificateError::Unusable(error.to_string()))
}

fn resumption(
    settings: &Settings,
    contents: &Contents,
    before: Option<&Resumption>,
    time: &Arc<dyn TimeProvider>,
) -> Result<Option<Resumption>, CertificateError> {
    if settings.clients.is_some() {
        return Ok(None);
    }
    let sessions = before.map_or_else(
        || ServerSessionMemoryCache::new(SESSIONS_REMEMBERED),
        |before| Arc::clone(&before.sessions),
    );
    let tickets: Arc<dyn ProducesTickets> = match (&contents.ticket_key, before) {
        (Some(file), _) => Arc::new(FileTickets::new(file, Arc::clone(time))?),
        (None, Some(before)) => Arc::clone(&before.tickets),
        (None, None) => rustls::crypto::aws_lc_rs::Ticketer::new()
            .map_err(|error| CertificateError::Unusable(error.to_string()))?,
    };
    Ok(Some(Resumption { tickets, sessions }))
}

#[cfg(test)]
mod tests;
