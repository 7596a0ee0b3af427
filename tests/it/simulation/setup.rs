//! What a seed makes of its world before anything happens in it.

use std::fmt;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::http::Http;
use super::stranger::Trick;
use super::tls::Encryption;

/// What may happen in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing but calls: every one of them succeeds.
    Calm,
    /// People drain coordinators, one at a time, which nobody notices.
    Drains,
    /// Anything.
    Foul,
}

/// A world's setup.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each may be with and without each other")]
pub(crate) struct Setup {
    /// What may happen.
    pub(crate) weather: Weather,
    /// How many coordinators there are.
    pub(crate) coordinators: usize,
    /// How many clients.
    pub(crate) clients: usize,
    /// Whether users log in.
    pub(crate) logins: bool,
    /// Whether the connections of a user share their links.
    pub(crate) shares: bool,
    /// Whether sessions move, and how long one stays that changed data.
    pub(crate) moves: Option<Duration>,
    /// Whether they go back to a coordinator that has returned.
    pub(crate) rebalance: bool,
    /// Whether there is a Beeswax port, and clients of it.
    pub(crate) beeswax: bool,
    /// Connections that a port serves; none: more than there will be.
    pub(crate) threads: Option<u32>,
    /// What a stranger does meanwhile, if there is one.
    pub(crate) stranger: Option<Trick>,
    /// Links on which nothing comes for so long are cut, as firewalls do: only touches keep an idle client's
    /// sessions.
    pub(crate) cuts: Option<Duration>,
    /// Which connections are encrypted.
    pub(crate) encryption: Encryption,
    /// Which clients speak HS2 over HTTP.
    pub(crate) http: Http,
}

impl Setup {
    /// Draws one.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let weather = match rng.random_range(0..100) {
            0..10 => Weather::Calm,
            10..25 => Weather::Drains,
            _ => Weather::Foul,
        };
        // Only in calm weather a session that ends under its client is known to be the router's fault.
        let tight = if weather == Weather::Foul { 0.4 } else { 0.6 };
        let moves = rng.random_bool(0.6).then(|| Duration::from_secs(rng.random_range(0..2) * 5));
        let setup = Self {
            weather,
            coordinators: rng.random_range(2..=4),
            clients: rng.random_range(2..=6),
            logins: rng.random_bool(0.6),
            shares: rng.random_bool(0.6),
            moves,
            rebalance: rng.random_bool(0.5),
            beeswax: rng.random_bool(0.35),
            threads: rng.random_bool(tight).then(|| rng.random_range(3..=6)),
            stranger: rng.random_bool(0.15).then(|| Trick::ALL[rng.random_range(0..Trick::ALL.len())]),
            cuts: None,
            encryption: Encryption::NONE,
            http: Http::Nobody,
        };
        // In foul weather they are lost anyway, and nobody knows whose fault it is that a session ended.
        let cuts = setup.is_calm() && setup.shares && rng.random_bool(0.5);
        // A stranger has a share of the threads, and leaves as many as there are clients.
        let threads = if setup.stranger.is_some() { setup.threads.and(Some(20)) } else { setup.threads };
        Self { threads, cuts: cuts.then(|| Duration::from_secs(rng.random_range(5..25))), ..setup }
    }

    /// Whether a call may fail only for want of room, or because its session or operation is gone.
    pub(crate) fn is_calm(&self) -> bool {
        self.weather != Weather::Foul
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
