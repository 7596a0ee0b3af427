//! Ends a connection in a way that lets the peer read what it was told last.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::flow;

/// How long the peer is given to close its side.
const WITHIN: Duration = Duration::from_secs(1);
/// How many bytes of it are read meanwhile. A token of Kerberos that is too long has rarely more.
const MOST: usize = 128 << 10;

/// Closes our half, and reads on for a second and 128 KiB at most, or until the peer closes its half. A close
/// with unread bytes is a reset, which may destroy what was written last before the peer has read it.
pub async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let ending = async {
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await.ok()?;
        let mut left = MOST;
        while left > 0 {
            let chunk = flow::read(stream).await.ok()?;
            if chunk.is_empty() {
                break;
            }
            left = left.saturating_sub(chunk.len());
        }
        Some(())
    };
    // How it ends is of no interest: there is nothing more to say.
    let _ended = timeout(WITHIN, ending).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::clock;

    #[tokio::test(start_paused = true)]
    async fn the_peer_reads_all_and_may_go_on_for_a_second_or_128_kib() {
        let (mut ours, mut theirs) = duplex(256 << 10);
        ours.write_all(b"bye").await.unwrap();
        theirs.write_all(&vec![7; 200 << 10]).await.unwrap();
        let begun = clock::now();
        linger(&mut ours).await;
        assert!((clock::now() - begun) < WITHIN, "too much was sent");
        drop(ours);
        let mut told = Vec::new();
        theirs.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, b"bye");

        let (mut ours, theirs) = duplex(16);
        let begun = clock::now();
        linger(&mut ours).await;
        assert_eq!((clock::now() - begun).as_secs(), WITHIN.as_secs(), "nothing came");
        drop(theirs);
        linger(&mut ours).await;
        assert_eq!((clock::now() - begun).as_secs(), WITHIN.as_secs(), "the peer has closed");
    }
}
