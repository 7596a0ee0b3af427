//! Where sessions go: where the least is to be done, in proportion to the weights, and nowhere else than they
//! may.

use proptest::prelude::*;

use std::num::NonZeroU32;
use std::sync::Barrier;

use super::*;

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
fn a_weight_that_people_set_counts_from_the_next_pick_on() {
    for policy in [PolicyName::LeastLoaded, PolicyName::RoundRobin] {
        let cluster = cluster(policy, &[1; 2]);
        let (now, mut rng) = (clock::now(), rng());
        let mut sessions: Vec<_> = (0..20).map(|_| open_one(&cluster, now, &mut rng)).collect();
        assert_eq!(open_sessions(&cluster), [10; 2], "{policy}");
        sessions.clear();
        cluster.coordinators()[0].set_weight(NonZeroU32::new(3).unwrap());
        sessions.extend((0..40).map(|_| open_one(&cluster, now, &mut rng)));
        assert_eq!(open_sessions(&cluster), [30, 10], "{policy}");
    }
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
fn sessions_of_others_shift_picks() {
    let cluster = least_loaded(&[1; 2]);
    let (now, mut rng) = (clock::now(), rng());
    let _ours: Vec<_> = (0..4).map(|_| open_one(&cluster, now, &mut rng)).collect();
    for (coordinator, theirs) in cluster.coordinators().iter().zip([10, 0]) {
        let figures = Figures { sessions: 2 + theirs, ..Figures::default() };
        coordinator.note_report(report(figures), coordinator.own(), now, now);
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
        coordinator.note_report(report(figures), coordinator.own(), now, now);
    }
    let _burst: Vec<_> = (0..50).map(|_| open_one(&cluster, now, &mut rng)).collect();
    let opened = open_sessions(&cluster);
    assert!(
        (19..=21).contains(&opened[0]) && opened[1..].iter().all(|count| (9..=11).contains(count)),
        "{opened:?}"
    );
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

proptest! {
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
