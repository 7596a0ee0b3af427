//! Makes of the PEM files of a cluster what handshakes need: what is trusted, and the client certificate.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::settings::{ClusterTlsSettings, Verify};
use super::verifier::{Trust, Verifier};
use crate::net::tls::certificates::{
    self, Certificate, CertificateError, Content, Hashed, NoAuthorities, Pair, PairContents,
};

/// The files of a cluster, as they were read.
pub(super) struct Contents {
    /// None if nothing is verified.
    ca: Option<Content>,
    pair: Option<PairContents>,
}

impl Contents {
    pub(super) fn read(settings: &ClusterTlsSettings, hashed: &mut Hashed) -> Result<Self, CertificateError> {
        let ca = match (&settings.verify, &settings.ca) {
            (Verify::Nothing, _) => None,
            (_, Some(path)) => Some(hashed.read(path)?),
            (_, None) => Some(hashed.read(&certificates::system_bundle()?)?),
        };
        let pair = settings.pair.as_ref().map(|files| PairContents::read(files, hashed)).transpose()?;
        Ok(Self { ca, pair })
    }

    /// The file with what is trusted; empty if nothing is verified.
    pub(super) fn trusts(&self) -> String {
        self.ca.as_ref().map(|ca| ca.file.display().to_string()).unwrap_or_default()
    }

    pub(super) fn verifier(
        &self,
        settings: &ClusterTlsSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Verifier, CertificateError> {
        let trust = self.ca.as_ref().map(|ca| trust(ca, settings.ca.is_some(), provider)).transpose()?;
        Ok(Verifier { trust, algorithms: provider.signature_verification_algorithms })
    }

    pub(super) fn pair(&self, provider: &CryptoProvider) -> Result<Option<Pair>, CertificateError> {
        self.pair.as_ref().map(|pair| certificates::pair(pair, provider)).transpose()
    }
}

/// `is_chosen` is whether the operator has chosen the file. Of the system's bundle, certificates that cannot
/// be understood are left out, and none is trusted to be a coordinator's own. Only authorities vouch for
/// others: the key of one coordinator must not be enough to be taken for another.
fn trust(ca: &Content, is_chosen: bool, provider: &Arc<CryptoProvider>) -> Result<Trust, CertificateError> {
    let (roots, listed) = if is_chosen {
        (certificates::authorities(ca, NoAuthorities::LeftOut)?, ca.certificates()?)
    } else {
        let mut roots = RootCertStore::empty();
        let is_authority =
            |der: &CertificateDer<'_>| Certificate::of(der).is_ok_and(|one| one.is_authority());
        roots.add_parsable_certificates(ca.certificates()?.into_iter().filter(is_authority));
        (roots, Vec::new())
    };
    let origin = ca.file.display().to_string();
    let build = |roots| {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        builder.build().map_err(|error| CertificateError::Unusable(format!("{origin}: {error}")))
    };
    let chains = if roots.is_empty() { None } else { Some(build(roots)?) };
    Ok(Trust { chains, listed, origin })
}
