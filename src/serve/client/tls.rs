//! TLS of clients, where the listener has a certificate of its own. What is inside of TLS is then detected as
//! what comes in the clear is.

use std::sync::Arc;

use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use tokio::time::timeout;
use tracing::Span;

use crate::metrics::{Encryption, HandshakeOutcome};
use crate::net::stream::Stream;
use crate::net::tls::handshake::{Bounds, Broken};
use crate::net::tls::server::ListenerTls;
use crate::serve::client::{Connection, sni, tell};
use crate::serve::message::end::{End, TlsRefused};
use crate::wire::detect::{Detection, Speech};

/// Waits for the first bytes of a client that has to begin with TLS.
///
/// # Errors
/// [`End::SaidNothing`], when nothing comes within `handshake_timeout`; another [`End`], when the client
/// leaves.
pub(super) async fn await_hello<S: Stream>(connection: &mut Connection<S>) -> Result<(), End> {
    let allowed = connection.shared.settings.handshake_timeout;
    let more = timeout(allowed, connection.client.more()).await;
    if more.unwrap_or(Err(End::SaidNothing))? { Ok(()) } else { Err(End::ClientClosed) }
}

/// The listener's TLS, if this client is in the clear and may not or need not stay so.
pub(super) fn tls_for<S: Stream>(connection: &Connection<S>) -> Option<Arc<ListenerTls>> {
    connection.entrance.tls.clone().filter(|_| connection.client.stream.negotiated().is_none())
}

/// Does the handshake of a client that begins with TLS, and counts how it ended.
///
/// # Errors
/// [`End::HandshakeTimedOut`], when it takes longer than `handshake_timeout`; [`End::TlsRefused`], when one
/// side refuses the other; another [`End`], when the client leaves or the router ends.
pub(super) async fn terminate<S: Stream>(
    connection: Box<Connection<S>>,
    tls: &ListenerTls,
) -> Result<Box<Connection<S>>, End> {
    let (allowed, counters) = (connection.shared.settings.handshake_timeout, connection.counters.clone());
    let draining = connection.shared.draining.clone();
    let shaken = tokio::select! {
        biased;
        shaken = timeout(allowed, shake_hands(connection, tls)) => shaken,
        () = draining.cancelled() => return Err(End::RouterShutdown),
    };
    let done = match shaken {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(Unsecured::Ended(end))) => Err(end),
        Ok(Err(Unsecured::Broken { server_name, broken })) => {
            let error = broken.close().await;
            Err(End::TlsRefused(Box::new(TlsRefused { server_name, error })))
        }
        Err(_elapsed) => Err(End::HandshakeTimedOut),
    };
    counters.handshakes.count(match &done {
        Ok(connection) => match connection.client.stream.negotiated().and_then(CommonState::handshake_kind) {
            Some(HandshakeKind::Resumed) => HandshakeOutcome::Resumed,
            _ => HandshakeOutcome::Full,
        },
        Err(end) => outcome_of(end),
    });
    done
}

/// Why there is no TLS with a client.
enum Unsecured<S> {
    /// The connection has ended.
    Ended(End),
    /// The handshake failed.
    Broken {
        /// The server name in the client's hello (SNI).
        server_name: Option<Box<str>>,
        broken: Broken<S>,
    },
}

async fn shake_hands<S: Stream>(
    mut connection: Box<Connection<S>>,
    tls: &ListenerTls,
) -> Result<Box<Connection<S>>, Unsecured<S>> {
    let server_name = sni::asked_name(&mut connection.client).await.map_err(Unsecured::Ended)?;
    let Connection { client, .. } = *connection;
    let turns = connection.assignment.handshakes();
    let bounds = Bounds { turns, asks_for_certificate: tls.asks_for_certificate() };
    let client = client.begin_tls(tls.config(), bounds).await;
    let client = client.map_err(|broken| Unsecured::Broken { server_name, broken })?;
    Ok(Box::new(Connection { client, ..*connection }))
}

fn outcome_of(end: &End) -> HandshakeOutcome {
    match end {
        End::TlsRefused(refused) => {
            HandshakeOutcome::from_word(refused.error.cause()).unwrap_or(HandshakeOutcome::Internal)
        }
        End::HandshakeTimedOut => HandshakeOutcome::TimedOut,
        _ => HandshakeOutcome::ClientLeft,
    }
}

/// Refuses a client that came in the clear although it must not, and tells it so in its own protocol. Returns
/// how its connection ends.
pub(super) async fn refuse_clear<S: Stream>(connection: Box<Connection<S>>) -> End {
    let end = End::NotEncrypted { first: Speech::guess(&connection.client.pending) };
    tell::refuse(connection, tell::Refusal { why: &CLEAR, http_status: "400 Bad Request" }).await;
    end
}

/// What a client is told that came in the clear.
const CLEAR: &str = "this port requires TLS: turn it on in the client (impala-shell: --ssl; JDBC: ssl=true; impyla: \
                     use_ssl=True; HTTP: https)";

/// Counts a connection by what became of TLS, and shows the version in its span.
pub(super) fn note<S: Stream>(connection: &Connection<S>, detection: Option<Detection>) {
    let encryption = match (connection.client.stream.negotiated(), detection) {
        (Some(negotiated), _) => {
            let version = match negotiated.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            };
            Span::current().record("tls", version);
            Encryption::Terminated
        }
        (None, Some(Detection::Tls)) => Encryption::PassedThrough,
        (None, _) => Encryption::Clear,
    };
    connection.counters.tls.count(encryption);
    connection.listed.note(|known| known.tls = Some(encryption));
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

    use super::*;
    use crate::metrics::Label as _;
    use crate::net::tls::handshake::HandshakeError;

    #[test]
    fn each_refusal_is_counted_under_its_own_cause() {
        let refused = |error: HandshakeError| {
            let refused = TlsRefused { server_name: Some("a.example.com".into()), error };
            End::TlsRefused(Box::new(refused))
        };
        for (error, cause) in [
            (Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered), "old_version"),
            (Error::General("no server certificate chain resolved".to_owned()), "no_such_name"),
            (Error::NoCertificatesPresented, "no_client_certificate"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "unknown_client_issuer"),
            (Error::InvalidCertificate(CertificateError::Expired), "client_certificate_expired"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "not_trusted"),
            (Error::AlertReceived(AlertDescription::BadCertificate), "certificate_refused"),
            (Error::AlertReceived(AlertDescription::InternalError), "alert"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "not_tls"),
            (Error::DecryptError, "broken_protocol"),
            (Error::EncryptError, "internal"),
        ] {
            let end = refused(error.into());
            assert_eq!((outcome_of(&end).word(), end.kind()), (cause, cause));
            let said = end.to_string();
            assert!(said.starts_with("no TLS with a client that asked for a.example.com: "), "{said}");
        }
        assert_eq!(outcome_of(&refused(HandshakeError::Closed)), HandshakeOutcome::ClientLeft);
        assert_eq!(outcome_of(&End::HandshakeTimedOut), HandshakeOutcome::TimedOut);
        assert_eq!(outcome_of(&End::ClientClosed), HandshakeOutcome::ClientLeft);
    }
}
