use std::num::NonZeroU32;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::clock;
use crate::cluster::demands::Step;
use crate::cluster::guards::{Opening, RunningCount, SessionCount};
use crate::cluster::health::Finding;
use crate::cluster::load::{Figures, Own};
use crate::cluster::tests::{ids, least_loaded, order};
use crate::cluster::{AdminState, Cluster, Report, Reserved};

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
    Ejected(bool),
    Weight(NonZeroU32),
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
        any::<bool>().prop_map(Event::Ejected),
        (1_u32..4).prop_map(|weight| Event::Weight(NonZeroU32::new(weight).unwrap())),
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
        Event::Ejected(true) => one.eject(*now),
        Event::Ejected(false) => _ = one.restore(*now),
        Event::Weight(weight) => one.set_weight(weight),
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
            drop(one.note_report(report, Own::default(), *now, *now));
        }
        Event::NoReport => _ = one.note_no_report(),
        Event::Pass(time) => *now += time,
    }
}

/// All who are as good as the best, found by asking everybody.
fn best_of_all(cluster: &Cluster, wanted: &Wanted<'_>, now: Instant) -> Result<Vec<Candidate>, NoPick> {
    let present = cluster.coordinators();
    let wanted_ones = present.iter().filter(|one| one.is_wanted());
    let score = |one: &Coordinator| {
        let weight = Weight::new(one.weight(), one.share(wanted.service, now));
        one.load().score(one.others(), weight, 0.1)
    };
    let mut all: Vec<(&Arc<Coordinator>, Standing, f64)> =
        wanted_ones.map(|one| (one, one.standing(wanted.service, now), score(one))).collect();
    let fit = all.iter().filter(|(_, standing, _)| standing.is_fit()).count();
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let too_few = (fit as f64) < cluster.health.panic_threshold * all.len() as f64;
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
                if let Some(one) = cluster.coordinators().get(at) {
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
                    counted[candidate.id.0 as usize].opens.push(opening);
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
    let _busy: Vec<_> = cluster.coordinators()[5..].iter().map(Coordinator::count_running).collect();
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
        let all = cluster.coordinators();
        let runs: Vec<Vec<RunningCount>> = std::thread::scope(|scope| {
            let workers: Vec<_> = all
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
