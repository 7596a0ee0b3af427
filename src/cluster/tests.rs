use std::sync::Barrier;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::clock;
use crate::ids::Service::Hs2;

const HOUR: Duration = Duration::from_hours(1);

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// One failure ejects, one pass restores.
const HEALTH: HealthSettings = HealthSettings {
    probe: health::Settings { interval: Duration::from_secs(2), fall: 1, rise: 1 },
    panic_threshold: 0.5,
    slow_start: Duration::from_secs(30),
};

/// A session that any coordinator has room for.
const ANYWHERE: Wanted<'static> = Wanted { service: Hs2, demand: None, tried: &[], has_room: &|_| true };

fn settings(policy: PolicyName, weights: &[u32]) -> Settings {
    let coordinators = weights
        .iter()
        .enumerate()
        .map(|(place, &weight)| CoordinatorSettings {
            name: CoordinatorName(format!("c{place}").into()),
            host: "localhost".to_owned(),
            ports: Flavor::Impala.default_ports(),
            weight,
            state: AdminState::Active,
        })
        .collect();
    Settings {
        name: "test".into(),
        flavor: Flavor::Impala,
        sessions_outlive_connections: true,
        policy,
        idle_session_cost: 0.1,
        health: HEALTH,
        coordinators,
    }
}

fn cluster(policy: PolicyName, weights: &[u32]) -> Cluster {
    Cluster::new(settings(policy, weights)).unwrap()
}

pub(super) fn least_loaded(weights: &[u32]) -> Cluster {
    cluster(PolicyName::LeastLoaded, weights)
}

#[test]
fn who_does_not_offer_the_service_is_not_picked() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let (mut settings, now, mut rng) =
            (settings(policy, &[1, 1, 1]), clock::now(), StdRng::seed_from_u64(1));
        settings.coordinators[0].ports.hs2 = None;
        settings.coordinators[2].ports.beeswax = None;
        let cluster = Cluster::new(settings).unwrap();
        let mut picked = |service| {
            let mut ids = Vec::new();
            for _ in 0..20 {
                let reserved =
                    cluster.pick_and_reserve(&Wanted::anywhere_but(&[], service), now, &mut rng).unwrap();
                ids.push(reserved.candidate.id.0);
            }
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!((picked(Hs2), picked(Service::Beeswax)), (vec![1, 2], vec![0, 1]), "{policy}");
    }
}

fn open_one(cluster: &Cluster, now: Instant, rng: &mut StdRng) -> SessionCount {
    cluster.pick_and_reserve(&ANYWHERE, now, rng).unwrap().opening.into_session()
}

/// Everybody who would be picked, one after the other, if all before were tried in vain.
pub(super) fn order(cluster: &Cluster, now: Instant, rng: &mut StdRng) -> Vec<Candidate> {
    let (mut tried, mut order) = (Vec::new(), Vec::new());
    while let Ok(reserved) = cluster.pick_and_reserve(&Wanted::anywhere_but(&tried, Hs2), now, rng) {
        tried.push(reserved.candidate.id);
        order.push(reserved.candidate);
    }
    order
}

fn open_sessions(cluster: &Cluster) -> Vec<u32> {
    cluster.coordinators().iter().map(|coordinator| coordinator.load().open_sessions).collect()
}

pub(super) fn ids(candidates: &[Candidate]) -> Vec<u32> {
    candidates.iter().map(|candidate| candidate.id.0).collect()
}

#[test]
fn forty_sessions_over_four_idle_coordinators_land_ten_each() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    let sessions: Vec<_> = (0..40).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [10; 4]);
    drop(sessions);
    assert_eq!(open_sessions(&cluster), [0; 4]);
}

#[test]
fn fifty_simultaneous_opens_spread_evenly() {
    let cluster = least_loaded(&[1; 4]);
    let (now, start) = (clock::now(), Barrier::new(50));
    let reserved: Vec<Reserved> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..50)
            .map(|seed| {
                let (cluster, start) = (&cluster, &start);
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(seed);
                    start.wait();
                    cluster.pick_and_reserve(&ANYWHERE, now, &mut rng).unwrap()
                })
            })
            .collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    let mut opens: Vec<_> =
        cluster.coordinators().iter().map(|coordinator| coordinator.load().opens_in_progress).collect();
    opens.sort_unstable();
    assert_eq!(opens, [12, 12, 13, 13]);
    drop(reserved);
}

#[test]
fn a_burst_goes_where_little_runs() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    let running = |one: usize, count| -> Vec<_> {
        (0..count).map(|_| cluster.coordinators()[one].count_running()).collect()
    };
    let _running = [running(0, 4), running(1, 2), running(2, 2)];
    let _opens: Vec<_> =
        (0..50).map(|_| cluster.pick_and_reserve(&ANYWHERE, now, &mut rng).unwrap().opening).collect();
    let opens: Vec<_> = cluster.coordinators().iter().map(|one| one.load().opens_in_progress).collect();
    assert!(opens[0] <= 6 && (12..=14).contains(&opens[1]) && opens[3] >= 20, "{opens:?}");
}

#[test]
fn sessions_follow_the_weights() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1, 2, 5]);
        let (now, mut rng) = (clock::now(), rng());
        let _sessions: Vec<_> = (0..80).map(|_| open_one(&cluster, now, &mut rng)).collect();
        for (count, expected) in open_sessions(&cluster).into_iter().zip([10_u32, 20, 50]) {
            assert!(count.abs_diff(expected) <= 1, "{policy}: {:?}", open_sessions(&cluster));
        }
    }
}

#[test]
fn round_robin_is_smooth() {
    let cluster = cluster(PolicyName::RoundRobin, &[5, 1, 1]);
    let (now, mut rng) = (clock::now(), rng());
    let pick = |rng: &mut StdRng| cluster.pick_and_reserve(&ANYWHERE, now, rng).unwrap().candidate.id.0;
    let turns: Vec<u32> = (0..14).map(|_| pick(&mut rng)).collect();
    assert_eq!(turns.iter().filter(|&&id| id == 0).count(), 10);
    let longest_run = turns.chunk_by(|a, b| a == b).map(<[u32]>::len).max();
    assert!(longest_run <= Some(4), "{turns:?}");
}

#[test]
fn a_running_operation_outweighs_idle_sessions() {
    let cluster = least_loaded(&[1, 1]);
    let _running = cluster.coordinators()[0].count_running();
    let _idle: Vec<_> = (0..9).map(|_| cluster.coordinators()[1].count_session()).collect();
    let picked = order(&cluster, clock::now(), &mut rng());
    assert_eq!(ids(&picked), [1, 0]);
    assert_eq!(picked[1].reason.to_string(), "load 1.00");
}

#[test]
fn ties_are_broken_at_random() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    let mut firsts = [0; 4];
    for _ in 0..400 {
        firsts[order(&cluster, now, &mut rng)[0].id.0 as usize] += 1;
    }
    assert!(firsts.iter().all(|&count| count > 50), "{firsts:?}");
}

#[test]
fn a_draining_coordinator_gets_no_new_session() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1, 1]);
        let (now, mut rng) = (clock::now(), rng());
        cluster.coordinators()[0].drain(None, HOUR, now);
        let _sessions: Vec<_> = (0..20).map(|_| open_one(&cluster, now, &mut rng)).collect();
        assert_eq!(open_sessions(&cluster), [0, 20]);
        cluster.coordinators()[1].drain(None, HOUR, now);
        assert_eq!(order(&cluster, now, &mut rng), []);
        assert!(matches!(cluster.pick_and_reserve(&ANYWHERE, now, &mut rng), Err(NoPick::Nobody)));
        cluster.coordinators()[0].resume();
        assert_eq!(ids(&order(&cluster, now, &mut rng)), [0]);
    }
}

#[test]
fn a_coordinator_that_was_tried_is_not_picked_again() {
    let cluster = least_loaded(&[1; 3]);
    let (now, mut rng) = (clock::now(), rng());
    let mut tried = Vec::new();
    while let Ok(reserved) = cluster.pick_and_reserve(&Wanted::anywhere_but(&tried, Hs2), now, &mut rng) {
        assert!(!tried.contains(&reserved.candidate.id));
        tried.push(reserved.candidate.id);
    }
    assert_eq!(tried.len(), 3);
}

#[test]
fn a_coordinator_whose_dial_failed_is_tried_last_but_tried() {
    let cluster = least_loaded(&[1, 1, 1]);
    let (now, mut rng) = (clock::now(), rng());
    cluster.coordinators()[1].note_dial_failed(Hs2, now);
    let _busy = [cluster.coordinators()[0].count_running(), cluster.coordinators()[2].count_running()];
    let picked = order(&cluster, now, &mut rng);
    assert_eq!(picked.len(), 3);
    assert_eq!(picked[2].id, CoordinatorId(1));
    assert_eq!(picked[2].reason.standing, Standing::Cooling(Cause::DialFailed));
    assert_eq!(picked[2].reason.to_string(), "load 0.00, tried last: last dial failed");
    assert_eq!(order(&cluster, now + Duration::from_secs(1), &mut rng)[0].id, CoordinatorId(1));
}

#[test]
fn a_back_off_doubles_from_one_second_to_thirty() {
    let cluster = least_loaded(&[1]);
    let coordinator = &cluster.coordinators()[0];
    let mut now = clock::now();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        coordinator.note_dial_failed(Hs2, now);
        let pause = Duration::from_secs(seconds);
        let almost = now + pause.saturating_sub(Duration::from_millis(1));
        assert_eq!(coordinator.standing(Hs2, almost), Standing::Cooling(Cause::DialFailed));
        now += pause;
        assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
    }
    coordinator.note_dialed(Hs2);
    coordinator.note_dial_failed(Hs2, now);
    assert_eq!(coordinator.standing(Hs2, now + Duration::from_secs(1)), Standing::Ready);
}

#[test]
fn fifty_failures_together_are_one_failure() {
    let cluster = least_loaded(&[1]);
    let now = clock::now();
    for _ in 0..50 {
        cluster.coordinators()[0].note_dial_failed(Hs2, now);
    }
    assert_eq!(cluster.coordinators()[0].standing(Hs2, now + Duration::from_secs(1)), Standing::Ready);
}

#[test]
fn a_dial_that_succeeds_does_not_disprove_a_shutdown() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    coordinator.note_dial_failed(Hs2, now);
    coordinator.note_shutting_down(now);
    coordinator.note_dialed(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Cooling(Cause::ShuttingDown));
    coordinator.note_opened(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
}

#[test]
fn a_dial_that_fails_on_one_port_says_nothing_of_the_others() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    coordinator.note_dial_failed(Service::Beeswax, now);
    assert_eq!(coordinator.standing(Service::Beeswax, now), Standing::Cooling(Cause::DialFailed));
    assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
    coordinator.note_dialed(Hs2);
    coordinator.note_opened(Hs2);
    assert_eq!(coordinator.standing(Service::Beeswax, now), Standing::Cooling(Cause::DialFailed));
}

#[test]
fn a_dial_that_succeeds_disproves_neither_a_lost_open_nor_a_login_without_verdict() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    coordinator.note_open_lost(Hs2, now);
    coordinator.note_login_unanswered(Hs2, now);
    coordinator.note_dialed(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Cooling(Cause::LoginUnanswered));
    coordinator.note_logged_in(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Cooling(Cause::OpenLost));
    coordinator.note_opened(Hs2);
    assert_eq!(coordinator.standing(Hs2, now), Standing::Ready);
}

#[test]
fn cooling_coordinators_lose_no_turns_to_each_other() {
    let cluster = cluster(PolicyName::RoundRobin, &[1, 1, 1]);
    let (now, mut rng) = (clock::now(), rng());
    cluster.coordinators()[2].note_dial_failed(Hs2, now);
    let _sessions: Vec<_> = (0..10).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [5, 5, 0]);
    let later = now + Duration::from_secs(1);
    let _more: Vec<_> = (0..9).map(|_| open_one(&cluster, later, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [8, 8, 3]);
}

#[test]
fn an_open_that_becomes_a_session_is_counted_once() {
    let cluster = least_loaded(&[1]);
    let opening = cluster.coordinators()[0].begin_open();
    assert_eq!(cluster.coordinators()[0].load(), Load { opens_in_progress: 1, ..Load::default() });
    let session = opening.into_session();
    assert_eq!(cluster.coordinators()[0].load(), Load { open_sessions: 1, ..Load::default() });
    assert_eq!(session.coordinator().id, CoordinatorId(0));
}

fn eject(cluster: &Cluster, place: usize, now: Instant) {
    let failed = health::Finding::Failed("connection refused".into());
    cluster.coordinators()[place].note_probe(Hs2, failed, now);
}

fn report(figures: Figures) -> Report {
    Report { figures: Some(figures), ..Report::default() }
}

#[test]
fn an_ejected_coordinator_is_picked_only_when_nobody_else_is_left() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 4]);
        let (now, mut rng) = (clock::now(), rng());
        eject(&cluster, 1, now);
        let _sessions: Vec<_> = (0..30).map(|_| open_one(&cluster, now, &mut rng)).collect();
        assert_eq!(open_sessions(&cluster), [10, 0, 10, 10], "{policy}");
        let tried = [CoordinatorId(0), CoordinatorId(2), CoordinatorId(3)];
        let last = cluster.pick_and_reserve(&Wanted::anywhere_but(&tried, Hs2), now, &mut rng).unwrap();
        assert_eq!(last.candidate.id, CoordinatorId(1));
        assert_eq!(last.candidate.reason.standing, Standing::Ejected);
    }
}

#[test]
fn when_most_look_bad_all_are_used() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    for place in 0..2 {
        eject(&cluster, place, now);
    }
    assert_eq!(order(&cluster, now, &mut rng)[2].reason.standing, Standing::Ejected, "half is enough");
    eject(&cluster, 2, now);
    let _sessions: Vec<_> = (0..40).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [10; 4]);
}

#[test]
fn a_panic_does_not_overrule_what_a_coordinator_says_of_itself() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    for coordinator in &cluster.coordinators()[..3] {
        let quiescing = Report { quiescing: Some(true), ..Report::default() };
        coordinator.note_report(quiescing, Own::default(), now);
    }
    let _sessions: Vec<_> = (0..8).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [0, 0, 0, 8]);
}

#[test]
fn a_returned_coordinator_gets_its_share_gradually() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 4]);
        let (now, mut rng) = (clock::now(), rng());
        eject(&cluster, 0, now);
        let mut sessions: Vec<_> = (0..90).map(|_| open_one(&cluster, now, &mut rng)).collect();
        let back = now + Duration::from_secs(2);
        cluster.coordinators()[0].note_probe(Hs2, health::Finding::Passed, back);
        sessions.extend((0..30).map(|_| open_one(&cluster, back, &mut rng)));
        let first = open_sessions(&cluster)[0];
        assert!((1..=3).contains(&first), "{policy}: {first} of 120 at first");
        let half = back + HEALTH.slow_start / 2;
        sessions.extend((0..30).map(|_| open_one(&cluster, half, &mut rng)));
        let second = open_sessions(&cluster)[0];
        assert!(second > first && second < 25, "{policy}: {second} of 150 at half time");
        let full = back + HEALTH.slow_start;
        let percent = |now| cluster.coordinators()[0].share(Hs2, now).percent();
        assert_eq!((percent(half), percent(full)), (50, 100));
    }
}

#[test]
fn sessions_of_others_shift_picks() {
    let cluster = least_loaded(&[1; 2]);
    let (now, mut rng) = (clock::now(), rng());
    let _ours: Vec<_> = (0..4).map(|_| open_one(&cluster, now, &mut rng)).collect();
    for (coordinator, theirs) in cluster.coordinators().iter().zip([10, 0]) {
        let figures = Figures { sessions: 2 + theirs, ..Figures::default() };
        coordinator.note_report(report(figures), coordinator.own(), now);
    }
    let _more: Vec<_> = (0..12).map(|_| open_one(&cluster, now, &mut rng)).collect();
    assert_eq!(open_sessions(&cluster), [3, 13], "both have 13 then");
}

#[test]
fn between_two_polls_opens_see_each_other() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    for (coordinator, theirs) in cluster.coordinators().iter().zip([0, 10, 10, 10]) {
        let figures = Figures { sessions: theirs, ..Figures::default() };
        coordinator.note_report(report(figures), coordinator.own(), now);
    }
    let _burst: Vec<_> = (0..50).map(|_| open_one(&cluster, now, &mut rng)).collect();
    let opened = open_sessions(&cluster);
    assert!(
        (19..=21).contains(&opened[0]) && opened[1..].iter().all(|count| (9..=11).contains(count)),
        "{opened:?}"
    );
}

#[test]
fn an_operation_of_ours_is_not_taken_for_one_of_others() {
    let cluster = least_loaded(&[1]);
    let (coordinator, now) = (&cluster.coordinators()[0], clock::now());
    let figures = Figures { registered: 2, ..Figures::default() };
    let in_flight = coordinator.count_running();
    let ended_but_open = coordinator.count_operation();
    coordinator.note_report(report(figures), coordinator.own(), now);
    assert_eq!(coordinator.others().operations, 0);
    let counted = coordinator.count_operation();
    let minted = in_flight.minted();
    assert_eq!(coordinator.own().registered, 2);
    drop((minted, counted, ended_but_open));
    assert_eq!(coordinator.own(), Own::default());
}

#[test]
fn settings_that_no_cluster_can_have_are_refused() {
    let mut twice = settings(PolicyName::LeastLoaded, &[1, 1]);
    twice.coordinators[1].name = twice.coordinators[0].name.clone();
    let name = CoordinatorName("c0".into());
    assert_eq!(Cluster::new(twice).unwrap_err(), SettingsError::DuplicateName { name: name.clone() });
    let weightless = settings(PolicyName::LeastLoaded, &[0]);
    assert_eq!(Cluster::new(weightless).unwrap_err(), SettingsError::ZeroWeight { name });
    for cost in [-0.1, f64::NAN, f64::INFINITY] {
        let mut costly = settings(PolicyName::LeastLoaded, &[1]);
        costly.idle_session_cost = cost;
        assert!(matches!(Cluster::new(costly), Err(SettingsError::IdleSessionCost { .. })), "{cost}");
    }
}

#[test]
fn coordinators_are_found_by_id_and_by_name() {
    let cluster = least_loaded(&[1, 1]);
    assert_eq!(cluster.coordinator(CoordinatorId(1)).unwrap().name.to_string(), "c1");
    assert_eq!(cluster.named("c1").unwrap().id, CoordinatorId(1));
    assert!(cluster.coordinator(CoordinatorId(2)).is_none());
    assert!(cluster.named("c2").is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Session(usize),
    Run(usize),
    Promote(usize),
    EndOpen(usize),
    EndSession(usize),
    EndRun(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<usize>().prop_map(Step::Open),
        any::<usize>().prop_map(Step::Session),
        any::<usize>().prop_map(Step::Run),
        any::<usize>().prop_map(Step::Promote),
        any::<usize>().prop_map(Step::EndOpen),
        any::<usize>().prop_map(Step::EndSession),
        any::<usize>().prop_map(Step::EndRun),
    ]
}

fn take<T>(held: &mut Vec<T>, at: usize) -> Option<T> {
    (!held.is_empty()).then(|| held.swap_remove(at % held.len()))
}

proptest! {
    #[test]
    fn counts_agree_with_the_guards_and_return_to_zero(steps in prop::collection::vec(step(), 0..200)) {
        let cluster = least_loaded(&[1; 3]);
        let all = cluster.coordinators();
        let at = |place: usize| &all[place % 3];
        let (mut opens, mut sessions, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Open(place) => opens.push(at(place).begin_open()),
                Step::Session(place) => sessions.push(at(place).count_session()),
                Step::Run(place) => runs.push(at(place).count_running()),
                Step::Promote(place) => sessions.extend(take(&mut opens, place).map(Opening::into_session)),
                Step::EndOpen(place) => drop(take(&mut opens, place)),
                Step::EndSession(place) => drop(take(&mut sessions, place)),
                Step::EndRun(place) => drop(take(&mut runs, place)),
            }
            let mut expected = [Load::default(); 3];
            for open in &opens {
                expected[open.coordinator().id.0 as usize].opens_in_progress += 1;
            }
            for session in &sessions {
                expected[session.coordinator().id.0 as usize].open_sessions += 1;
            }
            for run in &runs {
                expected[run.coordinator().id.0 as usize].running_operations += 1;
            }
            let counted: Vec<_> = cluster.coordinators().iter().map(|c| c.load()).collect();
            prop_assert_eq!(&counted[..], &expected[..]);
        }
        drop((opens, sessions, runs));
        for coordinator in cluster.coordinators().iter() {
            prop_assert_eq!(coordinator.load(), Load::default());
        }
    }

    #[test]
    fn a_pick_is_a_permutation_of_the_eligible_lowest_score_first(
        fleet in prop::collection::vec((1_u32..5, 0_usize..4, 0_usize..4, any::<bool>(), any::<bool>()), 0..12),
        by_turn in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let policy = if by_turn { PolicyName::RoundRobin } else { PolicyName::LeastLoaded };
        let weights: Vec<u32> = fleet.iter().map(|coordinator| coordinator.0).collect();
        let cluster = cluster(policy, &weights);
        let now = clock::now();
        let mut guards = Vec::new();
        for (coordinator, &(_, running, sessions, drained, cooling)) in cluster.coordinators().iter().zip(&fleet) {
            let running: Vec<_> = (0..running).map(|_| coordinator.count_running()).collect();
            let sessions: Vec<_> = (0..sessions).map(|_| coordinator.count_session()).collect();
            guards.push((running, sessions));
            if drained { coordinator.drain(None, HOUR, now) }
            if cooling { coordinator.note_dial_failed(Hs2, now) }
        }
        let picked = order(&cluster, now, &mut StdRng::seed_from_u64(seed));

        let mut named = ids(&picked);
        named.sort_unstable();
        let eligible: Vec<u32> =
            (0u32..).zip(&fleet).filter(|(_, coordinator)| !coordinator.3).map(|(id, _)| id).collect();
        prop_assert_eq!(named, eligible);
        for pair in picked.windows(2) {
            let key = |candidate: &Candidate| match candidate.reason.basis {
                Basis::Load { score } => score,
                // A turn each: what was owed to one was not owed at the turn of the next.
                Basis::Turn { .. } => 0.0,
            };
            let cooling = |candidate: &Candidate| candidate.reason.standing != Standing::Ready;
            prop_assert!((cooling(&pair[0]), key(&pair[0])) <= (cooling(&pair[1]), key(&pair[1])));
        }
    }
}

#[test]
fn a_coordinator_without_room_is_passed_over() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 3]);
        let (now, mut rng) = (clock::now(), rng());
        let without = |full: &'static [u32]| move |one: &Coordinator| !full.contains(&one.id.0);
        let pick = |has_room: &dyn Fn(&Coordinator) -> bool, rng: &mut StdRng| {
            cluster.pick_and_reserve(&Wanted { has_room, ..ANYWHERE }, now, rng)
        };
        let picked: Vec<_> = (0..20).map(|_| pick(&without(&[1]), &mut rng).unwrap()).collect();
        assert!(picked.iter().all(|reserved| reserved.candidate.id != CoordinatorId(1)), "{policy}");
        assert_eq!(pick(&without(&[0, 1, 2]), &mut rng).unwrap_err(), NoPick::NoRoom);
    }
}

#[test]
fn a_full_coordinator_is_waited_for_rather_than_an_ejected_one_used() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    eject(&cluster, 1, now);
    let has_room = |one: &Coordinator| one.id == CoordinatorId(1);
    let wanted = Wanted { has_room: &has_room, ..ANYWHERE };
    assert_eq!(cluster.pick_and_reserve(&wanted, now, &mut rng).unwrap_err(), NoPick::NoRoom);
    let tried = [CoordinatorId(0), CoordinatorId(2), CoordinatorId(3)];
    let last = cluster.pick_and_reserve(&Wanted { tried: &tried, ..wanted }, now, &mut rng).unwrap();
    assert_eq!(last.candidate.id, CoordinatorId(1), "nobody else is left");
}

/// Opens that the first coordinator answers with a failure, as it answers all; the others open a session.
fn failed_by_the_first(cluster: &Cluster, opens: usize, step: Duration) -> usize {
    let (mut now, mut rng, mut sessions, mut failed) = (clock::now(), rng(), Vec::new(), 0);
    for _ in 0..opens {
        let opening = cluster.pick_and_reserve(&ANYWHERE, now, &mut rng).unwrap().opening;
        if opening.coordinator().id == CoordinatorId(0) {
            opening.coordinator().note_failed(Hs2, demands::Step::Open, now);
            failed += 1;
        } else {
            sessions.push(opening.into_session());
        }
        now += step;
    }
    failed
}

#[test]
fn a_coordinator_that_fails_every_open_is_tried_about_once_in_a_half_life_however_busy_the_others_are() {
    for (opens, step) in [(600, Duration::from_millis(100)), (60, Duration::from_secs(1))] {
        let cluster = least_loaded(&[1; 4]);
        let failed = failed_by_the_first(&cluster, opens, step);
        assert!((1..=6).contains(&failed), "{failed} of {opens} opens within a minute failed");
    }
}

#[test]
fn opens_that_fail_everywhere_shift_no_load() {
    let cluster = least_loaded(&[1; 4]);
    let (now, mut rng) = (clock::now(), rng());
    let mut failed = [0; 4];
    let mut sessions = Vec::new();
    for _ in 0..200 {
        let opening = cluster.pick_and_reserve(&ANYWHERE, now, &mut rng).unwrap().opening;
        failed[opening.coordinator().id.0 as usize] += 1;
        opening.coordinator().note_failed(Hs2, demands::Step::Open, now);
        drop(opening);
        sessions.push(open_one(&cluster, now, &mut rng));
    }
    assert_eq!(failed.iter().sum::<u32>(), 200);
    assert!(failed.iter().all(|failed| (45..=55).contains(failed)), "{failed:?}");
    assert!(
        open_sessions(&cluster).iter().all(|sessions| (40..=60).contains(sessions)),
        "{:?}",
        open_sessions(&cluster)
    );
}

#[test]
fn a_failure_never_keeps_a_session_from_the_only_coordinator() {
    let cluster = least_loaded(&[1]);
    let now = clock::now();
    for _ in 0..1000 {
        cluster.coordinators()[0].note_failed(Hs2, demands::Step::Open, now);
    }
    assert_eq!(cluster.coordinators()[0].standing(Hs2, now), Standing::Ready);
    assert_eq!(order(&cluster, now, &mut rng()).len(), 1);
}
