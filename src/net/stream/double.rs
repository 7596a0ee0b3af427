//! A connection in memory that can finish and reset like a real one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::watch;

use super::{Network, Seen, Stream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Finished,
    Reset,
}

/// One end of a connection in memory.
#[derive(Debug)]
pub(crate) struct Double {
    bytes: DuplexStream,
    mine: watch::Sender<Fate>,
    theirs: watch::Receiver<Fate>,
    reset_on_close: AtomicBool,
}

/// Two ends; each direction holds `capacity` bytes that nobody has read.
pub(crate) fn pair(capacity: usize) -> (Double, Double) {
    let (left, right) = duplex(capacity);
    let (left_fate, seen_by_right) = watch::channel(Fate::Open);
    let (right_fate, seen_by_left) = watch::channel(Fate::Open);
    (Double::new(left, left_fate, seen_by_left), Double::new(right, right_fate, seen_by_right))
}

impl Double {
    fn new(bytes: DuplexStream, mine: watch::Sender<Fate>, theirs: watch::Receiver<Fate>) -> Self {
        Self { bytes, mine, theirs, reset_on_close: AtomicBool::new(false) }
    }

    /// Ends the connection so that the other side finds it dead.
    pub(crate) fn reset(self) {
        self.reset_on_close();
    }

    fn check_reset(&self) -> io::Result<()> {
        let reset = *self.theirs.borrow() == Fate::Reset;
        if reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let fate = if self.reset_on_close.load(Ordering::Relaxed) { Fate::Reset } else { Fate::Finished };
        self.mine.send_replace(fate);
    }
}

/// What answers at an address: it gets the other end of each connection.
type Host = Box<dyn Fn(Double) + Send + Sync>;

/// A network of doubles. An address where nobody answers refuses connections.
#[derive(Clone, Default)]
pub(crate) struct Lan {
    hosts: Arc<Mutex<BTreeMap<IpAddr, Host>>>,
}

impl Lan {
    /// Has somebody answer at an address, in the place of whoever did before.
    pub(crate) fn plug_in(&self, address: IpAddr, answer: impl Fn(Double) + Send + Sync + 'static) {
        self.hosts.lock().insert(address, Box::new(answer));
    }

    /// Nobody answers there any more.
    pub(crate) fn unplug(&self, address: IpAddr) {
        self.hosts.lock().remove(&address);
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lan").finish_non_exhaustive()
    }
}

impl Network for Lan {
    type Stream = Double;

    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Double> {
        let hosts = self.hosts.lock();
        let host = hosts.get(&address.ip()).ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = pair(64 << 10);
        host(far);
        Ok(near)
    }
}

impl Stream for Double {
    type Network = Lan;

    // Early: bytes cannot be seen here without reading them.
    async fn readable(&self) {}

    async fn gone(&self) {
        let mut theirs = self.theirs.clone();
        if theirs.wait_for(|fate| *fate == Fate::Reset).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn closed(&self) {
        let mut theirs = self.theirs.clone();
        // An error means that the other side is dropped, which is an end too.
        let _ended = theirs.wait_for(|fate| *fate != Fate::Open).await.is_err();
    }

    fn look(&mut self) -> Seen {
        if *self.theirs.borrow() == Fate::Open { Seen::Nothing } else { Seen::End }
    }

    fn glance(&mut self) -> Seen {
        self.look()
    }

    // Wakes nobody: doubles are looked at, and not waited for in this way.
    fn poll_seen(&mut self, _cx: &mut Context<'_>) -> Poll<Seen> {
        match self.look() {
            Seen::Nothing => Poll::Pending,
            seen => Poll::Ready(seen),
        }
    }

    fn rehome_here(self) -> io::Result<Self> {
        Ok(self)
    }

    fn reset_on_close(&self) {
        self.reset_on_close.store(true, Ordering::Relaxed);
    }

    fn set_user_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Double {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.bytes).poll_read(cx, buf))?;
        // As with Linux, a reset does not take back what had arrived.
        Poll::Ready(if buf.filled().len() > before { Ok(()) } else { self.check_reset() })
    }
}

impl AsyncWrite for Double {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_reset()?;
        Pin::new(&mut self.bytes).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.mine.send_replace(Fate::Finished);
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn the_double_tells_a_finish_from_a_reset() {
    use tokio::io::AsyncReadExt;

    let (left, mut right) = pair(16);
    assert_eq!(right.look(), Seen::Nothing);
    left.reset();
    right.gone().await;
    right.closed().await;
    assert_eq!(right.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let (left, mut right) = pair(16);
    drop(left);
    right.closed().await;
    assert_eq!(right.look(), Seen::End);
    assert_eq!(right.read(&mut [0; 1]).await.unwrap(), 0);
}
