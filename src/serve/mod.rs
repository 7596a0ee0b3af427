//! The story of a client connection: accept → detect → authenticate → for each call: read, decide, forward, answer → close.

mod attached;
mod calls;
mod client;
mod dialing;
mod end;
mod exchange;
mod link;
mod opaque;
mod open;
mod plain;
mod refuse;
mod reply;
pub mod shared;
mod silence;
pub mod upkeep;
pub mod watching;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::Instrument;

use self::calls::Calls;
use self::client::{Client, Framing};
use self::end::End;
use self::link::Links;
use self::shared::{Entrance, Shared};
use self::silence::Spoke;
use crate::ids::{ConnId, Depth};
use crate::metrics::{Held, ListenerMetrics};
use crate::net::listen::{Accepted, Acceptor};
use crate::net::stream::Stream;
use crate::wire::detect::{Detection, detect};
use tokio_util::task::TaskTracker;

/// A client connection that was accepted.
struct Connection<S> {
    shared: Arc<Shared>,
    entrance: Arc<Entrance>,
    conn: ConnId,
    client: Client<S>,
    counters: ListenerMetrics,
}

/// Accepts connections on one address until the router drains. Each is served by a task of its own.
pub async fn listen(
    shared: Arc<Shared>,
    entrance: Arc<Entrance>,
    mut acceptor: Acceptor<tokio::net::TcpListener>,
    tasks: TaskTracker,
) {
    let counters = shared.metrics.listener(&entrance.name);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            accepted = acceptor.accept() => accepted,
        };
        let Some(Accepted { stream, address, permit }) = accepted else { return };
        let (shared, entrance, counters) = (Arc::clone(&shared), Arc::clone(&entrance), counters.clone());
        tasks.spawn(async move {
            let _permit = permit;
            accepted_one(shared, entrance, counters, stream, address).await;
        });
    }
}

async fn accepted_one(
    shared: Arc<Shared>,
    entrance: Arc<Entrance>,
    counters: ListenerMetrics,
    stream: TcpStream,
    address: SocketAddr,
) {
    let conn = shared.next_connection();
    let span = tracing::info_span!(
        "connection", %conn, client = %address, listener = %entrance.name,
        depth = tracing::field::Empty, session = tracing::field::Empty, coordinator = tracing::field::Empty,
    );
    let _open = Held::one_of(&counters.open);
    let metrics = Arc::clone(&shared.metrics);
    let story = async {
        if let Err(error) = shared.settings.sockets.apply(&stream) {
            return End::ClientGone(error);
        }
        tracing::debug!("accepted");
        // A child of its own: waiting on the one token would be a lock that all connections share.
        let cut = shared.cut.child_token();
        let connection = Connection { shared, entrance, conn, client: Client::new(stream), counters };
        tokio::select! {
            biased;
            () = cut.cancelled() => End::RouterShutdown,
            end = Box::pin(serve(connection)) => end,
        }
    };
    async {
        let end = story.await;
        metrics.connections_closed.count(end.cause());
        if end.is_misbehaviour() {
            tracing::warn!(cause = %end, "connection ended");
        } else {
            tracing::debug!(cause = %end, "connection ended");
        }
    }
    .instrument(span)
    .await;
}

/// Finds out what the client speaks, and serves it accordingly.
async fn serve<S: Stream>(mut connection: Connection<S>) -> End {
    let detection = match detected(&mut connection).await {
        Ok(Detected::As(detection)) => detection,
        Ok(Detected::CoordinatorSpeaks(dialed)) => {
            return Box::pin(opaque::serve(connection, Some(dialed))).await;
        }
        Err(end) => return end,
    };
    tracing::debug!(?detection, "detected");
    let framing = match detection {
        Detection::Thrift => Framing::None,
        Detection::Framed => Framing::Framed,
        // Boxed here and below: an idle connection holds only what its own way needs.
        Detection::Sasl => return Box::pin(plain::serve(connection)).await,
        Detection::Http | Detection::Tls | Detection::Unknown | Detection::NeedMore => {
            return Box::pin(opaque::serve(connection, None)).await;
        }
    };
    note_depth(&connection.counters, Depth::Route);
    let Connection { shared, entrance, conn, client, .. } = connection;
    let links = Links::new(Arc::clone(&entrance.fleet), conn, None);
    Box::pin(Calls::new(shared, &entrance, client, framing, links).serve()).await
}

enum Detected {
    As(Detection),
    /// The coordinator spoke before the client did.
    CoordinatorSpeaks(opaque::Dialed),
}

/// Reads until the first bytes tell. A client may be silent for as long as it likes; half a greeting must be finished.
async fn detected<S: Stream>(connection: &mut Connection<S>) -> Result<Detected, End> {
    let mut listened = false;
    let settings = connection.shared.settings.clone();
    loop {
        let detection = detect(&connection.client.pending);
        if detection != Detection::NeedMore {
            return Ok(Detected::As(detection));
        }
        let silent = connection.client.pending.is_empty();
        let allowed = if silent { settings.detect_timeout } else { settings.stall_timeout };
        let draining = connection.shared.draining.clone();
        let more = async {
            if silent && listened {
                // It was listened to once; what it says when it speaks decides.
                return Ok(connection.client.more().await);
            }
            timeout(allowed, connection.client.more()).await
        };
        let more = tokio::select! {
            biased;
            more = more => more,
            () = draining.cancelled(), if silent => return Err(End::RouterShutdown),
        };
        match more {
            Ok(Err(end)) => return Err(end),
            Ok(Ok(true)) => {}
            Ok(_) if silent => return Err(End::ClientClosed),
            Ok(_) => return Err(End::ClientBroke { inside: "greeting" }),
            Err(_elapsed) if silent => {
                listened = true;
                // Its turn to be dialed for may be long in coming.
                let spoke = tokio::select! {
                    biased;
                    spoke = silence::listen(connection) => spoke?,
                    () = draining.cancelled() => return Err(End::RouterShutdown),
                };
                if let Spoke::Coordinator(dialed) = spoke {
                    return Ok(Detected::CoordinatorSpeaks(dialed));
                }
            }
            Err(_elapsed) => return Err(End::ClientStalled { doing: "sent" }),
        }
    }
}

/// Notes how deep a connection is understood, once that is known.
fn note_depth(counters: &ListenerMetrics, depth: Depth) {
    counters.connections.count(depth);
    tracing::Span::current().record("depth", depth.as_str());
}
