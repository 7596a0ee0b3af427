//! The handshakes of TLS, as the server of a client and as the client of a coordinator.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, ServerConfig};
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::client::{CoordinatorTls, TlsFailure};
use super::io::{Io, Tls};
use super::open::{Rest, is_whole_record};
use super::refusal::{Refusal, explain};
use super::session::{Progress, Session, Sink};
use crate::net::flow;
use crate::net::linger::linger;
use crate::net::stream::Stream;

/// The most bytes that are kept of a handshake before one of its messages is whole, if the peer shows
/// certificates. The library takes messages of up to 64 KiB; this leaves room for the headers of their
/// records.
const WITH_CERTIFICATES: usize = 80 << 10;
/// The same for a peer that shows none, and has nothing long to say. It leaves room for any record, and for
/// a hello that is ten times as long as real ones, of which the longest have some 2 KiB: with the key shares
/// that a quantum computer does not break.
const WITHOUT_CERTIFICATES: usize = 20 << 10;

/// What the handshake of a client may take up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds<'a> {
    /// A handshake computes only while it has one of these.
    pub turns: Option<&'a Semaphore>,
    /// Whether the client is asked for a certificate, which may be long.
    pub asks_for_certificate: bool,
}

/// Why a handshake with a client or a coordinator failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// One side refused the other, or the peer broke the protocol. Prints in the words for a client; those
    /// for a coordinator are [`TlsFailure`]'s.
    #[error("{}", in_words(.0))]
    Refused(#[from] Error),
    /// The peer closed the connection before the handshake was complete.
    #[error("the connection was closed during the TLS handshake")]
    Closed,
    /// The peer sent a handshake message that is too long.
    #[error("a message of the TLS handshake has more than {limit} bytes")]
    TooLong {
        /// How many bytes it may have.
        limit: usize,
    },
    /// The connection failed.
    #[error("the connection failed during the TLS handshake: {0}")]
    Failed(#[from] io::Error),
}

/// What happened and what to do; in the library's words only where they add something.
fn in_words(error: &Error) -> String {
    match explain(error) {
        refusal @ (Refusal::BrokenProtocol | Refusal::Internal) => format!("{refusal}: {error}"),
        refusal => refusal.to_string(),
    }
}

impl HandshakeError {
    /// A word for the kind of failure of a handshake with a client.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Refused(error) => explain(error).cause(),
            Self::Closed | Self::Failed(_) => "client_left",
            Self::TooLong { .. } => Refusal::BrokenProtocol.cause(),
        }
    }
}

/// Does the handshake with a client that begins with TLS. `received` are the bytes that were read of it. The
/// deadline is the caller's. A handshake computes only while it has one of the [turns](Bounds::turns), and
/// lets other tasks go first: so a flood of handshakes delays others by no more than a handshake at a time.
///
/// Cancel-safe in that a dropped handshake leaves nothing behind but a closed connection.
///
/// # Errors
/// When the client is refused, as `config` says, or breaks the protocol or the connection.
pub async fn accept<S: Stream>(
    socket: S,
    received: Vec<u8>,
    config: Arc<ServerConfig>,
    bounds: Bounds<'_>,
) -> Result<Io<S>, Broken<S>> {
    let session = Session::accept(config)?;
    let Bounds { turns, asks_for_certificate } = bounds;
    let limit = if asks_for_certificate { WITH_CERTIFICATES } else { WITHOUT_CERTIFICATES };
    Handshake { socket, session, received, turns, limit }.complete().await
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
    let session = Session::connect(config, name)?;
    let handshake =
        Handshake { socket, session, received: Vec::new(), turns: None, limit: WITH_CERTIFICATES };
    handshake.complete().await.map_err(|broken| broken.error)
}

/// Begins TLS on a connection to a coordinator that was just dialed, if that is how the coordinator is
/// reached. The deadline is the caller's.
///
/// # Errors
/// When there is no TLS connection: one side does not accept the other, or what is there does not speak TLS.
pub async fn secure<S: Stream>(stream: S, tls: Option<&CoordinatorTls>) -> Result<Io<S>, TlsFailure> {
    let Some(tls) = tls else { return Ok(stream.into()) };
    let connected = connect(stream, tls.config(), tls.server_name().clone()).await;
    let connected = connected.map_err(|error| tls.failed(&error.into()))?;
    if let Some(negotiated) = connected.negotiated() {
        tls.note_complete(negotiated);
    }
    Ok(connected)
}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused(error) => Self::new(io::ErrorKind::InvalidData, error),
            HandshakeError::Failed(error) => error,
            HandshakeError::Closed => Self::new(io::ErrorKind::UnexpectedEof, error),
            HandshakeError::TooLong { .. } => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

struct Handshake<'a, S: Stream> {
    socket: S,
    session: Session,
    received: Vec<u8>,
    turns: Option<&'a Semaphore>,
    limit: usize,
}

/// What the bytes of a handshake came to.
#[derive(Default)]
struct Computed {
    outgoing: Vec<u8>,
    decrypted: Vec<u8>,
}

/// A handshake that failed.
pub struct Broken<S> {
    /// Why.
    pub error: HandshakeError,
    /// The connection, if the peer was told why.
    told: Option<S>,
}

impl<S> fmt::Debug for Broken<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<S: Stream> Broken<S> {
    /// Gives a peer that was told why it is refused a second to read that, and closes the connection. The
    /// time is none of the handshake's.
    pub async fn close(self) -> HandshakeError {
        if let Some(mut socket) = self.told {
            linger(&mut socket).await;
        }
        self.error
    }
}

impl<S, E: Into<HandshakeError>> From<E> for Broken<S> {
    fn from(error: E) -> Self {
        Self { error: error.into(), told: None }
    }
}

impl<S: Stream> Handshake<'_, S> {
    async fn complete(mut self) -> Result<Io<S>, Broken<S>> {
        loop {
            let (Computed { outgoing, decrypted }, progress) = self.turn().await;
            let progress = match progress {
                Ok(progress) => progress,
                Err(error) => return Err(self.tell(&outgoing, error).await),
            };
            self.send(&outgoing).await?;
            match progress {
                stopped if !self.session.common().is_handshaking() => {
                    let has_partial_handshake =
                        stopped == Progress::NeedsMore && is_whole_record(&self.received);
                    let is_closed = stopped == Progress::PeerClosed;
                    self.received.shrink_to_fit();
                    let rest = Rest { received: self.received, decrypted, has_partial_handshake, is_closed };
                    return Ok(Io::Tls(Tls::new(self.socket, self.session, rest)));
                }
                Progress::PeerClosed => return Err(HandshakeError::Closed.into()),
                Progress::Some | Progress::Again | Progress::NeedsMore => self.receive().await?,
            }
        }
    }

    /// Does with the bytes what can be done with them.
    async fn turn(&mut self) -> (Computed, Result<Progress, Error>) {
        if self.turns.is_some() && !is_whole_record(&self.received) {
            // There is nothing to compute.
            return (Computed::default(), Ok(Progress::NeedsMore));
        }
        let _turn = match self.turns {
            Some(turns) => {
                let turn = turns.acquire().await;
                yield_now().await;
                turn.ok()
            }
            None => None,
        };
        let mut computed = Computed::default();
        loop {
            let mut sink = Sink { reader: None, rest: &mut computed.decrypted };
            let (used, progress) = self.session.step(&mut self.received, &mut sink, &mut computed.outgoing);
            self.received.drain(..used);
            let more = matches!(progress, Ok(Progress::Some | Progress::Again));
            if !more || !computed.decrypted.is_empty() {
                return (computed, progress);
            }
        }
    }

    /// Tells the peer why it is refused, by an alert: by the right one, where the library has chosen a wrong
    /// one.
    async fn tell(mut self, outgoing: &[u8], error: Error) -> Broken<S> {
        let right = match &self.session {
            Session::Server(_) => explain(&error).alert_record(),
            Session::Client { .. } => None,
        };
        let alert = right.as_ref().map_or(outgoing, |record| record.as_slice());
        let is_told = !alert.is_empty() && self.send(alert).await.is_ok();
        Broken { error: error.into(), told: is_told.then_some(self.socket) }
    }

    async fn receive(&mut self) -> Result<(), HandshakeError> {
        let left = self.limit.saturating_sub(self.received.len());
        if left == 0 {
            return Err(HandshakeError::TooLong { limit: self.limit });
        }
        let chunk = flow::read_at_most(&mut self.socket, left).await?;
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
