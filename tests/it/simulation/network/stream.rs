//! The two ends of a connection, as the router and its peers use them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hs2router::clock;
use hs2router::net::listen::Source;
use hs2router::net::stream::{Seen, Stream};
use rand::RngExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::says_end;
use super::{Accepted, End, Event, SimListener, SimNetwork, SimStream};

impl Source for SimListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<Accepted> {
        self.accepted.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let removed = self.network.inner.lock().listeners.remove(&self.at);
        drop(removed);
    }
}

impl SimStream {
    fn with<T>(&self, act: impl FnOnce(&mut End) -> T) -> T {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        act(connection.end(self.side))
    }

    /// When the bytes that were read last, or the first that are unread, were sent.
    pub(crate) fn sent_at(&self) -> Option<Instant> {
        self.with(|end| end.sent_at)
    }

    /// Which connection it is an end of.
    pub(crate) fn connection(&self) -> u64 {
        self.id
    }

    /// When the dial of the connection began.
    pub(crate) fn dialed_at(&self) -> Instant {
        let inner = self.network.inner.lock();
        inner.connections.get(&self.id).expect("a connection lives while it has an end").dialed_at
    }

    /// Ends when the other end has read so many of the bytes that are sent from now on.
    pub(crate) fn read_by_other(&self, bytes: usize) -> impl Future<Output = ()> + use<> {
        let (inner, id, side) = (Arc::clone(&self.network.inner), self.id, self.side);
        let until = self.with(|end| end.sent) + bytes;
        poll_fn(move |cx| {
            let mut inner = inner.lock();
            let Some(connection) = inner.connections.get_mut(&id) else { return Poll::Pending };
            let end = connection.end(side);
            if end.sent - end.unread_by_other >= until {
                return Poll::Ready(());
            }
            end.wait(cx);
            Poll::Pending
        })
    }

    /// Puts bytes before the other end, if nothing is under way between the two: while a request is on its
    /// way, nobody could tell them from its reply.
    pub(crate) fn say_unasked(&self, bytes: &[u8]) {
        if !self.may_say_unasked(bytes.len()) {
            return;
        }
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        connection.end(self.side).count_sent(bytes.len());
        let other = connection.end(self.side.other());
        if !other.closed && !other.reset {
            other.received.extend_from_slice(bytes);
            // Before this moment: a glance sees them.
            other.received_at = clock::now().checked_sub(Duration::from_millis(1));
            other.wake();
        }
    }

    /// Whether nothing is under way between the two ends, and so many bytes have room.
    pub(crate) fn may_say_unasked(&self, len: usize) -> bool {
        let inner = self.network.inner.lock();
        let connection = inner.connections.get(&self.id).expect("a connection lives while it has an end");
        connection.is_quiet() && len <= connection.window
    }

    /// The other end need not have asked for what is sent from this one.
    pub(crate) fn excuse_all(&self) {
        self.with(|end| end.excused = usize::MAX);
    }

    /// The other end need not have asked for what was sent from this one so far.
    pub(crate) fn excuse_sent(&self) {
        self.with(|end| end.excused = end.sent);
    }

    async fn until(&self, is: impl Fn(&End) -> bool + Send) {
        poll_fn(|cx| {
            self.with(|end| {
                if is(end) {
                    return Poll::Ready(());
                }
                end.wait(cx);
                Poll::Pending
            })
        })
        .await;
    }
}

impl Stream for SimStream {
    type Network = SimNetwork;

    async fn readable(&self) {
        self.until(|end| !end.received.is_empty() || end.finished || end.reset).await;
    }

    async fn gone(&self) {
        self.until(|end| end.reset).await;
    }

    async fn closed(&self) {
        self.until(|end| end.finished || end.reset).await;
    }

    fn look(&mut self) -> Seen {
        self.with(|end| {
            if !end.received.is_empty() {
                Seen::Bytes
            } else if end.finished || end.reset {
                Seen::End
            } else {
                Seen::Nothing
            }
        })
    }

    fn glance(&mut self) -> Seen {
        let misses = self.network.inner.lock().rng.random_bool(0.5);
        let just_now = self.with(|end| end.received_at == Some(clock::now()));
        if misses && just_now { Seen::Nothing } else { self.look() }
    }

    fn poll_seen(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        match self.look() {
            Seen::Nothing => {
                self.with(|end| end.wait(cx));
                Poll::Pending
            }
            seen => Poll::Ready(seen),
        }
    }

    fn rehome_here(self) -> io::Result<Self> {
        Ok(self)
    }

    fn reset_on_close(&self) {
        self.with(|end| end.resets_on_close = true);
    }

    fn set_user_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        let end = connection.end(self.side);
        let count = end.received.len().min(buf.remaining());
        if count == 0 {
            // As with Linux, a reset does not take back what had arrived.
            return match (end.reset, end.finished) {
                (true, _) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                (false, true) => Poll::Ready(Ok(())),
                (false, false) => {
                    end.wait(cx);
                    Poll::Pending
                }
            };
        }
        buf.put_slice(&end.received.split_to(count));
        let other = connection.end(self.side.other());
        other.unread_by_other -= count;
        other.wake();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        let window = connection.window;
        let end = connection.end(self.side);
        if end.reset || end.shut {
            let kind = if end.reset { io::ErrorKind::ConnectionReset } else { io::ErrorKind::BrokenPipe };
            return Poll::Ready(Err(kind.into()));
        }
        let count = bytes.len().min(window - end.unread_by_other);
        if count == 0 {
            end.wait(cx);
            return Poll::Pending;
        }
        end.count_sent(count);
        if !says_end(bytes) {
            inner.check_clean(self.id, self.side);
        }
        inner.send(self.id, self.side, Event::Bytes(bytes[..count].to_vec(), clock::now()));
        drop(inner);
        self.network.changed.notify_one();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let was_shut = self.with(|end| std::mem::replace(&mut end.shut, true));
        if !was_shut {
            self.network.inner.lock().send(self.id, self.side, Event::Fin);
            self.network.changed.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let (resets, was_shut) = self.with(|end| {
            end.closed = true;
            (end.resets_on_close || !end.received.is_empty(), std::mem::replace(&mut end.shut, true))
        });
        let mut inner = self.network.inner.lock();
        if resets {
            inner.send(self.id, self.side, Event::Reset);
        } else if !was_shut {
            inner.send(self.id, self.side, Event::Fin);
        }
        inner.forget_if_over(self.id);
        drop(inner);
        self.network.changed.notify_one();
    }
}
