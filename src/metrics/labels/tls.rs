//! The labels that tell of TLS with clients.

use super::Label;

labels! {
    /// How a TLS handshake with a client ended. What a client refuses may be told by an alert of TLS.
    HandshakeOutcome {
        /// Complete, with new keys.
        Full = "full",
        /// Complete, with keys that were agreed upon before.
        Resumed = "resumed",
        /// It was not complete within `handshake_timeout`.
        TimedOut = "timed_out",
        /// The client left in the middle of it.
        ClientLeft = "client_left",
        /// The client speaks TLS 1.1 at most.
        OldVersion = "old_version",
        /// The client offers no version that the listener accepts.
        NoCommonVersion = "no_common_version",
        /// The client and the router have no cipher suite, group or kind of signature in common.
        NothingInCommon = "nothing_in_common",
        /// No certificate is for the name that the client asked for, or it asked for none (`strict_sni`).
        NoSuchName = "no_such_name",
        /// The client has no certificate, and needs one.
        NoClientCertificate = "no_client_certificate",
        /// The client's certificate was issued by an authority that is not in `client_ca`.
        UnknownClientIssuer = "unknown_client_issuer",
        /// The client's certificate has expired.
        ClientCertificateExpired = "client_certificate_expired",
        /// The client's certificate is not valid yet.
        ClientCertificateNotYetValid = "client_certificate_not_yet_valid",
        /// The client's certificate is not good for another reason.
        BadClientCertificate = "bad_client_certificate",
        /// The client does not know who issued the router's certificate.
        NotTrusted = "not_trusted",
        /// The client finds the router's certificate wrong: in most cases for another name.
        CertificateRefused = "certificate_refused",
        /// The client finds that the router's certificate has expired.
        CertificateExpired = "certificate_expired",
        /// The client ended the handshake with another alert.
        Alert = "alert",
        /// What the client sent is not TLS.
        NotTls = "not_tls",
        /// The client broke the protocol.
        BrokenProtocol = "broken_protocol",
        /// The router could not go on, and it was not the client's fault.
        Internal = "internal",
    }
}

impl HandshakeOutcome {
    /// The outcome with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().map(|(outcome, _)| *outcome).find(|outcome| outcome.word() == word)
    }
}

labels! {
    /// What became of TLS on a client connection.
    Encryption {
        /// The client speaks TLS with the router.
        Terminated = "terminated",
        /// The client speaks TLS with its coordinator, and the router passes it on unread.
        PassedThrough = "passed_through",
        /// The client came in the clear.
        Clear = "clear",
    }
}
