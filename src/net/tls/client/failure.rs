//! Why no TLS connection to a coordinator came about, in words that say what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};

use super::verifier::Untrusted;

/// Why a TLS handshake with a coordinator failed. Each reads well behind the address of the port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// Its certificate is not trusted.
    #[error(transparent)]
    Untrusted(Box<Untrusted>),
    /// What came was no TLS.
    #[error("it does not speak TLS")]
    NoTls,
    /// It ended the connection before the handshake was over.
    #[error("it ended the connection during the TLS handshake")]
    Closed,
    /// The network lost the connection before the handshake was over.
    #[error("the connection was lost during the TLS handshake: {0}")]
    Lost(io::ErrorKind),
    /// It wants a certificate, and the router has none to show.
    #[error("it asks for a client certificate ({alert}); set certificate and key in [cluster.tls]")]
    CertificateRequired {
        /// How it said so.
        alert: String,
    },
    /// It does not accept the certificate that the router showed.
    #[error(
        "it does not accept the router's certificate ({alert}); compare its CA with the issuer of certificate in \
         [cluster.tls]"
    )]
    CertificateRefused {
        /// How it said so.
        alert: String,
    },
    /// It has no certificate for the name that the router asked for.
    #[error(
        "it has no certificate for the name that it was asked for; set server_name to a name that it has"
    )]
    NameUnknown,
    /// There is no version, cipher or key exchange that both sides know.
    #[error(
        "it has no version or cipher in common with the router ({why}), which knows TLS 1.2 and 1.3 with forward \
         secrecy"
    )]
    Incompatible {
        /// How that was found out.
        why: String,
    },
    /// It refused the handshake, and has no closer word for the reason.
    #[error(
        "it refused the TLS handshake (HandshakeFailure): it has no cipher in common with the router, which demands \
         forward secrecy (ECDHE), or it asks for a client certificate; then set certificate and key in [cluster.tls]"
    )]
    Refused,
    /// It ended the handshake with an alert.
    #[error("it ended the TLS handshake with the alert {alert}")]
    Alert {
        /// The alert.
        alert: String,
    },
    /// It broke the rules of TLS.
    #[error("it broke the rules of TLS: {0}")]
    Broken(String),
    /// The router itself could not go on.
    #[error("the router could not make a TLS connection: {0}")]
    Local(String),
}

impl TlsFailure {
    /// What an error means that came of a handshake, with rustls' error inside if it is one of TLS;
    /// `InvalidData` with anything else inside is also the coordinator's doing.
    /// `shows_certificate` is whether the router has a client certificate for the coordinator.
    pub fn of(error: &io::Error, shows_certificate: bool) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match (inner, error.kind()) {
            (Some(error), _) => Self::of_tls(error, shows_certificate),
            (
                None,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe,
            ) => Self::Closed,
            (
                None,
                kind @ (io::ErrorKind::TimedOut
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown),
            ) => Self::Lost(kind),
            (None, io::ErrorKind::InvalidData) => Self::Broken(error.to_string()),
            (None, _) => Self::Local(error.to_string()),
        }
    }

    fn of_tls(error: &Error, shows_certificate: bool) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
                match other.downcast_ref::<Untrusted>() {
                    Some(untrusted) => Self::Untrusted(Box::new(untrusted.clone())),
                    None => Self::Broken(error.to_string()),
                }
            }
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NoTls,
            Error::AlertReceived(alert) => Self::of_alert(*alert, shows_certificate),
            Error::PeerIncompatible(why) => Self::Incompatible { why: format!("{why:?}") },
            Error::EncryptError
            | Error::FailedToGetCurrentTime
            | Error::FailedToGetRandomBytes
            | Error::General(_)
            | Error::Other(_) => Self::Local(error.to_string()),
            other => Self::Broken(other.to_string()),
        }
    }

    /// What an alert after the handshake means, if it is about the router's certificate.
    pub(in crate::net::tls) fn of_late_alert(
        alert: AlertDescription,
        shows_certificate: bool,
    ) -> Option<Self> {
        let failure = Self::of_alert(alert, shows_certificate);
        matches!(failure, Self::CertificateRequired { .. } | Self::CertificateRefused { .. })
            .then_some(failure)
    }

    /// The alerts of RFC 8446, section 6.2. Before TLS 1.3 a missing certificate has none of its own: OpenSSL
    /// says `handshake_failure`, Java `bad_certificate`.
    fn of_alert(alert: AlertDescription, shows_certificate: bool) -> Self {
        let name = format!("{alert:?}");
        match alert {
            AlertDescription::CertificateRequired => Self::CertificateRequired { alert: name },
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => {
                if shows_certificate {
                    Self::CertificateRefused { alert: name }
                } else {
                    Self::CertificateRequired { alert: name }
                }
            }
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
                Self::Incompatible { why: name }
            }
            AlertDescription::UnrecognisedName => Self::NameUnknown,
            AlertDescription::HandshakeFailure if !shows_certificate => Self::Refused,
            _ => Self::Alert { alert: name },
        }
    }

    /// A word for the kind of failure, the same in every version of the router.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Untrusted(_) => "untrusted",
            Self::NoTls => "no_tls",
            Self::Closed => "closed",
            Self::Lost(_) => "lost",
            Self::CertificateRequired { .. } => "certificate_required",
            Self::CertificateRefused { .. } => "certificate_refused",
            Self::NameUnknown => "name_unknown",
            Self::Incompatible { .. } => "incompatible",
            Self::Refused => "refused",
            Self::Alert { .. } => "alert",
            Self::Broken(_) => "broken",
            Self::Local(_) => "local",
        }
    }

    /// Whether it is a fact about the coordinator or the way to it, rather than about this process. What the
    /// coordinator demands and the router does not have is such a fact, too: until one of them is changed, all
    /// dials are in vain.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Self::Local(_))
    }

    /// `remedy`, if perhaps the port does not speak TLS at all; else nothing, because the failure itself says
    /// what to do.
    pub(crate) fn if_no_tls(&self, remedy: &'static str) -> &'static str {
        if matches!(self, Self::NoTls | Self::Closed) { remedy } else { "" }
    }

    /// Whether the coordinator may have objected to a session that was to be resumed.
    pub(super) fn may_come_of_resumption(&self) -> bool {
        matches!(self, Self::Refused | Self::Alert { .. } | Self::Broken(_))
    }
}
