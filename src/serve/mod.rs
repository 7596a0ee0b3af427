//! The story of a client connection: accept → detect → authenticate → for each call: read, decide, forward, answer → close.

mod asking;
mod attached;
mod bell;
mod calls;
mod client;
mod dialing;
pub mod draining;
mod end;
mod exchange;
mod expired;
mod forward;
mod framing;
mod incoming;
mod keyring;
mod left;
mod link;
mod linking;
mod moves;
mod moving;
mod opaque;
mod open;
mod opening;
mod own_call;
mod pace;
mod plain;
mod pool;
mod probing;
mod queue;
mod readout;
mod refuse;
pub mod reply;
mod request;
mod restarted;
pub mod shared;
mod silence;
mod spares;
mod tend;
pub mod upkeep;
pub mod watching;
pub mod workers;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::timeout;
use tracing::Instrument;

use self::bell::{Bell, Ring};
use self::calls::Calls;
use self::client::Client;
use self::end::End;
use self::framing::Framing;
use self::link::Links;
use self::opaque::Passage;
use self::shared::{Entrance, Shared};
use self::silence::Spoke;
use self::workers::Workers;
use crate::clock;
use crate::ids::{ConnId, Depth, Service};
use crate::metrics::{Held, ListenerMetrics};
use crate::net::listen::{Accepted, Acceptor, Source};
use crate::net::stream::Stream;
use crate::wire::detect::{Detection, detect};
use tokio_util::task::TaskTracker;

/// A client connection that was accepted.
struct Connection<S: Stream> {
    shared: Arc<Shared<S>>,
    entrance: Arc<Entrance<S>>,
    conn: ConnId,
    client: Client<S>,
    counters: ListenerMetrics,
    bell: Arc<Bell>,
}

/// Accepts connections on one address until the router drains. Each is served by a task of its own, with one of the workers.
pub async fn listen<S: Stream>(
    shared: Arc<Shared<S>>,
    entrance: Arc<Entrance<S>>,
    mut acceptor: Acceptor<impl Source<Stream = S>>,
    workers: Workers,
    tasks: TaskTracker,
) {
    let counters = shared.metrics.listener(&entrance.name);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            accepted = workers.place(acceptor.accept()) => accepted,
        };
        let (Some(Accepted { stream, address, permit }), seat) = accepted else { return };
        let runtime = seat.runtime().clone();
        let conn = shared.next_connection();
        let hanging = shared.bells.hang(conn);
        let connection = Box::new(Connection {
            shared: Arc::clone(&shared),
            entrance: Arc::clone(&entrance),
            conn,
            client: Client::new(stream, address.ip().into()),
            counters: counters.clone(),
            bell: Arc::clone(&hanging.bell),
        });
        let held = (permit, seat, hanging, Held::one_of(&counters.open));
        tasks.spawn_on(accepted_one(connection, address, held), &runtime);
    }
}

/// Serves a connection, and holds what is `_held` for it until it ends. What its task itself holds is little: all that it needs for a stage of its life is in
/// boxes, and goes with the stage.
async fn accepted_one<S: Stream>(
    connection: Box<Connection<S>>,
    address: SocketAddr,
    _held: impl Send + 'static,
) {
    let span = tracing::info_span!(
        "connection", conn = %connection.conn, client = %address, listener = %connection.entrance.name,
        depth = tracing::field::Empty, session = tracing::field::Empty, coordinator = tracing::field::Empty,
    );
    async {
        tracing::debug!("accepted");
        let (shared, bell) = (Arc::clone(&connection.shared), Arc::clone(&connection.bell));
        let end = tokio::select! {
            biased;
            // First, and in every wake-up: what else the connection is called for finds its task registered by this.
            () = bell.rings(Ring::Cut) => End::RouterShutdown,
            end = serve(connection) => end,
        };
        note_end(&shared, &end);
    }
    .instrument(span)
    .await;
}

/// Counts and logs how a connection ended; a warning only as often as [`Shared::warnings`] allows.
fn note_end<S: Stream>(shared: &Shared<S>, end: &End) {
    shared.metrics.connections_closed.count(end.cause());
    let admitted = if end.is_misbehaviour() { shared.warnings.admit(clock::now()) } else { None };
    match admitted {
        Some(0) => tracing::warn!(cause = %end, "connection ended"),
        Some(left_out) => {
            tracing::warn!(cause = %end, left_out, "connection ended; warnings before it were left out");
        }
        None => tracing::debug!(cause = %end, "connection ended"),
    }
}

/// What a connection has turned out to be.
enum Serving<S: Stream> {
    /// Its calls are read.
    Calls(Box<Calls<S>>),
    /// It is passed on unread.
    Unread(Box<Passage<S>>),
}

async fn serve<S: Stream>(connection: Box<Connection<S>>) -> End {
    // Boxed one after the other: an idle connection holds only what its own stage needs.
    match Box::pin(introduce(connection)).await {
        Ok(Serving::Calls(mut calls)) => calls.serve().await,
        Ok(Serving::Unread(passage)) => Box::pin(passage.relay()).await,
        Err(end) => end,
    }
}

/// Finds out what the client speaks and, where that is asked for, who it is.
async fn introduce<S: Stream>(mut connection: Box<Connection<S>>) -> Result<Serving<S>, End> {
    let listener = connection.entrance.service;
    let unread =
        |connection, service, dialed| Ok(Serving::Unread(Box::new(Passage { connection, service, dialed })));
    let detection = match detected(&mut connection).await? {
        Detected::As(detection) => detection,
        Detected::CoordinatorSpeaks(dialed) => return unread(connection, listener, Some(dialed)),
    };
    tracing::debug!(?detection, "detected");
    let framing = match detection {
        Detection::Thrift => Framing::None,
        Detection::Framed => Framing::Framed,
        Detection::Sasl => return plain::authenticate(connection).await,
        // The bytes tell which port it is for, where there is one.
        Detection::Http if connection.entrance.fleet.cluster.serves(Service::Hs2Http) => {
            return unread(connection, Service::Hs2Http, None);
        }
        Detection::Http | Detection::Tls | Detection::Unknown | Detection::NeedMore => {
            return unread(connection, listener, None);
        }
    };
    let links = Links::anonymous(Arc::clone(&connection.entrance.fleet), connection.conn, framing);
    Ok(Serving::Calls(Box::new(connection.into_calls(framing, links))))
}

impl<S: Stream> Connection<S> {
    /// Its calls will be read.
    fn into_calls(self, framing: Framing, links: Links<S>) -> Calls<S> {
        note_depth(&self.counters, Depth::Route);
        Calls::new((self.shared, self.bell), &self.entrance, self.client, framing, links)
    }
}

enum Detected<S: Stream> {
    As(Detection),
    /// The coordinator spoke before the client did.
    CoordinatorSpeaks(opaque::Dialed<S>),
}

/// Reads until the first bytes tell. A client may be silent for as long as it likes; half a greeting must be finished.
async fn detected<S: Stream>(connection: &mut Connection<S>) -> Result<Detected<S>, End> {
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
