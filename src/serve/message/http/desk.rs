//! What lies between the router and hyper during one exchange: the connection, which hyper has only while it
//! is polled, and the body that hyper is to send.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use crate::net::flow::WriteError;
use crate::net::stream::Stream;
use crate::net::tls::io::Io;

/// What lies on the desk.
#[derive(Debug)]
struct Papers<S: Stream> {
    /// The connection, while hyper is polled.
    stream: Option<Io<S>>,
    /// Bytes that were read before the exchange began; hyper reads them first.
    unread: BytesMut,
    /// How many more bytes hyper may read.
    may_read: u64,
    /// Whether the peer was found to send no more.
    read_end: bool,
    /// Whether the connection takes several pieces in one write.
    is_vectored: bool,
    /// What becomes of what hyper writes.
    writes: Writes,
    /// How many bytes the peer has taken.
    written: u64,
    body: Outgoing,
}

/// What becomes of what hyper writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// The peer takes it.
    Flow,
    /// The peer takes no more at the moment.
    Blocked,
    /// It stays with hyper for now.
    Held,
    /// It goes nowhere, because the peer has it already.
    Dropped,
}

/// The body that is sent.
#[derive(Debug, Default)]
struct Outgoing {
    /// Its next piece.
    piece: Option<Bytes>,
    /// Whether no piece follows that one.
    is_last: bool,
    /// How many bytes it has, if that is known before its first piece is sent.
    length: Option<u64>,
}

/// The desk that the router and hyper share. Neither holds its lock while the other is at work.
pub(super) struct Desk<S: Stream>(Arc<Mutex<Papers<S>>>);

impl<S: Stream> Clone for Desk<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Stream> Desk<S> {
    /// Creates a desk for a connection from which `unread` was read and not used. Of what follows, hyper may
    /// read `may_read` bytes.
    pub(super) fn new(stream: &Io<S>, unread: BytesMut, may_read: u64) -> Self {
        Self(Arc::new(Mutex::new(Papers {
            stream: None,
            unread,
            may_read,
            read_end: false,
            is_vectored: stream.is_write_vectored(),
            writes: Writes::Flow,
            written: 0,
            body: Outgoing::default(),
        })))
    }

    /// Has hyper go on by `poll`, with the connection for as long as that runs; returns whether it has given up
    /// the connection.
    pub(super) fn drive(
        &self,
        stream: &mut Io<S>,
        poll: impl FnOnce() -> Poll<Result<(), hyper::Error>>,
    ) -> Result<bool, hyper::Error> {
        self.0.lock().stream = Some(stream.take());
        let polled = poll();
        if let Some(lent) = self.0.lock().stream.take() {
            *stream = lent;
        }
        match polled {
            Poll::Ready(ended) => ended.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Says what becomes of what hyper writes from now on.
    pub(super) fn set_writes(&self, writes: Writes) {
        self.0.lock().writes = writes;
    }

    /// Lets hyper read so many bytes from now on.
    pub(super) fn let_read(&self, bytes: u64) {
        self.0.lock().may_read = bytes;
    }

    /// Puts down a piece of the body, which is not empty unless it is the last.
    pub(super) fn put(&self, piece: Bytes, is_last: bool) {
        let body = &mut self.0.lock().body;
        body.piece = Some(piece).filter(|piece| !piece.is_empty());
        body.is_last = is_last;
    }

    /// Says how many bytes the body will have, before any of it is sent.
    pub(super) fn announce(&self, length: Option<u64>) {
        self.0.lock().body.length = length;
    }

    /// Resolves when hyper has taken the piece, and the peer all that hyper wrote. `drive` has hyper go on;
    /// it says whether hyper has given up the connection.
    ///
    /// # Errors
    /// When the connection breaks, or the peer takes no byte for `stall`; with the number of bytes that it
    /// took before, since the exchange began.
    pub(super) async fn sent(
        &self,
        stall: Duration,
        mut drive: impl FnMut(&mut Context<'_>) -> Result<bool, hyper::Error>,
    ) -> Result<(), (WriteError, usize)> {
        let (mut taken, mut patience) = (self.0.lock().written, None);
        poll_fn(move |cx| {
            let driven = drive(cx);
            let (is_sent, written) = {
                let papers = self.0.lock();
                (papers.body.piece.is_none() && papers.writes == Writes::Flow, papers.written)
            };
            let before = usize::try_from(written).unwrap_or(usize::MAX);
            let error = match driven {
                Err(error) => io::Error::other(error),
                Ok(_) if is_sent => return Poll::Ready(Ok(())),
                Ok(true) => io::ErrorKind::BrokenPipe.into(),
                Ok(false) => {
                    if taken != written {
                        (taken, patience) = (written, None);
                    }
                    let patience = patience.get_or_insert_with(|| Box::pin(sleep(stall)));
                    ready!(patience.as_mut().poll(cx));
                    return Poll::Ready(Err((WriteError::Stalled { allowed: stall }, before)));
                }
            };
            Poll::Ready(Err((error.into(), before)))
        })
        .await
    }

    /// Whether the peer was found to send no more.
    pub(super) fn has_read_end(&self) -> bool {
        self.0.lock().read_end
    }

    /// Takes out the bytes that were put there at the beginning and that hyper did not read.
    pub(super) fn take_unread(&self) -> BytesMut {
        std::mem::take(&mut self.0.lock().unread)
    }

    /// The connection as hyper sees it.
    pub(super) fn connection(&self) -> Lent<S> {
        Lent(self.clone())
    }

    /// The body that hyper sends.
    pub(super) fn body(&self) -> Pieces<S> {
        Pieces(self.clone())
    }
}

/// The connection as hyper sees it. Nothing can be read or written while it is not lent.
pub(super) struct Lent<S: Stream>(Desk<S>);

impl<S: Stream> AsyncRead for Lent<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        reader: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut papers = self.0.0.lock();
        let allowed = usize::try_from(papers.may_read).unwrap_or(usize::MAX).min(reader.remaining());
        if allowed == 0 {
            return Poll::Pending;
        }
        if !papers.unread.is_empty() {
            let len = allowed.min(papers.unread.len());
            reader.put_slice(papers.unread.get(..len).unwrap_or_default());
            papers.unread.advance(len);
            papers.may_read -= len as u64;
            return Poll::Ready(Ok(()));
        }
        let Some(stream) = &mut papers.stream else { return Poll::Pending };
        let before = reader.filled().len();
        if allowed < reader.remaining() {
            let mut room = ReadBuf::new(reader.initialize_unfilled_to(allowed));
            ready!(Pin::new(stream).poll_read(cx, &mut room))?;
            let len = room.filled().len();
            reader.advance(len);
        } else {
            ready!(Pin::new(stream).poll_read(cx, reader))?;
        }
        let len = reader.filled().len() - before;
        papers.may_read -= len as u64;
        papers.read_end |= len == 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, bytes.len(), |stream, cx| Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        self.write(cx, len, |stream, cx| Pin::new(stream).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.0.lock().is_vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.0.lock().stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's owner ends it.
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Lent<S> {
    fn write(
        &self,
        cx: &mut Context<'_>,
        len: usize,
        write: impl FnOnce(&mut Io<S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut papers = self.0.0.lock();
        match papers.writes {
            Writes::Held => return Poll::Pending,
            Writes::Dropped => return Poll::Ready(Ok(len)),
            Writes::Flow | Writes::Blocked => {}
        }
        let Some(stream) = &mut papers.stream else { return Poll::Pending };
        let written = write(stream, cx);
        papers.writes = if written.is_pending() { Writes::Blocked } else { Writes::Flow };
        if let Poll::Ready(Ok(some)) = &written {
            papers.written += *some as u64;
        }
        written
    }
}

/// The body that hyper sends: pieces, as the router puts them down.
pub(super) struct Pieces<S: Stream>(Desk<S>);

impl<S: Stream> Drop for Pieces<S> {
    fn drop(&mut self) {
        // hyper takes no piece of a body that must not be sent: that of an answer to HEAD.
        self.0.0.lock().body.piece = None;
    }
}

impl<S: Stream> Body for Pieces<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = &mut self.0.0.lock().body;
        match body.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if body.is_last => Poll::Ready(None),
            // Whoever puts down the next piece polls hyper then.
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        let body = &self.0.0.lock().body;
        body.is_last && body.piece.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.0.lock().body.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
