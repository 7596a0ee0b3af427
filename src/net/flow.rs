//! Moves bytes on the data path. A buffer is held only when bytes are there, and a deadline runs only while a
//! peer is slow.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::buffer::{BUFFER_SIZE, Buffer};
use super::scratch::Scratch;

/// The bytes of one read; none means that the peer has finished.
#[derive(Debug)]
pub struct Chunk(Held);

/// Where the bytes of a chunk are.
#[derive(Debug)]
enum Held {
    /// In a buffer that is the chunk's alone, from one place to another.
    Buffer { buffer: Buffer, from: usize, to: usize },
    /// In memory that others may read, too.
    Shared(Bytes),
}

impl Chunk {
    /// What a read finds that finds the end.
    pub fn nothing() -> Self {
        Bytes::new().into()
    }

    /// Drops everything after the first `most` bytes.
    pub fn truncate(&mut self, most: usize) {
        match &mut self.0 {
            Held::Buffer { from, to, .. } => *to = (*from + most).min(*to),
            Held::Shared(bytes) => bytes.truncate(most),
        }
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub fn advance(&mut self, count: usize) {
        match &mut self.0 {
            Held::Buffer { from, to, .. } => *from = (*from + count).min(*to),
            Held::Shared(bytes) => bytes.advance(count.min(bytes.len())),
        }
    }

    /// The bytes, where nobody changes them any more.
    pub fn shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Held::Buffer { .. } => None,
            Held::Shared(bytes) => Some(bytes),
        }
    }

    /// The bytes, to be changed; none if others may read them, too.
    pub fn own_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.0 {
            Held::Buffer { buffer, from, to } => buffer.get_mut(*from..*to),
            Held::Shared(_) => None,
        }
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self(Held::Shared(bytes))
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Buffer { buffer, from, to } => buffer.get(*from..*to).unwrap_or_default(),
            Held::Shared(bytes) => bytes,
        }
    }
}

/// Waits for bytes, without holding a buffer for them, and reads what is there. Cancel-safe.
///
/// # Errors
/// When reading from the stream fails.
pub fn read<S: AsyncRead + Unpin>(stream: &mut S) -> impl Future<Output = io::Result<Chunk>> {
    read_at_most(stream, BUFFER_SIZE)
}

/// As [`read`], but no more than `most` bytes, and never more than a buffer's size.
///
/// # Errors
/// When reading from the stream fails.
pub fn read_at_most<S: AsyncRead + Unpin>(
    stream: &mut S,
    most: usize,
) -> impl Future<Output = io::Result<Chunk>> {
    poll_fn(move |cx| {
        let mut buffer = Buffer::take();
        let mut room = ReadBuf::new(buffer.get_mut(..most.min(BUFFER_SIZE)).unwrap_or_default());
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut room))?;
        let to = room.filled().len();
        Poll::Ready(Ok(Chunk(Held::Buffer { buffer, from: 0, to })))
    })
}

/// A write that could not deliver all its bytes.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The peer took no byte for `allowed`.
    #[error("the peer took no bytes for {allowed:?}")]
    Stalled {
        /// How long a peer may take no byte.
        allowed: Duration,
    },
    /// The connection failed.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// How long a peer may take no byte.
struct Patience {
    stall: Duration,
    /// Only a write that has to wait gets a timer: making one reads the clock, which costs more than the write.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn of(stall: Duration) -> Self {
        Self { stall, timer: None }
    }

    /// Returns how many bytes an attempt to write has written. If it has to wait, waits as long as the peer may
    /// take no byte.
    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        attempt: Poll<io::Result<usize>>,
    ) -> Poll<Result<usize, WriteError>> {
        let stall = self.stall;
        Poll::Ready(match attempt {
            Poll::Ready(Ok(0)) => Err(io::Error::from(ErrorKind::WriteZero).into()),
            Poll::Ready(written) => {
                self.timer = None;
                written.map_err(WriteError::Failed)
            }
            Poll::Pending => {
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(stall)));
                ready!(timer.as_mut().poll(cx));
                Err(WriteError::Stalled { allowed: stall })
            }
        })
    }
}

/// Writes all the bytes; the peer must take some of them within every `stall`. With an error it returns how
/// many were taken.
///
/// Not cancel-safe: after a cancellation nothing tells how much was written.
///
/// # Errors
/// When the peer takes no byte for `stall` or the connection fails; with the number of bytes that were taken
/// before.
pub fn write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    stall: Duration,
) -> impl Future<Output = Result<(), (WriteError, usize)>> {
    let (mut written, mut patience) = (0, Patience::of(stall));
    // One future and not nested ones, because it is a part of every future that waits for a write.
    poll_fn(move |cx| {
        while let rest @ [_, ..] = bytes.get(written..).unwrap_or_default() {
            let attempt = Pin::new(&mut *stream).poll_write(cx, rest);
            written += ready!(patience.judge(cx, attempt)).map_err(|error| (error, written))?;
        }
        Poll::Ready(Ok(()))
    })
}

/// As [`write_all`], of two pieces, of which the first may be secret. The second is copied behind it if it is short.
///
/// # Errors
/// As [`write_all`].
pub fn write_both<S: AsyncWrite + Unpin>(
    stream: &mut S,
    mut head: Scratch,
    piece: &[u8],
    stall: Duration,
) -> impl Future<Output = Result<(), (WriteError, usize)>> {
    /// What is shorter is copied sooner than the kernel looks at a second piece.
    const SHORT: usize = 4 << 10;
    /// The same where a second piece is written by itself.
    const SHORT_ALONE: usize = 8 << 10;
    let short = if stream.is_write_vectored() { SHORT } else { SHORT_ALONE };
    let piece = if piece.len() > short {
        piece
    } else {
        head.push(piece);
        &[]
    };
    let (mut written, mut patience) = (0_usize, Patience::of(stall));
    poll_fn(move |cx| {
        loop {
            let begun = written.saturating_sub(head.len());
            let rest = (head.get(written..).unwrap_or_default(), piece.get(begun..).unwrap_or_default());
            let mut stream = Pin::new(&mut *stream);
            let attempt = match rest {
                ([], []) => return Poll::Ready(Ok(())),
                ([], one) | (one, []) => stream.as_mut().poll_write(cx, one),
                (head, piece) => {
                    stream.as_mut().poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(piece)])
                }
            };
            written += ready!(patience.judge(cx, attempt)).map_err(|error| (error, written))?;
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_read_takes_what_is_there_and_nothing_at_the_end() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(b"hello").await.unwrap();
        assert_eq!(&*read_at_most(&mut near, 2).await.unwrap(), b"he");
        assert_eq!(&*read(&mut near).await.unwrap(), b"llo");
        drop(far);
        assert!(read(&mut near).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_chunk_loses_bytes_at_both_ends() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(b"hello").await.unwrap();
        for mut chunk in [read(&mut near).await.unwrap(), Bytes::from_static(b"hello").into()] {
            chunk.advance(1);
            chunk.truncate(3);
            assert_eq!(&*chunk, b"ell");
            chunk.truncate(5);
            chunk.advance(2);
            assert_eq!(&*chunk, b"l");
            chunk.advance(2);
            assert!(chunk.is_empty());
        }
    }

    fn of(bytes: &[u8]) -> Scratch {
        let mut scratch = Scratch::take();
        scratch.push(bytes);
        scratch
    }

    #[tokio::test]
    async fn two_pieces_arrive_one_behind_the_other() {
        for (head, piece) in [(3, 5), (3, 9_000), (9_000, 9_000), (0, 9_000), (9_000, 0)] {
            let sent: Vec<u8> = (0..head + piece).map(|at| u8::try_from(at % 251).unwrap()).collect();
            for room in [1, 2_000, 9_003, 1 << 20] {
                let (mut near, mut far) = tokio::io::duplex(room);
                let mut got = vec![0; sent.len()];
                let (head, piece) = sent.split_at(head);
                let (written, read) =
                    tokio::join!(write_both(&mut near, of(head), piece, STALL), far.read_exact(&mut got));
                assert!(written.is_ok() && read.is_ok() && got == sent, "{} and {}", head.len(), piece.len());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_on_and_a_slow_one_is_not() {
        let (mut near, mut far) = tokio::io::duplex(4);
        let reader = async {
            let mut got = [0; 8];
            for byte in &mut got {
                sleep(STALL / 2).await;
                *byte = far.read_u8().await.unwrap();
            }
            got
        };
        let (written, got) = tokio::join!(write_all(&mut near, b"12345678", STALL), reader);
        assert!(written.is_ok());
        assert_eq!(&got, b"12345678");

        let (error, taken) = write_all(&mut near, b"12345678", STALL).await.unwrap_err();
        assert!(matches!(error, WriteError::Stalled { .. }), "{error}");
        assert_eq!(taken, 4);
    }
}
