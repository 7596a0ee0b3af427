//! A client connection from accept to close: accept, detect, authenticate, and then for each call: read,
//! decide, forward, answer.

mod admit;
mod observe;
mod passage;
mod plain;
mod proxy;
mod silence;
mod sni;
mod tell;
mod tickets;
mod tls;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::clock;
use crate::ids::{ConnId, Depth, Service, Transport};
use crate::metrics::{Held, ListenerMetrics};
use crate::net::listen::{Accepted, Acceptor, Source};
use crate::net::stream::Stream;
use crate::serve::call::conn::{Conn, Introduced};
use crate::serve::call::links::Links;
use crate::serve::call::serve;
use crate::serve::client::passage::{Dialed, Passage, To};
use crate::serve::connections::{Known, Listed, Registration};
use crate::serve::fleet::entrance::Entrance;
use crate::serve::message::client::Client;
use crate::serve::message::client_end::ClientEnd;
use crate::serve::message::end::End;
use crate::serve::message::http::client::HttpPeer;
use crate::serve::shared::Shared;
use crate::serve::threads::signals::Signal;
use crate::serve::threads::workers::{Assignment, Workers};
use crate::wire::detect::{Detection, Speech, detect};
use crate::wire::proxy::is_part_of_header;

/// A client connection that was accepted and that nothing is known of yet.
struct Connection<S: Stream> {
    shared: Arc<Shared<S>>,
    entrance: Arc<Entrance<S>>,
    conn: ConnId,
    /// The address that it came from: the client's, or that of a balancer in front of the router.
    peer: SocketAddr,
    client: Client<S>,
    counters: ListenerMetrics,
    listed: Arc<Listed>,
    assignment: Assignment,
}

/// Accepts connections on one address until the router drains. Each is served in a task of its own, on one of
/// the workers.
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
            accepted = workers.accept(acceptor.accept()) => accepted,
        };
        let (Some(Accepted { stream, address, permit }), assignment) = accepted else { return };
        let conn = shared.next_connection();
        // Of a connection that a balancer passes on, the header will tell the client.
        let via = entrance.expects_header(address.ip()).then_some(address);
        let registration = shared.connections.register(conn, at_first(&entrance, address, via));
        // The span has the highest level, because warnings and errors name their connection at any level of the log.
        let span = tracing::error_span!(
            "connection", %conn, client = via.is_none().then_some(tracing::field::display(address)),
            via = via.map(tracing::field::display), listener = %entrance.name,
            tls = tracing::field::Empty, depth = tracing::field::Empty, user = tracing::field::Empty,
            session = tracing::field::Empty, coordinator = tracing::field::Empty,
        );
        span.in_scope(|| tracing::debug!("accepted"));
        let connection = Box::new(Connection {
            shared: Arc::clone(&shared),
            entrance: Arc::clone(&entrance),
            conn,
            peer: address,
            client: Client::new(stream, address.ip()),
            counters: counters.clone(),
            listed: Arc::clone(&registration.listed),
            assignment,
        });
        let life = Life {
            shared: Arc::clone(&shared),
            span,
            tasks: tasks.clone(),
            registration,
            _permit: permit,
            _counted: Held::one_of(&counters.open),
        };
        Box::new(life).go_on(Stage::New(connection));
    }
}

/// What is known of a connection when it is accepted.
fn at_first<S: Stream>(entrance: &Entrance<S>, address: SocketAddr, via: Option<SocketAddr>) -> Known {
    Known {
        listener: Arc::clone(&entrance.name),
        cluster: Arc::clone(&entrance.fleet.cluster.name),
        client: via.is_none().then_some(address),
        via,
        since: clock::now(),
        access: None,
        tls: None,
        depth: None,
        coordinator: None,
    }
}

/// What a connection keeps from its beginning to its end.
struct Life<S: Stream> {
    shared: Arc<Shared<S>>,
    span: Span,
    tasks: TaskTracker,
    registration: Registration,
    _permit: OwnedSemaphorePermit,
    _counted: Held,
}

/// How far a connection has come. What a stage needs is in its box, so that the connection's task itself
/// stays small.
enum Stage<S: Stream> {
    /// It is not known yet what the client speaks.
    New(Box<Connection<S>>),
    /// Its calls are read.
    Calls(Box<Conn<S>>),
    /// It is passed on.
    Passed(Box<Passage<S>>),
}

impl<S: Stream> Stage<S> {
    /// Returns the connection's assignment to a worker.
    fn assignment(&self) -> &Assignment {
        match self {
            Self::New(connection) => &connection.assignment,
            Self::Calls(conn) => conn.assignment(),
            Self::Passed(passage) => passage.assignment(),
        }
    }
}

impl<S: Stream> Life<S> {
    /// Serves the connection in a task of its own, on the worker that it belongs to.
    fn go_on(self: Box<Self>, stage: Stage<S>) {
        let (tasks, runtime) = (self.tasks.clone(), stage.assignment().runtime().clone());
        let span = self.span.clone();
        tasks.spawn_on(self.serve(stage).instrument(span), &runtime);
    }

    /// Serves the connection until it ends or moves to another worker.
    async fn serve(self: Box<Self>, stage: Stage<S>) {
        let signals = &self.registration.listed.signals;
        let served = {
            let (mut served, mut cut) = (pin!(serve(stage)), pin!(signals.received(Signal::Cut)));
            poll_fn(|cx| {
                // This comes first and in every wake-up, because it registers the task for all other signals, too.
                let is_cut = cut.as_mut().poll(cx).is_ready();
                // A call that waits for its reply sees the cut by itself, and leaves its link as when a client
                // vanishes. Whatever else is under way is dropped.
                match served.as_mut().poll(cx) {
                    Poll::Pending if is_cut => Poll::Ready(Err(self.cut_end())),
                    polled => polled,
                }
            })
            .await
        };
        match served {
            Ok(stage) => self.go_on(stage),
            Err(_) if signals.is_set(Signal::Cut) => note_end(&self.shared, &self.cut_end()),
            Err(end) => note_end(&self.shared, &end),
        }
    }

    /// Why the connection ends that was cut.
    fn cut_end(&self) -> End {
        if self.shared.cut.is_cancelled() { End::RouterShutdown } else { End::Cut }
    }
}

/// Counts and logs how a connection ended. How many warnings a cause may log is limited.
fn note_end<S: Stream>(shared: &Shared<S>, end: &End) {
    shared.metrics.connections_closed.count(end.cause());
    let admitted = end.is_misbehaviour().then(|| shared.admit_line("connection ended", end.kind())).flatten();
    if let Some(left_out) = admitted {
        tracing::warn!(cause = %end, left_out, "connection ended");
    } else {
        tracing::debug!(cause = %end, "connection ended");
    }
}

/// Serves a connection until it reaches another stage or is to move to another worker, and moves it there.
///
/// # Errors
/// [`End`], when the connection ends.
async fn serve<S: Stream>(stage: Stage<S>) -> Result<Stage<S>, End> {
    // Boxed: an idle connection holds only what its own stage needs.
    match stage {
        Stage::New(connection) => Box::pin(introduce(connection)).await,
        Stage::Calls(mut conn) => {
            let assignment = serve::serve(&mut conn).await?;
            Ok(Stage::Calls(Box::new(conn.rehome(assignment)?)))
        }
        Stage::Passed(passage) => Err(Box::pin(passage.relay()).await),
    }
}

/// Finds out what the client speaks and authenticates it, if it asks for that.
async fn introduce<S: Stream>(mut connection: Box<Connection<S>>) -> Result<Stage<S>, End> {
    proxy::identify(&mut connection).await?;
    let mut connection = admit::admit(connection).await?;
    let listener = connection.entrance.service;
    let unread = |connection: Box<_>, service, dialed| {
        Passage::of(*connection, To { service, dialed, depth: Depth::Opaque }).map(Stage::Passed)
    };
    let detection = loop {
        let detection = match detected(&mut connection).await? {
            Detected::As(detection) => detection,
            Detected::CoordinatorSpeaks(dialed) => {
                tls::note(&connection, None);
                return unread(connection, listener, Some(dialed));
            }
        };
        match tls::tls_for(&connection) {
            Some(tls) if detection == Detection::Tls => connection = tls::terminate(connection, &tls).await?,
            Some(tls) if tls.is_required() && detection != Detection::Proxy => {
                return Err(tls::refuse_clear(connection).await);
            }
            _ => break detection,
        }
    };
    tls::note(&connection, Some(detection));
    tracing::debug!(?detection, "detected");
    let transport = match detection {
        Detection::Thrift => Transport::Unframed,
        Detection::Framed => Transport::Framed,
        Detection::Sasl => return plain::authenticate(connection).await,
        Detection::Proxy => return Err(proxy::unexpected(&connection)),
        Detection::Tls => {
            sni::choose_cluster(&mut connection).await?;
            return unread(connection, listener, None);
        }
        // The bytes tell which port they are for, if there is such a port. What comes to that port is judged even
        // if it is no HTTP: relayed unread, an odd first line would take any head to a coordinator.
        Detection::Http | Detection::Unknown | Detection::NeedMore
            if listener == Service::Hs2Http
                || (detection == Detection::Http && reads_http(&connection.entrance)) =>
        {
            let links = Links::over_http(Arc::clone(&connection.entrance.fleet), &connection.listed);
            return Ok(Stage::Calls(Box::new(connection.into_calls(Transport::Http, links))));
        }
        Detection::Http | Detection::Unknown | Detection::NeedMore => {
            if detection == Detection::Http {
                connection.entrance.note_unread_http();
            }
            return unread(connection, listener, None);
        }
    };
    let links = Links::anonymous(Arc::clone(&connection.entrance.fleet), &connection.listed, transport);
    Ok(Stage::Calls(Box::new(connection.into_calls(transport, links))))
}

/// Whether calls over HTTP can be read: a coordinator takes such, or the router itself judges who makes them.
fn reads_http<S: Stream>(entrance: &Entrance<S>) -> bool {
    entrance.fleet.cluster.serves(Service::Hs2Http) || entrance.tickets.is_some()
}

impl<S: Stream> Connection<S> {
    /// Turns this into a connection whose calls are read.
    fn into_calls(self, transport: Transport, links: Links<S>) -> Conn<S> {
        note_depth(&self.counters, &self.listed, Depth::Route);
        let Self { shared, entrance, client, listed, assignment, .. } = self;
        let client = match transport {
            Transport::Http => {
                let peer = HttpPeer {
                    address: client.ip,
                    is_trusted_proxy: entrance.trusts(client.ip),
                    trusted_headers: Arc::clone(&entrance.fleet.trusted_headers),
                };
                ClientEnd::over_http(client, peer)
            }
            _ => ClientEnd::new(client, transport),
        };
        Conn::new(Introduced { shared, entrance: &entrance, client, links, listed, assignment })
    }
}

enum Detected<S: Stream> {
    As(Detection),
    /// This coordinator was dialed, and spoke before the client did.
    CoordinatorSpeaks(Dialed<S>),
}

/// Reads until the first bytes tell what the client speaks. A client may be silent for as long as it likes.
/// Bytes that are not recognized are not held for longer than `detect_timeout`, because the client may be
/// waiting for an answer to them.
async fn detected<S: Stream>(connection: &mut Connection<S>) -> Result<Detected<S>, End> {
    let allowed = connection.shared.settings.detect_timeout;
    if connection.client.pending.is_empty()
        && let Some(dialed) = first_word(connection, allowed).await?
    {
        return Ok(Detected::CoordinatorSpeaks(dialed));
    }
    let deadline = Instant::from_std(clock::now() + allowed);
    loop {
        let detection = detect(&connection.client.pending);
        if detection != Detection::NeedMore {
            return Ok(Detected::As(detection));
        }
        let more = timeout_at(deadline, connection.client.more()).await;
        // No more bytes come for now, so the bytes are nothing that the router knows; but a coordinator may
        // understand them. Nothing but TLS begins as a hello does, which has a longer time of its own.
        if !more.unwrap_or(Ok(false))? {
            if is_part_of_header(&connection.client.pending) {
                return Err(proxy::unexpected(connection));
            }
            let is_hello = Speech::guess(&connection.client.pending) == Some(Speech::Tls);
            return Ok(Detected::As(if is_hello { Detection::Tls } else { Detection::Unknown }));
        }
    }
}

/// Waits until the client or a coordinator says something; returns the coordinator if that spoke first.
async fn first_word<S: Stream>(
    connection: &mut Connection<S>,
    allowed: Duration,
) -> Result<Option<Dialed<S>>, End> {
    let draining = connection.shared.draining.clone();
    tokio::select! {
        biased;
        dialed = async {
            match tls::tls_for(connection) {
                Some(tls) if tls.is_required() => tls::await_hello(connection).await.map(|()| None),
                // In HTTP no server speaks first.
                _ if connection.entrance.service == Service::Hs2Http => silence::client_alone(connection).await,
                _ => silence::first_byte(connection, allowed).await,
            }
        } => dialed,
        () = draining.cancelled() => Err(End::RouterShutdown),
    }
}

/// Records how deep a connection is understood, once that is known.
fn note_depth(counters: &ListenerMetrics, listed: &Listed, depth: Depth) {
    counters.connections.count(depth);
    listed.note(|known| known.depth = Some(depth));
    Span::current().record("depth", depth.as_str());
}
