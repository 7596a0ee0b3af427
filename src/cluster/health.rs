//! Whether a coordinator's port works, by what probes found.
//!
//! ```text
//!            fail                fall fails               back-off over, pass          rise passes
//! healthy ────────▶ suspect ───────────────▶ ejected ──────────────────────▶ probation ─────────────▶
//! healthy
//!    ▲                 │ pass                   ▲                                │ fail
//!    └─────────────────┘                        └────────────────────────────────┘
//! ```
//!
//! Only probes move it: no client can eject a coordinator with bad requests or passwords. Each ejection that
//! follows soon after a return waits twice as long as the one before.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How probes are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From one probe to the next; also the first back-off. More than zero.
    pub interval: Duration,
    /// This many failures in a row eject; at least 1.
    pub fall: u32,
    /// This many passes in a row restore; at least 1.
    pub rise: u32,
}

/// Back-offs double up to this, unless `interval` is longer.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It works.
    Passed,
    /// It does not, in words for people.
    Failed(Arc<str>),
    /// It does not, because nothing answers; in words for people.
    Silent(Arc<str>),
}

/// What is thought of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Works, as far as is known.
    #[default]
    Healthy,
    /// The last probe failed; it is used as before.
    Suspect,
    /// Gets no new session.
    Ejected,
    /// Passes again, but not often enough yet; gets no new session.
    Probation,
}

impl State {
    /// Every state, in the order of its life.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Suspect, Self::Ejected, Self::Probation];

    /// Whether it gets new sessions.
    pub fn is_fit(self) -> bool {
        matches!(self, Self::Healthy | Self::Suspect)
    }

    /// The word used in logs, metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Ejected => "ejected",
            Self::Probation => "probation",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change that a probe brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why, if a failure did it.
    pub reason: Option<Arc<str>>,
}

/// What is known of one port.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: State,
    /// When the state began; none while it is as it was at the start.
    since: Option<Instant>,
    /// The last failure, until it is healthy again.
    reason: Option<Arc<str>>,
    /// Of the kind that the state counts: failures while suspect, passes on probation.
    in_a_row: u32,
    /// Probes in a row that nothing answered, in whatever state.
    silences: u32,
    /// The length of the last back-off; zero before the first ejection.
    backoff: Duration,
    /// When the last back-off ends.
    until: Option<Instant>,
    /// When it became fit after an ejection.
    returned: Option<Instant>,
    probed: Option<Instant>,
}

impl Health {
    /// What is thought of it.
    pub fn state(&self) -> State {
        self.state
    }

    /// When that began; none if it always was so.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The failure behind it.
    pub fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
    }

    /// When it last became fit again.
    pub fn returned(&self) -> Option<Instant> {
        self.returned
    }

    /// Whether as many probes in a row as eject got no answer: to wait for an answer there is in vain.
    pub fn is_silent(&self, settings: &Settings) -> bool {
        self.silences >= settings.fall
    }

    /// When it was last probed.
    pub fn probed(&self) -> Option<Instant> {
        self.probed
    }

    /// Takes a probe's finding in; says what it changed.
    pub fn note(&mut self, finding: Finding, settings: &Settings, now: Instant) -> Option<Change> {
        self.probed = Some(now);
        let from = self.state;
        self.silences = match finding {
            Finding::Silent(_) => self.silences.saturating_add(1),
            Finding::Passed | Finding::Failed(_) => 0,
        };
        match finding {
            Finding::Passed => self.passed(settings, now),
            Finding::Failed(reason) | Finding::Silent(reason) => {
                self.reason = Some(reason);
                self.failed(settings, now);
            }
        }
        if self.state == from {
            return None;
        }
        self.since = Some(now);
        Some(Change { from, to: self.state, reason: self.reason.clone() })
    }

    fn passed(&mut self, settings: &Settings, now: Instant) {
        match self.state {
            State::Healthy => {}
            State::Suspect => self.recover(),
            State::Ejected if self.until.is_some_and(|until| now < until) => {}
            State::Ejected => {
                self.state = State::Probation;
                self.in_a_row = 0;
                self.pass_probation(settings, now);
            }
            State::Probation => self.pass_probation(settings, now),
        }
    }

    fn pass_probation(&mut self, settings: &Settings, now: Instant) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= settings.rise {
            self.recover();
            self.returned = Some(now);
        }
    }

    fn recover(&mut self) {
        self.state = State::Healthy;
        self.in_a_row = 0;
        self.reason = None;
    }

    fn failed(&mut self, settings: &Settings, now: Instant) {
        match self.state {
            State::Healthy => {
                self.state = State::Suspect;
                self.in_a_row = 1;
            }
            State::Suspect => self.in_a_row = self.in_a_row.saturating_add(1),
            State::Ejected => return,
            State::Probation => self.in_a_row = settings.fall,
        }
        if self.in_a_row >= settings.fall {
            self.eject(settings, now);
        }
    }

    fn eject(&mut self, settings: &Settings, now: Instant) {
        // Whoever stayed well for longer than it was kept out starts anew.
        let kept_well = |returned| now.saturating_duration_since(returned) > self.backoff.saturating_mul(2);
        if self.state != State::Probation && self.returned.is_none_or(kept_well) {
            self.backoff = Duration::ZERO;
        }
        let longest = LONGEST_BACKOFF.max(settings.interval);
        self.backoff = self.backoff.saturating_mul(2).clamp(settings.interval, longest);
        self.until = now.checked_add(self.backoff);
        self.state = State::Ejected;
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;

    const EVERY: Duration = Duration::from_secs(2);

    fn settings(fall: u32, rise: u32) -> Settings {
        Settings { interval: EVERY, fall, rise }
    }

    fn failed() -> Finding {
        Finding::Failed("connection refused".into())
    }

    /// Feeds findings an interval apart; the state after each.
    fn states(health: &mut Health, settings: &Settings, findings: &str, mut now: Instant) -> Vec<State> {
        findings
            .chars()
            .map(|finding| {
                let finding = if finding == '+' { Finding::Passed } else { failed() };
                health.note(finding, settings, now);
                now += EVERY;
                health.state()
            })
            .collect()
    }

    #[test]
    fn a_port_that_is_ejected_for_silence_stays_silent_until_it_answers() {
        let (settings, mut now) = (settings(2, 2), clock::now());
        let mut health = Health::default();
        let silent = || Finding::Silent("no answer".into());
        let mut note = |finding, health: &mut Health| {
            now += EVERY;
            health.note(finding, &settings, now);
            (health.state(), health.is_silent(&settings))
        };
        assert_eq!(note(silent(), &mut health), (State::Suspect, false));
        assert_eq!(note(silent(), &mut health), (State::Ejected, true));
        assert_eq!(note(silent(), &mut health), (State::Ejected, true));
        assert!(!note(Finding::Passed, &mut health).1);
    }

    #[test]
    fn a_port_that_answers_that_it_is_not_well_is_not_silent() {
        let (settings, now) = (settings(2, 2), clock::now());
        let mut health = Health::default();
        for finding in [Finding::Silent("no answer".into()), failed(), Finding::Silent("no answer".into())] {
            health.note(finding, &settings, now);
            assert!(!health.is_silent(&settings));
        }
        assert_eq!(health.state(), State::Ejected);
    }

    #[test]
    fn one_failure_does_not_eject() {
        let states = states(&mut Health::default(), &settings(2, 2), "-+-+", clock::now());
        assert_eq!(states, [State::Suspect, State::Healthy, State::Suspect, State::Healthy]);
    }

    #[test]
    fn failures_eject_and_passes_restore() {
        let mut health = Health::default();
        let states = states(&mut health, &settings(2, 2), "--++", clock::now());
        assert_eq!(states, [State::Suspect, State::Ejected, State::Probation, State::Healthy]);
        assert!(health.returned().is_some());
        assert_eq!(health.reason(), None);
    }

    #[test]
    fn a_change_names_its_reason() {
        let (mut health, now) = (Health::default(), clock::now());
        let change = health.note(failed(), &settings(1, 1), now).unwrap();
        assert_eq!((change.from, change.to), (State::Healthy, State::Ejected));
        assert_eq!(change.reason.as_deref(), Some("connection refused"));
        assert_eq!(health.since(), Some(now));
        assert_eq!(health.note(failed(), &settings(1, 1), now + EVERY), None);
        assert_eq!(health.since(), Some(now), "it was ejected all the while");
    }

    #[test]
    fn a_failure_on_probation_ejects_for_longer() {
        let (mut health, now) = (Health::default(), clock::now());
        let all = states(&mut health, &settings(1, 3), "-+-+++++", now);
        assert_eq!(all[..3], [State::Ejected, State::Probation, State::Ejected]);
        // The second back-off is two intervals long: the pass within it is too early.
        assert_eq!(
            all[3..],
            [State::Ejected, State::Probation, State::Probation, State::Healthy, State::Healthy]
        );
    }

    #[test]
    fn a_back_off_starts_anew_for_one_that_stayed_well() {
        let (mut health, now) = (Health::default(), clock::now());
        let settings = settings(1, 1);
        states(&mut health, &settings, "-+", now);
        let later = now + Duration::from_hours(1);
        states(&mut health, &settings, "-+", later);
        assert_eq!(health.state(), State::Healthy, "the first back-off is one interval");
    }

    #[test]
    fn alternating_findings_flip_ever_more_rarely() {
        let findings = "-+".repeat(500);
        let all = states(&mut Health::default(), &settings(1, 1), &findings, clock::now());
        let flips = all.windows(2).filter(|pair| pair[0].is_fit() != pair[1].is_fit()).count();
        // 2000 s with back-offs of 2, 4, 8, 16, 32 and then 60 s, two flips each.
        assert!((10..80).contains(&flips), "{flips}");
    }

    proptest! {
        #[test]
        fn ejections_are_a_back_off_apart_and_back_offs_grow(
            findings in "[+-]{0,400}",
            fall in 1_u32..4,
            rise in 1_u32..4,
        ) {
            let settings = settings(fall, rise);
            let (mut health, mut now) = (Health::default(), clock::now());
            let mut ejected: Option<(Instant, Duration)> = None;
            let mut returned: Option<Instant> = None;
            for finding in findings.chars() {
                let finding = if finding == '+' { Finding::Passed } else { failed() };
                let change = health.note(finding, &settings, now);
                match change.map(|change| change.to) {
                    Some(State::Ejected) => {
                        if let Some((before, backoff)) = ejected {
                            prop_assert!(now >= before + backoff, "twice within a back-off");
                            let soon = returned.is_none_or(|returned| now <= returned + 2 * backoff);
                            prop_assert!(!soon || health.backoff >= (2 * backoff).min(LONGEST_BACKOFF));
                        }
                        ejected = Some((now, health.backoff));
                        returned = None;
                    }
                    Some(State::Healthy) if ejected.is_some() && health.returned() == Some(now) => {
                        let (before, backoff) = ejected.unwrap();
                        prop_assert!(now >= before + backoff, "back within the back-off");
                        returned = Some(now);
                    }
                    _ => {}
                }
                now += EVERY;
            }
        }
    }
}
