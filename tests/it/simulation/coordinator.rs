//! A simulated coordinator on the simulated network: what it knows is the same as that of one that is started
//! ([`MemoryCoordinator`]); here it gets ports, time and misfortune.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hs2router::fake::memory::{Conversation, Heard, MemoryCoordinator};
use hs2router::ids::Service;
use hs2router::net::listen::Source as _;
use hs2router::net::stream::Stream as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::journal::{Arrival, Journal, between};
use super::network::{LEAST_WINDOW, SimNetwork, SimStream};

pub(crate) const HS2_PORT: u16 = 21050;
pub(crate) const WEB_PORT: u16 = 25000;
/// A connection whose sessions are all closed is closed after so much silence.
const IDLE_POLL: Duration = Duration::from_secs(30);

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
    /// It is answered twice at once.
    Stray,
    /// It is answered again when nobody asks any more.
    LateStray,
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
    full: Cell<bool>,
    /// Wakes those who wait for it to be full no more: in order, which a `watch` does not.
    freed: Notify,
    /// The longest time that a call takes.
    slow: Cell<Duration>,
    /// So many calls to come meet a mishap with even chance.
    flaky: Cell<u32>,
    connections: Cell<usize>,
}

impl SimCoordinator {
    /// One that is down.
    pub(crate) fn new(
        index: usize,
        memory: Arc<MemoryCoordinator>,
        network: &SimNetwork,
        world: (&Rc<Journal>, u64),
    ) -> Rc<Self> {
        let (journal, seed) = world;
        let host = format!("c{index}");
        Rc::new(Self {
            index,
            network: network.from(&host),
            host,
            memory,
            journal: Rc::clone(journal),
            rng: RefCell::new(StdRng::seed_from_u64(seed)),
            life: RefCell::default(),
            full: Cell::new(false),
            freed: Notify::new(),
            slow: Cell::new(Duration::from_millis(5)),
            flaky: Cell::new(0),
            connections: Cell::new(0),
        })
    }

    /// Listens on its ports.
    pub(crate) fn start(self: &Rc<Self>) {
        let life = CancellationToken::new();
        self.life.replace(life.clone());
        let mut clients = self.network.listen(HS2_PORT);
        let this = Rc::clone(self);
        let (until, token) = (life.clone(), life.clone());
        spawn_local(until.run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = clients.accept().await {
                let one = Rc::clone(&this).serve(stream);
                spawn_local(token.clone().run_until_cancelled_owned(one));
            }
        }));
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
        self.connections.set(0);
        true
    }

    /// Whether new connections are accepted and never served.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.set(full);
        self.freed.notify_waiters();
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
        match self.draw(|rng| rng.random_range(0..10)) {
            0 | 1 => Mishap::DropAfter,
            2 => Mishap::CutReply,
            3 => Mishap::HalfClose,
            4 => Mishap::Stray,
            5 => Mishap::LateStray,
            _ => Mishap::None,
        }
    }

    async fn serve(self: Rc<Self>, mut stream: SimStream) {
        while self.full.get() {
            self.freed.notified().await;
        }
        self.connections.set(self.connections.get() + 1);
        let mut conversation = self.memory.connect(Service::Hs2);
        self.journal.say(format_args!("c{} #{} begins", self.index, conversation.number()));
        let mut raw = Vec::new();
        let mut buffer = vec![0; 8192];
        loop {
            let read = match timeout(IDLE_POLL, stream.read(&mut buffer)).await {
                Err(_elapsed) if conversation.is_idle() => break,
                Err(_elapsed) => continue,
                Ok(Ok(read)) if read > 0 => read,
                Ok(_) => break,
            };
            raw.extend_from_slice(&buffer[..read]);
            if !self.hear(&mut conversation, &mut raw, &buffer[..read], &mut stream).await {
                break;
            }
        }
        self.connections.set(self.connections.get().saturating_sub(1));
    }

    /// Hears bytes and answers; false when the connection is to be closed.
    async fn hear(
        &self,
        conversation: &mut Conversation,
        raw: &mut Vec<u8>,
        bytes: &[u8],
        stream: &mut SimStream,
    ) -> bool {
        let before = self.draw(|rng| between(rng, 0, 3));
        match conversation.hear(bytes) {
            Heard::NotYet => true,
            Heard::Login(said) => {
                self.journal.login(self.index, raw);
                raw.clear();
                sleep(before).await;
                stream.write_all(&said).await.is_ok()
            }
            Heard::Close(said) => {
                self.journal.login(self.index, raw);
                let _sent = stream.write_all(&said).await;
                false
            }
            Heard::Call(call, reply) => {
                let arrival = Arrival { coordinator: self.index, raw, user: call.user.as_deref() };
                self.journal.arrived(&arrival);
                self.journal.executed(&arrival, &call, &reply);
                if conversation.unheard() > 0 {
                    self.journal.violation(format_args!("c{} got two calls at once on one link", self.index));
                }
                raw.clear();
                let time =
                    self.draw(|rng| between(rng, 0, u64::try_from(self.slow.get().as_millis()).unwrap_or(0)));
                sleep(time).await;
                self.answer(stream, reply).await
            }
        }
    }

    async fn answer(&self, stream: &mut SimStream, mut reply: Vec<u8>) -> bool {
        let mishap = self.mishap();
        if mishap != Mishap::None {
            self.journal.say(format_args!("c{} {mishap:?}", self.index));
        }
        match mishap {
            Mishap::DropAfter => return false,
            Mishap::CutReply => reply.truncate(self.draw(|rng| rng.random_range(0..reply.len()))),
            // Both at once: what comes after the link has gone back cannot be told from the next reply.
            Mishap::Stray if reply.len() * 2 <= LEAST_WINDOW => reply.extend_from_within(..),
            Mishap::None | Mishap::HalfClose | Mishap::Stray | Mishap::LateStray => {}
        }
        if stream.write_all(&reply).await.is_err() || mishap == Mishap::CutReply {
            return false;
        }
        if mishap == Mishap::HalfClose {
            let _shut = stream.shutdown().await;
        }
        let pause = self.draw(|rng| between(rng, 50, 1_000));
        if mishap == Mishap::LateStray && timeout(pause, stream.readable()).await.is_err() {
            stream.say_unasked(&reply);
        }
        true
    }

    async fn show(self: Rc<Self>, mut stream: SimStream) {
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
        let request = String::from_utf8_lossy(&request);
        let target = request.split(' ').nth(1).unwrap_or("/");
        self.journal.say(format_args!("c{} shows {target}", self.index));
        let page = self.memory.page(target, self.connections.get(), 0);
        let _sent = stream.write_all(page.as_bytes()).await;
        let _shut = stream.shutdown().await;
        // Until the other side has read it and closes: to close now would be a reset for what it may still send.
        let _ended = stream.read(&mut buffer).await;
    }
}
