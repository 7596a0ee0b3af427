//! A network in memory: connections with latency, bounded windows, FIN, reset and half-close between named
//! hosts, dials that are refused or hang, partitions. All that happens is drawn from one seed and happens at
//! virtual times.
//!
//! One task delivers everything, in the order of times and, at the same time, of sending.

mod connections;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hs2router::clock;
use hs2router::net::stream::Network;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep_until;

/// The name of the machine that the router runs on.
pub(crate) const ROUTER: &str = "router";
/// The name that the router's probes and polls dial by: no client's call is on their connections.
pub(crate) const PROBER: &str = "prober";
/// The name of a host whose clients prove to be nobody.
pub(crate) const STRANGER: &str = "stranger";
/// A connection takes at least so many bytes that nobody has read.
pub(crate) const LEAST_WINDOW: usize = 4096;
/// And at most so many.
const LARGEST_WINDOW: usize = 65_536;
/// A connection whose bytes nobody acknowledges is given up after this (`TCP_USER_TIMEOUT`).
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

/// Which of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Dialer,
    Acceptor,
}

/// What arrives at an end.
#[derive(Debug)]
enum Event {
    /// With the moment at which they were sent.
    Bytes(Vec<u8>, Instant),
    Fin,
    Reset,
}

/// What one end knows.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each side of a TCP connection has these states by itself")]
struct End {
    received: BytesMut,
    /// When the last bytes came.
    received_at: Option<Instant>,
    /// When the first of the bytes that were not read yet were sent: what follows a request, as the end of TLS
    /// does when a link is given up, says nothing about the request.
    sent_at: Option<Instant>,
    finished: bool,
    reset: bool,
    /// The owner has dropped it.
    closed: bool,
    shut: bool,
    resets_on_close: bool,
    /// Bytes that were sent to the other end.
    sent: usize,
    /// Those of them that are on their way, or there and not read.
    unread_by_other: usize,
    /// What is sent now arrives no sooner.
    sends_no_sooner: Option<Instant>,
    /// Of the bytes that were sent, those up to this one the other end need not have asked for.
    excused: usize,
    wakers: Vec<Waker>,
}

#[derive(Debug)]
struct Connection {
    dialer: End,
    acceptor: End,
    /// The host that was dialed.
    host: Arc<str>,
    port: u16,
    from: Arc<str>,
    /// When the dial began.
    dialed_at: Instant,
    window: usize,
    latency: Duration,
}

/// How a host can be reached.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    /// Until then nothing arrives, either way.
    partitioned_until: Option<Instant>,
    /// Besides what a connection has.
    slow_by: Duration,
    /// Dials hang until then: packets to its ports are dropped.
    hangs_until: Option<Instant>,
}

#[derive(Debug)]
struct Inner {
    rng: StdRng,
    next: u64,
    connections: BTreeMap<u64, Connection>,
    listeners: BTreeMap<(Arc<str>, u16), mpsc::UnboundedSender<Accepted>>,
    reach: BTreeMap<Arc<str>, Reach>,
    /// By time and order of sending.
    deliveries: BTreeMap<(Instant, u64), (u64, Side, Event)>,
    sent: u64,
    violations: Vec<String>,
    /// Ends of connections that the router opened, on which bytes nobody asked for may lie.
    watched: BTreeSet<u64>,
    /// How long calls of clients took, by whoever made them.
    calls: Vec<Duration>,
    /// How many connections the router may have to a port of a host.
    most: BTreeMap<(Arc<str>, u16), usize>,
    /// Each has the address of its place.
    hosts: Vec<Arc<str>>,
}

type Accepted = (SimStream, SocketAddr);

/// The network, as seen from one host. Clones are the same network.
#[derive(Clone, Debug)]
pub(crate) struct SimNetwork {
    from: Arc<str>,
    /// The last number of that host's address.
    address: u8,
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct SimStream {
    network: SimNetwork,
    id: u64,
    side: Side,
}

/// A port that is listened on.
#[derive(Debug)]
pub(crate) struct SimListener {
    network: SimNetwork,
    at: (Arc<str>, u16),
    accepted: mpsc::UnboundedReceiver<Accepted>,
}

impl SimNetwork {
    /// A network on which nothing listens, seen from [`ROUTER`].
    pub(crate) fn new(seed: u64) -> Self {
        let inner = Inner {
            rng: StdRng::seed_from_u64(seed),
            next: 0,
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            reach: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            sent: 0,
            violations: Vec::new(),
            watched: BTreeSet::new(),
            calls: Vec::new(),
            most: BTreeMap::new(),
            hosts: Vec::new(),
        };
        Self { from: ROUTER.into(), address: 1, inner: Arc::new(Mutex::new(inner)), changed: Arc::default() }
    }

    /// The same network, seen from another host.
    pub(crate) fn from(&self, host: &str) -> Self {
        Self { from: host.into(), ..self.clone() }
    }

    /// The same network, seen from an address of its own; all others are behind one.
    pub(crate) fn at(&self, address: u8) -> Self {
        Self { address, ..self.clone() }
    }

    /// Delivers what was sent, for as long as it is polled.
    pub(crate) async fn run(self) {
        loop {
            let due = self.inner.lock().deliveries.keys().next().map(|(at, _)| *at);
            match due {
                Some(at) if at <= clock::now() => self.deliver(),
                Some(at) => {
                    // What is sent meanwhile may arrive sooner.
                    tokio::select! {
                        biased;
                        () = self.changed.notified() => {}
                        () = sleep_until(at.into()) => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn deliver(&self) {
        let mut inner = self.inner.lock();
        let Some(((at, _), (id, side, event))) = inner.deliveries.pop_first() else { return };
        let Some(connection) = inner.connections.get_mut(&id) else { return };
        let end = connection.end(side);
        let mut answer_with_reset = false;
        match event {
            Event::Bytes(..) if end.closed || end.reset => answer_with_reset = end.closed,
            Event::Bytes(bytes, sent_at) => {
                if end.received.is_empty() {
                    end.sent_at = Some(sent_at);
                }
                end.received.extend_from_slice(&bytes);
                end.received_at = Some(at);
            }
            Event::Fin => end.finished = true,
            Event::Reset => end.reset = true,
        }
        end.wake();
        if answer_with_reset {
            inner.send(id, side, Event::Reset);
            self.changed.notify_one();
        }
        inner.forget_if_over(id);
    }

    /// Listens on a port.
    pub(crate) fn listen(&self, port: u16) -> SimListener {
        let (sender, accepted) = mpsc::unbounded_channel();
        let at = (Arc::clone(&self.from), port);
        self.inner.lock().listeners.insert(at.clone(), sender);
        SimListener { network: self.clone(), at, accepted }
    }

    /// To have more connections than this to a port of this host is a breach.
    pub(crate) fn allow(&self, port: u16, connections: usize) {
        self.inner.lock().most.insert((Arc::clone(&self.from), port), connections);
    }

    /// Nothing arrives at a host or leaves it for so long. Connections that this outlasts are given up at
    /// both ends.
    pub(crate) fn partition(&self, host: &str, time: Duration) {
        let mut inner = self.inner.lock();
        let until = clock::now() + time;
        inner.reach_mut(host).partitioned_until = Some(until);
        let held: Vec<_> = inner.deliveries.keys().copied().collect();
        for at in held.into_iter().filter(|(at, _)| *at < until) {
            let Some((id, side, event)) = inner.deliveries.remove(&at) else { continue };
            let concerns = inner.connections.get(&id).is_some_and(|connection| connection.is_of(host));
            inner.deliveries.insert((if concerns { until } else { at.0 }, at.1), (id, side, event));
        }
        if time > GIVEN_UP_AFTER {
            for id in inner.connections_of(host) {
                for side in [Side::Dialer, Side::Acceptor] {
                    inner.deliver_at(clock::now() + GIVEN_UP_AFTER, id, side, Event::Reset);
                }
            }
        }
        self.changed.notify_one();
    }

    /// Everything that goes to a host or comes from it takes so much longer.
    pub(crate) fn slow_down(&self, host: &str, by: Duration) {
        self.inner.lock().reach_mut(host).slow_by = by;
    }

    /// Dials to a host hang for so long.
    pub(crate) fn hang_dials(&self, host: &str, time: Duration) {
        self.inner.lock().reach_mut(host).hangs_until = Some(clock::now() + time);
    }

    /// Resets one of the connections to a host at both ends, if there are any.
    pub(crate) fn reset_one(&self, host: &str) {
        let mut inner = self.inner.lock();
        let of_host = inner.connections_of(host);
        if of_host.is_empty() {
            return;
        }
        let which = inner.rng.random_range(0..of_host.len());
        for side in [Side::Dialer, Side::Acceptor] {
            inner.deliver_at(clock::now(), of_host[which], side, Event::Reset);
        }
        self.changed.notify_one();
    }

    /// Resets, at both ends, the router's connections to a port on which nothing has come for so long.
    pub(crate) fn cut_idle(&self, port: u16, time: Duration) {
        let mut inner = self.inner.lock();
        let to_port = |connection: &&mut Connection| &*connection.from == ROUTER && connection.port == port;
        for connection in inner.connections.values_mut().filter(to_port) {
            let came_at = connection.dialer.received_at.max(connection.acceptor.received_at);
            let silent = clock::now().saturating_duration_since(came_at.unwrap_or(connection.dialed_at));
            if silent < time || !connection.is_quiet() {
                continue;
            }
            for side in [Side::Dialer, Side::Acceptor] {
                connection.end(side).reset = true;
                connection.end(side).wake();
            }
        }
    }

    /// How many connections from one host to another are there, half-closed ones included.
    pub(crate) fn connections(&self, from: &str, to: &str) -> usize {
        let inner = self.inner.lock();
        let between = |connection: &&Connection| &*connection.from == from && &*connection.host == to;
        inner.connections.values().filter(between).count()
    }

    /// Whether who dialed a connection has let go of it.
    pub(crate) fn is_left(&self, id: u64) -> bool {
        self.inner.lock().connections.get(&id).is_none_or(|connection| connection.dialer.closed)
    }

    /// A client's call took so long.
    pub(crate) fn note_call(&self, time: Duration) {
        self.inner.lock().calls.push(time);
    }

    /// How long clients' calls took.
    pub(crate) fn calls(&self) -> Vec<Duration> {
        self.inner.lock().calls.clone()
    }

    /// What was seen that must not be.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.inner.lock().violations.clone()
    }

    async fn connect_to(&self, host: &str, port: u16) -> io::Result<SimStream> {
        let dialed_at = clock::now();
        let (there, back) = {
            let mut inner = self.inner.lock();
            let latency = inner.rng.random_range(0..4);
            let reach = inner.reach_mut(host);
            let from = clock::now().max(reach.partitioned_until.unwrap_or_else(clock::now));
            let from = from.max(reach.hangs_until.unwrap_or_else(clock::now));
            let there = from + Duration::from_millis(latency) + reach.slow_by;
            (there, Duration::from_millis(latency) + reach.slow_by)
        };
        sleep_until(there.into()).await;
        let stream = self.establish((&host.into(), port), dialed_at);
        sleep_until((clock::now() + back).into()).await;
        stream.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    fn establish(&self, place: (&Arc<str>, u16), dialed_at: Instant) -> Option<SimStream> {
        let (host, port) = place;
        let mut inner = self.inner.lock();
        let listener = inner.listeners.get(&(Arc::clone(host), port))?.clone();
        let id = inner.next;
        let number = u16::try_from(id % 60_000).unwrap_or_default();
        let window = inner.rng.random_range(LEAST_WINDOW..LARGEST_WINDOW);
        let latency = Duration::from_millis(inner.rng.random_range(0..6));
        let (dialer, acceptor) = (End::default(), End::default());
        let (host, from) = (Arc::clone(host), Arc::clone(&self.from));
        if [ROUTER, PROBER].contains(&&*from) {
            inner.watched.insert(id);
        }
        inner.next += 1;
        let connection = Connection { dialer, acceptor, host, port, from, dialed_at, window, latency };
        inner.check_room(&connection);
        inner.connections.insert(id, connection);
        drop(inner);
        let end = |side| SimStream { network: self.clone(), id, side };
        let address = SocketAddr::from(([10, 0, 0, self.address], 1024 + number));
        // A listener that is gone drops its end, which resets the connection.
        listener.send((end(Side::Acceptor), address)).ok()?;
        Some(end(Side::Dialer))
    }
}

impl Network for SimNetwork {
    type Stream = SimStream;

    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.inner.lock().addresses_of(name))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<SimStream> {
        let host = self.inner.lock().host_at(address.ip()).ok_or(io::ErrorKind::HostUnreachable)?;
        self.connect_to(&host, address.port()).await
    }
}
