//! A network in memory: connections with latency, bounded windows, FIN, reset and half-close between named
//! hosts, dials that are refused or hang, partitions. All that happens is drawn from one seed and happens at
//! virtual times.
//!
//! One task delivers everything, in the order of times and, at the same time, of sending.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hs2router::clock;
use hs2router::net::listen::Source;
use hs2router::net::stream::{Network, Seen, Stream};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
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
    /// When those were sent.
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
    wakers: Vec<Waker>,
}

impl End {
    fn count_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        self.unread_by_other += bytes;
    }

    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
    }
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

impl Connection {
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialer => &mut self.dialer,
            Side::Acceptor => &mut self.acceptor,
        }
    }
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
                end.received.extend_from_slice(&bytes);
                (end.received_at, end.sent_at) = (Some(at), Some(sent_at));
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

impl Connection {
    fn is_of(&self, host: &str) -> bool {
        &*self.host == host || &*self.from == host
    }

    /// Whether no bytes are on their way, or there and not read.
    fn is_quiet(&self) -> bool {
        self.dialer.unread_by_other == 0 && self.acceptor.unread_by_other == 0
    }
}

impl Inner {
    fn reach_mut(&mut self, host: &str) -> &mut Reach {
        self.reach.entry(host.into()).or_default()
    }

    /// The address of a host, which it gets when it is asked for.
    fn addresses_of(&mut self, host: &str) -> Vec<IpAddr> {
        let known = self.hosts.iter().position(|one| &**one == host);
        let place = known.unwrap_or_else(|| {
            self.hosts.push(host.into());
            self.hosts.len() - 1
        });
        vec![IpAddr::from([10, 1, 0, u8::try_from(place).expect("there are few hosts")])]
    }

    fn host_at(&self, address: IpAddr) -> Option<Arc<str>> {
        let IpAddr::V4(address) = address else { return None };
        self.hosts.get(usize::from(address.octets()[3])).cloned()
    }

    fn connections_of(&self, host: &str) -> Vec<u64> {
        let of_host = self.connections.iter().filter(|(_, connection)| connection.is_of(host));
        of_host.map(|(id, _)| *id).collect()
    }

    fn deliver_at(&mut self, at: Instant, id: u64, to: Side, event: Event) {
        self.sent += 1;
        self.deliveries.insert((at, self.sent), (id, to, event));
    }

    /// Sends from an end to the other: no sooner than what was sent before, not during a partition.
    fn send(&mut self, id: u64, from: Side, event: Event) {
        let jitter = Duration::from_millis(self.rng.random_range(0..3));
        let Some(connection) = self.connections.get(&id) else { return };
        let mut at = clock::now() + connection.latency + jitter;
        for host in [Arc::clone(&connection.host), Arc::clone(&connection.from)] {
            let reach = self.reach.get(&host).copied().unwrap_or_default();
            at += reach.slow_by;
            at = at.max(reach.partitioned_until.unwrap_or(at));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = connection.end(from);
            at = at.max(end.sends_no_sooner.unwrap_or(at));
            end.sends_no_sooner = Some(at);
        }
        self.deliver_at(at, id, from.other(), event);
    }

    fn forget_if_over(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(|it| it.dialer.closed && it.acceptor.closed) {
            self.connections.remove(&id);
            self.watched.remove(&id);
        }
    }

    /// A link that has unread bytes, or is owed some, must not be used: they would be taken for the reply.
    /// Those that nobody asked for and that have come in this very moment cannot be known.
    fn check_clean(&mut self, id: u64, side: Side) {
        if side != Side::Dialer || !self.watched.contains(&id) {
            return;
        }
        let Some(connection) = self.connections.get(&id) else { return };
        let (end, host) = (&connection.dialer, &connection.host);
        let unread = end.received.len();
        if unread > 0 && end.received_at.is_some_and(|at| at < clock::now()) {
            let (from, port, since) = (&connection.from, connection.port, end.received_at);
            let since = since.map(|at| clock::now().saturating_duration_since(at));
            self.violations.push(format!(
                "a link from {from} to {host}:{port} was used with {unread} unread bytes on it, {since:?} old"
            ));
        }
        let under_way = connection.acceptor.unread_by_other - unread;
        if under_way > 0 {
            self.violations.push(format!("a link to {host} was used with {under_way} bytes under way on it"));
        }
    }

    /// A coordinator says nothing to a connection that it has no thread for: the router must not make one.
    fn check_room(&mut self, new: &Connection) {
        let (host, port) = (&new.host, new.port);
        let Some(most) = self.most.get(&(Arc::clone(host), port)) else { return };
        let alike = |one: &&Connection| {
            &*one.from == ROUTER && one.host == *host && one.port == port && !one.dialer.closed
        };
        let there = self.connections.values().filter(alike).count();
        if &*new.from == ROUTER && there >= *most {
            self.violations.push(format!("link {} to {host}:{port}, which serves {most}", there + 1));
        }
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

impl Source for SimListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<Accepted> {
        self.accepted.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let removed = self.network.inner.lock().listeners.remove(&self.at);
        drop(removed);
    }
}

impl SimStream {
    fn with<T>(&self, act: impl FnOnce(&mut End) -> T) -> T {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        act(connection.end(self.side))
    }

    /// When the last bytes that came were sent.
    pub(crate) fn sent_at(&self) -> Option<Instant> {
        self.with(|end| end.sent_at)
    }

    /// Which connection it is an end of.
    pub(crate) fn connection(&self) -> u64 {
        self.id
    }

    /// When the dial of the connection began.
    pub(crate) fn dialed_at(&self) -> Instant {
        let inner = self.network.inner.lock();
        inner.connections.get(&self.id).expect("a connection lives while it has an end").dialed_at
    }

    /// Ends when the other end has read so many of the bytes that are sent from now on.
    pub(crate) fn read_by_other(&self, bytes: usize) -> impl Future<Output = ()> + use<> {
        let (inner, id, side) = (Arc::clone(&self.network.inner), self.id, self.side);
        let until = self.with(|end| end.sent) + bytes;
        poll_fn(move |cx| {
            let mut inner = inner.lock();
            let Some(connection) = inner.connections.get_mut(&id) else { return Poll::Pending };
            let end = connection.end(side);
            if end.sent - end.unread_by_other >= until {
                return Poll::Ready(());
            }
            end.wait(cx);
            Poll::Pending
        })
    }

    /// Puts bytes before the other end, if nothing is under way between the two: while a request is on its
    /// way, nobody could tell them from its reply.
    pub(crate) fn say_unasked(&self, bytes: &[u8]) {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        if !connection.is_quiet() || bytes.len() > connection.window {
            return;
        }
        connection.end(self.side).count_sent(bytes.len());
        let other = connection.end(self.side.other());
        if !other.closed && !other.reset {
            other.received.extend_from_slice(bytes);
            // Before this moment: a glance sees them.
            other.received_at = clock::now().checked_sub(Duration::from_millis(1));
            other.wake();
        }
    }

    async fn until(&self, is: impl Fn(&End) -> bool + Send) {
        poll_fn(|cx| {
            self.with(|end| {
                if is(end) {
                    return Poll::Ready(());
                }
                end.wait(cx);
                Poll::Pending
            })
        })
        .await;
    }
}

impl Stream for SimStream {
    type Network = SimNetwork;

    async fn readable(&self) {
        self.until(|end| !end.received.is_empty() || end.finished || end.reset).await;
    }

    async fn gone(&self) {
        self.until(|end| end.reset).await;
    }

    async fn closed(&self) {
        self.until(|end| end.finished || end.reset).await;
    }

    fn look(&self) -> Seen {
        self.with(|end| {
            if !end.received.is_empty() {
                Seen::Bytes
            } else if end.finished || end.reset {
                Seen::End
            } else {
                Seen::Nothing
            }
        })
    }

    fn glance(&self) -> Seen {
        let misses = self.network.inner.lock().rng.random_bool(0.5);
        let just_now = self.with(|end| end.received_at == Some(clock::now()));
        if misses && just_now { Seen::Nothing } else { self.look() }
    }

    fn poll_seen(&self, cx: &mut Context<'_>) -> Poll<Seen> {
        match self.look() {
            Seen::Nothing => {
                self.with(|end| end.wait(cx));
                Poll::Pending
            }
            seen => Poll::Ready(seen),
        }
    }

    fn rehome_here(self) -> io::Result<Self> {
        Ok(self)
    }

    fn reset_on_close(&self) {
        self.with(|end| end.resets_on_close = true);
    }

    fn set_user_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        let end = connection.end(self.side);
        let count = end.received.len().min(buf.remaining());
        if count == 0 {
            // As with Linux, a reset does not take back what had arrived.
            return match (end.reset, end.finished) {
                (true, _) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                (false, true) => Poll::Ready(Ok(())),
                (false, false) => {
                    end.wait(cx);
                    Poll::Pending
                }
            };
        }
        buf.put_slice(&end.received.split_to(count));
        let other = connection.end(self.side.other());
        other.unread_by_other -= count;
        other.wake();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.network.inner.lock();
        let connection = inner.connections.get_mut(&self.id).expect("a connection lives while it has an end");
        let window = connection.window;
        let end = connection.end(self.side);
        if end.reset || end.shut {
            let kind = if end.reset { io::ErrorKind::ConnectionReset } else { io::ErrorKind::BrokenPipe };
            return Poll::Ready(Err(kind.into()));
        }
        let count = bytes.len().min(window - end.unread_by_other);
        if count == 0 {
            end.wait(cx);
            return Poll::Pending;
        }
        end.count_sent(count);
        inner.check_clean(self.id, self.side);
        inner.send(self.id, self.side, Event::Bytes(bytes[..count].to_vec(), clock::now()));
        drop(inner);
        self.network.changed.notify_one();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let was_shut = self.with(|end| std::mem::replace(&mut end.shut, true));
        if !was_shut {
            self.network.inner.lock().send(self.id, self.side, Event::Fin);
            self.network.changed.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let (resets, was_shut) = self.with(|end| {
            end.closed = true;
            (end.resets_on_close || !end.received.is_empty(), std::mem::replace(&mut end.shut, true))
        });
        let mut inner = self.network.inner.lock();
        if resets {
            inner.send(self.id, self.side, Event::Reset);
        } else if !was_shut {
            inner.send(self.id, self.side, Event::Fin);
        }
        inner.forget_if_over(self.id);
        drop(inner);
        self.network.changed.notify_one();
    }
}
