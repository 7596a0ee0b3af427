//! TLS of clients, where the listener has a certificate of its own. What is inside of TLS is then detected as
//! what comes in the clear is.

use std::sync::Arc;

use tokio::time::timeout;

use crate::net::stream::Stream;
use crate::net::tls::server::ListenerTls;
use crate::serve::client::Connection;
use crate::serve::message::end::End;
use crate::wire::detect::{Detection, Speech};

/// Waits for the first bytes of a client that has to begin with TLS.
///
/// # Errors
/// [`End::HandshakeTimedOut`], when nothing comes within `handshake_timeout`; another [`End`], when the
/// client leaves.
pub(super) async fn await_hello<S: Stream>(connection: &mut Connection<S>) -> Result<(), End> {
    let allowed = connection.shared.settings.handshake_timeout;
    let more = timeout(allowed, connection.client.more()).await;
    if more.unwrap_or(Err(End::HandshakeTimedOut))? { Ok(()) } else { Err(End::ClientClosed) }
}

/// The listener's TLS, if this client is in the clear and may not or need not stay so.
pub(super) fn tls_for<S: Stream>(connection: &Connection<S>) -> Option<Arc<ListenerTls>> {
    connection.entrance.tls.clone().filter(|_| connection.client.stream.negotiated().is_none())
}

/// Does the handshake of a client that begins with TLS.
///
/// # Errors
/// [`End::HandshakeTimedOut`], when it takes longer than `handshake_timeout`; [`End::TlsRefused`], when one
/// side refuses the other; another [`End`], when the client leaves.
pub(super) async fn terminate<S: Stream>(
    connection: Box<Connection<S>>,
    tls: &ListenerTls,
) -> Result<Box<Connection<S>>, End> {
    let allowed = connection.shared.settings.handshake_timeout;
    let Connection { client, .. } = *connection;
    let handshake = client.begin_tls(tls.config(), connection.assignment.handshakes());
    let client = timeout(allowed, handshake).await.map_err(|_elapsed| End::HandshakeTimedOut)??;
    if let Some(common) = client.stream.negotiated() {
        tracing::debug!(version = ?common.protocol_version(), kind = ?common.handshake_kind(), "inside of TLS");
    }
    Ok(Box::new(Connection { client, ..*connection }))
}

/// How a connection ends that came in the clear although it must not.
pub(super) fn refuse_clear<S: Stream>(connection: &Connection<S>, detection: Detection) -> End {
    match Speech::guess(&connection.client.pending) {
        // Half a hello.
        Some(Speech::Tls) if detection == Detection::Unknown => End::HandshakeTimedOut,
        first => End::NotEncrypted { first },
    }
}
