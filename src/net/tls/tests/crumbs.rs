//! Records that come and go in odd pieces.

use super::*;

/// A connection that hands out and takes bytes in odd pieces.
struct Crumbs {
    inner: Double,
    /// Reads and writes each have a round of their own: in a common one, whoever reads and writes in turn could meet
    /// nothing but zeros with one of the two, for ever.
    reads: Sizes,
    writes: Sizes,
}

impl Crumbs {
    fn new(inner: Double, sizes: Vec<usize>) -> Self {
        Self { inner, reads: Sizes(sizes.clone().into()), writes: Sizes(sizes.into()) }
    }
}

/// Sizes of pieces, used in a round. One of them at least is not zero.
struct Sizes(VecDeque<usize>);

impl Sizes {
    /// The size of the next piece; none if the peer has to wait for it.
    fn next(&mut self, cx: &Context<'_>) -> Option<usize> {
        let size = self.0.pop_front().unwrap_or(1);
        self.0.push_back(size);
        if size == 0 {
            cx.waker().wake_by_ref();
        }
        (size > 0).then_some(size)
    }
}

impl AsyncRead for Crumbs {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(size) = self.reads.next(cx) else { return Poll::Pending };
        let mut piece = buf.take(size);
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut piece);
        let len = piece.filled().len();
        // The piece is a view of the same memory, which was initialized.
        let read = piece.filled().to_vec();
        buf.put_slice(&read[..len]);
        polled
    }
}

impl AsyncWrite for Crumbs {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(size) = self.writes.next(cx) else { return Poll::Pending };
        Pin::new(&mut self.inner).poll_write(cx, &bytes[..size.min(bytes.len())])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Stream for Crumbs {
    type Network = Lan;

    async fn readable(&self) {}

    async fn gone(&self) {
        self.inner.gone().await;
    }

    async fn closed(&self) {
        self.inner.closed().await;
    }

    fn look(&mut self) -> Seen {
        self.inner.look()
    }

    fn glance(&mut self) -> Seen {
        self.inner.glance()
    }

    fn poll_seen(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        self.inner.poll_seen(cx)
    }

    fn rehome_here(self) -> io::Result<Self> {
        Ok(self)
    }

    fn reset_on_close(&self) {
        self.inner.reset_on_close();
    }

    fn set_user_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn records_in_odd_pieces_are_the_same_records(
        mut sizes in prop::collection::vec(0usize..40_000, 1..12),
        // The server's tickets fit in: its handshake ends when it has written them, and only then is the client made
        // to read again.
        capacity in 1_024usize..70_000,
        len in 1usize..200_000,
        is_new in any::<bool>(),
    ) {
        sizes.push(1 + len % 977);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let both = both(if is_new { &version::TLS13 } else { &version::TLS12 });
            let (near, far) = pair(capacity);
            let near = Crumbs::new(near, sizes.clone());
            let far = Crumbs::new(far, sizes.into_iter().rev().collect());
            let (client, server) = tokio::join!(
                connect(far, Arc::new(both.client), name()),
                accept(near, Vec::new(), Arc::new(both.server), Bounds::default()),
            );
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            carry(&mut client, &mut server, &bytes(len)).await;
            carry(&mut server, &mut client, &bytes(len)).await;
            client.shutdown().await.unwrap();
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        });
    }
}
