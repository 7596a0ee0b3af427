//! Why a handshake with a client failed, in words that say what to do.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Why there is no TLS connection with a client. Prints as what happened and, after a semicolon, what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client speaks TLS 1.1 at most.
    OldVersion,
    /// The client offers no version that the listener accepts.
    NoCommonVersion,
    /// The client and the router have no cipher suite, group or kind of signature in common.
    NothingInCommon,
    /// No certificate is for the name that the client asked for, or it asked for none (`strict_sni`).
    NoSuchName,
    /// The client has no certificate, and needs one.
    NoClientCertificate,
    /// The client's certificate was issued by an authority that is not in `client_ca`.
    UnknownClientIssuer,
    /// The client's certificate has expired.
    ClientCertificateExpired,
    /// The client's certificate is not valid yet.
    ClientCertificateNotYetValid,
    /// The client's certificate is not good for another reason.
    BadClientCertificate,
    /// The client does not know who issued the router's certificate.
    NotTrusted,
    /// The client finds the router's certificate wrong: in most cases for another name.
    CertificateRefused,
    /// The client finds that the router's certificate has expired.
    CertificateExpired,
    /// The client ended the handshake with another alert.
    Alert(AlertDescription),
    /// What the client sent is not TLS.
    NotTls,
    /// The client breaks the protocol.
    BrokenProtocol,
    /// The router cannot go on, and it is not the client's fault.
    Internal,
}

/// What a failed handshake means.
pub fn explain(error: &Error) -> Refusal {
    match error {
        Error::PeerIncompatible(why) => incompatible(why),
        Error::NoCertificatesPresented => Refusal::NoClientCertificate,
        Error::InvalidCertificate(why) => client_certificate(why),
        Error::AlertReceived(alert) => alerted(*alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::InvalidEmptyPayload
            | InvalidMessage::MessageTooLarge,
        ) => Refusal::NotTls,
        // The only text for which rustls has no variant: `Choice` found no certificate.
        Error::General(text) if text == "no server certificate chain resolved" => Refusal::NoSuchName,
        Error::General(_)
        | Error::EncryptError
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::Other(_) => Refusal::Internal,
        _ => Refusal::BrokenProtocol,
    }
}

fn incompatible(why: &PeerIncompatible) -> Refusal {
    match why {
        // Older versions lack the extension (RFC 5246, 7.4.1.4.1), and rustls looks for it first.
        PeerIncompatible::Tls12NotOffered | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            Refusal::OldVersion
        }
        PeerIncompatible::Tls12NotOfferedOrEnabled | PeerIncompatible::SupportedVersionsExtensionRequired => {
            Refusal::NoCommonVersion
        }
        _ => Refusal::NothingInCommon,
    }
}

fn client_certificate(why: &CertificateError) -> Refusal {
    match why {
        CertificateError::UnknownIssuer => Refusal::UnknownClientIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Refusal::ClientCertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Refusal::ClientCertificateNotYetValid
        }
        _ => Refusal::BadClientCertificate,
    }
}

/// What clients mean: OpenSSL says `bad_certificate` for another name, Java `certificate_unknown` for all
/// that it finds wrong.
fn alerted(alert: AlertDescription) -> Refusal {
    match alert {
        AlertDescription::UnknownCA => Refusal::NotTrusted,
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => Refusal::CertificateRefused,
        AlertDescription::CertificateExpired => Refusal::CertificateExpired,
        AlertDescription::ProtocolVersion => Refusal::NoCommonVersion,
        other => Refusal::Alert(other),
    }
}

impl Refusal {
    /// The value of a metric's label.
    pub fn cause(self) -> &'static str {
        match self {
            Self::OldVersion => "old_version",
            Self::NoCommonVersion => "no_common_version",
            Self::NothingInCommon => "nothing_in_common",
            Self::NoSuchName => "no_such_name",
            Self::NoClientCertificate => "no_client_certificate",
            Self::UnknownClientIssuer => "unknown_client_issuer",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateNotYetValid => "client_certificate_not_yet_valid",
            Self::BadClientCertificate => "bad_client_certificate",
            Self::NotTrusted => "not_trusted",
            Self::CertificateRefused => "certificate_refused",
            Self::CertificateExpired => "certificate_expired",
            Self::Alert(_) => "alert",
            Self::NotTls => "not_tls",
            Self::BrokenProtocol => "broken_protocol",
            Self::Internal => "internal",
        }
    }

    /// The record with the right alert, where rustls would send a wrong one: send it in place of what rustls
    /// has to send. `None` where rustls is right.
    pub fn alert_record(self) -> Option<[u8; 7]> {
        let (minor, alert) = match self {
            // RFC 6066, 3: for a server that does not know the name. rustls says access_denied.
            Self::NoSuchName => (3, AlertDescription::UnrecognisedName),
            // rustls says handshake_failure if a client names no kinds of signatures.
            Self::OldVersion => (1, AlertDescription::ProtocolVersion),
            _ => return None,
        };
        // Nothing is encrypted yet when these are found.
        Some([0x15, 0x03, minor, 0x00, 0x02, 0x02, u8::from(alert)])
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OldVersion => {
                "the client speaks only TLS 1.1 or older, which the router does not offer; update the client or its \
                 TLS library"
            }
            Self::NoCommonVersion => {
                "the client and this listener have no TLS version in common; update the client, or lower \
                 minimum_version of [listener.tls] to \"1.2\""
            }
            Self::NothingInCommon => {
                "the client and the router have no cipher suite, key exchange or kind of signature in common; update \
                 the client, or give the listener an RSA certificate beside an ECDSA one"
            }
            Self::NoSuchName => {
                "no certificate is for the name that the client asked for; correct the name in the client, add a pair \
                 with that name to [listener.tls], or remove strict_sni"
            }
            Self::NoClientCertificate => {
                "the client shows no certificate, and this listener requires one; give the client a certificate of \
                 an authority in client_ca, or set client_auth = \"optional\""
            }
            Self::UnknownClientIssuer => {
                "the client's certificate comes from an authority that this listener does not know; add the authority \
                 to client_ca, or have the client send the authorities in between too"
            }
            Self::ClientCertificateExpired => "the client's certificate has expired; renew it",
            Self::ClientCertificateNotYetValid => {
                "the client's certificate is not valid yet; compare the clocks of the router and of the authority"
            }
            Self::BadClientCertificate => {
                "the client's certificate cannot be accepted; see that it is for client authentication and signed \
                 with SHA-256 or better"
            }
            Self::NotTrusted => {
                "the client does not trust the authority of the router's certificate; give the client that authority \
                 (--ca_cert, a trust store), or see that the certificate's file has all authorities in between"
            }
            Self::CertificateRefused => {
                "the client refuses the router's certificate; in most cases the name that the client connects to is \
                 not in it, or the client does not trust its authority"
            }
            Self::CertificateExpired => {
                "the client finds the router's certificate expired; renew it, or set the client's clock"
            }
            Self::Alert(alert) => {
                return write!(f, "the client ended the handshake with the alert {alert:?}; see its own log");
            }
            Self::NotTls => {
                "what the client sent is not TLS; turn on TLS in the client, or set required = false in [listener.tls]"
            }
            Self::BrokenProtocol => {
                "the client breaks the TLS protocol; see that nothing between it and the router changes the bytes"
            }
            Self::Internal => "the router cannot do its part of the handshake; see the error",
        })
    }
}
