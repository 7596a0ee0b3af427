//! Passes connections on to the least-loaded coordinator, every byte as it came, until both sides have
//! finished: those that the router does not understand, and those that it can only read along
//! ([`super::observe`]).

use std::future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::cluster::brake::Who;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::cluster::turns::Turn;
use crate::cluster::{Cluster, OpaqueCount, Opening, Wanted};
use crate::ids::{Access, ClientAddress, Depth, Service};
use crate::metrics::{Direction, Per, RefusalCause};
use crate::net::flow;
use crate::net::relay::{Ended, Onlooker, Side, Sides};
use crate::net::stream::{LinkStream, Stream};
use crate::net::tls::io::Io;
use crate::serve::client::observe::{Observed, Observer};
use crate::serve::client::{Connection, note_depth};
use crate::serve::fleet::candidates::{Candidate, Candidates, ClientGone, Seeker};
use crate::serve::fleet::entrance::Entrance;
use crate::serve::fleet::pause::Newcomer;
use crate::serve::link::slot::{Grant, Slot};
use crate::serve::link::unanswered::{BrokenOff, Patience, Unanswered};
use crate::serve::message::client::Client;
use crate::serve::message::end::End;
use crate::serve::settings::Settings;
use crate::serve::shared::Shared;
use crate::serve::threads::workers::Assignment;
use crate::wire::detect::Speech;
use crate::wire::sasl::{Status, encode};

/// A coordinator that was dialed for a connection that is passed on.
pub(super) struct Dialed<S: Stream> {
    /// The connection to the coordinator.
    pub stream: Io<LinkStream<S>>,
    /// Counts the connection in the coordinator's load.
    pub opening: Opening,
    /// Counts the connection as a link.
    pub slot: Slot<S>,
}

impl<S: Stream> Dialed<S> {
    fn rehome_here(self) -> Result<Self, End> {
        let rehomed = self.stream.rehome_here();
        let stream = rehomed.map_err(|error| End::CoordinatorLost { cause: error.to_string() })?;
        Ok(Self { stream, ..self })
    }
}

/// A connection that is passed on.
pub(super) struct Passage<S: Stream> {
    /// The client's side.
    connection: Box<Connection<S>>,
    /// Which coordinators it is for, and how.
    to: To<S>,
}

/// Where a connection is passed on to, and how.
pub(super) struct To<S: Stream> {
    /// The coordinators' port.
    pub service: Service,
    /// The coordinator's side, if one was dialed already.
    pub dialed: Option<Dialed<S>>,
    /// [`Depth::Observe`] if it is to be read along.
    pub depth: Depth,
}

impl<S: Stream> Passage<S> {
    /// Creates the value, and moves the connection to the worker where it stays, if it is not there yet.
    ///
    /// # Errors
    /// [`End::ClientGone`], when the kernel refuses to register the client's socket there;
    /// [`End::CoordinatorLost`], when it refuses the coordinator's.
    pub(super) fn of(connection: Connection<S>, to: To<S>) -> Result<Box<Self>, End> {
        let mut passage = Box::new(Self { connection: Box::new(connection), to });
        if let Some(assignment) = passage.connection.assignment.at_home() {
            passage = passage.rehome(assignment)?;
        }
        Ok(passage)
    }

    fn rehome(self, assignment: Assignment) -> Result<Box<Self>, End> {
        let Self { connection, to } = self;
        let runtime = assignment.runtime().clone();
        let _there = runtime.enter();
        let client = connection.client.rehome_here()?;
        let dialed = to.dialed.map(Dialed::rehome_here).transpose()?;
        let connection = Box::new(Connection { client, assignment, ..*connection });
        Ok(Box::new(Self { connection, to: To { dialed, ..to } }))
    }

    /// Returns the connection's assignment to a worker.
    pub(super) fn assignment(&self) -> &Assignment {
        &self.connection.assignment
    }

    /// Relays bytes until both sides have finished; dials the best coordinator first, if none was dialed.
    pub(super) async fn relay(self) -> End {
        let Self { mut connection, to: To { service, dialed, depth } } = self;
        if depth == Depth::Opaque {
            note_depth(&connection.counters, &connection.listed, depth);
        }
        let Connection { shared, entrance, client, .. } = &mut *connection;
        let dialed = match dialed {
            Some(dialed) => Ok(dialed),
            None => dial_best(shared, entrance, service, client).await,
        };
        match dialed {
            Ok(dialed) => {
                let cut = entrance.fleet.passage_end(dialed.opening.coordinator().id);
                let bounds = Bounds { cut, patience: patience(service, &shared.settings) };
                relay_both(&mut connection, dialed, depth, bounds).await
            }
            Err(None) => End::ClientClosed,
            Err(Some(refused)) => {
                refused.note(shared, &entrance.fleet.cluster, &client.pending);
                if refused.candidates.refusal() == RefusalCause::Unreachable {
                    entrance.fleet.slow_down(Who::of(&Access::UNREAD, client.address)).await;
                }
                match depth {
                    Depth::Observe => tell(&mut connection, &refused).await,
                    // An unknown protocol has no error that could be sent.
                    Depth::Opaque | Depth::Route => client.stream.reset_on_close(),
                }
                End::NoCoordinator
            }
        }
    }
}

/// Tells a client in the middle of its handshake why no coordinator takes it.
async fn tell<S: Stream>(connection: &mut Connection<S>, refused: &Refused) {
    let why = refused.candidates.tell(&connection.entrance.fleet.cluster, refused.service);
    let text = format!("hs2router ({}): {why}", connection.conn);
    let stall = connection.shared.settings.stall_timeout;
    // A client that does not take it is left alone.
    let _told = connection.client.send(&encode(Status::Error, text.as_bytes()), stall).await;
}

/// What ends a relayed connection, apart from its two sides.
struct Bounds {
    cut: CancellationToken,
    /// How long the coordinator may say nothing at first.
    patience: Patience,
}

/// A coordinator that serves a connection answers a greeting that it understands within this time.
const GREETED_WITHIN: Duration = Duration::from_secs(1);

/// Returns how long a coordinator may say nothing at first: after a greeting, or after a request, which may
/// open a session.
fn patience(service: Service, settings: &Settings) -> Patience {
    match service {
        Service::Hs2Http => Patience { contested: settings.open_timeout, longest: settings.open_timeout },
        Service::Hs2 | Service::Beeswax => {
            Patience { contested: GREETED_WITHIN, longest: settings.handshake_timeout }
        }
    }
}

async fn relay_both<S: Stream>(
    connection: &mut Connection<S>,
    dialed: Dialed<S>,
    depth: Depth,
    bounds: Bounds,
) -> End {
    let Dialed { mut stream, opening, slot } = dialed;
    let unanswered = Unanswered::begin(&slot.port.unanswered, bounds.patience);
    let coordinator = &opening.coordinator().name;
    tracing::Span::current().record("coordinator", tracing::field::display(coordinator));
    connection.listed.note(|known| known.coordinator = Some(coordinator.clone()));
    // A peer may pause for as long as it likes: only the two sides know why.
    let _cleared = connection.client.stream.set_user_timeout(None);
    let _cleared = stream.set_user_timeout(None);
    let pending = connection.client.pending.take();
    let reader = match depth {
        Depth::Observe => Reader::Router(Box::new(Observer::new(connection, opening))),
        Depth::Opaque | Depth::Route => Reader::Nobody { _counted: opening.into_opaque() },
    };
    let Connection { shared, client, .. } = connection;
    let mut passing = Passing { bytes: &shared.metrics.bytes, unanswered: &unanswered, slot, reader };
    passing.note_read(Side::Client, &pending);
    let first = Speech::guess(&pending);
    let sides = Sides::new(&mut client.stream, &mut stream);
    if let Err((error, _)) = flow::write_all(sides.coordinator, &pending, shared.settings.stall_timeout).await
    {
        return End::CoordinatorLost { cause: error.to_string() };
    }
    passing.note_delivered(Side::Client, pending.len() as u64);
    drop(pending);
    let relayed = sides.relay(&mut passing);
    tokio::select! {
        biased;
        () = bounds.cut.cancelled() => End::Drained,
        why = unanswered.broken_off() => match why {
            BrokenOff::GaveWay => End::GaveWay,
            BrokenOff::TooLong => End::CoordinatorSilent { within: bounds.patience.longest, first },
        },
        ended = relayed => passing.end_of(ended),
    }
}

/// What happens beside the bytes of a connection as they pass by.
struct Passing<'a, S: Stream> {
    bytes: &'a Per<Direction>,
    unanswered: &'a Unanswered,
    /// Counts the connection as a link.
    slot: Slot<S>,
    reader: Reader<S>,
}

/// Who reads along.
enum Reader<S: Stream> {
    /// Nobody. Counts the connection in the coordinator's load.
    Nobody { _counted: OpaqueCount },
    /// The router.
    Router(Box<Observer<S>>),
}

impl<S: Stream> Passing<'_, S> {
    /// Returns the end of a connection whose relay has ended.
    fn end_of(&mut self, ended: Ended) -> End {
        match &mut self.reader {
            Reader::Nobody { .. } => end_of(ended),
            Reader::Router(observer) => match observer.end_of(&mut self.slot, &ended) {
                Observed::Ended(end) => end,
                Observed::NothingSpecial => end_of(ended),
            },
        }
    }
}

impl<S: Stream> Onlooker for Passing<'_, S> {
    fn note_read(&mut self, from: Side, bytes: &[u8]) {
        if let Reader::Router(observer) = &mut self.reader {
            observer.note_read(&mut self.slot, from, bytes);
        }
    }

    fn note_delivered(&mut self, from: Side, count: u64) {
        match from {
            Side::Client => self.bytes.add(Direction::ToCoordinator, count),
            Side::Coordinator => {
                if self.unanswered.note_answer() {
                    self.slot.note_answered();
                }
                self.bytes.add(Direction::ToClient, count);
            }
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.reader {
            Reader::Nobody { .. } => Poll::Pending,
            Reader::Router(observer) => observer.poll_end(cx),
        }
    }
}

/// Returns the end of a connection that one of its sides ended.
fn end_of(ended: Ended) -> End {
    match (ended.who, ended.error) {
        (Side::Client, None) => End::ClientClosed,
        (Side::Client, Some(error)) => End::broken(error),
        (Side::Coordinator, None) => End::CoordinatorClosed,
        (Side::Coordinator, Some(error)) => End::CoordinatorLost { cause: error.to_string() },
    }
}

/// Why no coordinator takes a connection.
struct Refused {
    service: Service,
    candidates: Candidates,
}

impl Refused {
    /// Counts and logs the refusal. The client cannot be told, and its user sees no more than a reset.
    /// `first` are its first bytes.
    fn note<S: Stream>(&self, shared: &Shared<S>, cluster: &Cluster, first: &[u8]) {
        shared.metrics.connections_refused.count(self.candidates.refusal());
        let what = Speech::guess(first).map_or("something unknown", Speech::as_str);
        if let Some(left_out) = shared.admit_line("an opaque connection was refused", what) {
            let cause = self.candidates.tell(cluster, self.service);
            let cluster = &cluster.name;
            tracing::info!(%cluster, began_with = what, cause, left_out, "an opaque connection was refused");
        }
    }
}

/// Dials coordinators in the order of the pick until one accepts; waits for room if there is none.
///
/// # Errors
/// [`Refused`], when no coordinator takes the connection; `None`, when the client left.
async fn dial_best<S: Stream>(
    shared: &Shared<S>,
    entrance: &Entrance<S>,
    service: Service,
    client: &Client<S>,
) -> Result<Dialed<S>, Option<Refused>> {
    let fleet = &entrance.fleet;
    let (holder, kind) = (Holder::of(&Access::UNREAD, client.address), Kind::New);
    let turn = Turn::of(holder);
    let mut candidates = Candidates::default();
    let newcomer = Newcomer { service, holder, client: client.address, turn: turn.clone() };
    let resumed = candidates.await_resume(fleet, newcomer, client.stream.closed()).await;
    let Some(_under_way) = resumed.map_err(|ClientGone| None)? else {
        return Err(Some(Refused { service, candidates }));
    };
    let source = fleet.stick.of(client.address);
    let deadline = clock::now() + fleet.room.queue_timeout;
    let seeker = Seeker {
        fleet,
        service,
        holder,
        client: client.address,
        turn,
        kind,
        has_own: &|_| false,
        source,
        demand: None,
        deadline,
    };
    loop {
        let next = candidates.next(&seeker, client.stream.closed()).await.map_err(|ClientGone| None)?;
        let Some(Candidate { opening, grant: Some(Grant::Slot(slot)) }) = next else {
            return Err(Some(Refused { service, candidates }));
        };
        let coordinator = Arc::clone(opening.coordinator());
        let tls = slot.port.tls.as_deref().filter(|_| !client.brings_tls());
        match fleet.reach(&slot.port, shared, tls).await {
            Ok(stream) => {
                fleet.brake.lock().note_of_use(Who::of(&Access::UNREAD, client.address));
                return Ok(Dialed { stream, opening, slot });
            }
            Err(unreached) => candidates.note_failed(&coordinator, unreached),
        }
    }
}

/// Dials the best coordinator for a silent client, once no other such dial to that coordinator is under way.
/// The next such dial begins when the permit is dropped.
pub(super) async fn dial_parked<S: Stream>(
    shared: &Shared<S>,
    entrance: &Entrance<S>,
    client: ClientAddress,
) -> Option<(Dialed<S>, OwnedSemaphorePermit)> {
    let (fleet, service) = (&entrance.fleet, entrance.service);
    // If there is no room, no coordinator is listened to: that is not worth a slot.
    let holder = Holder::of(&Access::UNREAD, client);
    let newcomer = Newcomer { service, holder, client, turn: Turn::of(holder) };
    let _under_way = fleet.pause.pass(newcomer, future::pending()).await.ok()?;
    // The pick is not counted while it waits for its turn: a thousand silent clients are no load.
    let picked = fleet.pick(&Wanted::anywhere_but(&[], service)).ok()?;
    let coordinator = Arc::clone(picked.coordinator());
    drop(picked);
    let permit = Arc::clone(&fleet.port(&coordinator, service)?.parked).acquire_owned().await.ok()?;
    let grant = fleet.port(&coordinator, service)?.claim(holder, Purpose::Work, Kind::New);
    let Some(Grant::Slot(slot)) = grant else { return None };
    let opening = coordinator.begin_open();
    let stream = fleet.reach(&slot.port, shared, slot.port.tls.as_deref()).await.ok()?;
    Some((Dialed { stream, opening, slot }, permit))
}
