//! TLS towards a cluster: what was read from its files, and reading them again.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};

use super::files::{ClusterTlsError, Digest, Files};
use super::seen::SeenCertificate;
use super::settings::{ClusterTlsSettings, Verify};
use crate::net::tls::provider;

/// What became of a look at the files.
#[derive(Debug)]
pub enum Refreshed {
    /// They are as they were.
    Unchanged,
    /// They have changed, and later handshakes use them.
    Changed,
    /// They cannot be used; handshakes go on with what was last read without a problem.
    Failed(ClusterTlsError),
}

/// TLS towards one cluster.
#[derive(Debug)]
pub struct ClusterTls {
    settings: ClusterTlsSettings,
    time: Arc<dyn TimeProvider>,
    material: ArcSwap<Material>,
    /// Held for a whole refresh, so that two of them do not mix.
    last_look: Mutex<LastLook>,
}

/// What the last look at the files found.
#[derive(Debug, PartialEq, Eq)]
enum LastLook {
    /// Files with this content, which are in use.
    Good(Digest),
    /// Something that cannot be used, for this reason.
    Bad(String),
}

/// What was read from the files at one time.
#[derive(Debug)]
pub(super) struct Material {
    /// Has everything but the sessions.
    pub(super) template: ClientConfig,
    client_certificate: Option<SeenCertificate>,
    /// The file with what is trusted.
    trusts: String,
}

impl ClusterTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, or what is in it cannot be used; when there is no `ca` and no bundle of
    /// the system is found.
    pub fn load(settings: ClusterTlsSettings) -> Result<Self, ClusterTlsError> {
        Self::load_at(settings, Arc::new(DefaultTimeProvider))
    }

    /// As [`Self::load`]; `time` is what the validity of certificates is judged by.
    pub(super) fn load_at(
        settings: ClusterTlsSettings,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, ClusterTlsError> {
        let files = Files::read(&settings)?;
        let material = Material::of(&files, &settings, &time)?;
        let last_look = Mutex::new(LastLook::Good(files.digest()));
        Ok(Self { settings, time, material: ArcSwap::from_pointee(material), last_look })
    }

    /// Reads the files again. What is in them takes effect for later handshakes once all of it is good. A
    /// failure is told once: after that, the files count as unchanged until they are good again or fail for
    /// another reason. It blocks: files may be on a file system that does not answer.
    pub fn refresh(&self) -> Refreshed {
        let mut last = self.last_look.lock();
        let (found, outcome) = match self.look(&last) {
            Ok(None) => return Refreshed::Unchanged,
            Ok(Some(digest)) => (LastLook::Good(digest), Refreshed::Changed),
            Err(error) => (LastLook::Bad(error.to_string()), Refreshed::Failed(error)),
        };
        if *last == found {
            return Refreshed::Unchanged;
        }
        *last = found;
        outcome
    }

    /// Takes over what is in the files, if it is not what is in use already.
    fn look(&self, last: &LastLook) -> Result<Option<Digest>, ClusterTlsError> {
        let files = Files::read(&self.settings)?;
        let digest = files.digest();
        if *last == LastLook::Good(digest) {
            return Ok(None);
        }
        let material = Material::of(&files, &self.settings, &self.time)?;
        self.material.store(Arc::new(material));
        Ok(Some(digest))
    }

    /// What was last read from the files without a problem.
    pub(super) fn material(&self) -> Arc<Material> {
        self.material.load_full()
    }

    /// Whether the router shows a certificate to coordinators that ask for one.
    pub(super) fn shows_certificate(&self) -> bool {
        self.settings.pair.is_some()
    }

    /// What is demanded of a coordinator's certificate.
    pub fn verify(&self) -> &Verify {
        &self.settings.verify
    }

    /// The file with what is trusted; nothing, if nothing is verified.
    pub fn trusts(&self) -> String {
        self.material.load().trusts.clone()
    }

    /// The client certificate in use.
    pub fn client_certificate(&self) -> Option<SeenCertificate> {
        self.material.load().client_certificate.clone()
    }

    /// Until when the client certificate in use is valid.
    pub fn expiry(&self) -> Option<SystemTime> {
        let until = self.material.load().client_certificate.as_ref().map(SeenCertificate::not_after)?;
        Some(until.into())
    }
}

impl Material {
    fn of(
        files: &Files,
        settings: &ClusterTlsSettings,
        time: &Arc<dyn TimeProvider>,
    ) -> Result<Self, ClusterTlsError> {
        let provider = provider();
        let verifier = Arc::new(files.verifier(settings, &provider)?);
        let pair = files.pair(&provider)?;
        let client_certificate = pair.as_ref().and_then(|pair| SeenCertificate::read(pair.cert.first()?));
        let builder = ClientConfig::builder_with_details(provider, Arc::clone(time))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(ClusterTlsError::Provider)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let template = match pair {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))),
            None => builder.with_no_client_auth(),
        };
        Ok(Self { template, client_certificate, trusts: files.trusts() })
    }
}
