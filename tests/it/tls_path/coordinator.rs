//! TLS in front of a coordinator that has none, with what may go wrong inside.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::peers::FILES;

/// What it does meanwhile.
#[derive(Debug)]
pub(crate) struct Manners {
    /// How many more bytes of replies pass before the connection is closed without a `close_notify`.
    pub(crate) truncates_after: AtomicUsize,
    /// Whether keys change before each piece of a reply, and after each reply.
    pub(crate) changes_keys: AtomicBool,
    /// Connections whose handshake is complete.
    pub(crate) met: AtomicUsize,
    /// Clients' ends that were none in TLS.
    pub(crate) truncated: AtomicUsize,
}

/// Accepts TLS and passes on what is inside.
pub(crate) struct Sleeve {
    pub(crate) address: SocketAddr,
    pub(crate) manners: Arc<Manners>,
    _runtime: Runtime,
}

impl Sleeve {
    pub(crate) fn around(coordinator: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let manners = Arc::new(Manners {
            truncates_after: AtomicUsize::new(usize::MAX),
            changes_keys: AtomicBool::new(false),
            met: AtomicUsize::new(0),
            truncated: AtomicUsize::new(0),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&FILES.server));
        let shared = Arc::clone(&manners);
        drop(runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, manners) = (acceptor.clone(), Arc::clone(&shared));
                drop(tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(stream).await else { return };
                    manners.met.fetch_add(1, Ordering::SeqCst);
                    let inner = TcpStream::connect(coordinator).await.unwrap();
                    let _ended = pass(tls, inner, &manners).await;
                }));
            }
        }));
        Self { address, manners, _runtime: runtime }
    }

    /// After so many more bytes of replies, its connection is closed without a `close_notify`.
    pub(crate) fn truncate_after(&self, bytes: usize) {
        self.manners.truncates_after.store(bytes, Ordering::SeqCst);
    }
}

async fn pass(mut tls: TlsStream<TcpStream>, mut inner: TcpStream, manners: &Manners) -> io::Result<()> {
    let (mut asked, mut said) = (vec![0; 16 << 10], vec![0; 10_000]);
    let (mut asks, mut says) = (true, true);
    while asks || says {
        tokio::select! {
            read = tls.read(&mut asked), if asks => match read {
                Ok(0) => {
                    asks = false;
                    inner.shutdown().await?;
                }
                Ok(len) => inner.write_all(&asked[..len]).await?,
                Err(error) => {
                    manners.truncated.fetch_add(1, Ordering::SeqCst);
                    socket2::SockRef::from(&inner).set_linger(Some(std::time::Duration::ZERO))?;
                    return Err(error);
                }
            },
            read = inner.read(&mut said), if says => {
                let len = read?;
                if len == 0 {
                    says = false;
                    tls.shutdown().await?;
                    continue;
                }
                if manners.changes_keys.load(Ordering::SeqCst) {
                    tls.get_mut().1.refresh_traffic_keys().map_err(io::Error::other)?;
                }
                let left = manners.truncates_after.load(Ordering::SeqCst);
                // Before the bytes go out: who gets them may look at this.
                let later = if len >= left { usize::MAX } else { left - len };
                manners.truncates_after.store(later, Ordering::SeqCst);
                tls.write_all(&said[..len.min(left)]).await?;
                tls.flush().await?;
                if len >= left {
                    return Ok(());
                }
                if manners.changes_keys.load(Ordering::SeqCst) {
                    // Comes when nobody asks, and is nothing that anybody reads.
                    tls.get_mut().1.refresh_traffic_keys().map_err(io::Error::other)?;
                    tls.flush().await?;
                }
            }
        }
    }
    Ok(())
}
