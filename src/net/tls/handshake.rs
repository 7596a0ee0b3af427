//! The handshakes of TLS, as the server of a client and as the client of a coordinator.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, ServerConfig};

use super::io::{Io, Tls};
use super::session::{Progress, Session, Sink};
use crate::net::flow;
use crate::net::stream::Stream;

/// The most bytes that are kept of a handshake before one of its messages is whole. The library takes messages
/// of up to 64 KiB; this leaves room for the headers of their records.
const LIMIT: usize = 80 << 10;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// One side refused the other, or the peer broke the protocol.
    #[error("TLS: {0}")]
    Refused(#[from] Error),
    /// The peer closed the connection before the handshake was complete.
    #[error("the connection was closed during the TLS handshake")]
    Closed,
    /// The peer sent a handshake message that is too long.
    #[error("a message of the TLS handshake has more than {LIMIT} bytes")]
    TooLong,
    /// The connection failed.
    #[error("the connection failed during the TLS handshake: {0}")]
    Failed(#[from] io::Error),
}

/// Does the handshake with a client that begins with TLS. `received` are the bytes that were read of it. The
/// deadline is the caller's.
///
/// Cancel-safe in that a dropped handshake leaves nothing behind but a closed connection.
///
/// # Errors
/// When the client is refused, as `config` says, or breaks the protocol or the connection.
pub async fn accept<S: Stream>(
    socket: S,
    received: &[u8],
    config: Arc<ServerConfig>,
) -> Result<Io<S>, HandshakeError> {
    Handshake { socket, session: Session::accept(config)?, received: received.to_vec() }.complete().await
}

/// Does the handshake with a server. The deadline is the caller's.
///
/// # Errors
/// When the server's certificate is not what `config` asks for, when the server refuses the connection, or
/// when it breaks the protocol or the connection.
pub async fn connect<S: Stream>(
    socket: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Io<S>, HandshakeError> {
    Handshake { socket, session: Session::connect(config, name)?, received: Vec::new() }.complete().await
}

struct Handshake<S: Stream> {
    socket: S,
    session: Session,
    received: Vec<u8>,
}

impl<S: Stream> Handshake<S> {
    async fn complete(mut self) -> Result<Io<S>, HandshakeError> {
        let (mut outgoing, mut decrypted) = (Vec::new(), Vec::new());
        loop {
            let mut sink = Sink { reader: None, rest: &mut decrypted };
            let (used, progress) = self.session.step(&mut self.received, &mut sink, &mut outgoing);
            self.received.drain(..used);
            // An alert tells the peer why it is refused.
            if !matches!(progress, Ok(Progress::Some)) && !outgoing.is_empty() {
                self.send(&outgoing).await?;
                outgoing.clear();
            }
            match progress? {
                Progress::PeerClosed => return Err(HandshakeError::Closed),
                Progress::Some => {}
                Progress::NeedsMore if !self.session.common().is_handshaking() => {
                    self.received.shrink_to_fit();
                    return Ok(Io::Tls(Tls::new(self.socket, self.session, self.received, decrypted)));
                }
                Progress::NeedsMore => self.receive().await?,
            }
        }
    }

    async fn receive(&mut self) -> Result<(), HandshakeError> {
        if self.received.len() >= LIMIT {
            return Err(HandshakeError::TooLong);
        }
        let chunk = flow::read_at_most(&mut self.socket, LIMIT - self.received.len()).await?;
        if chunk.is_empty() {
            return Err(HandshakeError::Closed);
        }
        self.received.extend_from_slice(&chunk);
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = poll_fn(|cx| Pin::new(&mut self.socket).poll_write(cx, rest)).await?;
            rest = rest.get(sent..).filter(|_| sent > 0).ok_or(io::ErrorKind::WriteZero)?;
        }
        Ok(())
    }
}
