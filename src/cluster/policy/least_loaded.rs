//! The least-loaded coordinator first.
//!
//! A pick does not ask all coordinators. What each one's place goes by is kept, and worked out anew when the
//! coordinator says that something has changed ([`super::super::changes`]), or, for the few whose place
//! depends on the time, every [`STEP`]. So a pick costs about the same whether there are ten of them or a
//! thousand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use super::super::condition::Standing;
use super::super::coordinator::Coordinator;
use super::super::load::{Share, Weight};
use super::super::pick::{Basis, Candidate, NoPick, Of, PickReason, Wanted};
use super::super::roster::{All, place_of};
use super::common::{Found, failure_cost, is_doubtful};
use super::tournament::{Key, Tournament};
use crate::ids::{CoordinatorId, PerService, Service};

/// After this the coordinators whose place depends on the time are looked at again: a slow start goes on by
/// less than a thousandth meanwhile.
const STEP: Duration = Duration::from_millis(10);

/// What was found out about the coordinators so far.
#[derive(Debug)]
pub(crate) struct LeastLoaded {
    /// What an open session adds to a score.
    idle_session_cost: f64,
    /// For each service that a session came by.
    rankings: PerService<Option<Ranking>>,
    /// The coordinators that there were at the last pick: rankings are of these.
    all: All<Coordinator>,
    /// Of no meaning between picks; its memory is used again.
    changed: Vec<CoordinatorId>,
    /// As `changed`: where those are in the list.
    places: Vec<usize>,
}

impl LeastLoaded {
    pub(super) fn new(idle_session_cost: f64) -> Self {
        let (changed, places) = Default::default();
        Self { idle_session_cost, rankings: PerService::default(), all: Arc::default(), changed, places }
    }

    pub(super) fn idle_session_cost(&self) -> f64 {
        self.idle_session_cost
    }

    /// The best that was not tried and has room. Those that were not tried are asked for room in the order of
    /// their places, until one has it.
    pub(super) fn pick<'a>(
        &mut self,
        of: Of<'a>,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        let looking = Looking { of, idle_session_cost: self.idle_session_cost, now };
        of.cluster.changes.take(&mut self.changed);
        self.places.clear();
        if Arc::ptr_eq(&self.all, of.all) {
            self.places.extend(self.changed.iter().filter_map(|id| place_of(of.all, *id)));
        } else {
            (self.all, self.rankings) = (Arc::clone(of.all), PerService::default());
            // One that has just come may have been listed before it was in here.
            self.places.extend(0..of.all.len());
        }
        for coordinator in self.places.iter().filter_map(|at| of.all.get(*at)) {
            coordinator.mark.begin_look();
        }
        for ranking in self.rankings.values_mut().flatten() {
            ranking.look_at(&self.places, &looking);
        }
        let ranking = self.rankings.get_mut(wanted.service);
        let ranking = ranking.get_or_insert_with(|| Ranking::new(wanted.service, &looking));
        ranking.look_again(&looking);
        ranking.best(of.all, wanted, rng)
    }
}

/// What a look at coordinators needs.
struct Looking<'a> {
    of: Of<'a>,
    idle_session_cost: f64,
    now: Instant,
}

/// What one coordinator's place goes by.
#[derive(Clone, Copy, Debug)]
struct Entry {
    standing: Standing,
    /// Without the failures.
    score: f64,
    failures: f64,
    /// Whether the time alone will change one of these.
    depends_on_time: bool,
}

impl Entry {
    /// None if people want no session there, or it does not offer the service.
    fn of(coordinator: &Coordinator, service: Service, looking: &Looking<'_>) -> Option<Self> {
        if !coordinator.is_wanted() || coordinator.ports.of(service).is_none() {
            return None;
        }
        let outlook = coordinator.outlook(service, looking.now);
        let weight = Weight::new(coordinator.weight(), outlook.share);
        let (standing, failures) = (outlook.standing, outlook.failures);
        let cools = matches!(standing, Standing::Cooling(_));
        Some(Self {
            standing,
            score: coordinator.load().score(outlook.others, weight, looking.idle_session_cost),
            failures,
            depends_on_time: cools || outlook.share < Share::FULL || failures > 0.0,
        })
    }

    fn standing(&self, doubtful: bool) -> Standing {
        if doubtful && self.standing == Standing::Ejected { Standing::Ready } else { self.standing }
    }

    fn key(&self, doubtful: bool, cost: f64) -> Key {
        Key { class: self.standing(doubtful).class(), score: self.score + self.failures * cost }
    }
}

/// The places of all coordinators for one service.
#[derive(Debug)]
struct Ranking {
    service: Service,
    /// By the coordinators' places in the list.
    entries: Vec<Option<Entry>>,
    tournament: Tournament,
    /// Whose place among the others depends on the time, by their places in the list.
    timed: BTreeSet<usize>,
    /// When those were looked at.
    looked: Instant,
    /// How many entries there are, and how many are fit.
    all: usize,
    fit: usize,
    /// Whether ejections count for nothing.
    doubtful: bool,
    /// What a failure adds to a score, the same for all: at least as much as the busiest has to do. With
    /// less, one that fails all it gets would soon be the least loaded again wherever the others have much to
    /// do.
    failure_cost: f64,
}

impl Ranking {
    fn new(service: Service, looking: &Looking<'_>) -> Self {
        let count = looking.of.all.len();
        let mut ranking = Self {
            service,
            entries: vec![None; count],
            tournament: Tournament::new(count),
            timed: BTreeSet::new(),
            looked: looking.now,
            all: 0,
            fit: 0,
            doubtful: false,
            failure_cost: 1.0,
        };
        let before = ranking.common();
        let places: Vec<usize> = (0..count).collect();
        ranking.note(&places, looking);
        ranking.place(&places, before);
        ranking
    }

    /// Looks at those whose place depends on the time, if it is time to.
    fn look_again(&mut self, looking: &Looking<'_>) {
        if self.timed.is_empty() || looking.now.saturating_duration_since(self.looked) < STEP {
            return;
        }
        self.looked = looking.now;
        let timed: Vec<usize> = self.timed.iter().copied().collect();
        let before = self.common();
        self.note(&timed, looking);
        // It may also fall.
        self.failure_cost =
            self.entries.iter().flatten().fold(1.0, |cost, entry| failure_cost(cost, entry.score));
        self.place(&timed, before);
    }

    fn look_at(&mut self, places: &[usize], looking: &Looking<'_>) {
        let before = self.common();
        self.note(places, looking);
        self.place(places, before);
    }

    /// What all places go by.
    fn common(&self) -> (bool, f64) {
        (self.doubtful, self.failure_cost)
    }

    fn note(&mut self, places: &[usize], looking: &Looking<'_>) {
        for at in places {
            if let Some(coordinator) = looking.of.all.get(*at) {
                self.note_one(*at, Entry::of(coordinator, self.service, looking));
            }
        }
        self.doubtful = is_doubtful(self.fit, self.all, looking.of.cluster.health.panic_threshold);
    }

    fn note_one(&mut self, at: usize, entry: Option<Entry>) {
        let Some(known) = self.entries.get_mut(at) else { return };
        let old = std::mem::replace(known, entry);
        let is_fit = |entry: Option<Entry>| entry.is_some_and(|entry| entry.standing.is_fit());
        self.all = self.all + usize::from(entry.is_some()) - usize::from(old.is_some());
        self.fit = self.fit + usize::from(is_fit(entry)) - usize::from(is_fit(old));
        if let Some(entry) = entry {
            self.failure_cost = failure_cost(self.failure_cost, entry.score);
        }
        let is_timed = |entry: Option<Entry>| entry.is_some_and(|entry| entry.depends_on_time);
        match (is_timed(old), is_timed(entry)) {
            (false, true) => _ = self.timed.insert(at),
            (true, false) => _ = self.timed.remove(&at),
            _ => {}
        }
    }

    /// Brings the tournament up to date with these entries; with all, if what all go by was another before.
    fn place(&mut self, places: &[usize], before: (bool, f64)) {
        if before == self.common() {
            for at in places {
                self.place_one(*at);
            }
        } else {
            for at in 0..self.entries.len() {
                self.place_one(at);
            }
        }
    }

    fn place_one(&mut self, at: usize) {
        let entry = self.entries.get(at).copied().flatten();
        self.tournament.set(at, entry.map(|entry| entry.key(self.doubtful, self.failure_cost)));
    }

    fn best<'a>(
        &mut self,
        all: &'a All<Coordinator>,
        wanted: &Wanted<'_>,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        let mut passed_over = Vec::new();
        let (mut any, mut any_fit) = (false, false);
        let found = loop {
            let drawn = self.tournament.draw(rng);
            let Some((at, key)) = drawn else { break None };
            let entry = self.entries.get(at).copied().flatten();
            let Some((coordinator, entry)) = all.get(at).zip(entry) else { break None };
            if !wanted.tried.contains(&coordinator.id) {
                let standing = entry.standing(self.doubtful);
                any = true;
                if any_fit && !standing.is_fit() {
                    break None;
                }
                any_fit |= standing.is_fit();
                if (wanted.has_room)(coordinator) {
                    break Some((coordinator, candidate(coordinator, key, standing)));
                }
            }
            passed_over.push((at, key));
            self.tournament.set(at, None);
        };
        for (at, key) in passed_over {
            self.tournament.set(at, Some(key));
        }
        found.ok_or(if any { NoPick::NoRoom } else { NoPick::Nobody })
    }
}

fn candidate(coordinator: &Arc<Coordinator>, key: Key, standing: Standing) -> Candidate {
    let basis = Basis::Load { score: key.score };
    Candidate { id: coordinator.id, reason: PickReason { basis, standing } }
}

#[cfg(test)]
mod tests;
