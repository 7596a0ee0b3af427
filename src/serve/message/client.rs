//! The client's side of a connection.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::{FutureExt, TryFutureExt};

use crate::ids::ClientAddress;
use crate::net::flow::{self, Chunk};
use crate::net::stream::{Seen, Stream};
use crate::serve::message::end::End;

/// Bytes that one read takes of a client at most. What it takes beyond the request waits, uncounted, until that is
/// answered, which may be never: a thousand such clients must fit.
pub(crate) const READ_LIMIT: usize = 16 << 10;

/// A client's connection. What was read and not used yet waits in `pending`, which is empty while the connection idles.
#[derive(Debug)]
pub(crate) struct Client<S> {
    /// The connection.
    pub stream: S,
    /// Bytes that were read and not used.
    pub pending: BytesMut,
    /// Where it comes from.
    pub address: ClientAddress,
}

impl<S: Stream> Client<S> {
    /// A connection of which nothing was read.
    pub(crate) fn new(stream: S, address: ClientAddress) -> Self {
        Self { stream, pending: BytesMut::new(), address }
    }

    /// Whether it will send no more: it has left, or at least wants nothing else. What came before may be unread.
    pub(crate) fn has_closed(&self) -> bool {
        self.stream.look() == Seen::End || self.stream.closed().now_or_never().is_some()
    }

    /// Has the runtime in which this is called wait for it.
    ///
    /// # Errors
    /// [`End::ClientGone`].
    pub(crate) fn rehome_here(self) -> Result<Self, End> {
        let stream = self.stream.rehome_here().map_err(End::ClientGone)?;
        Ok(Self { stream, ..self })
    }

    /// Reads more; nothing at the end. Cancel-safe.
    ///
    /// # Errors
    /// [`End::ClientGone`].
    pub(crate) fn read(&mut self) -> impl Future<Output = Result<Chunk, End>> {
        flow::read_at_most(&mut self.stream, READ_LIMIT).map_err(End::ClientGone)
    }

    /// How a client has left that will send no more: by an orderly end, or not.
    pub(crate) async fn left(&mut self) -> End {
        self.read().await.err().unwrap_or(End::ClientClosed)
    }

    /// Reads more and appends it to `pending`; false at the end. Cancel-safe.
    ///
    /// # Errors
    /// [`End::ClientGone`].
    pub(crate) async fn more(&mut self) -> Result<bool, End> {
        let chunk = self.read().await?;
        self.pending.extend_from_slice(&chunk);
        Ok(!chunk.is_empty())
    }

    /// Sends bytes, as long as the client takes some every `stall`.
    ///
    /// # Errors
    /// [`End::ClientStalled`], [`End::ClientGone`].
    pub(crate) fn send(&mut self, bytes: &[u8], stall: Duration) -> impl Future<Output = Result<(), End>> {
        flow::write_all(&mut self.stream, bytes, stall).map_err(|(error, _)| match error {
            flow::WriteError::Stalled { .. } => End::ClientStalled { doing: "taken" },
            flow::WriteError::Failed(error) => End::ClientGone(error),
        })
    }
}
