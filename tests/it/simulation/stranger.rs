//! An address that proves to be nobody and wants nothing but connections, while others work.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hs2router::fake::sasl::{OK, START, negotiation, plain};
use hs2router::net::dial::{Destination, dial};
use hs2router::net::stream::Stream as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::coordinator::HS2_PORT;
use super::http::Http;
use super::journal::{Journal, between};
use super::network::{ROUTER, SimNetwork};
use super::setup::{Setup, Weather};
use super::tls::{Encryption, Line};
use super::world::live_in;
use crate::support::message::doubtful;

/// How many connections it has at the same time; more than any port of a world serves.
const CONNECTIONS: usize = 16;
/// No longer than this it stays with one.
const LONGEST: Duration = Duration::from_mins(10);

/// Worlds of each kind that are compared.
const WORLDS: u64 = 3;

/// What it does with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Says what impalad takes for the length of a name, and no more.
    Unknown,
    /// Begins a handshake that is passed on unread.
    Kerberos,
    /// Logs in with an invented name and leaves at once, by a FIN.
    LeavesItsLogin,
    /// Logs in with an invented name and waits.
    LogsIn,
    /// Sends a request of which its coordinator waits for more.
    Doubtful,
    /// The same, and leaves by a FIN.
    LeavesInDoubt,
    /// Says nothing.
    Silent,
}

impl Trick {
    pub(crate) const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Kerberos,
        Self::LeavesItsLogin,
        Self::LogsIn,
        Self::Doubtful,
        Self::LeavesInDoubt,
        Self::Silent,
    ];

    fn says(self, name: u32, password: &str) -> Vec<u8> {
        match self {
            Self::Unknown => b"\0\x10\0\0unknown bytes".to_vec(),
            Self::Kerberos => [negotiation(START, b"GSSAPI"), negotiation(OK, &[0x60; 40])].concat(),
            Self::LeavesItsLogin | Self::LogsIn => plain(&format!("invented{name}"), password.as_bytes()),
            Self::Doubtful | Self::LeavesInDoubt => doubtful().encode(),
            Self::Silent => Vec::new(),
        }
    }

    fn leaves(self) -> bool {
        matches!(self, Self::LeavesItsLogin | Self::LeavesInDoubt)
    }
}

/// The stranger.
pub(crate) struct Stranger {
    pub(crate) trick: Trick,
    pub(crate) network: SimNetwork,
    pub(crate) journal: Rc<Journal>,
    pub(crate) rng: RefCell<StdRng>,
    pub(crate) tls: Option<TlsConnector>,
}

impl Stranger {
    /// Has its connections, and others when these end, until the others are done.
    pub(crate) async fn run(self: Rc<Self>, over: CancellationToken) {
        let connections = TaskTracker::new();
        for _ in 0..CONNECTIONS {
            let one = Rc::clone(&self).connect_again_and_again();
            spawn_local(connections.track_future(over.clone().run_until_cancelled_owned(one)));
        }
        connections.close();
        connections.wait().await;
    }

    fn draw<T>(&self, from: impl FnOnce(&mut StdRng) -> T) -> T {
        from(&mut self.rng.borrow_mut())
    }

    async fn connect_again_and_again(self: Rc<Self>) {
        loop {
            sleep(self.draw(|rng| between(rng, 0, 4_000))).await;
            let router = Destination { host: ROUTER.into(), port: HS2_PORT, tls: None };
            let Ok(stream) = dial(&self.network, &router, LONGEST).await else { continue };
            if let Ok(Ok(line)) = timeout(LONGEST, Line::connect(stream, self.tls.as_ref())).await {
                self.connect(line).await;
            }
        }
    }

    async fn connect(&self, mut stream: Line) {
        let says =
            self.trick.says(self.draw(|rng| rng.random_range(0..1_000)), &self.journal.wrong_password());
        if stream.say(&says).await.is_err() {
            return;
        }
        if self.trick.leaves() {
            // It has to be there before its end is.
            sleep(self.draw(|rng| between(rng, 0, 100))).await;
            let _finished = stream.shutdown().await;
        }
        let mut buffer = [0; 256];
        while let Ok(Ok(1..)) = timeout(LONGEST, stream.read(&mut buffer)).await {}
        stream.socket().reset_on_close();
    }
}

/// A world in which nobody has to wait for another: each client uses one connection at a time, and what a
/// stranger leaves of nine places is as many as there are clients.
fn setup(logins: bool, stranger: Option<Trick>) -> Setup {
    Setup {
        weather: Weather::Calm,
        coordinators: 2,
        clients: 3,
        logins,
        shares: true,
        moves: None,
        rebalance: false,
        beeswax: false,
        threads: Some(10),
        stranger,
        cuts: None,
        encryption: Encryption::NONE,
        http: Http::Nobody,
    }
}

/// The mean of what the calls of several worlds took, and the longest.
fn times(logins: bool, stranger: Option<Trick>) -> (Duration, Duration) {
    let mut calls = Vec::new();
    for seed in 0..WORLDS {
        let outcome = live_in(seed, move |_| setup(logins, stranger));
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}, {stranger:?}, logins: {logins}");
        calls.extend(outcome.calls);
    }
    let count = u32::try_from(calls.len()).unwrap();
    assert!(count > 100, "{count} calls");
    (calls.iter().sum::<Duration>() / count, calls.into_iter().max().unwrap_or_default())
}

#[test]
fn whatever_a_stranger_does_the_calls_of_others_take_no_more_than_twice_their_time() {
    for logins in [false, true] {
        let (mean, longest) = times(logins, None);
        for trick in Trick::ALL {
            let beside = times(logins, Some(trick));
            assert!(
                beside.0 <= mean * 2 && beside.1 <= longest * 2,
                "{trick:?}, logins: {logins}: {beside:?} beside a stranger, {:?} without",
                (mean, longest)
            );
        }
    }
}
