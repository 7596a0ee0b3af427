//! A simulated coordinator on the simulated network: what it knows is the same as that of one that is started
//! ([`MemoryCoordinator`]); here it gets ports, time and misfortune.

mod answers;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::Id;
use hs2router::fake::memory::{Conversation, Heard, MemoryCoordinator, PortUse};
use hs2router::ids::Service;
use hs2router::net::listen::Source as _;
use hs2router::net::stream::Stream as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::journal::{Arrival, Journal};
use super::network::{SimNetwork, SimStream};
use super::setup::Setup;
use super::tls::Line;
use crate::support::message::DOUBTFUL;

pub(crate) const HS2_PORT: u16 = 21050;
pub(crate) const BEESWAX_PORT: u16 = 21000;
pub(crate) const HTTP_PORT: u16 = 28000;
pub(crate) const WEB_PORT: u16 = 25000;
/// A connection whose sessions are all closed is closed after so much silence.
const IDLE_POLL: Duration = Duration::from_secs(30);
/// Where Jetty serves, one over HTTP is closed after less: here soon (Hive:
/// `hive.server2.thrift.http.max.idle.time`, half an hour).
const IDLE_HTTP: Duration = Duration::from_secs(7);
/// So many new connections of a port are set up at once, and wait for a service thread (Impala:
/// `accepted_cnxn_setup_thread_pool_size`); those after them hear nothing.
const SETUP_THREADS: usize = 2;
/// What a coordinator says that answers nonsense.
const NONSENSE: [u8; 32] = [0xbd; 32];

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// It is executed, and the connection closed.
    DropAfter,
    /// It is executed, and a part of the reply sent.
    CutReply,
    /// It is answered, and the side is finished.
    HalfClose,
    /// It is answered twice: the second answer begins at once and ends later.
    Stray,
    /// It is answered again when nobody asks any more.
    LateStray,
    /// Something comes with the answer, behind it.
    Junk,
    /// It is answered with what is no reply.
    Nonsense,
    /// The answer gives the sequence id of another call.
    OtherCall,
}

impl Mishap {
    /// Whether the reply comes, whatever comes besides.
    fn leaves_reply(self) -> bool {
        !matches!(self, Self::DropAfter | Self::CutReply | Self::Nonsense | Self::OtherCall)
    }
}

/// A client port, of which each connection takes a thread (Impala: `TAcceptQueueServer.cpp`).
#[derive(Debug)]
struct Port {
    service: Service,
    /// Connections that are served at once.
    threads: usize,
    /// Threads that somebody else has.
    taken: Cell<usize>,
    in_use: Cell<usize>,
    queued: Cell<usize>,
    setting_up: Cell<usize>,
    /// Wakes those who wait to look again: in order, which a `watch` does not.
    freed: Notify,
}

/// Counts a connection until this is dropped.
struct Counted {
    port: Rc<Port>,
    among: fn(&Port) -> &Cell<usize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = (self.among)(&self.port);
        count.set(count.get() - 1);
        self.port.freed.notify_waiters();
    }
}

impl Port {
    fn new(service: Service, threads: Option<u32>) -> Rc<Self> {
        let threads = threads.map_or(usize::MAX, |threads| usize::try_from(threads).unwrap());
        let (taken, in_use, queued, setting_up) = Default::default();
        Rc::new(Self { service, threads, taken, in_use, queued, setting_up, freed: Notify::new() })
    }

    fn count(self: &Rc<Self>, among: fn(&Self) -> &Cell<usize>) -> Counted {
        let count = among(self);
        count.set(count.get() + 1);
        Counted { port: Rc::clone(self), among }
    }

    /// Waits until fewer than `most` are counted, and is.
    async fn enter(
        self: &Rc<Self>,
        among: fn(&Self) -> &Cell<usize>,
        most: impl Fn(&Self) -> usize,
    ) -> Counted {
        while among(self).get() >= most(self) {
            self.freed.notified().await;
        }
        self.count(among)
    }

    fn usage(&self) -> PortUse {
        let taken = if self.threads == usize::MAX { 0 } else { self.taken.get() };
        PortUse { in_use: self.in_use.get() + taken, queued: self.queued.get() }
    }
}

/// A coordinator with ports.
pub(crate) struct SimCoordinator {
    /// Its place in the cluster.
    pub(crate) index: usize,
    /// The name of its host.
    pub(crate) host: String,
    /// What it knows.
    pub(crate) memory: Arc<MemoryCoordinator>,
    network: SimNetwork,
    journal: Rc<Journal>,
    rng: RefCell<StdRng>,
    life: RefCell<CancellationToken>,
    /// HS2, Beeswax, and HS2 over HTTP.
    ports: [Rc<Port>; 3],
    logins: bool,
    /// What its client ports have for TLS.
    tls: Option<TlsAcceptor>,
    /// What its web port has.
    web_tls: Option<TlsAcceptor>,
    /// The longest time that a call takes.
    slow: Cell<Duration>,
    /// So many calls to come meet a mishap with even chance.
    flaky: Cell<u32>,
    /// Whether it ends connections over HTTP when it likes: where links are not shared, a session that loses
    /// its link ends by and by.
    may_end: bool,
    /// Whether it ends those that have been silent for some seconds, as Jetty does.
    ends_idle: bool,
}

impl SimCoordinator {
    /// One that is down.
    pub(crate) fn new(
        index: usize,
        memory: Arc<MemoryCoordinator>,
        network: &SimNetwork,
        world: (&Rc<Journal>, &Setup, u64),
    ) -> Rc<Self> {
        let (journal, setup, seed) = world;
        let host = format!("c{index}");
        let network = network.from(&host);
        if let Some(threads) = setup.threads {
            let threads = usize::try_from(threads).unwrap();
            for port in [HS2_PORT, BEESWAX_PORT, HTTP_PORT] {
                network.allow(port, threads);
            }
        }
        Rc::new(Self {
            index,
            network,
            host,
            memory,
            journal: Rc::clone(journal),
            rng: RefCell::new(StdRng::seed_from_u64(seed)),
            life: RefCell::default(),
            ports: [Service::Hs2, Service::Beeswax, Service::Hs2Http]
                .map(|service| Port::new(service, setup.threads)),
            logins: setup.logins,
            tls: setup.encryption.acceptor(),
            web_tls: setup.encryption.acceptor().filter(|_| setup.encryption.web),
            slow: Cell::new(Duration::from_millis(5)),
            flaky: Cell::new(0),
            may_end: setup.shares || !setup.is_calm(),
            ends_idle: !setup.is_calm() && setup.shares,
        })
    }

    /// Listens on its ports.
    pub(crate) fn start(self: &Rc<Self>) {
        let life = CancellationToken::new();
        self.life.replace(life.clone());
        for (number, port) in [HS2_PORT, BEESWAX_PORT, HTTP_PORT].into_iter().zip(&self.ports) {
            let mut clients = self.network.listen(number);
            let (this, port) = (Rc::clone(self), Rc::clone(port));
            let (until, token) = (life.clone(), life.clone());
            spawn_local(until.run_until_cancelled_owned(async move {
                while let Ok((stream, _)) = clients.accept().await {
                    let one = Rc::clone(&this).serve(Rc::clone(&port), stream);
                    spawn_local(token.clone().run_until_cancelled_owned(one));
                }
            }));
        }
        let mut pages = self.network.listen(WEB_PORT);
        let this = Rc::clone(self);
        spawn_local(life.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = pages.accept().await {
                let one = Rc::clone(&this).show(stream);
                spawn_local(life.clone().run_until_cancelled_owned(one));
            }
        }));
    }

    /// Ends at once, as by `kill -9`: everything that it knew is gone. False if it was down.
    pub(crate) async fn kill(&self) -> bool {
        if self.life.borrow().is_cancelled() {
            return false;
        }
        self.life.borrow().cancel();
        // The tasks of its connections drop them before it forgets.
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(1)).await;
        self.memory.faults().clear();
        self.memory.restart();
        true
    }

    /// Others take so many threads of each port, or all: what is then new is accepted and not served.
    pub(crate) fn take_threads(&self, taken: usize) {
        for port in &self.ports {
            port.taken.set(taken.min(port.threads));
            port.freed.notify_waiters();
        }
    }

    /// How long calls take at most.
    pub(crate) fn set_slow(&self, most: Duration) {
        self.slow.set(most);
    }

    /// So many of the next calls may meet a mishap.
    pub(crate) fn set_flaky(&self, calls: u32) {
        self.flaky.set(calls);
    }

    fn draw<T>(&self, from: impl FnOnce(&mut StdRng) -> T) -> T {
        from(&mut self.rng.borrow_mut())
    }

    fn mishap(&self) -> Mishap {
        let left = self.flaky.get();
        if left == 0 {
            return Mishap::None;
        }
        self.flaky.set(left - 1);
        match self.draw(|rng| rng.random_range(0..14)) {
            0 | 1 => Mishap::DropAfter,
            2 => Mishap::CutReply,
            3 => Mishap::HalfClose,
            4 => Mishap::Stray,
            5 => Mishap::LateStray,
            6 => Mishap::Junk,
            7 => Mishap::Nonsense,
            8 => Mishap::OtherCall,
            _ => Mishap::None,
        }
    }

    async fn serve(self: Rc<Self>, port: Rc<Port>, stream: SimStream) {
        self.journal.sent(self.index, "connection", stream.dialed_at());
        let queued = port.count(|port| &port.queued);
        let setting_up = port.enter(|port| &port.setting_up, |_| SETUP_THREADS).await;
        // With a login, before there is a thread (Impala: `SetupConnection` opens the transport, which is the
        // handshake); else both sides of TLS meet in the thread, when it first reads.
        let (mut early, mut waiting) = (None, Some(stream));
        if self.logs_in(&port) {
            early = self.welcome(&port, waiting.take()).await;
            if early.is_none() {
                return;
            }
        }
        let thread = port.enter(|port| &port.in_use, |port| port.threads - port.taken.get()).await;
        drop((setting_up, queued));
        if early.is_none() {
            early = self.welcome(&port, waiting.take()).await;
        }
        let Some((mut conversation, mut stream)) = early else { return };
        self.journal.say(format_args!("c{} #{} begins", self.index, conversation.number()));
        let (mut raw, mut buffer) = (Vec::new(), vec![0; 8192]);
        let mut is_first = true;
        let ends_idle = self.ends_idle && port.service == Service::Hs2Http;
        while let Some(read) = hear(&mut stream, &mut buffer, &conversation, ends_idle).await {
            raw.extend_from_slice(&buffer[..read]);
            match conversation.hear(&buffer[..read]) {
                Heard::NotYet => continue,
                Heard::Login(_) => self.journal.violation(format_args!("c{} got two logins", self.index)),
                Heard::Close(said) => {
                    self.note_shown(&raw);
                    let _sent = stream.say(&said).await;
                    break;
                }
                // A later version may have such a method, and wait for more of it than the router sees.
                Heard::Call(call, _) if call.method == DOUBTFUL => {
                    stream.socket().closed().await;
                    break;
                }
                Heard::Call(call, reply) => {
                    let sent_at = stream.socket().sent_at().unwrap_or_else(clock::now);
                    let chosen_at = if is_first { stream.socket().dialed_at() } else { sent_at };
                    let (coordinator, user) = (self.index, call.user.as_deref());
                    let link = stream.socket().connection();
                    let arrival =
                        Arrival { coordinator, raw: &raw, user, sent_at, chosen_at, link, is_first };
                    self.journal.arrived(&arrival);
                    self.journal.executed(&arrival, &call, &reply);
                    let opened = call.session.filter(|_| call.method == "OpenSession");
                    if !self.answer_on(&port, &mut stream, reply, opened).await {
                        break;
                    }
                }
            }
            if conversation.unheard() > 0 {
                self.journal.violation(format_args!("c{} got two calls at once on one link", self.index));
            }
            is_first = false;
            raw.clear();
        }
        drop(thread);
    }

    /// Whether connections to a port begin with a login.
    fn logs_in(&self, port: &Port) -> bool {
        self.logins && port.service != Service::Hs2Http
    }

    /// Answers a call as its port does; false when the connection is to be closed.
    async fn answer_on(&self, port: &Port, stream: &mut Line, reply: Vec<u8>, opened: Option<Id>) -> bool {
        let (reply, is_last) = self.shape(port.service, reply);
        let goes_on = self.answer(stream, reply, opened).await;
        if goes_on && is_last {
            // In TLS an end that is not said might be a cut.
            let _shut = stream.shutdown().await;
            let _left = timeout(IDLE_POLL, stream.socket().closed()).await;
        }
        goes_on && !is_last
    }

    /// Does what comes before the first call of a connection: TLS, and the login; none if that fails.
    async fn welcome(&self, port: &Port, stream: Option<SimStream>) -> Option<(Conversation, Line)> {
        let mut line = Line::accept(stream?, self.tls.as_ref()).await.ok()?;
        let mut conversation = self.memory.connect(port.service);
        if self.logs_in(port) && !self.log_in(&mut conversation, &mut line).await {
            return None;
        }
        Some((conversation, line))
    }
}

/// Reads what comes next; none at the end of the connection, or when it has idled for too long.
async fn hear(
    stream: &mut Line,
    buffer: &mut [u8],
    conversation: &Conversation,
    ends_idle: bool,
) -> Option<usize> {
    let patience = if ends_idle { IDLE_HTTP } else { IDLE_POLL };
    loop {
        match timeout(patience, stream.read(buffer)).await {
            Err(_elapsed) if ends_idle || conversation.is_idle() => return None,
            Err(_elapsed) => {}
            Ok(read) => return read.ok().filter(|read| *read > 0),
        }
    }
}
