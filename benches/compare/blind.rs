//! The floor: a relay on tokio that reads nothing, one `copy_bidirectional` a connection, least connections
//! first.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

struct Target {
    address: SocketAddr,
    connections: AtomicUsize,
}

/// Runs until standard input ends, with so many threads; tells its address on standard output.
pub(crate) fn run(targets: &[SocketAddr], threads: usize) -> anyhow::Result<()> {
    crate::process::end_with_parent();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let targets = targets.iter().map(|&address| Target { address, connections: AtomicUsize::new(0) });
    let targets: Arc<[Target]> = targets.collect();
    let mut runtime = match threads {
        // As each of the router's threads is.
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        loop {
            let Ok((client, _)) = listener.accept().await else { continue };
            let targets = Arc::clone(&targets);
            tokio::spawn(async move {
                // Either side may end it in any way.
                let _ended = relay(client, &targets).await;
            });
        }
    })
}

async fn relay(mut client: TcpStream, targets: &[Target]) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let target = targets
        .iter()
        .min_by_key(|target| target.connections.load(Ordering::Relaxed))
        .context("no coordinator")?;
    target.connections.fetch_add(1, Ordering::Relaxed);
    let copied = async {
        let mut coordinator = TcpStream::connect(target.address).await?;
        coordinator.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut coordinator).await
    }
    .await;
    target.connections.fetch_sub(1, Ordering::Relaxed);
    copied?;
    Ok(())
}
