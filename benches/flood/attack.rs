//! The attack: connections that send a client's first message, as it was recorded or made, and go when the answer
//! has come, which they do not read. So nobody computes but the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::nice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::tls::OneClient;

/// How much lower than that of the others its priority is.
const NICENESS: i32 = 5;
/// Before a connection that could not be made is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Records the first message of a client that connects.
pub(crate) async fn record_hello(mut client: OneClient) -> anyhow::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let listening = async {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut hello).await?;
        anyhow::Ok([&head[..], &hello].concat())
    };
    tokio::select! {
        hello = listening => hello,
        _ = client.dial(at) => anyhow::bail!("nobody answered, and yet it is done"),
    }
}

/// An attack that goes on until this is dropped.
pub(crate) struct Attack {
    answered: Arc<AtomicU64>,
    over: Option<DropGuard>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Attack {
    /// Has so many connections open at a time, of which each sends this message.
    pub(crate) fn begin(target: SocketAddr, message: Vec<u8>, at_once: usize) -> Self {
        let (answered, over) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (count, ends) = (Arc::clone(&answered), over.clone());
        let thread = thread::spawn(move || {
            step_back()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let message: Arc<[u8]> = message.into();
                for _ in 0..at_once {
                    tokio::spawn(one_after_another(target, Arc::clone(&message), Arc::clone(&count)));
                }
                ends.cancelled().await;
            });
            Ok(())
        });
        Self { answered, over: Some(over.drop_guard()), thread: Some(thread) }
    }

    /// How many messages were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it.
    ///
    /// # Errors
    /// It could not begin.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        drop(self.over.take());
        self.thread.take().map_or(Ok(()), |thread| thread.join().expect("an attack ends"))
    }
}

async fn one_after_another(target: SocketAddr, message: Arc<[u8]>, answered: Arc<AtomicU64>) {
    loop {
        let attempt = async {
            let mut stream = TcpStream::connect(target).await?;
            stream.write_all(&message).await?;
            // Dropped with bytes that were not read, a connection ends with a reset and keeps no port.
            stream.readable().await
        };
        match attempt.await {
            Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
            Err(_refused) => sleep(PAUSE).await,
        }
    }
}

/// Lets this thread have the processor after those that it is measured against: an attack comes from
/// elsewhere, and is not to take their time.
fn step_back() -> anyhow::Result<()> {
    nice(NICENESS).context("a lower priority")?;
    Ok(())
}
