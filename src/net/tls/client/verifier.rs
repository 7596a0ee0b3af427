//! Judges the certificates of coordinators, and says what is wrong with them in a way that helps.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::net::tls::certificates::{Certificate, Standing};

/// A certificate of a coordinator that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Untrusted {
    /// What the certificate says of itself; none if it cannot be read.
    pub certificate: Option<Certificate>,
    /// What is wrong with it.
    pub distrust: Distrust,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It is for other names than this.
    WrongName {
        /// The name that was asked for.
        expected: String,
    },
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// Its issuer is not among those that are trusted.
    UnknownIssuer {
        /// Where those come from: a file.
        roots: String,
    },
    /// The trusted issuer of this name has another key.
    BadSignature {
        /// Where the trusted issuers come from: a file.
        roots: String,
    },
    /// It is made for another purpose than servers.
    WrongPurpose,
    /// It is of X.509 version 1.
    Version1,
    /// Anything else, in the words of the library that found it.
    Other(String),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(certificate) = &self.certificate else {
            return write!(f, "its certificate cannot be read: {:?}", self.distrust);
        };
        write!(f, "its certificate ({certificate}) ")?;
        let issuer = certificate.issuer();
        match &self.distrust {
            Distrust::WrongName { expected } if certificate.has_alternative_names() => write!(
                f,
                "is not for the name {expected}; set server_name to a name that it is for, or have it issued \
                 for {expected} too"
            ),
            Distrust::WrongName { expected } => write!(
                f,
                "has no alternative names, and its CN is not read; have it issued with {expected} as an \
                 alternative name"
            ),
            Distrust::Expired => {
                write!(f, "expired on {}; renew it on the coordinator", certificate.until_day())
            }
            Distrust::NotYetValid => write!(
                f,
                "is not valid before {}; compare the clocks of both machines",
                certificate.from_day()
            ),
            Distrust::UnknownIssuer { roots } if certificate.is_self_signed() => {
                write!(f, "is self-signed and not in {roots}; add it to the file of ca")
            }
            Distrust::UnknownIssuer { roots } => write!(
                f,
                "cannot be traced to an issuer in {roots}; add {issuer} to the file of ca, or have the \
                 coordinator send the certificates between"
            ),
            Distrust::BadSignature { roots } => write!(
                f,
                "was signed with another key than that of {issuer} in {roots}; put the issuer's present \
                 certificate there"
            ),
            Distrust::WrongPurpose => {
                f.write_str("is not made for servers; have it issued with the purpose serverAuth")
            }
            Distrust::Version1 => f.write_str(
                "is of X.509 version 1, which has no alternative names; have it issued as version 3, with its \
                 names in subjectAltName (openssl x509 -req makes version 1 unless it has -extfile)",
            ),
            Distrust::Other(why) => write!(f, "is not acceptable: {why}"),
        }
    }
}

/// Judges certificates; the judgement on a bad one travels to the caller as an [`Untrusted`] within rustls'
/// own error.
#[derive(Debug)]
pub(super) struct Verifier {
    /// None if every certificate is good enough.
    pub(super) trust: Option<Trust>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// What is trusted.
#[derive(Debug)]
pub(super) struct Trust {
    /// Knows the trusted issuers; none if there are none.
    pub(super) chains: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that the operator has listed, and that need no other to vouch for them: self-signed ones
    /// of single coordinators are marked as issuers by openssl, and [`WebPkiServerVerifier`] takes no issuer
    /// for a server.
    pub(super) listed: Vec<CertificateDer<'static>>,
    /// Where all these come from.
    pub(super) origin: String,
}

impl Trust {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.listed.iter().any(|listed| listed == end_entity) {
            return judge_listed(end_entity, name, now);
        }
        let chains = self.chains.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        chains.verify_server_cert(end_entity, intermediates, name, &[], now).map(drop)
    }

    fn untrusted(
        &self,
        error: &CertificateError,
        end_entity: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Untrusted {
        let certificate = Certificate::of(end_entity).ok();
        let roots = || self.origin.clone();
        let distrust = match error {
            // Whoever vouches for it, and even if it is listed.
            _ if certificate.as_ref().is_some_and(Certificate::is_version_1) => Distrust::Version1,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Distrust::WrongName { expected: name.to_str().into_owned() }
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Distrust::NotYetValid
            }
            CertificateError::UnknownIssuer => Distrust::UnknownIssuer { roots: roots() },
            CertificateError::BadSignature => Distrust::BadSignature { roots: roots() },
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Distrust::WrongPurpose
            }
            // Whatever else it has, nobody has vouched for it.
            _ if certificate.as_ref().is_some_and(Certificate::is_self_signed) => {
                Distrust::UnknownIssuer { roots: roots() }
            }
            CertificateError::Other(OtherError(why)) => Distrust::Other(why.to_string()),
            other => Distrust::Other(other.to_string()),
        };
        Untrusted { certificate, distrust }
    }
}

/// A certificate that is listed itself has to be for the name, and valid at this time.
fn judge_listed(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    let seen = Certificate::of(certificate).map_err(|_| CertificateError::BadEncoding)?;
    match seen.standing(UNIX_EPOCH + Duration::from_secs(now.as_secs())) {
        Standing::Expired => Err(CertificateError::Expired.into()),
        Standing::NotYetValid => Err(CertificateError::NotValidYet.into()),
        Standing::Valid | Standing::ExpiresSoon => Ok(()),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        match trust.judge(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(error)) => {
                let untrusted = trust.untrusted(&error, end_entity, server_name);
                Err(CertificateError::Other(OtherError(Arc::new(untrusted))).into())
            }
            Err(other) => Err(other),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::certificates::test::version_1;

    #[test]
    fn a_certificate_of_version_1_is_told_from_one_that_nobody_has_vouched_for() {
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let der = version_1(made.der());
        let name = ServerName::try_from("impala-1").unwrap();
        for listed in [vec![der.clone()], Vec::new()] {
            let trust = Some(Trust { chains: None, listed, origin: "ca.pem".to_owned() });
            let algorithms = crate::net::tls::provider().signature_verification_algorithms;
            let verifier = Verifier { trust, algorithms };
            let refused = verifier.verify_server_cert(&der, &[], &name, &[], UnixTime::now()).unwrap_err();
            let Error::InvalidCertificate(CertificateError::Other(OtherError(why))) = refused else {
                panic!("{refused}");
            };
            assert_eq!(why.downcast_ref::<Untrusted>().unwrap().distrust, Distrust::Version1);
            assert!(why.to_string().contains("of X.509 version 1, "), "{why}");
        }
    }
}
