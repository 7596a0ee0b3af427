//! What a coordinator has to do: for this router, which is counted as it happens, and for everyone else,
//! which its web port tells every so often.
//!
//! A poll is old as soon as it is there, so only what it says of *others* is kept: what is ours is taken off
//! it, and our own counts of this moment are added back. Fifty opens between two polls thus see each other.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::room::PortFigures;
use crate::ids::PerService;

/// What one coordinator has to do for this router, read at one moment (each number by itself is exact).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Sessions, and connections that count as one.
    pub open_sessions: u32,
    /// Operations whose end was not seen.
    pub running_operations: u32,
    /// Opens sent or about to be sent, not yet answered.
    pub opens_in_progress: u32,
}

/// What an open in progress adds to a score, if an open session does not add more. Enough for the opens of a
/// burst to see each other, and for few of them to wait at a coordinator that does not answer. But not as
/// much as a running operation: of a burst that is as large as all that runs, each coordinator would get the
/// same part, however busy it is.
const OPEN_COST: f64 = 0.25;

impl Load {
    /// The load in units of one running operation, divided by the weight; lower is better, 0.0 is idle.
    pub fn score(self, others: Others, weight: Weight, idle_session_cost: f64) -> f64 {
        self.terms(others, idle_session_cost).score(weight)
    }

    /// What that is made of.
    pub fn terms(self, others: Others, idle_session_cost: f64) -> Terms {
        Terms {
            running: f64::from(self.running_operations),
            opens: f64::from(self.opens_in_progress) * OPEN_COST.max(idle_session_cost),
            sessions: f64::from(self.open_sessions) * idle_session_cost,
            others_running: f64::from(others.operations),
            others_sessions: f64::from(others.sessions) * idle_session_cost,
        }
    }
}

/// The terms of a score, in units of one running operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Running operations.
    pub running: f64,
    /// Opens in progress.
    pub opens: f64,
    /// Open sessions.
    pub sessions: f64,
    /// Operations of others.
    pub others_running: f64,
    /// Sessions of others.
    pub others_sessions: f64,
}

impl Terms {
    /// Their sum, divided by the weight.
    pub fn score(self, weight: Weight) -> f64 {
        let Self { running, opens, sessions, others_running, others_sessions } = self;
        (running + others_running + opens + (sessions + others_sessions)) / weight.0
    }
}

/// A coordinator's share relative to the others at one moment; more than 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Weight(pub(super) f64);

impl Weight {
    /// The share that people gave it, times how much of that it takes so far (see
    /// [`super::Coordinator::share`]).
    pub fn new(configured: NonZeroU32, share: Share) -> Self {
        Self(f64::from(configured.get()) * share.0)
    }
}

/// The least share of a coordinator that has just returned: with nothing it would never be found to work.
const LEAST_SHARE: f64 = 0.05;

/// How much of its weight a coordinator takes, from a little just after a return to 1.0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// All of it.
    pub const FULL: Self = Self(1.0);

    /// The share at `now` of one that returned at `returned` and takes `slow_start` for the way.
    pub fn since(returned: Instant, slow_start: Duration, now: Instant) -> Self {
        if slow_start.is_zero() {
            return Self::FULL;
        }
        let gone = now.saturating_duration_since(returned).as_secs_f64();
        Self((gone / slow_start.as_secs_f64()).clamp(LEAST_SHARE, 1.0))
    }

    /// In hundredths, 5 to 100.
    pub fn percent(self) -> u8 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0.05 to 1.0 by construction"
        )]
        let percent = (self.0 * 100.0).round() as u8;
        percent
    }
}

/// What a coordinator says of itself, whoever caused it. Impala: metrics.json, `impala-server.num-…` and
/// `impala.thrift-server.…`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Open sessions, HS2 and Beeswax together.
    pub sessions: u32,
    /// Operations that were not closed, running or not.
    pub registered: u32,
    /// Client connections.
    pub ports: PerService<PortFigures>,
}

impl Figures {
    /// Client connections that own a service thread, over all ports.
    pub fn connections(&self) -> u32 {
        self.ports.values().map(|port| port.in_use).fold(0, u32::saturating_add)
    }

    /// Client connections that wait for one, over all ports.
    pub fn queued(&self) -> u32 {
        self.ports.values().map(|port| port.queued).fold(0, u32::saturating_add)
    }
}

/// What of [`Figures`] is this router's own at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// As [`Load::open_sessions`].
    pub sessions: u32,
    /// Operations that were not closed, and statements whose operation is being minted.
    pub registered: u32,
}

impl Own {
    /// What was there at either of two moments: something that came or went while a poll was under way is
    /// taken for ours, so that it is not counted twice.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.max(other.sessions),
            registered: self.registered.max(other.registered),
        }
    }
}

/// What a coordinator has to do for others: direct clients and other routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Their sessions.
    pub sessions: u32,
    /// Their operations; which of them run cannot be told.
    pub operations: u32,
}

/// The last poll of one coordinator.
#[derive(Debug, Default)]
pub(super) struct Polled {
    latest: Option<(Figures, Others, Instant)>,
    /// Polls that failed in a row.
    failures: u32,
    /// Whether it was said that there is none.
    said: bool,
}

/// So many polls in a row must fail before the last good one is dropped: until then old figures are better
/// than none.
const FORGET_AFTER: u32 = 3;

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollNews {
    /// From now on its load is judged by own counts alone.
    OwnCountsOnly,
    /// Its load is known again.
    Known,
}

impl Polled {
    /// `own` is what was ours while the poll was under way.
    pub(super) fn note(&mut self, figures: Figures, own: Own, now: Instant) -> Option<PollNews> {
        let others = Others {
            sessions: figures.sessions.saturating_sub(own.sessions),
            operations: figures.registered.saturating_sub(own.registered),
        };
        self.latest = Some((figures, others, now));
        self.failures = 0;
        std::mem::take(&mut self.said).then_some(PollNews::Known)
    }

    pub(super) fn note_failed(&mut self) -> Option<PollNews> {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FORGET_AFTER && self.latest.is_some() {
            return None;
        }
        self.latest = None;
        (!std::mem::replace(&mut self.said, true)).then_some(PollNews::OwnCountsOnly)
    }

    /// Another process answers from now on: what the former one had to do is over.
    pub(super) fn forget(&mut self) {
        self.latest = None;
    }

    pub(super) fn others(&self) -> Others {
        self.latest.map(|(_, others, _)| others).unwrap_or_default()
    }

    pub(super) fn latest(&self) -> Option<(Figures, Instant)> {
        self.latest.map(|(figures, _, at)| (figures, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn figures(sessions: u32, registered: u32) -> Figures {
        Figures { sessions, registered, ..Figures::default() }
    }

    #[test]
    fn what_is_ours_is_taken_off_a_poll() {
        let mut polled = Polled::default();
        polled.note(figures(10, 5), Own { sessions: 4, registered: 5 }, clock::now());
        assert_eq!(polled.others(), Others { sessions: 6, operations: 0 });
        polled.note(figures(1, 1), Own { sessions: 4, registered: 0 }, clock::now());
        assert_eq!(polled.others(), Others { sessions: 0, operations: 1 }, "never below none");
    }

    #[test]
    fn what_came_or_went_during_a_poll_is_taken_for_ours() {
        let (before, after) = (Own { sessions: 4, registered: 1 }, Own { sessions: 2, registered: 3 });
        assert_eq!(before.at_most(after), Own { sessions: 4, registered: 3 });
    }

    #[test]
    fn a_web_port_that_never_answers_is_said_once() {
        let mut polled = Polled::default();
        assert_eq!(polled.note_failed(), Some(PollNews::OwnCountsOnly));
        assert_eq!(polled.note_failed(), None);
        assert_eq!(polled.note(figures(1, 0), Own::default(), clock::now()), Some(PollNews::Known));
        assert_eq!(polled.note(figures(1, 0), Own::default(), clock::now()), None);
    }

    #[test]
    fn figures_outlive_two_failed_polls_but_not_three() {
        let mut polled = Polled::default();
        polled.note(figures(3, 0), Own::default(), clock::now());
        assert_eq!((polled.note_failed(), polled.note_failed()), (None, None));
        assert_eq!(polled.others().sessions, 3);
        assert_eq!(polled.note_failed(), Some(PollNews::OwnCountsOnly));
        assert_eq!(polled.others(), Others::default());
    }

    #[test]
    fn a_share_grows_evenly_to_all() {
        let (returned, slow_start) = (clock::now(), Duration::from_secs(30));
        let percent =
            |seconds| Share::since(returned, slow_start, returned + Duration::from_secs(seconds)).percent();
        assert_eq!([0, 3, 15, 30, 90].map(percent), [5, 10, 50, 100, 100]);
        assert_eq!(Share::since(returned, Duration::ZERO, returned), Share::FULL);
    }

    #[test]
    fn what_others_do_counts_as_what_we_do() {
        let weight = Weight::new(NonZeroU32::MIN, Share::FULL);
        let ours = Load { open_sessions: 5, running_operations: 2, opens_in_progress: 0 };
        let theirs = Others { sessions: 5, operations: 2 };
        let cost = 0.1;
        let own = ours.score(Others::default(), weight, cost);
        assert!((own - Load::default().score(theirs, weight, cost)).abs() < 1e-9);
        assert!((ours.score(theirs, weight, cost) - 2.0 * own).abs() < 1e-9);
    }
}
