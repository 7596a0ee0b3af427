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
use super::super::pick::{Basis, Candidate, NoPick, PickReason, Wanted};
use super::super::{AdminState, Cluster};
use super::tournament::{Key, Tournament};
use super::{Found, failure_cost, is_doubtful};
use crate::ids::{CoordinatorId, Service};

/// After this the coordinators whose place depends on the time are looked at again: a slow start goes on by
/// less than a thousandth meanwhile.
const STEP: Duration = Duration::from_millis(10);

/// What was found out about the coordinators so far.
#[derive(Debug)]
pub(crate) struct LeastLoaded {
    /// What an open session adds to a score.
    idle_session_cost: f64,
    /// For each service that a session came by, in the order of [`Service::ALL`].
    rankings: [Option<Ranking>; Service::ALL.len()],
    /// Empty between picks; its memory is used again.
    changed: Vec<CoordinatorId>,
}

impl LeastLoaded {
    pub(super) fn new(idle_session_cost: f64) -> Self {
        Self { idle_session_cost, rankings: Default::default(), changed: Vec::new() }
    }

    pub(super) fn idle_session_cost(&self) -> f64 {
        self.idle_session_cost
    }

    /// The best that was not tried and has room. Those that were not tried are asked for room in the order of
    /// their places, until one has it.
    pub(super) fn pick<'a>(
        &mut self,
        cluster: &'a Cluster,
        wanted: &Wanted<'_>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        let looking = Looking { cluster, idle_session_cost: self.idle_session_cost, now };
        cluster.changes.take(&mut self.changed);
        for coordinator in self.changed.iter().filter_map(|id| cluster.coordinator(*id)) {
            coordinator.mark.begin_look();
        }
        for ranking in self.rankings.iter_mut().flatten() {
            ranking.look_at(&self.changed, &looking);
        }
        let [hs2, beeswax, hs2_http] = &mut self.rankings;
        let ranking = match wanted.service {
            Service::Hs2 => hs2,
            Service::Beeswax => beeswax,
            Service::Hs2Http => hs2_http,
        };
        let ranking = ranking.get_or_insert_with(|| Ranking::new(wanted.service, &looking));
        ranking.look_again(&looking);
        ranking.best(cluster, wanted, rng)
    }
}

/// What a look at coordinators needs.
struct Looking<'a> {
    cluster: &'a Cluster,
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
        if coordinator.state() != AdminState::Active || coordinator.ports.of(service).is_none() {
            return None;
        }
        let outlook = coordinator.outlook(service, looking.now);
        let weight = Weight::new(coordinator.weight, outlook.share);
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
    /// By the coordinators' places in the cluster.
    entries: Vec<Option<Entry>>,
    tournament: Tournament,
    /// Those whose place depends on the time.
    timed: BTreeSet<CoordinatorId>,
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
        let coordinators = &looking.cluster.coordinators;
        let mut ranking = Self {
            service,
            entries: vec![None; coordinators.len()],
            tournament: Tournament::new(coordinators.len()),
            timed: BTreeSet::new(),
            looked: looking.now,
            all: 0,
            fit: 0,
            doubtful: false,
            failure_cost: 1.0,
        };
        let ids: Vec<CoordinatorId> = coordinators.iter().map(|coordinator| coordinator.id).collect();
        ranking.look_at(&ids, looking);
        ranking
    }

    /// Looks at those whose place depends on the time, if it is time to.
    fn look_again(&mut self, looking: &Looking<'_>) {
        if self.timed.is_empty() || looking.now.saturating_duration_since(self.looked) < STEP {
            return;
        }
        self.looked = looking.now;
        let timed: Vec<CoordinatorId> = self.timed.iter().copied().collect();
        let before = self.common();
        self.note(&timed, looking);
        // It may also fall.
        self.failure_cost =
            self.entries.iter().flatten().fold(1.0, |cost, entry| failure_cost(cost, entry.score));
        self.place(&timed, before);
    }

    fn look_at(&mut self, ids: &[CoordinatorId], looking: &Looking<'_>) {
        let before = self.common();
        self.note(ids, looking);
        self.place(ids, before);
    }

    /// What all places go by.
    fn common(&self) -> (bool, f64) {
        (self.doubtful, self.failure_cost)
    }

    fn note(&mut self, ids: &[CoordinatorId], looking: &Looking<'_>) {
        for coordinator in ids.iter().filter_map(|id| looking.cluster.coordinator(*id)) {
            self.note_one(coordinator.id, Entry::of(coordinator, self.service, looking));
        }
        self.doubtful = is_doubtful(self.fit, self.all, looking.cluster.panic_threshold);
    }

    fn note_one(&mut self, id: CoordinatorId, entry: Option<Entry>) {
        let Some(known) = self.entries.get_mut(usize::from(id.0)) else { return };
        let old = std::mem::replace(known, entry);
        let is_fit = |entry: Option<Entry>| entry.is_some_and(|entry| entry.standing.is_fit());
        self.all = self.all + usize::from(entry.is_some()) - usize::from(old.is_some());
        self.fit = self.fit + usize::from(is_fit(entry)) - usize::from(is_fit(old));
        if let Some(entry) = entry {
            self.failure_cost = failure_cost(self.failure_cost, entry.score);
        }
        let is_timed = |entry: Option<Entry>| entry.is_some_and(|entry| entry.depends_on_time);
        match (is_timed(old), is_timed(entry)) {
            (false, true) => _ = self.timed.insert(id),
            (true, false) => _ = self.timed.remove(&id),
            _ => {}
        }
    }

    /// Brings the tournament up to date with these entries; with all, if what all go by was another before.
    fn place(&mut self, ids: &[CoordinatorId], before: (bool, f64)) {
        if before == self.common() {
            for id in ids {
                self.place_one(usize::from(id.0));
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
        cluster: &'a Cluster,
        wanted: &Wanted<'_>,
        rng: &mut impl Rng,
    ) -> Result<Found<'a>, NoPick> {
        let mut passed_over = Vec::new();
        let (mut any, mut any_fit) = (false, false);
        let found = loop {
            let drawn = self.tournament.draw(rng);
            let Some((at, key)) = drawn else { break None };
            let entry = self.entries.get(at).copied().flatten();
            let Some((coordinator, entry)) = cluster.coordinators.get(at).zip(entry) else { break None };
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
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::clock;
    use crate::cluster::counts::{Opening, RunningCount, SessionCount};
    use crate::cluster::demands::Step;
    use crate::cluster::health::Finding;
    use crate::cluster::load::{Figures, Own};
    use crate::cluster::tests::{ids, least_loaded, order};
    use crate::cluster::{Report, Reserved};

    /// What may change about a coordinator, and time that goes by.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Open,
        Session,
        Run,
        EndOpen,
        EndSession,
        EndRun,
        State(AdminState),
        DialFailed(Service),
        LoginUnanswered(Service),
        OpenLost(Service),
        Dialed(Service),
        LoggedIn(Service),
        Opened(Service),
        Failed(Service),
        ShuttingDown,
        Probe { service: Service, passed: bool },
        Report { sessions: u32, registered: u32, says: [Option<bool>; 2], process: u8 },
        NoReport,
        Pass(Duration),
    }

    fn service() -> impl Strategy<Value = Service> {
        prop_oneof![3 => Just(Service::Hs2), 1 => Just(Service::Beeswax)]
    }

    fn report() -> impl Strategy<Value = Event> {
        let says = [prop::option::of(any::<bool>()), prop::option::of(any::<bool>())];
        (0_u32..20, 0_u32..5, says, 0_u8..3).prop_map(|(sessions, registered, says, process)| Event::Report {
            sessions,
            registered,
            says,
            process,
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        let counted = prop_oneof![
            Just(Event::Open),
            Just(Event::Session),
            Just(Event::Run),
            Just(Event::EndOpen),
            Just(Event::EndSession),
            Just(Event::EndRun),
        ];
        let noted = prop_oneof![
            any::<bool>().prop_map(|drain| Event::State(if drain {
                AdminState::Drain
            } else {
                AdminState::Active
            })),
            service().prop_map(Event::DialFailed),
            service().prop_map(Event::LoginUnanswered),
            service().prop_map(Event::OpenLost),
            service().prop_map(Event::Dialed),
            service().prop_map(Event::LoggedIn),
            service().prop_map(Event::Opened),
            service().prop_map(Event::Failed),
            Just(Event::ShuttingDown),
            (service(), any::<bool>()).prop_map(|(service, passed)| Event::Probe { service, passed }),
            report(),
            Just(Event::NoReport),
        ];
        let time =
            prop_oneof![1_u64..100, 1_000_u64..40_000].prop_map(|ms| Event::Pass(Duration::from_millis(ms)));
        prop_oneof![6 => counted, 3 => noted, 1 => time]
    }

    /// What is counted on one coordinator.
    #[derive(Default)]
    struct Counted {
        opens: Vec<Opening>,
        sessions: Vec<SessionCount>,
        runs: Vec<RunningCount>,
    }

    fn happen(event: Event, one: &Arc<Coordinator>, counted: &mut Counted, now: &mut Instant) {
        match event {
            Event::Open => counted.opens.push(one.begin_open()),
            Event::Session => counted.sessions.push(one.count_session()),
            Event::Run => counted.runs.push(one.count_running()),
            Event::EndOpen => drop(counted.opens.pop()),
            Event::EndSession => drop(counted.sessions.pop()),
            Event::EndRun => drop(counted.runs.pop()),
            Event::State(AdminState::Drain) => one.drain(None, Duration::from_hours(1), *now),
            Event::State(AdminState::Active) => one.resume(),
            Event::DialFailed(service) => one.note_dial_failed(service, *now),
            Event::LoginUnanswered(service) => one.note_login_unanswered(service, *now),
            Event::OpenLost(service) => one.note_open_lost(service, *now),
            Event::Dialed(service) => one.note_dialed(service),
            Event::LoggedIn(service) => one.note_logged_in(service),
            Event::Opened(service) => one.note_opened(service),
            Event::Failed(service) => one.note_failed(service, Step::Open, *now),
            Event::ShuttingDown => one.note_shutting_down(*now),
            Event::Probe { service, passed } => {
                let finding = if passed { Finding::Passed } else { Finding::Failed("refused".into()) };
                drop(one.note_probe(service, finding, *now));
            }
            Event::Report { sessions, registered, says: [catalog_ready, quiescing], process } => {
                let figures = Some(Figures { sessions, registered, ..Figures::default() });
                let process_start_time = Some(process.to_string().into());
                let report = Report { figures, catalog_ready, process_start_time, quiescing };
                drop(one.note_report(report, Own::default(), *now));
            }
            Event::NoReport => _ = one.note_no_report(),
            Event::Pass(time) => *now += time,
        }
    }

    /// All who are as good as the best, found by asking everybody.
    fn best_of_all(cluster: &Cluster, wanted: &Wanted<'_>, now: Instant) -> Result<Vec<Candidate>, NoPick> {
        let active = cluster.coordinators.iter().filter(|one| one.state() == AdminState::Active);
        let score = |one: &Coordinator| {
            let weight = Weight::new(one.weight, one.share(wanted.service, now));
            one.load().score(one.others(), weight, 0.1)
        };
        let mut all: Vec<(&Arc<Coordinator>, Standing, f64)> =
            active.map(|one| (one, one.standing(wanted.service, now), score(one))).collect();
        let fit = all.iter().filter(|(_, standing, _)| standing.is_fit()).count();
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let too_few = (fit as f64) < cluster.panic_threshold * all.len() as f64;
        let cost = all.iter().fold(1.0_f64, |cost, (.., score)| cost.max(*score)).log2().ceil().exp2();
        for (one, standing, score) in &mut all {
            if too_few && *standing == Standing::Ejected {
                *standing = Standing::Ready;
            }
            *score += one.outlook(wanted.service, now).failures * cost;
        }
        all.retain(|(one, ..)| !wanted.tried.contains(&one.id));
        let none = if all.is_empty() { NoPick::Nobody } else { NoPick::NoRoom };
        let any_fit = all.iter().any(|(_, standing, _)| standing.is_fit());
        all.retain(|(one, standing, _)| (wanted.has_room)(one) && (standing.is_fit() || !any_fit));
        let key = |(_, standing, score): &(&Arc<Coordinator>, Standing, f64)| (standing.class(), *score);
        let least = all.iter().map(key).min_by(|a, b| a.partial_cmp(b).unwrap()).ok_or(none)?;
        let best = all.into_iter().filter(|one| key(one) == least).map(|(one, standing, score)| Candidate {
            id: one.id,
            reason: PickReason { basis: Basis::Load { score }, standing },
        });
        Ok(best.collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn the_pick_is_one_of_the_best_of_all_whatever_happened_before(
            weights in prop::collection::vec(1_u32..4, 0..9),
            rounds in prop::collection::vec(
                (prop::collection::vec((0_usize..9, event()), 0..8), service(), any::<[u16; 2]>()),
                1..20,
            ),
            seed in any::<u64>(),
        ) {
            let (cluster, mut rng, mut now) = (least_loaded(&weights), StdRng::seed_from_u64(seed), clock::now());
            let mut counted: Vec<Counted> = weights.iter().map(|_| Counted::default()).collect();
            for (events, service, [tried, full]) in rounds {
                for (at, event) in events {
                    if let Some(one) = cluster.coordinators.get(at) {
                        happen(event, one, &mut counted[at], &mut now);
                    }
                }
                now += STEP;
                // Most were not tried and have room.
                let (tried, full) = (tried & tried >> 9, full & full >> 7);
                let tried: Vec<CoordinatorId> =
                    (0..9).filter(|at| tried >> at & 1 == 1).map(CoordinatorId).collect();
                let has_room = |one: &Coordinator| full >> one.id.0 & 1 == 0;
                let wanted = Wanted { service, demand: None, tried: &tried, has_room: &has_room };
                let best = best_of_all(&cluster, &wanted, now);
                match (cluster.pick_and_reserve(&wanted, now, &mut rng), best) {
                    (Ok(Reserved { candidate, opening }), Ok(best)) => {
                        prop_assert!(best.contains(&candidate), "{candidate:?} is none of {best:?}");
                        counted[usize::from(candidate.id.0)].opens.push(opening);
                    }
                    (Err(error), best) => prop_assert_eq!(Err(error), best),
                    (Ok(picked), Err(error)) => prop_assert!(false, "{picked:?} in spite of {error:?}"),
                }
            }
        }
    }

    #[test]
    fn room_is_asked_for_from_the_best_on_until_there_is_some() {
        let cluster = least_loaded(&[1; 1_000]);
        let _busy: Vec<_> = cluster.coordinators[5..].iter().map(Coordinator::count_running).collect();
        let asked = std::cell::RefCell::new(Vec::new());
        let has_room = |one: &Coordinator| {
            asked.borrow_mut().push(one.id);
            asked.borrow().len() > 2
        };
        let wanted = Wanted { has_room: &has_room, ..Wanted::anywhere_but(&[], Service::Hs2) };
        let picked = cluster.pick_and_reserve(&wanted, clock::now(), &mut StdRng::seed_from_u64(7)).unwrap();
        let asked = asked.into_inner();
        assert_eq!((asked.len(), asked.last()), (3, Some(&picked.candidate.id)));
        assert!(asked.iter().all(|id| id.0 < 5), "{asked:?}");
    }

    #[test]
    fn no_change_is_missed_that_is_made_during_a_pick() {
        let cluster = least_loaded(&[1; 4]);
        let now = clock::now();
        let wanted = Wanted::anywhere_but(&[], Service::Hs2);
        for round in 0..200 {
            let runs: Vec<Vec<RunningCount>> = std::thread::scope(|scope| {
                let workers: Vec<_> = cluster
                    .coordinators
                    .iter()
                    .enumerate()
                    .map(|(place, one)| {
                        scope.spawn(move || {
                            for _ in 0..100 {
                                drop(one.count_running());
                            }
                            (0..place).map(|_| one.count_running()).collect()
                        })
                    })
                    .collect();
                let mut rng = StdRng::seed_from_u64(round);
                while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                    drop(cluster.pick_and_reserve(&wanted, now, &mut rng));
                }
                workers.into_iter().map(|worker| worker.join().unwrap()).collect()
            });
            assert_eq!(ids(&order(&cluster, now, &mut StdRng::seed_from_u64(round))), [0, 1, 2, 3]);
            drop(runs);
        }
    }
}
