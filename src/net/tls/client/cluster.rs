//! TLS towards a cluster: what was read from its files, and reading them again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ClientConfig;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};

use super::files::Contents;
use super::settings::{ClusterTlsSettings, Verify};
use crate::net::tls::certificates::{Certificate, CertificateError, Refreshed, Reread};
use crate::net::tls::provider;

/// TLS towards one cluster.
#[derive(Debug)]
pub struct ClusterTls {
    settings: ClusterTlsSettings,
    time: Arc<dyn TimeProvider>,
    material: Reread<Material>,
}

/// What was read from the files at one time.
#[derive(Debug)]
pub(super) struct Material {
    /// Has everything but the sessions.
    pub(super) template: ClientConfig,
    client_certificate: Option<Certificate>,
    /// The file with what is trusted.
    trusts: String,
}

impl ClusterTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, or what is in it cannot be used; when there is no `ca` and no bundle of
    /// the system is found.
    pub fn load(settings: ClusterTlsSettings) -> Result<Self, CertificateError> {
        Self::load_at(settings, Arc::new(DefaultTimeProvider))
    }

    /// As [`Self::load`]; `time` is what the validity of certificates is judged by.
    pub(super) fn load_at(
        settings: ClusterTlsSettings,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, CertificateError> {
        let material = Reread::load(
            |hashed| Contents::read(&settings, hashed),
            |contents| Material::of(&contents, &settings, &time),
        )?;
        Ok(Self { settings, time, material })
    }

    /// Reads the files again. What is in them takes effect for later handshakes once all of it is good. A
    /// failure is told once for each content of the files. It blocks: files may be on a file system that does
    /// not answer.
    pub fn refresh(&self) -> Refreshed {
        self.material.refresh(
            |hashed| Contents::read(&self.settings, hashed),
            |contents, _| Material::of(&contents, &self.settings, &self.time),
        )
    }

    /// What was last read from the files without a problem.
    pub(super) fn material(&self) -> Arc<Material> {
        self.material.current()
    }

    /// The time of day, by which the validity of certificates is judged.
    pub(super) fn time_of_day(&self) -> SystemTime {
        let since = self.time.current_time().map_or(0, |time| time.as_secs());
        UNIX_EPOCH + Duration::from_secs(since)
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
        self.material.current().trusts.clone()
    }

    /// The client certificate in use.
    pub fn client_certificate(&self) -> Option<Certificate> {
        self.material.current().client_certificate.clone()
    }
}

impl Material {
    fn of(
        contents: &Contents,
        settings: &ClusterTlsSettings,
        time: &Arc<dyn TimeProvider>,
    ) -> Result<Self, CertificateError> {
        let provider = provider();
        let verifier = Arc::new(contents.verifier(settings, &provider)?);
        let pair = contents.pair(&provider)?;
        let client_certificate = pair.as_ref().map(|pair| pair.certificate.clone());
        let builder = ClientConfig::builder_with_details(provider, Arc::clone(time))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| CertificateError::Unusable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let template = match pair {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified))),
            None => builder.with_no_client_auth(),
        };
        Ok(Self { template, client_certificate, trusts: contents.trusts() })
    }
}
